"""Struck bodies as banks of decaying partials: piano strings, bars, bells, combs.

Each partial is a complex number that turns and shrinks. A tick of it is that number times the partial's first 32
powers, which the compiler turns into vector code; then it is moved on by the 32nd.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel
from resonantgen.instruments.modulation import FALL

TICK = 32
SILENT = 1e-5  # a partial below -100 dB is left out from then on


def turning(frequency: NDArray[np.float64], decay_s: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Real and imaginary parts of each partial's powers 0 to 32: [partials, 2, TICK + 1]; frequency in Hz."""
    rate = 2j * np.pi * frequency / sample_rate - FALL / (decay_s * sample_rate)
    powers = np.exp(rate[:, np.newaxis] * np.arange(TICK + 1))
    return np.ascontiguousarray(np.stack([powers.real, powers.imag], axis=1))


@kernel
def ring_modes(powers: NDArray[np.float64], state: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Add a bank to `out` [channels, ticks * TICK] and move it on.

    powers: from `turning`.  state: [partials, 2], real and imaginary part of each partial.
    """
    channels, frames = out.shape
    for partial in range(len(state)):
        real, imaginary = state[partial, 0], state[partial, 1]
        across, up = powers[partial, 0], powers[partial, 1]
        for tick in range(frames // TICK):
            if abs(real) + abs(imaginary) < SILENT:
                real, imaginary = 0.0, 0.0
                break
            start = tick * TICK
            for channel in range(channels):
                for frame in range(TICK):
                    out[channel, start + frame] += real * across[frame] - imaginary * up[frame]
            real, imaginary = real * across[TICK] - imaginary * up[TICK], real * up[TICK] + imaginary * across[TICK]
        state[partial, 0], state[partial, 1] = real, imaginary
