"""The player, stepped: what plays is exactly what it was given, and places in the loop are reached exactly."""

from __future__ import annotations

import numpy as np
import pytest

from playing import FADE, LATENCY, RATE, Stepped, around, four, grid, material, part_of, playing, total
from resonantgen.instruments.mix import MixStream
from resonantgen.music.notes import Note, Role
from resonantgen.realtime.heard import BarLine, Levels, NotePlayed, NotesOff, Stopped
from resonantgen.realtime.material import Change, Grid, Material
from resonantgen.session.setup import Strip

LOOPS = [grid("97.3", "7/8", 3), grid("120", "4/4", 2), grid("399.7", "3/4", 5)]


@pytest.mark.parametrize("loop", LOOPS, ids=["97.3 in 7/8", "120 in 4/4", "399.7 in 3/4"])
def test_the_mix_is_the_sum_of_the_stems_round_after_round(loop: Grid) -> None:
    materials = four(loop)
    stepped = playing(loop, materials)
    stepped.step(3 * loop.frames + 1000)
    expected = around(total(list(materials.values())), 0, 3 * loop.frames + 1000)
    assert np.array_equal(stepped.sound[FADE:], expected)


def test_stems_lie_beside_each_other_in_the_order_of_roles() -> None:
    loop = LOOPS[0]
    materials = four(loop, level=0.9)  # the sum would be limited
    del materials[Role.HARMONY]
    stepped = playing(loop, materials, stems=True)
    stepped.step(2 * loop.frames)
    assert stepped.player.channels == 8
    for i, role in enumerate(Role):
        track = stepped.sound[FADE:, 2 * i : 2 * i + 2]
        if role is Role.HARMONY:
            assert not track.any()
        else:
            assert np.array_equal(track, around(materials[role].samples, 0, 2 * loop.frames))


def test_what_is_too_loud_is_limited_and_stays_on_time() -> None:
    loop = LOOPS[1]
    materials = four(loop, level=0.6)
    stepped = playing(loop, materials)
    stepped.step(loop.frames)
    plain = np.sum([each.samples.astype(np.float64) for each in materials.values()], axis=0)
    mixed = np.concatenate([np.zeros((FADE, 2)), plain, plain])
    reference = MixStream(RATE).render([mixed])[LATENCY:].astype(np.float32)
    sound = stepped.sound
    assert np.abs(sound).max() < 0.9 < np.abs(plain).max()
    settled = slice(RATE, FADE + loop.frames)  # the fade at the start is other sound, which the limiter forgets
    assert np.array_equal(sound[settled], reference[settled])


def script(stepped: Stepped, loop: Grid, other: Grid, seed: int) -> None:
    """Commands of every kind at the same frames, whatever the blocks are between."""
    player, dice = stepped.player, np.random.default_rng(seed)
    ahead, elsewhere = four(loop, 3), four(other, 4)
    player.change(Change(loop, four(loop, 2)))
    player.play(True)
    stepped.step(10_000)
    for turn in range(30):
        role, at = list(Role)[int(dice.integers(4))], int(dice.integers(loop.bars))
        match int(dice.integers(9)):
            case 0:
                player.play(bool(dice.random() < 0.7))
            case 1:
                player.seek(at, int(dice.integers(1000)))
            case 2:
                player.set_loop(bool(dice.random() < 0.7), at, int(dice.integers(3)))
            case 3:
                player.set_strip(role, Strip(float(dice.uniform(-60, 6)), float(dice.uniform(-1, 1))))
            case 4:
                player.set_strip(role, Strip(muted=bool(dice.random() < 0.5), soloed=bool(dice.random() < 0.3)))
            case 5:
                player.align(float(dice.random() * 20), stepped.ring.written_frames / RATE)
            case 6:
                player.change(Change(loop, {role: ahead[role]}))
            case 7:
                player.change(Change(loop, {role: part_of(ahead[role], loop, at, at + 1, seed=9)}))
            case _:
                player.change(Change(other, elsewhere) if turn % 2 else Change(loop, {role: None}))
        stepped.step(int(dice.integers(1, 40_000)))


@pytest.mark.parametrize("seed", range(8))
def test_blocks_of_any_size_give_the_same_sound(seed: int) -> None:
    loop, other = grid("180.5", "7/8", 3), grid("150", "2/4", 2)
    stepped = [Stepped(), Stepped(seed=seed)]
    for each in stepped:
        script(each, loop, other, seed)
    whole, parts = stepped
    assert np.array_equal(whole.sound, parts.sound), seed
    assert np.abs(whole.sound).max() > 0.01
    exact = [[e for e in each.heard if not isinstance(e, Levels)] for each in stepped]
    assert exact[0] == exact[1] and len(exact[0]) > 20, seed
    assert [e.frame for e in whole.heard] == sorted(e.frame for e in whole.heard), seed


