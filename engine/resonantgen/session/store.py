"""A project on disk: a folder with a database of what happened and the audio that it refers to.

    night.rg/project.db           SQLite (WAL): takes, revisions, and where the session stands
    night.rg/audio/<sha256>.wav   stems, named by the hash of the file's bytes, never changed once written
    night.rg/imports/<sha256>.*   recordings that were imported, the files as they came, and tokens, named alike
    night.rg/project.lock         held by the one process that writes; writer.pid says which

Audio is on the disk before the database refers to it, and each command is one transaction, so a process that is killed
at any instant leaves the project as it was before the command or after it. Files that no take refers to are what a
killed command left: the next writer removes them, unless anything else looks damaged. One thread owns a Store.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from resonantgen.errors import ProjectDamaged, StorageError
from resonantgen.music.notes import Role
from resonantgen.session import codec
from resonantgen.session.files import TEMPORARY_SUFFIX, copy_file, remove_abandoned, storage_errors, write_file
from resonantgen.session.folder import (
    AUDIO,
    DATABASE,
    IMPORTS,
    LOCK,
    PID,
    SCHEMA_VERSION,
    STAGED_INSIDE,
    check_is_project,
    lock_project,
    make_audio_folder,
    make_project,
    schema_version,
    staged_name,
    upgrade,
    upgraded_take,
)
from resonantgen.session.setup import Setup
from resonantgen.session.source import Source, Tokens
from resonantgen.session.values import Project, Revision, Take

if TYPE_CHECKING:
    from filelock import BaseFileLock

T = TypeVar("T")

_HASHED = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,8})?")  # the name of a file that is kept by its hash
_HAS_WORDS = "json_extract(body, '$.intent.text') <> ''"  # of a revision


class Store:
    """An open project folder. Make one with `create` or `open`."""

    def __init__(self, path: Path, database: sqlite3.Connection, lock: BaseFileLock | None) -> None:
        self.path = path
        self._database = database
        self._lock = lock
        self._folder_was_there = True

    @classmethod
    def create(cls, path: Path) -> Store:
        """Make an empty project and open it for writing. Raises ProjectError if something is there already."""
        with storage_errors(path):
            was_there = path.is_dir()
        make_project(path)
        store = cls.open(path)
        store._folder_was_there = was_there
        return store

    @classmethod
    def open(cls, path: Path, readonly: bool = False) -> Store:
        """Open a project. A writer excludes other writers; readers are always welcome."""
        check_is_project(path)
        if readonly:
            return cls(path, _connect_reader(path), None)
        with storage_errors(path):
            lock = lock_project(path)
            try:
                database = sqlite3.connect(path / DATABASE, timeout=10, isolation_level=None)
                store = cls(path, database, lock)
                try:
                    database.execute("PRAGMA synchronous = FULL")
                    if schema_version(database) < SCHEMA_VERSION:
                        with store._transaction():
                            upgrade(database)
                    make_audio_folder(path)
                    store.remove_leftovers()
                except BaseException:
                    database.close()
                    raise
            except BaseException:
                lock.release()
                raise
        return store

    @property
    def readonly(self) -> bool:
        return self._lock is None

    def close(self) -> None:
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def discard(self) -> None:
        """Close the project and remove it from the disk. A folder that was there before it was made stays, empty."""
        self._database.close()
        with suppress(OSError):
            for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", PID):
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.path / IMPORTS, ignore_errors=True)
            shutil.rmtree(self.path / AUDIO)
        if self._lock is not None:  # only now, so that nobody has begun to write what is removed
            self._lock.release()
        with suppress(OSError):
            (self.path / LOCK).unlink(missing_ok=True)
            if not self._folder_was_there:
                self.path.rmdir()

    # -- what happened ------------------------------------------------------------------------------------------------

    def project(self) -> Project:
        row = self._one("SELECT body FROM project")
        if row is None:
            raise ProjectDamaged(f"The database of {self.path} is empty. Restore the folder from a backup.")
        return self._decode(row, Project)

    def setup(self) -> Setup:
        """How the project is set up around its music. A reader finds none in a project of version 1."""
        with self._storage_errors():
            if schema_version(self._database) < 2:
                return Setup()
        row = self._one("SELECT body FROM setup")
        if row is None:
            raise ProjectDamaged(f"The database of {self.path} has lost its setup. Restore the folder from a backup.")
        return self._decode(row, Setup)

    def set_setup(self, setup: Setup) -> None:
        """Make another setup durable."""
        with self._storage_errors(), self._transaction():
            self._database.execute("UPDATE setup SET body = ?", (codec.encode(setup),))

    def take(self, take_id: str) -> Take:
        """A reader understands takes of older projects, too."""
        with self._storage_errors():
            version = schema_version(self._database)  # first: a writer may bring it up to date at any moment
        row = self._one("SELECT body FROM take WHERE id = ?", take_id)
        if row is None:
            raise ProjectDamaged(f"{self.path} has lost its take {take_id}. Restore the folder from a backup.")
        return self._decode(row if version >= SCHEMA_VERSION else upgraded_take(row), Take)

    def take_ids(self, role: Role) -> list[str]:
        """Every take that a track ever had, oldest first."""
        return self._all("SELECT id FROM take WHERE role = ? ORDER BY number", role.value)

    def last_number(self, role: Role) -> int:
        """That of the track's newest take; 0 if it never had one."""
        return int(self._one("SELECT coalesce(max(number), 0) FROM take WHERE role = ?", role.value) or 0)

    def count_takes(self) -> int:
        return int(self._one("SELECT CAST(count(*) AS TEXT) FROM take") or 0)

    def revision(self, number: int) -> Revision | None:
        row = self._one("SELECT body FROM revision WHERE number = ?", number)
        return None if row is None else self._decode(row, Revision)

    def revisions(self, up_to: int) -> list[Revision]:
        """Oldest first."""
        rows = self._all("SELECT body FROM revision WHERE number <= ? ORDER BY number", up_to)
        return [self._decode(row, Revision) for row in rows]

    def revisions_with_words(self, up_to: int, newest: int = -1) -> list[Revision]:
        """Oldest first; so many of the newest, or all. Auto mode makes thousands without: those are not read."""
        query = f"SELECT body FROM revision WHERE number <= ? AND {_HAS_WORDS} ORDER BY number DESC LIMIT ?"
        return [self._decode(row, Revision) for row in reversed(self._all(query, up_to, newest))]

    def commit(self, project: Project, revision: Revision | None = None, takes: Sequence[Take] = ()) -> None:
        """Make a command's outcome durable, all of it or nothing. A new revision replaces those that were undone."""
        with self._storage_errors(), self._transaction():
            for take in takes:
                row = (take.id, take.role.value, take.number, take.audio_sha256, codec.encode(take))
                self._database.execute("INSERT INTO take VALUES (?, ?, ?, ?, ?)", row)
                if take.recipe.source is not None:
                    self._keep_import(take.recipe.source.file_name)
                if take.imported is not None and take.imported.tokens is not None:
                    self._keep_import(take.imported.tokens.file_name)
            if revision is not None:
                self._database.execute("DELETE FROM revision WHERE number >= ?", (revision.number,))
                body = codec.encode(revision)
                self._database.execute("INSERT INTO revision VALUES (?, ?)", (revision.number, body))
            self._database.execute("UPDATE project SET body = ?", (codec.encode(project),))

    def _keep_import(self, file_name: str) -> None:
        self._database.execute("INSERT OR IGNORE INTO import VALUES (?)", (file_name,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        (self.path / DATABASE).stat()  # SQLite goes on writing to a file that was removed
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
                self._database.execute("ROLLBACK")
            raise

    def _one(self, query: str, *values: object) -> str | None:
        with self._storage_errors():
            row = self._database.execute(query, values).fetchone()
        return None if row is None else str(row[0])

    def _all(self, query: str, *values: object) -> list[str]:
        with self._storage_errors():
            return [str(row[0]) for row in self._database.execute(query, values)]

    def _decode(self, text: str, kind: type[T]) -> T:
        return codec.decode(text, kind, f"The database of {self.path}")

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """As `storage_errors`, and says so if the whole folder is gone."""
        try:
            with storage_errors(self.path):
                yield
        except StorageError:
            if self.path.exists():
                raise
            raise StorageError(
                f"{self.path} was removed or renamed while it was in use. Open it where it is."
            ) from None

    # -- audio --------------------------------------------------------------------------------------------------------

    def audio_path(self, sha256: str) -> Path:
        return self.path / AUDIO / f"{sha256}.wav"

    def add_audio(self, data: bytes) -> str:
        """Store a WAV file durably, and give its hash. Until a take refers to it, it is a leftover.

        Any thread may call this: it touches files only.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.audio_path(sha256)
        with self._storage_errors():
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return sha256
            write_file(path, data)
        return sha256

    def read_audio(self, take: Take) -> bytes:
        """The bytes of a take's WAV file. Raises ProjectDamaged if they are gone or are not what was written."""
        remedy = f'Restore it from a backup, or make another with: resonantgen regenerate "" --track {take.role.value}'
        return _read_whole(self.audio_path(take.audio_sha256), take.audio_sha256, f"audio of take {take.id}", remedy)

    def check_audio(self, takes: Sequence[Take]) -> None:
        """Raises StorageError if the audio of takes that are about to be committed is not there."""
        with self._storage_errors():
            lost = [take.id for take in takes if not self.audio_path(take.audio_sha256).is_file()]
        if lost:
            raise StorageError(f"The audio of {' and '.join(lost)} was removed before it was recorded. Try again.")

    def remove_audio(self, hashes: Sequence[str]) -> None:
        """Remove audio that no take refers to; leave what one does."""
        referred = set(self._all("SELECT DISTINCT audio_sha256 FROM take"))
        for sha256 in set(hashes) - referred:
            with suppress(OSError):
                self.audio_path(sha256).unlink()

    # -- imported files -----------------------------------------------------------------------------------------------

    def import_path(self, file_name: str) -> Path:
        return self.path / IMPORTS / file_name

    def add_import(self, path: Path, suffix: str) -> str:
        """Keep a file of any length as it is, durably, and give the hash of its bytes. Any thread may call this.

        Raises AudioError if it cannot be read, StorageError.
        """
        with self._storage_errors():
            (self.path / IMPORTS).mkdir(exist_ok=True)
            return copy_file(path, self.path / IMPORTS, suffix)

    def imported_file(self, source: Source) -> Path:
        """Where the recording of a take is. Raises ProjectDamaged if it is gone or is not what was imported."""
        path = self.import_path(source.file_name)
        try:
            with path.open("rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == source.sha256
        except FileNotFoundError:
            raise ProjectDamaged(
                f"The imported {source.name} is missing ({path}). Its track plays on; restore it from a backup."
            ) from None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from None
        if not whole:
            raise ProjectDamaged(
                f"The imported {source.name} was changed or corrupted ({path}). Its track plays on; restore it from a "
                "backup."
            )
        return path

    def add_tokens(self, data: bytes) -> None:
        """Store a token file durably, named by the hash of its bytes. Any thread may call this."""
        with self._storage_errors():
            (self.path / IMPORTS).mkdir(exist_ok=True)
            write_file(self.import_path(f"{hashlib.sha256(data).hexdigest()}.rgt"), data)

    def read_tokens(self, take_id: str, tokens: Tokens) -> bytes:
        """The token file of a take. Raises ProjectDamaged if it is gone or is not what was written."""
        remedy = "Its track plays on; restore it from a backup."
        return _read_whole(self.import_path(tokens.file_name), tokens.sha256, f"token file of take {take_id}", remedy)

    def import_names(self) -> frozenset[str]:
        """What lies in the folder of imports. Raises StorageError."""
        with self._storage_errors():
            folder = self.path / IMPORTS
            return frozenset(file.name for file in folder.iterdir()) if folder.is_dir() else frozenset()

    def remove_imports(self, file_names: Iterable[str]) -> None:
        """Remove files that no take was cut from or keeps; leave those that one does. Raises ProjectError."""
        for file_name in set(file_names) - set(self._all("SELECT file FROM import")):
            with suppress(OSError):
                self.import_path(file_name).unlink()

    # -- what is left over --------------------------------------------------------------------------------------------

    def remove_leftovers(self) -> None:
        """Remove what a failed or killed command wrote: temporary files, and audio and imports that no take refers to.

        They are only removed if there is no more of them than one command writes and the database is sound: otherwise
        the takes that refer to it may be what was lost.
        """
        remove_abandoned(self.path.parent, staged_name(self.path))
        remove_abandoned(self.path, STAGED_INSIDE)
        referred = {f"{sha256}.wav" for sha256 in self._all("SELECT DISTINCT audio_sha256 FROM take")}
        referred |= set(self._all("SELECT file FROM import"))
        with self._storage_errors():
            files = list((self.path / AUDIO).iterdir())
            if (self.path / IMPORTS).is_dir():
                files += (self.path / IMPORTS).iterdir()
            leftovers = [file for file in files if file.name.endswith(TEMPORARY_SUFFIX)]
            audio = [file for file in files if _HASHED.fullmatch(file.name)]
        unreferred = [file for file in audio if file.name not in referred]
        if 0 < len(unreferred) <= len(Role) + 1 and self._is_sound():
            leftovers += unreferred
        for file in leftovers:
            with suppress(OSError):
                file.unlink()

    def _is_sound(self) -> bool:
        """Whether the database is whole, all that it refers to is in it, and every value can be read."""
        try:
            if self._one("PRAGMA quick_check") != "ok":
                return False
            project = self.project()
            self.setup()
            revisions = self.revisions(up_to=project.revision)
            takes = {role: [self.take(take_id) for take_id in self.take_ids(role)] for role in Role}
            hashes = self._all("SELECT audio_sha256 FROM take")
        except ProjectDamaged:
            return False
        made = [take for role in Role for take in takes[role]]
        states = project.tracks.values()
        referred = {take for state in states for take in (state.take, *state.past, *state.future)} - {None}
        # Takes and revisions are numbered from 1 without gaps, and takes are never deleted.
        return (
            referred <= {take.id for take in made}
            and all([take.number for take in takes[role]] == list(range(1, len(takes[role]) + 1)) for role in Role)
            and sorted(take.audio_sha256 for take in made) == sorted(hashes)
            and [revision.number for revision in revisions] == list(range(1, project.revision + 1))
        )


def _read_whole(path: Path, sha256: str, what: str, remedy: str) -> bytes:
    """The bytes of a file that is kept by its hash. Raises ProjectDamaged if they are gone or others, StorageError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ProjectDamaged(f"The {what} is missing ({path}). {remedy}") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ProjectDamaged(f"The {what} was changed or corrupted ({path}). {remedy}")
    return data


def _connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the project, beside a writer or in a folder that cannot be written.

    Even a reader of a WAL database writes a little (the shared-memory index). Where that is not possible, a copy of the
    database is read in memory instead.
    """
    with storage_errors(path):
        database = sqlite3.connect(
            (path / DATABASE).resolve().as_uri() + "?mode=rw", uri=True, timeout=10, isolation_level=None
        )
        try:
            database.execute("PRAGMA query_only = ON")
            database.execute("SELECT count(*) FROM project").fetchone()
        except sqlite3.OperationalError:
            database.close()
            return _copy_in_memory(path)
        except BaseException:
            database.close()
            raise
        return database


def _copy_in_memory(path: Path) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in (DATABASE, f"{DATABASE}-wal"):
                if (path / name).exists():
                    shutil.copyfile(path / name, Path(folder) / name)
            with closing(sqlite3.connect(Path(folder) / DATABASE)) as copy:
                copy.backup(memory)
    except BaseException:
        memory.close()
        raise
    return memory
