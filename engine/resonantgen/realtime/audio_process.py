"""The audio process: reads the ring into a device's callback, or away by the clock while there is no device.

Run as `python -m resonantgen.realtime.audio_process RING BLOCK_FRAMES [DEVICE]` by `output.AudioOutput`. It imports
numpy, sounddevice and little else, so that it starts quickly and nothing else runs in it. It ends when its standard
input does: the engine closes that, or has died.

Threads: the main one opens the device, watches it and says how it is; the device's own thread (PortAudio's) or the
drain's thread, never both at a time, is the ring's consumer. The callback takes no lock, waits for nothing and raises
nothing.

A sound server that dies can leave PortAudio hanging in whatever is called next. So a process that has lost its device
ends with `LOST_DEVICE`, and a new one takes over.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from resonantgen.errors import DeviceError, quoted
from resonantgen.realtime.devices import Device, PortAudio, pick
from resonantgen.realtime.ring import Clock, DeviceState, Ring, Samples

LOST_DEVICE = 75  # exit code: the device is gone, start me again
RETRY_SECONDS = 1.0
WATCH_SECONDS = 0.05
SILENT_SECONDS = 3.0  # a device that asks for nothing for so long is gone
CLOSE_SECONDS = 1.0
PRIORITY = 5  # of real-time scheduling, where the system allows it: low among those
MOST_LATENCY_SECONDS = 2.0


class Feed:
    """The ring's consumer: fills a device's blocks and reports. One thread at a time calls `fill`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._rate = ring.sample_rate
        self._expected_ns = 0

    def fill(self, out: Samples, latency_seconds: float) -> None:
        """Fill `out`, heard `latency_seconds` from now. What the ring does not have is silence, and counted."""
        now_ns = time.monotonic_ns()
        ring = self._ring
        needed = len(out)
        begun = ring.written_frames > 0  # before the first frame there is nothing to be short of
        got = ring.read_into(out)
        if got < needed:
            out[got:] = 0
            if begun:
                ring.count_underrun(needed - got)
        latency_frames = needed + round(latency_seconds * self._rate)
        ring.set_clock(Clock(ring.read_frames, self._steady(now_ns, needed), latency_frames))
        ring.count_callback(time.monotonic_ns() - now_ns, needed)

    def _steady(self, now_ns: int, frames: int) -> int:
        """When this callback was due: the device's pace, slowly corrected by when callbacks really come."""
        error_ns = now_ns - self._expected_ns
        if abs(error_ns) > 100_000_000:
            error_ns, self._expected_ns = 0, now_ns  # the first one, or after a pause
        steady_ns = self._expected_ns + error_ns // 16
        self._expected_ns = steady_ns + frames * 1_000_000_000 // self._rate
        return steady_ns


