"""What an epoch sounds like: a pure function from the host's frames to samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from resonantgen.realtime.material import Frames


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A loop, laid from the host's beginning. Pass `k` starts at frame `round(origin + k * pass_frames)`.

    Where the tempo gives no whole frames, some passes are a frame longer or shorter than the stem: such a one begins
    the stem again for a frame, or leaves its last one out.
    """

    origin: Fraction  # the host frame of the song's beginning
    pass_frames: Fraction
    stem: Frames | None  # [frames, 2]; None: silence

    @classmethod
    def silent(cls) -> Source:
        return cls(Fraction(0), Fraction(1), None)

    def frames(self, first: int, count: int) -> Frames:
        """Frames `first` to `first + count` of the host, [count, 2]."""
        out = np.zeros((count, 2), np.float32)
        stem = self.stem
        if stem is None or not len(stem):
            return out
        done = 0
        while done < count:
            start, end = self._pass_at(first + done)
            into = (first + done - start) % len(stem)
            some = min(end - first - done, len(stem) - into, count - done)
            out[done : done + some] = stem[into : into + some]
            done += some
        return out

    def _pass_at(self, frame: int) -> tuple[int, int]:
        """Where the pass begins that the frame belongs to, and where the next one does."""
        number = math.floor((frame - self.origin) / self.pass_frames)
        while frame < self._start(number):
            number -= 1
        while frame >= self._start(number + 1):
            number += 1
        return self._start(number), self._start(number + 1)

    def _start(self, number: int) -> int:
        return round(self.origin + number * self.pass_frames)
