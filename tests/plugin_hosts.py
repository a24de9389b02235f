"""Hosts for the plugin in processes of their own, and the plugin itself, built once on this machine if it must be.

A test drives a HostProcess by calls, block by block; see plugin_host.py. A host that crashes or hangs fails the test.
Debian: dpf-source, g++; PyPI: minihost, dawdreamer.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

import plugin_host
from plugin_host import Block, Played

HANG_SECONDS = 120.0  # nothing takes nearly as long: it only ends a test that hangs
ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "plugin_stub" / "plugin"
BIN = SOURCES / "bin"
FORMATS = ("vst3", "lv2", "clap")
RATES = (44_100, 48_000, 96_000)
SIZES = (16, 64, 511, 512, 4096, 8192)


def _missing() -> str:
    """What this machine lacks to build and host the plugin; empty if nothing."""
    if not sys.platform.startswith("linux"):
        return "builds and hosts the plugin as Linux does"
    if not Path("/usr/share/dpf").exists():
        return "needs DPF: apt install dpf-source"
    if shutil.which("g++") is None:
        return "needs g++: apt install g++"
    if not all(map(importlib.util.find_spec, ("minihost", "dawdreamer"))):
        return "needs minihost and dawdreamer: pip install -e .[dev]"
    return ""


needs_plugin = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")


def plugin_path(kind: str) -> Path:
    """The bundle of that format. Builds all of them first, if they are missing or older than their sources."""
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    with FileLock(Path(tempfile.gettempdir()) / f"resonantgen-plugin-{os.getuid()}-{name}.lock"):
        if not _is_built():
            done = subprocess.run(["make", "plugin"], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"make plugin failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return BIN / f"ResonantGen.{kind}"


def _is_built() -> bool:
    binaries = [BIN / "ResonantGen.clap", *BIN.glob("ResonantGen.vst3/**/*.so"), *BIN.glob("ResonantGen.lv2/*")]
    if len(binaries) < 4 or not binaries[0].exists():
        return False
    newest = max(path.stat().st_mtime for path in SOURCES.glob("*") if path.suffix in {".cpp", ".hpp", ".h"})
    return min(path.stat().st_mtime for path in binaries) >= newest


def song(
    sizes: Sequence[int], sample_rate: float, *, start: int = 0, tempo: float = 120.0, meter: tuple[int, int] = (4, 4)
) -> list[Block]:
    """Blocks that follow each other, in a song of one tempo that begins at frame 0."""
    starts = start + np.cumsum([0, *sizes])
    return [
        Block(int(frame), size, float(frame) * tempo / (60 * sample_rate), tempo, *meter)
        for frame, size in zip(starts, sizes, strict=False)
    ]


def irregular(rng: np.random.Generator, frames: int) -> list[int]:
    """Blocks of 1 to 8192 frames."""
    sizes: list[int] = []
    while sum(sizes) < frames:
        sizes.append(int(2 ** rng.uniform(0, 13)))
    return sizes


def looped(start: int, end: int, size: int, times: int, rate: int, tempo: float) -> list[Block]:
    """As a host plays a loop: the block that would cross its end is cut there."""
    whole, rest = divmod(end - start, size)
    return song([*[size] * whole, *([rest] if rest else [])], rate, start=start, tempo=tempo) * times


def journey(rate: int, tempo: float, seed: int) -> list[Block]:
    """Every block size, irregular ones, seeks near and far, on and between chunks, a loop, and a stop between."""
    rng = np.random.default_rng(seed)
    blocks: list[Block] = []
    for size in SIZES:
        start = int(rng.integers(0, 100 * rate))
        blocks += song([size] * max(2, 6000 // size), rate, start=start, tempo=tempo)
        blocks += song([size] * 2, rate, start=start - start % 1024, tempo=tempo)
    blocks += song(irregular(rng, rate), rate, start=0, tempo=tempo)
    blocks += looped(rate // 3, rate // 3 + 7000, 512, 3, rate, tempo)
    blocks += [block._replace(playing=False) for block in song([512] * 3, rate, start=rate, tempo=tempo)]
    blocks += song([512] * 20, rate, start=rate, tempo=tempo)
    blocks += song([512] * 20, rate, start=3600 * rate + 77, tempo=tempo)  # an hour on
    return blocks


def places_of(blocks: Sequence[Block], sample_rate: float) -> NDArray[np.int64]:
    """How many frames each sample is after quarter note 0, at its block's tempo."""
    starts = [round(block.quarters * 60 * sample_rate / block.tempo) for block in blocks]
    return np.concatenate([np.arange(start, start + b.size) for start, b in zip(starts, blocks, strict=True)])


