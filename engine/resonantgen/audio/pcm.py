"""Sound of any length, taken in parts: what is heard in it needs little memory, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.resample import Resampler

Array = NDArray[np.float64]

PART_FRAMES = 1 << 18


class Pcm(Protocol):
    """An array [frames, channels], or what is sliced as one and read only then: an hour need not be loaded."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, frames: slice, /) -> NDArray[Any]: ...


def part_of(samples: Pcm, start: int, end: int) -> Array:
    """The frames [start, end), with silence for what lies outside the sound and for what is no number in it."""
    part = np.asarray(samples[max(start, 0) : max(end, 0)], np.float64)
    if not np.isfinite(part).all():
        part = np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0)
    before = min(max(-start, 0), end - start)
    return np.pad(part, ((before, end - start - before - len(part)), (0, 0)))


def parts(samples: Pcm, frames: int = PART_FRAMES) -> Iterator[Array]:
    """The sound in parts [up to `frames`, channels]; what is no number in it is silence."""
    for start in range(0, len(samples), frames):
        yield part_of(samples, start, min(start + frames, len(samples)))


def mono_parts(samples: Pcm, sample_rate: int, target_rate: int) -> Iterator[Array]:
    """The mean of the channels at another rate, in parts [any number of frames]."""
    resampler = Resampler(sample_rate, target_rate, 1)
    state = resampler.start()
    for part in parts(samples):
        yield resampler.render(state, part.mean(axis=1, keepdims=True))[:, 0]
    yield resampler.finish(state)[:, 0]
