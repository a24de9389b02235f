"""Band-limited oscillators: a wave is a set of tables, each with only the harmonics that fit below Nyquist.

Tables are a third of an octave apart, so a tone keeps all but the harmonics in the last third below Nyquist, and a
change of table while the pitch moves cannot be heard. With 4,096 points and at most 1,024 harmonics, linear
interpolation leaves no alias above -80 dB of a saw's fundamental (docs/decisions/0030). Phases are 32-bit fixed point:
they wrap exactly.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

TABLE_SIZE = 4096
LEVELS_PER_OCTAVE = 3
MOST_HARMONICS = 1024
LEVELS = LEVELS_PER_OCTAVE * 10 + 1  # from 1,024 harmonics down to the fundamental alone
FRACTION = 2.0**-20  # of the phase's lower bits, those between two points of a table
TICK = 32  # frames for which pitch and pulse width stand still

Tables = NDArray[np.float32]  # [LEVELS, TABLE_SIZE + 1]; the last point repeats the first


@cache
def wave_tables(wave: str, harmonics: tuple[float, ...] = ()) -> Tables:
    """The tables of "sine", "triangle", "saw" or "square", or of "harmonics" with the given amplitudes from the first.

    Waves start at a rising zero crossing where they have one, and have no DC. Saw and square reach from -1 to 1; a wave
    of harmonics is scaled to the power of a sine.
    """
    number = np.arange(1, MOST_HARMONICS + 1)
    if wave == "sine":
        amplitudes = (number == 1).astype(np.float64)
    elif wave == "saw":
        amplitudes = 2.0 / (np.pi * number)
    elif wave == "square":
        amplitudes = np.where(number % 2 == 1, 4.0 / (np.pi * number), 0.0)
    elif wave == "triangle":
        amplitudes = np.where(number % 2 == 1, 8.0 / (np.pi * number) ** 2 * (-1.0) ** (number // 2), 0.0)
    else:
        amplitudes = np.zeros(MOST_HARMONICS)
        amplitudes[: len(harmonics)] = harmonics
        amplitudes /= np.sqrt(np.sum(amplitudes**2))
    tables = np.empty((LEVELS, TABLE_SIZE + 1), np.float32)
    for level in range(LEVELS):
        spectrum = np.zeros(TABLE_SIZE // 2 + 1, np.complex128)
        kept = int(MOST_HARMONICS * 2.0 ** (-level / LEVELS_PER_OCTAVE))
        spectrum[1 : kept + 1] = -0.5j * TABLE_SIZE * amplitudes[:kept]
        tables[level, :-1] = np.fft.irfft(spectrum)
        tables[level, -1] = tables[level, 0]
    tables.setflags(write=False)
    return tables


@kernel
def oscillate(
    tables: Tables,
    wave: NDArray[np.int64],
    pulse: NDArray[np.bool_],
    ratio: NDArray[np.float64],
    gain: NDArray[np.float64],
    phase: NDArray[np.int64],
    increment: NDArray[np.float64],
    width: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add all of a voice's oscillators to `out`, [channels, ticks * TICK], and move their phases on.

    tables: [waves, LEVELS, TABLE_SIZE + 1].  Per oscillator: wave, pulse (a saw minus the same saw shifted by `width`),
    ratio to the voice's pitch, gain [oscillators, channels], phase (in 2**-32 cycles).  Per tick: increment (cycles per
    frame at the voice's pitch, [ticks + 1]) and width (of a cycle, [ticks + 1]).
    """
    channels, frames = out.shape
    values = np.empty(TICK)
    for oscillator in range(len(wave)):
        for tick in range(frames // TICK):
            step = 0.5 * (increment[tick] + increment[tick + 1]) * ratio[oscillator]
            if step >= 0.5:
                continue
            # The smallest level whose highest harmonic lies below Nyquist.
            row = int(np.ceil(LEVELS_PER_OCTAVE * np.log2(2.0 * MOST_HARMONICS * step)))
            table = tables[wave[oscillator], min(max(row, 0), LEVELS - 1)]
            delta = int(step * 4294967296.0)
            position = phase[oscillator]
            for frame in range(TICK):
                index = position >> 20
                values[frame] = table[index] + (table[index + 1] - table[index]) * ((position & 0xFFFFF) * FRACTION)
                position = (position + delta) & 0xFFFFFFFF
            if pulse[oscillator]:
                shifted = (phase[oscillator] + int(width[tick] * 4294967296.0)) & 0xFFFFFFFF
                for frame in range(TICK):
                    index = shifted >> 20
                    values[frame] -= table[index] + (table[index + 1] - table[index]) * ((shifted & 0xFFFFF) * FRACTION)
                    shifted = (shifted + delta) & 0xFFFFFFFF
            for channel in range(channels):
                level = gain[oscillator, channel]
                for frame in range(TICK):
                    out[channel, tick * TICK + frame] += level * values[frame]
            phase[oscillator] = position