def test_play_begins_where_it_is_after_a_fade_and_stop_ends_in_silence() -> None:
    loop = LOOPS[1]
    materials = four(loop)
    mix = total(list(materials.values()))
    stepped = playing(loop, materials)
    stepped.step(10_000)
    stop = stepped.frame
    stepped.player.play(False)
    stepped.step(5_000)
    assert not stepped.player.position().playing
    assert stepped.told(Stopped) == [Stopped(stop + FADE)]
    assert np.array_equal(stepped.sound[FADE:stop], mix[: stop - FADE])
    assert not stepped.sound[stop + FADE :].any()
    start = stepped.frame
    stepped.player.play(True)
    stepped.step(5_000)
    place = stop - FADE + FADE  # where the fade ended
    assert np.array_equal(stepped.sound[start + FADE :], mix[place : place + len(stepped.sound) - start - FADE])


@pytest.mark.parametrize(("bar", "ticks"), [(0, 0), (1, 0), (1, 333), (0, 5), (3, 0), (1, 1919)])
def test_seek_reaches_its_place_after_a_fade(bar: int, ticks: int) -> None:
    loop = LOOPS[1]
    materials = four(loop)
    mix = total(list(materials.values()))
    stepped = playing(loop, materials)
    stepped.step(30_000)
    asked = stepped.frame
    stepped.player.seek(bar, ticks)
    stepped.step(20_000)
    place = loop.tempo.sample_at(bar % 2 * 1920 + ticks) if ticks < 1919 else 0  # too close before a bar line: the line
    assert np.array_equal(stepped.sound[FADE:asked], mix[: asked - FADE])
    assert np.array_equal(stepped.sound[asked + FADE :], around(mix, place, len(stepped.sound) - asked - FADE))


def test_seek_right_before_a_bar_line_waits_for_it() -> None:
    loop = LOOPS[1]
    materials = four(loop)
    mix = total(list(materials.values()))
    stepped = playing(loop, materials)
    stepped.step(96_000 + FADE - stepped.frame - 100)
    assert stepped.frame == 96_000 + FADE - 100
    stepped.player.seek(0, 0)
    stepped.step(5_000)
    line = 96_000 + FADE
    assert np.array_equal(stepped.sound[FADE:line], mix[:96_000])
    assert np.array_equal(stepped.sound[line + FADE :], mix[: len(stepped.sound) - line - FADE])
    assert [bar.frame for bar in stepped.told(BarLine)] == [FADE, line, line + FADE]


def test_seek_while_stopped_moves_at_once() -> None:
    loop = LOOPS[1]
    stepped = Stepped()
    stepped.player.change(Change(loop, four(loop)))
    stepped.player.seek(1, 480)
    stepped.step(1)
    position = stepped.player.position()
    assert (position.bar0, position.tick, position.playing, position.grid) == (1, 480, False, loop)
    assert not stepped.sound.any()


def test_some_bars_are_played_around() -> None:
    loop = grid("120", "4/4", 4)
    materials = four(loop)
    mix = total(list(materials.values()))
    stepped = playing(loop, materials)
    stepped.player.set_loop(True, 1, 2)
    stepped.step(7 * 96_000)
    sound = stepped.sound[FADE:]
    first, again = mix[: 3 * 96_000], mix[96_000 : 3 * 96_000]
    assert np.array_equal(sound[: 3 * 96_000 - FADE], first[:-FADE])
    for lap in (3, 5):
        start, end = lap * 96_000, min((lap + 2) * 96_000, len(sound)) - FADE
        assert np.array_equal(sound[start:end], again[: end - start])
    assert [bar.bar for bar in stepped.told(BarLine)] == [0, 1, 2, 1, 2, 1, 2, 1][: len(stepped.told(BarLine))]


def test_played_once_it_stops_silent_at_the_end() -> None:
    loop = LOOPS[1]
    materials = four(loop)
    stepped = playing(loop, materials)
    stepped.player.set_loop(False)
    stepped.step(2 * loop.frames)
    end = FADE + loop.frames
    assert stepped.told(Stopped) == [Stopped(end)]
    mix = total(list(materials.values()))
    assert np.array_equal(stepped.sound[FADE : end - FADE], mix[:-FADE])
    assert not stepped.sound[end:].any()
    assert stepped.player.position().bar0 == 0 and not stepped.player.position().playing


