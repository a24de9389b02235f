"""A folder for one process: what a run writes into, no other run writes into meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from resonantgen.errors import StorageError
from resonantgen.session.files import TEMPORARY_SUFFIX, storage_errors


@contextmanager
def claimed(folder: Path, doing: str, *inside: str) -> Iterator[None]:
    """A folder, and folders inside it, made if need be, and rid of what a killed process was writing there.

    Raises StorageError where another process is `doing` ("training") something in it.
    """
    with storage_errors(folder):
        for name in ("", *inside):
            (folder / name).mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StorageError(f"Another process is {doing} in {folder}. Wait for it, or choose another.") from None
    try:
        for name in ("", *inside):
            for part in (folder / name).glob(f".*{TEMPORARY_SUFFIX}"):
                with suppress(OSError):
                    part.unlink()
        yield
    finally:
        lock.release()
