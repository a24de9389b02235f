"""A project on disk: a folder with a database of what happened and the audio that it refers to.

    night.rg/project.db           SQLite (WAL): takes, revisions, and where the session stands
    night.rg/audio/<sha256>.wav   stems, named by the hash of the file's bytes, never changed once written
    night.rg/project.lock         held by the one process that writes; writer.pid says which

Audio is on the disk before the database refers to it, and each command is one transaction, so a process that is killed
at any instant leaves the project as it was before the command or after it. Files that no take refers to are what a
killed command left: the next writer removes them. One thread owns a Store.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from resonantgen.errors import (
    NotAProject,
    ProjectBusy,
    ProjectDamaged,
    ProjectError,
    ProjectNotFound,
    ProjectTooNew,
    StorageError,
)
from resonantgen.music.notes import Role
from resonantgen.session import codec
from resonantgen.session.files import (
    TEMPORARY_SUFFIX,
    remove_abandoned,
    staged_folder,
    storage_errors,
    sync_folder,
    write_file,
)
from resonantgen.session.values import Project, Revision, Take

if TYPE_CHECKING:
    from filelock import BaseFileLock

SCHEMA_VERSION = 1
APPLICATION_ID = 0x52474E31  # "RGN1": marks the database file as ours
DATABASE, AUDIO, LOCK, PID = "project.db", "audio", "project.lock", "writer.pid"

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE project (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT;
CREATE TABLE take (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, number INTEGER NOT NULL, audio_sha256 TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (role, number)
) STRICT;
CREATE TABLE revision (number INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
"""


