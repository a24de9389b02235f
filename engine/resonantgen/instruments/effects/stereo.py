"""The stereo image, worked on as middle (left + right) / 2 and side (left - right) / 2.

Only the side is ever changed, so a mono fold-down of any sound stays exactly what it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects.filters import Filter, FilterState, butterworth, section

SPREAD_HZ = (310.0, 620.0, 1130.0, 1900.0, 3300.0, 5700.0, 9100.0)  # where the all-passes of the made-up side turn
SPREAD_LEVEL = 0.5
SPREAD_LOW_HZ = 250.0


@dataclass(slots=True)
class WidthState:
    spread: FilterState


@dataclass(frozen=True, slots=True)
class WidthEffect:
    """See `inserts.Width`.

    What is there is widened by raising the side; to that is added a side made of the middle by all-passes, so that a
    mono sound widens too (M. Gerzon, "Signal processing for simulating realistic stereo images", AES 93, 1992).
    """

    amount: float
    spread: Filter

    @classmethod
    def of(cls, amount: float, sample_rate: int) -> WidthEffect:
        passes = [section("all_pass", hz, sample_rate, q=0.6) for hz in SPREAD_HZ]
        return cls(
            amount, Filter(np.concatenate([section("high_pass", SPREAD_LOW_HZ, sample_rate), *passes]), channels=1)
        )

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> WidthState:
        return WidthState(self.spread.start())

    def render(self, state: WidthState, block: Samples) -> Samples:
        middle, side = _middle_side(block)
        side = side * (1 + self.amount)
        if self.amount > 0:
            side += SPREAD_LEVEL * self.amount * self.spread.render(state.spread, middle)
        return np.concatenate([middle + side, middle - side], axis=1)


@dataclass(frozen=True, slots=True)
class MonoBass:
    """Takes the side away below a frequency, at 24 dB an octave."""

    high_pass: Filter

    @classmethod
    def of(cls, frequency_hz: float, sample_rate: int) -> MonoBass:
        return cls(Filter(butterworth("high_pass", 4, frequency_hz, sample_rate), channels=1))

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> FilterState:
        return self.high_pass.start()

    def render(self, state: FilterState, block: Samples) -> Samples:
        middle, side = _middle_side(block)
        side = self.high_pass.render(state, side)
        return np.concatenate([middle + side, middle - side], axis=1)


def _middle_side(block: Samples) -> tuple[Samples, Samples]:
    """Each [frames, 1]."""
    left, right = block[:, :1], block[:, 1:]
    return 0.5 * (left + right), 0.5 * (left - right)
