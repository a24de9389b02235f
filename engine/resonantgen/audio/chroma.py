"""Which notes sound in a piece, frame by frame, and their pitch classes.

A spectrum on a logarithmic frequency axis is explained as a sum of notes with harmonics, none of them negative, so that
a low note's overtones are not taken for notes of their own (M. Mauch, S. Dixon, "Approximate note transcription for the
improved identification of difficult chords", ISMIR 2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from resonantgen.audio.pcm import Pcm, mono_parts
from resonantgen.audio.resample import resampled_frames

Array = NDArray[np.float64]

CHROMA_RATE, WINDOW, HOP = 11_025, 4096, 735
FRAMES_PER_SECOND = CHROMA_RATE / HOP  # 15
PER_SEMITONE = 3
LOWEST, HIGHEST = 28, 95  # the keys that are looked for
TOP = 118  # the highest key whose frequency is in the spectrum, for harmonics
HARMONICS, DECAY = 16, 0.75
ITERATIONS = 40
BASS_KEYS, TREBLE_KEYS = (28, 52), (48, 88)


@dataclass(frozen=True, slots=True, eq=False)
class NoteLevels:
    """How strongly each key sounds, around frame k / FRAMES_PER_SECOND seconds."""

    strengths: Array  # [frames, HIGHEST - LOWEST + 1], amplitudes as the spectrum has them, never negative
    tuning: float  # by how many semitones the piece is above 440 Hz, -0.5 to 0.5

    def changes(self) -> Array:
        """How much the harmony changes at each frame, [frames], 0 to 1.

        It is the cosine distance of what sounds in the quarter of a second before and after, the bass counted apart.
        """
        around = np.concatenate([self.between(LOWEST, 49), self.between(50, HIGHEST)], axis=1)
        reach = round(0.27 * FRAMES_PER_SECOND)
        sums = np.cumsum(np.pad(around, ((reach + 1, reach), (0, 0))), axis=0)
        count = len(around)
        before = sums[reach : reach + count] - sums[:count]
        after = sums[2 * reach : 2 * reach + count] - sums[reach : reach + count]
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        silent = np.linalg.norm(before, axis=1) + np.linalg.norm(after, axis=1) < 1e-6
        return np.asarray(np.where(silent, 0.0, 1 - (before * after).sum(axis=1) / np.maximum(lengths, 1e-9)))

    def between(self, low: int, high: int) -> Array:
        """The strengths of the keys from low to high (both of them), as pitch classes, [frames, 12]."""
        low, high = max(low, LOWEST), min(high, HIGHEST)
        chroma = np.zeros((len(self.strengths), 12))
        for key in range(low, high + 1):
            chroma[:, key % 12] += self.strengths[:, key - LOWEST]
        return chroma


def note_levels(samples: Pcm, sample_rate: int) -> NoteLevels:
    """The notes of [frames, channels]. The sound is taken in parts."""
    spectra = [_log_spectrum(frames) for frames in _windows(samples, sample_rate)]
    spectrum = np.concatenate(spectra)
    tuning = _tuning(spectrum)
    shifted = ndimage.shift(spectrum, (0, -tuning * PER_SEMITONE), order=1, mode="nearest")
    return NoteLevels(_explain(_flattened(shifted)), tuning)


def _windows(samples: Pcm, sample_rate: int) -> Iterator[Array]:
    """Overlapping stretches of the piece at CHROMA_RATE, the k-th centred on frame k * HOP, [some, WINDOW] each."""
    count = resampled_frames(len(samples), sample_rate, CHROMA_RATE) // HOP + 1
    waiting, given = np.zeros(WINDOW // 2), 0
    for part in chain(mono_parts(samples, sample_rate, CHROMA_RATE), [np.zeros(WINDOW)]):
        waiting = np.concatenate([waiting, part])
        ready = min((len(waiting) - WINDOW) // HOP + 1, count - given)
        if len(waiting) >= WINDOW and ready > 0:
            yield np.lib.stride_tricks.sliding_window_view(waiting, WINDOW)[::HOP][:ready]
            waiting, given = waiting[ready * HOP :], given + ready


@cache
def _log_bins() -> Array:
    """The weight of each bin of a spectrum in each third of a semitone, [WINDOW // 2 + 1, thirds]."""
    keys = LOWEST - 1 + np.arange((TOP - LOWEST + 2) * PER_SEMITONE) / PER_SEMITONE
    centres = 440 * 2 ** ((keys - 69) / 12) * WINDOW / CHROMA_RATE
    bins = np.arange(WINDOW // 2 + 1)
    width = np.maximum(centres * (2 ** (1 / 12 / PER_SEMITONE) - 1), 1.0)
    weights = np.maximum(1 - np.abs(bins[:, None] - centres) / width, 0.0)
    return np.asarray(weights / np.maximum(weights.sum(axis=0), 1e-9))


def _log_spectrum(frames: Array) -> Array:
    """Magnitudes on the logarithmic axis of [n, WINDOW], [n, thirds]."""
    window = signal.get_window("hann", WINDOW)
    found: Array = np.abs(np.fft.rfft(frames * window, axis=1)) / (WINDOW / 4) @ _log_bins()
    return found


def _tuning(spectrum: Array) -> float:
    """By how many semitones the spectrum is off, where most of it is."""
    whole = spectrum.sum(axis=0)
    turns = np.exp(-2j * np.pi * np.arange(len(whole)) / PER_SEMITONE)
    return float(-np.angle((whole * turns).sum()) / (2 * np.pi)) if whole.any() else 0.0


def _flattened(spectrum: Array) -> Array:
    """What stands out of the spectrum around, an octave wide, evened out to the same spread everywhere."""
    width = 12 * PER_SEMITONE + 1
    mean = ndimage.uniform_filter1d(spectrum, width, axis=1)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter1d(spectrum**2, width, axis=1) - mean**2, 0.0))
    level = float(spread.max(initial=0.0))
    if level <= 1e-9:
        return np.zeros_like(spectrum)
    above = np.maximum(spectrum - mean, 0.0)
    return np.asarray(above / np.sqrt(np.maximum(spread, 1e-3 * level)))


@cache
def _dictionary() -> Array:
    """The spectrum of each key, [keys, thirds], of length 1."""
    notes = []
    blank = np.zeros((TOP - LOWEST + 2) * PER_SEMITONE)
    window = np.array([0.3, 0.8, 1.0, 0.8, 0.3])
    for key in range(LOWEST, HIGHEST + 1):
        note = blank.copy()
        for number in range(1, HARMONICS + 1):
            at = round((key - LOWEST + 1 + 12 * np.log2(number)) * PER_SEMITONE)
            for k, weight in enumerate(window, start=-2):
                if at + k < len(note):
                    note[at + k] += weight * DECAY ** (number - 1)
        notes.append(note / np.linalg.norm(note))
    return np.array(notes)


def _explain(spectrum: Array) -> Array:
    """Strengths of the keys, none negative, that explain the spectrum best, [frames, keys]: multiplicative updates."""
    dictionary = _dictionary()
    gram = dictionary @ dictionary.T
    target = spectrum @ dictionary.T
    strengths = target.copy()
    for _ in range(ITERATIONS):
        strengths *= target / np.maximum(strengths @ gram, 1e-12)
    return strengths
