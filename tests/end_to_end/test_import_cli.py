"""`resonantgen import`, from the command line: on a project, and through the engine that serves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import recordings
from engine_process import engine_process, needs_linux, wait_for
from resonantgen.cli import main
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in a folder with a recording of Am F C G at 120 bpm: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    recordings.write(tmp_path / "guitar.wav", recordings.chords(120.0, 4))

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_what_is_heard_is_shown_and_kept(run: Run, tmp_path: Path) -> None:
    code, out, err = run("import", "guitar.wav", "--as", "harmony", "--lock")
    assert (code, err) == (0, "")
    for shown in ("120 bpm", "--tempo BPM", "Am F C G", "--chords", "4 bars", "locked", "guitar.rg"):
        assert shown in out
    with Session.open(tmp_path / "guitar.rg", readonly=True) as session:
        take = session.playing[Role.HARMONY]
        assert session.locked == {Role.HARMONY}
        assert take.recipe.source is not None
        kept = session.imported_file(take.recipe.source)
        assert kept.read_bytes() == (tmp_path / "guitar.wav").read_bytes()
        assert session.replay(take) == (take.notes_sha256, take.audio_sha256)
    code, out, _ = run("show")
    assert code == 0 and "guitar.wav: beat 120.0 bpm" in out
    code, _, err = run("import", "guitar.wav", "--as", "harmony", "--tempo", "119")
    assert code == 2 and "harmony is locked" in err and err.count("\n") == 1
    code, out, _ = run("generate", "pop", "--tracks", "bass", "--json")
    document = json.loads(out)
    assert code == 0 and document["tempo_bpm"] == 120
    assert [chord["symbol"] for chord in document["chords"]] == ["Am", "F", "C", "G"]
    bass, harmony = document["tracks"]
    assert (bass["role"], harmony["role"], harmony["locked"]) == ("bass", "harmony", True)
    code, _, err = run("export", "--to", "out")
    assert (code, err) == (0, "")
    assert (tmp_path / "out" / "harmony-original.wav").read_bytes() == (tmp_path / "guitar.wav").read_bytes()


def test_a_dry_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    code, out, err = run("import", "guitar.wav", "--as", "harmony", "--dry-run")
    assert (code, err) == (0, "") and "120 bpm" in out and [p.name for p in tmp_path.iterdir()] == ["guitar.wav"]
    code, out, _ = run("import", "guitar.wav", "--as", "harmony", "--dry-run", "--json", "--key", "A minor")
    document = json.loads(out)
    assert code == 0 and document["tempo_bpm"] == 120 and document["project"]["key"] == "A minor"
    assert document["corrected"] == ["key"] and [name for name, _ in document["chords"]] == ["Am", "F", "C", "G"]


def test_what_is_heard_is_shown_also_where_it_cannot_come(run: Run, tmp_path: Path) -> None:
    assert run("import", "guitar.wav", "--as", "harmony", "--lock")[0] == 0
    recordings.write(tmp_path / "slow.wav", recordings.chords(90.0, 2))
    arguments = ("import", "slow.wav", "--as", "melody", "--tempo", "90")
    code, out, err = run(*arguments, "--dry-run")
    assert (code, err) == (0, "") and "conflict" in out and "90 bpm and the project at 120 bpm" in out
    heard = out[: out.index("  conflict")]
    assert "chords" in heard and "key" in heard and "stretched" not in heard
    code, out, err = run(*arguments)
    assert code == 2 and out == heard and "90 bpm and the project at 120 bpm" in err and err.count("\n") == 1
    code, out, _ = run(*arguments, "--dry-run", "--json")
    assert code == 0 and "--follow" in json.loads(out)["conflict"]


def test_what_is_wrong_is_one_line_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photo.wav").write_bytes(b"\xff\xd8\xff\xe0 no sound")
    recordings.write(tmp_path / "silence.wav", np.zeros((44_100, 2)))
    for arguments, reason in (
        (("photo.wav", "--as", "melody"), "no sound file"),
        (("silence.wav", "--as", "melody"), "is silent"),
        (("nothing.wav", "--as", "melody"), "No such file"),
        (("guitar.wav", "--as", "guitar"), "no track"),
        (("guitar.wav", "--as", "melody", "--tempo", "9"), "20 to 400"),
        (("guitar.wav", "--as", "melody", "--chords", "X"), "no chord"),
        (("guitar.wav",), "--as"),
    ):
        code, out, err = run("import", *arguments)
        assert code == 2 and out == "" and reason in err and err.count("\n") == 1, (arguments, err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["guitar.wav", "photo.wav", "silence.wav"]


def test_a_name_may_hold_anything(run: Run, tmp_path: Path) -> None:
    odd = "-a\nb\x1b[31m\u202e[bold]é\udcff"
    (tmp_path / f"{odd}.txt").write_text("no sound")
    code, out, err = run("import", f"./{odd}.txt", "--as", "harmony")
    assert (code, out) == (2, "") and err.startswith("-a b?[31m?[bold]é?.txt is no sound file")
    assert err[:-1].isprintable() and err[-1] == "\n"
    (tmp_path / "guitar.wav").rename(tmp_path / f"{odd}.wav")
    code, out, err = run("import", f"./{odd}.wav", "--as", "harmony")
    assert (code, err) == (0, "") and "-a?b?[31m?[bold]é?.wav · WAV" in out
    assert (tmp_path / "a_b_[31m_[bold]é_.rg").is_dir() and "\x1b" not in out


@needs_linux
def test_a_running_engine_imports_and_plays_it(tmp_path: Path) -> None:
    guitar = recordings.write(tmp_path / "guitar.wav", recordings.chords(120.0, 2))
    with Session.create(tmp_path / "night.rg") as session:
        session.import_audio(guitar, "melody")
    with engine_process(tmp_path / "night.rg", environment={"OMP_NUM_THREADS": "1"}) as engine:
        engine.client.call("play", on=True)
        arguments = ["import", str(guitar), "--as", "harmony", "--lock", "--project", str(engine.project)]
        environment = {**os.environ, "RESONANTGEN_STATE": str(engine.project.parent)}
        swaps = engine.client.events("swap")
        done = subprocess.run(
            [sys.executable, "-m", "resonantgen", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert "correct it with --tempo BPM" in done.stdout and "Am F" in done.stdout
        swap = next(notice for notice in swaps if notice.fields["track"] == "harmony")
        assert swap.fields["material"] == "harmony-1" and swap.fields["bar"] in (1, 2)
        wait_for("the lock", lambda: engine.state["track/harmony/lock"])
        swaps.close()
        slow = recordings.write(tmp_path / "slow.wav", recordings.chords(90.0, 2))
        arguments[1] = str(slow)
        arguments[3] = "bass"
        refused = subprocess.run(
            [sys.executable, "-m", "resonantgen", *arguments, "--tempo", "90"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert refused.returncode == 2 and "90 bpm and the project at 120 bpm" in refused.stderr
        assert refused.stderr.count("\n") == 1 and "90 bpm   as you said" in refused.stdout and "key" in refused.stdout
        elsewhere = [*arguments[:4], "--engine", engine.client.address]
        rehearsal = subprocess.run(
            [sys.executable, "-m", "resonantgen", *elsewhere, "--dry-run", "--json"],
            cwd=tmp_path,  # where there is no project
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert rehearsal.returncode == 0 and "at 120 bpm" in json.loads(rehearsal.stdout)["conflict"]
    with Session.open(tmp_path / "night.rg", readonly=True) as session:
        take = session.playing[Role.HARMONY]
        assert take.is_imported and session.locked == {Role.HARMONY} and Role.BASS not in session.playing
        assert session.replay(take) == (take.notes_sha256, take.audio_sha256)
