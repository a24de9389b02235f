"""A running engine with a track of sound: a real, tiny MusicGen model in its worker, driven from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import soundfile

from end_to_end.test_neural_cli import install
from engine_process import EngineProcess, engine_process, make_project, needs_linux, wait_for
from resonantgen.errors import BadValue, Cancelled, ModelNotFound, TrackLocked, WorkerLost
from resonantgen.models import folder as models
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session.session import Session

pytestmark = needs_linux

SMALL = "musicgen-small"
LONG = {"bars": 8, "tempo": 150}  # seconds of work: whatever a test does in the middle is in the middle


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a machine with one model."""
    folder = tmp_path_factory.mktemp("models")
    install(folder, SMALL, "mono")
    return {models.MODELS_VARIABLE: str(folder), "OMP_NUM_THREADS": "1"}


def has_torch(pid: int) -> bool:
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def drums_of(project: Path) -> tuple[str, bytes]:
    """The take that plays, and its file."""
    with Session.open(project, readonly=True) as session:
        take = session.playing[Role.DRUMS]
        return take.id, session.wav(take)


def exported_frames(engine: EngineProcess, folder: Path) -> set[int]:
    engine.client.call("export", folder=str(folder))
    return {soundfile.info(folder / f"{name}.wav").frames for name in (*Role, "mix")}


def run_beside(engine: EngineProcess, environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """The command line, on a project that is being served."""
    command = [sys.executable, "-m", "resonantgen", *arguments, "--project", str(engine.project), "--json"]
    everything = {**os.environ, **environment, "RESONANTGEN_STATE": str(engine.project.parent)}
    done = subprocess.run(command, env=everything, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def in_the_middle(engine: EngineProcess, act: Callable[[], object]) -> BaseException | None:
    """Do something while drums are performed, and give what became of them."""
    events = engine.client.events("progress")
    made = engine.client.submit("regenerate", track="drums")
    for notice in events:
        if (notice.fields["track"], notice.fields["stage"]) == ("drums", "notes"):
            assert notice.fields["bar"] < notice.fields["bars"]
            break
    events.close()
    act()
    return made.exception(120)


def test_drums_of_sound_are_made_locked_followed_and_printed(tmp_path: Path, environment: dict[str, str]) -> None:
    project = make_project(tmp_path / "night.rg")
    with engine_process(project, environment=environment) as engine:
        client = engine.client
        assert not has_torch(engine.pid) and not has_torch(engine.worker_pid)
        with pytest.raises(ModelNotFound, match="resonantgen models pull musicgen-large"):
            client.call("generator", track="drums", generator="musicgen-large")
        with pytest.raises(BadValue, match="no generator for drums"):
            client.call("regenerate", generators="drums=magic")
        assert client.call("generator", track="drums", generator=SMALL)["changed"] == {"drums": "drums-2"}
        assert client.call("generator", track=1, generator=SMALL)["changed"] == {}, "it is so already"
        state = engine.state
        assert state["track/drums/generator"] == SMALL and state["track/bass/generator"] == "pattern"
        assert state["track/drums/fit"] in state["track/drums/summary"] and state["track/drums/fit"]
        assert state["track/bass/fit"] == ""
        assert has_torch(engine.worker_pid) and not has_torch(engine.pid)

        client.lock(track="drums")
        locked = drums_of(project)
        with pytest.raises(TrackLocked):
            client.call("generator", track="drums", generator="pattern")
        documents = run_beside(engine, environment, "regenerate", "--generator", f"bass={SMALL}")
        assert [track["generator"] for track in documents["tracks"]][:2] == [SMALL, SMALL]
        assert documents["tracks"][1]["fit"]["model"] == SMALL

        with client.events("transport") as moved:
            client.tempo(tempo=97.3)
            assert next(notice for notice in moved if notice.fields["tempo"] == 97.3)
        meter = Meter(4, 4)
        frames = TempoMap(Fraction("97.3"), meter, 48_000).frames(2)
        assert exported_frames(engine, tmp_path / "slow") == {frames}
        client.regenerate(track="harmony")
        client.tempo(tempo=170)
        assert exported_frames(engine, tmp_path / "again") == {TempoMap(Fraction(170), meter, 48_000).frames(2)}
        assert (tmp_path / "again" / "drums.wav").read_bytes() == locked[1]
        assert drums_of(project) == locked
        assert engine.end() == 0 and engine.errors == ""


def test_what_is_cancelled_or_lost_in_the_middle_changes_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    project = tmp_path / "night.rg"
    with engine_process(project, environment=environment) as engine:
        engine.client.call("generate", prompt="techno", seed=3, tracks="drums", generators=f"drums={SMALL}", **LONG)
        assert engine.state["track/drums/generator"] == SMALL
        before, worker = drums_of(project), engine.worker_pid
        assert isinstance(in_the_middle(engine, lambda: engine.client.cancel()), Cancelled)
        wait_for("it to be idle", lambda: not engine.state["busy"])
        assert drums_of(project) == before and engine.worker_pid == worker

        lost = in_the_middle(engine, lambda: os.kill(worker, signal.SIGKILL))
        assert isinstance(lost, WorkerLost), lost
        assert drums_of(project) == before
        wait_for("another worker", lambda: engine.worker_pid != worker)
        made = engine.client.call("regenerate", track="drums")
        assert made["changed"] == {"drums": "drums-2"}, "what was given up leaves its number"
        with Session.open(project, readonly=True) as session:
            files = {path.stem for path in (project / "audio").iterdir()}
            assert files == {take.audio_sha256 for take in session.takes(Role.DRUMS)}
