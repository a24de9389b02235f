"""The engine's side of docs/plugin-link.md for tests of the plugin: plain sockets, and nothing of the bridge.

Its sound tells what it is: every sample says its epoch, its track and its place, in frames from the host's quarter note
0, so one that is misplaced is seen. It does as the page says, until a test tells it otherwise: late, silent, cut
off at any byte, or talk nonsense.

Threads: one that accepts, and one for each connection, which reads, answers, and sends STATE. A test may call every
method from its own; what it reads (`statuses`, `pulls`, ...) only grows.
"""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_process import wait_for

HELLO, WELCOME, REFUSED, STATUS, NOTES, EPOCH, PULL, PCM, STATE = range(1, 10)
MAGIC, VERSION = b"RGPL", 1
CHUNK = 1024  # frames
PLAYING, LOCK, WAIT, KNOWN = 1, 2, 4, 8  # of STATUS
AT_ONCE = 1  # of EPOCH
EXISTS, LOCKED, SOUNDS = 1, 2, 4  # of STATE
STATE_SECONDS = 0.5  # between two
LEAD_SECONDS = 0.15  # before a bar line, to be in time for it
FADE = 480  # frames
POSITIONS = 1 << 20  # frames that a sample can tell apart

Samples = NDArray[np.float32]


class Status(NamedTuple):
    """What the plugin says; see the page."""

    clock: int
    frame: int
    sample_rate: float
    tempo: float
    quarters: float
    numerator: int
    denominator: int
    flags: int
    track: int
    regenerations: int
    underruns: int
    epoch: int
    block: int

    @property
    def playing(self) -> bool:
        return bool(self.flags & PLAYING)

    def frame_of(self, quarters: float) -> int:
        """Where a quarter note lies, by this clock."""
        return round(self.frame + (quarters - self.quarters) * 60 * self.sample_rate / self.tempo)

    def next_bar(self, frame: int) -> int:
        """The frame of the first bar line that is not before `frame`."""
        bar = 4 * self.numerator / self.denominator
        at = self.quarters + (frame - self.frame) * self.tempo / (60 * self.sample_rate)
        return self.frame_of(math.ceil(at / bar - 1e-6) * bar)


STATUS_FORMAT = struct.Struct("<IqdddHHIHIIII")


class Announced(NamedTuple):
    """An epoch that was told, and what it sounds like: the track as it was then."""

    epoch: int
    clock: int
    start: int
    fade: int
    flags: int
    track: int
    origin: int  # the frame of quarter note 0


def sound(epoch: int, track: int, places: NDArray[np.int64] | range) -> Samples:
    """[n, 2], exact as 32-bit floats: the place on the left, epoch (1 to 127) and track on the right. Never silent."""
    positions = np.asarray(places, np.int64) % POSITIONS
    right = np.full(len(positions), (epoch * 32 + track) / 4096)
    return np.stack([(positions + 1) / (2 * POSITIONS), right], axis=1).astype(np.float32)


