"""A trained model on a track: what is asked for becomes facts, and what the model plays a loop of the plan's bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.generators.musicgen.words import own_words
from resonantgen.generators.resonant.folder import peek
from resonantgen.generators.sound import performing
from resonantgen.generators.sound.performing import LOADED
from resonantgen.music.notes import Role

if TYPE_CHECKING:
    from resonantgen.generators.resonant.conditions import Facts

Array = NDArray[np.float64]


class Player(performing.Player, Protocol):
    """A model that plays what facts ask for."""

    def play(self, facts: Facts, seconds: float, seed: int) -> Iterator[Array]:
        """At least so many seconds of sound, as it comes: blocks [t, channels]. Raises ModelError."""
        ...


Load = Callable[[str], Player]


def load_player(name: str) -> Player:
    """A model by its folder. Raises ModelError."""
    from resonantgen.generators.resonant.player import load  # imported here: it brings torch

    return load(Path(name))


class TrackGenerator:
    """Plays the role that its model was trained for; the model is loaded when it is first needed, or has changed."""

    def __init__(self, name: str, load: Load = load_player) -> None:
        """`name` is the folder."""
        self.name = name
        self._load = load

    def perform(self, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        """See `AudioGenerator`. Raises ModelError, and BadValue for bars that last longer than the model can play."""
        player = LOADED.get(self.name, self._load, peek(Path(self.name)).sha256)
        facts = facts_of(request)

        def play(seconds: float, seed: int) -> Iterator[Array]:
            return player.play(facts, seconds, seed)

        return performing.perform(player, request, on_bar, str(facts), play)


def facts_of(request: AudioRequest) -> Facts:
    """What a model is told: as it was told of the stems that it learned from."""
    from resonantgen.generators.resonant.conditions import Facts

    asked = request.request
    plan, role = asked.plan, asked.role
    words = (own_words(request.words, role), plan.style.title.lower(), plan.mood or "")
    key = None if role is Role.DRUMS else plan.key
    return Facts(role, float(plan.tempo_bpm), key, ", ".join(word for word in words if word))
