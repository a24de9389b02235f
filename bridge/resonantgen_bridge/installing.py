"""Puts what runs inside DAWs where they look for it, and takes it away again.

Each thing (a folder, a bundle, a file) is copied beside its place and renamed into it; of several, all are put in place
or none. Among the user's settings a record is kept of what was copied where: what has another content, or no record, is
not ours, and is neither replaced nor removed unless the user insists. A crash at any instant leaves the old thing, the
new one, or the old one beside its place, from where the next call brings it back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from resonantgen.errors import StorageError
from resonantgen.session.files import remove_abandoned, staged_folder, storage_errors, write_file

_NOT_OURS = frozenset({"__pycache__", ".DS_Store", "Thumbs.db", "desktop.ini"})  # what systems put into folders


class Outcome(StrEnum):
    """What became of a thing."""

    INSTALLED = "installed"
    UPDATED = "updated"  # an older copy of ours was there
    UNCHANGED = "unchanged"
    REPLACED = "replaced"  # something that was not ours was there, and the user insisted
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Item:
    """A file, or a folder with these files in it: names relative to `place`, which are "" for the file itself."""

    place: Path
    files: tuple[tuple[str, Path], ...]

    @classmethod
    def of(cls, source: Path, place: Path) -> Item:
        """A file, or all of a folder."""
        return cls(place, tuple(sorted((name, source / name) for name in _names(source))))


@dataclass(frozen=True, slots=True)
class Done:
    """What was done with one thing."""

    place: Path
    outcome: Outcome


def install(items: Sequence[Item], *, force: bool = False) -> list[Done]:
    """Put all of them in place, or none. Raises StorageError: also where something else is in the way."""
    for item in items:
        with storage_errors(item.place.parent):
            item.place.parent.mkdir(parents=True, exist_ok=True)
            _recover(item.place)
    outcomes = [_intended(item, force) for item in items]
    waiting = [item for item, outcome in zip(items, outcomes, strict=True) if outcome is not Outcome.UNCHANGED]
    _put_all(waiting)
    return [Done(item.place, outcome) for item, outcome in zip(items, outcomes, strict=True)]


def uninstall(places: Iterable[Path], *, force: bool = False) -> list[Done]:
    """Remove those that were installed and are still as they were. Raises StorageError, and then removes none."""
    ours = []
    for place in places:
        with storage_errors(place):
            _recover(place)
        if not _exists(place):
            with storage_errors(place):
                _record_of(place).unlink(missing_ok=True)
        elif _is_ours(place) or (force and _record_of(place).exists()):
            ours.append(place)
        elif _record_of(place).exists():
            raise StorageError(
                f"{place} was changed after it was installed, so nothing was removed. Keep what you need of it, and "
                "use --force."
            )
    for place in ours:
        with storage_errors(place):
            old = _old_of(place)
            place.rename(old)
            _remove(old)
            _record_of(place).unlink(missing_ok=True)
    return [Done(place, Outcome.REMOVED) for place in ours]


def digest(files: Iterable[tuple[str, Path]]) -> str:
    """Of names and contents. Raises OSError."""
    whole = hashlib.sha256()
    for name, path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{name}\0{content}\n".encode())
    return whole.hexdigest()


def _intended(item: Item, force: bool) -> Outcome:
    with storage_errors(item.place):
        if not _exists(item.place):
            return Outcome.INSTALLED
        same = not item.place.is_symlink() and _digest_of(item.place) == digest(item.files)
        if same and _record_of(item.place).exists():
            return Outcome.UNCHANGED
        if same or _is_ours(item.place):
            return Outcome.UPDATED
    if force:
        return Outcome.REPLACED
    if _record_of(item.place).exists():
        what = "was changed after it was installed"
    else:
        what = "is there already, and was not put there by this command"
    raise StorageError(f"{item.place} {what}. Keep what you need of it elsewhere, and use --force to replace it.")


def _put_all(items: Sequence[Item]) -> None:
    """Copy all, then rename all; what fails is taken back."""
    with _staged(items) as copies:
        placed: list[tuple[Path, bool]] = []
        try:
            for item, copy in zip(items, copies, strict=True):
                with storage_errors(item.place):
                    _remember(item.place, [*_known_digests(item.place), digest(item.files)])
                    was_there = _exists(item.place)
                    placed.append((item.place, was_there))
                    if was_there:
                        item.place.rename(_old_of(item.place))
                    copy.rename(item.place)
        except BaseException:
            for place, was_there in placed:
                _take_back(place, was_there)
            raise
    for item in items:
        with storage_errors(item.place):
            _remove(_old_of(item.place))
            _remember(item.place, [digest(item.files)])


@contextmanager
def _staged(items: Sequence[Item]) -> Iterator[list[Path]]:
    """Copies beside their places, until they are renamed."""
    if not items:
        yield []
        return
    item, *others = items
    with storage_errors(item.place.parent), staged_folder(item.place.parent, _staging_prefix(item.place)) as folder:
        copy = folder / item.place.name
        for name, source in item.files:
            target = copy / name if name else copy
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        with _staged(others) as copies:
            yield [copy, *copies]


def _take_back(place: Path, was_there: bool) -> None:
    """The old thing again, if there was one; as far as the disk lets us."""
    with suppress(OSError):
        old = _old_of(place)
        if _exists(old):
            if _exists(place):
                _remove(place)
            old.rename(place)
        elif not was_there:
            _remove(place)
            _record_of(place).unlink(missing_ok=True)


def _recover(place: Path) -> None:
    """Finish or take back what a call that was killed began."""
    old = _old_of(place)
    if _exists(old):
        if _exists(place):
            _remove(old)
        else:
            old.rename(place)
    if place.parent.is_dir():
        remove_abandoned(place.parent, _staging_prefix(place))


# -- whose it is ------------------------------------------------------------------------------------------------------


def _is_ours(place: Path) -> bool:
    """Whether it is what was installed, and nobody changed it since."""
    return not place.is_symlink() and _digest_of(place) in _known_digests(place)


def _digest_of(place: Path) -> str:
    return digest((name, place / name) for name in _names(place))


def _names(place: Path) -> list[str]:
    """The files below a folder, without what systems add; "" for a file."""
    if not place.is_dir():
        return [""]
    inside = (path for path in place.rglob("*") if path.is_file())
    names = [path.relative_to(place) for path in inside]
    return [name.as_posix() for name in names if not _NOT_OURS.intersection(name.parts)]


def _known_digests(place: Path) -> list[str]:
    """What was installed there; two while one replaces the other."""
    try:
        record: Any = json.loads(_record_of(place).read_text(encoding="utf-8"))
        digests = record["digests"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(known) for known in digests] if isinstance(digests, list) else []


def _remember(place: Path, digests: list[str]) -> None:
    record = _record_of(place)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_file(record, (json.dumps({"place": str(place.absolute()), "digests": digests}, indent=1) + "\n").encode())


def _record_of(place: Path) -> Path:
    """Not beside the thing: LV2 hosts take every file in their folder for a bundle. Links lead to the same record."""
    where = hashlib.sha256(os.fsencode(place.parent.resolve() / place.name)).hexdigest()[:16]
    return Path(click.get_app_dir("resonantgen")) / "installed" / f"{place.name}-{where}.json"


def _old_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.old")


def _staging_prefix(place: Path) -> str:
    return f".{place.name}.part-"


def _exists(place: Path) -> bool:
    return os.path.lexists(place)


def _remove(place: Path) -> None:
    """A file, a link or a folder, if it is there."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