class Loaded:
    """An instance of the plugin in a host."""

    def __init__(self, host: HostProcess, number: int, sample_rate: float) -> None:
        self._host, self._number, self.sample_rate = host, number, sample_rate

    def play(self, blocks: Sequence[Block], *, paced: bool = False) -> Played:
        """Play these blocks, as fast as they come, or no faster than real time."""
        self.begin(blocks, paced=paced)
        return self.finish()

    def begin(self, blocks: Sequence[Block], *, paced: bool = True) -> None:
        """As `play`, without waiting: `finish` gives what was played. Nothing else may be asked for until then."""
        self._host.send("play", self._number, list(blocks), self.sample_rate if paced else 0.0)

    def finish(self) -> Played:
        return cast(Played, self._host.receive())

    def set(self, **values: float) -> None:
        """Parameters, in their own units: `Track=2, Wait_for_engine=1`. Some formats tell them with the next block."""
        for name, value in values.items():
            self._host.call("call", self._number, "set", name.replace("_", " "), float(value))

    def get(self, name: str) -> float:
        return float(self._host.call("call", self._number, "get", name))

    def tail_seconds(self) -> float:
        """How long it says that it sounds after the last note; VST3 only."""
        return float(self._host.call("call", self._number, "tail_seconds"))

    def names(self) -> list[str]:
        """Of its parameters, without those that VST3 adds for MIDI."""
        return cast(list[str], self._host.call("call", self._number, "names"))

    def save(self) -> bytes:
        return cast(bytes, self._host.call("call", self._number, "save"))

    def load(self, state: bytes) -> None:
        self._host.call("call", self._number, "load", state)

    def close(self) -> None:
        self._host.call("close", self._number)


class HostProcess:
    """A process that hosts plugins, whose engine is at `address`. `close` ends it, as does the end of `hosting`."""

    def __init__(self, address: str) -> None:
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._home = tempfile.TemporaryDirectory()  # without plugins that are installed on this machine
        environment = {**os.environ, "RESONANTGEN_LINK": address, "LV2_PATH": str(BIN), "HOME": self._home.name}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, plugin_host.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdout=self._errors,
                stderr=self._errors,
            )
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        return self._process.pid

    def load(self, kind: str, sample_rate: float = 48_000.0, max_block: int = 8192, **options: Any) -> Loaded:
        """An instance of the plugin, as "vst3", "lv2" or "clap"."""
        number = self.call("load", str(plugin_path(kind)), sample_rate, max_block, options)
        return Loaded(self, number, sample_rate)

    def render(
        self,
        sample_rate: float,
        block: int,
        seconds: float,
        tempo: float | Sequence[float] = 120.0,
        settings: Mapping[str, float] | None = None,
    ) -> NDArray[np.float32]:
        """What dawdreamer renders, [frames, 2]: see plugin_host."""
        values = (str(plugin_path("vst3")), sample_rate, block, seconds, tempo, dict(settings or {}))
        return cast(NDArray[np.float32], self.call("render", *values))

    def call(self, method: str, *values: Any) -> Any:
        self.send(method, *values)
        return self.receive()

    def send(self, method: str, *values: Any) -> None:
        self._connection.send((method, values))

    def receive(self) -> Any:
        assert self._connection.poll(HANG_SECONDS), f"the host hangs: {self.errors}"
        try:
            good, result = self._connection.recv()
        except (EOFError, ConnectionError):
            raise AssertionError(f"the host crashed: {self._process.wait(HANG_SECONDS)}: {self.errors}") from None
        assert good, f"{result}: {self.errors}"
        return result

    @property
    def errors(self) -> str:
        """The end of what it printed."""
        return os.pread(self._errors.fileno(), 100_000, 0).decode(errors="replace")[-2000:]  # it may be writing on

    def close(self) -> int:
        """Its exit code: not 0 if something crashed on the way out."""
        self._connection.close()
        try:
            code = self._process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the host does not end: {self.errors}") from None
        finally:
            self._errors.close()
            self._home.cleanup()
        return code

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.close()
        assert error is not None or code == 0, f"the host ended with {code}"


@contextmanager
def loaded(kind: str, address: str, sample_rate: float = 48_000.0, **options: Any) -> Iterator[Loaded]:
    """One instance in a host of its own; both are closed at the end."""
    with HostProcess(address) as host:
        instance = host.load(kind, sample_rate, **options)
        yield instance
        instance.close()
