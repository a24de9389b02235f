"""What the engine's `print` left in a folder: `print.json`, read strictly, and the files beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

INDEX = "print.json"
VERSION = 1
MAX_INDEX_BYTES = 64 << 20
MAX_NOTES = 100000


class PrintError(Exception):
    """It cannot be put into the Set: one line for people."""


class Note(NamedTuple):
    """Quarter notes from the clip's beginning; pitch and velocity as in MIDI."""

    start: float
    length: float
    pitch: int
    velocity: int


class Part(NamedTuple):
    """One track of ours."""

    role: str
    daw_track: int | None  # from 1; None: by name
    wav: Path | None  # None: there is none
    notes: list[Note]


class Print(NamedTuple):
    name: str
    kind: str  # "audio" or "midi"
    numerator: int
    denominator: int
    quarters: float  # how long it is
    parts: list[Part]


def read_print(folder: str) -> Print:
    """Raises PrintError."""
    path = Path(folder) / INDEX
    try:
        if path.stat().st_size > MAX_INDEX_BYTES:
            raise ValueError("it is too large")
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PrintError(f"{path} cannot be read ({error}). Print again.") from None
    if not isinstance(index, dict) or index.get("version") != VERSION:
        raise PrintError(f"{path} is of another version. Do again: resonantgen install ableton")
    try:
        return _print(path.parent, index)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise PrintError(f"{path} is damaged ({error!r}). Print again.") from None


def _print(folder: Path, index: Any) -> Print:
    numerator, denominator = (int(part) for part in index["meter"].split("/"))
    bars = _number(index["bars"], 1, 4096)
    if not (1 <= numerator <= 99 and denominator in (1, 2, 4, 8, 16)):
        raise ValueError("its meter")
    if index["kind"] not in ("audio", "midi"):
        raise ValueError("its kind")
    return Print(
        str(index["name"]),
        index["kind"],
        numerator,
        denominator,
        int(bars) * numerator * 4.0 / denominator,
        [_part(folder, part) for part in index["tracks"]],
    )


def _part(folder: Path, part: Any) -> Part:
    wav, daw_track = part.get("wav") or "", part.get("daw_track")
    if wav and wav != Path(wav).name:
        raise ValueError("a file outside the folder")
    notes = part.get("notes") or []
    if len(notes) > MAX_NOTES:
        raise ValueError("too many notes")
    return Part(
        str(part["role"]),
        None if daw_track is None else int(_number(daw_track, 1, 999)),
        folder.absolute() / wav if wav else None,
        [_note(*note) for note in notes],
    )


def _note(start: Any, length: Any, pitch: Any, velocity: Any) -> Note:
    return Note(
        _number(start, 0, 1e6),
        max(_number(length, 0, 1e6), 1e-3),
        int(_number(pitch, 0, 127)),
        int(_number(velocity, 1, 127)),
    )


def _number(value: Any, least: float, most: float) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{value!r} is not from {least:g} to {most:g}")
    return float(value)
