"""A private JACK server without hardware, and a recorder of what is played into it, sample by sample.

Both are processes, ended by their ids. The server waits for slow clients (JACK's synchronous mode), so what is recorded
has no gaps that a busy machine made. Debian: jackd2; PyPI: jack-client.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from filelock import FileLock, Timeout
from numpy.typing import NDArray

HANG_SECONDS = 60.0  # nothing takes nearly as long: it only ends a test that hangs

needs_jack = pytest.mark.skipif(shutil.which("jackd") is None, reason="needs jackd: apt install jackd2")


def wait_until(what: str, true: Callable[[], object]) -> None:
    """Wait for `true()`. AssertionError with `what` if it never comes true."""
    end = time.monotonic() + HANG_SECONDS
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


class JackServer:
    """`jackd` with the dummy driver, under a name of its own. Use it with `with`, or call `start` and `stop`.

    JACK remembers at most eight servers on a machine, killed ones too until their name is used again. So names come
    from a few, each with a lock for as long as the server is in use.
    """

    def __init__(
        self,
        period: int = 512,
        rate: int = 48_000,
        channels: int = 2,
        *,
        waits: bool = True,
        realtime: bool = False,
    ) -> None:
        """`waits`: for slow clients, so that nothing is lost; such a server does not survive killed clients.

        `realtime`: it and its clients go before other processes, as on a musician's machine; needs the right to that.
        """
        self.name, self._lock = _own_name()
        self.environment = {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_START_SERVER": "1"}
        self._period, self._rate, self._channels, self._waits = period, rate, channels, waits
        self._realtime = realtime
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and return when clients can connect."""
        command = ["jackd", "-R" if self._realtime else "-r", *(["-S"] if self._waits else []), "-t", "1000"]
        command += ["-n", self.name, "-d", "dummy", "-r", str(self._rate)]
        command += ["-p", str(self._period), "-P", str(self._channels), "-C", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(f"jackd {self.name} answers", self._answers)

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End the server, if it runs."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._lock.release()

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let JACK clients that this process starts from now on use this server."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def ports(self) -> list[str]:
        """The names of all ports."""
        command = [sys.executable, __file__, "ports", self.name]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANG_SECONDS).stdout.split()

    def is_recorded(self, channels: int = 2) -> bool:
        """Whether a recorder is connected, with all of its channels."""
        command = [sys.executable, __file__, "connected", self.name]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANG_SECONDS).stdout.split()
        return sum(name.startswith("recorder:") for name in found) == channels

    @contextmanager
    def recording(self, channels: int = 2, client: str = "resonantgen") -> Iterator[Recording]:
        """Records the first ports of `client`, from when it has any; silence until then.

        Of a client with many, it may say how the names of those begin that are meant: "ardour:Master/audio_out".
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recording.f32"
            path.touch()
            command = [sys.executable, __file__, "record", self.name, client, str(channels), str(path)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            recording = Recording(path, channels)
            try:
                wait_until("the recorder runs", lambda: recording.frames() or process.poll() is not None)
                yield recording
                recording.samples(), recording.xruns()
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(1)
                except subprocess.TimeoutExpired:  # JACK's library hangs at times
                    process.kill()
                    process.wait()

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "jackd ended"
        command = [sys.executable, __file__, "ports", self.name]
        return subprocess.run(command, capture_output=True, timeout=HANG_SECONDS, check=False).returncode == 0

    def __enter__(self) -> JackServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Recording:
    """What has been recorded so far; still readable after the recorder has ended."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path, self._channels = path, channels
        self._kept = self._kept_xruns = b""

    def frames(self) -> int:
        size = self._path.stat().st_size if self._path.exists() else len(self._kept)
        return size // (4 * self._channels)

    def is_connected(self) -> bool:
        """Whether all channels have been. Asks nothing of the server, which may dislike clients that come and go."""
        return Path(f"{self._path}.connected").exists()

    def mapped(self) -> NDArray[np.float32]:
        """As `samples`, but left on disk: for long ones. Only while the recorder runs."""
        return np.memmap(self._path, np.float32, "r", shape=(self.frames(), self._channels))

    def samples(self) -> NDArray[np.float32]:
        """[frames, channels]."""
        data = self._read()
        whole = len(data) - len(data) % (4 * self._channels)
        return np.frombuffer(data[:whole], np.float32).reshape(-1, self._channels)

    def xruns(self) -> int:
        """How often the server has said that it was late, since this began."""
        path = Path(f"{self._path}.xruns")
        if path.exists():
            self._kept_xruns = path.read_bytes()
        return len(self._kept_xruns)

    def _read(self) -> bytes:
        if self._path.exists():
            self._kept = self._path.read_bytes()
        return self._kept


def _own_name() -> tuple[str, FileLock]:
    """A server's name that nobody else on this machine uses, and the lock that keeps it so."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        for number in range(5):
            name = f"rg-test-{number}"
            lock = FileLock(Path(tempfile.gettempdir()) / f"{name}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            return name, lock
        time.sleep(0.2)
    raise AssertionError("all names for JACK servers are in use")


def _client(server: str) -> object:
    import jack

    jack.set_error_function(lambda message: None)
    jack.set_info_function(lambda message: None)
    return jack.Client("recorder", servername=server, no_start_server=True)


def _print_ports(server: str, connected: bool = False) -> None:
    client: Any = _client(server)
    ports = [port for port in client.get_ports() if not connected or client.get_all_connections(port)]
    print("\n".join(port.name for port in ports))
    client.close()


def _record(server: str, source: str, channels: int, path: str) -> None:
    """Append each block to the file until standard input ends or the server does."""
    import jack

    with suppress(OSError):  # all threads, as each may hold Python's lock when the callback wants it
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    client = jack.Client("recorder", servername=server, no_start_server=True)
    inputs = [client.inports.register(f"in_{number}") for number in range(channels)]
    blocks: SimpleQueue[bytes] = SimpleQueue()  # a callback must not wait for a disk

    def write() -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        while block := blocks.get():
            os.write(file, block)

    xruns = os.open(f"{path}.xruns", os.O_WRONLY | os.O_CREAT)

    @client.set_xrun_callback
    def xrun(delay_us: float) -> None:
        os.write(xruns, b"x")

    @client.set_process_callback
    def process(frames: int) -> None:
        blocks.put(np.stack([port.get_array() for port in inputs], axis=1).tobytes())

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    client.set_shutdown_callback(lambda status, reason: os._exit(0))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), ended.set()), daemon=True).start()
    client.activate()
    while not ended.wait(0.05):
        if all(port.connections for port in inputs):
            Path(f"{path}.connected").touch()
            continue
        pattern = f"^{source}" if ":" in source else f"^{source}:"
        outputs = client.get_ports(pattern, is_output=True, is_audio=True)
        if len(outputs) >= channels:
            for output, port in zip(outputs, inputs, strict=False):
                if not port.connections:
                    client.connect(output, port)
    client.close()
    blocks.put(b"")
    writing.join()


if __name__ == "__main__":
    if sys.argv[1] in ("ports", "connected"):
        _print_ports(sys.argv[2], connected=sys.argv[1] == "connected")
    else:
        _record(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
