"""Where a command is carried out: on a project on disk, or by a running engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from resonantgen.cli.base import newest_project
from resonantgen.errors import BadValue, EngineNotRunning, ResonantGenError

if TYPE_CHECKING:
    from resonantgen_bridge.client import Client

ENGINE_FILE = "engine.json"  # in a project that may be being served; the bridge is loaded only then
DEFAULT_PORT = 5570


@dataclass(frozen=True, slots=True)
class Place:
    """At least one of project and address is there; with both, the engine serves that project on this machine."""

    project: Path | None
    address: str | None = None
    keys: Path | None = None

    @property
    def served(self) -> bool:
        return self.address is not None

    def path(self) -> Path:
        """The project, for what needs its files. Raises BadValue if they are on another machine."""
        if self.project is None:
            raise BadValue(f"The project of {self.address} is not on this machine. Ask for it there.")
        return self.project

    @contextmanager
    def client(self) -> Iterator[Client]:
        """The engine. Raises EngineNotRunning if the project is not being served."""
        if self.address is None:
            raise EngineNotRunning(
                f"{self.project} is not being served. Start it with: resonantgen serve --project {self.project}"
            )
        from resonantgen_bridge.served import connect

        with connect(self.address, self.keys) as client:
            yield client


def find_place(
    project: Path | None,
    engine: str | None = None,
    keys: Path | None = None,
    default: Callable[[], Path] = newest_project,
) -> Place:
    """The engine that was named, or the project: by the engine that serves it, if one does.

    Raises BadValue, ProjectNotFound, EngineNotRunning.
    """
    if project is not None and _by_environment("engine"):
        engine = keys = None  # what is typed outweighs it
    if engine is not None:
        if project is not None:
            raise BadValue("Give --project or --engine, not both: an engine serves one project.")
        address = parse_address(engine)
        return Place(_project_of(address, keys), address, keys)
    path = project or default()
    if (path / ENGINE_FILE).exists():
        from resonantgen_bridge.served import find_served, keys_folder

        served = find_served(path)
        if served is not None:
            return Place(path, served.zmq, keys_folder(served))
    return Place(path)


def find_engine(project: Path | None, engine: str | None, keys: Path | None) -> Place:
    """The same, for what only engines do: without a project here, the one engine that runs is meant."""
    try:
        return find_place(project, engine, keys)
    except ResonantGenError:
        if project is not None or engine is not None:
            raise
        from resonantgen_bridge.served import find_served, keys_folder, running

        engines = running()
        if len(engines) != 1 or find_served(Path(engines[0].project)) is None:
            raise
        return Place(Path(engines[0].project), engines[0].zmq, keys_folder(engines[0]))


def parse_address(text: str) -> str:
    """ "5570", "studio:5570" or "tcp://studio:5570", as ZeroMQ writes it. Raises BadValue."""
    bare = text.strip().removeprefix("tcp://")
    host, colon, port = ("127.0.0.1", ":", bare) if bare.isdecimal() else bare.rpartition(":")
    if not colon:
        host, port = bare, str(DEFAULT_PORT)
    usable = host and port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16
    if not usable or any(c.isspace() or c in "/@?#*" for c in host):
        raise BadValue(f'"{text[:60]}" is no address. Addresses look like: 5570, 192.168.1.5:5570.')
    return f"tcp://{host}:{port}"


def _project_of(address: str, keys: Path | None) -> Path | None:
    """The folder of the engine's project, if it is on this machine. Raises EngineNotRunning."""
    with Place(None, address, keys).client() as client:
        path = Path(str(state_of(client).get("project", "")))
    return path if _is_here(address) and path.is_absolute() and (path / ENGINE_FILE).exists() else None


def state_of(client: Client) -> dict[str, Any]:
    state: dict[str, Any] = client.call("state")["state"]
    return state


def _by_environment(option: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(option) is ParameterSource.ENVIRONMENT


def _is_here(address: str) -> bool:
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    from resonantgen_bridge.addresses import is_loopback

    return is_loopback(host)
