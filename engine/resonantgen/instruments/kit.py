"""Drum kits: loading them, and playing them as an Instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from resonantgen.errors import BadValue
from resonantgen.instruments.base import Macros, NoteEvent, Samples
from resonantgen.instruments.catalog import catalog
from resonantgen.instruments.drum_pieces import Kit
from resonantgen.instruments.drum_voice import DrumVoice
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.presets import load_preset, presets_folder

# A stroke on the first piece stops what still sounds of the others. A kick stops itself: one drum has one skin, and two
# long kicks whose phases disagree would cancel.
CHOKES: dict[DrumPiece, frozenset[DrumPiece]] = {
    DrumPiece.CLOSED_HAT: frozenset({DrumPiece.OPEN_HAT}),
    DrumPiece.PEDAL_HAT: frozenset({DrumPiece.OPEN_HAT}),
    DrumPiece.OPEN_HAT: frozenset({DrumPiece.OPEN_HAT}),
    DrumPiece.KICK: frozenset({DrumPiece.KICK}),
}
STOPPABLE = frozenset().union(*CHOKES.values())
CHOKE_MS = 6.0


@cache
def load_kit(kit_id: str) -> Kit:
    """The kit of presets/instruments/drums/<kit_id>.toml. Raises BadValue (no such kit) and PresetError."""
    if kit_id not in catalog(Role.DRUMS):
        raise BadValue(f'"{kit_id[:40]}" is no drum kit. Kits: {", ".join(catalog(Role.DRUMS))}.')
    return load_preset(presets_folder() / "instruments" / Role.DRUMS.value / f"{kit_id}.toml", Kit)


@dataclass(slots=True)
class _Stroke:
    piece: DrumPiece
    frame: int  # of its onset
    samples: Samples
    choked_at: int | None = None  # the frame from which it fades


@dataclass(slots=True)
class KitState:
    """Where the stream stands, and the strokes that still sound, in the order of their onsets."""

    frame: int = 0
    free: list[_Stroke] = field(default_factory=list)  # ring on to their end
    stoppable: list[_Stroke] = field(default_factory=list)  # of pieces that can be choked


@dataclass(frozen=True)
class KitInstrument:
    """An Instrument (see `base`) that plays a kit at a sample rate in Hz.

    Notes' pitches are DrumPieces; their durations do not matter.
    """

    kit: Kit
    macros: Macros
    sample_rate: int

    @cached_property
    def _voices(self) -> dict[DrumPiece, DrumVoice]:
        return {piece: DrumVoice(self.kit, piece, self.macros, self.sample_rate) for piece in DrumPiece}

    @cached_property
    def _choke(self) -> Samples:
        """The gain [frames, 1] of a stroke that is being choked."""
        frames = int(CHOKE_MS * self.sample_rate / 1000.0)
        return np.square(np.cos(np.linspace(0.0, np.pi / 2.0, frames)))[:, None]

    @cached_property
    def tail_frames(self) -> int:
        """Nothing sounds longer than this after the last onset."""
        return max(voice.longest_frames for voice in self._voices.values())

    def start(self) -> KitState:
        return KitState()

    def render(self, state: KitState, events: Sequence[NoteEvent], frames: int) -> Samples:
        """The next `frames` frames; `events` start within them, sorted by frame.

        Each frame sums the free strokes first and then the stoppable ones, each in the order of their onsets, so that
        sums round alike however the stream is cut.
        """
        out = np.zeros((frames, 2))
        start, end = state.frame, state.frame + frames
        for stroke in state.free:
            self._mix(out, start, stroke)
        for event in events:
            assert start <= event.frame < end, (event, start, end)
            piece = DrumPiece(event.pitch)
            for stroke in state.stoppable:
                if stroke.choked_at is None and stroke.piece in CHOKES.get(piece, ()) and stroke.frame < event.frame:
                    stroke.choked_at = event.frame
            stroke = _Stroke(piece, event.frame, self._voices[piece].stroke(event.velocity, event.seed))
            if piece in STOPPABLE:
                state.stoppable.append(stroke)
                continue
            self._mix(out, start, stroke)
            if self._end(stroke) > end:
                state.free.append(stroke)
        for stroke in state.stoppable:
            self._mix(out, start, stroke)
        state.frame = end
        state.free = [stroke for stroke in state.free if self._end(stroke) > end]
        state.stoppable = [stroke for stroke in state.stoppable if self._end(stroke) > end]
        return out

    def _end(self, stroke: _Stroke) -> int:
        end = stroke.frame + len(stroke.samples)
        return end if stroke.choked_at is None else min(end, stroke.choked_at + len(self._choke))

    def _mix(self, out: Samples, start: int, stroke: _Stroke) -> None:
        """Add what falls into `out`, whose first frame is `start`."""
        end = min(start + len(out), self._end(stroke))
        begin = max(start, stroke.frame)
        free = end if stroke.choked_at is None else min(max(stroke.choked_at, begin), end)
        if begin < free:
            out[begin - start : free - start] += stroke.samples[begin - stroke.frame : free - stroke.frame]
        if stroke.choked_at is not None and free < end:
            fade = self._choke[free - stroke.choked_at : end - stroke.choked_at]
            out[free - start : end - start] += fade * stroke.samples[free - stroke.frame : end - stroke.frame]
