"""A real `resonantgen serve` in a process of its own, on free ports, for tests from outside.

Engines that a test leaves behind are killed, with what they started. Processes are found through /proc, so this needs
Linux.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pythonosc.osc_message_builder import build_msg
from pythonosc.osc_packet import OscPacket

from resonantgen.session.session import Session
from resonantgen_bridge.client import Client

HANG_SECONDS = (
    120.0  # nothing takes nearly as long, but for a first start that compiles: it only ends a test that hangs
)
READY = "Ctrl-C stops it."  # the last line before the engine begins

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")

T = TypeVar("T")


def wait_for(what: str, get: Callable[[], T]) -> T:
    """The first true thing that `get` gives. AssertionError with `what` if none comes."""
    end = time.monotonic() + HANG_SECONDS
    while not (got := get()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
    return got


class OscSocket:
    """A control surface: sends, and keeps what is sent to it."""

    def __init__(self, engine: tuple[str, int]) -> None:
        self._engine = engine
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(HANG_SECONDS)
        self.got: list[tuple[Any, ...]] = []  # (address, arguments...)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def send(self, address: str, *values: Any) -> None:
        self.send_raw(build_msg(address, list(values)).dgram)

    def send_raw(self, datagram: bytes) -> None:
        self._socket.sendto(datagram, self._engine)

    def read_away(self) -> None:
        """Forget what has come."""
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.recv(65536)

    def receive(self, wanted: Callable[[tuple[Any, ...]], bool]) -> tuple[Any, ...]:
        """The next message like that; those before it are in `got`, too. Fails if none comes."""
        while True:
            datagram = self._socket.recv(65536)
            messages = [(m.message.address, *m.message.params) for m in OscPacket(datagram).messages]
            self.got += messages
            for message in messages:
                if wanted(message):
                    return message

    def receive_at(self, address: str) -> tuple[Any, ...]:
        """The arguments of the next message at an address."""
        return self.receive(lambda message: message[0] == address)[1:]

    def ping(self) -> None:
        """Returns when everything that this socket sent before has been read, and begun."""
        self.send("/rg/ping")
        self.receive(lambda message: message[:2] == ("/rg/done", "ping"))

    def ping_until_answered(self) -> None:
        """As a surface does whose messages may be lost: UDP drops them where a socket is full."""

        def answered() -> bool:
            self.send("/rg/ping")
            return bool(select.select([self._socket], [], [], 0.2)[0])

        wait_for("an answer by OSC", answered)
        self.ping()

    def close(self) -> None:
        self._socket.close()


class EngineProcess:
    """An engine that runs, or has run. `start` makes one."""

    def __init__(self, project: Path, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.project, self.process = project, process
        self._out, self._err = out, err
        self._client: Client | None = None
        self._sockets: list[OscSocket] = []
        self._family: set[int] = set()  # every process that it was seen to have

    # -- what it says -------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        return self._out.read_text(encoding="utf-8").splitlines()

    @property
    def errors(self) -> str:
        """What it wrote to standard error: nothing, if all is well."""
        return self._err.read_text(encoding="utf-8")

    def wait_for_line(self, part: str) -> str:
        def find() -> str:
            found = next((line for line in self.lines if part in line), "")
            assert found or self.process.poll() is None, f"it ended without {part!r}: {self.lines} {self.errors}"
            return found

        return wait_for(f"a line with {part!r}", find)

    # -- driving it ---------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> dict[str, str]:
        """As it announces them."""
        values = json.loads((self.project / "engine.json").read_text(encoding="utf-8"))
        return {name: str(values[name]) for name in ("zmq", "events", "osc", "plugin")}

    @property
    def client(self) -> Client:
        if self._client is None:
            addresses = self.addresses
            self._client = Client(addresses["zmq"], events=addresses["events"], timeout=HANG_SECONDS)
        return self._client

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.client.state()
        return state

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.client.status()
        return status

    def osc(self) -> OscSocket:
        host, _, port = self.addresses["osc"].rpartition(":")
        self._sockets.append(OscSocket((host, int(port))))
        return self._sockets[-1]

    def wait_until_it_has_played(self) -> None:
        """Until a second more of sound has been taken from it."""
        before = self.status["audio"]["telemetry"]["callbacks"]
        wait_for("sound to go on", lambda: self.status["audio"]["telemetry"]["callbacks"] > before + 100)

    # -- its processes ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> dict[int, str]:
        """The command lines of the processes that it started and that live."""
        found = {pid: command_line(pid) for pid, parent in _parents().items() if parent == self.pid}
        self._family |= found.keys()
        return found

    @property
    def worker_pid(self) -> int:
        return self._child("spawn_main")

    @property
    def audio_pid(self) -> int:
        return self._child("resonantgen.realtime.audio_process")

    @property
    def shared_memory(self) -> Path:
        """The ring's."""
        return Path("/dev/shm", command_line(self.audio_pid).partition("audio_process ")[2].split()[0])

    def _child(self, part: str) -> int:
        def find() -> list[int]:
            return [pid for pid, command in self.children().items() if part in command]

        return wait_for(f"a process {part}", find)[0]

    def wait_until_nothing_is_left(self) -> None:
        """Until its processes, as far as `children` has seen them, are gone."""
        wait_for("its processes to end", lambda: not any(is_alive(pid) for pid in self._family))

    # -- its end ------------------------------------------------------------------------------------------------------

    def end(self, number: signal.Signals = signal.SIGTERM, *, whole_group: bool = False) -> int:
        """Signal it, as a terminal does with `whole_group`, and give its exit code."""
        if self.process.poll() is None:
            self.children()
            (os.killpg if whole_group else os.kill)(self.pid, number)
        return self.process.wait(HANG_SECONDS)

    def clean_up(self) -> None:
        """Kill what is left, and close what was opened to it."""
        if self._client is not None:
            self._client.close()
        for one in self._sockets:
            one.close()
        if self.process.poll() is None:
            self.children()
            self.process.kill()
            self.process.wait()
        for pid in filter(is_alive, self._family):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def engine_process(
    project: Path, *options: str, environment: Mapping[str, str] | None = None, ready: bool = True
) -> Iterator[EngineProcess]:
    """Serve the project without sound, on free ports. `options` come after those, so that they win.

    With `ready`, returns when it says that it runs. What it prints goes into files beside the project.
    """
    out, err = project.with_suffix(".out"), project.with_suffix(".err")
    command = [sys.executable, "-m", "resonantgen", "serve", "--project", str(project), "--audio", "none"]
    command += ["--zmq-port", "0", "--events-port", "0", "--osc-port", "0", "--plugin-port", "0"]
    command += ["--midi-in", "none", *options]
    everything = {**os.environ, "RESONANTGEN_STATE": str(project.parent), **(environment or {})}
    with out.open("wb") as out_file, err.open("wb") as err_file:
        process = subprocess.Popen(command, stdout=out_file, stderr=err_file, env=everything, start_new_session=True)
    engine = EngineProcess(project, process, out, err)
    try:
        if ready:
            engine.wait_for_line(READY)
            engine.children()
        yield engine
    finally:
        engine.clean_up()


def make_project(path: Path) -> Path:
    """Four tracks of two short bars: new ones are made in a moment."""
    with Session.open_or_create(path) as session:
        session.generate("dark techno, 170 bpm, 2 bars", seed=3)
    return path


def resident_mb(pid: int) -> float:
    """The memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def is_alive(pid: int) -> bool:
    """Whether it runs: one that nobody has waited for yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(") ")[2].split()[0] not in "ZX"


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _parents() -> dict[int, int]:
    """Of all processes that run: who started each."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields: Sequence[str] = stat.rpartition(") ")[2].split()
        if fields[0] not in "ZX":
            parents[int(folder.name)] = int(fields[1])
    return parents
