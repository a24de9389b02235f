"""Swaps land on their bar lines, 0 samples off, and leave alone what they do not concern."""

from __future__ import annotations

import numpy as np
import pytest

from playing import FADE, LATENCY, Stepped, around, four, grid, material, noise, part_of, playing, total
from resonantgen.music.notes import Note, Role
from resonantgen.realtime.heard import BarLine, NotesOff, Swapped
from resonantgen.realtime.material import Change, Frames, Grid, Material

LOOPS = [grid("97.3", "7/8", 3), grid("120", "4/4", 2), grid("251.7", "3/8", 4)]
NAMES = ["97.3 in 7/8", "120 in 4/4", "251.7 in 3/8"]


def track(stepped: Stepped, role: Role) -> Frames:
    """A track's own channels of the output with stems, from the loop's first frame on."""
    at = 2 * list(Role).index(role)
    return stepped.sound[FADE:, at : at + 2]


@pytest.mark.parametrize("loop", LOOPS, ids=NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_every_swap_lands_on_its_bar_line(loop: Grid, seed: int) -> None:
    """Many swaps of one track, also where the loop goes round; the others are exact throughout."""
    dice = np.random.default_rng(seed)
    materials = four(loop)
    stepped = playing(loop, materials, stems=True, seed=seed)
    plays = [(0, materials[Role.BASS])]  # from which frame of the output's time
    lines = [lap * loop.frames + loop.tempo.bar_sample(b) for lap in range(40) for b in range(loop.bars)]
    for number in range(8):
        stepped.step(int(dice.integers(1, 2 * loop.frames)))
        now = stepped.frame - FADE
        new = material(loop, 500 + number)
        stepped.player.change(Change(loop, {Role.BASS: new}))
        line = next(line for line in lines if line - FADE >= now)
        if line == plays[-1][0]:  # the one before had not begun yet: this replaces it
            plays.pop()
        plays.append((line, new))
    stepped.step(2 * loop.frames)
    sound = track(stepped, Role.BASS)
    for (start, each), following in zip(plays, [*plays[1:], (len(sound) + FADE, None)], strict=True):
        end = following[0] - FADE
        assert np.array_equal(sound[start:end], around(each.samples, start, end - start)), seed
    swaps = [(event.frame - FADE, event.name) for event in stepped.told(Swapped) if event.role is Role.BASS][1:]
    assert swaps == [(start, each.name) for start, each in plays[1:]], seed
    bars = {event.frame: event.bar for event in stepped.told(BarLine)}
    assert all(bars[event.frame] == event.bar for event in stepped.told(Swapped) if event.frame >= FADE)
    assert {event.role for event in stepped.told(NotesOff)} == {Role.BASS}
    for role in set(Role) - {Role.BASS}:
        assert np.array_equal(track(stepped, role), around(materials[role].samples, 0, len(sound))), seed


def test_within_the_fade_old_gives_way_to_new_smoothly() -> None:
    loop = LOOPS[1]
    ones, twos = (Material(str(level), np.full((loop.frames, 2), level, np.float32)) for level in (0.25, 0.5))
    stepped = playing(loop, {Role.HARMONY: ones})
    stepped.player.change(Change(loop, {Role.HARMONY: twos}))
    stepped.step(100_000)
    line = FADE + 96_000
    fade = stepped.sound[line - FADE - 1 : line + 1, 0]
    assert fade[0] == 0.25 and fade[-1] == 0.5
    assert np.all(np.diff(fade.astype(np.float64)) >= 0) and np.diff(fade).max() < 0.0017


def test_the_same_sound_passes_a_fade_unchanged() -> None:
    """The whole that comes behind its preview is the same sound where the preview was rendered from it."""
    loop = LOOPS[1]
    materials = four(loop)
    stepped = playing(loop, materials)
    copies = {role: Material("copy", each.samples.copy()) for role, each in materials.items()}
    stepped.player.change(Change(loop, copies))
    stepped.step(2 * loop.frames)
    assert len(stepped.told(Swapped)) == 8
    assert np.array_equal(stepped.sound[FADE:], around(total(list(materials.values())), 0, 2 * loop.frames))


def test_what_plays_already_is_not_touched_when_it_is_given_again() -> None:
    """Whoever says what all tracks play, with one that is new, disturbs none of the others."""
    notes = [Note(tick, 40, 2000, 90) for tick in range(0, 3840, 480)]
    loop = LOOPS[1]
    materials = {role: material(loop, i, notes=notes) for i, role in enumerate(Role)}
    stepped = playing(loop, materials)
    new = material(loop, 50, notes=notes)
    for _ in range(2):  # the second time before the first has begun
        stepped.player.change(Change(loop, {**materials, Role.BASS: new}))
        stepped.step(1000)
    stepped.step(96_000)
    stepped.player.change(Change(loop, {**materials, Role.BASS: new}))
    stepped.step(loop.frames)
    swaps = [(event.role, event.frame) for event in stepped.told(Swapped) if event.frame > 0]
    assert swaps == [(Role.BASS, FADE + 96_000)]
    assert stepped.told(NotesOff) == [NotesOff(Role.BASS, 96_000)]


def test_a_track_falls_silent_and_comes_back_on_bar_lines() -> None:
    loop = LOOPS[1]
    materials = four(loop)
    stepped = playing(loop, materials, stems=True)
    stepped.player.change(Change(loop, {Role.MELODY: None}))
    stepped.step(loop.frames)
    stepped.player.change(Change(loop, {Role.MELODY: materials[Role.MELODY]}))
    stepped.step(loop.frames)
    sound, bar = track(stepped, Role.MELODY), 96_000
    assert not sound[bar : 3 * bar - FADE].any()
    assert np.array_equal(sound[3 * bar :], around(materials[Role.MELODY].samples, bar, len(sound) - 3 * bar))
    assert [(e.name, e.frame - FADE) for e in stepped.told(Swapped) if e.role is Role.MELODY][1:] == [
        ("", bar),
        (materials[Role.MELODY].name, 3 * bar),
    ]


@pytest.mark.parametrize("run_up", [0, 1000])
def test_a_part_plays_its_bars_and_then_what_was_before_comes_back(run_up: int) -> None:
    """Until the whole is there: then that."""
    loop = grid("120", "4/4", 4)
    old, new = material(loop, 1), material(loop, 2, "new")
    bar = 96_000
    stepped = playing(loop, {Role.DRUMS: old})
    part = Material("new~", noise(bar + run_up, 3), (), 2 * bar - run_up, partial=True)
    stepped.player.change(Change(loop, {Role.DRUMS: part}))
    stepped.step(2 * loop.frames - bar - stepped.frame)
    stepped.player.change(Change(loop, {Role.DRUMS: new}))
    stepped.step(loop.frames)
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound[: 2 * bar - FADE], old.samples[: 2 * bar - FADE])
    assert np.array_equal(sound[2 * bar : 3 * bar - FADE], part.samples[run_up : run_up + bar - FADE])
    assert np.array_equal(sound[3 * bar : 6 * bar - FADE], around(old.samples, 3 * bar, 3 * bar - FADE))
    assert np.array_equal(sound[6 * bar : 7 * bar - FADE], part.samples[run_up : run_up + bar - FADE])
    assert np.array_equal(sound[7 * bar :], around(new.samples, 3 * bar, len(sound) - 7 * bar))
    assert [(e.name, e.bar, (e.frame - FADE) // bar) for e in stepped.told(Swapped)[1:]] == [
        ("new~", 2, 2),
        ("take-1", 3, 3),
        ("new~", 2, 6),
        ("new", 3, 7),
    ]


def test_a_part_over_the_loops_end_goes_round() -> None:
    loop = grid("120", "4/4", 4)
    old, bar = material(loop, 1), 96_000
    part = Material("new~", noise(2 * bar, 3), (), 3 * bar, partial=True)
    stepped = playing(loop, {Role.DRUMS: old})
    stepped.player.change(Change(loop, {Role.DRUMS: part}))
    stepped.step(6 * bar)
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound[3 * bar : 5 * bar - FADE], part.samples[:-FADE])
    assert np.array_equal(sound[5 * bar :], old.samples[bar : len(sound) - 4 * bar])


