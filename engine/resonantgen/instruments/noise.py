"""A voice's noise: breath, hammer thumps, pick scratches. Each note has its own, from its seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TICK = 32
SILENT = 1e-5  # noise below -100 dB is left out


@kernel
def add_noise(
    seed: NDArray[np.int64],
    g: float,
    damping: float,
    band: float,
    level: float,
    envelope: NDArray[np.float64],
    memory: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add white noise through a low-pass (`band` 0) or band-pass (1) to `out` [channels, ticks * TICK].

    g: tan(pi * f / rate); damping: 1 / Q; envelope: [ticks + 1]; memory: [channels, 2].
    The generator is Numerical Recipes' linear congruential one, of period 2**32; only its upper bits matter here.
    """
    channels, frames = out.shape
    for tick in range(frames // TICK):
        loud = envelope[tick] * level
        slope = (envelope[tick + 1] - envelope[tick]) * level / TICK
        if max(envelope[tick], envelope[tick + 1]) < SILENT:
            continue
        for frame in range(tick * TICK, (tick + 1) * TICK):
            for channel in range(channels):
                seed[channel] = (seed[channel] * 1664525 + 1013904223) & 0xFFFFFFFF
                value = seed[channel] * (1.0 / 2147483648.0) - 1.0
                first, second = memory[channel, 0], memory[channel, 1]
                high = (value - (g + damping) * first - second) / (1.0 + g * (g + damping))
                middle = g * high + first
                low = g * middle + second
                memory[channel, 0] = g * high + middle
                memory[channel, 1] = g * middle + low
                out[channel, frame] += loud * (low + band * (damping * middle - low))
            loud += slope
