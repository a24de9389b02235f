"""For tests of what plays in real time: a ring in memory, materials, and a player that is stepped block by block."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

from resonantgen.music.notes import Note, Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.realtime.heard import Heard
from resonantgen.realtime.material import Change, Frames, Grid, Material
from resonantgen.realtime.player import Player

RATE = 48_000
FADE = 240  # frames at RATE
LATENCY = 87  # frames that are mixed ahead for the limiter, at RATE
Event = TypeVar("Event")


class FakeRing:
    """What was written, in memory. The device takes frames only when a test says so, and its clock starts at 0."""

    def __init__(self, channels: int = 2, capacity_frames: int = 48_000) -> None:
        self.channels, self.capacity_frames = channels, capacity_frames
        self.written_frames = self.read_frames = 0
        self.blocks: list[Frames] = []
        self.clock = True
        self._lock = threading.Lock()

    def free_frames(self) -> int:
        return self.capacity_frames - self.fill_frames()

    def fill_frames(self) -> int:
        return self.written_frames - self.read_frames

    def write(self, block: Frames) -> None:
        assert block.dtype == np.float32 and block.shape[1] == self.channels and len(block) <= self.free_frames()
        with self._lock:
            self.blocks.append(block)
            self.written_frames += len(block)

    def take(self, frames: int) -> int:
        """As the device does: how many there were."""
        with self._lock:
            got = min(frames, self.fill_frames())
            self.read_frames += got
            return got

    def time_of(self, frame: int) -> float | None:
        return frame / RATE if self.clock else None

    @property
    def sound(self) -> Frames:
        return np.concatenate(self.blocks) if self.blocks else np.zeros((0, self.channels), np.float32)


class Stepped:
    """A player without a thread, all that it gave, and all that it told."""

    def __init__(self, stems: bool = False, seed: int | None = None) -> None:
        self.ring = FakeRing(8 if stems else 2, 1 << 40)
        self.heard: list[Heard] = []
        self.player = Player(self.ring, RATE, stems=stems, listener=self.heard.append)
        self._sizes = None if seed is None else np.random.default_rng(seed)

    @property
    def frame(self) -> int:
        """The next one to be mixed, which is ahead of the output by the limiter's latency."""
        return self.player.position().frame

    def step(self, frames: int) -> None:
        """In blocks of random sizes if there is a seed, otherwise in one."""
        while frames > 0:
            size = frames if self._sizes is None else min(frames, int(self._sizes.integers(1, 1500)))
            self.ring.write(self.player.mix_block(size))
            frames -= size

    @property
    def sound(self) -> Frames:
        return self.ring.sound

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.heard if isinstance(event, kind)]


def grid(tempo: str = "120", meter: str = "4/4", bars: int = 4) -> Grid:
    return Grid(TempoMap(Fraction(tempo), Meter.parse(meter), RATE), bars)


def noise(frames: int, seed: int, level: float = 0.02) -> Frames:
    """Like what a 24-bit file gives."""
    samples = np.random.default_rng(seed).uniform(-level, level, (frames, 2))
    return (np.rint(samples * (1 << 23)) / (1 << 23)).astype(np.float32)


def material(loop: Grid, seed: int, name: str = "", notes: Sequence[Note] = (), level: float = 0.02) -> Material:
    return Material(name or f"take-{seed}", noise(loop.frames, seed, level), tuple(notes))


def part_of(whole: Material, loop: Grid, first: int, end: int, seed: int | None = None) -> Material:
    """The bars from `first` to before `end`; of other noise if there is a seed."""
    start, stop = loop.tempo.bar_sample(first), loop.tempo.bar_sample(end)
    samples = whole.samples[start:stop] if seed is None else noise(stop - start, seed)
    return Material(whole.name + "~", samples, whole.notes, start, partial=True)


def four(loop: Grid, seed: int = 1, level: float = 0.02) -> dict[Role, Material]:
    return {role: material(loop, 10 * seed + i, f"{role}-{seed}", level=level) for i, role in enumerate(Role)}


def playing(
    loop: Grid, materials: Mapping[Role, Material | None], stems: bool = False, seed: int | None = 5
) -> Stepped:
    """A player that has just begun: the next frame that it gives is the loop's first, at output frame FADE."""
    stepped = Stepped(stems, seed)
    stepped.player.change(Change(loop, materials))
    stepped.player.play(True)
    stepped.step(FADE)
    return stepped


def around(samples: Frames, start: int, frames: int) -> Frames:
    """So many frames of a loop from one of them on."""
    return np.take(samples, np.arange(start, start + frames), axis=0, mode="wrap")


def total(materials: Sequence[Material]) -> Frames:
    """The sum that a mix is when nothing is limited."""
    return np.sum([each.samples.astype(np.float64) for each in materials], axis=0).astype(np.float32)
