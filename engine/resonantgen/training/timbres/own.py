"""Stems on the project's own instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from resonantgen.instruments.base import NoteEvent, Sound
from resonantgen.instruments.catalog import catalog
from resonantgen.instruments.effects.inserts import AnyInsert
from resonantgen.instruments.stem import StemStream
from resonantgen.music.notes import Role
from resonantgen.music.time import MAX_TEMPO_BPM, MIN_TEMPO_BPM, TempoMap
from resonantgen.training.corpora.piece import TimedNote
from resonantgen.training.timbres.base import RENDER_RATE, Mono
from resonantgen.training.timbres.general_midi import drum_piece

BLOCK_FRAMES = RENDER_RATE


@dataclass(frozen=True, slots=True)
class OwnTimbre:
    """A kit or patch of presets/instruments, with a style's effects after it."""

    role: Role
    sound: Sound
    inserts: tuple[AnyInsert, ...] = ()

    @property
    def name(self) -> str:
        return f"own:{self.sound.preset}"

    @property
    def text(self) -> str:
        title = catalog(self.role)[self.sound.preset].title.lower()
        return f"{title} kit" if self.role is Role.DRUMS and "kit" not in title else title

    @property
    def licence(self) -> str:
        return "own work"

    def render(self, notes: Sequence[TimedNote], seconds: float, tempo_bpm: float) -> Mono:
        tempo = Fraction(min(max(tempo_bpm, MIN_TEMPO_BPM), MAX_TEMPO_BPM)).limit_denominator(1000)
        stream = StemStream(self.role, self.sound, TempoMap(tempo, sample_rate=RENDER_RATE), self.inserts)
        events = [event for event in map(self._event, notes) if event is not None]
        frames = round(seconds * RENDER_RATE)
        blocks, first = [], 0
        for start in range(0, frames, BLOCK_FRAMES):
            end = min(start + BLOCK_FRAMES, frames)
            last = first
            while last < len(events) and events[last].frame < end:
                last += 1
            blocks.append(stream.render(events[first:last], end - start).mean(axis=1))
            first = last
        return np.concatenate(blocks)

    def _event(self, note: TimedNote) -> NoteEvent | None:
        piece = drum_piece(note.pitch) if self.role is Role.DRUMS else note.pitch
        if piece is None:
            return None
        frame = round(note.start_seconds * RENDER_RATE)
        return NoteEvent(
            frame=frame,
            duration_frames=max(1, round(note.duration_seconds * RENDER_RATE)),
            pitch=int(piece),
            velocity=note.velocity / 127,
            seed=(frame * 131 + note.pitch) & 0xFFFFFFFF,
        )
