"""The ring between the engine and the audio process: shared memory, one producer, one consumer, no locks between them.

Who may call what. The producer is one thread of the engine (the player): `write`, `free_frames`. The consumer is one
thread of the audio process: `read_into` and everything that reports (`count_callback`, `set_clock`, `set_status`, …).
Any thread of either process may read: `fill_frames`, the counters, `clock`, `status`, `telemetry`, `time_of`.
`close` may be called when no other thread uses the ring any more.

Why no lock is needed. Every number in the header is an aligned int64 with one writer. CPython copies it with one 8-byte
store or load, which x86-64 and ARM64 never tear. The producer copies samples first and then stores `written_frames`;
the consumer loads `written_frames` first, copies samples out and then stores `read_frames`; so neither touches frames
that belong to the other. x86-64 keeps that order by itself; ARM64 keeps it because of `_fence`. Values of several
numbers (the clock, the status) carry a sequence number that is odd while they are being written: who reads tries again.

Both counters are absolute: frame n of everything ever written lies at `n % capacity_frames`.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]  # [frames, channels]

# Where the numbers are in the header, in int64 steps. What different processes write lies in different cache lines.
_CHANNELS, _CAPACITY, _RATE, _MAGIC = 0, 1, 2, 3
_WRITTEN = 8
_READ, _UNDERRUNS, _UNDERRUN_FRAMES, _CALLBACKS, _WORST_US, _LOAD_PPM, _XRUNS = 16, 17, 18, 19, 20, 21, 22
_CLOCK_SEQUENCE, _CLOCK_FRAME, _CLOCK_NS, _CLOCK_LATENCY = 24, 25, 26, 27
_STATUS_SEQUENCE, _STATUS, _MESSAGE_BYTES, _MESSAGE = 32, 33, 34, 35
_MESSAGE_LIMIT = 256
_HEADER_BYTES = 1024
_FORMAT = 0x52475249_0001  # changes when the layout does
_TRIES = 100  # a writer is done after microseconds; one that was killed in the middle never is


class DeviceState(IntEnum):
    """What the audio process is doing with the ring."""

    STARTING = 0  # not yet open
    PLAYING = 1
    NO_DEVICE = 2  # could not be opened; tried again every second, meanwhile the ring is drained by the clock
    LOST = 3  # was playing and vanished; likewise
    NONE = 4  # wanted so: drained by the clock


@dataclass(frozen=True, slots=True)
class Clock:
    """Frame `frame` is heard `latency_frames` after `monotonic_ns` (of `time.monotonic_ns`)."""

    frame: int
    monotonic_ns: int
    latency_frames: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the consumer has counted since the ring was made."""

    underruns: int  # callbacks that found fewer frames than they needed
    underrun_frames: int  # frames of silence that were played instead
    xruns: int  # times that the device itself said it had been served too late
    callbacks: int
    worst_callback_us: int
    load: float  # share of the time that callbacks take of the time they have, recently


