"""Fewer bits and a lower sample rate, as early samplers had."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects import inserts
from resonantgen.instruments.jit import kernel


@kernel
def _run_crush(block: Samples, ratio: float, steps: float, mix: float, start_frame: int, held: Samples) -> Samples:
    """`ratio` of the low rate to the sample rate; a new value is taken whenever the low rate's clock ticks."""
    out = np.empty_like(block)
    for n in range(block.shape[0]):
        frame = start_frame + n
        tick = frame == 0 or math.floor(frame * ratio) != math.floor((frame - 1) * ratio)
        for c in range(2):
            if tick:
                held[c] = math.floor(block[n, c] * steps + 0.5) / steps
            out[n, c] = (1 - mix) * block[n, c] + mix * held[c]
    return out


@dataclass(slots=True)
class CrushState:
    held: Samples
    frame: int = 0


@dataclass(frozen=True, slots=True)
class CrushEffect:
    """See `inserts.Crush`."""

    insert: inserts.Crush
    sample_rate: int

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> CrushState:
        return CrushState(np.zeros(2))

    def render(self, state: CrushState, block: Samples) -> Samples:
        ratio = min(self.insert.rate_hz / self.sample_rate, 1.0)
        steps = 2.0 ** (self.insert.bits - 1)
        out = _run_crush(np.ascontiguousarray(block), ratio, steps, self.insert.mix, state.frame, state.held)
        state.frame += len(block)
        return out
