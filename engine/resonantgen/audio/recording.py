"""A recording onto a project's bars: cut at its first bar, stretched to the tempo, repeated, a loop, at a loudness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.loop import close_loop
from resonantgen.audio.sound_file import Window, read_window
from resonantgen.errors import ModelUnusable
from resonantgen.instruments.base import Samples
from resonantgen.instruments.stem import Stem, at_loudness
from resonantgen.music.time import TempoMap

Array = NDArray[np.float64]

MARGIN_SECONDS = 0.25  # of the recording on each side of what is used, so that filters and the seam have lived through
SEAM_SECONDS = 0.03
FADE_SECONDS = 0.005  # where sound ends that goes on in the file, or the file itself ends
MOST_AT_ONCE = 6.0  # times that sound is stretched in one step


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a file is to become a loop: so many bars at its own tempo from a time."""

    start_seconds: float
    tempo_bpm: Fraction
    bars: int

    def seconds(self, tempo: TempoMap) -> float:
        """How long that is, in the meter of a tempo."""
        return tempo.seconds(self.bars * tempo.meter.bar_ticks) * self.ratio(tempo) ** -1

    def ratio(self, tempo: TempoMap) -> float:
        """The length at another tempo over its own."""
        return float(self.tempo_bpm / tempo.tempo_bpm)


def loop_of(path: Path, cut: Cut, tempo: TempoMap, bars: int, loudness_lufs: float) -> Stem:
    """The piece of a file as a loop of exactly so many bars, [tempo.frames(bars), 2]; it is repeated to fill them.

    Silence stays silent, and where the file ends before its last bar does, the rest is silence. Raises AudioError, and
    ModelUnusable where it has to be stretched and what does that is not installed.
    """
    seconds = cut.seconds(tempo)
    start = cut.start_seconds - MARGIN_SECONDS
    window = read_window(path, start, seconds + 2 * MARGIN_SECONDS + min(start, 0.0), tempo.sample_rate)
    frames = tempo.frames(cut.bars)
    sound = _faded_out(window.samples, tempo.sample_rate)
    sound = _stretched(sound, cut.ratio(tempo), tempo.sample_rate)
    piece = _piece(sound, window, cut, tempo, frames)
    loop = _repeated(piece, cut.bars, tempo, bars)
    loop -= loop.mean(axis=0)
    return at_loudness(loop, tempo.sample_rate, loudness_lufs)


def _piece(sound: Array, window: Window, cut: Cut, tempo: TempoMap, frames: int) -> Samples:
    """The bars themselves, [frames, 2], their end leading to their start."""
    rate = tempo.sample_rate
    at = round((cut.start_seconds - window.start_seconds) * cut.ratio(tempo) * rate)
    missing = at + frames - len(sound)
    if missing > 0:
        return np.pad(sound[at:], ((0, frames - max(len(sound) - at, 0)), (0, 0)))[:frames]
    return close_loop(sound, at, frames, round(SEAM_SECONDS * rate))


def _repeated(piece: Samples, piece_bars: int, tempo: TempoMap, bars: int) -> Samples:
    """As many bars as asked for; where they are no multiple, the last time is cut at a bar line."""
    loop = np.zeros((tempo.frames(bars), 2))
    for bar in range(0, bars, piece_bars):
        start, end = tempo.bar_sample(bar), tempo.bar_sample(min(bar + piece_bars, bars))
        loop[start:end] = np.take(piece, np.arange(end - start), axis=0, mode="wrap")  # one frame more at most
    if bars % piece_bars:
        loop = _faded_out(loop, tempo.sample_rate)
    return loop


def _faded_out(sound: Array, sample_rate: int) -> Array:
    count = min(round(FADE_SECONDS * sample_rate), len(sound))
    faded = sound.copy()
    faded[len(sound) - count :] *= np.linspace(1.0, 0.0, count)[:, None]
    return faded


def _stretched(sound: Array, ratio: float, sample_rate: int) -> Array:
    if ratio == 1.0 or not len(sound):
        return sound
    try:
        from resonantgen.audio.stretch import stretch
    except ModuleNotFoundError as error:
        raise ModelUnusable(
            f"{error.name} is missing, which brings a recording to another tempo. Install it with: "
            "pip install 'resonantgen[neural]'"
        ) from None
    steps = 1 if 1 / MOST_AT_ONCE < ratio < MOST_AT_ONCE else 2
    frames = round(len(sound) * ratio)
    for left in range(steps - 1, -1, -1):
        sound = stretch(sound, frames if not left else round(len(sound) * math.sqrt(ratio)), sample_rate)
    return sound
