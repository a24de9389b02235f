"""Phrases: when a melody sounds. Forms such as AABA, motifs that come again and develop, and room left for others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.generators.expression import onset_factor
from resonantgen.generators.grammars.melody import Contour, MelodyGrammar
from resonantgen.generators.groove import groove_for, straight_onsets
from resonantgen.generators.steps import bar_steps, mean_per_bar, sign_at, take
from resonantgen.music.notes import DrumPiece, Role, Score
from resonantgen.music.time import TICKS_PER_QUARTER, Meter

_WEIGHTS = {"X": 4.0, "x": 3.4, "-": 2.8}
_FORCES = {"X": 8.0, "x": 0.0, "-": -12.0, ".": -6.0}  # velocity steps
_ON_HARMONY = 3.0  # what a step loses that the harmony takes, where the style answers fully
_ON_DRUMS = 0.5  # what a step gains that kick or snare takes
_IN_REST = 2.5  # what a step loses in the part of a phrase that is left to others
_DRUMS_HEARD = (DrumPiece.KICK, DrumPiece.SNARE, DrumPiece.CLAP, DrumPiece.RIM)


class Development(Enum):
    """What becomes of a motif when it comes again."""

    SAME = "same"
    SEQUENCE = "sequence"  # the same shape, higher or lower
    INVERSION = "inversion"  # the shape upside down
    TRUNCATION = "truncation"  # it breaks off sooner
    ENDING = "ending"  # another last bar


_DEVELOPMENTS = {
    Development.SEQUENCE: 0.35,
    Development.ENDING: 0.35,
    Development.TRUNCATION: 0.15,
    Development.INVERSION: 0.15,
}


@dataclass(frozen=True, slots=True)
class Onset:
    """A place in a phrase where a note may begin."""

    tick: int  # from the clip's start, on the straight grid
    force: float  # velocity steps above the style's
    level: int  # 0 strong beat, 1 felt beat, 2 eighth, 3 finer
    name: tuple[int, int]  # the same wherever the motif comes again


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of the melody: its place in the form, and its onsets."""

    index: int
    letter: str
    start_ticks: int
    end_ticks: int
    development: Development
    closes: bool  # ends at rest, on the root; others end open
    contour: Contour
    main: tuple[Onset, ...]  # what the style as it is would play: these carry the shape
    played: tuple[Onset, ...]  # what is played, as busy as was asked


