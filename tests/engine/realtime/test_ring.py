"""The ring: nothing is lost, repeated or reordered, and nothing is left behind."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.realtime.ring import Clock, DeviceState, Ring

READER = Path(__file__).parent / "ring_reader.py"
RATE = 48_000
SPAN = 1 << 24


def ramp(first: int, frames: int, channels: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    values = (np.arange(first, first + frames) % SPAN).astype(np.float32)
    return np.repeat(values[:, None], channels, axis=1)


@given(
    channels=st.sampled_from([1, 2, 8]),
    capacity=st.integers(1, 300),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=60),
)
def test_any_interleaving_keeps_every_frame(channels: int, capacity: int, steps: list[tuple[bool, int]]) -> None:
    ring = Ring.create(channels, capacity, RATE)
    written = read = 0
    try:
        for writes, wanted in steps:
            if writes:
                frames = min(wanted, ring.free_frames())
                ring.write(ramp(written, frames, channels))
                written += frames
            else:
                out = np.full((wanted, channels), -1, np.float32)
                got = ring.read_into(out)
                assert got == min(wanted, written - read)
                np.testing.assert_array_equal(out[:got], ramp(read, got, channels))
                assert np.all(out[got:] == -1)
                read += got
            assert (ring.written_frames, ring.read_frames) == (written, read)
            assert ring.fill_frames() == written - read
            assert ring.free_frames() == capacity - (written - read)
    finally:
        ring.close()


def test_writing_without_room_is_a_programming_error() -> None:
    ring = Ring.create(2, 10, RATE)
    with pytest.raises(AssertionError):
        ring.write(np.zeros((11, 2), np.float32))
    with pytest.raises(AssertionError):
        ring.write(np.zeros((5, 1), np.float32))
    assert ring.written_frames == 0
    ring.close()


@pytest.mark.parametrize(("channels", "capacity", "frames"), [(2, 2048, 3_000_000), (8, 777, 500_000)])
def test_two_processes_lose_nothing(channels: int, capacity: int, frames: int) -> None:
    seed = 3
    print(f"seed {seed}")
    sizes = random.Random(seed)
    ring = Ring.create(channels, capacity, RATE)
    command = [sys.executable, str(READER), ring.name, str(frames), str(seed + 1)]
    reader = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        written = 0
        while written < frames and reader.poll() is None:
            count = min(sizes.randint(1, 1024), ring.free_frames(), frames - written)
            if count:
                ring.write(ramp(written, count, channels))
                written += count
            else:
                time.sleep(0.0005)
        _, problems = reader.communicate(timeout=60)
        assert (reader.returncode, problems) == (0, "")
        assert ring.read_frames == frames
    finally:
        reader.kill()
        reader.wait()
        ring.close()


def test_who_attaches_leaves_the_memory_to_its_owner() -> None:
    ring = Ring.create(2, 100, RATE)
    command = [sys.executable, str(READER), ring.name, "0", "0"]
    for _ in range(2):  # the second finds it still there
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    name = ring.name
    ring.close()
    ring.close()
    with pytest.raises(FileNotFoundError):
        Ring.attach(name)


def test_a_process_that_owns_a_ring_leaves_nothing_behind() -> None:
    program = """
from resonantgen.realtime.ring import Ring
ring = Ring.create(2, 1000, 48000)
print(ring.name)
other = Ring.attach(ring.name)
other.close()
ring.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(FileNotFoundError):
        Ring.attach(done.stdout.strip())


def test_other_shared_memory_is_refused() -> None:
    memory = SharedMemory(create=True, size=4096)
    try:
        with pytest.raises(ValueError, match="not a ring"):
            Ring.attach(memory.name)
    finally:
        memory.close()
        memory.unlink()


def test_both_ends_see_the_same_numbers() -> None:
    ring = Ring.create(2, 1000, 44_100)
    other = Ring.attach(ring.name)
    assert (other.channels, other.capacity_frames, other.sample_rate) == (2, 1000, 44_100)
    assert ring.status() == (DeviceState.STARTING, "")
    assert ring.clock() is None and ring.time_of(0) is None
    other.set_status(DeviceState.LOST, "“Gerät” is gone")
    other.set_clock(Clock(frame=1000, monotonic_ns=5_000_000_000, latency_frames=441))
    other.count_underrun(12)
    other.count_underrun(3)
    other.count_xrun()
    other.count_callback(250_000, 441)
    other.count_callback(90_000, 441)
    assert ring.status() == (DeviceState.LOST, "“Gerät” is gone")
    assert ring.time_of(1000) == pytest.approx(5.01)
    assert ring.time_of(1000 - 44_100) == pytest.approx(4.01)
    told = ring.telemetry()
    assert (told.underruns, told.underrun_frames, told.xruns, told.callbacks) == (2, 15, 1, 2)
    assert told.worst_callback_us == 250
    assert 0 < told.load < 0.025
    other.close()
    ring.close()


@given(st.text(max_size=300))
def test_any_message_fits(message: str) -> None:
    ring = Ring.create(1, 1, RATE)
    try:
        ring.set_status(DeviceState.PLAYING, message)
        state, kept = ring.status()
        assert state is DeviceState.PLAYING
        assert message.startswith(kept) and (kept == message or len(kept) >= 63)
    finally:
        ring.close()


def test_a_writer_killed_in_the_middle_does_not_hang_readers() -> None:
    ring = Ring.create(1, 1, RATE)
    ring.set_clock(Clock(1, 2, 3))
    ring._begin(24)  # the clock's sequence number
    assert ring.clock() is None
    ring.set_clock(Clock(4, 5, 6))
    assert ring.clock() == Clock(4, 5, 6)
    ring.close()
