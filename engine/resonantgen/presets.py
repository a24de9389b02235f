"""Finds and reads preset files: TOML, checked against a typed structure, with the file and line in every error.

They lie inside an installed package, and beside `engine/` in a checkout.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

import msgspec

from resonantgen.errors import PresetError

T = TypeVar("T")
# msgspec 0.22 crashes when two threads convert to the same type and it is the type's first time.
_CONVERTING = Lock()


@cache
def presets_folder() -> Path:
    """Where the presets lie."""
    package = Path(__file__).parent
    installed = package / "presets"
    return installed if installed.is_dir() else package.parent.parent / "presets"


def load_preset(path: Path, kind: type[T]) -> T:
    """Read a TOML file as a msgspec structure. Raises PresetError as `file:line: what is wrong`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PresetError(f"{path}:1: not UTF-8 text") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(at[1]) if at and at[1] else len(text.splitlines())
        raise PresetError(f"{path}:{line}: {str(error).partition(' (at ')[0]}") from None
    try:
        with _CONVERTING:
            return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        keys = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", where)
        unknown = re.search(r"unknown field `([^`]+)`", message)
        if unknown:
            keys.append((unknown[1], ""))
        path_keys: list[str | int] = [name or int(index) for name, index in keys]
        where = ".".join(map(str, path_keys))
        raise PresetError(f"{path}:{line_of(text, path_keys)}: {where or 'file'}: {message}") from None


def line_of(text: str, keys: list[str | int]) -> int:
    """The line (from 1) where a TOML document sets `keys`, or where the closest table that holds it begins.

    Knows tables, arrays of tables, dotted and quoted keys; an index into an inline array gives the array's line.
    """
    best_line, best_depth = 1, 0
    table: list[str | int] = []
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$", line)
        entry = re.match(r'\s*((?:[\w-]+|"[^"]*")(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=', line)
        if header:
            names = _split(header[2])
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                table = [*names, counts[header[2]]]
            else:
                table = list(names)
            here = table
        elif entry:
            here = [*table, *_split(entry[1])]
        else:
            continue
        if len(here) > best_depth and here == keys[: len(here)]:
            best_line, best_depth = number, len(here)
    return best_line


def _split(dotted: str) -> list[str]:
    return [part.strip().strip('"') for part in re.findall(r'"[^"]*"|[^.]+', dotted)]
