"""Finds the engine that serves a project, on this machine: engines say so in a file, here it is read and checked.

The engine writes `engine.json` into the project once it answers and removes it at its end; a second copy, in a folder
of the user, tells which engine holds a port. A file that was left behind by a crash is ignored: it counts only if its
process lives and answers for this very project.

Importing this costs nothing: ZeroMQ is loaded only where there is such a file.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from resonantgen.errors import ResonantGenError
from resonantgen.session.files import storage_errors, write_file

if TYPE_CHECKING:
    from resonantgen_bridge.client import Client

ENGINE_FILE = "engine.json"
PING_SECONDS = 2.0  # an engine on this machine answers within milliseconds, unless the machine is very busy
SILENCE_SECONDS = 5.0  # after which a client gives the engine up
MAX_FILE_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """A running engine and what it serves."""

    project: str  # the absolute path
    pid: int
    zmq: str  # for clients on this machine: "tcp://127.0.0.1:5570"
    events: str
    osc: str  # "127.0.0.1:9010"; empty: none
    public_key: str = ""  # the file with the engine's public key; empty: without encryption
    plugin: str = ""  # where the plugin in DAWs connects: "127.0.0.1:5590"; empty: nowhere
    protocol: int = 1

    def ports(self) -> tuple[int, ...]:
        return tuple(port for port in map(_port, (self.zmq, self.events, self.osc, self.plugin)) if port)


def announce(project: Path, served: Served) -> None:
    """Say that the project is served. For the engine, once it answers. Raises StorageError."""
    served = replace(served, zmq=_from_here(served.zmq), events=_from_here(served.events))
    data = (json.dumps(asdict(served), indent=2) + "\n").encode()
    with storage_errors(project):
        write_file(project / ENGINE_FILE, data)
    with suppress(OSError):  # only error messages and commands without a project need it
        folder = _running_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(folder / f"{served.pid}.json", data)


def withdraw(project: Path) -> None:
    """Take back what this process announced. Never raises."""
    pid = os.getpid()
    for file in (project / ENGINE_FILE, _running_folder() / f"{pid}.json"):
        served = _read(file)
        if served is not None and served.pid == pid:
            with suppress(OSError):
                file.unlink()


def find_served(project: Path, timeout_seconds: float = PING_SECONDS) -> Served | None:
    """The engine that serves the project, if it answers."""
    served = _read(project / ENGINE_FILE)
    if served is None or not _alive(served.pid) or not _may_be_ours(served):
        return None
    try:
        with connect(served.zmq, keys_folder(served), timeout_seconds) as client:
            answered = client.call("state")["state"].get("project", "")
            return served if Path(answered).samefile(project) else None  # not one that got the port later
    except (ResonantGenError, OSError, ValueError, TypeError):
        return None


def running() -> tuple[Served, ...]:
    """The engines that this user runs, as far as is known."""
    found = []
    with suppress(OSError):
        for file in sorted(_running_folder().glob("*.json")):
            served = _read(file)
            if served is not None and _alive(served.pid):
                found.append(served)
            else:
                with suppress(OSError):
                    file.unlink()
    return tuple(found)


def holder_of_port(port: int) -> str:
    """Who holds a port of this machine, for error messages: "another ResonantGen (pid 4242, project night.rg)"."""
    for served in running():
        if port in served.ports() and served.pid != os.getpid():
            return f"another ResonantGen (pid {served.pid}, project {Path(served.project).name})"
    return "another program"


def connect(address: str, keys: Path | None = None, timeout_seconds: float | None = None) -> Client:
    """A client of the engine at an address. Raises BadValue, KeysError."""
    from resonantgen_bridge.client import Client  # imported here: it loads ZeroMQ

    return Client(address, keys=keys, timeout=timeout_seconds or SILENCE_SECONDS)


def keys_folder(served: Served) -> Path | None:
    return Path(served.public_key).parent if served.public_key else None


def _may_be_ours(served: Served) -> bool:
    """Whether an engine could have written it: without keys, engines listen on this machine only.

    A project from somebody else may hold any file: no command goes to where that points.
    """
    from resonantgen_bridge.addresses import is_loopback  # imported here: it loads the protocol

    try:
        host = urlsplit(served.zmq).hostname or ""
    except ValueError:
        return False
    return bool(served.public_key) or is_loopback(host)


def _from_here(address: str) -> str:
    """An address that listens to every network, as clients on this machine reach it."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _read(file: Path) -> Served | None:
    """What an engine wrote; None if nobody did, or it is something else."""
    try:
        with file.open("rb") as opened:
            values = json.loads(opened.read(MAX_FILE_BYTES))
        served = Served(**{field.name: values[field.name] for field in fields(Served)})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (served.project, served.zmq, served.events, served.osc, served.plugin, served.public_key)
    numbers = (served.pid, served.protocol)
    fits = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
    return served if fits and served.pid > 0 else None


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end the process there: whether it answers has to tell
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's
    return True


def _port(address: str) -> int | None:
    try:
        return urlsplit(address if "//" in address else f"//{address}").port
    except ValueError:
        return None


def _running_folder() -> Path:
    """Where this user's engines say that they run."""
    given = os.environ.get("RESONANTGEN_STATE") or os.environ.get("XDG_RUNTIME_DIR")
    if given:
        return Path(given) / "resonantgen"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "ResonantGen" / "running"
    caches = Path("Library", "Caches") if sys.platform == "darwin" else Path(".cache")
    return Path.home() / caches / "resonantgen" / "running"
