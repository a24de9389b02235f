"""The folder of a project: what is in it, how it comes to be, what is refused, and who may write it."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from resonantgen.errors import (
    NotAProject,
    ProjectBusy,
    ProjectDamaged,
    ProjectError,
    ProjectNotFound,
    ProjectTooNew,
    StorageError,
)
from resonantgen.generators.registry import PATTERN
from resonantgen.session import codec
from resonantgen.session.files import staged_folder, storage_errors, sync_folder
from resonantgen.session.setup import Setup
from resonantgen.session.values import Project

if TYPE_CHECKING:
    from filelock import BaseFileLock

SCHEMA_VERSION = 4
APPLICATION_ID = 0x52474E31  # "RGN1": marks the database file as ours
DATABASE, AUDIO, IMPORTS, LOCK, PID = "project.db", "audio", "imports", "project.lock", "writer.pid"
STAGED_INSIDE = ".project.new-"

_SETUP_TABLE = "CREATE TABLE setup (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT"  # from 2 on
_IMPORT_TABLE = "CREATE TABLE import (file TEXT PRIMARY KEY) STRICT"  # from 4 on: the files that takes were cut from
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE project (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT;
CREATE TABLE take (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, number INTEGER NOT NULL, audio_sha256 TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (role, number)
) STRICT;
CREATE TABLE revision (number INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
{_SETUP_TABLE};
{_IMPORT_TABLE};
"""


def make_project(path: Path) -> None:
    """Make an empty project at `path`. Raises ProjectError if something is there already, StorageError."""
    refuse_existing(path)
    with storage_errors(path):
        if path.is_dir():
            _fill_folder(path)
        else:
            _make_folder(path)


def _write_database(folder: Path) -> None:
    """An empty project's database."""
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_SCHEMA)
        database.execute("INSERT INTO project VALUES (1, ?)", (codec.encode(Project()),))
        database.execute("INSERT INTO setup VALUES (1, ?)", (codec.encode(Setup()),))
        database.commit()


