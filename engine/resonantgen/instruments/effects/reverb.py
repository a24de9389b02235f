"""A feedback delay network.

Eight delay lines, mixed by a Hadamard matrix, each with the gain and the one-pole filter that give the same decay time
in all of them (J.-M. Jot and A. Chaigne, "Digital delay networks for designing artificial reverberators", AES 90,
1991). Two all-passes a side spread what comes in (M. Schroeder, "Natural sounding artificial reverberation", JAES 10,
1962), and half of the lines move a little in length so that no tone rings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects import inserts
from resonantgen.instruments.effects.filters import Filter, FilterState, section
from resonantgen.instruments.jit import kernel
from resonantgen.music.time import TempoMap

LINES = 8
LINE_SECONDS = (0.0297, 0.0353, 0.0411, 0.0461, 0.0523, 0.0593, 0.0677, 0.0769)  # at size 1; no common divisors
DIFFUSER_SECONDS = ((0.0047, 0.0083), (0.0053, 0.0091))  # [side, stage]
DIFFUSION = 0.6
HADAMARD_SCALE = 1 / math.sqrt(LINES)  # keeps the energy of what goes round
SWAY_SECONDS, SWAY_HZ = 0.00012, 0.45  # how far and how fast the lines' lengths move


@kernel
def _run_reverb(
    block: Samples,
    dry: Samples,
    mix: float,
    lengths: NDArray[np.int64],
    gains: Samples,
    poles: Samples,
    diffusers: NDArray[np.int64],
    sway: float,
    step: float,
    lines: Samples,
    damped: Samples,
    spread: Samples,
    wait: Samples,
    place: NDArray[np.int64],
    turn: Samples,
) -> Samples:
    """`block` is what is sent, `dry` what it is added to, both [frames, 2].

    Rings: `lines` [longest, 8] with room for the sway, `spread` [longest, side * stage], `wait` [predelay + 1, 2];
    `place` holds the rings' positions: lines, spread, wait. `turn` is the cosine and sine of the sway.
    """
    out = np.empty_like(dry)
    size, spread_size, wait_size = lines.shape[0], spread.shape[0], wait.shape[0]
    write, spread_write, wait_write = place[0], place[1], place[2]
    cosine, sine = turn[0], turn[1]
    turn_cos, turn_sin = math.cos(step), math.sin(step)
    x = np.empty(8)
    sent = np.empty(2)
    for n in range(block.shape[0]):
        for c in range(2):
            wait[wait_write, c] = block[n, c]
        wait_write = wait_write + 1 if wait_write + 1 < wait_size else 0
        for c in range(2):
            y = wait[wait_write, c]
            for stage in range(2):
                k = 2 * c + stage
                read = spread_write - diffusers[k]
                past = spread[read if read >= 0 else read + spread_size, k]
                v = y - DIFFUSION * past
                spread[spread_write, k] = 0.0 if -1e-30 < v < 1e-30 else v
                y = past + DIFFUSION * v
            sent[c] = y
        spread_write = spread_write + 1 if spread_write + 1 < spread_size else 0

        for k in range(4):  # the lines that sway, between two frames
            back = lengths[k] + sway * (sine if k == 0 else cosine if k == 1 else -sine if k == 2 else -cosine)
            whole = int(back)
            part = back - whole
            read = write - whole
            first = lines[read if read >= 0 else read + size, k]
            second = lines[read - 1 if read >= 1 else read - 1 + size, k]
            x[k] = first + part * (second - first)
        for k in range(4, 8):
            read = write - lengths[k]
            x[k] = lines[read if read >= 0 else read + size, k]
        for k in range(8):
            y = gains[k] * x[k] + poles[k] * damped[k]
            damped[k] = 0.0 if -1e-30 < y < 1e-30 else y
            x[k] = y
        left = x[0] - x[2] + x[4] - x[6]
        right = x[1] - x[3] + x[5] - x[7]
        out[n, 0] = dry[n, 0] + mix * left
        out[n, 1] = dry[n, 1] + mix * right

        for k in range(0, 8, 2):  # the fast Hadamard transform, in three rounds
            x[k], x[k + 1] = x[k] + x[k + 1], x[k] - x[k + 1]
        for k in (0, 1, 4, 5):
            x[k], x[k + 2] = x[k] + x[k + 2], x[k] - x[k + 2]
        for k in range(4):
            x[k], x[k + 4] = x[k] + x[k + 4], x[k] - x[k + 4]
        for k in range(8):
            lines[write, k] = HADAMARD_SCALE * x[k] + sent[k % 2]
        write = write + 1 if write + 1 < size else 0
        cosine, sine = cosine * turn_cos - sine * turn_sin, sine * turn_cos + cosine * turn_sin
    place[0], place[1], place[2] = write, spread_write, wait_write
    turn[0], turn[1] = cosine, sine
    return out


@dataclass(slots=True)
class ReverbState:
    send: FilterState
    lines: Samples
    damped: Samples
    spread: Samples
    wait: Samples
    place: NDArray[np.int64]
    turn: Samples


@dataclass(frozen=True, slots=True)
class ReverbEffect:
    """See `inserts.Reverb`."""

    send: Filter
    mix: float  # times the gain that makes the reverb of noise as strong as the noise
    lengths: NDArray[np.int64]
    gains: Samples  # of each line's damping filter at its input
    poles: Samples
    diffusers: NDArray[np.int64]
    predelay_frames: int
    sway: float
    step: float

    @classmethod
    def of(cls, insert: inserts.Reverb, tempo: TempoMap) -> ReverbEffect:
        rate = tempo.sample_rate
        lengths = np.array([round(seconds * insert.size * rate) | 1 for seconds in LINE_SECONDS])
        # Each round through a line takes off what its length asks for: 60 dB in `decay_seconds`, sooner at the top.
        gains = 10 ** (-3 * lengths / (insert.decay_seconds * rate))
        top = gains ** (1 / insert.high_decay - 1)
        poles = (1 - top) / (1 + top)
        diffusers = np.array([round(seconds * rate) | 1 for side in DIFFUSER_SECONDS for seconds in side])
        kept = float(np.mean(gains**2))
        level = math.sqrt((1 - kept) / kept / 4)  # of four lines, each with the energy of all its rounds
        return cls(
            send=Filter(section("high_pass", insert.low_cut_hz, rate)),
            mix=insert.mix * level,
            lengths=lengths,
            gains=gains * (1 - poles),
            poles=poles,
            diffusers=diffusers,
            predelay_frames=round(insert.predelay_ms / 1000 * rate),
            sway=SWAY_SECONDS * rate,
            step=2 * math.pi * SWAY_HZ / rate,
        )

    @property
    def gap_frames(self) -> int:
        return self.predelay_frames + 2 * int(self.lengths.max())

    def start(self) -> ReverbState:
        return ReverbState(
            send=self.send.start(),
            lines=np.zeros((int(self.lengths.max()) + math.ceil(self.sway) + 2, LINES)),
            damped=np.zeros(LINES),
            spread=np.zeros((int(self.diffusers.max()) + 1, len(self.diffusers))),
            wait=np.zeros((self.predelay_frames + 1, 2)),
            place=np.zeros(3, np.int64),
            turn=np.array([1.0, 0.0]),
        )

    def render(self, state: ReverbState, block: Samples) -> Samples:
        return _run_reverb(
            self.send.render(state.send, block),
            np.ascontiguousarray(block),
            self.mix,
            self.lengths,
            self.gains,
            self.poles,
            self.diffusers,
            self.sway,
            self.step,
            state.lines,
            state.damped,
            state.spread,
            state.wait,
            state.place,
            state.turn,
        )
