"""Echoes in the tempo: two delay lines with a band-pass in their feedback."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects import inserts
from resonantgen.instruments.effects.inserts import note_value_ticks
from resonantgen.instruments.jit import kernel
from resonantgen.music.time import TempoMap


@kernel
def _run_delay(
    block: Samples,
    cross: bool,
    feedback: float,
    low: float,
    high: float,
    mix: float,
    left: Samples,
    right: Samples,
    memory: Samples,
) -> Samples:
    """`left` and `right` are rings as long as their delay; `memory` [3, 2] is position, low-pass and high-pass.

    `cross`: the mono sum enters on the left and every echo changes sides. `low` and `high` are one-pole coefficients.
    """
    out = np.empty_like(block)
    size_left, size_right = left.shape[0], right.shape[0]
    i, j = int(memory[0, 0]), int(memory[0, 1])
    for n in range(block.shape[0]):
        echo_left, echo_right = left[i], right[j]
        out[n, 0] = block[n, 0] + mix * echo_left
        out[n, 1] = block[n, 1] + mix * echo_right
        if cross:
            into_left = 0.5 * (block[n, 0] + block[n, 1]) + feedback * echo_right
            into_right = feedback * echo_left
        else:
            into_left = block[n, 0] + feedback * echo_left
            into_right = block[n, 1] + feedback * echo_right
        for c in range(2):
            x = into_left if c == 0 else into_right
            top = memory[1, c] + high * (x - memory[1, c])
            bottom = memory[2, c] + low * (top - memory[2, c])
            memory[1, c] = 0.0 if -1e-30 < top < 1e-30 else top
            memory[2, c] = 0.0 if -1e-30 < bottom < 1e-30 else bottom
            if c == 0:
                left[i] = top - bottom
            else:
                right[j] = top - bottom
        i = i + 1 if i + 1 < size_left else 0
        j = j + 1 if j + 1 < size_right else 0
    memory[0, 0], memory[0, 1] = i, j
    return out


@dataclass(slots=True)
class DelayState:
    left: Samples
    right: Samples
    memory: Samples


@dataclass(frozen=True, slots=True)
class DelayEffect:
    """See `inserts.Delay`."""

    insert: inserts.Delay
    frames: tuple[int, int]  # of the left and right line
    low: float
    high: float

    @classmethod
    def of(cls, insert: inserts.Delay, tempo: TempoMap) -> DelayEffect:
        times = (insert.time, insert.time_right or insert.time)
        left, right = (tempo.sample_at(note_value_ticks(time)) for time in times)
        low, high = (
            1 - math.exp(-2 * math.pi * hz / tempo.sample_rate) for hz in (insert.low_cut_hz, insert.high_cut_hz)
        )
        return cls(insert, (left, right), low, high)

    @property
    def gap_frames(self) -> int:
        return sum(self.frames)

    def start(self) -> DelayState:
        return DelayState(np.zeros(self.frames[0]), np.zeros(self.frames[1]), np.zeros((3, 2)))

    def render(self, state: DelayState, block: Samples) -> Samples:
        p = self.insert
        return _run_delay(
            np.ascontiguousarray(block),
            p.ping_pong,
            p.feedback,
            self.low,
            self.high,
            p.mix,
            state.left,
            state.right,
            state.memory,
        )
