"""Grids of steps: a pattern of sixteenths laid into the bars of any meter and feel, and the choice of what sounds.

Every step of a bar gets a weight: what the pattern writes comes first, and then the steps that would suit it. Busier
music takes more steps from the top of that order, so the idea stays and only grows or thins out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from resonantgen.generators.grammars.drums import Backbeat
from resonantgen.generators.grammars.harmony import STEPS_PER_PATTERN_BAR
from resonantgen.generators.groove import EIGHTH, is_compound
from resonantgen.generators.metre import borrowed_beats
from resonantgen.music.time import TICKS_PER_QUARTER, Meter
from resonantgen.prompt.intent import Feel

T = TypeVar("T")

_SIXTEENTHS = 4  # in a beat of the pattern
# Where the four sixteenths of a pattern's beat fall in a beat of so many ticks: [(tick, sixteenth), …].
_IN_EIGHTH = ((0, 0), (120, 1))
_IN_QUARTER = ((0, 0), (120, 1), (240, 2), (360, 3))
_IN_COMPOUND = ((0, 0), (240, 1), (480, 2), (600, 3))
_IN_LONG = ((0, 0), (120, 1), (240, 2), (360, 3), (480, 2), (600, 3))


@dataclass(frozen=True, slots=True)
class Step:
    """A place in a bar where something may begin."""

    tick: int  # within the bar, on the straight grid
    source: int  # which sixteenth of the pattern's bar it takes after, 0 to 15
    source_bar: int  # and in which bar of the pattern, counted on without end
    level: int  # 0 strong beat, 1 felt beat, 2 eighth, 3 finer


@lru_cache(maxsize=2048)
def bar_steps(meter: Meter, bar: int, feel: Feel = Feel.NORMAL) -> tuple[Step, ...]:
    """The steps of a bar (counted from 0), in order."""
    borrowed = borrowed_beats(meter, Backbeat.TWO_AND_FOUR)
    if len(borrowed) == 1:  # four bars of one beat make a bar of the pattern
        bar, beat = divmod(bar, 4)
        borrowed = (beat,)
    steps: dict[int, Step] = {}
    ends = (*meter.beats_ticks[1:], meter.bar_ticks)
    for index, (start, end) in enumerate(zip(meter.beats_ticks, ends, strict=True)):
        for offset, source_bar, beat, sixteenth in _sources(meter, bar, index, end - start, borrowed, feel):
            tick = start + offset
            level = 0 if tick in meter.strong_ticks else 1 if offset == 0 else 2 if offset % EIGHTH == 0 else 3
            steps[tick] = Step(tick, _SIXTEENTHS * beat + sixteenth, source_bar, level)
    return tuple(steps[tick] for tick in sorted(steps))


def _sources(
    meter: Meter, bar: int, index: int, length: int, borrowed: tuple[int, ...], feel: Feel
) -> Iterator[tuple[int, int, int, int]]:
    """The steps of one felt beat: (tick in the beat, bar of the pattern, beat of four, sixteenth of that beat)."""
    count = len(borrowed)
    if feel is Feel.HALF_TIME:
        place, half = divmod((bar % 2) * count + index, 2)
        late = length - EIGHTH if is_compound(meter) else EIGHTH
        yield 0, bar // 2, borrowed[place % count], 2 * half
        if late < length:
            yield late, bar // 2, borrowed[place % count], 2 * half + 1
    elif feel is Feel.DOUBLE_TIME:
        for half in (0, 1):
            bars, place = divmod(2 * index + half, count)
            step = TICKS_PER_QUARTER // 8 if length == TICKS_PER_QUARTER else TICKS_PER_QUARTER // 4
            for sixteenth in range(min(_SIXTEENTHS, length // 2 // step)):
                yield half * length // 2 + sixteenth * step, 2 * bar + bars, borrowed[place], sixteenth
    else:
        grid: tuple[tuple[int, int], ...] = _IN_EIGHTH if length < TICKS_PER_QUARTER else _IN_QUARTER
        if length > TICKS_PER_QUARTER:
            grid = _IN_COMPOUND if is_compound(meter) else _IN_LONG
        for offset, sixteenth in grid:
            yield offset, bar, borrowed[index], sixteenth


@lru_cache(maxsize=512)
def fill_weights(pattern: str) -> tuple[float, ...]:
    """For each step of a pattern that is empty, how well an onset would suit it, 0 to 1; 0 where there is one.

    An off-beat pattern wants more off-beats: best are places in the beat that the pattern uses already, then those
    right after an onset, then the metrically stronger ones.
    """
    hits = [sign != "." for sign in pattern]
    used = [sum(hits[place::_SIXTEENTHS]) for place in range(_SIXTEENTHS)]
    most = max(used)
    weights = []
    for index, hit in enumerate(hits):
        metric = (0.75, 0.0, 1.0, 0.25)[index % _SIXTEENTHS]
        echo = hits[index - 1] and not hits[(index + 1) % len(hits)]
        weights.append(0.0 if hit else 0.5 * used[index % _SIXTEENTHS] / most + 0.25 * echo + 0.25 * metric)
    return tuple(weights)


def sign_at(pattern: str, step: Step) -> tuple[str, float]:
    """What the pattern writes at a step, and how well an onset would suit it where nothing is written."""
    index = (step.source_bar * STEPS_PER_PATTERN_BAR + step.source) % len(pattern)
    return pattern[index], fill_weights(pattern)[index]


def mean_per_bar(patterns: Sequence[str], costs: Mapping[str, float]) -> float:
    """What the patterns of a style write in a bar of 4/4, on average, counting each sign at its cost."""
    bars = [sum(costs[s] for s in p if s != ".") * STEPS_PER_PATTERN_BAR / len(p) for p in patterns]
    return sum(bars) / len(bars)


def take(ranked: Sequence[tuple[float, T]], target: float, rounding: float) -> list[T]:
    """From (cost, item) in order of preference, as many of the first as `target` pays for.

    `rounding` (0 to 1) is the part of an item's cost that must be left to get it. More target never takes anything
    away.
    """
    taken = []
    for cost, item in ranked:
        if target < rounding * cost:
            break
        target -= cost
        taken.append(item)
    return taken
