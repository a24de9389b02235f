"""Random numbers that are a pure function of a seed and a name.

Each decision rolls its own die: `dice.roll("kick", bar, step)` is the same number whatever was rolled before. So a
setting that moves a threshold adds or removes a few notes and leaves the rest of the idea as it was, and "busier" is
the same music with more in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Named random numbers."""

    def __init__(self, seed: int, *name: object) -> None:
        self._key = "/".join(map(str, (seed, *name)))

    def within(self, *name: object) -> Dice:
        """Dice for a part of the decision."""
        return Dice(0, self._key, *name)

    def integer(self, *name: object) -> int:
        """A 64-bit integer."""
        text = self._key + "|" + "/".join(map(str, name))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")

    def roll(self, *name: object) -> float:
        """Uniform in [0, 1)."""
        return (self.integer(*name) >> 11) / (1 << 53)

    def between(self, low: float, high: float, *name: object) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.roll(*name)

    def choice(self, options: Sequence[T], *name: object) -> T:
        """One of the options, each as likely."""
        return options[self.integer(*name) % len(options)]

    def weighted(self, options: Sequence[T], weights: Sequence[float], *name: object) -> T:
        """One of the options, by weight (not negative, not all zero)."""
        target = self.roll(*name) * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            target -= weight
            if target < 0:
                return option
        return next(o for o, w in zip(reversed(options), reversed(weights), strict=True) if w > 0)
