"""The command line, as a person uses it: each command, and one line for each mistake, with nothing changed on disk."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from resonantgen.cli import main

PROMPT = "dark techno with driving bass"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def song(run: Run) -> Run:
    """The same, with a project of two bars in the folder."""
    code, _, errors = run("generate", PROMPT, "--project", "night.rg", "--bars", "2", "--seed", "7")
    assert (code, errors) == (0, "")
    return run


def digest(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder. SQLite's own side files and the writer's mark may come and go."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock", ".pid"))
    }


def document(run: Run, *arguments: str) -> dict[str, object]:
    code, out, _ = run(*arguments, "--json")
    assert code == 0
    parsed: dict[str, object] = json.loads(out)  # raises if there is anything else on stdout
    return parsed


def test_generate_says_what_was_understood_chosen_and_made(run: Run) -> None:
    code, out, errors = run("generate", PROMPT, "--project", "night.rg", "--bars", "2", "--seed", "7")
    assert (code, errors) == (0, "")
    for words in (PROMPT, "techno · dark", "bass: driving", "2 bars", "seed 7", "drums", "bass", "harmony", "melody"):
        assert words in out
    assert "resonantgen lock drums" in out


def test_options_outweigh_the_words(run: Run) -> None:
    options = ["--tempo", "97.3", "--key", "F# dorian", "--meter", "7/8", "--bars", "3", "--sample-rate", "44100"]
    words = "techno, 140 bpm, 4 bars"
    made = document(run, "generate", words, "--project", "n.rg", "--tracks", "drums, bass", *options)
    assert [track["role"] for track in made["tracks"]] == ["drums", "bass"]  # type: ignore[attr-defined,index]
    wanted = {"tempo_bpm": 97.3, "key": "F# dorian", "meter": "7/8", "bars": 3, "sample_rate": 44100}
    assert {name: made[name] for name in wanted} == wanted


def test_the_newest_project_here_is_the_default(song: Run, tmp_path: Path) -> None:
    song("generate", "jazz", "--project", "later.rg", "--bars", "1", "--tracks", "drums")
    os.utime(tmp_path / "night.rg" / "project.db", (1, 1))
    assert "later.rg" in song("show")[1]


def test_generate_names_a_new_project_after_the_words(run: Run, tmp_path: Path) -> None:
    assert run("generate", "Calm: ambient / drums!", "--bars", "1", "--tracks", "drums")[0] == 0
    assert (tmp_path / "calm-ambient-drums.rg" / "project.db").is_file()


def test_lock_regenerate_undo_redo(song: Run) -> None:
    def takes() -> dict[str, str]:
        tracks: list[dict[str, str]] = document(song, "show")["tracks"]  # type: ignore[assignment]
        return {track["role"]: track["take_id"] for track in tracks}

    before = takes()
    assert "locked" in song("lock", "drums")[1]
    code, out, _ = song("regenerate", "make the bass more aggressive")
    assert code == 0
    assert "drums       locked" in out and "harmony     kept" in out and "notes a bar" in out
    after = takes()
    assert after == {**before, "bass": "bass-2"}
    assert song("undo")[0] == 0 and takes() == before
    assert song("redo", "--track", "bass")[0] == 2  # the undo was not one of the track's own
    assert song("redo")[0] == 0 and takes() == after
    assert song("undo", "--track", "bass")[0] == 0 and takes() == before
    assert "unlocked" in song("unlock", "drums")[1]


def test_another_tempo_is_heard_and_takes_stay(song: Run, tmp_path: Path) -> None:
    def stems() -> dict[str, str]:
        return {name: sha for name, sha in digest(tmp_path / "night.rg").items() if name.endswith(".wav")}

    def takes(shown: dict[str, object]) -> list[tuple[str, str]]:
        return [(track["take_id"], track["notes_sha256"]) for track in shown["tracks"]]  # type: ignore[attr-defined]

    before, recorded = document(song, "lock", "drums"), stems()
    code, out, _ = song("tempo", "97.5")
    assert code == 0 and "97.5 bpm" in out
    after = document(song, "show")
    assert after["tempo_bpm"] == 97.5 and takes(after) == takes(before) and stems() == recorded
    assert song("export", "--to", "slow")[0] == 0
    frames = 2 * 4 * 60 / 97.5 * 48000
    assert soundfile.info(tmp_path / "slow" / "mix.wav").frames == round(frames)


def test_setting_how_a_track_is_played_keeps_the_others(song: Run) -> None:
    before = {track["role"]: track for track in document(song, "show")["tracks"]}  # type: ignore[attr-defined]
    code, out, errors = song("set", "bass", "density", "-0.8")
    assert (code, errors) == (0, "") and "sparser" in out and "harmony     kept" in out
    after = {track["role"]: track for track in document(song, "show")["tracks"]}  # type: ignore[attr-defined]
    assert after["bass"]["take_id"] == "bass-2" and after["bass"]["seed"] == before["bass"]["seed"]
    assert {role: after[role] for role in ("drums", "harmony", "melody")} == {
        role: before[role] for role in ("drums", "harmony", "melody")
    }
    song("lock", "bass")
    code, out, errors = song("set", "bass", "density", "0")
    assert (code, out) == (2, "") and "resonantgen unlock bass" in errors


def test_the_mixer_and_the_map_are_kept_with_the_project(song: Run) -> None:
    assert song("mix", "bass", "--gain", "-3.5", "--mute")[0] == 0
    assert song("map", "3", "bass")[0] == 0
    rows = document(song, "mix")["tracks"]
    assert rows[1] == {"role": "bass", "gain": -3.5, "pan": 0.0, "mute": True, "solo": False}  # type: ignore[index]
    assert document(song, "map") == {"daw_tracks": {"3": "bass"}}


def test_naming_a_locked_track_says_how_to_unlock_it(song: Run) -> None:
    song("lock", "bass")
    expected = "bass is locked, so it was left alone. Unlock it with: resonantgen unlock bass\n"
    assert song("regenerate", "busier bass") == (2, "", expected)
    assert song("regenerate", "--track", "bass") == (2, "", expected)


def test_understand_prints_json_without_a_project(run: Run, tmp_path: Path) -> None:
    meant = document(run, "understand", "gritty warehouse rave, busier hats")
    assert (meant["style"], meant["roles"]) == ("techno", ["drums"])
    for field in ("mood", "attributes", "tempo_bpm", "key", "meter", "bars", "instruments", "exclusions"):
        assert field in meant
    assert list(tmp_path.iterdir()) == []


def test_show_draws_a_picture(song: Run, tmp_path: Path) -> None:
    assert song("show", "--picture", "night.png")[0] == 0
    assert (tmp_path / "night.png").read_bytes().startswith(b"\x89PNG")


def test_export_matches_its_index(song: Run, tmp_path: Path) -> None:
    code, out, _ = song("export", "--to", "night")
    assert code == 0 and "mix.wav" in out
    index = json.loads((tmp_path / "night" / "session.json").read_text())
    for track in index["tracks"]:
        data = (tmp_path / "night" / track["wav"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == track["audio_sha256"]
        info = soundfile.info(tmp_path / "night" / track["wav"])
        assert (info.frames, info.channels, info.subtype) == (track["frames"], 2, "PCM_24")
        assert (tmp_path / "night" / track["mid"]).read_bytes().startswith(b"MThd")
    assert {"mix.wav", "session.mid"} <= {path.name for path in (tmp_path / "night").iterdir()}


BAD_REQUESTS = {
    "an empty prompt": ["generate", ""],
    "a prompt of white space": ["generate", " \n\t "],
    "10,000 characters": ["generate", "techno " * 1429],
    "an unknown key": ["generate", "techno", "--key", "Q minor"],
    "tempo 0": ["generate", "techno", "--tempo", "0"],
    "tempo in words": ["generate", "techno", "--tempo", "fast"],
    "tempo nan": ["generate", "techno", "--tempo", "nan"],
    "0 bars": ["generate", "techno", "--bars", "0"],
    "10,000 bars": ["generate", "techno", "--bars", "10000"],
    "bars in words": ["generate", "techno", "--bars", "many"],
    "meter 4/5": ["generate", "techno", "--meter", "4/5"],
    "a sample rate of 8 kHz": ["generate", "techno", "--sample-rate", "8000"],
    "an unknown track": ["generate", "techno", "--tracks", "drums,flute"],
    "no track": ["generate", "techno", "--tracks", ","],
    "a negative seed": ["generate", "techno", "--seed", "-1"],
    "a tempo out of range in words": ["generate", "techno at 900 bpm"],
    "no project": ["show", "--project", "nothing.rg"],
    "a project that is a file": ["show", "--project", "file.rg"],
    "a project that is another folder": ["show", "--project", "folder"],
    "generating into another folder": ["generate", "techno", "--project", "folder"],
    "generating below a folder that is not there": ["generate", "techno", "--project", "missing/night.rg"],
    "locking nothing": ["lock", "flute"],
    "an unknown command": ["sing"],
    "an unknown option": ["generate", "techno", "--loud"],
    "a missing value": ["generate", "techno", "--bars"],
    "no project here": ["undo"],
    "another tempo of no project": ["tempo", "120"],
    "setting up no project": ["set", "bass", "density", "1"],
    "mixing no project": ["mix", "bass", "--gain", "-3"],
    "mapping for no project": ["map", "3", "bass"],
    "playing no project": ["play"],
    "the status of no project": ["status"],
    "the status of another folder": ["status", "--project", "folder"],
    "serving no project": ["serve"],
    "serving another folder": ["serve", "--project", "folder", "--audio", "none", "--zmq-port", "0"],
    "an engine that cannot be": ["show", "--engine", "not an address"],
}


@pytest.mark.parametrize("arguments", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_mistake_gets_one_line_and_changes_nothing(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file.rg").write_text("not a project")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_text("dear")
    before = digest(tmp_path), sorted(tmp_path.rglob("*"))
    code, out, errors = run(*arguments)
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1 and len(errors) < 400 and "Traceback" not in errors, errors
    assert (digest(tmp_path), sorted(tmp_path.rglob("*"))) == before


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["lock", "bass"], ["regenerate"], ["undo"], ["export", "--to", "out"], ["generate", "jazz"]],
    ids=lambda a: a[0],
)
def test_a_newer_project_is_refused_and_left_alone(song: Run, tmp_path: Path, arguments: list[str]) -> None:
    with sqlite3.connect(tmp_path / "night.rg" / "project.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = digest(tmp_path)
    code, out, errors = song(*arguments)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert "newer" in errors
    assert digest(tmp_path) == before


def test_corrupted_audio_is_named_and_nothing_is_exported(song: Run, tmp_path: Path) -> None:
    tracks: list[dict[str, str]] = document(song, "show")["tracks"]  # type: ignore[assignment]
    stem = tmp_path / "night.rg" / "audio" / f"{tracks[1]['audio_sha256']}.wav"
    data = bytearray(stem.read_bytes())
    data[1000] ^= 0x40
    stem.write_bytes(data)
    before = digest(tmp_path)
    for arguments in (["export", "--to", "out"], ["show", "--picture", "out.png"]):
        code, out, errors = song(*arguments)
        assert (code, out, errors.count("\n")) == (2, "", 1)
        assert "bass-1" in errors and "regenerate" in errors
    assert digest(tmp_path) == before


def test_two_processes_give_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    """And for another seed other music."""
    command = [sys.executable, "-m", "resonantgen", "generate", PROMPT, "--bars", "2", "--json"]
    found = []
    for name, seed in (("a.rg", "7"), ("b.rg", "7"), ("c.rg", "8")):
        arguments = [*command, "--project", name, "--seed", seed]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
        tracks = json.loads(done.stdout)["tracks"]
        found.append([(track["audio_sha256"], track["notes_sha256"]) for track in tracks])
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[0], found[2], strict=True))


def test_without_arguments_it_says_how_it_is_used(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    for command in ("generate", "regenerate", "lock", "unlock", "undo", "redo", "understand", "show", "export"):
        assert command in out
    for command in ("serve", "play", "stop", "seek", "auto", "mix", "set", "tempo", "map", "midi", "keys", "doctor"):
        assert f"\n  {command} " in out
