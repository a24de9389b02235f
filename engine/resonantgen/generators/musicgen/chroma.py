"""The melody of a sound, as MusicGen-melody is told it: which of the twelve pitch classes is strongest, frame by frame.

What `transformers` computes in MusicgenMelodyFeatureExtractor: a power spectrogram, gathered into pitch classes by a
bank of filters (D. Ellis, "Chroma feature analysis and synthesis", 2007, which librosa has too), and of each frame
the strongest alone. Its 4096 samples at 32 kHz are 7.8 frames a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot, pad

from resonantgen.audio.resample import resample
from resonantgen.errors import AudioError

CENTRE_OCTAVE, OCTAVES = 5.0, 2.0  # of the bell over all frequencies: its middle, in octaves above 27.5 Hz, and width


@dataclass(frozen=True, slots=True)
class ChromaSettings:
    """As the checkpoint's preprocessor_config.json has them; the defaults are the published model's."""

    sample_rate: int = 32000
    window_samples: int = 16384
    hop_samples: int = 4096
    bins: int = 12
    longest_seconds: int = 30  # of what is listened to


@torch.inference_mode()
def chroma(samples: NDArray[np.float64], sample_rate: int, settings: ChromaSettings) -> Tensor:
    """[frames, channels] at any sample rate -> [T, bins] float32: in each row a single 1.

    T is one more than the hops in it. Silence is C, which is what the model was told where there was no melody.
    Raises AudioError for sound that has no frames.
    """
    if not len(samples):
        raise AudioError("There is no sound to take a melody from.")
    mono = samples.mean(axis=1, keepdims=True)
    mono = resample(mono, sample_rate, settings.sample_rate)[: settings.longest_seconds * settings.sample_rate]
    strengths = _filters(settings) @ _powers(torch.from_numpy(mono[:, 0].astype(np.float32)), settings)
    return one_hot(strengths.argmax(dim=0), settings.bins).float()


def _powers(mono: Tensor, settings: ChromaSettings) -> Tensor:
    """Power spectrogram of [samples]: [window / 2 + 1, T], frames centred on the hops."""
    window = torch.hann_window(settings.window_samples)
    lacking = max(settings.window_samples - len(mono), 0)
    mono = pad(mono, (lacking // 2, lacking - lacking // 2))
    spectrum = torch.stft(
        mono,
        settings.window_samples,
        settings.hop_samples,
        window=window,
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return (spectrum.abs() / window.square().sum().sqrt()).square()


@cache
def _filters(settings: ChromaSettings) -> Tensor:
    """How much each frequency counts for each pitch class: [bins, window / 2 + 1]."""
    bins, size = settings.bins, settings.window_samples
    frequencies = np.arange(1, size) * (settings.sample_rate / size)
    pitches = bins * np.log2(frequencies / 27.5)  # in steps above A0
    pitches = np.concatenate([pitches[:1] - 1.5 * bins, pitches])  # 0 Hz: somewhere far below, between two classes
    widths = np.append(np.maximum(np.diff(pitches), 1.0), 1.0)  # low frequencies are further apart than pitches are
    distance = pitches - np.arange(bins)[:, np.newaxis]
    half = np.round(bins / 2)
    distance = np.remainder(distance + half, bins) - half  # to the nearest pitch of the class
    bells = np.exp(-0.5 * (2 * distance / widths) ** 2)
    bells /= np.linalg.norm(bells, axis=0)
    bells *= np.exp(-0.5 * ((pitches / bins - CENTRE_OCTAVE) / OCTAVES) ** 2)
    from_c = np.roll(bells, -3 * (bins // 12), axis=0)  # so far the first is A, 3 semitones below C
    return torch.from_numpy(from_c[:, : size // 2 + 1].astype(np.float32))
