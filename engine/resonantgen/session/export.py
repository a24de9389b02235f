"""A session as files that other programs read: stems, mix, MIDI and session.json.

All files are made in a folder of their own first, so what can go wrong goes wrong before the target is touched.
Into an earlier export they are then moved one by one, each replacing its predecessor whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import resonantgen
from resonantgen.errors import StorageError
from resonantgen.music.midi import MidiTrack, encode_midi
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Progression
from resonantgen.music.time import TICKS_PER_QUARTER, Meter
from resonantgen.prompt import intent_to_dict
from resonantgen.session.files import remove_staged, staged_folder, storage_errors, sync_folder, write_file
from resonantgen.session.source import Source
from resonantgen.session.values import Settings, Take

if TYPE_CHECKING:
    from resonantgen.session.view import SessionView

SCHEMA_VERSION = 1
INDEX = "session.json"
TRACK_FILES = ("wav", "mid", "original", "tokens")
_STAGED = ".export-"


def export(session: SessionView, folder: Path) -> Path:
    """Write the session to a folder, new, empty, or holding an earlier export. Gives the folder.

    Raises ProjectError if there is no music, ProjectDamaged if a stem is not what was written, StorageError.
    """
    session.music()
    replaced = _earlier_files(folder)
    with storage_errors(folder), staged_folder(*_staging_place(folder)) as staging:
        written = []
        for name, data in _files(session):
            write_file(staging / name, data)
            written.append(name)
        for take in session.playing.values():
            source = take.recipe.source
            if source is not None:
                written.append(original_name(take.role, source))
                shutil.copyfile(session.imported_file(source), staging / written[-1])
        _move(staging, folder, written, replaced)
    return folder


def remove_unfinished(folder: Path, pid: int) -> None:
    """Remove what a process that was killed in the midst of an export to that folder has left of it."""
    for place in {_staging_place(folder), (folder.parent, _staged_beside(folder))}:
        remove_staged(*place, pid)


def _staging_place(folder: Path) -> tuple[Path, str]:
    """Within an existing folder, so that files can be moved even if it is a disk of its own."""
    return (folder, _STAGED) if folder.is_dir() else (folder.parent, _staged_beside(folder))


def _staged_beside(folder: Path) -> str:
    return f".{folder.name}{_STAGED}"


def _files(session: SessionView) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, session.json last. All are at the session's tempo, whatever the takes'."""
    from resonantgen.instruments.wav import write_wav

    settings, playing = session.music()
    stems = session.stems()
    for role, take in playing.items():
        yield f"{role.value}.wav", stems[role]
        yield f"{role.value}.mid", take_midi(take, settings.tempo_bpm)
        if take.imported is not None and take.imported.tokens is not None:
            yield f"{role.value}.rgt", session.tokens(take)
    mix = BytesIO()
    write_wav(mix, session.mix(stems), settings.sample_rate)
    yield "mix.wav", mix.getvalue()
    tracks = [MidiTrack.of(role, take.score) for role, take in playing.items()]
    yield "session.mid", encode_midi(tracks, settings.tempo_bpm, settings.meter, settings.key)
    text = json.dumps(session_document(session), indent=2, ensure_ascii=False, sort_keys=False)
    yield INDEX, (text + "\n").encode()


def take_midi(take: Take, tempo_bpm: Fraction) -> bytes:
    """A take as a MIDI file at a tempo. It depends on nothing else."""
    settings = take.recipe.settings
    return encode_midi([MidiTrack.of(take.role, take.score)], tempo_bpm, settings.meter, settings.key)


def session_document(session: SessionView) -> dict[str, Any]:
    """What session.json holds: where the session stands, in plain values. Nulls are what an empty project lacks."""
    settings = session.settings
    understood = session.understood
    return {
        "schema_version": SCHEMA_VERSION,
        "resonantgen_version": resonantgen.__version__,
        "tempo_bpm": settings and _number(settings.tempo_bpm),
        "meter": settings and str(settings.meter),
        "key": settings and str(settings.key),
        "bars": settings and settings.bars,
        "sample_rate": settings and settings.sample_rate,
        "frames": settings and settings.frames,
        "style": settings and settings.style,
        "mood": settings and settings.mood,
        "seed": settings and settings.seed,
        "prompts": [intent.text for intent in understood],
        "understood": [intent_to_dict(intent) for intent in understood],
        "chords": describe_chords(session.chords, settings.meter, settings.key) if settings else [],
        "tracks": [
            _describe_track(take, settings, take.role in session.locked)
            for take in session.playing.values()
            if settings is not None
        ],
    }