@pytest.mark.parametrize("quarters", [0.0, 1.5, 7.99, 8.0, 800.25, -0.5])
def test_align_jumps_to_where_the_clock_is(quarters: float) -> None:
    loop = LOOPS[1]  # 8 quarters of 24,000 frames
    materials = four(loop)
    mix = total(list(materials.values()))
    stepped = playing(loop, materials)
    stepped.step(40_000)
    at = 50_000 / RATE  # when frame 50,000 is heard: the ring's clock starts with its first frame
    stepped.player.align(quarters, at)
    stepped.step(96_000)
    place = round(quarters % 8 * 24_000)
    length = min(20_000, loop.frames - place)
    assert np.array_equal(stepped.sound[50_000 : 50_000 + length], mix[place : place + length])


def test_align_leaves_small_differences_alone() -> None:
    loop = LOOPS[1]
    materials = four(loop)
    stepped = playing(loop, materials)
    stepped.step(40_000)
    for error in (-0.007, 0.0, 0.007):
        quarters = (50_000 - FADE) / 24_000
        stepped.player.align(quarters, 50_000 / RATE + error)
        stepped.step(3_000)
    stepped.ring.clock = False
    stepped.player.align(3.0, 0.0)  # the ring does not know its times: nothing
    stepped.step(10_000)
    mix = total(list(materials.values()))
    assert np.array_equal(stepped.sound[FADE:], mix[: len(stepped.sound) - FADE])


def test_align_goes_round_the_region() -> None:
    loop = grid("120", "4/4", 4)
    stepped = playing(loop, four(loop))
    stepped.player.set_loop(True, 2, 1)
    stepped.step(5_000)
    stepped.player.align(9.0, stepped.ring.written_frames / RATE)  # a quarter into the region's bar
    written = stepped.ring.written_frames
    stepped.step(5_000)
    position = stepped.player.position()
    behind = position.frame - written
    assert position.bar0 == 2 and abs(position.tick - 480 - behind / 50) < 2


def notes_of(loop: Grid, seed: int) -> list[Note]:
    dice = np.random.default_rng(seed)
    ticks = loop.bars * loop.tempo.meter.bar_ticks
    starts = sorted({0, ticks - 100, *(int(tick) for tick in dice.integers(0, ticks - 60, 40))})
    return [Note(start, 36 + i % 20, 50, 1 + i % 127) for i, start in enumerate(starts)]


def test_notes_are_told_on_their_frames() -> None:
    loop = LOOPS[0]
    materials = {role: material(loop, i, notes=notes_of(loop, i)) for i, role in enumerate(Role)}
    stepped = playing(loop, materials)
    stepped.step(2 * loop.frames - LATENCY)
    sample_at = loop.tempo.sample_at
    expected = [
        NotePlayed(
            role,
            note,
            FADE + lap * loop.frames + sample_at(note.start_ticks),
            sample_at(note.end_ticks) - sample_at(note.start_ticks),
        )
        for lap in range(2)
        for role, each in materials.items()
        for note in each.notes
    ]
    told = stepped.told(NotePlayed)
    before = [event for event in told if event.frame < FADE]  # none starts in the run-up
    assert not before and [e.frame for e in told] == sorted(e.frame for e in told)
    key = lambda e: (e.frame, e.role, e.note)  # noqa: E731
    assert sorted(told, key=key) == sorted(expected, key=key)
    assert not stepped.told(NotesOff)


def test_notes_of_a_run_up_over_the_loops_end_are_told() -> None:
    loop = grid("120", "4/4", 2)
    notes = [Note(0, 40, 50, 90), Note(3838, 41, 2, 90)]
    stepped = playing(loop, {Role.BASS: material(loop, 1, notes=notes)})
    stepped.step(10_000)
    asked = stepped.frame
    stepped.player.seek(0, 3)  # 150 frames into the loop: the fade begins 90 before its end
    stepped.step(5_000)
    told = [(event.note.pitch, event.frame) for event in stepped.told(NotePlayed) if event.frame >= asked]
    assert told == [(40, asked + 90)]
    stepped.player.seek(0, 1)  # 190 before
    asked = stepped.frame
    stepped.step(5_000)
    told = [(event.note.pitch, event.frame) for event in stepped.told(NotePlayed) if event.frame >= asked]
    assert told == [(41, asked + 90), (40, asked + 190)]


