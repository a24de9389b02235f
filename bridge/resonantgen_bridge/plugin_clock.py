"""A host's clock: where its bars and quarter notes lie in its frames, exactly. Pure values.

It is read from one STATUS. Hosts tell tempos as 32-bit floats and positions with rounding errors, so the tempo is taken
to a thousandth of a bpm, and the song's beginning to a whole frame where it is near one; from there on nothing is
rounded but the one position that is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from resonantgen_bridge.plugin_wire import Status

_TEMPO_DECIMALS: Final = 3
_NEAR_FRAMES: Final = Fraction(1, 4)  # LV2's beats within a bar are 32-bit: at 20 bpm and 96 kHz, a tenth of a frame
_NEAR_ZERO_FRAMES: Final = Fraction(1, 2)  # nearly every song begins there
_STEPS_PER_FRAME: Final = 64  # between whole frames, so that instances of one host agree on it


@dataclass(frozen=True, slots=True)
class HostClock:
    """Quarter note `q` is at frame `origin + q * frames_per_quarter`; bars are counted from quarter note 0."""

    number: int  # the plugin's
    sample_rate: int  # Hz
    tempo_bpm: Fraction
    numerator: int  # of the meter, which may be one that cannot be played here
    denominator: int
    origin: Fraction  # frames

    @classmethod
    def of(cls, status: Status) -> HostClock:
        """The clock of a STATUS that is timed."""
        sample_rate = max(round(status.sample_rate), 1)
        thousand: int = 10**_TEMPO_DECIMALS
        tempo = Fraction(max(round(Fraction(status.tempo_bpm) * thousand), 1), thousand)
        origin = status.frame - Fraction(status.quarters) * 60 * sample_rate / tempo
        return cls(status.clock, sample_rate, tempo, status.numerator, status.denominator, _settled(origin))

    @property
    def frames_per_quarter(self) -> Fraction:
        return 60 * self.sample_rate / self.tempo_bpm

    @property
    def bar_quarters(self) -> Fraction:
        return Fraction(4 * self.numerator, self.denominator)

    @property
    def lines(self) -> tuple[object, ...]:
        """Equal where all bar lines are the same."""
        return (self.sample_rate, self.tempo_bpm, self.bar_quarters, self.origin)

    def frame_at(self, quarters: Fraction) -> int:
        """The frame on which a place of the song falls; half a frame rounds to even."""
        return round(self.origin + quarters * self.frames_per_quarter)

    def bar_line(self, frame: int) -> int:
        """The frame of the first bar line at this frame or after it."""
        bar_frames = self.bar_quarters * self.frames_per_quarter
        bar = math.floor((frame - self.origin) / bar_frames)
        while (line := round(self.origin + bar * bar_frames)) < frame:
            bar += 1
        return line


def _settled(origin: Fraction) -> Fraction:
    if abs(origin) <= _NEAR_ZERO_FRAMES:
        return Fraction(0)
    whole = round(origin)
    if abs(origin - whole) <= _NEAR_FRAMES:
        return Fraction(whole)
    return Fraction(round(origin * _STEPS_PER_FRAME), _STEPS_PER_FRAME)
