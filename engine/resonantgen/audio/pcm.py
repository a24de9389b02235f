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


def parts(samples: Pcm) -> Iterator[Array]:
    """The sound in parts [up to PART_FRAMES, channels]; what is no number in it is silence."""
    for start in range(0, len(samples), PART_FRAMES):
        part = np.asarray(samples[start : start + PART_FRAMES], np.float64)
        yield part if np.isfinite(part).all() else np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0)


def mono_parts(samples: Pcm, sample_rate: int, target_rate: int) -> Iterator[Array]:
    """The mean of the channels at another rate, in parts [any number of frames]."""
    resampler = Resampler(sample_rate, target_rate, 1)
    state = resampler.start()
    for part in parts(samples):
        yield resampler.render(state, part.mean(axis=1, keepdims=True))[:, 0]
    yield resampler.finish(state)[:, 0]