def test_a_part_that_comes_too_late_waits_for_its_bar_unless_the_whole_comes_first() -> None:
    loop = grid("120", "4/4", 4)
    old, new, bar = material(loop, 1), material(loop, 2), 96_000
    stepped = playing(loop, {Role.DRUMS: old, Role.BASS: old})
    stepped.step(bar + 1000)
    parts = part_of(new, loop, 1, 2)
    stepped.player.change(Change(loop, {Role.DRUMS: parts, Role.BASS: parts}))
    stepped.step(1000)
    stepped.player.change(Change(loop, {Role.DRUMS: new}))
    stepped.step(6 * bar)
    assert [(e.role, e.name, (e.frame - FADE) / bar) for e in stepped.told(Swapped)[2:]] == [
        (Role.DRUMS, "take-2", 2),
        (Role.BASS, "take-2~", 5),
        (Role.BASS, "take-1", 6),
    ]


def test_tracks_of_one_change_begin_together() -> None:
    loop = grid("120", "4/4", 4)
    old, new, bar = four(loop, 1), four(loop, 2), 96_000
    stepped = playing(loop, old)
    parts = {role: part_of(each, loop, 2 if role is Role.BASS else 1, 4) for role, each in new.items()}
    stepped.player.change(Change(loop, parts))
    stepped.step(3 * bar)
    assert {(e.frame - FADE) // bar for e in stepped.told(Swapped)[4:]} == {2}
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound[: 2 * bar - FADE], total(list(old.values()))[: 2 * bar - FADE])
    assert np.array_equal(sound[2 * bar :], total(list(new.values()))[2 * bar : len(sound)])


