"""The engine's handle on the audio process: starts it, restarts it, says how it is.

The process is a plain `python -m …` rather than one of `multiprocessing`, which would import the engine's main module
in it. It ends when the pipe to its standard input closes, so it never outlives the engine, however that ends.

One thread of the engine calls `start`, `check` and `close`; any thread may call `status`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from resonantgen.realtime.audio_process import LOST_DEVICE
from resonantgen.realtime.ring import DeviceState, Ring, Telemetry

CLOSE_SECONDS = 2.5  # more than the process gives itself
RESTART_SECONDS = 1.0  # at least so long between two starts


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """How sound gets out, at one moment."""

    state: DeviceState
    message: str  # the device's name while it plays, else what is wrong
    restarts: int  # times that the audio process had crashed or been killed
    latency_frames: int  # from reading a frame of the ring to hearing it; 0 before output has begun
    telemetry: Telemetry


class AudioOutput:
    """Plays a ring through a device, in a process of its own."""

    def __init__(self, ring: Ring, device: str | None, block_frames: int = 0) -> None:
        """`device` is what `devices.pick` understands ("" for the default), or None to drain by the clock only.

        `block_frames` 0 leaves the size of blocks to the device. The ring stays its owner's: close it after this.
        """
        self._ring = ring
        self._device = device
        self._block_frames = block_frames
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._restarts = 0
        self._told: tuple[DeviceState, str, int] | None = None

    def start(self) -> None:
        """Start the process. Returns at once: `status` and `check` say what became of it."""
        assert self._process is None
        command = [sys.executable, "-P", "-m", "resonantgen.realtime.audio_process"]
        command += [self._ring.name, str(self._block_frames)]
        if self._device is not None:
            command.append(self._device)
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    @property
    def pid(self) -> int | None:
        """Of the audio process; None if there is none."""
        return self._process.pid if self._process else None

    def check(self) -> OutputStatus | None:
        """Start a process that has ended again. Returns the status if it changed since the last call, else None.

        Call it several times a second: while there is no process, nothing reads the ring.
        """
        self._restart()
        status = self.status()
        told = (status.state, status.message, status.restarts)
        if told == self._told:
            return None
        self._told = told
        return status

    def status(self) -> OutputStatus:
        """How it is now."""
        state, message = self._ring.status()
        clock = self._ring.clock()
        return OutputStatus(
            state=state,
            message=message,
            restarts=self._restarts,
            latency_frames=clock.latency_frames if clock else 0,
            telemetry=self._ring.telemetry(),
        )

    def close(self) -> None:
        """End the process. Takes seconds at most, also if the sound server hangs. Closing twice does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _restart(self) -> None:
        process = self._process
        if process is None or process.poll() is None:
            return
        code = process.returncode
        if code != LOST_DEVICE:
            # Nobody else writes the status while there is no audio process.
            self._ring.set_status(DeviceState.LOST, f"the audio process ended ({_cause(code)}) and is started again")
        if time.monotonic() - self._started_at < RESTART_SECONDS:
            return
        self._restarts += code != LOST_DEVICE
        self.close()
        self.start()


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
