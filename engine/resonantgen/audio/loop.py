"""Loops without a click: how a piece of sound is made to flow from its end into its start, and how that is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QUIET = 1e-9  # power below which two pieces are taken for unrelated


def crossfade(ending: NDArray[np.float64], beginning: NDArray[np.float64]) -> NDArray[np.float64]:
    """One piece fading into another of the same shape, [frames, channels], at a constant power on the way.

    Which curve does that depends on how alike the pieces are: a cosine where they are unrelated, a straight line where
    they are the same (M. Fink, M. Holters, U. Zölzer, "Signal-matched power-complementary cross-fading", DAFx 2016).
    """
    frames = len(ending)
    toward = np.sin(np.pi / 2 * (np.arange(frames)[:, None] + 0.5) / max(frames, 1)) ** 2  # sets out and arrives gently
    energy = np.sqrt(float(np.sum(ending**2)) * float(np.sum(beginning**2)))
    alike = float(np.sum(ending * beginning)) / energy if energy > QUIET else 0.0
    alike = min(max(alike, 0.0), 1.0)  # opposed pieces are not made louder than either
    out, into = np.cos(toward * np.pi / 2), np.sin(toward * np.pi / 2)
    level = np.sqrt(1 + 2 * alike * out * into)
    mixed: NDArray[np.float64] = (ending * out + beginning * into) / level
    return mixed


def close_loop(samples: NDArray[np.float64], start: int, frames: int, overlap: int) -> NDArray[np.float64]:
    """The `frames` frames from `start` as a loop, [frames, channels], its start left as it is: a downbeat is there.

    Up to `overlap` frames before its end fade into what comes before `start`, so that the end leads to the start as
    it did in the piece. Where nothing comes before it, what follows the end fades into the start instead.
    """
    loop = samples[start : start + frames].copy()
    assert len(loop) == frames, (len(samples), start, frames)
    after = len(samples) - start - frames
    overlap = min(overlap, frames // 2)
    if min(start, overlap) >= min(after, overlap):
        length = min(start, overlap)
        if length:
            loop[-length:] = crossfade(loop[-length:], samples[start - length : start])
    else:
        length = min(after, overlap)
        loop[:length] = crossfade(samples[start + frames : start + frames + length], loop[:length])
    return loop


def seam_jump(loop: NDArray[np.float64], neighbourhood: int = 256) -> float:
    """How far the step over a loop's seam stands out: a click's size over the largest step nearby.

    Steps are taken of the second difference, which a smooth sound of any loudness has little of. 1 is as large as any
    in the `neighbourhood` frames to each side; a click is several times that. 0 for silence.
    """
    around = np.concatenate([loop[-neighbourhood:], loop[:neighbourhood]])
    bend = np.abs(np.diff(around, n=2, axis=0)).max(axis=1)
    middle = len(bend) // 2
    at_seam = float(bend[middle - 1 : middle + 1].max())
    others = float(np.delete(bend, slice(middle - 1, middle + 1)).max())
    return at_seam / others if others > QUIET else at_seam / QUIET if at_seam > QUIET else 0.0
