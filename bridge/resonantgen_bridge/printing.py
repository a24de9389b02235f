"""What `print` puts into a DAW: a new folder of files, which the scripts in REAPER and Live pick up.

It holds WAV and MIDI of each track at the session's tempo, and the same index twice: print.json, and print.txt for
Lua, which reads no JSON. A folder appears whole or not at all. Nothing of ours removes it again: a Live Set may play
its recordings.

print.txt is ASCII, one line for each fact: a word, a space, its values. In this order:

    ResonantGen print 1       the format's version
    name night                the project's
    time 1764028800           when it was printed, in seconds since 1970
    tempo 128.0               in quarters per minute
    meter 4/4
    bars 8
    quarters 32.0             the length of all of it
    bar 5                     the DAW's bar at which the items begin, from 1
    kind audio                what the items are made of: audio, midi
    track drums               once for each track, and what follows belongs to it
    daw_track 3               its number in the DAW from 1, if the engine knows it
    wav drums.wav             its files in this folder
    midi drums.mid
    note 0.0 0.25 36 110      each note: start and length in quarters, pitch, velocity
    end                       the last line
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resonantgen.errors import BadValue
from resonantgen.music.notes import Role
from resonantgen.music.time import TICKS_PER_QUARTER
from resonantgen.session.files import remove_staged, staged_folder, storage_errors, sync_folder, write_file
from resonantgen_bridge.apart import answer, run_apart

if TYPE_CHECKING:
    from resonantgen.session.session import Session
    from resonantgen.session.values import Settings, Take
    from resonantgen.session.view import SessionView

VERSION = 1
PRINTS_VARIABLE = "RESONANTGEN_PRINTS"
_STAGED = ".print-"
_MAX_NAME = 40
_THIS = "resonantgen_bridge.printing"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be printed, with the fields of the command, and where the DAW has our tracks."""

    tracks: tuple[str, ...] | None = None  # None: all that play
    kind: str = "audio"
    bar: int = 1
    scene: int = 0
    daw_tracks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Printed:
    folder: Path
    tracks: tuple[str, ...]


def prints_folder() -> Path:
    """Where prints lie, each in a folder of its own."""
    given = os.environ.get(PRINTS_VARIABLE)
    return Path(given) if given else Path.home() / "ResonantGen" / "prints"


async def print_apart(project: Path, wanted: Wanted) -> Printed:
    """`write_print` in a process of its own. Cancelling ends it, and leaves nothing behind. Raises EngineError too."""
    remove_unfinished = partial(remove_staged, prints_folder(), _STAGED)
    written = await run_apart(_THIS, str(project), json.dumps(asdict(wanted)), remove_unfinished=remove_unfinished)
    return Printed(Path(written["folder"]), tuple(written["tracks"]))


def write_print(session: SessionView, wanted: Wanted) -> Printed:
    """Write a print to a new folder.

    Raises ProjectError if there is no music, BadValue for a track that is silent, ProjectDamaged, StorageError.
    """
    from resonantgen.session.export import take_midi

    settings, playing = session.music()
    takes = _chosen(playing, wanted.tracks)
    parent = prints_folder().absolute()
    stems = session.stems(takes.keys())
    index = _index(session.path, settings, takes, wanted)
    with storage_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with staged_folder(parent, _STAGED) as staging:
            for role, take in takes.items():
                write_file(staging / f"{role.value}.wav", stems[role])
                write_file(staging / f"{role.value}.mid", take_midi(take, settings.tempo_bpm))
            write_file(staging / "print.json", (json.dumps(index, indent=1) + "\n").encode())
            quarters = settings.length_ticks / TICKS_PER_QUARTER
            write_file(staging / "print.txt", _lines(index, quarters).encode("ascii"))
            folder = _put(staging, parent, index["name"])
    return Printed(folder, tuple(role.value for role in takes))


def _chosen(playing: Mapping[Role, Take], tracks: tuple[str, ...] | None) -> dict[Role, Take]:
    if tracks is None:
        return dict(playing)
    silent = [name for name in tracks if Role(name) not in playing]
    if silent:
        have = "has" if len(silent) == 1 else "have"
        raise BadValue(f"{' and '.join(silent)} {have} no take, so there is nothing to print. Generate it first.")
    if not tracks:
        raise BadValue("No track is named. Name some, such as drums,bass, or none for all of them.")
    return {role: take for role, take in playing.items() if role.value in tracks}


def _index(project: Path, settings: Settings, takes: Mapping[Role, Take], wanted: Wanted) -> dict[str, Any]:
    """What print.json holds."""
    return {
        "version": VERSION,
        "name": _name_of(project),
        "tempo": float(settings.tempo_bpm),
        "meter": str(settings.meter),
        "bars": settings.bars,
        "bar": wanted.bar,
        "scene": wanted.scene,
        "kind": wanted.kind,
        "tracks": [
            {
                "role": role.value,
                "daw_track": wanted.daw_tracks.get(role.value),
                "wav": f"{role.value}.wav",
                "midi": f"{role.value}.mid",
                "notes": [
                    [
                        note.start_ticks / TICKS_PER_QUARTER,
                        note.duration_ticks / TICKS_PER_QUARTER,
                        note.pitch,
                        note.velocity,
                    ]
                    for note in take.score
                ],
            }
            for role, take in takes.items()
        ],
    }


def _lines(index: Mapping[str, Any], quarters: float) -> str:
    """The same as print.txt."""
    rows: list[tuple[object, ...]] = [
        ("ResonantGen print", index["version"]),
        ("name", index["name"]),
        ("time", int(time.time())),
        *((word, index[word]) for word in ("tempo", "meter", "bars")),
        ("quarters", quarters),
        *((word, index[word]) for word in ("bar", "kind")),
    ]
    for track in index["tracks"]:
        rows.append(("track", track["role"]))
        if track["daw_track"] is not None:
            rows.append(("daw_track", track["daw_track"]))
        rows += [("wav", track["wav"]), ("midi", track["midi"])]
        rows += [("note", *note) for note in track["notes"]]
    rows.append(("end",))
    return "".join(" ".join(str(value) for value in row) + "\n" for row in rows)


def _name_of(project: Path) -> str:
    """The project's name in letters that every file system and every Lua takes."""
    letters = unicodedata.normalize("NFKD", project.resolve().stem)  # "ä" is "a" and two dots
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:_MAX_NAME] or "session"


def _put(staging: Path, parent: Path, name: str) -> Path:
    """Move the folder to where it belongs, with the number after the last."""
    numbered = re.compile(rf"{re.escape(name)}-([0-9]{{1,9}})")
    taken = [int(found[1]) for entry in parent.iterdir() if (found := numbered.fullmatch(entry.name))]
    number = max(taken, default=0) + 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            staging.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            number += 1  # another process was quicker
        else:
            sync_folder(parent)
            return folder


def main(project: str, order: str) -> None:
    asked = json.loads(order)
    tracks = None if asked["tracks"] is None else tuple(asked["tracks"])

    def write(session: Session) -> dict[str, Any]:
        printed = write_print(session, Wanted(**{**asked, "tracks": tracks}))
        return {"folder": str(printed.folder), "tracks": printed.tracks}

    answer(project, write)


if __name__ == "__main__":
    main(*sys.argv[1:])
