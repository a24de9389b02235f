"""Sound out of the machine: what is written into the ring comes out of a real JACK server, sample by sample."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from jack_server import HANG_SECONDS, JackServer, needs_jack, wait_until
from resonantgen.errors import DeviceError
from resonantgen.realtime.devices import choose_device, list_devices, supported_rate
from resonantgen.realtime.output import AudioOutput, OutputStatus
from resonantgen.realtime.ring import DeviceState, Ring

pytestmark = needs_jack

RATE = 48_000
SPAN = 1 << 22  # the ramp's values: exact in float32, never 0, over again after 87 s


def ramp(first: int, frames: int, channels: int) -> NDArray[np.float32]:
    """Frames that say which they are: (number + 1) / SPAN, negative in odd channels."""
    values = ((np.arange(first, first + frames) % (SPAN - 1) + 1) / SPAN).astype(np.float32)
    signs = np.where(np.arange(channels) % 2, -1, 1).astype(np.float32)
    return values[:, None] * signs


def numbers(samples: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which frames of the ramp were recorded; -1 for silence."""
    return np.rint(samples[:, 0].astype(np.float64) * SPAN).astype(np.int64) - 1


class Producer:
    """Keeps the ring filled with the ramp, from a thread; may pause."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._paused = threading.Event()
        self._idle = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def pause(self) -> None:
        self._paused.set()
        self._idle.clear()
        assert self._idle.wait(HANG_SECONDS)

    def go_on(self) -> None:
        self._paused.clear()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.002):
            if self._paused.is_set():
                self._idle.set()
                continue
            ring = self._ring
            free = ring.free_frames()
            if free:
                ring.write(ramp(ring.written_frames, free, ring.channels))


@contextmanager
def playing(ring: Ring, device: str | None = "") -> Iterator[tuple[AudioOutput, Producer]]:
    output = AudioOutput(ring, device)
    producer = Producer(ring)
    try:
        output.start()
        yield output, producer
    finally:
        output.close()
        producer.close()
        ring.close()


def wait_for(output: AudioOutput, state: DeviceState, seen: list[OutputStatus] | None = None) -> OutputStatus:
    def reached() -> bool:
        changed = output.check()
        if changed and seen is not None:
            seen.append(changed)
        return output.status().state is state

    wait_until(f"the output is {state.name}", reached)
    return output.status()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    with JackServer() as server:
        server.serve(monkeypatch)
        yield server


@pytest.mark.parametrize(("period", "channels"), [(512, 2), (1024, 2), (1024, 8)])
def test_each_sample_comes_out_once_and_in_order(period: int, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with JackServer(period, channels=channels) as server:
        server.serve(monkeypatch)
        # Four seconds deep, so that a busy machine does not make underruns: this is about order, not about speed.
        with server.recording(channels) as recording, playing(Ring.create(channels, 4 * RATE, RATE)) as (output, _):
            status = wait_for(output, DeviceState.PLAYING)
            assert status.message == "system"
            wait_until("three seconds are recorded", lambda: np.count_nonzero(recording.samples()[:, -1]) > 3 * RATE)
            telemetry = output.status().telemetry
            samples = recording.samples()
            assert [name for name in server.ports() if name.startswith("resonantgen:")]
    begin = np.flatnonzero(np.all(samples != 0, axis=1))[0] + RATE // 4  # JACK's ports are all connected by then
    heard = samples[begin : begin + 5 * RATE // 2]
    first = int(numbers(heard)[0])
    steps = np.diff(numbers(heard))
    print("breaks (frame, step):", [(int(at), int(steps[at])) for at in np.flatnonzero(steps != 1)])
    assert telemetry.underruns == 0
    np.testing.assert_array_equal(heard, ramp(first, len(heard), channels))
    assert telemetry.callbacks > 5 * RATE // 2 // period


def test_a_killed_server_is_reported_and_its_successor_is_played_to(monkeypatch: pytest.MonkeyPatch) -> None:
    server = JackServer()
    server.serve(monkeypatch)
    ring = Ring.create(2, RATE // 10, RATE)
    try:
        server.start()
        with playing(ring) as (output, _):
            wait_for(output, DeviceState.PLAYING)
            wait_until("it plays", lambda: ring.read_frames > 0)
            server.kill()
            status = wait_for(output, DeviceState.LOST)
            assert status.message
            at_loss = ring.read_frames

            def goes_on() -> bool:
                output.check()
                return ring.read_frames > at_loss + RATE // 2

            wait_until("the transport goes on without a device", goes_on)
            server.start()
            with server.recording() as recording:
                status = wait_for(output, DeviceState.PLAYING)
                assert status.restarts == 0
                wait_until("sound is back", lambda: np.count_nonzero(recording.samples()[:, 1]) > RATE // 2)
                heard = numbers(recording.samples())
    finally:
        server.stop()
    heard = heard[heard >= 0]
    assert heard[0] >= at_loss  # nothing is played twice
    assert np.all(np.diff(heard) >= 1)


def test_a_killed_audio_process_is_started_again_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring.create(2, RATE // 2, RATE)
    with JackServer(waits=False) as server:
        server.serve(monkeypatch)
        with server.recording() as recording, playing(ring) as (output, _):
            wait_for(output, DeviceState.PLAYING)
            wait_until("half a second is recorded", lambda: np.count_nonzero(recording.samples()[:, 1]) > RATE // 2)
            first_pid = output.pid
            assert first_pid is not None
            os.kill(first_pid, signal.SIGKILL)
            seen: list[OutputStatus] = []
            wait_for(output, DeviceState.LOST, seen)
            wait_for(output, DeviceState.PLAYING, seen)
            assert [each.state for each in seen][-2:] == [DeviceState.LOST, DeviceState.PLAYING]
            assert "SIGKILL" in seen[-2].message
            assert seen[-1].restarts == 1 and output.pid != first_pid
            before = np.count_nonzero(recording.samples()[:, 1])
            wait_until("sound is back", lambda: np.count_nonzero(recording.samples()[:, 1]) > before + RATE // 2)
            heard = numbers(recording.samples())
    heard = heard[heard >= 0]
    assert np.all(np.diff(heard) >= 1)


def test_underruns_are_counted_as_heard(server: JackServer) -> None:
    ring = Ring.create(2, 2 * RATE, RATE)
    with server.recording() as recording, playing(ring) as (output, producer):
        wait_for(output, DeviceState.PLAYING)
        wait_until("a second is recorded", lambda: np.count_nonzero(recording.samples()[:, 1]) > RATE)
        assert output.status().telemetry.underruns == 0
        producer.pause()
        wait_until("underruns are counted", lambda: output.status().telemetry.underruns >= 10)
        producer.go_on()
        before = ring.read_frames
        wait_until("it plays on", lambda: ring.read_frames > before + RATE)
        telemetry = output.status().telemetry
        wait_until(
            "what was read is recorded",
            lambda: numbers(recording.samples()).max() >= before + RATE // 2,
        )
        heard = numbers(recording.samples())
    sounding = np.flatnonzero(heard >= 0)
    silence = np.count_nonzero(heard[sounding[0] : sounding[-1] + 1] < 0)
    assert silence == telemetry.underrun_frames
    assert np.all(np.diff(heard[sounding]) == 1)  # the pause lost nothing


def test_the_clock_says_when_frames_are_heard(server: JackServer) -> None:
    ring = Ring.create(2, RATE // 2, RATE)
    assert ring.time_of(0) is None
    with playing(ring) as (output, _):
        wait_for(output, DeviceState.PLAYING)
        wait_until("it plays", lambda: ring.read_frames > RATE // 4)
        times = [ring.time_of(frame) for frame in (0, RATE, 2 * RATE)]
        latency_frames = output.status().latency_frames
    assert times[0] is not None and times[1] is not None and times[2] is not None
    assert times[2] - times[0] == pytest.approx(2.0, abs=0.5)
    assert 512 <= latency_frames < RATE


def test_devices_are_found_and_checked(server: JackServer) -> None:
    assert "system" in [device.name for device in list_devices()]
    system = choose_device()
    assert (system.name, system.channels, system.sample_rate) == ("system", 2, RATE)
    assert choose_device("SYS") == choose_device(system.label) == system
    assert supported_rate(system, RATE) == supported_rate(system, 44_100) == RATE
    with pytest.raises(DeviceError, match='"system" has 2 outputs, stems need 8'):
        choose_device("system", 8)


def test_a_server_at_another_rate_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with JackServer(rate=44_100) as server:
        server.serve(monkeypatch)
        with playing(Ring.create(2, RATE // 10, RATE)) as (output, _):
            status = wait_for(output, DeviceState.NO_DEVICE)
    assert "44100" in status.message and "48000" in status.message
