"""A model on a track: it plays more than is needed, and what it plays becomes a loop of exactly the plan's bars.

What was played is fitted onto the bars (`fitting`). Where its tempo is too far off, the model plays again with another
seed. An ear (`audio.hearing`) writes down what was played, for the other tracks.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.hearing import hear
from resonantgen.errors import BadValue, ModelError
from resonantgen.generators.audio import AudioRequest, Fit, Performance
from resonantgen.generators.base import Plan
from resonantgen.generators.sound.fitting import LARGEST_STRETCH, Fitted, fit, seconds_needed
from resonantgen.music.notes import Role
from resonantgen.music.time import TICKS_PER_QUARTER, TempoMap, bars_text

Array = NDArray[np.float64]
P = TypeVar("P", bound="Player")

MOST_ATTEMPTS = 4


class Player(Protocol):
    """A model that is in memory."""

    name: str
    weights_sha256: str
    sample_rate: int
    longest_seconds: float  # that it can play at a stretch


Load = Callable[[str], P]
Play = Callable[[float, int], Iterator[Array]]
# Seconds and a seed -> at least so many seconds of sound, as it comes: blocks [t, channels] of any length, 1 or 2
# channels. Raises ModelError.


@dataclass(slots=True)
class Loaded:
    """The model that is in memory: one at a time, whoever asks, for a second may not fit beside it."""

    lock: threading.Lock
    player: Any = None
    what: tuple[str, str, Any] | None = None  # that is in memory: its name, its version, and who loaded it

    def get(self, name: str, load: Load[P], version: str = "") -> P:
        """A model by name, in the version that is asked for. Raises what `load` raises."""
        with self.lock:
            if self.what != (name, version, load):
                self.player = self.what = None  # the old one goes before the new one comes
                self.player, self.what = load(name), (name, version, load)
            found: P = self.player
            return found


LOADED = Loaded(threading.Lock())


def perform(
    player: Player, request: AudioRequest, on_bar: Callable[[int], None], prompt: str, play: Play
) -> Performance:
    """See `AudioGenerator`. `prompt` is what the model is told, for people.

    Raises ModelError, and BadValue for bars that last longer than the model can play.
    """
    plan = request.request.plan
    seconds = playing_seconds(plan, player)
    best: tuple[Fitted, int] | None = None
    attempts = 0
    while attempts < MOST_ATTEMPTS and (best is None or _worth_another(best[0], request)):
        seed = attempt_seed(request.request.seed, attempts)
        attempts += 1
        bars = _BarCounter(plan, player.sample_rate, on_bar)
        piece = _collect(play(seconds, seed), bars)
        fitted = fit(piece, player.sample_rate, plan, request.sample_rate, request.loudness_lufs)
        if best is None or fitted.rank < best[0].rank:
            best = fitted, seed
    assert best is not None
    fitted, seed = best
    told = Fit(
        model=player.name,
        weights_sha256=player.weights_sha256,
        prompt=prompt,
        seed=seed,
        attempts=attempts,
        heard_tempo_bpm=fitted.heard_tempo_bpm,
        stretch=fitted.stretch,
        beat_error_ms=fitted.beat_error_ms,
        aligned=fitted.aligned,
    )
    tempo = TempoMap(plan.tempo_bpm, plan.meter, request.sample_rate)
    score = hear(fitted.samples, tempo, plan.bars, request.request.role, plan.chords)
    return Performance(fitted.samples, score, told)


def attempt_seed(seed: int, attempt: int) -> int:
    """The model's seed for an attempt, counted from 0: 31 bits that depend on the request's seed alone."""
    digest = hashlib.blake2b(f"musicgen {seed} {attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def playing_seconds(plan: Plan, player: Player) -> float:
    """How long the model is to play: enough to choose from, or all that it can, if the bars are surely in it.

    Raises BadValue if they are not.
    """
    bar = plan.meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(plan.tempo_bpm)
    least = (plan.bars / (1 - LARGEST_STRETCH) + 0.5) * bar
    if least > player.longest_seconds:
        most = int((player.longest_seconds / bar - 0.5) * (1 - LARGEST_STRETCH))
        possible = f"Use at most {bars_text(most)}, or a faster tempo" if most > 0 else "Use a faster tempo"
        raise BadValue(
            f"{player.name} plays at most {player.longest_seconds:.0f} seconds, and {bars_text(plan.bars)} at "
            f"{float(plan.tempo_bpm):g} bpm need {least:.0f}. {possible}."
        )
    return min(seconds_needed(plan), player.longest_seconds)


def _worth_another(fitted: Fitted, request: AudioRequest) -> bool:
    """Whether another seed may do better: no beat is near enough. A pad needs none, and is kept; drums have one."""
    return not fitted.aligned and (fitted.heard_tempo_bpm is not None or request.request.role is Role.DRUMS)


@dataclass(slots=True)
class _BarCounter:
    """Tells how many bars have been made in one attempt."""

    plan: Plan
    sample_rate: int
    on_bar: Callable[[int], None]

    def count(self, frames: int) -> None:
        quarters = frames / self.sample_rate * float(self.plan.tempo_bpm) / 60
        made = int(quarters * TICKS_PER_QUARTER / self.plan.meter.bar_ticks)
        self.on_bar(min(made, self.plan.bars))


def _collect(blocks: Iterator[Array], bars: _BarCounter) -> Array:
    """All of a piece, [frames, channels]. Raises what `on_bar` raises, at the next block, and ModelError."""
    made: list[Array] = []
    frames = 0
    for block in blocks:
        made.append(block)
        frames += len(block)
        bars.count(frames)
    if not frames:
        raise ModelError("The model made no sound. Try another seed or another model.")
    return np.concatenate(made).astype(np.float64)
