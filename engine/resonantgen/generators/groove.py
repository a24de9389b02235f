"""Groove: where notes on the straight grid really sound, as a style says or as a locked drum track plays.

Only off-beats move. `Groove(eighth_ticks=80)` is triplet swing on eighths, `Groove(sixteenth_ticks=40)` on
sixteenths; what lies in between (thirty-seconds) moves in proportion. Triplets and beats of three eighths (6/8, 12/8)
are left alone: they swing already."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from statistics import median_low

from resonantgen.generators.base import Request
from resonantgen.generators.style import Style
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.time import TICKS_PER_QUARTER, Meter
from resonantgen.prompt.intent import clamp

EIGHTH, SIXTEENTH = TICKS_PER_QUARTER // 2, TICKS_PER_QUARTER // 4
SWING_REACH = 0.6  # how far the attribute at 1 moves a style's swing


@dataclass(frozen=True, slots=True)
class Groove:
    """How far the second eighth of a beat, or every second sixteenth, lies behind the grid, in ticks."""

    eighth_ticks: int = 0
    sixteenth_ticks: int = 0

    @classmethod
    def of_style(cls, style: Style, swing: float = 0.0) -> Groove:
        """The style's own, moved by the attribute `swing` (-1 to 1)."""
        amount = clamp(style.swing + SWING_REACH * swing, 0.0, 1.0)
        if style.swing_grid == 8:
            return cls(eighth_ticks=round(amount * EIGHTH / 3))
        return cls(sixteenth_ticks=round(amount * SIXTEENTH / 3))

    @classmethod
    def of_score(cls, notes: Iterable[Note], meter: Meter) -> Groove:
        """What a track plays: the median lateness of its off-beat eighths, or else of its off-beat sixteenths."""
        eighths: list[int] = []
        sixteenths: list[int] = []
        for note in notes:
            position, length = beat_position(meter, note.start_ticks)
            if length % TICKS_PER_QUARTER:
                continue
            if 225 <= position <= 335:
                eighths.append(position - EIGHTH)
            elif abs(position % EIGHTH - 140) <= 35:
                sixteenths.append(position % EIGHTH - SIXTEENTH)
        late = max(0, median_low(eighths)) if eighths else 0
        if late > 20:
            return cls(eighth_ticks=min(late, EIGHTH // 3))
        return cls(sixteenth_ticks=min(max(0, median_low(sixteenths)), SIXTEENTH // 3) if sixteenths else 0)

    def place(self, meter: Meter, tick: int) -> int:
        """Where a note that is written at `tick` (from the clip's start, or from any bar line) sounds."""
        in_bar = tick % meter.bar_ticks
        return tick - in_bar + _place_in_bar(self, meter, in_bar)


def groove_for(request: Request) -> Groove:
    """The groove that binds a track: that of the drums that sound with it, otherwise its style's."""
    drums = request.context.get(Role.DRUMS)
    if request.role is not Role.DRUMS and drums is not None and len(drums):
        return Groove.of_score(drums, request.plan.meter)
    return Groove.of_style(request.plan.style, request.attributes.swing)


def is_compound(meter: Meter) -> bool:
    """Whether every felt beat has three eighths: 6/8, 9/8, 12/8, 3/8."""
    return meter.denominator == 8 and set(meter.groups) == {3}


def beat_position(meter: Meter, tick: int) -> tuple[int, int]:
    """Ticks since the felt beat that a tick lies in began, and that beat's length."""
    return _position_in_bar(meter, tick % meter.bar_ticks)


@lru_cache(maxsize=8192)
def _position_in_bar(meter: Meter, in_bar: int) -> tuple[int, int]:
    starts = (*meter.beats_ticks, meter.bar_ticks)
    index = bisect_right(starts, in_bar) - 1
    return in_bar - starts[index], starts[index + 1] - starts[index]


@lru_cache(maxsize=8192)
def _place_in_bar(groove: Groove, meter: Meter, in_bar: int) -> int:
    position, length = _position_in_bar(meter, in_bar)
    if is_compound(meter) or (position % 80 == 0 and position % EIGHTH != 0):
        return in_bar
    if groove.eighth_ticks and position < TICKS_PER_QUARTER <= length:
        return in_bar - position + _warp(position, TICKS_PER_QUARTER, groove.eighth_ticks)
    if groove.sixteenth_ticks:
        within = position % EIGHTH
        return in_bar - within + _warp(within, EIGHTH, groove.sixteenth_ticks)
    return in_bar


def straight_onsets(score: Score, meter: Meter, groove: Groove, piece: DrumPiece | None = None) -> dict[int, Note]:
    """A track's notes by where they are written: each onset, freed from its groove, on the nearest sixteenth.

    Of several notes on one place the loudest is given. Ticks count from the clip's start.
    """
    places: dict[int, Note] = {}
    for note in score:
        if piece is not None and note.pitch != piece:
            continue
        position, _ = beat_position(meter, note.start_ticks)
        beat = note.start_ticks - position
        grid = [beat + step for step in range(0, position + TICKS_PER_QUARTER, SIXTEENTH)]
        place = min(grid, key=lambda tick: abs(groove.place(meter, tick) - note.start_ticks)) % score.length_ticks
        if place not in places or places[place].velocity < note.velocity:
            places[place] = note
    return places


def _warp(position: int, pair: int, late: int) -> int:
    """A position within a pair of grid steps whose middle is moved back by `late` ticks."""
    half = pair // 2
    if position <= half:
        return position * (half + late) // half
    return half + late + (position - half) * (half - late) // half
