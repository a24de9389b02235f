"""MusicGen on a track: words and a plan go in, a loop of exactly the plan's bars comes out (see `sound.performing`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.generators.musicgen.words import prompt_for
from resonantgen.generators.sound import performing
from resonantgen.generators.sound.performing import LOADED
from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Role

Array = NDArray[np.float64]


class Player(performing.Player, Protocol):
    """A model that plays what words ask for."""

    follows_melody: bool

    def play(self, words: str, seconds: float, seed: int, melody: Samples | None, melody_rate: int) -> Iterator[Array]:
        """At least so many seconds of sound, as it comes: blocks [t, channels] of any length, 1 or 2 channels.

        `melody` [frames, channels] at `melody_rate` is what a model that follows one is to follow. Raises ModelError.
        """
        ...


Load = Callable[[str], Player]


def load_player(name: str) -> Player:
    """An installed MusicGen model by name. Raises ModelError."""
    from resonantgen.generators.musicgen.player import load  # imported here: it brings torch

    return load(name)


class MusicGenGenerator:
    """Plays any role with a MusicGen model, which is loaded when it is first needed."""

    def __init__(self, name: str, load: Load = load_player) -> None:
        self.name = name
        self._load = load

    def perform(self, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        """See `AudioGenerator`. Raises ModelError, and BadValue for bars that last longer than the model can play."""
        player = LOADED.get(self.name, self._load)
        prompt = prompt_for(request)
        melody = mixed_context(request) if player.follows_melody else None

        def play(seconds: float, seed: int) -> Iterator[Array]:
            return player.play(prompt, seconds, seed, melody, request.sample_rate)

        return performing.perform(player, request, on_bar, prompt, play)


def mixed_context(request: AudioRequest) -> Samples | None:
    """The tracks that sound with it, [frames, 2], without drums, which have no melody; None if there are no others."""
    tracks = [request.context[role] for role in Role if role in request.context and role is not Role.DRUMS]
    return np.asarray(sum(tracks[1:], start=tracks[0])) if tracks else None