class Drain:
    """Reads the ring away at the pace of the clock, in a thread of its own, so that the engine's transport goes on."""

    def __init__(self, ring: Ring) -> None:
        self._feed = Feed(ring)
        self._rate = ring.sample_rate
        self._block = np.zeros((ring.sample_rate // 100, ring.channels), np.float32)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the thread no longer reads."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        step = len(self._block) / self._rate
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._feed.fill(self._block, 0.0)
            due += step
            if time.monotonic() - due > 4 * step:
                due = time.monotonic()  # this machine stood still: go on from now rather than rush


class Stream:
    """An open device that plays the ring."""

    def __init__(self, portaudio: PortAudio, ring: Ring, device: Device, block_frames: int) -> None:
        """DeviceError if it cannot be opened. It does not play before `start`."""
        self._ring = ring
        self._feed = Feed(ring)
        self._channels = ring.channels
        self._latency_seconds = 0.0
        self._calls = 0
        self._seen = (0, time.monotonic())
        try:
            self._stream: Any = portaudio.module.RawOutputStream(
                samplerate=ring.sample_rate,
                blocksize=block_frames,
                device=device.index,
                channels=ring.channels,
                dtype="float32",
                callback=self._callback,
                clip_off=True,
                dither_off=True,
            )
        except portaudio.module.PortAudioError as error:
            if device.sample_rate != ring.sample_rate:
                rates = f"{quoted(device.name)} runs at {device.sample_rate} Hz, the engine at {ring.sample_rate}"
                raise DeviceError(f"{rates}: start the engine again") from error
            raise DeviceError(f"{quoted(device.name)} cannot be opened: {_first_line(error)}") from error
        self._error: type[Exception] = portaudio.module.PortAudioError
        self._name = device.name

    def start(self) -> None:
        """From now on the device's thread is the ring's consumer. Raises DeviceError."""
        self._latency_seconds = float(self._stream.latency)
        try:
            self._stream.start()
        except self._error as error:
            raise DeviceError(f"{quoted(self._name)} does not start: {_first_line(error)}") from error

    def trouble(self) -> str:
        """Why the device no longer plays; "" while it does."""
        if not self._stream.active:
            return f"{quoted(self._name)} is gone"
        now = time.monotonic()
        if self._calls != self._seen[0]:
            self._seen = (self._calls, now)
        if now - self._seen[1] > SILENT_SECONDS:
            return f"{quoted(self._name)} has stopped asking for sound"
        return ""

    def close(self) -> None:
        self._stream.close()

    def _callback(self, out: Any, frames: int, moments: Any, flags: Any) -> None:
        if not self._calls:
            _raise_priority()  # this thread is the sound server's, and not every one has seen to that
        try:
            block = np.frombuffer(out, np.float32).reshape(frames, self._channels)
            latency = moments.outputBufferDacTime - moments.currentTime
            if not 0.0 < latency < MOST_LATENCY_SECONDS:  # some systems do not know
                latency = self._latency_seconds
            self._feed.fill(block, latency)
            if flags.output_underflow:
                self._ring.count_xrun()
        except BaseException:
            out[:] = bytes(len(out))
        self._calls += 1


def serve(ring: Ring, block_frames: int, device: str | None, ended: threading.Event) -> int:
    """Play the ring until `ended`. Returns the exit code."""
    if device is None:
        ring.set_status(DeviceState.NONE, "")
        clocked = Drain(ring)
        ended.wait()
        clocked.close()
        return 0
    lost = ring.status()[0] is DeviceState.LOST  # found by the process before this one: stays so until it plays again
    drain: Drain | None = None  # not before an attempt has failed: a first second of music is not thrown away
    while not ended.is_set():
        try:
            portaudio = PortAudio()
            chosen = pick(portaudio.devices(), device, ring.channels)
            stream = Stream(portaudio, ring, chosen, block_frames)
        except DeviceError as error:
            ring.set_status(DeviceState.LOST if lost else DeviceState.NO_DEVICE, str(error))
            drain = drain or Drain(ring)
            ended.wait(RETRY_SECONDS)
            continue
        if drain:
            drain.close()
        try:
            stream.start()
            ring.set_status(DeviceState.PLAYING, chosen.name)
            trouble = ""
            while not trouble and not ended.wait(WATCH_SECONDS):
                trouble = stream.trouble()
        except DeviceError as error:
            trouble = str(error)
        if trouble:
            ring.set_status(DeviceState.LOST, trouble)
            return LOST_DEVICE
        stream.close()
        return 0
    return 0


def main(arguments: Sequence[str]) -> int:
    """Serve the ring that the arguments name, until standard input ends. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    _raise_priority()
    name, block_frames, *device = arguments
    ring = Ring.attach(name)
    _mute_libraries()
    ended = threading.Event()
    threading.Thread(target=_await_the_end, args=(ended,), daemon=True).start()
    try:
        return serve(ring, int(block_frames), device[0] if device else None, ended)
    except Exception as error:
        ring.set_status(DeviceState.LOST, f"the audio process failed: {_first_line(error)}")
        return 1


def _await_the_end(ended: threading.Event) -> None:
    """Wait for the end of standard input; see to it that the process ends then, even if PortAudio hangs."""
    while os.read(0, 1024):
        pass
    ended.set()
    time.sleep(CLOSE_SECONDS)
    os._exit(0)


def _raise_priority() -> None:
    """Ask for scheduling of this thread ahead of ordinary ones; without the right to it, go on without."""
    try:
        if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
            return
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (OSError, AttributeError):
        with contextlib.suppress(OSError, AttributeError):
            os.nice(-10)


def _mute_libraries() -> None:
    """Sound libraries print to standard error on each attempt to open a device; the status says it better."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # not through Python's shutdown: it may hang in PortAudio
