"""POP909: 909 songs as melody, bridge and piano (Wang et al., "POP909", ISMIR 2020). MIT.

The time signatures of its MIDI files are unreliable: beats and bars come from `beat_midi.txt`. The piano has no bass
track beside it: its lowest note at each onset, brought into a bass's octaves, is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median

from resonantgen.errors import BadValue
from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, Key, parse_pitch_class
from resonantgen.music.time import Meter
from resonantgen.training.corpora.archive import archive_files
from resonantgen.training.corpora.piece import Part, Piece, Split, TimedChord, TimedNote, split_of
from resonantgen.training.corpora.timed_midi import read_timed

QUALITIES = {
    "maj": "", "min": "m", "dim": "dim", "aug": "aug", "sus2": "sus2", "sus4": "sus4", "sus4(b7)": "7sus4",
    "maj6": "6", "min6": "m6", "7": "7", "maj7": "maj7", "min7": "m7", "hdim7": "m7b5", "dim7": "dim7", "minmaj7": "m",
}  # fmt: skip
ROLES = {"MELODY": Role.MELODY, "BRIDGE": Role.MELODY, "PIANO": Role.HARMONY}
LEFT_HAND = 55  # the lowest note of an onset is bass up to here
BASS_RANGE = (28, 51)
TOGETHER_SECONDS = 0.03


class Pop909:
    """Melody, harmony and bass with keys and chords. A piece's name is its number: "001"."""

    name = "pop909"

    def __init__(self, data_folder: Path) -> None:
        self._path = data_folder / "pop909.tar.xz"

    @cached_property
    def _names(self) -> tuple[str, ...]:
        files = archive_files(self._path)
        names = sorted({path.split("/")[1] for path in files if path.endswith(".mid")})
        return tuple(n for n in names if {f"POP909/{n}/{n}.mid", f"POP909/{n}/beat_midi.txt"} <= files.keys())

    def names(self, split: Split, role: Role) -> tuple[str, ...]:
        if role is Role.DRUMS:
            return ()
        return tuple(name for name in self._names if split_of(name) is split)

    def piece(self, name: str) -> Piece:
        midi = read_timed(archive_files(self._path)[f"POP909/{name}/{name}.mid"], name)
        beats = [(float(row[0]), float(row[2]) > 0) for row in self._rows(name, "beat_midi.txt", 3)]
        if len(beats) < 8:
            raise BadValue(f"{self._path}: song {name} has no beats. Fetch POP909 again.")
        parts = [Part(ROLES[t.name], t.notes, 0) for t in midi.tracks if t.name in ROLES]
        piano = next((part.notes for part in parts if part.role is Role.HARMONY), ())
        if piano:
            parts.append(Part(Role.BASS, tuple(bass_of(piano))))
        downbeats = tuple(at for at, down in beats if down)
        return Piece(
            name=name,
            corpus=self.name,
            split=split_of(name),
            licence="MIT",
            style="pop",
            tempo_bpm=60.0 / median(after - before for (before, _), (after, _) in pairwise(beats)),
            meter=Meter(_beats_in_bar(beats), 4),
            beat_seconds=tuple(at for at, _ in beats),
            downbeat_seconds=downbeats,
            parts=tuple(parts),
            key=self._key(name),
            chords=tuple(self._chords(name)),
        )

    def _rows(self, name: str, file: str, columns: int) -> list[list[str]]:
        text = archive_files(self._path).get(f"POP909/{name}/{file}", b"").decode()
        return [row for row in (line.split() for line in text.splitlines()) if len(row) >= columns]

    def _key(self, name: str) -> Key | None:
        """The key of the longest stretch."""
        rows = self._rows(name, "key_audio.txt", 3)
        if not rows:
            return None
        tonic, _, mode = max(rows, key=lambda row: float(row[1]) - float(row[0]))[2].partition(":")
        return Key.parse(f"{tonic} {'major' if mode.startswith('maj') else 'minor'}")

    def _chords(self, name: str) -> Iterator[TimedChord]:
        for start, end, label in (row[:3] for row in self._rows(name, "chord_midi.txt", 3)):
            yield TimedChord(float(start), float(end), parse_chord(label))


def parse_chord(label: str) -> Chord | None:
    """A chord as POP909 writes it, "Bb:min7/b3" with the bass left out; None for "N"."""
    root, _, quality = label.partition("/")[0].partition(":")
    return None if root == "N" else Chord(parse_pitch_class(root), QUALITIES.get(quality, ""))


def _beats_in_bar(beats: Sequence[tuple[float, bool]]) -> int:
    """The most usual distance of downbeats, in beats; 4 where that is no bar."""
    downbeats = [index for index, (_, down) in enumerate(beats) if down]
    gaps = sorted(after - before for before, after in pairwise(downbeats))
    usual = gaps[len(gaps) // 2] if gaps else 4
    return usual if 2 <= usual <= 7 else 4


def bass_of(piano: Sequence[TimedNote]) -> Iterator[TimedNote]:
    """The piano's left hand as a bass line: one note at a time, in a bass's octaves."""
    onsets = [list(group) for _, group in groupby(piano, key=lambda note: round(note.start_seconds / TOGETHER_SECONDS))]
    lowest = [note for note in (min(group, key=lambda n: n.pitch) for group in onsets) if note.pitch <= LEFT_HAND]
    low, high = BASS_RANGE
    for index, note in enumerate(lowest):
        until = lowest[index + 1].start_seconds if index + 1 < len(lowest) else note.end_seconds
        if until - note.start_seconds < TOGETHER_SECONDS:
            continue
        pitch = note.pitch
        while pitch < low:
            pitch += 12
        while pitch > high:
            pitch -= 12
        yield replace(note, pitch=pitch, duration_seconds=min(note.duration_seconds, until - note.start_seconds))
