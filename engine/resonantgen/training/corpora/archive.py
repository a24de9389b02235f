"""The files of a data archive, read without unpacking it to disk."""

from __future__ import annotations

import lzma
import tarfile
from functools import cache
from pathlib import Path

from resonantgen.errors import BadValue


@cache
def archive_files(path: Path) -> dict[str, bytes]:
    """Every file of a .tar.xz by its path within; the sets of symbolic music are small enough to be kept.

    Raises BadValue where it is not there or is no such archive.
    """
    try:
        with tarfile.open(path, "r:*") as archive:
            members = (member for member in archive if member.isfile())
            return {member.name.removeprefix("./"): _content(archive, member) for member in members}
    except FileNotFoundError:
        raise BadValue(f"{path} is not there. Name the folder that the archives of music lie in.") from None
    except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise BadValue(f"{path} cannot be read as an archive ({error}). Fetch it again.") from None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, "a regular file"
    return file.read()
