"""`kill -9` at random moments, for real: the project always opens, and holds everything that was announced."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.session.fakes import FakeStudio
from resonantgen.errors import ProjectNotFound
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

TESTS = Path(__file__).parent.parent
SEED = int(os.environ.get("RESONANTGEN_KILL_SEED", "20240607"))
FAST_KILLS, REAL_KILLS = 46, 4

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL, which Windows lacks")


class Nursery:
    """The process that forks writers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(TESTS / "end_to_end" / "killed_writer.py")],
            env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "WARM_UP": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill_one(self, order: dict[str, Any], after_seconds: float) -> dict[str, Any]:
        """Let a writer work for so long, kill it, and say how it ended."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        writer = int(self.process.stdout.readline())
        time.sleep(after_seconds)
        with suppress(ProcessLookupError):
            os.kill(writer, signal.SIGKILL)
        end: dict[str, Any] = json.loads(self.process.stdout.readline())
        return end

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def announced(log: Path) -> list[dict[str, Any]]:
    """What the writers said, a last line that is not whole left out."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def check_survivor(project: Path, said: list[dict[str, Any]]) -> None:
    """The project opens for writing; every announced take is there, its audio whole; nothing else lies around."""
    try:
        session = Session.open(project, studio=FakeStudio())
    except ProjectNotFound:
        assert not said, "announced, but not there"
        return
    with session:
        takes = {take.id: take for role in Role for take in session.takes(role)}
        for line in said:
            for take_id, notes_sha256, audio_sha256 in line["takes"].values():
                assert (takes[take_id].notes_sha256, takes[take_id].audio_sha256) == (notes_sha256, audio_sha256)
        for take in takes.values():
            assert take.score.sha256 == take.notes_sha256
            session.wav(take)  # raises unless the bytes have the take's hash
        files = {file.name for file in (project / "audio").iterdir()}
        assert files == {f"{take.audio_sha256}.wav" for take in takes.values()}
        playing = session.playing
        assert all(take.frames == session.settings.frames for take in playing.values() if session.settings)
        if playing and not all(session.tracks[role].locked for role in playing):
            session.regenerate("", track=next(r for r in playing if not session.tracks[r].locked))  # it can go on


def check_export(folder: Path) -> None:
    """An export is there whole or not at all. (One that replaces another is whole file by file.)"""
    if folder.exists():
        index = json.loads((folder / "session.json").read_text())
        for track in index["tracks"]:
            assert (folder / track["wav"]).exists() and (folder / track["mid"]).exists()


@pytest.mark.slow
def test_fifty_kills_lose_nothing(nursery: Nursery, tmp_path: Path) -> None:
    print(f"RESONANTGEN_KILL_SEED={SEED}")
    rng = random.Random(SEED)
    killed = announcements = 0
    for number in range(FAST_KILLS + REAL_KILLS):
        real = number >= FAST_KILLS
        # Several writers go on with one project; a new one every fifth time, so that its making is killed, too.
        folder = tmp_path / str(number if real else number // 5)
        folder.mkdir(exist_ok=True)
        project, log = folder / "night.rg", folder / "announced"
        order = {
            "project": str(project),
            "export": str(folder / "out"),
            "log": str(log),
            "seed": rng.randrange(1 << 30),
            "commands": 100_000,
            "real": real,
        }
        end = nursery.kill_one(order, rng.uniform(0.0, 1.5 if real else 0.4))
        assert end["killed"], f"writer {number} ended by itself: {end}"
        killed += end["killed"]
        said = announced(log)
        announcements += len(said)
        check_survivor(project, said)
        check_export(folder / "out")
    assert killed == 50
    assert announcements > 50, "the writers hardly got to work: the test would show nothing"


def test_a_second_process_cannot_write(nursery: Nursery, tmp_path: Path) -> None:
    Session.create(tmp_path / "night.rg").close()
    program = (
        "import sys; from resonantgen import Session; from resonantgen.errors import ProjectBusy\n"
        "try: Session.open(sys.argv[1])\n"
        "except ProjectBusy as error: print(error)\n"
        "print(len(Session.open(sys.argv[1], readonly=True).playing))"
    )
    with Session.open(tmp_path / "night.rg"):
        command = [sys.executable, "-c", program, str(tmp_path / "night.rg")]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"pid {os.getpid()}" in output and output.endswith("\n0\n")
