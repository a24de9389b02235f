"""The studio of the worker process: it renders when it may, stops when asked to, and learns from each rendering."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.music.notes import Role, Score
from resonantgen.music.time import TempoMap
from resonantgen.realtime.material import Frames, frames_of_wav
from resonantgen.realtime.messages import Heard
from resonantgen.realtime.pace import Pace
from resonantgen.session.rendition import ReadAudio, made_wav, recipe_at
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe, Take

if TYPE_CHECKING:
    from resonantgen.instruments.base import Samples, Sound

Gains = dict[tuple[Role, str, str], float]  # by role, style and preset: the gain of the latest render, in dB


@dataclass(frozen=True, slots=True)
class Experience:
    """What earlier requests taught. All threads add to it."""

    gains: Gains = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)


def gain_key(recipe: Recipe, sound: Sound) -> tuple[Role, str, str]:
    return recipe.role, recipe.part.style, sound.preset


@dataclass(frozen=True)
class MakingStudio(Studio):
    """The studio for one request: it renders nothing before `may_render`. `check` raises what ends the work."""

    check: Callable[[], None]
    experience: Experience
    may_render: threading.Event

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        from resonantgen.generators.style import load_style
        from resonantgen.instruments.stem import render_stem

        def before_bar() -> None:
            self.check()
            if on_bar is not None:
                on_bar()

        self.may_render.wait()
        role, settings, style = recipe.role, recipe.settings, load_style(recipe.part.style)
        lufs, inserts = style.lufs_for(role), style.inserts_for(role)
        begun_at = time.monotonic()
        stem = render_stem(score, role, sound, settings.tempo, settings.bars, lufs, inserts, before_bar)
        self.experience.pace.note(role, time.monotonic() - begun_at, settings.frames / settings.sample_rate)
        self.experience.gains[gain_key(recipe, sound)] = stem.gain_db
        return stem.samples

    def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        """A model tells of its bars every few frames, and so ends when asked to."""

        def checked(bars: int) -> None:
            self.check()
            on_bar(bars)

        self.check()
        return super().perform(generator, request, checked)


def heard_whole(
    request_id: int,
    take: Take,
    tempo: TempoMap,
    experience: Experience,
    check: Callable[[], None],
    read_audio: ReadAudio,
) -> Heard:
    """A take at another tempo or sample rate, as its file would have it. Sound is stretched, and has no gain."""
    free = threading.Event()
    free.set()
    studio = MakingStudio(check, experience, free)
    if take.is_sound:
        check()
        samples = frames_of_wav(made_wav(take, tempo, studio, read_audio))
        return Heard(request_id, take.role, take.id, take.score.notes, 0, False, 0.0, samples.tobytes())
    recipe = recipe_at(take.recipe, tempo)
    samples = as_stored(studio.render(take.score, recipe, take.sound))
    gain_db = experience.gains[gain_key(recipe, take.sound)]
    return Heard(request_id, take.role, take.id, take.score.notes, 0, False, gain_db, samples.tobytes())


def as_stored(samples: Samples) -> Frames:
    """What a WAV file of these samples would give."""
    import numpy as np

    from resonantgen.instruments.wav import from_pcm24, to_pcm24

    return from_pcm24(to_pcm24(samples)).astype(np.float32)
