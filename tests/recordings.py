"""Recordings for tests of import: a few bars of chords over a beat, at a tempo, as files of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

AM_F_C_G = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))


def chords(
    tempo_bpm: float = 120.0,
    bars: int = 4,
    *,
    sample_rate: int = 44_100,
    start_seconds: float = 0.0,
    tones: Sequence[Sequence[int]] = AM_F_C_G,
) -> NDArray[np.float64]:
    """Strummed quarters, a chord a bar, the downbeat the loudest, [frames, 1]."""
    quarter = 60 / tempo_bpm
    length = round((start_seconds + bars * 4 * quarter) * sample_rate)
    sound = np.zeros(length)
    for beat in range(bars * 4):
        at = round((start_seconds + beat * quarter) * sample_rate)
        seconds = np.arange(min(round(0.9 * quarter * sample_rate), length - at)) / sample_rate
        level = (1.0 if beat % 4 == 0 else 0.5) * np.exp(-4 * seconds)
        for key in tones[beat // 4 % len(tones)]:
            hertz = 440 * 2 ** ((key - 69) / 12)
            tone = sum(np.sin(2 * np.pi * hertz * n * seconds) / n for n in (1, 2, 3))
            sound[at : at + len(seconds)] += 0.15 * level * tone
    return sound[:, None]


def write(path: Path, sound: NDArray[np.float64], sample_rate: int = 44_100, **kind: str) -> Path:
    """As `soundfile.write` has it: subtype="PCM_24", format="CAF"."""
    soundfile.write(path, sound, sample_rate, **kind)
    return path
