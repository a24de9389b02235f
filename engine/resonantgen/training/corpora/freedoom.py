"""The music of Freedoom, a game: 112 multitrack pieces, mostly rock and metal. BSD-3."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import median

from resonantgen.music.midi import DRUM_CHANNEL
from resonantgen.music.notes import Role
from resonantgen.training.corpora.archive import archive_files
from resonantgen.training.corpora.piece import Part, Piece, Split, TimedNote, split_of
from resonantgen.training.corpora.timed_midi import TimedTrack, read_timed

FEWEST_NOTES = 16
BASS_PROGRAMS = frozenset({*range(32, 40), 87})
EFFECTS = range(112, 128)  # programs that are no instruments one would learn harmony from
LOW, ONE_VOICE = 48, 1.25  # a median pitch below, and notes that sound together on average: a bass


class Freedoom:
    """Drums, bass, harmony and melody; chords and keys are not known. A piece's name is its file's: "d_dm01"."""

    name = "freedoom"

    def __init__(self, data_folder: Path) -> None:
        self._path = data_folder / "freedoom-midi.tar.xz"

    @cached_property
    def _files(self) -> dict[str, bytes]:
        files = archive_files(self._path)
        return {Path(path).stem: data for path, data in sorted(files.items()) if path.endswith(".mid")}

    def names(self, split: Split, role: Role) -> tuple[str, ...]:
        return tuple(name for name in self._files if split_of(name) is split)

    def piece(self, name: str) -> Piece:
        midi = read_timed(self._files[name], name)
        tracks = [track for track in midi.tracks if len(track.notes) >= FEWEST_NOTES]
        parts = [(_role(track), track) for track in tracks]
        return Piece(
            name=name,
            corpus=self.name,
            split=split_of(name),
            licence="BSD-3-Clause",
            style="rock",
            tempo_bpm=midi.tempo_bpm,
            meter=midi.meter,
            beat_seconds=midi.beat_seconds,
            downbeat_seconds=midi.downbeat_seconds,
            parts=tuple(Part(role, track.notes, track.program) for role, track in parts if role is not None),
        )


def _role(track: TimedTrack) -> Role | None:
    """What a track does, by its program, and by how low it is and how many of its notes sound together."""
    if track.channel == DRUM_CHANNEL:
        return Role.DRUMS
    if track.program in EFFECTS:
        return None
    voices = sounding_together(track.notes)
    low = median(note.pitch for note in track.notes) < LOW
    if track.program in BASS_PROGRAMS or (low and voices < ONE_VOICE):
        return Role.BASS
    return Role.HARMONY if voices >= ONE_VOICE else Role.MELODY


def sounding_together(notes: Sequence[TimedNote]) -> float:
    """How many notes sound at the onset of one, on average, itself among them."""
    total = 0
    sounding: list[float] = []  # ends
    for note in notes:
        sounding = [end for end in sounding if end > note.start_seconds + 0.01]
        sounding.append(note.end_seconds)
        total += len(sounding)
    return total / len(notes)
