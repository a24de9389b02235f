"""Real Ardour, the real plugin and a real engine: what comes out of Ardour's tracks is what the engine exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ardour_host import ArdourSession, Change, needs_ardour
from engine_process import EngineProcess, engine_process, make_project
from host_grid import FADE, ROUNDING, HostGrid, Sound, crossfaded, loop_quarters, stems
from plugin_hosts import needs_plugin, plugin_path
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

pytestmark = [needs_ardour, needs_plugin]

RATE = 48_000
TEMPO = "170"


@pytest.fixture
def song(tmp_path: Path) -> ArdourSession:
    return ArdourSession(tmp_path / "ardour", plugin_path("lv2"))


def of(role: Role, sound: Sound) -> Sound:
    """A track's two channels of what Ardour's master bus gave."""
    number = 2 * list(Role).index(role)
    return sound[:, number : number + 2]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One for all exports. It follows no host, so its music stays as it is."""
    with engine_process(make_project(tmp_path_factory.mktemp("engine") / "song.rg"), "--no-follow") as engine:
        yield engine


@pytest.mark.parametrize(("tempo", "meter"), [("97.3", "4/4"), ("113.507", "7/8")])
def test_an_offline_export_is_the_engines_export(
    engine: EngineProcess, song: ArdourSession, tempo: str, meter: str
) -> None:
    frames = 6 * RATE
    song.make(frames, Change(1, tempo, meter), wait=True)
    song.link(engine.addresses["plugin"])
    sound = song.export()
    assert len(sound) == frames
    with Session.open(engine.project, readonly=True) as session:
        grid = HostGrid(tempo, meter, loop_quarters(session))
        for role, take in session.playing.items():
            expected = grid.lay(stems(session, role, grid)[take.id], 0, frames)
            assert expected.any()
            np.testing.assert_array_equal(of(role, sound), expected, err_msg=role)


@pytest.mark.parametrize("then", [Change(3, "121.5"), Change(3, "86")], ids=lambda change: change.tempo)
def test_a_tempo_change_in_the_song_is_followed_from_the_next_bar(
    engine: EngineProcess, song: ArdourSession, then: Change
) -> None:
    """Until the bar line it goes on as it was, then it is on the new grid, with nothing but a crossfade between.

    Ardour tells a plugin whole ticks, of up to 9 frames here, but the plugin knows where the beat was: no frame is off.
    """
    frames = 9 * RATE
    song.make(frames, Change(1, TEMPO), then, wait=True)
    song.link(engine.addresses["plugin"])
    sound = song.export()
    with Session.open(engine.project, readonly=True) as session:
        before = HostGrid(TEMPO, "4/4", loop_quarters(session))
        after = before.changed(then.tempo, then.bar - 1)
        for role, take in session.playing.items():
            old = before.lay(stems(session, role, before)[take.id], 0, frames)
            new = after.lay(stems(session, role, after)[take.id], 0, frames)
            off = np.abs(of(role, sound) - changed(old, new, after.line(then.bar))).max()
            assert off <= ROUNDING, (role, off)


def changed(old: Sound, new: Sound, line: int) -> Sound:
    """The one until a line, the other from there on."""
    out = np.concatenate([old[:line], new[line:]])
    out[line - FADE : line] = crossfaded(old[line - FADE : line], new[line - FADE : line])
    return out