def read_sound(samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The epoch, the track and the place (modulo POSITIONS) that each sample tells; epoch 0 is silence."""
    left, right = (
        np.rint(samples[:, channel] * scale).astype(np.int64) for channel, scale in ((0, 2 << 20), (1, 4096))
    )
    return right // 32, right % 32, left - 1


def packet(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("<IH", 2 + len(body), kind) + body


@dataclass
class Manners:
    """How it behaves. A test replaces what is to go wrong; the next connection, or message, is met so."""

    welcome: bytes | None = None  # instead of WELCOME; b"" is none at all
    answers: bool = True  # what is pulled
    withheld: frozenset[int] = frozenset()  # epochs of which nothing is answered
    delay: float = 0.0  # seconds before each answer
    announces: bool = True  # an epoch for each clock
    states: bool = True  # sends STATE
    cut_after: int | None = None  # bytes, then the connection ends
    reads: bool = True  # what the plugin says
    accepts: bool = True  # connections: otherwise they wait


class Connection:
    """One instance of the plugin, as it is heard. Its thread ends with the connection."""

    def __init__(self, engine: ScriptedEngine, peer: socket.socket) -> None:
        self._engine, self._socket = engine, peer
        self._sending = threading.Lock()
        self._sent = 0
        self.instance = 0
        self.statuses: list[Status] = []
        self.notes: list[tuple[int, int, int]] = []
        self.pulls: list[tuple[int, int, int]] = []  # (epoch, frame, chunks)
        self.epochs: list[Announced] = []
        self.answered = 0  # pulls
        self.faults: list[str] = []  # what the plugin must not do
        self.over = threading.Event()
        self.began, self.ended = time.monotonic(), 0.0
        self.thread = threading.Thread(target=self._run, name="scripted engine's connection")

    # -- what a test does ---------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """The newest one. Waits for the first."""
        wait_for("a STATUS", lambda: self.statuses)
        return self.statuses[-1]

    def wait_for_status(self, what: str, holds: Callable[[Status], object]) -> Status:
        """The newest STATUS, once it is as wanted."""
        return wait_for(f"a STATUS with {what}", lambda: next(filter(holds, self.statuses[-1:]), None))  # type: ignore[return-value]

    def wait_until_it_is_heard(self) -> None:
        """Returns when the plugin has all that it pulled, and has taken in what was sent."""
        for _ in range(2):  # the first may have been under way
            self.wait_for_more(2)
            wait_for("an answer", lambda: self.answered == len(self.pulls) or self.over.is_set())

    def wait_for_more(self, statuses: int) -> None:
        """Returns when so many more STATUS have come."""
        count = len(self.statuses) + statuses
        wait_for(f"{statuses} more STATUS", lambda: len(self.statuses) >= count or self.over.is_set())
        assert not self.over.is_set(), "the connection ended"

    def underruns(self) -> int:
        """As the plugin has counted them by now."""
        self.wait_for_more(2)  # the first may have been under way
        return self.statuses[-1].underruns

    def announce(
        self, start: int, *, epoch: int | None = None, fade: int = FADE, flags: int = 0, clocks_on: int = 0
    ) -> Announced:
        """Tell an epoch, by default the next one of the other parity, for the newest clock or for one that is none."""
        status = self.statuses[-1]
        status = status._replace(clock=status.clock + clocks_on)
        if epoch is None:
            last = self.epochs[-1].epoch if self.epochs else 0
            playing = status.epoch
            epoch = last + 1 if (last + 1) % 2 != playing % 2 or not playing else last + 2
        told = Announced(epoch, status.clock, start, fade, flags, status.track, status.frame_of(0))
        self.epochs.append(told)
        self.send(packet(EPOCH, struct.pack("<IIqII", *told[:5])))
        return told

    def send_pcm(self, epoch: int, frame: int, samples: Samples) -> None:
        self.send(packet(PCM, struct.pack("<Iq", epoch, frame) + samples.astype("<f4").tobytes()))

    def send_state(self, flags: int = EXISTS | SOUNDS) -> None:
        self.send(packet(STATE, struct.pack("<I", flags)))

    def send(self, data: bytes) -> None:
        """Send as it is; the connection ends where the script cuts it."""
        limit = self._engine.manners.cut_after
        with self._sending, suppress(OSError):
            if limit is not None and self._sent + len(data) >= limit:
                self._socket.sendall(data[: limit - self._sent])
                self.close()
            else:
                self._socket.sendall(data)
            self._sent += len(data)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    # -- its thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._socket.settimeout(STATE_SECONDS / 5)
            told = 0.0
            for message in self._messages():
                if self._engine.manners.states and self.instance and time.monotonic() > told + STATE_SECONDS:
                    self.send_state()
                    told = time.monotonic()
                if message:
                    self._take(*message)
        except OSError:
            pass
        finally:
            self.ended = time.monotonic()
            self.over.set()
            self._socket.close()

    def _messages(self) -> Iterator[tuple[int, bytes] | None]:
        """What comes, and None now and then, until the connection ends."""
        data = bytearray()
        while not self._engine.stopped.is_set():
            if not self._engine.manners.reads:
                time.sleep(0.01)
                continue
            try:
                came = self._socket.recv(1 << 16)
            except TimeoutError:
                yield None
                continue
            if not came:
                return
            data += came
            while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:4], "little"):
                size = int.from_bytes(data[:4], "little")
                yield int.from_bytes(data[4:6], "little"), bytes(data[6 : 4 + size])
                del data[: 4 + size]
            yield None

    def _take(self, kind: int, body: bytes) -> None:
        if (kind == HELLO) == bool(self.instance):
            self.faults.append(f"kind {kind} after {self.instance}")
        elif kind == HELLO:
            magic, version, self.instance = struct.unpack("<4sHQ", body)
            if (magic, version) != (MAGIC, VERSION) or not self.instance:
                self.faults.append(f"HELLO {body!r}")
            welcome = self._engine.manners.welcome
            hello = packet(WELCOME, struct.pack("<4sHQ", MAGIC, VERSION, self._engine.number))
            self.send(hello if welcome is None else welcome)
        elif kind == STATUS:
            self.statuses.append(Status._make(STATUS_FORMAT.unpack(body)))
            self._answer_clock()
        elif kind == NOTES and body and not len(body) % 4:
            self.notes += [tuple(body[at : at + 3]) for at in range(0, len(body), 4)]  # type: ignore[misc]
        elif kind == PULL:
            self._answer_pull(*struct.unpack("<IqI", body))
        else:
            self.faults.append(f"kind {kind}: {body!r}")

    def _answer_clock(self) -> None:
        """Of a clock or a track that is new, an epoch: at its next bar line, or at once."""
        status = self.statuses[-1]
        if not self._engine.manners.announces or not status.flags & KNOWN:
            return
        if self.epochs and (self.epochs[-1].clock, self.epochs[-1].track) == (status.clock, status.track):
            return
        lead = FADE + round(LEAD_SECONDS * status.sample_rate)
        self.announce(status.next_bar(status.frame + lead), flags=0 if status.epoch and status.playing else AT_ONCE)

    def _answer_pull(self, epoch: int, frame: int, chunks: int) -> None:
        self.pulls.append((epoch, frame, chunks))
        told = next((one for one in reversed(self.epochs) if one.epoch == epoch), None)
        stale = told is None and epoch == self.statuses[-1].epoch  # of the connection before: its host stands still
        if frame % CHUNK or not 1 <= chunks <= 64 or (told is None and not stale):
            self.faults.append(f"PULL {epoch} {frame} {chunks}")
        elif told is not None and self._engine.manners.answers and epoch not in self._engine.manners.withheld:
            time.sleep(self._engine.manners.delay)
            positions = range(frame - told.origin, frame - told.origin + chunks * CHUNK)
            self.send_pcm(epoch, frame, sound(epoch, told.track, positions))
        self.answered += 1


@dataclass
class ScriptedEngine:
    """Listens as soon as it is made. Use it with `with`, or `stop` it."""

    port: int = 0
    manners: Manners = field(default_factory=Manners)
    number: int = 0x0123456789ABCDEF
    connections: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="scripted engine")
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def faults(self) -> list[str]:
        """What the instances did that the page does not allow."""
        return [fault for connection in self.connections for fault in connection.faults]

    def connection(self, number: int = 0) -> Connection:
        """One that has said HELLO, by the order in which they came."""

        def find() -> Connection | None:
            greeted = [one for one in self.connections if one.instance]
            return greeted[number] if number < len(greeted) else None

        found = wait_for(f"connection {number}", find)
        assert found is not None
        return found

    def stop(self) -> None:
        """As if it was killed: everything closes."""
        self.stopped.set()
        self._thread.join()
        for connection in self.connections:
            connection.close()
            connection.thread.join()

    def _accept(self) -> None:
        with self._listener:
            while not self.stopped.is_set():
                if not self.manners.accepts:
                    time.sleep(0.02)
                    continue
                with suppress(TimeoutError):
                    connection = Connection(self, self._listener.accept()[0])
                    self.connections.append(connection)
                    connection.thread.start()

    def __enter__(self) -> ScriptedEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def scripted_engine(port: int = 0, **manners: object) -> Iterator[ScriptedEngine]:
    """An engine that minds its manners but for those given; at the end, the plugin must have minded its own."""
    with ScriptedEngine(port, Manners(**manners)) as engine:  # type: ignore[arg-type]
        yield engine
    assert not engine.faults
