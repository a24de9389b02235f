"""An installed MusicGen checkpoint as what the generator plays with."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from resonantgen.generators.musicgen.conditioner import Melody
from resonantgen.generators.musicgen.model import MusicGen
from resonantgen.instruments.base import Samples
from resonantgen.lm.threads import one_torch_thread
from resonantgen.models.folder import installed


class MusicGenPlayer:
    """A Player: see `generator.Player`."""

    def __init__(self, name: str, model: MusicGen, weights_sha256: str) -> None:
        self.name = name
        self.weights_sha256 = weights_sha256
        self.sample_rate = model.sample_rate
        self.longest_seconds = model.longest_seconds
        self.follows_melody = model.follows_melody
        self._model = model

    def play(
        self, words: str, seconds: float, seed: int, melody: Samples | None, melody_rate: int
    ) -> Iterator[NDArray[np.float64]]:
        """At least so many seconds, as it comes, [t, channels]: the same bytes on any number of cores.

        Raises ModelError.
        """
        followed = None if melody is None else Melody(melody, melody_rate)
        frames = math.ceil(seconds * self.sample_rate / self._model.frame_samples)
        with one_torch_thread():
            yield from self._model.stream(self._model.request(words, frames, seed, followed))


def load(name: str) -> MusicGenPlayer:
    """A model that is on this machine. Raises ModelError."""
    found = installed(name)
    return MusicGenPlayer(name, MusicGen.load(found.folder), found.sha256)
