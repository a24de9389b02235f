"""Fetches one file: it goes on where it stopped, and has its own name only when it is whole and its checksum right.

What has come lies in `<name>.<first digits of the checksum>.part`, so a part is never taken for one of another version;
`.part.tag` beside it holds the server's ETag, for If-Range. A server that sends the whole file instead of the rest, or
whose file is another one by now, makes it start anew (RFC 9110, sections 13.1.5 and 14.2).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType

from resonantgen.errors import DownloadFailed
from resonantgen.models.catalog import bytes_text
from resonantgen.models.folder import CHUNK, FileRecord
from resonantgen.models.hub import RemoteFile
from resonantgen.models.web import Passing, Patience, RangeRefused, Wire, read_some

PIECE = 1 << 18  # bytes that are asked of the network at once
PART = ".part"
TAG = ".tag"


class Digest:
    """A file's SHA-256, and beside it what the hub knows the file by."""

    def __init__(self, remote: RemoteFile) -> None:
        self._sha256 = hashlib.sha256()
        self._expected = remote.checksum
        # git's blob id: of "blob <size>\0" and the content. It says which file it is, not that nobody made another
        # with the same id; that the file is weights is left to SHA-256, which the hub gives for every big one.
        git = len(remote.checksum) == 40
        self._git = hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False) if git else None

    def update(self, piece: bytes) -> None:
        self._sha256.update(piece)
        if self._git is not None:
            self._git.update(piece)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def right(self) -> bool:
        return (self.sha256 if self._git is None else self._git.hexdigest()) == self._expected


def part_size(folder: Path, remote: RemoteFile) -> int:
    """How much of a file has come, in bytes."""
    with suppress(OSError):
        return part_path(folder, remote).stat().st_size
    return 0


def kept(folder: Path, remote: RemoteFile) -> FileRecord | None:
    """A file that is there already, if it is whole and right. It is read, whatever its size."""
    digest = Digest(remote)
    try:
        if (folder / remote.name).stat().st_size != remote.size:
            return None
        with (folder / remote.name).open("rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
    except OSError:
        return None
    return FileRecord(remote.name, remote.size, digest.sha256) if digest.right else None


def fetch(remote: RemoteFile, folder: Path, wire: Wire, on_done: Callable[[int], None]) -> FileRecord:
    """Fetch a file into a folder. `on_done` is told how many of its bytes are there; less than before: it starts anew.

    Raises DownloadFailed. What has come is kept then, unless it is wrong.
    """
    while True:
        with _Part(folder, remote) as part:
            on_done(part.size)
            whole = part.size == 0  # all of it comes in this run
            _fill(part, remote, wire, on_done)
            if part.digest.right:
                return part.keep()
            part.discard()
        if whole:
            raise DownloadFailed(f"{remote.name} came with a wrong checksum and was removed.")
        on_done(0)  # a part of an earlier run may have been what was wrong


def _fill(part: _Part, remote: RemoteFile, wire: Wire, on_done: Callable[[int], None]) -> None:
    patience = Patience(wire)
    furthest = part.size
    while part.size < remote.size:
        try:
            _receive(part, remote, wire, on_done)
        except RangeRefused:
            if not part.size:
                raise DownloadFailed(f"The server does not give all of {remote.url}.") from None
            part.restart()
            on_done(0)
        except Passing as trouble:
            if part.size > furthest:
                patience.gained()
                furthest = part.size
            patience.wait(trouble)


def _receive(part: _Part, remote: RemoteFile, wire: Wire, on_done: Callable[[int], None]) -> None:
    """One request: the rest of the file, or all of it."""
    headers = {}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.tag:
            headers["If-Range"] = part.tag
    with wire.open(remote.url, headers) as response:
        if response.status == 200 and part.size:
            part.restart()
            on_done(0)
        _check_extent(response, part.size, remote)
        part.tag = _strong_tag(response)
        while piece := read_some(response, PIECE):
            if part.size + len(piece) > remote.size:
                part.discard()
                raise DownloadFailed(f"{remote.name} came with too many bytes and was removed.")
            part.append(piece)
            on_done(part.size)
    if part.size < remote.size:
        raise Passing("the connection was cut")


def _check_extent(response: HTTPResponse, start: int, remote: RemoteFile) -> None:
    """What comes has to be what is missing. Raises RangeRefused and DownloadFailed."""
    if response.status == 206:
        if response.headers.get("Content-Range", "") != f"bytes {start}-{remote.size - 1}/{remote.size}":
            raise RangeRefused
    elif response.length is not None and response.length != remote.size:
        raise DownloadFailed(
            f"{remote.url} has {bytes_text(response.length)} and should have {bytes_text(remote.size)}. "
            "Is something between the hub and you?"
        )


def _strong_tag(response: HTTPResponse) -> str:
    tag = response.headers.get("ETag", "")
    return tag if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag) else ""  # If-Range takes no weak ones


def part_path(folder: Path, remote: RemoteFile) -> Path:
    """Where a file lies while it comes; the server's mark for it lies beside, under that name and TAG."""
    return folder / f"{remote.name}.{remote.checksum[:12]}{PART}"


class _Part:
    """So much of a file as has come, and its digest."""

    def __init__(self, folder: Path, remote: RemoteFile) -> None:
        self._remote = remote
        self._target = folder / remote.name
        self._path = part_path(folder, remote)
        self._tag_path = self._path.with_name(self._path.name + TAG)
        self._file = self._path.open("ab+")
        if self._path.stat().st_size > remote.size:
            self.restart()
        else:
            self._read_again()

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # the disk is full: what could not be written will be fetched again
            self._file.close()

    @property
    def tag(self) -> str:
        """The server's mark for the file that this is a part of, or ""."""
        try:
            return self._tag_path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    @tag.setter
    def tag(self, tag: str) -> None:
        if tag != self.tag:
            with suppress(OSError):  # then the rest comes unasked for, or the checksum tells
                self._tag_path.write_text(tag, encoding="ascii")

    def append(self, piece: bytes) -> None:
        """Raises DownloadFailed."""
        try:
            self._file.write(piece)
            self._file.flush()  # a full disk is told of here
        except OSError as error:
            raise DownloadFailed(
                f"{self._path} cannot be written: {error.strerror or error}. What has come is kept."
            ) from None
        self.digest.update(piece)
        self.size += len(piece)

    def restart(self) -> None:
        self._file.truncate(0)
        self.size = 0
        self.digest = Digest(self._remote)

    def keep(self) -> FileRecord:
        """It is whole: put it under its own name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._target)
        self._tag_path.unlink(missing_ok=True)
        return FileRecord(self._remote.name, self._remote.size, self.digest.sha256)

    def discard(self) -> None:
        self._file.close()
        self._path.unlink()
        self._tag_path.unlink(missing_ok=True)

    def _read_again(self) -> None:
        self.size = 0
        self.digest = Digest(self._remote)
        self._file.seek(0)
        while piece := self._file.read(CHUNK):
            self.digest.update(piece)
            self.size += len(piece)