@pytest.mark.parametrize(("bars", "bar_after"), [(4, 3), (2, 1), (8, 3)])
def test_another_tempo_begins_for_all_tracks_at_one_bar_line(bars: int, bar_after: int) -> None:
    loop, faster = grid("120", "4/4", 4), grid("133.7", "4/4", bars)
    old, new, bar = four(loop, 1), four(faster, 2), 96_000
    stepped = playing(loop, old)
    stepped.step(bar)
    parts = {role: part_of(each, faster, bar_after, bar_after + 1) for role, each in new.items()}
    stepped.player.change(Change(faster, {Role.DRUMS: parts[Role.DRUMS], Role.BASS: parts[Role.BASS]}))
    stepped.step(100)
    stepped.player.change(Change(faster, {Role.HARMONY: parts[Role.HARMONY]}))
    stepped.step(100)
    stepped.player.change(Change(faster, {Role.MELODY: parts[Role.MELODY]}))
    stepped.step(2 * bar)
    stepped.player.change(Change(faster, new))
    stepped.step(2 * faster.frames)
    sound, line = stepped.sound[FADE:], 3 * bar
    start = faster.tempo.bar_sample(bar_after)
    assert np.array_equal(sound[: line - FADE], total(list(old.values()))[: line - FADE])
    mix = total(list(new.values()))
    assert np.array_equal(sound[line:], around(mix, start, len(sound) - line))
    lines = [event for event in stepped.told(BarLine) if event.frame >= FADE + line]
    assert [event.bar for event in lines[:3]] == [(bar_after + i) % bars for i in range(3)]
    assert lines[1].frame - lines[0].frame == faster.tempo.bar_sample(bar_after + 1) - start
    assert stepped.player.position().grid == faster


def test_another_tempo_silences_what_it_does_not_name() -> None:
    loop, faster = grid("120", "4/4", 2), grid("133.7", "4/4", 2)
    new = material(faster, 9)
    stepped = playing(loop, four(loop))
    stepped.player.change(Change(faster, {Role.BASS: new}))
    stepped.step(2 * loop.frames)
    sound = stepped.sound[FADE + 96_000 :]
    assert np.array_equal(sound, around(new.samples, faster.tempo.bar_sample(1), len(sound)))


def test_a_tempo_that_is_taken_back_in_time_never_plays() -> None:
    loop, faster = grid("120", "4/4", 2), grid("133.7", "4/4", 2)
    materials = four(loop)
    stepped = playing(loop, materials)
    stepped.player.change(Change(faster, four(faster, 2)))
    stepped.step(100)
    stepped.player.change(Change(loop, materials))
    stepped.step(2 * loop.frames)
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound, around(total(list(materials.values())), 0, len(sound)))


def test_while_stopped_changes_take_effect_at_once() -> None:
    loop, faster = grid("120", "4/4", 4), grid("133.7", "4/4", 4)
    stepped = Stepped(seed=1)
    stepped.player.change(Change(loop, four(loop)))
    stepped.player.seek(2, 700)
    stepped.step(50)
    new = four(loop, 2)
    stepped.player.change(Change(loop, new))
    stepped.step(50)
    assert [e.name for e in stepped.told(Swapped)][-4:] == [each.name for each in new.values()]
    assert (stepped.player.position().bar0, stepped.player.position().tick) == (2, 700)
    newest = four(faster, 3)
    stepped.player.change(Change(faster, newest))
    stepped.step(50)
    assert (stepped.player.position().bar0, stepped.player.position().grid) == (2, faster)
    start = stepped.frame
    stepped.player.play(True)
    stepped.step(20_000)
    sound, place = stepped.sound[start + FADE :], faster.tempo.bar_sample(2)
    assert np.array_equal(sound, total(list(newest.values()))[place : place + len(sound)])


def test_a_swap_meets_the_jump_of_a_region() -> None:
    loop = grid("120", "4/4", 4)
    old, new, bar = four(loop, 1), four(loop, 2), 96_000
    stepped = playing(loop, old)
    stepped.player.set_loop(True, 0, 2)
    stepped.step(bar + 5000)
    stepped.player.change(Change(loop, {Role.DRUMS: new[Role.DRUMS]}))
    stepped.step(2 * bar)
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound[: 2 * bar - FADE], total(list(old.values()))[: 2 * bar - FADE])
    both = total(list({**old, Role.DRUMS: new[Role.DRUMS]}.values()))
    assert np.array_equal(sound[2 * bar :], both[: len(sound) - 2 * bar])


def test_the_latency_of_the_limiter_is_as_the_tests_take_it() -> None:
    stepped = Stepped()
    stepped.step(1)
    assert stepped.frame == 1 + LATENCY and len(stepped.sound) == 1
