"""Sound made longer or shorter at the same pitch.

The stretching is Signalsmith Stretch's (MIT, https://signalsmith-audio.co.uk/writing/2023/stretch-design/), a phase
vocoder that keeps onsets where they belong. The same input always gives the same samples.
"""

from __future__ import annotations

import numpy as np
import python_stretch
from numpy.typing import NDArray

from resonantgen.audio.loop import close_loop
from resonantgen.audio.resample import resample_loop
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.stem import at_loudness

SHORTEST, LONGEST = 1 / 8, 8.0  # what a length can be multiplied by
SEED = 1  # of the stretcher's own noise
LAP_SECONDS = 0.5  # of a loop that is stretched again on each side of it, so that the cut has lived through its ends
SEAM_SECONDS = 0.03


def stretch(samples: NDArray[np.float64], frames: int, sample_rate: int) -> NDArray[np.float64]:
    """[any frames, channels] as exactly `frames` frames, [frames, channels]."""
    if frames == len(samples):
        return samples.copy()
    assert SHORTEST <= frames / max(len(samples), 1) <= LONGEST, (len(samples), frames)
    stretcher = python_stretch.Signalsmith.Stretch(SEED)
    stretcher.preset(samples.shape[1], sample_rate)
    stretcher.setTimeFactor(len(samples) / frames)
    made = np.asarray(stretcher.process(np.ascontiguousarray(samples.T, np.float32)))
    out = np.zeros((frames, samples.shape[1]))
    out[: made.shape[1]] = made.T[:frames]  # its own rounding of the length may differ by one
    return out


def stretch_loop(samples: NDArray[np.float64], frames: int, sample_rate: int) -> NDArray[np.float64]:
    """A loop [any frames, channels] as a loop of exactly `frames` frames, [frames, channels].

    More than the loop is stretched, from before its start to after its end, and the middle is kept. The stretcher's
    phases do not come round with the loop, so what led to the start is faded into at the end.
    """
    before = len(samples)
    if frames == before:
        return samples.copy()
    lap = round(LAP_SECONDS * sample_rate)
    around = np.take(samples, np.arange(-lap, before + lap), axis=0, mode="wrap")
    lap_after = round(lap * frames / before)
    stretched = stretch(around, frames + 2 * lap_after, sample_rate)
    return close_loop(stretched, lap_after, frames, round(SEAM_SECONDS * sample_rate))


def rendition(samples: NDArray[np.float64], sample_rate: int, frames: int, target_rate: int) -> NDArray[np.float64]:
    """A loop [any frames, 2] at another tempo, sample rate, or both: exactly `frames` frames at `target_rate`.

    Its pitch and its loudness stay, its true peaks are below -1 dBTP. [frames, 2]. What differs by no more than a frame
    in length is resampled only.
    """
    as_long = round(frames * sample_rate / target_rate)
    if abs(as_long - len(samples)) <= 1:
        return resample_loop(samples, frames)
    loudness = integrated_loudness(samples, sample_rate)  # a phase vocoder takes up to 2.5 dB from noise
    made = resample_loop(stretch_loop(samples, as_long, sample_rate), frames)
    return at_loudness(made, target_rate, loudness).samples
