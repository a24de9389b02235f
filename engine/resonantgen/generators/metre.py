"""Puts patterns written in four beats into any meter and feel.

A bar of n felt beats borrows each of them from the bar of four: its second half is borrowed from the second half, and
its last beats keep what gives a bar its end (the backbeat on four, or whatever follows it). A beat of three eighths
stretches the borrowed beat to triplets where all beats are like it (6/8, 12/8), and otherwise (7/8) plays its second
eighth twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from resonantgen.generators.grammars.drums import Backbeat
from resonantgen.generators.grammars.patterns import BEATS, Beat, Pattern, Presence, Stroke
from resonantgen.generators.groove import EIGHTH, is_compound
from resonantgen.music.time import TICKS_PER_QUARTER, Meter
from resonantgen.prompt.intent import Feel


@dataclass(frozen=True, slots=True)
class Placed:
    """A stroke in a bar."""

    tick: int  # within the bar, on the straight grid
    stroke: Stroke
    metric_level: int  # 0 on a felt beat, 1 on an eighth, 2 finer


@lru_cache(maxsize=256)
def borrowed_beats(meter: Meter, backbeat: Backbeat) -> tuple[int, ...]:
    """For each felt beat of the meter the beat of four (0 to 3) that it borrows."""
    count = len(meter.groups)
    if count == BEATS:
        return (0, 1, 2, 3)
    second_half = next((i for i, tick in enumerate(meter.beats_ticks) if tick in meter.strong_ticks[1:]), 0)
    if backbeat is Backbeat.THREE:
        if count == 1:
            return (0,)
        second_half = second_half or max(1, count - 1)
        first = [0, 1, 1, 0, 1, 1][:second_half]
        return (*first, *[2, 3, 3, 2, 3, 3][: count - second_half])
    whole = {1: (0,), 2: (0, 1), 3: (0, 2, 3), 4: (0, 1, 2, 3)}
    if count in whole:
        return whole[count]
    parts: list[int] = []
    for part in (second_half, count - second_half):
        while part > 4:
            parts += [0, 2, 3]
            part -= 3
        parts += [2, 3] if parts and part == 2 else list(whole[part])
    return tuple(parts)


def bar_strokes(
    pattern: Pattern,
    meter: Meter,
    bar: int,
    backbeat: Backbeat,
    feel: Feel = Feel.NORMAL,
    *,
    keeps_time: bool = False,
) -> list[Placed]:
    """What a pattern plays in a bar (counted from 0), in order.

    A feel stretches or squeezes it, but not what keeps the time: in half-time the hats go on as they were. `keeps_time`
    also fills all eighths of a beat of three.
    """
    borrowed = borrowed_beats(meter, backbeat)
    if len(borrowed) == 1:
        borrowed = (bar % BEATS,)  # bars of one beat: four of them make a bar of the notation
    count = len(borrowed)
    placed: list[Placed] = []
    for index, start in enumerate(meter.beats_ticks):
        eighths = meter.groups[index] if meter.denominator == 8 else 2
        beat: Sequence[Stroke]
        if keeps_time or feel is Feel.NORMAL:
            beat = _source(pattern, bar // BEATS if count == 1 else bar, borrowed[index])
        elif feel is Feel.HALF_TIME:
            place, half = divmod((bar % 2) * count + index, 2)
            source = _source(pattern, bar // 2, borrowed[place % count])
            beat = [_moved(s, (s.tick - half * EIGHTH) * 2) for s in source if s.tick // EIGHTH == half]
        else:
            halves = [
                _source(pattern, 2 * bar + (2 * index + half) // count, borrowed[(2 * index + half) % count])
                for half in (0, 1)
            ]
            beat = [_moved(s, half * EIGHTH + s.tick // 2) for half in (0, 1) for s in halves[half]]
        for tick, stroke in _stretched(beat, eighths, compound=is_compound(meter), keeps_time=keeps_time):
            placed.append(Placed(start + tick, stroke, 0 if tick == 0 else 1 if tick % EIGHTH == 0 else 2))
    return placed


def _source(pattern: Pattern, bar: int, beat: int) -> Beat:
    return pattern[bar % len(pattern)][beat]


def _moved(stroke: Stroke, tick: int) -> Stroke:
    return replace(stroke, tick=tick)


def _stretched(beat: Sequence[Stroke], eighths: int, *, compound: bool, keeps_time: bool) -> list[tuple[int, Stroke]]:
    """A beat of two eighths in one of 1, 2 or 3 eighths: [(tick within the beat, stroke), …], in order."""
    if eighths <= 2:
        return [(stroke.tick, stroke) for stroke in beat if stroke.tick < eighths * EIGHTH]
    if not compound:
        again = [(stroke.tick + EIGHTH, stroke) for stroke in beat if stroke.tick >= EIGHTH and keeps_time]
        return [(stroke.tick, stroke) for stroke in beat] + again
    ticks: dict[int, Stroke] = {}
    for stroke in beat:
        ticks[stroke.tick * 3 // 2 if stroke.triplet else _in_triplets(stroke.tick)] = stroke
    last, middle = ticks.get(2 * EIGHTH), ticks.get(EIGHTH)
    if keeps_time and last is not None and (middle is None or middle.presence is Presence.PERHAPS):
        ticks[EIGHTH] = last
    return sorted(ticks.items())


def _in_triplets(tick: int) -> int:
    """Sixteenths 1 e & a of a beat of 480 ticks as first, second, third eighth and last sixteenth of one of 720."""
    knots = (0, 240, 480, 600, 720)
    step, rest = divmod(tick, TICKS_PER_QUARTER // 4)
    return knots[step] + rest * (knots[step + 1] - knots[step]) // (TICKS_PER_QUARTER // 4)