class Store:
    """An open project folder. Make one with `create` or `open`."""

    def __init__(self, path: Path, database: sqlite3.Connection, lock: BaseFileLock | None) -> None:
        self.path = path
        self._database = database
        self._lock = lock

    @classmethod
    def create(cls, path: Path) -> Store:
        """Make an empty project and open it for writing. Raises ProjectError if something is there already."""
        refuse_existing(path)
        with storage_errors(path), staged_folder(path.parent, _staged(path)) as folder:
            (folder / AUDIO).mkdir()
            with closing(sqlite3.connect(folder / DATABASE)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
                database.execute("INSERT INTO project VALUES (1, ?)", (codec.encode(Project()),))
                database.commit()
            sync_folder(folder)
            if path.exists():
                path.rmdir()  # `refuse_existing` found it empty; Windows does not rename over a folder
            folder.rename(path)
            sync_folder(path.parent)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, readonly: bool = False) -> Store:
        """Open a project. A writer excludes other writers; readers are always welcome."""
        check_is_project(path)
        if readonly:
            return cls(path, _connect_reader(path), None)
        with storage_errors(path):
            lock = _lock(path)
            try:
                database = sqlite3.connect(path / DATABASE, timeout=10, isolation_level=None)
                store = cls(path, database, lock)
                try:
                    database.execute("PRAGMA synchronous = FULL")
                    (path / AUDIO).mkdir(exist_ok=True)  # if it was deleted, what is missing is said take by take
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

    # -- what happened ------------------------------------------------------------------------------------------------

    def project(self) -> Project:
        row = self._one("SELECT body FROM project")
        if row is None:
            raise ProjectDamaged(f"The database of {self.path} is empty. Restore the folder from a backup.")
        return codec.decode(row, Project)

    def take(self, take_id: str) -> Take:
        row = self._one("SELECT body FROM take WHERE id = ?", take_id)
        if row is None:
            raise ProjectDamaged(f"{self.path} has lost its take {take_id}. Restore the folder from a backup.")
        return codec.decode(row, Take)

    def take_ids(self, role: Role) -> list[str]:
        """Every take that a track ever had, oldest first."""
        return self._all("SELECT id FROM take WHERE role = ? ORDER BY number", role.value)

    def count_takes(self) -> int:
        return int(self._one("SELECT CAST(count(*) AS TEXT) FROM take") or 0)

    def revision(self, number: int) -> Revision | None:
        row = self._one("SELECT body FROM revision WHERE number = ?", number)
        return None if row is None else codec.decode(row, Revision)

    def revisions(self, up_to: int) -> list[Revision]:
        """Oldest first."""
        rows = self._all("SELECT body FROM revision WHERE number <= ? ORDER BY number", up_to)
        return [codec.decode(row, Revision) for row in rows]

    def commit(self, project: Project, revision: Revision | None = None, takes: Sequence[Take] = ()) -> None:
        """Make a command's outcome durable, all of it or nothing. A new revision replaces those that were undone."""
        with storage_errors(self.path), self._transaction():
            for take in takes:
                row = (take.id, take.role.value, take.number, take.audio_sha256, codec.encode(take))
                self._database.execute("INSERT INTO take VALUES (?, ?, ?, ?, ?)", row)
            if revision is not None:
                self._database.execute("DELETE FROM revision WHERE number >= ?", (revision.number,))
                body = codec.encode(revision)
                self._database.execute("INSERT INTO revision VALUES (?, ?)", (revision.number, body))
            self._database.execute("UPDATE project SET body = ?", (codec.encode(project),))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
                self._database.execute("ROLLBACK")
            raise

    def _one(self, query: str, *values: object) -> str | None:
        with storage_errors(self.path):
            row = self._database.execute(query, values).fetchone()
        return None if row is None else str(row[0])

    def _all(self, query: str, *values: object) -> list[str]:
        with storage_errors(self.path):
            return [str(row[0]) for row in self._database.execute(query, values)]

    # -- audio --------------------------------------------------------------------------------------------------------

    def audio_path(self, sha256: str) -> Path:
        return self.path / AUDIO / f"{sha256}.wav"

    def add_audio(self, data: bytes) -> str:
        """Store a WAV file durably, and give its hash. Until a take refers to it, it is a leftover."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.audio_path(sha256)
        with storage_errors(self.path):
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return sha256
            write_file(path, data)
        return sha256

    def read_audio(self, take: Take) -> bytes:
        """The bytes of a take's WAV file. Raises ProjectDamaged if they are gone or are not what was written."""
        path = self.audio_path(take.audio_sha256)
        remedy = f'Restore it from a backup, or make another with: resonantgen regenerate "" --track {take.role.value}'
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ProjectDamaged(f"The audio of take {take.id} is missing ({path}). {remedy}") from None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from None
        if hashlib.sha256(data).hexdigest() != take.audio_sha256:
            raise ProjectDamaged(f"The audio of take {take.id} was changed or corrupted ({path}). {remedy}")
        return data

    def remove_leftovers(self) -> None:
        """Remove what a failed or killed command wrote: temporary files, and audio that no take refers to."""
        remove_abandoned(self.path.parent, _staged(self.path))
        referred = {f"{sha256}.wav" for sha256 in self._all("SELECT DISTINCT audio_sha256 FROM take")}
        with storage_errors(self.path):
            files = [*self.path.glob(f".*{TEMPORARY_SUFFIX}"), *(self.path / AUDIO).iterdir()]
        for file in files:
            ours = file.name.endswith(TEMPORARY_SUFFIX) or (file.suffix == ".wav" and len(file.stem) == 64)
            if ours and file.name not in referred:
                with suppress(OSError):
                    file.unlink()


def _staged(path: Path) -> str:
    """How the folder is called in which a new project is prepared, up to what makes it unique."""
    return f".{path.name}.new-"


def has_database(path: Path) -> bool:
    """Whether a folder has a project's database in it. Raises StorageError where that cannot be seen."""
    with storage_errors(path):
        return (path / DATABASE).exists()


def refuse_existing(path: Path) -> None:
    """Raises ProjectError unless a new project can be made at `path`: nothing is there, or an empty folder."""
    if has_database(path):
        raise ProjectError(f"{path} is a project already. Open it, or choose another name.")
    with storage_errors(path):
        if path.is_dir():
            if any(path.iterdir()):
                raise NotAProject(f"{path} is a folder with other things in it. Choose another name for the project.")
        elif path.exists() or path.is_symlink():
            raise NotAProject(f"{path} is a file. Choose another name for the project.")
        elif not path.parent.is_dir():
            raise StorageError(f"{path} cannot be made: the folder {path.parent} does not exist. Make it first.")


def check_is_project(path: Path) -> None:
    """Look at the database's header without opening it, so that a refusal leaves no trace.

    Raises ProjectNotFound, NotAProject, ProjectTooNew or StorageError.
    """
    with storage_errors(path):
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


def _lock(path: Path) -> BaseFileLock:
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
