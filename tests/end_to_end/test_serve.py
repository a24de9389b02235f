"""`resonantgen serve` as a process, driven over ZeroMQ and OSC: it plays, says what happens, saves and ends cleanly."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_process import EngineProcess, engine_process, make_project, needs_linux, wait_for
from resonantgen.errors import TrackLocked
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen.session.setup import Strip
from resonantgen_bridge.calls import Notice

pytestmark = needs_linux

BEATS = 4  # in a bar


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never served: copied."""
    return make_project(tmp_path_factory.mktemp("made") / "night.rg")


@pytest.fixture(scope="module")
def engine(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    copy = shutil.copytree(project, tmp_path_factory.mktemp("served") / "night.rg")
    with engine_process(copy) as engine:
        yield engine
        assert engine.end() == 0
        assert engine.errors == ""


class Ears:
    """Keeps what an engine tells from now on."""

    def __init__(self, engine: EngineProcess) -> None:
        self._notices: list[Notice] = []
        self._end = engine.client.listen(self._notices.append)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [dict(notice.fields) for notice in tuple(self._notices) if notice.event == event]

    def events(self) -> list[str]:
        return [notice.event for notice in tuple(self._notices)]

    def wait(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first one with these fields."""

        def find() -> dict[str, Any]:
            return next((f for f in self.of(event) if fields.items() <= f.items()), {})

        return wait_for(f"{event} {fields}", find)

    def __enter__(self) -> Ears:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


def test_it_says_what_it_serves(engine: EngineProcess) -> None:
    wait_for("music", lambda: engine.status["transport"]["playing"])
    state, status = engine.state, engine.status
    assert state["project"] == str(engine.project.resolve()) == status["project"]
    assert (state["tempo"], state["bars"], state["meter"], state["loop"]) == (170, 2, "4/4", True)
    assert all(state[f"track/{role.value}/take"].startswith(role.value) for role in Role)
    assert status["pid"] == engine.pid
    assert status["addresses"] == engine.addresses
    assert status["audio"]["state"] == "none" and state["audio"].startswith("no sound")
    assert state["play"]
    assert any(line.endswith(engine.addresses["osc"]) for line in engine.lines)


def test_it_plays_and_tells_levels_beats_and_that_it_lives(engine: EngineProcess) -> None:
    with Ears(engine) as ears:
        wait_for("three bars", lambda: len(ears.of("beat")) > 3 * BEATS)
        ears.wait("heartbeat")
        heard = ears.events()
        first, last = (at for at, event in enumerate(heard) if event == "beat"), len(heard) - heard[::-1].index("beat")
        levels = heard[next(first) : last].count("level") / len(Role)
        beats = heard.count("beat") - 1
    # 20 times a second of what is mixed, at 170 bpm.
    assert levels == pytest.approx(beats * 60 / 170 * 20, abs=2)
    assert {level["track"] for level in ears.of("level")} == set(Role)
    assert max(level["peak"] for level in ears.of("level")) > -30
    counted = [(beat["bar"], beat["beat"]) for beat in ears.of("beat")]
    loop = [(bar, beat) for bar in (1, 2) for beat in (1, 2, 3, 4)]
    start = loop.index(counted[0])
    assert counted == [loop[(start + number) % len(loop)] for number in range(len(counted))]


def test_regenerate_makes_progress_is_committed_and_swapped_in(engine: EngineProcess) -> None:
    before = engine.state["track/bass/take"]
    progress: list[Notice] = []
    with Ears(engine) as ears:
        outcome = engine.client.regenerate(prompt="make the bass busier", on_progress=progress.append)
        take = outcome["changed"]["bass"]
        assert take != before and outcome["changed"].keys() == {"bass"} and outcome["understood"] is not None
        assert ears.wait("swap", track="bass", material=take)["bar"] in (1, 2)
        assert ears.wait("take", track="bass", take=take)["summary"] == engine.state["track/bass/summary"]
        assert ears.wait("applied", command="regenerate")["arguments"] == {"prompt": "make the bass busier"}
        assert {"stage": "sound", "bar": 2, "bars": 2}.items() <= ears.of("progress")[-1].items()
        changed = {key: value for fields in ears.of("changed") for key, value in fields["state"].items()}
    assert changed["track/bass/take"] == take and changed["prompt"] == "make the bass busier"
    assert progress and all(notice.fields["track"] == "bass" for notice in progress)
    assert engine.status["generation"]


def test_a_lock_by_osc_holds_for_everyone(engine: EngineProcess) -> None:
    surface = engine.osc()
    surface.send("/rg/subscribe", 1)
    surface.receive(lambda message: message == ("/rg/track/1/lock", 0))
    surface.send("/rg/track/1/lock", 1)
    surface.receive(lambda message: message == ("/rg/track/drums/lock", 1))
    before = engine.state["track/drums/take"]
    assert engine.state["track/drums/lock"] is True
    with pytest.raises(TrackLocked):
        engine.client.regenerate(track="drums")
    surface.send("/rg/track/drums/regenerate")
    assert surface.receive_at("/rg/error")[0] == "TrackLocked"
    outcome = engine.client.regenerate()
    assert outcome["changed"].keys() == {"bass", "harmony", "melody"} and outcome["locked"] == ["drums"]
    assert engine.state["track/drums/take"] == before
    engine.client.lock(track="drums", locked=False)
    surface.receive(lambda message: message == ("/rg/track/1/lock", 0))
    assert engine.state["track/drums/lock"] is False


def test_regenerate_and_undo_by_osc(engine: EngineProcess) -> None:
    before = engine.state["track/melody/take"]
    surface = engine.osc()
    surface.send("/rg/subscribe", 1)
    with Ears(engine) as ears:
        surface.send("/rg/track/4/regenerate", 1)
        surface.receive(lambda message: message[:2] == ("/rg/done", "regenerate"))
        new = engine.state["track/melody/take"]
        assert new != before
        assert ("/rg/track/melody/take", new) in surface.got
        assert any(message[0] == "/rg/track/4/progress" for message in surface.got)
        ears.wait("swap", track="melody", material=new)  # what never sounded need not be swapped out again
        surface.send("/rg/undo", 1)
        surface.receive(lambda message: message == ("/rg/track/melody/take", before))
        ears.wait("swap", track="melody", material=before)
    engine.client.redo()
    assert engine.state["track/melody/take"] == new


def test_another_tempo_is_heard_from_all_tracks_and_goes_back(engine: EngineProcess) -> None:
    surface = engine.osc()
    for tempo in (140.0, 170.0):
        with Ears(engine) as ears:
            surface.send("/rg/tempo", tempo)
            for role in Role:
                ears.wait("swap", track=role.value, material=engine.state[f"track/{role.value}/take"])
            assert ears.wait("applied", command="tempo")["arguments"] == {"tempo": tempo}
        assert engine.state["tempo"] == tempo


def test_stop_seek_and_play(engine: EngineProcess) -> None:
    engine.client.stop()
    wait_for("it to stop", lambda: not engine.status["transport"]["playing"])
    engine.client.seek(bar=2)
    wait_for("bar 2", lambda: engine.status["transport"]["bar"] == 2)
    with Ears(engine) as ears:
        engine.client.play()
        wait_for("a beat", lambda: ears.of("beat"))
    assert ears.of("beat")[0] == {"bar": 2, "beat": 1}


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_sigterm_right_after_a_change_keeps_everything(tmp_path: Path) -> None:
    """The first music is made by the engine itself; nobody waits for the mixer to be saved."""
    with engine_process(tmp_path / "new.rg", "--prompt", "dark techno, 170 bpm, 2 bars") as engine:
        wait_for("music", lambda: engine.state["play"])
        engine.client.lock(track="harmony")
        engine.client.map(daw_track=3, track="bass")
        engine.client.pan(track="bass", pan=-0.5)
        engine.client.mute(track="melody")
        engine.client.gain(track="bass", gain=-7.5)
        state, memory = engine.state, engine.shared_memory
        assert memory.exists()
        assert engine.end(signal.SIGTERM) == 0
        engine.wait_until_nothing_is_left()
        assert engine.errors == ""
        assert not memory.exists()
    assert not (engine.project / "engine.json").exists()
    with Session.open(engine.project) as session:
        assert session.locked == {Role.HARMONY}
        assert session.setup.strips[Role.BASS] == Strip(gain_db=-7.5, pan=-0.5)
        assert session.setup.strips[Role.MELODY] == Strip(muted=True)
        assert session.setup.daw_tracks == {3: Role.BASS}
        assert {f"track/{role.value}/take": take.id for role, take in session.playing.items()}.items() <= state.items()
        assert all(session.samples(take).any() for take in session.playing.values())


def test_ctrl_c_in_the_middle_of_a_generation_leaves_what_was_there(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "night.rg")
    with engine_process(copy) as engine:
        memory = engine.shared_memory
        generating = threading.Event()
        future = engine.client.submit("bars", bars=64, on_progress=lambda _: generating.set())
        assert generating.wait(120)
        assert engine.end(signal.SIGINT, whole_group=True) == 0  # as a terminal sends it: to the children, too
        engine.wait_until_nothing_is_left()
        assert engine.errors == ""
        assert not memory.exists()
        assert engine.lines[-1] == "Stopped. The project is saved."
        future.cancel()
    assert not (copy / "engine.json").exists()
    with Session.open(project, readonly=True) as before, Session.open(copy) as session:
        assert session.playing == before.playing and session.settings == before.settings
        assert all(session.samples(take).any() for take in session.playing.values())