class Phrasing:
    """The phrases of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.meter: Meter = request.plan.meter
        self.grammar: MelodyGrammar = request.plan.style.melody
        self.dice = Dice(request.seed, "melody")
        self.groove = groove_for(request)
        self.form = self.dice.choice(self.grammar.forms, "form")
        context = request.context
        harmony, drums = context.get(Role.HARMONY), context.get(Role.DRUMS)
        self.harmony_ticks = frozenset(straight_onsets(_struck(harmony), self.meter, self.groove) if harmony else ())
        struck: set[int] = set()
        for piece in _DRUMS_HEARD:
            struck.update(straight_onsets(drums, self.meter, self.groove, piece) if drums else ())
        self.drum_ticks = frozenset(struck)

    @cached_property
    def usual_per_bar(self) -> float:
        """Notes a bar in the style as it is: the mean of its rhythms, so that every seed is as busy as the others."""
        patterns = [rhythm.replace(" ", "") for rhythm in self.grammar.rhythms]
        mean = mean_per_bar(patterns, dict.fromkeys("Xx-", 1.0))
        return mean * (1 - self.grammar.rest / 2) * self.meter.bar_ticks / (4 * TICKS_PER_QUARTER)

    def phrase(self, index: int) -> Phrase:
        """A phrase, counted from 0."""
        plan, length = self.request.plan, self.grammar.phrase_bars
        first = index * length
        last = min(first + length, plan.bars)
        place = index % len(self.form)
        letter = self.form[place]
        again = self.form[:place].count(letter)
        development = self._development(index, again)
        ranked = self._ranked(index, letter, development, first, last)
        usual = self.usual_per_bar * (last - first)
        rounding = self.dice.between(0.3, 0.7, "count", index)
        return Phrase(
            index,
            letter,
            first * self.meter.bar_ticks,
            last * self.meter.bar_ticks,
            development,
            closes=index % 2 == 1 or last == plan.bars,
            contour=self.dice.choice(self.grammar.contours, "contour", letter),
            main=_taken(ranked, usual, rounding),
            played=_taken(ranked, usual * onset_factor(self.request), rounding),
        )

    def rhythm(self, letter: str) -> str:
        """The motif of a letter; different letters have different motifs as far as there are any."""
        rhythms = self.grammar.rhythms
        order = sorted(range(len(rhythms)), key=lambda i: self.dice.roll("rhythm", i))
        return rhythms[order["ABCD".index(letter) % len(order)]].replace(" ", "")

    def _development(self, index: int, again: int) -> Development:
        if again == 0 and index < len(self.form):
            return Development.SAME
        if self.dice.roll("develops", index) >= self.grammar.develop:
            return Development.SAME
        return self.dice.weighted(list(_DEVELOPMENTS), list(_DEVELOPMENTS.values()), "development", index)

    def _ranked(
        self, index: int, letter: str, development: Development, first: int, last: int
    ) -> list[tuple[float, Onset]]:
        """All places of a phrase, the ones that want a note most first, each with the cost of a note."""
        pattern = self.rhythm(letter)
        other = self.rhythm(chr(ord(letter) + 1) if letter < "D" else "A")
        length = (last - first) * self.meter.bar_ticks
        share = self.grammar.rest * self.dice.between(0.6, 1.3, "rest", letter)
        if development is Development.TRUNCATION:
            share = 0.5 * (1 + share)
        rest_from = first * self.meter.bar_ticks + round(length * (1 - share))
        weighed: list[tuple[float, Onset]] = []
        for bar in range(first, last):
            ending = development is Development.ENDING and bar == last - 1 and last - first > 1
            for step in bar_steps(self.meter, bar, self.request.feel):
                sign, fill = sign_at(other if ending else pattern, step)
                name = ((bar - first) % 4, step.tick)
                onset = Onset(bar * self.meter.bar_ticks + step.tick, _FORCES[sign], step.level, name)
                weight = _WEIGHTS.get(sign, fill) + 0.5 * self.dice.roll("weight", letter, *name)
                weighed.append((weight + self._context(onset.tick) - _IN_REST * (onset.tick >= rest_from), onset))
        weighed.sort(key=lambda item: (-item[0], item[1].tick))
        return [(1.0, onset) for _, onset in weighed]

    def _context(self, tick: int) -> float:
        """What other tracks do to the wish for a note: the harmony's onsets are left to it, the drums' are joined."""
        harmony = -_ON_HARMONY * self.grammar.answer if tick in self.harmony_ticks else 0.0
        return harmony + (_ON_DRUMS if tick in self.drum_ticks else 0.0)


def _struck(harmony: Score) -> Score:
    """One note of each chord that is struck at once."""
    return Score(tuple({note.start_ticks: note for note in harmony}.values()), harmony.length_ticks)


def _taken(ranked: list[tuple[float, Onset]], target: float, rounding: float) -> tuple[Onset, ...]:
    """The onsets that a number of notes pays for, at least one, in order of time."""
    taken = take(ranked, target, rounding) or [onset for _, onset in ranked[:1]]
    return tuple(sorted(taken, key=lambda onset: onset.tick))


def shape(contour: Contour, position: float) -> float:
    """The height of a contour, -1 to 1, at a position (0 to 1) in its phrase."""
    if contour is Contour.ARCH:
        return 2 * math.sin(math.pi * position) - 1
    if contour is Contour.VALLEY:
        return 1 - 2 * math.sin(math.pi * position)
    if contour is Contour.RISE:
        return 2 * position - 1
    if contour is Contour.FALL:
        return 1 - 2 * position
    if contour is Contour.WAVE:
        return math.sin(3 * math.pi * position)
    return 0.0
