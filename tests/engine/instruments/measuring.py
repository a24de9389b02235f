"""Facts about sounds that the instrument tests check."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.base import Macros, NoteEvent, Samples
from resonantgen.instruments.patch import Patch
from resonantgen.instruments.synth import PatchInstrument
from resonantgen.music.notes import Role
from resonantgen.presets import presets_folder

RATE = 48_000
TEMPO_BPM = 120.0
PITCHED = (Role.BASS, Role.HARMONY, Role.MELODY)
MIDDLE_KEY = {Role.BASS: 36, Role.HARMONY: 60, Role.MELODY: 72}
PATCHES = [
    (role, path.stem)
    for role in PITCHED
    for path in sorted((presets_folder() / "instruments" / role.value).glob("*.toml"))
]


def play_note(
    patch: Patch,
    key: int,
    macros: Macros = Macros(),  # noqa: B008 - a frozen value
    *,
    seconds: float = 0.5,
    tail: bool = False,
    velocity: float = 0.8,
    seed: int = 5,
) -> Samples:
    """One note from frame 0, [frames, 2]: as long as it is held, and with `tail` until it is silent."""
    instrument = PatchInstrument(patch, macros, RATE, TEMPO_BPM)
    held = round(seconds * RATE)
    frames = held + (instrument.tail_frames if tail else 0)
    return instrument.render(instrument.start(), [NoteEvent(0, held, key, velocity, seed)], frames)


def key_hz(key: float) -> float:
    return float(440.0 * 2.0 ** ((key - 69.0) / 12.0))


def power_spectrum(samples: Samples, rate: int = RATE) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in Hz, and the power at each, both channels together, under a Hann window."""
    windowed = samples * np.hanning(len(samples))[:, np.newaxis]
    power = np.sum(np.abs(np.fft.rfft(windowed, axis=0)) ** 2, axis=1)
    return np.fft.rfftfreq(len(samples), 1.0 / rate), power


def rms_db(samples: Samples) -> float:
    return float(10.0 * np.log10(np.mean(samples**2) + 1e-20))


def crest_db(samples: Samples) -> float:
    return float(20.0 * np.log10(np.max(np.abs(samples))) - rms_db(samples))


def centroid_hz(samples: Samples, rate: int = RATE) -> float:
    """The mean frequency, weighted by magnitude, of what lies above 20 Hz."""
    hz, power = power_spectrum(samples, rate)
    magnitude = np.sqrt(power) * (hz > 20.0)
    return float(np.sum(hz * magnitude) / np.sum(magnitude))


def share_below(samples: Samples, limit_hz: float, rate: int = RATE) -> float:
    """Part of the energy that lies below `limit_hz`."""
    power = np.sum(np.abs(np.fft.rfft(samples, axis=0)) ** 2, axis=1)
    below = np.fft.rfftfreq(len(samples), 1.0 / rate) < limit_hz
    return float(power[below].sum() / power.sum())


def cents_off(samples: Samples, hz: float, rate: int = RATE) -> float:
    """How far a tone is from `hz`: the mean of what lies within 50 cents of it, weighted by power.

    The mean, not the peak, because a detuned unison has several peaks around its pitch.
    """
    mono = samples.sum(axis=1) * np.hanning(len(samples))
    size = 1 << len(mono).bit_length()
    power = np.abs(np.fft.rfft(mono, size))[1:] ** 2
    cents = 1200.0 * np.log2(np.fft.rfftfreq(size, 1.0 / rate)[1:] / hz)
    near = np.abs(cents) < 50.0
    return float(np.sum(power[near] * cents[near]) / np.sum(power[near]))


def sounding_seconds(samples: Samples, rate: int = RATE) -> float:
    """Until when the level, in windows of 10 ms, stays above -45 dB of its loudest."""
    size = rate // 100
    windows = samples[: len(samples) // size * size].reshape(-1, size * 2)
    level = np.sqrt(np.mean(windows**2, axis=1))
    return float((np.flatnonzero(level > 10.0 ** (-45.0 / 20.0) * level.max())[-1] + 1) * size / rate)
