"""Effects that follow the level: the compressor, and the keeper of a track's range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects import inserts
from resonantgen.instruments.jit import kernel

# The shelf's gain for a ratio of energies. 0.5 would do for a shelf that lowers all of the range alike; just above its
# corner, where most of what a driven bass has too much of lies, this one lowers far less.
SHELF_LAW = 0.95


@kernel
def _run_compressor(
    block: Samples,
    threshold: float,
    slope: float,
    knee: float,
    attack: float,
    release: float,
    makeup: float,
    mix: float,
    state: Samples,
) -> Samples:
    """Feed-forward, in decibels, with a smoothed branching peak detector. `state` [1]: the gain reduction in dB."""
    out = np.empty_like(block)
    reduction = state[0]
    wake = 10 ** ((threshold - knee / 2) / 20)
    for n in range(block.shape[0]):
        peak = max(abs(block[n, 0]), abs(block[n, 1]))
        wanted = 0.0
        if peak > wake:
            over = 20 * math.log10(peak) - threshold
            wanted = -slope * over if 2 * over > knee else -slope * (over + knee / 2) ** 2 / (2 * knee)
        coefficient = attack if wanted > reduction else release
        reduction = coefficient * reduction + (1 - coefficient) * wanted
        if reduction < 1e-9:
            reduction = 0.0
        gain = 1 - mix + mix * makeup * (10 ** (-reduction / 20) if reduction > 0 else 1.0)
        out[n, 0] = gain * block[n, 0]
        out[n, 1] = gain * block[n, 1]
    state[0] = reduction
    return out


@dataclass(slots=True)
class CompressorState:
    reduction_db: Samples  # [1]


@dataclass(frozen=True, slots=True)
class CompressorEffect:
    """See `inserts.Compressor`.

    D. Giannoulis, M. Massberg and J. Reiss, "Digital dynamic range compressor design", JAES 60 (2012).
    """

    insert: inserts.Compressor
    sample_rate: int

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> CompressorState:
        return CompressorState(np.zeros(1))

    def render(self, state: CompressorState, block: Samples) -> Samples:
        p = self.insert
        attack, release = (math.exp(-1000 / (ms * self.sample_rate)) for ms in (p.attack_ms, p.release_ms))
        makeup = 10 ** (p.makeup_db / 20)
        slope, knee = 1 / p.ratio - 1, max(p.knee_db, 1e-9)
        block = np.ascontiguousarray(block)
        return _run_compressor(block, p.threshold_db, slope, knee, attack, release, makeup, p.mix, state.reduction_db)


@kernel
def _split(x: float, tangent: float, memory: Samples, place: int, channel: int) -> tuple[float, float, float]:
    """Low, band and high output of a state-variable filter in trapezoidal form: low + sqrt(2) band + high = x.

    V. Zavalishin, "The art of VA filter design", 2012, ch. 4. Its integrators are the rows of `memory` from `place`.
    """
    first, second = memory[place, channel], memory[place + 1, channel]
    high = (x - (math.sqrt(2.0) + tangent) * first - second) / (1 + math.sqrt(2.0) * tangent + tangent * tangent)
    band = tangent * high + first
    low = tangent * band + second
    first, second = tangent * high + band, tangent * band + low
    memory[place, channel] = 0.0 if -1e-30 < first < 1e-30 else first
    memory[place + 1, channel] = 0.0 if -1e-30 < second < 1e-30 else second
    return low, band, high


@kernel
def _run_range_keeper(
    block: Samples,
    edge: float,
    corner: float,
    share: float,
    slow: float,
    fast: float,
    memory: Samples,
    follower: Samples,
) -> Samples:
    """`edge` and `corner` are tangents of half the angular frequencies above which energy counts and the shelf acts.

    `memory` [6, 2]: the integrators of the shelf and of two high-passes; `follower` [3]: energy in all, energy above
    the edge, and the shelf's gain.
    """
    out = np.empty_like(block)
    for n in range(block.shape[0]):
        power, high_power = 0.0, 0.0
        for c in range(2):
            _, _, once = _split(block[n, c], edge, memory, 2, c)
            _, _, twice = _split(once, edge, memory, 4, c)
            power += block[n, c] * block[n, c]
            high_power += twice * twice
        follower[0] += slow * (power - follower[0])
        follower[1] += slow * (high_power - follower[1])
        allowed = share / (1 - share) * (follower[0] - follower[1])
        wanted = 1.0
        if follower[1] > max(allowed, 1e-20):
            wanted = (max(allowed, 0.0) / follower[1]) ** SHELF_LAW
        follower[2] += fast * (wanted - follower[2])
        gain = follower[2]
        for c in range(2):
            low, band, high = _split(block[n, c], corner, memory, 0, c)
            out[n, c] = low + math.sqrt(2.0 * gain) * band + gain * high
    return out


@dataclass(slots=True)
class RangeKeeperState:
    memory: Samples
    follower: Samples


@dataclass(frozen=True, slots=True)
class RangeKeeper:
    """Keeps a track's energy below a frequency: a high shelf that gives way as far as it must, and no further.

    It compares running means of the energy above the frequency and of the whole, and lowers the shelf so far that the
    part above stays within `share`. A sound that keeps to its range passes untouched.
    """

    frequency_hz: float
    share: float
    sample_rate: int

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> RangeKeeperState:
        # The energies start at -30 dBFS, not at 0: one attack alone, before the note's body, should not move the shelf.
        return RangeKeeperState(np.zeros((6, 2)), np.array([1e-3, 0.0, 1.0]))

    def render(self, state: RangeKeeperState, block: Samples) -> Samples:
        edge = math.tan(math.pi * self.frequency_hz / self.sample_rate)
        corner = math.tan(math.pi * 0.8 * self.frequency_hz / self.sample_rate)
        slow, fast = 1 / (0.4 * self.sample_rate), 1 / (0.02 * self.sample_rate)
        block = np.ascontiguousarray(block)
        return _run_range_keeper(block, edge, corner, self.share, slow, fast, state.memory, state.follower)
