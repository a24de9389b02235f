"""CURVE keys: with them an engine can listen to other machines, and only those whose keys it has can drive it.

A folder of keys, as `new_keys` makes it on the engine's machine:

    server.key          the engine's secret: never leaves this machine
    server.pub          what clients know it by
    client.key          a client's secret
    clients/client.pub  what the engine knows that client by; whoever is in here may do everything

Another machine needs a folder with server.pub and client.key. To shut a client out, delete its file in clients/ and
start the engine again. Each file is one line: a key in Z85, 40 characters.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from resonantgen.errors import KeysError, StorageError, quoted

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True, repr=False)
class ServerKeys:
    """What an engine needs. Keys are in Z85."""

    public: bytes
    secret: bytes
    clients: frozenset[bytes]

    @classmethod
    def load(cls, folder: Path) -> ServerKeys:
        """Raises KeysError."""
        secret = _read_secret(folder / "server.key")
        files = sorted((folder / "clients").glob("*.pub"))
        if not files:
            raise KeysError(f"{folder / 'clients'} holds no client's key, so nobody could connect. {_REMEDY}")
        return cls(zmq.curve_public(secret), secret, frozenset(_read(file) for file in files))


@dataclass(frozen=True, slots=True, repr=False)
class ClientKeys:
    """What a client needs. Keys are in Z85."""

    public: bytes
    secret: bytes
    server: bytes

    @classmethod
    def load(cls, folder: Path, name: str = "client") -> ClientKeys:
        """Raises KeysError."""
        secret = _read_secret(folder / f"{_checked(name)}.key")
        return cls(zmq.curve_public(secret), secret, _read(folder / "server.pub"))


def new_keys(folder: Path, client: str = "client") -> list[Path]:
    """Make the engine's keys and those of a first client, and give the files. Raises KeysError, StorageError.

    Keys that are there are never replaced.
    """
    _checked(client)
    if (folder / "server.key").exists():
        raise KeysError(f"{folder} holds an engine's keys already. Use another folder, or delete them.")
    return _write_pair(folder / "server.key", folder / "server.pub") + add_client(folder, client)


def add_client(folder: Path, name: str) -> list[Path]:
    """Make keys for one more client, and give the files. Raises KeysError, StorageError."""
    secret, public = folder / f"{_checked(name)}.key", folder / "clients" / f"{name}.pub"
    if name == "server" or secret.exists() or public.exists():
        raise KeysError(f"{folder} holds keys of {quoted(name)} already. Use another name, or delete them.")
    return _write_pair(secret, public)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise KeysError(f"{quoted(name)} cannot name a client's keys. Use up to 40 letters, digits, - and _.")
    return name


def _write_pair(secret_file: Path, public_file: Path) -> list[Path]:
    public, secret = zmq.curve_keypair()
    try:
        for file, key, mode in ((secret_file, secret, 0o600), (public_file, public, 0o644)):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
                stream.write(key + b"\n")
    except OSError as error:
        raise StorageError(f"The keys cannot be written to {secret_file.parent}: {error.strerror}.") from None
    return [secret_file, public_file]


def _read_secret(file: Path) -> bytes:
    if os.name == "posix" and file.exists() and file.stat().st_mode & 0o077:
        raise KeysError(f"{file} can be read by others, so it is no secret. Run: chmod 600 {file}")
    return _read(file)


def _read(file: Path) -> bytes:
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise KeysError(f"{file} cannot be read: {error.strerror}. {_REMEDY}") from None
    try:
        whole = len(key) == 40 and len(z85.decode(key)) == 32
    except (KeyError, struct.error):  # no characters of Z85, or too large a number in them
        whole = False
    if not whole:
        raise KeysError(f"{file} holds no key. {_REMEDY}")
    return key


_REMEDY = "Make keys with: resonantgen keys new"