def test_notes_end_where_a_track_breaks() -> None:
    loop = grid("120", "4/4", 2)
    materials = {role: material(loop, i, notes=notes_of(loop, i)) for i, role in enumerate(Role)}
    stepped = playing(loop, materials)
    stepped.step(20_000)
    muted = stepped.frame
    for pan in (0.0, 0.5):  # muted once, then panned while it is
        stepped.player.set_strip(Role.HARMONY, Strip(pan=pan, muted=True))
        stepped.step(5_000)
    sought = stepped.frame
    stepped.player.seek(0, 960)
    stepped.step(10_000)
    stopped = stepped.frame
    stepped.player.play(False)
    stepped.step(10_000)
    assert stepped.told(NotesOff) == [
        NotesOff(Role.HARMONY, muted),
        *(NotesOff(role, sought) for role in Role),
        *(NotesOff(role, stopped) for role in Role),
    ]
    told = stepped.told(NotePlayed)
    assert not [e for e in told if e.role is Role.HARMONY and e.frame >= muted]
    assert not [e for e in told if e.frame >= stopped]
    after = [e for e in told if e.role is Role.BASS and sought <= e.frame]
    place = loop.tempo.sample_at(960) - FADE
    expected = [n for n in materials[Role.BASS].notes if 0 <= loop.tempo.sample_at(n.start_ticks) - place < 10_000]
    assert [e.note for e in after] == expected
    assert [e.frame - sought for e in after] == [loop.tempo.sample_at(n.start_ticks) - place for n in expected]


def test_without_music_there_is_silence_and_play_waits_for_it() -> None:
    loop = LOOPS[1]
    stepped = Stepped(seed=3)
    stepped.player.play(True)
    stepped.player.seek(1)
    stepped.player.align(1.0, 0.0)
    stepped.step(9_000)
    assert not stepped.sound.any()
    position = stepped.player.position()
    assert position.grid is None and position.playing
    materials = four(loop)
    start = stepped.frame
    stepped.player.change(Change(loop, materials))
    stepped.step(9_000)
    mix = total(list(materials.values()))
    sound = stepped.sound[start + FADE :]
    assert np.array_equal(sound, mix[96_000 : 96_000 + len(sound)])


def test_the_next_line_is_one_that_a_change_can_make() -> None:
    loop = grid("120", "4/4", 3)
    materials = four(loop)
    stepped = playing(loop, materials)
    stepped.step(50_000)
    bar, seconds = stepped.player.next_line()
    assert bar == 1 and seconds * RATE == pytest.approx(96_000 + FADE - stepped.frame - FADE)
    bar, seconds = stepped.player.next_line(1.5)
    assert bar == 2 and seconds * RATE == pytest.approx(2 * 96_000 + FADE - stepped.frame - FADE)
    assert stepped.player.next_line(5)[0] == 1  # round the loop
    stepped.step(96_000 - stepped.frame - 1)
    assert stepped.player.next_line() == (1, 1 / RATE)
    new = material(loop, 77)
    stepped.player.change(Change(loop, {Role.DRUMS: new}))  # in time by one frame
    stepped.step(1)
    assert stepped.player.next_line()[0] == 2  # it is decided
    stepped.step(FADE + LATENCY + 1000)
    rest = [each for role, each in materials.items() if role is not Role.DRUMS]
    line = FADE + 96_000
    assert np.array_equal(stepped.sound[line:], total([new, *rest])[96_000 : 96_000 + len(stepped.sound) - line])


def test_a_change_one_frame_too_late_makes_the_line_after() -> None:
    loop = grid("120", "4/4", 3)
    materials = four(loop)
    stepped = playing(loop, materials)
    stepped.step(96_000 - stepped.frame + 1)
    stepped.player.change(Change(loop, dict.fromkeys(Role)))
    stepped.step(96_000 + FADE + 1000)
    line = FADE + 2 * 96_000
    mix = total(list(materials.values()))
    assert np.array_equal(stepped.sound[FADE : line - FADE], mix[: line - 2 * FADE])
    assert len(stepped.sound) > line and not stepped.sound[line:].any()


def test_while_stopped_the_next_line_is_where_it_would_begin() -> None:
    loop = grid("120", "4/4", 3)
    stepped = Stepped()
    assert stepped.player.next_line() == (0, 0.0)
    stepped.player.change(Change(loop, four(loop)))
    stepped.player.seek(2)
    stepped.step(10)
    assert stepped.player.next_line(9.0) == (2, 0.0)
    stepped.player.set_loop(False, 2, 1)
    stepped.player.play(True)
    stepped.step(FADE + 10)
    bar, seconds = stepped.player.next_line()
    assert bar == 2 and 1.9 < seconds < 2  # it stops there


def test_material_must_fit_its_loop() -> None:
    loop = grid("120", "4/4", 2)
    stepped = Stepped()
    wrong = Material("x", np.zeros((loop.frames - 1, 2), np.float32))
    with pytest.raises(AssertionError):
        stepped.player.change(Change(loop, {Role.BASS: wrong}))
