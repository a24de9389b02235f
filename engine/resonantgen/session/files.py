"""Writing to disk so that a crash, a full disk or a folder that cannot be written never leaves half a file.

A file is written beside its place under a temporary name, forced to the disk, and renamed. What the operating system
reports becomes one of the project errors.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resonantgen.errors import AudioError, ProjectDamaged, StorageError

TEMPORARY_SUFFIX = ".part"
ABANDONED_SECONDS = 60
COPIED_BYTES = 1 << 20  # at a time
_COUNTER = itertools.count()

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "your disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would be larger than the system allows",
    errno.EROFS: "it is on a read-only file system; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "the system does not permit it; choose another folder or change its permissions",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.ENOENT: "its parent folder does not exist; make it first",
    errno.EEXIST: "something else has that name; choose another",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}
_SQLITE_REASONS = {
    sqlite3.SQLITE_FULL: _REASONS[errno.ENOSPC],
    sqlite3.SQLITE_READONLY: _REASONS[errno.EACCES],
    sqlite3.SQLITE_CANTOPEN: _REASONS[errno.EACCES],
    sqlite3.SQLITE_IOERR: "the disk cannot be written (it may be full); check it and try again",
    sqlite3.SQLITE_BUSY: "another program holds its database; close that program and try again",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """What the operating system or SQLite raises within becomes a StorageError or ProjectDamaged about `path`."""
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = _REASONS.get(code) or f"{os.strerror(code) if code else error}; check the disk and try again"
        raise StorageError(f"{path} cannot be used: {reason}.") from None
    except sqlite3.ProgrammingError:
        raise  # a mistake of the program, such as another thread's connection: nothing is wrong with the disk
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # the low byte is the primary code
        if code in _SQLITE_REASONS:
            raise StorageError(f"{path} cannot be used: {_SQLITE_REASONS[code]}.") from None
        raise ProjectDamaged(f"The database of {path} is damaged ({error}). Restore it from a backup.") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and durably. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_COUNTER)}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def copy_file(path: Path, folder: Path, suffix: str) -> str:
    """Copy a file of any length into a folder under the hash of its bytes, whole or not at all, and give the hash.

    Raises AudioError if it cannot be read, OSError.
    """
    digest = hashlib.sha256()
    temporary = folder / f".import.{os.getpid()}-{next(_COUNTER)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("xb") as file:
            for part in _parts_of(path):
                digest.update(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / f"{digest.hexdigest()}{suffix}")
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(folder)
    return digest.hexdigest()


def _parts_of(path: Path) -> Iterator[bytes]:
    """Its bytes. Raises AudioError: what is wrong is not our folder."""
    try:
        with path.open("rb") as file:
            while part := file.read(COPIED_BYTES):
                yield part
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from None


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A new file beside `path`, which takes its place if all goes well, durably, and is removed otherwise.

    It is made at once: what cannot be written shows before the work is done. Raises StorageError.
    """
    if path.is_dir():
        raise StorageError(f"{path} is a folder. Give the name of a file.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    with storage_errors(path):
        temporary.open("wb").close()
    try:
        yield temporary
        with storage_errors(path):
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def staged_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder, to be filled and renamed or emptied; what is left of it in the end is removed. Raises OSError."""
    remove_abandoned(parent, prefix)
    folder = parent / f"{prefix}{os.getpid()}-{next(_COUNTER)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_staged(parent: Path, prefix: str, pid: int) -> None:
    """Remove the staged folders of a process that has ended."""
    for folder in parent.glob(f"{glob.escape(prefix)}{pid}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove staged folders whose process was killed, and not those that another process fills now."""
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Windows does this by itself, and offers no call for it."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
