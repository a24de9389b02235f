"""Exact musical time: bars, ticks and samples.

Positions in music are integer ticks (480 per quarter note) and tempos are fractions. A sample position is rounded once,
at the end, from the absolute position, so nothing drifts: `sample(tick) = round(tick * 60 * rate / (480 * tempo))`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from resonantgen.errors import BadValue, quoted

TICKS_PER_QUARTER = 480
MIN_TEMPO_BPM, MAX_TEMPO_BPM = 20, 400
MIN_BARS, MAX_BARS = 1, 64
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 44_100, 96_000

# How unequal meters are usually felt; every other eighth meter is grouped in threes if it can be, otherwise in twos.
_GROUPS = {
    (5, 4): (3, 2),
    (7, 4): (4, 3),
    (5, 8): (3, 2),
    (7, 8): (2, 2, 3),
    (10, 8): (3, 3, 2, 2),
    (11, 8): (3, 3, 3, 2),
}


@dataclass(frozen=True, slots=True)
class Meter:
    """A time signature from 2/4 to 12/8."""

    numerator: int = 4
    denominator: int = 4

    def __post_init__(self) -> None:
        if not (2 <= self.numerator <= 12 and self.denominator in (4, 8)):
            raise BadValue(
                f'"{self.numerator}/{self.denominator}" is no meter that can be played here. '
                "Meters have 2 to 12 quarters or eighths: 4/4, 3/4, 5/4, 7/8, 12/8."
            )

    @classmethod
    def parse(cls, text: str) -> Meter:
        """Read "7/8". Raises BadValue."""
        match = re.fullmatch(r"\s*(\d{1,4})\s*/\s*(\d{1,4})\s*", text)
        if match is None:
            raise BadValue(f"{quoted(text)} is no meter. Meters look like: 4/4, 3/4, 7/8.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def unit_ticks(self) -> int:
        """Length of the written unit (a quarter or an eighth)."""
        return TICKS_PER_QUARTER * 4 // self.denominator

    @property
    def bar_ticks(self) -> int:
        return self.numerator * self.unit_ticks

    @property
    def groups(self) -> tuple[int, ...]:
        """The bar's felt beats as counts of written units: 4/4 is (1, 1, 1, 1), 6/8 is (3, 3), 7/8 is (2, 2, 3)."""
        return (1,) * self.numerator if self.denominator == 4 else self._halves

    @property
    def beats_ticks(self) -> tuple[int, ...]:
        """Start of each felt beat within the bar."""
        return self._starts(self.groups)

    @property
    def strong_ticks(self) -> tuple[int, ...]:
        """Start of each strong beat within the bar: the downbeat, and where the bar's second half is felt.

        4/4 has 0 and 2 quarters, 5/4 0 and 3, 7/8 0 and 4 eighths. A bar of three equal beats has the downbeat only.
        """
        groups = self._halves
        if len(groups) == 1 or (len(groups) == 3 and len(set(groups)) == 1):
            return (0,)
        return (0, min(self._starts(groups)[1:], key=lambda start: abs(2 * start - self.bar_ticks)))

    @property
    def _halves(self) -> tuple[int, ...]:
        """The finest grouping, in written units, at whose seams a second half can begin."""
        if (self.numerator, self.denominator) in _GROUPS:
            return _GROUPS[self.numerator, self.denominator]
        if self.denominator == 4:
            return (1,) * self.numerator
        size = 3 if self.numerator % 3 == 0 else 2
        return (size,) * (self.numerator // size)

    def _starts(self, groups: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sum(groups[:i]) * self.unit_ticks for i in range(len(groups)))


def parse_tempo(value: str | float | Fraction) -> Fraction:
    """The tempo in quarter notes per minute as an exact fraction: 97.3 is 973/10. Raises BadValue."""
    text = str(value).strip()
    try:
        tempo = value if isinstance(value, Fraction) else Decimal(text)
        possible = len(text) <= 40 and MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM
    except InvalidOperation:  # not a number, or Decimal's own "NaN"
        raise BadValue(f"{quoted(text)} is no tempo. Give beats per minute, such as 128.") from None
    if not possible:
        raise BadValue(f"A tempo of {quoted(text)} bpm cannot be played. Use {MIN_TEMPO_BPM} to {MAX_TEMPO_BPM}.")
    return Fraction(tempo)


def check_bars(bars: int) -> int:
    """The same number of bars. Raises BadValue outside 1 to 64."""
    if not MIN_BARS <= bars <= MAX_BARS:
        raise BadValue(f"{bars} bars cannot be made. Use {MIN_BARS} to {MAX_BARS}.")
    return bars


def bars_text(bars: int) -> str:
    """ "1 bar", "8 bars"."""
    return f"{bars} bar{'s' if bars != 1 else ''}"


def check_sample_rate(sample_rate: int) -> int:
    """The same rate in Hz. Raises BadValue outside 44.1 to 96 kHz."""
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise BadValue(f"{sample_rate} Hz is no sample rate to work at. Use {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}.")
    return sample_rate


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Ticks to samples and back, at one tempo (quarter notes per minute), meter and sample rate (Hz)."""

    tempo_bpm: Fraction
    meter: Meter = Meter()
    sample_rate: int = 48_000

    def __post_init__(self) -> None:
        parse_tempo(self.tempo_bpm)
        check_sample_rate(self.sample_rate)

    def sample_at(self, tick: int) -> int:
        """The sample on which a tick falls; half a sample rounds to even."""
        # As round(Fraction(...)) would have it, several times as fast: players ask for the places of hundreds of notes.
        divisor = TICKS_PER_QUARTER * self.tempo_bpm.numerator
        sample, rest = divmod(tick * 60 * self.sample_rate * self.tempo_bpm.denominator, divisor)
        return sample + (2 * rest > divisor or (2 * rest == divisor and sample % 2 == 1))

    def tick_at(self, sample: int) -> int:
        """The last tick whose sample is at or before this one."""
        tick = math.floor(Fraction(sample * TICKS_PER_QUARTER, 60 * self.sample_rate) * self.tempo_bpm)
        while self.sample_at(tick + 1) <= sample:
            tick += 1
        while self.sample_at(tick) > sample:
            tick -= 1
        return tick

    def bar_sample(self, bar: int) -> int:
        """The sample on which a bar (counted from 0) starts."""
        return self.sample_at(bar * self.meter.bar_ticks)

    def frames(self, bars: int) -> int:
        """Exact length in frames of a clip of so many bars that starts at 0."""
        return self.bar_sample(bars)

    def seconds(self, ticks: int) -> float:
        """How long so many ticks last."""
        return float(Fraction(ticks * 60, TICKS_PER_QUARTER) / self.tempo_bpm)
