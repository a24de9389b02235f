"""The audio process without a device: it keeps time, survives its own death and ends with the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from resonantgen.realtime.audio_process import Feed
from resonantgen.realtime.output import AudioOutput
from resonantgen.realtime.ring import DeviceState, Ring

RATE = 48_000
NO_SUCH_SERVER = {"JACK_DEFAULT_SERVER": "rg-nobody", "JACK_NO_START_SERVER": "1"}


def wait_until(what: str, true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.01)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create(2, 2 * RATE, RATE)
    yield ring
    ring.close()


@pytest.fixture
def output(ring: Ring) -> Iterator[AudioOutput]:
    output = AudioOutput(ring, None)
    yield output
    output.close()


def test_without_a_device_the_clock_reads_the_ring(ring: Ring, output: AudioOutput) -> None:
    ring.write(np.zeros((2 * RATE, 2), np.float32))
    output.start()
    wait_until("it reads", lambda: ring.read_frames > RATE // 4)
    assert output.status().state is DeviceState.NONE
    first = output.check()
    assert first is not None and first.state is DeviceState.NONE
    assert output.check() is None  # nothing has changed
    assert ring.time_of(2 * RATE) == pytest.approx(time.monotonic() + 2, abs=30)


def test_a_killed_process_is_replaced_and_the_ring_goes_on(ring: Ring, output: AudioOutput) -> None:
    ring.write(np.zeros((2 * RATE, 2), np.float32))
    output.start()
    wait_until("it reads", lambda: ring.read_frames > 0)
    pid = output.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    def replaced() -> bool:
        output.check()
        return output.pid != pid

    wait_until("it is replaced", replaced)
    at_restart = ring.read_frames
    wait_until("it reads on", lambda: ring.read_frames > at_restart)
    assert output.status().restarts == 1
    assert output.status().state is DeviceState.NONE


def test_close_ends_the_process_and_may_be_called_again(output: AudioOutput) -> None:
    output.start()
    pid = output.pid
    assert pid is not None
    output.close()
    assert not exists(pid)
    output.close()
    assert output.check() is not None  # still says how it was


def test_ctrl_c_is_the_engines_business(ring: Ring, output: AudioOutput) -> None:
    ring.write(np.zeros((RATE, 2), np.float32))
    output.start()
    wait_until("it reads", lambda: ring.read_frames > 0)
    assert output.pid is not None
    os.kill(output.pid, signal.SIGINT)
    before = ring.read_frames
    wait_until("it reads on", lambda: ring.read_frames > before + RATE // 10)
    output.check()
    assert output.status().restarts == 0


def test_a_device_that_is_not_there_is_said_and_time_goes_on(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_SUCH_SERVER.items():
        monkeypatch.setenv(name, value)
    ring.write(np.zeros((RATE, 2), np.float32))
    output = AudioOutput(ring, "no such device")
    try:
        output.start()
        wait_until("it says so", lambda: output.status().state is DeviceState.NO_DEVICE)
        assert "no audio device" in output.status().message
        wait_until("it reads all the same", lambda: ring.read_frames > RATE // 10)
    finally:
        output.close()


def test_a_killed_engine_takes_the_process_along() -> None:
    program = """
import time
from resonantgen.realtime.output import AudioOutput
from resonantgen.realtime.ring import Ring
output = AudioOutput(Ring.create(2, 1000, 48000), None)
output.start()
print(output.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as engine:
        assert engine.stdout is not None
        pid = int(engine.stdout.readline())
        assert exists(pid)
        engine.kill()
    wait_until("the audio process ends", lambda: not exists(pid))


def test_the_process_imports_little() -> None:
    program = "import resonantgen.realtime.audio_process, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    modules = set(done.stdout.split())
    ours = {name for name in modules if name.startswith("resonantgen.")}
    assert ours == {
        "resonantgen.errors",
        "resonantgen.realtime",
        "resonantgen.realtime.audio_process",
        "resonantgen.realtime.devices",
        "resonantgen.realtime.ring",
    }
    assert not modules & {"numba", "msgspec", "zmq", "soundfile", "asyncio", "sounddevice"}


def test_silence_before_the_first_frame_is_no_underrun_and_after_it_is(ring: Ring) -> None:
    feed = Feed(ring)
    block = np.ones((512, 2), np.float32)
    feed.fill(block, 0.01)
    assert not block.any()
    assert ring.telemetry().underruns == 0
    ring.write(np.ones((700, 2), np.float32))
    feed.fill(block, 0.01)
    assert block.all()
    feed.fill(block, 0.01)
    assert block[:188].all() and not block[188:].any()
    feed.fill(block, 0.01)
    told = ring.telemetry()
    assert (told.underruns, told.underrun_frames, told.callbacks) == (2, 2 * 512 - 188, 4)
    clock = ring.clock()
    assert clock is not None
    assert (clock.frame, clock.latency_frames) == (700, 512 + 480)
