"""Some bars of a track, quickly: what plays while the whole loop is still being rendered.

A preview is a pure function of notes, recipe, sound, first bar and gain. It begins out of silence, so it lacks what
rings on from the bar before; notes that are held into its first bar begin with it. From there on it sounds as the track
does in its loop, around the loop's end as often as it takes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import numpy as np

from resonantgen.generators.style import load_style
from resonantgen.instruments.base import NoteEvent, Samples, Sound
from resonantgen.instruments.limiter import Limiter
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.stem import LIMITER_RELEASE_SECONDS, StemStream, note_event
from resonantgen.music.notes import Note, Role, Score
from resonantgen.realtime.material import Frames
from resonantgen.session.values import Recipe

LEAST_GAIN_DB, MOST_GAIN_DB = -18.0, 8.0  # of an estimate: one bar can be much softer or louder than its loop
SHORTEST_HELD_TICKS = 120  # a sixteenth: what is left of a held note must last so long to be worth an attack


def preview(score: Score, recipe: Recipe, sound: Sound, bar: int, gain_db: float, bars: int = 1) -> Frames:
    """So many bars from `bar` (from 0) on, at a gain from the stream's level, true peaks held below -1 dBTP.

    A longer preview begins with the shorter one, sample by sample: a partial material that was extended is this with
    more bars and the same first bar. Raises BadValue and PresetError.
    """
    stream = PreviewStream(score, recipe, sound, bar, gain_db)
    return np.concatenate([stream.next_bar() for _ in range(bars)])


class PreviewStream:
    """A preview, bar by bar. One thread at a time.

    It renders ahead by as much as the limiter looks ahead, so that a bar's samples do not depend on what follows.
    """

    def __init__(self, score: Score, recipe: Recipe, sound: Sound, bar: int, gain_db: float | None = None) -> None:
        """Without a gain, it takes that which suits its first bar. Raises BadValue and PresetError."""
        tempo = recipe.settings.tempo
        self.gain_db = gain_db
        self.first_frame = tempo.bar_sample(bar)  # of the loop
        self._score = score
        self._recipe = recipe
        self._bars = count(bar)
        inserts = load_style(recipe.part.style).inserts_for(recipe.role)
        self._stream = StemStream(recipe.role, sound, tempo, inserts, first_bar=bar)
        self._limiter = Limiter(tempo.sample_rate, release_seconds=LIMITER_RELEASE_SECONDS)
        self._limiting = self._limiter.start()
        self._ahead = self._limiter.latency_frames
        self._rendered = self.first_frame  # up to here, counting on beyond the loop's end
        self._due = [*_held_into(score, recipe, bar), *self._events(bar)]

    def next_bar(self) -> Frames:
        """The next bar at its level, [frames, 2]."""
        bar = next(self._bars)
        self._due += self._events(bar + 1)
        begins = self._rendered == self.first_frame
        raw = self._render_to(self._start(bar + 1) + self._ahead)
        if self.gain_db is None:
            self.gain_db = _suitable_gain_db(raw[: -self._ahead], self._recipe)
        limited = self._limiter.render(self._limiting, raw * 10 ** (self.gain_db / 20))
        return limited[self._ahead if begins else 0 :].astype(np.float32)

    def _render_to(self, frame: int) -> Samples:
        due = sorted((event for event in self._due if event.frame < frame), key=lambda e: (e.frame, e.pitch))
        self._due = [event for event in self._due if event.frame >= frame]
        raw = self._stream.render(due, frame - self._rendered)
        self._rendered = frame
        return raw

    def _start(self, bar: int) -> int:
        """The frame on which a bar begins; bars and frames count on beyond the loop's end."""
        settings = self._recipe.settings
        laps, bar = divmod(bar, settings.bars)
        return laps * settings.frames + settings.tempo.bar_sample(bar)

    def _events(self, bar: int) -> list[NoteEvent]:
        """The notes of a bar, as they sound in the loop, in each of its laps."""
        settings = self._recipe.settings
        laps, bar = divmod(bar, settings.bars)
        ticks = settings.meter.bar_ticks
        events = [note_event(note, settings.tempo) for note in self._score.between(bar * ticks, (bar + 1) * ticks)]
        return [replace(event, frame=event.frame + laps * settings.frames) for event in events]


def _suitable_gain_db(raw: Samples, recipe: Recipe) -> float:
    """The gain that would bring a bar itself to the loudness that the style wants of the track, within bounds."""
    loudness = integrated_loudness(raw, recipe.settings.sample_rate)
    if not math.isfinite(loudness):
        return 0.0
    wanted = load_style(recipe.part.style).lufs_for(recipe.role) - loudness
    return min(max(wanted, LEAST_GAIN_DB), MOST_GAIN_DB)


def _held_into(score: Score, recipe: Recipe, bar: int) -> list[NoteEvent]:
    """The notes that are held into a bar, beginning with it."""
    if recipe.role is Role.DRUMS:  # strokes are not held
        return []
    start = bar * recipe.settings.meter.bar_ticks
    held = [note for note in score if note.start_ticks < start and note.end_ticks >= start + SHORTEST_HELD_TICKS]
    return [note_event(_rest_of(note, start), recipe.settings.tempo) for note in held]


def _rest_of(note: Note, start_ticks: int) -> Note:
    return replace(note, start_ticks=start_ticks, duration_ticks=note.end_ticks - start_ticks)
