"""Integrated loudness after ITU-R BS.1770-4, in LUFS.

Our own because importing pyloudnorm brings in scipy.signal, which costs more time than rendering a stem: see
docs/decisions/0050-own-loudness-meter.md. The tests hold it to pyloudnorm.
"""

from __future__ import annotations

import math

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects.filters import Filter, Sections, section

SILENCE_LUFS = -math.inf
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
BLOCK_SECONDS, STEPS_PER_BLOCK = 0.4, 4
CHUNK_FRAMES = 1 << 18  # weighted at a time: a long stem's weighted copy would be 100 MB


def k_weighting(sample_rate: int) -> Sections:
    """The head's high shelf and the ear's low cut, [2, 5], as pyloudnorm has them for any sample rate."""
    shelf = section("high_shelf", 1500.0, sample_rate, 4.0, math.sqrt(0.5))
    return np.concatenate([shelf, section("high_pass", 38.0, sample_rate, q=0.5)])


def integrated_loudness(samples: Samples, sample_rate: int) -> float:
    """Gated loudness of [frames, 2] in LUFS; -inf for silence. A clip shorter than a gating block counts as a loop."""
    return gated_loudness(block_powers(samples, sample_rate))


def block_powers(samples: Samples, sample_rate: int) -> Samples:
    """Mean square of the weighted sound in each gating block, [blocks]. A gain changes it by the gain's square."""
    shortest = math.ceil(BLOCK_SECONDS * sample_rate)
    if len(samples) < shortest:
        samples = np.tile(samples, (-(-shortest // max(len(samples), 1)), 1))
    energy = _running_energy(samples, sample_rate)
    step = BLOCK_SECONDS / STEPS_PER_BLOCK * sample_rate
    blocks = round(len(samples) / step) - STEPS_PER_BLOCK + 1  # the last may lack up to half a step, as in pyloudnorm
    edges = np.minimum((np.arange(blocks + STEPS_PER_BLOCK) * step).astype(np.int64), len(samples))
    sums: Samples = energy[edges[STEPS_PER_BLOCK:]] - energy[edges[:-STEPS_PER_BLOCK]]
    return sums / (BLOCK_SECONDS * sample_rate)


def _running_energy(samples: Samples, sample_rate: int) -> Samples:
    """Sum of the squares of the weighted sound before each frame and at the end, [frames + 1]."""
    weighting = Filter(k_weighting(sample_rate))
    state = weighting.start()
    energy = np.zeros(len(samples) + 1)
    for start in range(0, len(samples), CHUNK_FRAMES):
        weighted = weighting.render(state, samples[start : start + CHUNK_FRAMES])
        power = np.einsum("nc,nc->n", weighted, weighted)
        power[0] += energy[start]
        np.cumsum(power, out=energy[start + 1 : start + 1 + len(power)])
    return energy


def gated_loudness(powers: Samples) -> float:
    """Loudness in LUFS of blocks of these powers: the mean of those that pass both gates; -inf if none does."""
    powers = powers[powers >= _power(ABSOLUTE_GATE_LUFS)]
    if len(powers) == 0:
        return SILENCE_LUFS
    powers = powers[powers > _power(_lufs(float(powers.mean())) + RELATIVE_GATE_LU)]
    return _lufs(float(powers.mean()))


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))
