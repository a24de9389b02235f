"""The Groove MIDI Dataset: people playing the drums (Gillick et al., "Learning to Groove", ICML 2019). CC BY 4.0."""

from __future__ import annotations

import csv
from functools import cached_property
from io import StringIO
from pathlib import Path

from resonantgen.errors import BadValue
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter
from resonantgen.training.corpora.archive import archive_files
from resonantgen.training.corpora.piece import Part, Piece, Split
from resonantgen.training.corpora.timed_midi import read_timed

SHORTEST_SECONDS = 8.0  # shorter ones are fills and snippets


class Groove:
    """Drums. The set's own test split is held out; a piece's name is its id: "drummer1/eval_session/1"."""

    name = "groove"

    def __init__(self, data_folder: Path) -> None:
        self._path = data_folder / "groove-midi.tar.xz"

    @cached_property
    def _rows(self) -> dict[str, dict[str, str]]:
        try:
            text = archive_files(self._path)["groove/info.csv"].decode()
        except KeyError:
            raise BadValue(f"{self._path} holds no groove/info.csv. Fetch the Groove MIDI Dataset again.") from None
        return {row["id"]: row for row in csv.DictReader(StringIO(text))}

    def names(self, split: Split, role: Role) -> tuple[str, ...]:
        if role is not Role.DRUMS:
            return ()
        return tuple(
            sorted(
                name
                for name, row in self._rows.items()
                if _split(row) is split and row["beat_type"] == "beat" and float(row["duration"]) >= SHORTEST_SECONDS
            )
        )

    def piece(self, name: str) -> Piece:
        row = self._rows[name]
        midi = read_timed(archive_files(self._path)[f"groove/{row['midi_filename']}"], name)
        notes = tuple(note for track in midi.tracks for note in track.notes)
        style = row["style"].split("/")[0].replace("neworleans", "New Orleans").replace("hiphop", "hip hop")
        return Piece(
            name=name,
            corpus=self.name,
            split=_split(row),
            licence="CC BY 4.0",
            style=style,
            tempo_bpm=midi.tempo_bpm,
            meter=Meter.parse(row["time_signature"].replace("-", "/")),
            beat_seconds=midi.beat_seconds,
            downbeat_seconds=midi.downbeat_seconds,
            parts=(Part(Role.DRUMS, tuple(sorted(notes))),),
        )


def _split(row: dict[str, str]) -> Split:
    return Split.HELD_OUT if row["split"] == "test" else Split.TRAIN