class Ring:
    """Interleaved float32 frames in shared memory."""

    def __init__(self, memory: SharedMemory, owner: bool) -> None:
        """Use `Ring.create` or `Ring.attach`."""
        assert memory.buf is not None
        self._memory = memory
        self._owner = owner
        self._closed = False
        self._header = memory.buf[:_HEADER_BYTES].cast("q")
        if not owner and self._header[_MAGIC] != _FORMAT:
            self._header.release()
            memory.close()
            raise ValueError("this shared memory is not a ring of this version")
        self.channels = self._header[_CHANNELS]
        self.capacity_frames = self._header[_CAPACITY]
        self.sample_rate = self._header[_RATE]
        shape = (self.capacity_frames, self.channels)
        self._frames: Samples = np.ndarray(shape, np.float32, buffer=memory.buf, offset=_HEADER_BYTES)

    @classmethod
    def create(cls, channels: int, capacity_frames: int, sample_rate: int) -> Ring:
        """A new, empty ring. Whoever creates it owns it: its `close` removes it."""
        assert channels > 0 and capacity_frames > 0 and sample_rate > 0
        memory = SharedMemory(create=True, size=_HEADER_BYTES + capacity_frames * channels * 4)
        assert memory.buf is not None
        numbers = memory.buf[:_HEADER_BYTES].cast("q")
        numbers[_CHANNELS], numbers[_CAPACITY], numbers[_RATE] = channels, capacity_frames, sample_rate
        numbers[_MAGIC] = _FORMAT
        numbers.release()
        return cls(memory, owner=True)

    @classmethod
    def attach(cls, name: str) -> Ring:
        """The ring of that name, which another process owns. FileNotFoundError if there is none."""
        return cls(_attach_untracked(name), owner=False)

    @property
    def name(self) -> str:
        return self._memory.name

    @property
    def written_frames(self) -> int:
        return self._header[_WRITTEN]

    @property
    def read_frames(self) -> int:
        return self._header[_READ]

    def fill_frames(self) -> int:
        """Frames that wait to be read."""
        read = self._header[_READ]  # first, so that the difference is never negative
        return self._header[_WRITTEN] - read

    def free_frames(self) -> int:
        """Producer only: frames for which there is room."""
        return self.capacity_frames - self.fill_frames()

    def write(self, block: Samples) -> None:
        """Producer only: append `block`, for which there must be room."""
        frames = len(block)
        assert block.shape == (frames, self.channels) and frames <= self.free_frames()
        _fence()
        written = self._header[_WRITTEN]
        at = written % self.capacity_frames
        first = min(frames, self.capacity_frames - at)
        self._frames[at : at + first] = block[:first]
        if first < frames:
            self._frames[: frames - first] = block[first:]
        _fence()
        self._header[_WRITTEN] = written + frames

    def read_into(self, out: Samples) -> int:
        """Consumer only: fill the beginning of `out` with what there is. Returns how many frames that was."""
        read = self._header[_READ]
        frames = min(len(out), self._header[_WRITTEN] - read)
        _fence()
        at = read % self.capacity_frames
        first = min(frames, self.capacity_frames - at)
        out[:first] = self._frames[at : at + first]
        if first < frames:
            out[first:frames] = self._frames[: frames - first]
        _fence()
        self._header[_READ] = read + frames
        return frames

    def count_underrun(self, frames: int) -> None:
        """Consumer only: a callback that had to play `frames` frames of silence."""
        self._header[_UNDERRUNS] += 1
        self._header[_UNDERRUN_FRAMES] += frames

    def count_xrun(self) -> None:
        """Consumer only: the device says that it was served too late."""
        self._header[_XRUNS] += 1

    def count_callback(self, took_ns: int, frames: int) -> None:
        """Consumer only: a callback that asked for `frames` frames has been served."""
        self._header[_CALLBACKS] += 1
        if took_ns // 1000 > self._header[_WORST_US]:
            self._header[_WORST_US] = took_ns // 1000
        load_ppm = took_ns * self.sample_rate // (1000 * max(frames, 1))
        self._header[_LOAD_PPM] += (load_ppm - self._header[_LOAD_PPM]) // 16

    def set_clock(self, clock: Clock) -> None:
        """Consumer only."""
        sequence = self._begin(_CLOCK_SEQUENCE)
        self._header[_CLOCK_FRAME] = clock.frame
        self._header[_CLOCK_NS] = clock.monotonic_ns
        self._header[_CLOCK_LATENCY] = clock.latency_frames
        self._end(_CLOCK_SEQUENCE, sequence)

    def set_status(self, state: DeviceState, message: str) -> None:
        """The audio process's main thread only (or the engine, while there is no audio process)."""
        text = message.encode()[:_MESSAGE_LIMIT]
        sequence = self._begin(_STATUS_SEQUENCE)
        self._header[_STATUS] = state
        self._header[_MESSAGE_BYTES] = len(text)
        for index in range(0, len(text), 8):
            number = int.from_bytes(text[index : index + 8].ljust(8, b"\0"), "little", signed=True)
            self._header[_MESSAGE + index // 8] = number
        self._end(_STATUS_SEQUENCE, sequence)

    def clock(self) -> Clock | None:
        """The latest clock; None before the first one, or if the process that wrote it died in the middle of it."""
        header = self._header
        for _ in range(_TRIES):
            sequence = header[_CLOCK_SEQUENCE]
            _fence()
            clock = Clock(header[_CLOCK_FRAME], header[_CLOCK_NS], header[_CLOCK_LATENCY])
            _fence()
            if sequence % 2 == 0 and sequence == header[_CLOCK_SEQUENCE]:
                return clock if sequence else None
            time.sleep(0)
        return None

    def status(self) -> tuple[DeviceState, str]:
        """What the audio process is doing, and what there is to say about it (a device's name, or what is wrong)."""
        header = self._header
        for _ in range(_TRIES):
            sequence = header[_STATUS_SEQUENCE]
            _fence()
            state, size = header[_STATUS], header[_MESSAGE_BYTES]
            numbers = header[_MESSAGE : _MESSAGE + (size + 7) // 8].tolist()
            _fence()
            if sequence % 2 == 0 and sequence == header[_STATUS_SEQUENCE]:
                text = b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)[:size]
                return DeviceState(state), text.decode(errors="ignore")
            time.sleep(0)
        return DeviceState.STARTING, ""

    def telemetry(self) -> Telemetry:
        header = self._header
        return Telemetry(
            underruns=header[_UNDERRUNS],
            underrun_frames=header[_UNDERRUN_FRAMES],
            xruns=header[_XRUNS],
            callbacks=header[_CALLBACKS],
            worst_callback_us=header[_WORST_US],
            load=header[_LOAD_PPM] / 1e6,
        )

    def time_of(self, frame: int) -> float | None:
        """The `time.monotonic` seconds at which frame `frame` is or was heard; None before output has begun."""
        clock = self.clock()
        if clock is None:
            return None
        return clock.monotonic_ns / 1e9 + (frame - clock.frame + clock.latency_frames) / self.sample_rate

    def close(self) -> None:
        """Let go of the memory; the owner also removes it. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._frames = np.zeros((0, self.channels), np.float32)
        self._header.release()
        self._memory.close()
        if self._owner:
            self._memory.unlink()

    def _begin(self, sequence_at: int) -> int:
        odd = self._header[sequence_at] | 1  # odd already if the last writer was killed in the middle
        self._header[sequence_at] = odd
        _fence()
        return odd

    def _end(self, sequence_at: int, odd: int) -> None:
        _fence()
        self._header[sequence_at] = odd + 1


def _fence() -> None:
    """What this thread read and wrote before is done before what follows.

    A processor may move a memory access into a pair of acquire and release, from either side, but neither out of it nor
    past a second pair: hence two. The lock is new each time, so nobody ever waits for it.
    """
    lock = threading.Lock()
    with lock:
        pass
    with lock:
        pass


def _attach_untracked(name: str) -> SharedMemory:
    """Shared memory of another process, which Python must not remove when this process ends.

    Before Python 3.13 attaching registers the memory with the resource tracker just as creating does, and the tracker
    of the first process to end would remove it.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda name, rtype: None
    try:
        return SharedMemory(name)
    finally:
        resource_tracker.register = register
