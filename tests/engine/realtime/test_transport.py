"""The transport's arithmetic: lines, regions, changes that wait, and passages that leave no gap."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from playing import FADE, RATE, grid, material, part_of
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.realtime.deck import NO_TRACKS, ROLES, Deck, Track, Voice
from resonantgen.realtime.heard import BarLine, Beat, Heard, Moved, Stopped, Swapped
from resonantgen.realtime.lines import Region, lines_of
from resonantgen.realtime.material import Change, Grid
from resonantgen.realtime.transport import Transport, fade_frames
from resonantgen.realtime.waiting import Arrangement, Waiting

METERS = st.sampled_from([Meter(n, d) for n in range(2, 13) for d in (4, 8)])
GRIDS = st.builds(
    Grid,
    st.builds(TempoMap, st.fractions(20, 400, max_denominator=100), METERS, st.sampled_from([44_100, 48_000, 96_000])),
    st.integers(1, 64),
)


@given(GRIDS, st.data())
def test_lines_agree_with_the_tempo_map(loop: Grid, data: st.DataObject) -> None:
    lines, tempo, bar_ticks = lines_of(loop), loop.tempo, loop.tempo.meter.bar_ticks
    frame = data.draw(st.integers(0, loop.frames - 1))
    bar = lines.bar_at(frame)
    assert lines.frames == loop.frames and lines.bar_count == loop.bars
    assert bar == loop.bar_at(frame)
    assert frame + lines.until_bar(frame) == tempo.bar_sample(bar + 1)
    beats = [tempo.sample_at(b * bar_ticks + tick) for b in range(loop.bars) for tick in tempo.meter.beats_ticks]
    assert frame + lines.until_beat(frame) == min(beat for beat in [*beats, loop.frames] if beat > frame)
    assert (lines.beat_at(frame) is not None) == (frame in beats)
    for index, beat in enumerate(beats[:50]):
        assert lines.beat_at(beat) == divmod(index, len(tempo.meter.beats_ticks))
    assert lines.place(bar, 0) == tempo.bar_sample(bar)
    assert lines.place(loop.bars + bar, 0) in (tempo.bar_sample(bar) + d for d in (-1, 0, 1))  # rounded once


@given(GRIDS)
def test_a_fade_fits_between_any_two_beats(loop: Grid) -> None:
    beats = lines_of(loop).beats
    assert min(np.diff(beats)) > 2 * fade_frames(loop.tempo.sample_rate)


@given(st.integers(1, 64), st.integers(-1, 70), st.integers(0, 70), st.integers(0, 63))
def test_a_region_is_gone_round_bar_by_bar(bar_count: int, first: int, bars: int, start: int) -> None:
    region = Region(True, first, bars)
    low, high = region.span(bar_count)
    assert 0 <= low < high <= bar_count
    bar, seen = start % bar_count, []
    for _ in range(high - low + 1):
        following = region.after(bar, bar_count)
        assert following is not None
        seen.append(following)
        bar = following
    assert set(seen) == set(range(low, high))
    inside = seen[1:]
    assert all(b == a + 1 or (a == high - 1 and b == low) for a, b in pairwise(inside))


@given(st.integers(1, 64), st.integers(0, 63), st.integers(0, 64))
def test_a_region_that_is_played_once_has_an_end(bar_count: int, first: int, bars: int) -> None:
    region = Region(False, first, bars)
    low, high = region.span(bar_count)
    bar: int | None = low
    for _ in range(high - low):
        assert bar is not None
        bar = region.after(bar, bar_count)
    assert bar is None
    for outside in {*range(bar_count)} - {*range(low, high)}:
        assert region.after(outside, bar_count) == low  # before it is over, it is entered


@given(st.integers(0, 4), st.integers(1, 4), st.integers(-2000, 2000))
def test_a_voice_covers_the_bars_that_it_has_wholly(first: int, bars: int, moved: int) -> None:
    loop = grid("300", "2/4", 5)
    whole = material(loop, 1)
    lines = lines_of(loop)
    start = lines.bars[first] + moved
    frames = lines.bars[bars]
    samples = np.take(whole.samples, np.arange(start, start + frames), axis=0, mode="wrap")
    voice = Voice.of(type(whole)("x~", samples, (), start, partial=True), lines)
    has = set(np.arange(start, start + frames) % loop.frames)
    for bar in range(5):
        assert voice.covers(bar) == has.issuperset(range(lines.bars[bar], lines.bars[bar + 1]))
    sound = voice.read(0, loop.frames)
    there = np.isin(np.arange(loop.frames), list(has))
    assert np.array_equal(sound[there], whole.samples[there]) and not sound[~there].any()


def deck_of(loop: Grid) -> Deck:
    return Deck.at(lines_of(loop), NO_TRACKS, 0, True)


def test_a_newer_change_to_a_track_replaces_the_one_that_waits() -> None:
    loop, waiting = grid(), Waiting()
    waiting.add(Arrangement.of(Change(loop, {Role.DRUMS: material(loop, 1), Role.BASS: material(loop, 2)})))
    waiting.add(Arrangement.of(Change(loop, {Role.BASS: material(loop, 3)})))
    _, tracks, bar = waiting.take_for(deck_of(loop), 1)
    names = [None if track.whole is None else track.whole.material.name for track in tracks]
    assert names == ["take-1", "take-3", None, None] and bar == 1
    assert waiting.take_for(deck_of(loop), 2)[1] == NO_TRACKS  # nothing is left


def test_parts_wait_for_a_bar_that_all_of_a_change_covers() -> None:
    loop, waiting = grid(), Waiting()
    one, two = part_of(material(loop, 1), loop, 1, 3), part_of(material(loop, 2), loop, 2, 4)
    waiting.add(Arrangement.of(Change(loop, {Role.DRUMS: one, Role.BASS: two})))
    deck = deck_of(loop)
    assert waiting.take_for(deck, 1)[1] == waiting.take_for(deck, 3)[1] == NO_TRACKS
    tracks = waiting.take_for(deck, 2)[1]
    assert [track.preview is not None for track in tracks] == [True, True, False, False]


def test_a_change_of_the_grid_collects_its_tracks_until_all_can_begin() -> None:
    old, new, waiting = grid("120"), grid("130"), Waiting()
    waiting.add(Arrangement.of(Change(old, {Role.MELODY: material(old, 9)})))
    waiting.add(Arrangement.of(Change(new, {Role.DRUMS: part_of(material(new, 1), new, 2, 3)})))
    waiting.add(Arrangement.of(Change(new, {Role.BASS: material(new, 2)})))
    lines, tracks, _ = waiting.take_for(deck_of(old), 1)
    assert lines.grid == old and tracks == NO_TRACKS
    lines, tracks, bar = waiting.take_for(deck_of(old), 2)
    assert lines.grid == new and bar == 2
    assert tracks[0].preview is not None and tracks[1].whole is not None and tracks[2:] == (Track(), Track())


def test_the_newest_grid_wins() -> None:
    old, new, waiting = grid("120"), grid("130"), Waiting()
    waiting.add(Arrangement.of(Change(new, {Role.DRUMS: material(new, 1)})))
    waiting.add(Arrangement.of(Change(old, {Role.BASS: material(old, 2)})))
    lines, tracks, _ = waiting.take_for(deck_of(old), 1)
    assert lines.grid == old and tracks[0] == Track() and tracks[1].whole is not None


def test_a_track_goes_on_with_what_it_has() -> None:
    """Two changes that were made ready before either began name the same sound: it is one voice."""
    loop, lines = grid(), lines_of(grid())
    whole = material(loop, 1)
    part = part_of(whole, loop, 1, 2)
    track = Track().given(Voice.of(whole, lines)).given(Voice.of(part, lines))
    assert track.given(Voice.of(part, lines)) == track
    assert track.given(Voice.of(whole, lines)) == Track(track.whole)
    assert track.given(Voice.of(material(loop, 1), lines)).whole is not track.whole
    assert track.given(None) == Track()


def run_commands(seed: int, sizes: np.random.Generator | None) -> tuple[list[tuple[object, ...]], list[Heard]]:
    """Random wishes at fixed frames, and what becomes of each stretch: the timeline, joined where nothing happens."""
    dice, heard = np.random.default_rng(seed), list[Heard]()
    transport = Transport(RATE, 0, heard.append)
    grids = [grid("97.3", "7/8", 3), grid("140", "3/4", 5)]
    wholes = [[material(loop, 40 + i) for i in range(3)] for loop in grids]
    timeline: list[tuple[object, ...]] = []
    for _ in range(40):
        which = int(dice.integers(2)) if dice.random() < 0.2 else 0
        loop, first = grids[which], int(dice.integers(3))
        one, two, role = wholes[which][first], part_of(wholes[which][1], loop, first, first + 1), dice.choice(ROLES)
        deed = int(dice.integers(7))
        if deed == 0:
            transport.play(bool(dice.random() < 0.8))
        elif deed == 1:
            transport.seek(first, int(dice.integers(2000)))
        elif deed == 2:
            transport.set_region(Region(bool(dice.random() < 0.7), first, int(dice.integers(3))))
        elif deed == 3:
            transport.align(float(dice.random() * 30), transport.frame - 2000)
        else:
            transport.change(Arrangement.of(Change(loop, {role: [one, two, None][deed % 3]})))
        left = int(dice.integers(1, 60_000))
        while left:
            passage = transport.next(left if sizes is None else min(left, int(sizes.integers(1, 700))))
            assert 0 < passage.frames <= left
            left -= passage.frames
            deck, leaving = passage.deck, passage.leaving
            assert (leaving is None) <= (passage.fading == (False,) * 4) and 0 <= passage.faded < FADE
            offsets = [None if each is None else (each.frame, each.playing) for each in (deck, leaving)]
            for k in (0, passage.frames - 1):  # its first and its last frame
                at = [None if o is None else (o[0] + k if o[1] else o[0], o[1]) for o in offsets]
                names = deck and [voice and voice.material.name for voice in deck.voices]
                timeline.append((passage.frame + k, *at, names, leaving is not None and passage.faded + k))
            if deck is not None and deck.playing:
                assert 0 <= deck.frame < deck.lines.frames and deck.frame + passage.frames <= deck.lines.frames
    return timeline, heard


@pytest.mark.parametrize("seed", range(12))
def test_blocks_of_any_size_give_the_same_timeline(seed: int) -> None:
    whole, heard = run_commands(seed, None)
    parts, heard_too = run_commands(seed, np.random.default_rng(seed + 100))
    assert heard == heard_too, seed
    by_frame = {entry[0]: entry for entry in parts}
    common = [entry for entry in whole if entry[0] in by_frame]
    assert len(common) > 40 and all(entry == by_frame[entry[0]] for entry in common), seed
    assert [event.frame for event in heard] == sorted(event.frame for event in heard)


def test_beats_and_bars_are_told_on_their_frames() -> None:
    loop, heard = grid("97.3", "7/8", 3), list[Heard]()
    transport = Transport(RATE, 1000, heard.append)
    transport.change(Arrangement.of(Change(loop, {Role.DRUMS: material(loop, 1)})))
    transport.play(True)
    for _ in range(100):
        transport.next(9_000)
    beats = [event for event in heard if isinstance(event, Beat)]
    bars = [event for event in heard if isinstance(event, BarLine)]
    assert len(bars) > 4 and [bar.count for bar in bars] == list(range(1, len(bars) + 1))
    start, tempo = 1000 + FADE, loop.tempo
    for i, bar in enumerate(bars):
        assert bar.bar == i % 3 and bar.frame == start + i // 3 * loop.frames + tempo.bar_sample(i % 3)
    for i, beat in enumerate(beats):
        lap, bar_index, number = i // 9, i // 3 % 3, i % 3
        tick = bar_index * tempo.meter.bar_ticks + (0, 480, 960)[number]
        expected = (bar_index, number, start + lap * loop.frames + tempo.sample_at(tick))
        assert (beat.bar, beat.beat, beat.frame) == expected
    assert heard[0] == Swapped(Role.DRUMS, "take-1", 0, 1000)


def test_once_through_the_region_stops_at_its_start() -> None:
    loop, heard = grid("120", "4/4", 4), list[Heard]()
    transport = Transport(RATE, 0, heard.append)
    transport.change(Arrangement.of(Change(loop, {Role.DRUMS: material(loop, 1)})))
    transport.set_region(Region(False, 1, 2))
    transport.play(True)
    for _ in range(100):
        transport.next(5_000)
    assert [event for event in heard if isinstance(event, Stopped)] == [Stopped(FADE + 2 * 96_000)]
    deck = transport.standing.deck
    assert deck is not None and not deck.playing and deck.frame == 96_000
    transport.play(True)  # again
    for _ in range(100):
        transport.next(5_000)
    assert len([event for event in heard if isinstance(event, Stopped)]) == 2


def test_the_fade_lasts_five_milliseconds() -> None:
    assert fade_frames(RATE) == FADE and Fraction(FADE, RATE) == Fraction(5, 1000)


def test_what_breaks_the_loop_is_told_and_what_goes_on_is_not() -> None:
    """Play, a jump, another tempo and stop are told with the place that sounds from that frame on; a swap is not."""
    loop, faster, heard = grid("120", "4/4", 4), grid("125", "4/4", 4), list[Heard]()
    transport = Transport(RATE, 0, heard.append)

    def moves() -> list[Heard]:
        for _ in range(100):
            transport.next(1_000)
        found: list[Heard] = [event for event in heard if isinstance(event, Moved)]
        heard.clear()
        return found

    transport.change(Arrangement.of(Change(loop, {Role.DRUMS: material(loop, 1)})))
    assert moves() == []
    start = transport.frame
    transport.play(True)
    assert moves() == [Moved(True, 0, start + FADE, loop)]
    transport.change(Arrangement.of(Change(loop, {Role.DRUMS: material(loop, 2)})))
    assert moves() == []
    jump = transport.frame
    transport.seek(2, 480)
    assert moves() == [Moved(True, 2 * 96_000 + 24_000, jump + FADE, loop)]
    line = jump + FADE + 72_000  # of bar 3
    transport.change(Arrangement.of(Change(faster, {Role.DRUMS: material(faster, 3)})))
    [other] = moves()
    assert isinstance(other, Moved) and other.grid == faster and other.place == faster.tempo.bar_sample(0)
    assert (other.frame - line) % 96_000 == 0
    stop = transport.frame
    transport.play(False)
    assert moves() == [Moved(False, (stop + FADE - other.frame) % faster.frames, stop + FADE, faster)]
