"""Previews that run on until the wholes are there: how far, when, and what is heard, by a scripted clock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from playing import FADE, RATE, around, four, grid, playing
from previewing import Clock, Scripted, Work
from resonantgen.music.notes import Role
from resonantgen.realtime.heard import NotesOff, Swapped
from resonantgen.realtime.material import Change, Grid, Material
from resonantgen.realtime.pace import FINISHING_SECONDS, SAFETY, USUAL_PACE, Pace, Runway
from resonantgen.realtime.previews import Previews

LOOPS = [
    pytest.param(grid("170", "4/4", 64), id="64 bars"),
    pytest.param(grid("400", "2/4", 64), id="64 short bars"),
    pytest.param(grid("400", "2/4", 8), id="8 short bars"),
    pytest.param(grid("120", "4/4", 1), id="1 bar"),
]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0  # only to catch what hangs
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


# Arithmetic


def test_a_pace_is_the_usual_one_until_it_is_measured_and_then_careful() -> None:
    pace = Pace()
    assert pace.seconds_for({Role.BASS: 10.0}, 1) == FINISHING_SECONDS + 10 * USUAL_PACE
    pace.note(Role.BASS, FINISHING_SECONDS + 1.0, 10.0)
    assert pace.seconds_for({Role.BASS: 20.0}, 1) == pytest.approx(FINISHING_SECONDS + 2.0)
    pace.note(Role.BASS, FINISHING_SECONDS + 4.0, 10.0)
    assert pace.seconds_for({Role.BASS: 10.0}, 1) == pytest.approx(FINISHING_SECONDS + 4.0), "slower: at once"
    pace.note(Role.BASS, FINISHING_SECONDS + 1.0, 10.0)
    slowly = pace.seconds_for({Role.BASS: 10.0}, 1)
    assert FINISHING_SECONDS + 1.0 < slowly < FINISHING_SECONDS + 4.0, "quicker: by and by"
    for _ in range(100):
        pace.note(Role.BASS, 0.0, 10.0)
    assert pace.seconds_for({Role.BASS: 10.0}, 1) == pytest.approx(FINISHING_SECONDS)


def test_tracks_share_the_threads_but_none_is_split() -> None:
    pace = Pace()
    for role in Role:
        pace.note(role, FINISHING_SECONDS + 1.0, 1.0)
    each = FINISHING_SECONDS + 1.0
    assert pace.seconds_for(dict.fromkeys(Role, 1.0), 2) == pytest.approx(2 * each)
    assert pace.seconds_for({Role.BASS: 1.0}, 4) == pytest.approx(each)
    assert pace.seconds_for({}, 2) == 0.0


def test_a_runway_lasts_as_long_as_the_wholes_may_take() -> None:
    runway = Runway(bars=64, bar_seconds=1.0)
    runway.begin(100.0, 0.4)
    assert runway.next_reach(100.0) == 1, "they come within the first bar"
    runway.begin(100.0, 3.0)
    steps = []
    while runway.next_reach(100.0) > runway.reach:
        runway.reach = runway.next_reach(100.0)
        steps.append(runway.reach)
    assert steps == [2, 3, 4, 6, 7]
    assert runway.due_at == 103.5
    assert runway.next_reach(103.4) == 7 < runway.next_reach(103.5)


def test_a_runway_around_the_loop_is_long_enough_for_ever() -> None:
    runway = Runway(bars=2, bar_seconds=1.0)
    runway.begin(0.0, 100.0)
    assert runway.next_reach(0.0) == 2
    runway.reach = 2
    assert runway.due_at == math.inf and runway.next_reach(1000.0) == 2


# What is sent


def test_nothing_is_sent_of_a_track_that_has_ended_or_after_it_was_given_up() -> None:
    loop = grid("120", "4/4", 4)
    wholes = four(loop)
    clock, given_up = Clock(), False
    sent: list[Role] = []
    previews = Previews(Runway(4, 2.0), lambda role, samples: sent.append(role), lambda: given_up, clock)
    for role in Role:
        previews.begin(role, Scripted(wholes[role], loop, 0))
    assert sent == list(Role)
    previews.await_wholes(0.1)
    assert sent == list(Role) and previews.due_in_seconds == 1.0
    clock.now = 1.0
    previews.end(Role.BASS)
    previews.extend()
    assert sent[4:] == [role for role in Role if role is not Role.BASS]
    given_up = True
    clock.now = 100.0
    previews.extend()
    assert len(sent) == 7, sent
    previews.close()


def test_the_thread_extends_until_every_track_has_ended() -> None:
    loop = grid("400", "2/4", 64)
    wholes = four(loop)
    sent: list[tuple[Role, int]] = []
    previews = Previews(Runway(64, 0.002), lambda role, samples: sent.append((role, len(samples))), lambda: False)
    for role in Role:
        previews.begin(role, Scripted(wholes[role], loop, 0))
    previews.await_wholes(0.0)
    previews.watch()
    wait_until(lambda: len(sent) >= 12)
    for role in Role:
        previews.end(role)
    wait_until(lambda: all(thread.name != "previews" for thread in threading.enumerate()))
    lengths = {role: [frames for each, frames in sent if each is role] for role in Role}
    assert all(each == sorted(set(each)) and len(each) > 2 for each in lengths.values())
    previews.close()


# What is heard


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("slowness", [0.1, SAFETY])
@pytest.mark.parametrize("roles", [[Role.HARMONY], list(Role)], ids=["one track", "four tracks"])
def test_a_new_take_goes_on_once_it_has_begun(loop: Grid, slowness: float, roles: list[Role]) -> None:
    old, new = four(loop, 1), four(loop, 2)
    new = {role: new[role] for role in roles}
    stepped = playing(loop, old, stems=True, seed=None)
    ready: dict[Role, Material] = {}
    for at, role, material in Work(loop, new, slowness).run(1 % loop.bars):
        stepped.step(max(FADE + round(at * RATE) - stepped.frame, 0))
        ready[role] = material
        if ready.keys() == new.keys():
            stepped.player.change(Change(loop, ready))
    stepped.step(2 * loop.tempo.bar_sample(1))
    sound = stepped.sound[FADE:]
    swaps = [event for event in stepped.told(Swapped) if event.frame > 0]
    for i, role in enumerate(Role):
        mine = [(event.name, event.frame - FADE) for event in swaps if event.role is role]
        track = sound[:, 2 * i : 2 * i + 2]
        if role not in new:
            assert mine == [] and np.array_equal(track, around(old[role].samples, 0, len(sound)))
            continue
        begun = mine[0][1]
        names = [name for name, _ in mine]
        assert names in ([new[role].name], [f"{new[role].name}~", new[role].name]), "old, new, and never old again"
        assert np.array_equal(track[: begun - FADE], around(old[role].samples, 0, begun - FADE))
        assert np.array_equal(track[begun:], around(new[role].samples, begun, len(sound) - begun))
        assert len([event for event in stepped.told(NotesOff) if event.role is role]) == len(mine)
    assert len({event.frame for event in swaps if event.name.endswith("~")}) <= 1, "all tracks began together"


@pytest.mark.parametrize("slowness", [0.5, SAFETY])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(grid("150", "4/4", 64), grid("170", "4/4", 64), id="64 bars"),
        pytest.param(grid("390", "2/4", 64), grid("400", "2/4", 64), id="64 short bars"),
    ],
)
def test_a_change_of_tempo_is_never_followed_by_silence(before: Grid, after: Grid, slowness: float) -> None:
    old, new = four(before, 1), four(after, 2)
    stepped = playing(before, old, stems=True, seed=None)
    ready: dict[Role, Material] = {}
    for at, role, material in Work(after, new, slowness).run(1):
        stepped.step(max(FADE + round(at * RATE) - stepped.frame, 0))
        ready[role] = material
        if ready.keys() == new.keys():
            stepped.player.change(Change(after, ready))
    stepped.step(2 * after.tempo.bar_sample(1))
    swaps = [event for event in stepped.told(Swapped) if event.frame > 0]
    line = swaps[0].frame - FADE
    start = after.tempo.bar_sample(swaps[0].bar)
    sound = stepped.sound[FADE:]
    for i, role in enumerate(Role):
        track = sound[:, 2 * i : 2 * i + 2]
        assert np.array_equal(track[: line - FADE], around(old[role].samples, 0, line - FADE))
        assert np.array_equal(track[line:], around(new[role].samples, start, len(sound) - line))
        assert [e.name for e in swaps if e.role is role] == [f"{new[role].name}~", new[role].name]
