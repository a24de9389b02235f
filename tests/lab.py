"""Songs without a project, for tests and benchmarks: compose (quickly, silent) or render, and edit what is there."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.notes import Role, Score
from resonantgen.prompt import understand
from resonantgen.prompt.intent import Intent
from resonantgen.session.jobs import Job, Standing, generation, regeneration
from resonantgen.session.produce import make_takes, no_progress
from resonantgen.session.settings import Options
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe, Settings, Take


class SilentStudio(Studio):
    """Composes, and renders silence: a hundred times quicker where only notes matter."""

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        return np.zeros((recipe.settings.frames, 2))


@dataclass(frozen=True)
class Song:
    """What plays, and (unless it was composed silently) how it sounds: stems of float64 [frames, 2]."""

    settings: Settings
    takes: Mapping[Role, Take]
    stems: Mapping[Role, Samples]
    seed: int

    def score(self, role: Role) -> Score:
        return self.takes[role].score

    def edited(self, text: str, *, seed: int | None = None, locked: Sequence[Role] = ()) -> Song:
        """After `resonantgen regenerate "text"`."""
        standing = Standing(self.settings, self.takes, frozenset(locked), self.seed, len(self.takes))
        intent = understand(text) if text else Intent("")
        job = regeneration(standing, intent, None, seed)
        return _made(job, standing, self.seed, audible=any(stem.any() for stem in self.stems.values()))

    @property
    def mix(self) -> Samples:
        return Studio().mix([self.stems[role] for role in Role if role in self.stems], self.settings)


def make_song(words: str | Intent, seed: int, *, bars: int = 4, audible: bool = False, **options: object) -> Song:
    """What `resonantgen generate "words" --seed N --bars N` makes."""
    standing = Standing(None, {}, frozenset(), seed, 0)
    parsed = Options.parse(bars=bars, **options)  # type: ignore[arg-type]
    intent = understand(words) if isinstance(words, str) else words
    return _made(generation(standing, intent, parsed, seed, None), standing, seed, audible)


def style_song(style_id: str, seed: int, *, bars: int = 4, audible: bool = False, **options: object) -> Song:
    """A song of a style of which nothing else was said."""
    return make_song(Intent(style_id, style=style_id), seed, bars=bars, audible=audible, **options)


def _made(job: Job, standing: Standing, seed: int, audible: bool) -> Song:
    files: dict[str, bytes] = {}

    def add_audio(data: bytes) -> str:
        name = str(len(files))
        files[name] = data
        return name

    numbers = dict.fromkeys(Role, 1 + max((take.number for take in standing.playing.values()), default=0))
    made = make_takes(job, standing, Studio() if audible else SilentStudio(), numbers, add_audio, no_progress)
    stems = {take.role: soundfile.read(io.BytesIO(files[take.audio_sha256]), dtype="float64")[0] for take in made}
    takes = {**job.staying, **{take.role: take for take in made}}
    return Song(job.settings, {role: takes[role] for role in Role if role in takes}, stems, seed)