def upgrade(database: sqlite3.Connection) -> None:
    """Bring an older project's database to this version, within the caller's transaction."""
    before = schema_version(database)
    if before < 2:
        database.execute(_SETUP_TABLE)
        database.execute("INSERT INTO setup VALUES (1, ?)", (codec.encode(Setup()),))
    if before < 4:
        database.execute(_IMPORT_TABLE)
        for take_id, body in database.execute("SELECT id, body FROM take").fetchall():
            database.execute("UPDATE take SET body = ? WHERE id = ?", (upgraded_take(body), take_id))
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def upgraded_take(body: str) -> str:
    """A take as this version stores it, from 1 or 2, which knew notes only, or 3, which knew no imported ones.

    One of this version stays as it is. What is no take is left for whoever reads it to find damaged.
    """
    try:
        take = msgspec.json.decode(body)
        take["recipe"]["part"].setdefault("generator", PATTERN)
        take["recipe"]["part"].setdefault("words", "")
        take["recipe"].setdefault("source", None)
        take.setdefault("fit", None)
        if take.setdefault("imported", None) is not None:
            take["imported"].setdefault("tokens", None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return body
    return msgspec.json.encode(take).decode()  # fields stay in their order


def schema_version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _make_folder(path: Path) -> None:
    """Make an empty project where nothing is, all at once. Raises ProjectError if another process was quicker."""
    with staged_folder(path.parent, staged_name(path)) as folder:
        _write_database(folder)
        sync_folder(folder)
        try:
            folder.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            refuse_existing(path)
            raise ProjectBusy(f"{path} is being made by another process. Wait until it is done.") from None
        sync_folder(path.parent)


def _fill_folder(path: Path) -> None:
    """Make an empty project in an empty folder, which stays the same folder: it may be a link's target or a disk.

    Raises ProjectError if another process was quicker.
    """
    lock = lock_project(path)
    try:
        refuse_existing(path)
        with staged_folder(path, STAGED_INSIDE) as folder:
            _write_database(folder)
            (folder / DATABASE).rename(path / DATABASE)
        sync_folder(path)
    except BaseException:
        if not (path / DATABASE).exists():
            with suppress(OSError):
                (path / PID).unlink()
                (path / LOCK).unlink()
        raise
    finally:
        lock.release()


def make_audio_folder(path: Path) -> None:
    """If the folder for audio was deleted, the project is opened even so: what is missing is said take by take."""
    try:
        (path / AUDIO).mkdir(exist_ok=True)
    except FileExistsError:
        raise ProjectDamaged(
            f"{path / AUDIO} is no folder, so the project has no place for its sound. Move it away, and open it again."
        ) from None


def staged_name(path: Path) -> str:
    """How the folder is called in which a new project is prepared, up to what makes it unique."""
    return f".{path.name}.new-"


def has_database(path: Path) -> bool:
    """Whether a folder has a project's database in it. Raises StorageError where that cannot be seen."""
    with storage_errors(path):
        return (path / DATABASE).exists()


def refuse_existing(path: Path) -> None:
    """Raises ProjectError unless a new project can be made at `path`: nothing is there, or an empty folder.

    What others who make one there at this moment need for it does not count.
    """
    if has_database(path):
        raise ProjectError(f"{path} is a project already. Open it, or choose another name.")
    with storage_errors(path):
        if path.is_dir():
            if any(f.name not in (LOCK, PID) and not f.name.startswith(STAGED_INSIDE) for f in path.iterdir()):
                raise NotAProject(f"{path} is a folder with other things in it. Choose another name for the project.")
        elif path.is_symlink() and not path.exists():
            raise NotAProject(_dangling(path))
        elif path.exists():
            raise NotAProject(f"{path} is a file. Choose another name for the project.")
        elif not path.parent.is_dir():
            raise StorageError(f"{path} cannot be made: the folder {path.parent} does not exist. Make it first.")


def _dangling(path: Path) -> str:
    return f"{path} is a link to {path.readlink()}, which does not exist. Make that folder, or give another name."


def check_is_project(path: Path) -> None:
    """Look at the database's header without opening it, so that a refusal leaves no trace.

    Raises ProjectNotFound, NotAProject, ProjectTooNew or StorageError.
    """
    with storage_errors(path):
        if path.is_symlink() and not path.exists():
            raise ProjectNotFound(_dangling(path))
        if not path.exists():
            raise ProjectNotFound(
                f'There is no project {path}. Make it with: resonantgen generate "…" --project {path}'
            )
        if not path.is_dir() or not (path / DATABASE).is_file():
            raise NotAProject(f"{path} is no ResonantGen project. A project is a folder that ResonantGen made.")
        with (path / DATABASE).open("rb") as file:
            header = file.read(100)
    # https://sqlite.org/fileformat2.html: user version at byte 60, application id at byte 68, big-endian.
    if header[:16] != b"SQLite format 3\0" or int.from_bytes(header[68:72]) != APPLICATION_ID:
        raise NotAProject(f"{path} is no ResonantGen project: its {DATABASE} is something else, or is damaged.")
    version = int.from_bytes(header[60:64])
    if version > SCHEMA_VERSION:
        raise ProjectTooNew(
            f"{path} was made by a newer ResonantGen (format {version}, this one knows {SCHEMA_VERSION}). "
            "Update with: pip install --upgrade resonantgen"
        )


def lock_project(path: Path) -> BaseFileLock:
    """Become the project's writer. Raises ProjectBusy."""
    from filelock import FileLock, Timeout  # imported here: readers do without it

    lock = FileLock(path / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        with suppress(OSError, ValueError):  # it may not be there yet, or hold anything
            pid = (path / PID).read_text(encoding="ascii").strip()
            raise ProjectBusy(
                f"{path} is being written by another process (pid {pid}). Wait until it is done, or stop it."
            ) from None
        raise ProjectBusy(f"{path} is being written by another process. Wait until it is done.") from None
    with suppress(OSError):  # only the error message of others needs it
        (path / PID).write_text(f"{os.getpid()}\n", encoding="ascii")
    return lock
