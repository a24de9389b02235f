"""Stems to the mix: their plain sum, then a limiter. Where nothing is limited, the mix is the sum, to the sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.limiter import Limiter, LimiterState


def sum_stems(stems: Sequence[Samples]) -> Samples:
    """All stems [frames, 2] added up, in the order given."""
    return reduce(np.add, stems[1:], stems[0].copy())


def mix_stems(stems: Sequence[Samples], sample_rate: int) -> Samples:
    """The mix of looping stems of one length, [frames, 2], as a loop with true peaks at or below -1 dBTP."""
    return Limiter(sample_rate).limit_loop(sum_stems(stems))


class MixStream:
    """The mix in real time, block by block, `latency_frames` late. One thread at a time."""

    def __init__(self, sample_rate: int) -> None:
        self._limiter = Limiter(sample_rate)
        self._state: LimiterState = self._limiter.start()

    @property
    def latency_frames(self) -> int:
        return self._limiter.latency_frames

    def render(self, blocks: Sequence[Samples]) -> Samples:
        """The next block of each stem, mixed, [frames, 2]."""
        return self._limiter.render(self._state, sum_stems(blocks))
