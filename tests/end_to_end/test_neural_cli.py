"""Tracks of sound from the command line: with a generator that costs nothing, and with a real, tiny MusicGen model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import soundfile
from rich.console import Console

import tiny_musicgen
from engine.session.fakes import SMALL, FakeStudio
from resonantgen.cli import main
from resonantgen.generators.audio import AudioRequest, Fit, Performance
from resonantgen.generators.registry import audio_generator_names
from resonantgen.models import folder as models
from resonantgen.models.catalog import model_info
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.report import TrackMeters
from resonantgen.session import studio
from resonantgen.session.canvas import text_width
from resonantgen.session.portrait import _who_plays
from resonantgen.session.values import Progress

Run = Callable[..., tuple[int, str, str]]
GENERATE = ("generate", "dark techno", "--project", "night.rg", "--bars", "2", "--seed", "7", "--tempo", "170")


class FakeGenerator:
    """What the session's fake studio plays."""

    def __init__(self, name: str) -> None:
        self.name = name

    def perform(self, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        return FakeStudio().perform(self.name, request, on_bar)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder, on a machine without models: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(models.MODELS_VARIABLE, str(tmp_path / "models"))

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def song(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same where every model is installed, with a project whose drums are sound."""
    monkeypatch.setattr(studio, "require_audio_generator", lambda name: None)
    monkeypatch.setattr(studio, "get_audio_generator", FakeGenerator)
    code, out, errors = run(*GENERATE, "--tracks", "drums,bass", "--generator", f"drums={SMALL}")
    assert (code, errors) == (0, "")
    assert f"{SMALL}: beat 169.8 bpm, stretched by 0.3%, 4 ms off the grid" in out
    return run


def document(run: Run, *arguments: str) -> dict[str, Any]:
    code, out, errors = run(*arguments, "--json")
    assert code == 0, errors
    parsed: dict[str, Any] = json.loads(out)
    return parsed


def test_show_tells_how_it_fits(song: Run) -> None:
    _, out, _ = song("show")
    (line,) = (line for line in out.splitlines() if line.split()[:1] == ["drums"])
    assert f"take 1          {SMALL}: beat 169.8 bpm" in line and "TR-909" not in line
    drums, bass = document(song, "show")["tracks"]
    assert drums["generator"] == SMALL and drums["fit"]["heard_tempo_bpm"] == 169.75
    assert bass["generator"] == "pattern" and bass["fit"] is None


def test_a_picture_says_that_its_notes_were_heard(song: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resonantgen.session import portrait

    labels = []
    draw = portrait.draw_session

    def watched(lanes: list[Any], *arguments: Any, **options: Any) -> object:
        labels.extend((lane.labels, lane.heard) for lane in lanes)
        return draw(lanes, *arguments, **options)

    monkeypatch.setattr(portrait, "draw_session", watched)
    assert song("show", "--picture", "night.png")[0] == 0
    assert labels[0] == (("take 1", "musicgen", "small", "notes as heard"), True)
    assert len(labels[1][0]) == 2 and not labels[1][1]
    assert (tmp_path / "night.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", audio_generator_names())
def test_a_picture_has_room_for_every_generators_name(name: str) -> None:
    labels = _who_plays(SimpleNamespace(is_sound=True, generator=name))  # type: ignore[arg-type]
    assert "-".join(labels[:-1]) == name and max(text_width(label, 12) for label in labels) <= 108


def test_sound_at_another_tempo_is_said_to_be_stretched(song: Run) -> None:
    for tempo, said in (("140", True), ("97.3", True), ("170", False)):
        _, out, _ = song("tempo", tempo)
        lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
        assert (f"4 ms off the grid, played stretched to {tempo} bpm   (seed" in lines["drums"]) == said
        assert "stretched" not in lines["bass"]


def test_a_new_start_says_which_generator_a_track_had(song: Run) -> None:
    _, out, _ = song("generate", "house")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert lines["drums"].endswith(f"was {SMALL}") and "was musicgen" not in lines["bass"]
    _, out, _ = song("regenerate", "--generator", f"drums={SMALL}")
    assert "was pattern" not in out and "was musicgen" not in out


def progress_of(bars: list[tuple[str, int]]) -> list[str]:
    """What the meter of drums says beside its bar, after each event."""
    meters, shown = TrackMeters(Console(file=StringIO())), []
    for stage, bar in bars:
        meters.update(Progress(Role.DRUMS, stage, bar, 2))
        shown.append(meters._progress.tasks[0].fields["length"])
    return shown


def test_progress_tells_of_another_attempt() -> None:
    assert progress_of([("notes", 1), ("notes", 2), ("sound", 2)]) == ["2 bars"] * 3
    again = "2 bars, attempt"
    assert progress_of([("notes", 2), ("notes", 1), ("notes", 2), ("notes", 2), ("sound", 2)]) == [
        "2 bars",
        *[f"{again} 2"] * 2,
        *[f"{again} 3"] * 2,
    ]


FITTED = Fit(SMALL, "0" * 64, "techno", 1, 1, 127.6, 1.003, 4.0, aligned=True)


@pytest.mark.parametrize(
    ("fit", "text"),
    [
        (FITTED, "beat 127.6 bpm, stretched by 0.3%, 4 ms off the grid"),
        (replace(FITTED, attempts=3), "beat 127.6 bpm, stretched by 0.3%, 4 ms off the grid, best of 3 attempts"),
        (replace(FITTED, heard_tempo_bpm=None, aligned=False), "no beat to align"),
        (replace(FITTED, heard_tempo_bpm=None, aligned=False, attempts=4), "no beat to align in 4 attempts"),
        (
            replace(FITTED, aligned=False, attempts=4, stretch=1.0, beat_error_ms=None),
            "beat 127.6 bpm, not stretched, not aligned in 4 attempts: too far from the tempo, or its beats too uneven",
        ),
    ],
)
def test_a_fit_says_how_often_it_was_tried(fit: Fit, text: str) -> None:
    assert str(fit) == text


def test_a_generator_stays_until_another_is_asked_for(song: Run) -> None:
    def players() -> list[str]:
        return [track["generator"] for track in document(song, "show")["tracks"]]

    for command in (("regenerate",), ("regenerate", "darker"), ("set", "drums", "density", "0.4"), ("tempo", "140")):
        assert song(*command)[0] == 0
        assert players() == [SMALL, "pattern"], command
    code, out, _ = song("regenerate", "--generator", "drums=pattern", "--generator", "bass=musicgen-melody")
    assert code == 0 and "musicgen-melody: beat 139.8 bpm" in out
    assert players() == ["pattern", "musicgen-melody"]
    assert song("undo")[0] == 0 and players() == [SMALL, "pattern"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["drums=magic"], '"magic" is no generator for drums. Generators: pattern, '),
        (["flute=pattern"], '"flute" is no track. Tracks: drums, bass, harmony, melody.'),
        (["drums"], '"drums" names no track and its generator. Such as: drums=musicgen-small'),
        (["drums="], '"drums=" names no track'),
        (["drums=musicgen-small", "drums=pattern"], '"drums" cannot have two generators: musicgen-small and pattern.'),
        (["drums=musicgen-small", "Drums=pattern"], '"drums" cannot have two generators: musicgen-small and pattern.'),
        (["drums=musicgen-small"], "musicgen-small is not on this machine. Fetch it with: resonantgen models pull"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_before_anything_is_made(
    run: Run, tmp_path: Path, asked: list[str], message: str
) -> None:
    options = [option for each in asked for option in ("--generator", each)]
    code, out, errors = run(*GENERATE, *options)
    assert code == 2 and out == "" and message in errors and errors.count("\n") == 1
    assert not (tmp_path / "night.rg").exists()


def test_missing_packages_are_told_with_the_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "installed", lambda name: None)
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    code, _, errors = run(*GENERATE, "--generator", "drums=musicgen-small")
    assert code == 2 and "pip install 'resonantgen[musicgen]'" in errors and errors.count("\n") == 1
    assert not (tmp_path / "night.rg").exists()


PROGRAM = """
import sys
from resonantgen.cli import main
arguments = {arguments}
assert main(arguments) == 0
heavy = {{"torch", "transformers", "python_stretch", *{more}}} & set(sys.modules)
assert not heavy, heavy
"""


def test_tracks_of_notes_load_nothing_neural(tmp_path: Path) -> None:
    for arguments, more in (
        (["generate", "techno", "--project", "night.rg", "--bars", "1", "--tracks", "drums"], set()),
        (["show", "--project", "night.rg"], {"scipy", "numba"}),
        (["--help"], {"scipy", "numba", "numpy", "resonantgen.models"}),
    ):
        program = PROGRAM.format(arguments=arguments, more=more or "()")
        subprocess.run([sys.executable, "-c", program], check=True, timeout=300, cwd=tmp_path)


# -- a real model -----------------------------------------------------------------------------------------------------


def install(folder: Path, name: str, kind: tiny_musicgen.Kind) -> None:
    """A tiny checkpoint with random weights, as `models pull` would have left it."""
    tiny_musicgen.write(folder / name, kind)
    info = model_info(name)
    files = [
        models.FileRecord(file.name, file.stat().st_size, models.file_sha256(file))
        for file in sorted((folder / name).iterdir())
    ]
    manifest = models.Manifest(
        format=models.FORMAT,
        name=name,
        source="https://example.org",
        repository=info.repository,
        commit="0" * 40,
        licence=info.licence,
        files=files,
    )
    (folder / name / models.MANIFEST).write_bytes(msgspec.json.encode(manifest))


REPLAY = """
from resonantgen.session.session import Session
with Session.open("night.rg", readonly=True) as session:
    sounds = [take for take in session.playing.values() if take.is_sound]
    assert [take.id for take in sounds] == ["drums-1", "melody-2"]
    for take in sounds:
        assert session.replay(take) == (take.notes_sha256, take.audio_sha256), take.id
"""


def test_tracks_of_sound_from_words_to_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "models", "musicgen-small", "mono")
    install(tmp_path / "models", "musicgen-melody", "melody")
    monkeypatch.setenv(models.MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # beside other tests, threads that wait for each other take minutes

    def resonantgen(*arguments: str) -> str:
        command = [sys.executable, "-m", "resonantgen", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def tracks() -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = json.loads(resonantgen("show", "--json"))["tracks"]
        return shown

    assert "musicgen-small: " in resonantgen(*GENERATE, "--generator", "drums=musicgen-small")
    frames = TempoMap(Fraction(170), Meter(4, 4), 48_000).frames(2)
    before = tracks()
    assert [track["generator"] for track in before] == ["musicgen-small", "pattern", "pattern", "pattern"]
    assert before[0]["frames"] == frames and before[0]["fit"]["model"] == "musicgen-small"

    resonantgen("lock", "drums")
    resonantgen("regenerate", "make it more aggressive", "--generator", "melody=musicgen-melody")
    after = tracks()
    assert [track["generator"] for track in after] == ["musicgen-small", "pattern", "pattern", "musicgen-melody"]
    assert after[0] == {**before[0], "locked": True}
    assert all(old["audio_sha256"] != new["audio_sha256"] for old, new in zip(before[1:], after[1:], strict=True))
    recorded = (tmp_path / "night.rg" / "audio" / f"{before[0]['audio_sha256']}.wav").read_bytes()
    assert hashlib.sha256(recorded).hexdigest() == before[0]["audio_sha256"]

    resonantgen("export", "--to", "out")
    assert (tmp_path / "out" / "drums.wav").read_bytes() == recorded
    assert {soundfile.info(tmp_path / "out" / f"{name}.wav").frames for name in (*Role, "mix")} == {frames}

    resonantgen("tempo", "97.3")
    resonantgen("export", "--to", "slow")
    frames = TempoMap(Fraction("97.3"), Meter(4, 4), 48_000).frames(2)
    assert {soundfile.info(tmp_path / "slow" / f"{name}.wav").frames for name in (*Role, "mix")} == {frames}

    subprocess.run([sys.executable, "-c", REPLAY], cwd=tmp_path, check=True, timeout=600)
