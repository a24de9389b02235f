"""A folder of stems: which sound files are for a role, and what is known of each.

    ~/stems/drums/*.wav, ~/stems/bass/*.flac, …     by role; folders within are looked into, too
    ~/loops/*.wav                                   or all in one folder, for whatever role is trained
    ~/stems/stems.jsonl                             or as a manifest says: a line for each file

A line of the manifest is a JSON object: `file` (from the folder), `role`, and whatever is known of `split` ("train",
or anything else for what is held out), `tempo_bpm`, `key`, `text`. Without a manifest about every tenth file is held
out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from resonantgen.errors import AudioError, BadValue
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key

MANIFEST = "stems.jsonl"
SUFFIXES = frozenset({".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3", ".w64", ".caf", ".au"})
FEWEST_TO_HOLD_OUT = 10  # files: with fewer, all are learned from
HELD_OUT_BYTES = 26  # of 256: a tenth

OnFile = Callable[[int, Path], None]  # is told how many files are done, and which comes next
LineT = TypeVar("LineT")

_WORDS = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Stem:
    """A sound file, and what is known of it before it is read."""

    path: Path
    held_out: bool
    text: str
    tempo_bpm: float | None = None
    key: Key | None = None
    measured: bool = False  # tempo and key are as somebody has said; otherwise they are to be heard


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    role: str
    split: str = "train"
    tempo_bpm: float | None = None
    key: str | None = None
    text: str = ""


def find_stems(folder: Path, role: Role) -> list[Stem]:
    """The stems of a role, in the order of their paths. Raises BadValue, AudioError."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BadValue(f"{folder} {what}. Give a folder of sound files: --stems FOLDER")
    try:
        manifest = folder / MANIFEST
        stems = list(_listed(manifest, role) if manifest.is_file() else _found(folder, role))
    except OSError as error:
        raise AudioError(f"{error.filename or folder} cannot be read: {error.strerror or error}.") from None
    if not stems:
        raise BadValue(f"There is no sound for {role.value} in {folder}. {_hint(folder, role)}")
    if all(stem.held_out for stem in stems):
        raise BadValue(f"Of {role.value}, all that {folder / MANIFEST} lists is held out. Give files to train on.")
    return sorted(stems, key=lambda stem: stem.path)


def manifest_lines(manifest: Path, kind: type[LineT]) -> Iterator[tuple[str, LineT]]:
    """Each line, after where it is: "stems.jsonl:1". Raises BadValue, OSError."""
    for number, text in enumerate(manifest.read_bytes().splitlines(), 1):
        place = f"{manifest}:{number}"
        if text.strip():
            try:
                line = msgspec.json.decode(text, type=kind)
            except ValueError as error:  # malformed, of another type, or no UTF-8
                raise BadValue(f"{place}: {error}") from None
            yield place, line


def _listed(manifest: Path, role: Role) -> Iterator[Stem]:
    for place, line in manifest_lines(manifest, _Line):
        try:
            key = Key.parse(line.key) if line.key else None
        except BadValue as error:
            raise BadValue(f"{place}: {error}") from None
        path = manifest.parent / line.file
        if line.role == role.value:
            if not path.is_file():
                raise AudioError(f"{place}: there is no file {path}.")
            yield Stem(path, line.split != "train", line.text, line.tempo_bpm, key, measured=True)


def _found(folder: Path, role: Role) -> Iterator[Stem]:
    by_role = [folder / each.value for each in Role if (folder / each.value).is_dir()]
    own = folder / role.value
    if by_role and not own.is_dir():
        return
    root = own if by_role else folder
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    names = [path.relative_to(root).as_posix() for path in paths]
    holding = len(paths) >= FEWEST_TO_HOLD_OUT
    for path, name in zip(paths, names, strict=True):
        held_out = holding and hashlib.sha256(name.encode()).digest()[0] < HELD_OUT_BYTES
        yield Stem(path, held_out, " ".join(_WORDS.findall(str(Path(name).with_suffix("")))).lower())


def _hint(folder: Path, role: Role) -> str:
    if (folder / MANIFEST).is_file():
        return f"{MANIFEST} names none."
    others = [each.value for each in Role if each is not role and (folder / each.value).is_dir()]
    if others:
        return f"It has folders for {' and '.join(others)}; make one named {role.value}."
    kinds = ", ".join(sorted(suffix.removeprefix(".") for suffix in SUFFIXES))
    return f"Put files into it, of one of these kinds: {kinds}."
