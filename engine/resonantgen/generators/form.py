"""How a part is laid out over the bars: which bars repeat, where sections lift, where fills fall.

Motifs have letters: bars with the same letter roll the same dice, so they are the same music. Sections are eight bars
long and lift in their second half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resonantgen.generators.dice import Dice

SECTION_BARS, PHRASE_BARS = 8, 4


@dataclass(frozen=True, slots=True)
class Form:
    """The layout of a part of `bars` bars. Bars count from 0."""

    bars: int
    letters: str  # of the bars of a phrase: "AABA"

    @classmethod
    def of(cls, forms: Sequence[str], bars: int, dice: Dice) -> Form:
        return cls(bars, dice.choice(forms, "form"))

    def letter(self, bar: int) -> str:
        """The bar's motif. What answers A is new in every second section: B, then B'."""
        letter = self.letters[bar % len(self.letters)]
        return letter if letter == "A" or (bar // SECTION_BARS) % 2 == 0 else letter + "'"

    def lifted(self, bar: int) -> bool:
        """Whether the bar lies in the second half of its section, or of a clip of four to seven bars."""
        if self.bars < PHRASE_BARS:
            return False
        half = PHRASE_BARS if self.bars >= SECTION_BARS else self.bars // 2
        return (bar // half) % 2 == 1

    @property
    def has_lift(self) -> bool:
        return self.bars >= PHRASE_BARS

    def opens_section(self, bar: int) -> bool:
        return bar % SECTION_BARS == 0

    def closes_phrase(self, bar: int) -> bool:
        """Whether a phrase of four bars, or the clip, ends with this bar."""
        return bar % PHRASE_BARS == PHRASE_BARS - 1 or bar == self.bars - 1

    def closes_section(self, bar: int) -> bool:
        """Whether a section, or the clip, ends with this bar. A clip of one bar is all middle."""
        return self.bars > 1 and (bar % SECTION_BARS == SECTION_BARS - 1 or bar == self.bars - 1)


def motif_name(letter: str, tick: int, bar_ticks: int) -> str:
    """The name under which a step rolls its dice: motifs share their first half with A and differ in the second."""
    return "A" if letter.startswith("B") and 2 * tick < bar_ticks else letter
