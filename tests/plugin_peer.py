"""The plugin's side of the link (docs/plugin-link.md), without a plugin: a host that is stepped, and what it hears.

Written from the page alone, apart from the words on the wire: whoever uses it tests the engine against the page.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from resonantgen_bridge.plugin_wire import (
    CHUNK_FRAMES,
    Decoder,
    EpochTold,
    Hello,
    HostFlag,
    Message,
    Pcm,
    Pull,
    Refused,
    State,
    Status,
    TrackFlag,
    Welcome,
    encode,
)

HANG_SECONDS = 60.0  # it only ends a test that hangs

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Host:
    """A host's clock, and where it is. Its song begins at frame `origin`."""

    sample_rate: int = 48_000
    tempo_bpm: float = 120.0
    meter: tuple[int, int] = (4, 4)
    frame: int = 0
    playing: bool = True
    origin: float = 0.0
    clock: int = 1
    wait: bool = False
    timed: bool = True
    block: int = 512

    @property
    def frames_per_quarter(self) -> Fraction:
        return 60 * self.sample_rate / Fraction(str(self.tempo_bpm))

    @property
    def quarters(self) -> float:
        return float((self.frame - Fraction(self.origin)) / self.frames_per_quarter)

    @property
    def bar_frames(self) -> Fraction:
        return Fraction(4 * self.meter[0], self.meter[1]) * self.frames_per_quarter

    def at_tempo(self, tempo_bpm: float) -> Host:
        """Another tempo from here on: its quarter notes go on where they are."""
        other = replace(self, tempo_bpm=tempo_bpm, clock=self.clock + 1)
        return replace(other, origin=float(self.frame - Fraction(self.quarters) * other.frames_per_quarter))

    def is_bar_line(self, frame: int) -> bool:
        bars = (frame - Fraction(self.origin)) / self.bar_frames
        return abs(bars - round(bars)) * self.bar_frames <= 1


class PluginPeer:
    """One instance: sends what its host and its controls say, and collects what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, track: int, host: Host) -> None:
        self._reader, self._writer = reader, writer
        self._decoder = Decoder(from_plugin=False)
        self._news = asyncio.Event()
        self.track, self.host = track, host
        self.lock = False
        self.regenerations = self.underruns = 0
        self.plays = 0  # the epoch
        self.told: list[EpochTold] = []
        self.states: list[State] = []
        self.chunks: dict[tuple[int, int], Samples] = {}  # by epoch and first frame
        self.refused: Refused | None = None
        self.welcome: Welcome | None = None
        self.ended = False
        self._reading = asyncio.get_running_loop().create_task(self._read())
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    @classmethod
    async def connect(cls, address: str, track: int = 1, host: Host = Host(), instance: int = 7) -> PluginPeer:
        """Say HELLO, wait for WELCOME, and tell the first STATUS."""
        where, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(where, int(port))
        peer = cls(reader, writer, track, host)
        peer.send(Hello(instance))
        await peer.wait_for("WELCOME", lambda: peer.welcome or peer.ended)
        assert peer.welcome is not None, peer.refused
        peer.tell()
        return peer

    async def close(self) -> None:
        self._beating.cancel()
        self._reading.cancel()
        await asyncio.gather(self._beating, self._reading, return_exceptions=True)
        self._writer.close()

    # -- saying -------------------------------------------------------------------------------------------------------

    def send(self, *messages: Message) -> None:
        self.send_raw(b"".join(map(encode, messages)))

    def send_raw(self, data: bytes) -> None:
        self._writer.write(data)

    @property
    def status(self) -> Status:
        host = self.host
        flags = HostFlag(0)
        for flag, on in (
            (HostFlag.PLAYING, host.playing),
            (HostFlag.LOCK, self.lock),
            (HostFlag.WAIT, host.wait),
            (HostFlag.TIMED, host.timed),
        ):
            flags |= flag if on else HostFlag(0)
        place = (host.clock, host.frame, float(host.sample_rate), host.tempo_bpm, host.quarters, *host.meter)
        return Status(*place, flags, self.track, self.regenerations, self.underruns, self.plays, host.block)

    def tell(self) -> None:
        self.send(self.status)

    def go(self, host: Host) -> None:
        """The host is elsewhere, or another one."""
        self.host = host
        self.tell()

    # -- hearing ------------------------------------------------------------------------------------------------------

    async def wait_for(self, what: str, true: Callable[[], object]) -> None:
        async def until() -> None:
            while not true():
                self._news.clear()
                await self._news.wait()

        try:
            await asyncio.wait_for(until(), HANG_SECONDS)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; told {self.told}") from None

    async def epoch(self, fits: Callable[[EpochTold], bool] = lambda told: True) -> EpochTold:
        """The epoch that it was told last, once one is there that fits."""
        await self.wait_for("an epoch", lambda: self.told and fits(self.told[-1]))
        return self.told[-1]

    async def another_epoch(self) -> EpochTold:
        """The next one that is not there yet."""
        before = len(self.told)
        await self.wait_for("another epoch", lambda: len(self.told) > before)
        return self.told[-1]

    async def state(self, fits: Callable[[TrackFlag], bool]) -> TrackFlag:
        await self.wait_for("a state", lambda: self.states and fits(self.states[-1].flags))
        return self.states[-1].flags

    async def pull(self, epoch: int, first: int, count: int) -> Samples:
        """Frames of an epoch, [count, 2]."""
        start, end = first // CHUNK_FRAMES, math.ceil((first + count) / CHUNK_FRAMES)
        for chunk in range(start, end, 64):
            self.send(Pull(epoch, chunk * CHUNK_FRAMES, min(64, end - chunk)))
        keys = [(epoch, chunk * CHUNK_FRAMES) for chunk in range(start, end)]
        await self.wait_for("sound", lambda: all(key in self.chunks for key in keys))
        whole = np.concatenate([self.chunks.pop(key) for key in keys])
        into = first - start * CHUNK_FRAMES
        return whole[into : into + count]

    # -- the connection -----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """A STATUS at least every 250 ms."""
        while True:
            await asyncio.sleep(0.2)
            if self.welcome is not None:
                self.tell()

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(1 << 16):
                for message in self._decoder.feed(data):
                    self._hear(message)
                self._news.set()
        except ConnectionError:
            pass
        self.ended = True
        self._news.set()

    def _hear(self, message: Message) -> None:
        match message:
            case Welcome():
                assert self.welcome is None
                self.welcome = message
            case Refused():
                self.refused = message
            case EpochTold():
                self.told.append(message)
            case State():
                self.states.append(message)
            case Pcm():
                samples = np.frombuffer(message.samples, np.float32).reshape(-1, CHUNK_FRAMES, 2)
                for i, chunk in enumerate(samples):
                    self.chunks[message.epoch, message.frame + i * CHUNK_FRAMES] = chunk
            case _:
                raise AssertionError(message)
