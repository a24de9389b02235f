"""Real Ardour playing in real time, the real plugin and a real engine, which Ardour's own OSC drives.

JACK waits for its clients here, so that a machine that is slow for a while loses nothing of what is recorded. It counts
that as an xrun all the same, so xruns are measured (tests/benchmarks/ardour.py) and not asserted.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ardour_host import ArdourSession, Change, needs_ardour
from engine_process import EngineProcess, engine_process, make_project, wait_for
from host_grid import HostGrid, Sound, loop_quarters, song_start, stems, takes_by_bar
from jack_server import JackServer, needs_jack
from plugin_hosts import needs_plugin, plugin_path
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

pytestmark = [needs_ardour, needs_jack, needs_plugin]

RATE = 48_000
TEMPO = "170"
EVERY = 4  # bars
LOCKED = Role.BASS


def test_what_is_regenerated_is_heard_from_a_bar_line_on_and_what_is_armed_stays(tmp_path: Path) -> None:
    song = ArdourSession(tmp_path / "ardour", plugin_path("lv2"))
    song.make(120 * RATE, Change(1, TEMPO))
    project = make_project(tmp_path / "song.rg")
    with Session.open(project, readonly=True) as session:
        grid = HostGrid(TEMPO, "4/4", loop_quarters(session))
    with (
        JackServer(period=1024) as server,
        song.opened(server) as ardour,
        engine_process(project, "--ardour", ardour.address, "--no-play") as engine,
    ):
        song.link(engine.addresses["plugin"])
        wait_for("the plugins", lambda: [p["epoch"] > 0 for p in plugins(engine)] == [True] * len(Role))
        wait_for("the tracks", lambda: len(engine.status["drivers"]["ardour"]["tracks"]) == len(Role))
        assert engine.status["drivers"]["ardour"]["connected"]
        first, before = take(engine, Role.DRUMS), underruns(engine)
        ardour.play()
        ardour.wait_until_at(grid.line(1))
        regenerate(engine, list(Role))
        ardour.wait_until_at(grid.line(1 + EVERY))
        ardour.arm(LOCKED.value)
        wait_for("the lock", lambda: engine.state[f"track/{LOCKED.value}/lock"])
        locked, stored = take(engine, LOCKED), sound_files(project)
        for bar in (1 + EVERY, 1 + 2 * EVERY):
            ardour.wait_until_at(grid.line(bar))
            regenerate(engine, [role for role in Role if role is not LOCKED])
            end = ardour.frame
            ardour.wait_until_at(end + grid.line(2))  # a whole bar of it at least, however late it came
        assert engine.state[f"track/{LOCKED.value}/lock"]
        assert take(engine, LOCKED) == locked
        assert underruns(engine) == before
        ardour.stop()
        heard = ardour.heard()
    assert stored.items() <= sound_files(project).items(), "what was stored has changed"
    with Session.open(project, readonly=True) as session:
        takes = {role: stems(session, role, grid) for role in Role}
    heard = heard[song_start(of(Role.DRUMS, heard), takes[Role.DRUMS][first], grid) :][: end + grid.line(2)]
    played = {role: takes_by_bar(of(role, heard), takes[role], grid) for role in Role}
    for role in Role:
        assert len(set(played[role])) == (2 if role is LOCKED else 4), (role, played[role])
    assert set(played[LOCKED][1 + EVERY :]) == {locked}


def plugins(engine: EngineProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.status["drivers"]["plugin"]["instances"]
    return found


def underruns(engine: EngineProcess) -> list[int]:
    return sorted(plugin["underruns"] for plugin in plugins(engine))


def epochs(engine: EngineProcess) -> dict[str, int]:
    """What the plugins play, by track."""
    return {plugin["plays"]: plugin["epoch"] for plugin in plugins(engine)}


def take(engine: EngineProcess, role: Role) -> str:
    return str(engine.state[f"track/{role.value}/take"])


def regenerate(engine: EngineProcess, free: list[Role]) -> None:
    """Make all tracks anew that are not locked; returns when the plugins play what came of it."""
    before = epochs(engine)
    engine.client.regenerate()
    wait_for("the new takes to play", lambda: all(epochs(engine)[role] != before[role] for role in free))


def of(role: Role, sound: Sound) -> Sound:
    """A track's two channels of what was recorded."""
    number = 2 * list(Role).index(role)
    return sound[:, number : number + 2]


def sound_files(project: Path) -> dict[str, str]:
    """What each of a project's sound files holds."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in project.rglob("audio/*")}
