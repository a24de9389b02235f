"""A process that hosts the plugin for a test: `plugin_host.py SOCKET`, driven by plugin_hosts.HostProcess.

A process of its own, so that a crash is seen as one, and so that RESONANTGEN_LINK names this test's engine. Hosts:
minihost (PyPI; VST3, LV2), dawdreamer (PyPI; VST3, offline), and our clap_host (CLAP). It calls them from one thread.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

RANGES = {
    "Track": (1.0, 16.0),
    "Gain": (-60.0, 6.0),
    "Underruns": (0.0, 16_777_216.0),
}  # of the parameters; others go from 0 to 1


class Block(NamedTuple):
    """What the host asks for: `size` frames from `frame` of its song on, which is at `quarters`."""

    frame: int
    size: int
    quarters: float
    tempo: float = 120.0
    numerator: int = 4
    denominator: int = 4
    playing: bool = True
    notes: tuple[tuple[int, int, int, int], ...] = ()  # (frame of the block, status, data, data)
    settings: tuple[tuple[str, float], ...] = ()  # of parameters, before the block


class Played(NamedTuple):
    """What came of some blocks."""

    samples: NDArray[np.float32]  # [frames, 2]
    begun: NDArray[np.float64]  # of each block, by time.monotonic
    seconds: NDArray[np.float64]  # that each block took
    cpu_seconds: NDArray[np.float64]  # of them, of this thread
    waits: NDArray[np.int64]  # how often the thread gave up the processor, of its own will, in each block


class Instance(Protocol):
    """A loaded plugin."""

    def process(self, block: Block, output: NDArray[np.float32]) -> None: ...
    def set(self, name: str, value: float) -> None: ...
    def get(self, name: str) -> float: ...
    def names(self) -> list[str]: ...
    def save(self) -> bytes: ...
    def load(self, state: bytes) -> None: ...
    def close(self) -> None: ...


class Minihost:
    """VST3 and LV2."""

    def __init__(self, path: Path, sample_rate: float, max_block: int) -> None:
        import minihost

        self._plugin: Any = minihost.Plugin(
            str(path), sample_rate=sample_rate, max_block_size=max_block, in_channels=0, out_channels=2
        )
        infos = [self._plugin.get_param_info(number) for number in range(self._plugin.num_params)]
        self._numbers = {info["name"]: number for number, info in enumerate(infos)}

    def process(self, block: Block, output: NDArray[np.float32]) -> None:
        self._plugin.set_transport(
            bpm=block.tempo,
            time_sig_num=block.numerator,
            time_sig_denom=block.denominator,
            position_samples=block.frame,
            position_beats=block.quarters,
            is_playing=block.playing,
        )
        self._plugin.process_midi(np.zeros((0, block.size), np.float32), output, list(block.notes))

    def set(self, name: str, value: float) -> None:
        low, high = RANGES.get(name, (0.0, 1.0))
        self._plugin.set_param(self._numbers[name], (value - low) / (high - low))

    def get(self, name: str) -> float:
        low, high = RANGES.get(name, (0.0, 1.0))
        return low + float(self._plugin.get_param(self._numbers[name])) * (high - low)

    def text(self, name: str) -> str:
        return str(self._plugin.param_to_text(self._numbers[name], self._plugin.get_param(self._numbers[name])))

    def tail_seconds(self) -> float:
        return float(self._plugin.tail_seconds)

    def names(self) -> list[str]:
        return [name for name in self._numbers if not name.startswith("MIDI Ch.")]  # VST3 adds 2,080 of them

    def save(self) -> bytes:
        return bytes(self._plugin.get_state())

    def load(self, state: bytes) -> None:
        self._plugin.set_state(state)

    def close(self) -> None:
        self._plugin.close()


class Clap:
    def __init__(self, path: Path, sample_rate: float, max_block: int, **options: Any) -> None:
        from clap_host import ClapPlugin

        self._plugin = ClapPlugin(path, sample_rate, max_block, **options)

    def process(self, block: Block, output: NDArray[np.float32]) -> None:
        self._plugin.process(
            output,
            tempo=block.tempo,
            quarters=block.quarters,
            numerator=block.numerator,
            denominator=block.denominator,
            playing=block.playing,
            notes=list(block.notes),
        )

    def set(self, name: str, value: float) -> None:
        self._plugin.set(name, value)

    def get(self, name: str) -> float:
        return self._plugin.get(name)

    def names(self) -> list[str]:
        return list(self._plugin.parameters)

    def save(self) -> bytes:
        return self._plugin.save()

    def load(self, state: bytes) -> None:
        self._plugin.load(state)

    def close(self) -> None:
        self._plugin.close()


class Server:
    """What a HostProcess may ask for."""

    def __init__(self) -> None:
        self._instances: dict[int, Instance] = {}
        self._made = 0

    def load(self, path: str, sample_rate: float, max_block: int, options: dict[str, Any]) -> int:
        kind = Clap if path.endswith(".clap") else Minihost
        self._made += 1
        self._instances[self._made] = kind(Path(path), sample_rate, max_block, **options)
        return self._made

    def play(self, number: int, blocks: Sequence[Block], paced_rate: float) -> Played:
        """One instance after the other plays no faster than real time, if `paced_rate` (Hz) is not 0."""
        instance = self._instances[number]
        samples = np.zeros((2, sum(block.size for block in blocks)), np.float32)
        begun, seconds, cpu_seconds = (np.zeros(len(blocks)) for _ in range(3))
        waits, at, start = np.zeros(len(blocks), np.int64), 0, time.monotonic()
        for index, block in enumerate(blocks):
            for name, value in block.settings:
                instance.set(name, value)
            output = np.full((2, block.size), np.nan, np.float32)
            if paced_rate:
                time.sleep(max(0.0, start + at / paced_rate - time.monotonic()))
            waits[index] = -resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
            cpu_seconds[index], begun[index] = -time.thread_time(), time.monotonic()
            instance.process(block, output)
            seconds[index] = time.monotonic() - begun[index]
            cpu_seconds[index] += time.thread_time()
            waits[index] += resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
            samples[:, at : at + block.size] = output
            at += block.size
        return Played(np.ascontiguousarray(samples.T), begun, seconds, cpu_seconds, waits)

    def call(self, number: int, method: str, *values: Any) -> Any:
        return getattr(self._instances[number], method)(*values)

    def close(self, number: int) -> None:
        self._instances.pop(number).close()

    def render(
        self, path: str, sample_rate: float, block: int, seconds: float, tempo: Any, settings: dict[str, float]
    ) -> NDArray[np.float32]:
        """What dawdreamer renders offline of a song, [frames, 2]. `tempo`: bpm, or one for each 960th of a quarter."""
        import dawdreamer  # type: ignore[import-untyped]

        engine: Any = dawdreamer.RenderEngine(sample_rate, block)
        if isinstance(tempo, float):
            engine.set_bpm(tempo)
        else:
            engine.set_bpm(np.asarray(tempo, np.float32), 960)
        processor = engine.make_plugin_processor("resonantgen", path)
        numbers = {processor.get_parameter_name(n): n for n in range(processor.get_plugin_parameter_size())}
        for name, value in settings.items():
            low, high = RANGES.get(name, (0.0, 1.0))
            processor.set_parameter(numbers[name], (value - low) / (high - low))
        engine.load_graph([(processor, [])])
        engine.render(seconds)
        return np.ascontiguousarray(engine.get_audio().T, np.float32)

    def resources(self) -> tuple[int, int]:
        """How many threads and open files this process has."""
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def environment(self, name: str, value: str) -> None:
        os.environ[name] = value


def main() -> None:
    """Answer (method, values) with (True, its result) or (False, what went wrong), until the other end closes."""
    connection = Connection(int(sys.argv[1]))
    server = Server()
    while True:
        try:
            method, values = connection.recv()
        except EOFError:
            return
        try:
            connection.send((True, getattr(server, method)(*values)))
        except Exception as error:  # told to the test, which fails with it
            connection.send((False, f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    import plugin_host  # by its name, as those know its values that get them

    plugin_host.main()
