"""A host's clock: where its bars and quarter notes lie in its frames, exactly. Pure values.

It is read from one STATUS. Hosts tell tempos as floats, some of 32 bits, and positions with rounding errors, so the
tempo is taken for the plain fraction that it stands for (97.3333 for 292/3), and the song's beginning for a whole frame
where it is near one; from there on nothing is rounded but the one position that is asked for.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from resonantgen_bridge.plugin_wire import Status

_FLOAT32: Final = Fraction(1, 1 << 24)  # how far a 32-bit float may be from what it stands for, as a part of that
_FLOAT64: Final = Fraction(1, 1 << 50)  # likewise, with room for what a host computes
_DENOMINATORS: Final = tuple(10**digits for digits in range(1, 7))
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
        tempo = _plain_tempo(status.tempo_bpm)
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


def _plain_tempo(told: float) -> Fraction:
    """To a thousandth of a bpm if it may be meant so, as nearly all are; otherwise the plainest fraction that it is.

    A tempo that is off by half a thousandth is a millisecond late after four minutes.
    """
    exact = Fraction(told)
    thousandths = Fraction(max(round(exact * 1000), 1), 1000)
    if told < 1 or abs(thousandths - exact) <= exact * _FLOAT32:
        return thousandths
    is_single = struct.unpack("f", struct.pack("f", told))[0] == told
    near = exact * (_FLOAT32 if is_single else _FLOAT64)
    plain = [exact.limit_denominator(largest) for largest in _DENOMINATORS]
    return next((each for each in plain if abs(each - exact) <= near), plain[-1])


def _settled(origin: Fraction) -> Fraction:
    if abs(origin) <= _NEAR_ZERO_FRAMES:
        return Fraction(0)
    whole = round(origin)
    if abs(origin - whole) <= _NEAR_FRAMES:
        return Fraction(whole)
    return Fraction(round(origin * _STEPS_PER_FRAME), _STEPS_PER_FRAME)
