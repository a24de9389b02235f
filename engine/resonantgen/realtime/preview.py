"""One bar of a track, quickly: what plays while the whole loop is still being rendered.

A preview is a pure function of notes, recipe, sound, bar and gain. It begins out of silence, so it lacks what rings on
from the bar before; notes that are held into the bar begin with it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from resonantgen.generators.style import load_style
from resonantgen.instruments.base import Samples, Sound
from resonantgen.instruments.limiter import Limiter
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.stem import LIMITER_RELEASE_SECONDS, StemStream
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.time import Meter
from resonantgen.realtime.material import Frames
from resonantgen.session.values import Recipe

LEAST_GAIN_DB, MOST_GAIN_DB = -18.0, 8.0  # of an estimate: one bar can be much softer or louder than its loop
SHORTEST_HELD_TICKS = 120  # a sixteenth: what is left of a held note must last so long to be worth an attack


def preview(score: Score, recipe: Recipe, sound: Sound, bar: int, gain_db: float) -> Frames:
    """A bar (from 0) at a gain from the stream's level, its true peaks held below -1 dBTP.

    Raises BadValue and PresetError.
    """
    return finished(raw_bar(score, recipe, sound, bar), recipe.settings.sample_rate, gain_db)


def raw_bar(score: Score, recipe: Recipe, sound: Sound, bar: int) -> Samples:
    """The bar as the instrument and the effects give it, [frames, 2]. Raises BadValue and PresetError."""
    tempo, inserts = recipe.settings.tempo, load_style(recipe.part.style).inserts_for(recipe.role)
    stream = StemStream(recipe.role, sound, tempo, inserts, first_bar=bar)
    return stream.next_bar(_notes_of(score, recipe.role, tempo.meter, bar))


def finished(raw: Samples, sample_rate: int, gain_db: float) -> Frames:
    """A raw bar at its level. Peaks are limited, never clipped."""
    limiter = Limiter(sample_rate, release_seconds=LIMITER_RELEASE_SECONDS)
    return limiter.limit_loop(raw * 10 ** (gain_db / 20)).astype(np.float32)


def estimated_gain_db(raw: Samples, recipe: Recipe) -> float:
    """The gain that would bring the bar itself to the loudness that the style wants of the track, within bounds."""
    loudness = integrated_loudness(raw, recipe.settings.sample_rate)
    if not math.isfinite(loudness):
        return 0.0
    wanted = load_style(recipe.part.style).lufs_for(recipe.role) - loudness
    return min(max(wanted, LEAST_GAIN_DB), MOST_GAIN_DB)


def _notes_of(score: Score, role: Role, meter: Meter, bar: int) -> tuple[Note, ...]:
    """The notes that start in the bar, and those that are held into it, beginning with it."""
    start, end = bar * meter.bar_ticks, (bar + 1) * meter.bar_ticks
    fresh = score.between(start, end)
    if role is Role.DRUMS:  # strokes are not held
        return fresh
    held = [
        replace(note, start_ticks=start, duration_ticks=note.end_ticks - start)
        for note in score
        if note.start_ticks < start and note.end_ticks >= start + SHORTEST_HELD_TICKS
    ]
    return (*held, *fresh)
