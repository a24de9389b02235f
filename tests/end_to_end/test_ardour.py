"""Real Ardour, the real plugin and a real engine: what comes out of Ardour's tracks is what the engine exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ardour_host import ArdourSession, Change, needs_ardour
from engine_process import engine_process, make_project
from host_grid import FADE, HostGrid, Sound, crossfaded, loop_quarters, stems
from plugin_hosts import needs_plugin, plugin_path
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

pytestmark = [needs_ardour, needs_plugin]

RATE = 48_000
TEMPO = "170"
QUIET = 10 ** (-60 / 20)
TICKS = 1920  # of a quarter note, in Ardour


@pytest.fixture
def song(tmp_path: Path) -> ArdourSession:
    return ArdourSession(tmp_path / "ardour", plugin_path("lv2"))


def of(role: Role, sound: Sound) -> Sound:
    """A track's two channels of what Ardour's master bus gave."""
    number = 2 * list(Role).index(role)
    return sound[:, number : number + 2]


@pytest.mark.parametrize(("tempo", "meter"), [("170", "4/4"), ("97.3", "4/4"), ("113.507", "7/8")])
def test_an_offline_export_is_the_engines_export(tmp_path: Path, song: ArdourSession, tempo: str, meter: str) -> None:
    frames = 8 * RATE
    song.make(frames, Change(1, tempo, meter), wait=True)
    project = make_project(tmp_path / "song.rg")
    with engine_process(project) as engine:
        song.link(engine.addresses["plugin"])
        sound = song.export()
    assert len(sound) == frames
    with Session.open(project, readonly=True) as session:
        grid = HostGrid(tempo, meter, loop_quarters(session))
        for role, take in session.playing.items():
            expected = grid.lay(stems(session, role, grid)[take.id], 0, frames)
            assert expected.any()
            np.testing.assert_array_equal(of(role, sound), expected, err_msg=role)


@pytest.mark.parametrize("then", [Change(4, "121.5"), Change(4, "86")], ids=lambda change: change.tempo)
def test_a_tempo_change_in_the_song_is_followed_from_the_next_bar(
    tmp_path: Path, song: ArdourSession, then: Change
) -> None:
    """Until the bar line it goes on as it was, then it is on the new grid, with nothing but a crossfade between.

    Ardour tells LV2 plugins their place in whole ticks, so after a change the grid is off by less than one of them.
    """
    frames = 14 * RATE
    song.make(frames, Change(1, TEMPO), then, wait=True)
    project = make_project(tmp_path / "song.rg")
    with engine_process(project) as engine:
        song.link(engine.addresses["plugin"])
        sound = song.export()
    with Session.open(project, readonly=True) as session:
        before = HostGrid(TEMPO, "4/4", loop_quarters(session))
        after = replace(before, tempo=then.tempo)
        change = before.line(then.bar - 1)
        after = replace(after, origin=change - after.line(then.bar - 1))
        tick = int(after.quarter_frames / TICKS) + 1
        shifts = set()
        for role, take in session.playing.items():
            old = before.lay(stems(session, role, before)[take.id], 0, frames)
            stem = stems(session, role, after)[take.id]
            off = {}
            for shift in range(-tick, tick + 1):
                moved = replace(after, origin=after.origin + shift)
                new = moved.lay(stem, 0, frames)
                off[shift] = float(np.abs(of(role, sound) - changed(old, new, moved.line(then.bar))).max())
            shift = min(off, key=lambda each: off[each])
            assert off[shift] < QUIET, (role, shift, off[shift])
            shifts.add(shift)
        assert len(shifts) == 1, "the tracks do not change together"


def changed(old: Sound, new: Sound, line: int) -> Sound:
    """The one until a line, the other from there on."""
    out = np.concatenate([old[:line], new[line:]])
    out[line - FADE : line] = crossfaded(old[line - FADE : line], new[line - FADE : line])
    return out