def describe_chords(chords: Progression, meter: Meter, key: Key) -> list[dict[str, Any]]:
    """Each chord with its start in bars and beats (both from 1; beats are the meter's written units) and in ticks."""
    rows = []
    for span in chords.spans:
        bar, tick = divmod(span.start_ticks, meter.bar_ticks)
        rows.append(
            {
                "symbol": span.chord.symbol(key),
                "bar": bar + 1,
                "beat": _number(1 + Fraction(tick, meter.unit_ticks)),
                "start_ticks": span.start_ticks,
                "duration_ticks": span.duration_ticks,
                "ticks_per_quarter": TICKS_PER_QUARTER,
            }
        )
    return rows


def _describe_track(take: Take, settings: Settings, locked: bool) -> dict[str, Any]:
    """`frames` are those of the exported stem; the hash is of the take's own file.

    They are of the same file unless the take was made at another tempo, which is said then. `fit` is of sound: how it
    was brought onto the grid; its notes are what is heard in it.
    """
    name = take.role.value
    made_at = take.recipe.settings.tempo_bpm
    elsewhere = {"take_tempo_bpm": _number(made_at)} if made_at != settings.tempo_bpm else {}
    return {
        "role": name,
        "locked": locked,
        "take_id": take.id,
        "seed": take.seed,
        "generator": take.generator,
        "prompt": take.prompt,
        "style": take.recipe.part.style,
        "instrument": None if take.is_sound else take.sound.preset,
        "fit": None if take.fit is None else asdict(take.fit),
        **_describe_import(take),
        "summary": take.summary,
        "notes": len(take.score),
        "frames": settings.frames,
        **elsewhere,
        "audio_sha256": take.audio_sha256,
        "notes_sha256": take.notes_sha256,
        "wav": f"{name}.wav",
        "mid": f"{name}.mid",
    }


def _describe_import(take: Take) -> dict[str, Any]:
    """Of a recording: the file that it was cut from, which is exported as it came, and what was heard in it.

    Its tokens are those of the take as it was made, whatever tempo the session has now.
    """
    source, imported = take.recipe.source, take.imported
    if source is None or imported is None:
        return {}
    described = {**asdict(source), "tempo_bpm": _number(source.tempo_bpm), **asdict(imported)}
    tokens = {} if imported.tokens is None else {"tokens": f"{take.role.value}.rgt"}
    return {"imported": described, "original": original_name(take.role, source), **tokens}


def original_name(role: Role, source: Source) -> str:
    """What the imported file of a track is called among the exported ones."""
    return f"{role.value}-original{source.suffix}"


def _number(value: Fraction) -> int | float:
    """128, 97.3"""
    return int(value) if value.denominator == 1 else float(value)


def _earlier_files(folder: Path) -> list[str]:
    """The names of an earlier export's files. Raises StorageError for a folder that holds anything else than one."""
    with storage_errors(folder):
        if not folder.exists() and not folder.is_symlink():
            if not folder.parent.is_dir():
                raise StorageError(f"{folder} cannot be made: {folder.parent} does not exist. Make that folder first.")
            return []
        if not folder.is_dir():
            raise StorageError(f"{folder} is a file. Choose another name for the folder to export to.")
        names = [file.name for file in folder.iterdir() if not file.name.startswith(_STAGED)]
    if not names:
        return []
    try:
        index = json.loads((folder / INDEX).read_bytes())
        index["resonantgen_version"]  # a session.json of something else has none
        ours = [Path(track[kind]).name for track in index["tracks"] for kind in TRACK_FILES if kind in track]
    except (OSError, ValueError, TypeError, KeyError):
        raise StorageError(
            f"{folder} holds files that are no export of ResonantGen. Choose a new or an empty folder."
        ) from None
    return [*ours, "mix.wav", "session.mid", INDEX]


def _move(staging: Path, folder: Path, written: list[str], replaced: list[str]) -> None:
    if not folder.exists():
        staging.rename(folder)
    else:
        for name in written:
            (staging / name).replace(folder / name)
        for name in set(replaced) - set(written):
            (folder / name).unlink(missing_ok=True)
        sync_folder(folder)
    sync_folder(folder.parent)
