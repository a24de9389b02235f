"""What the plugin link carries, as docs/plugin-link.md says: values in, bytes out, and back.

Pure; `Decoder` belongs to whoever reads one connection.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Final, TypeAlias

VERSION: Final = 1
MAGIC: Final = b"RGPL"
CHUNK_FRAMES: Final = 1024
FRAME_BYTES: Final = 8  # two 32-bit floats
MOST_CHUNKS: Final = 64  # in one PULL
MOST_NOTES: Final = 64  # in one NOTES
TRACKS: Final = 16
MOST_SIZE: Final = 1 << 20  # what a size may say
_FARTHEST_FRAME: Final = 1 << 53  # as far as 64-bit floats count frames
_FARTHEST_QUARTER: Final = 1e9
_LARGEST_BLOCK: Final = 1 << 24  # frames
_MOST_REASON: Final = 200  # bytes
_HEAD = struct.Struct("<IH")


class Malformed(Exception):
    """Bytes that are no message of this version; the connection cannot be used any more."""


class Kind(IntEnum):
    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    STATUS = 4
    NOTES = 5
    EPOCH = 6
    PULL = 7
    PCM = 8
    STATE = 9


class HostFlag(IntFlag):
    """Of STATUS."""

    PLAYING = 1
    LOCK = 2
    WAIT = 4
    TIMED = 8  # the host told tempo, meter and position


class TrackFlag(IntFlag):
    """Of STATE."""

    EXISTS = 1
    LOCKED = 2
    SOUNDS = 4


AT_ONCE: Final = 1  # of EPOCH: no waiting for `from`


@dataclass(frozen=True, slots=True)
class Hello:
    """From the plugin, first. `version` may be one that we do not speak."""

    instance: int
    version: int = VERSION

    def body(self) -> bytes:
        return _HELLO.pack(MAGIC, self.version, self.instance)


@dataclass(frozen=True, slots=True)
class Welcome:
    """From the engine, first."""

    engine: int
    version: int = VERSION

    def body(self) -> bytes:
        return _HELLO.pack(MAGIC, self.version, self.engine)


@dataclass(frozen=True, slots=True)
class Refused:
    """From the engine, last."""

    reason: str
    version: int = VERSION

    def body(self) -> bytes:
        text = self.reason.encode()[:_MOST_REASON].decode(errors="ignore")  # no half characters
        return struct.pack("<H", self.version) + text.encode()


@dataclass(frozen=True, slots=True)
class Status:
    """Where the host is, and how the plugin's controls stand. Without TIMED, tempo, meter and quarters mean nothing."""

    clock: int
    frame: int
    sample_rate: float
    tempo_bpm: float
    quarters: float
    numerator: int
    denominator: int
    flags: HostFlag
    track: int
    regenerations: int
    underruns: int
    epoch: int
    block: int

    FORMAT: ClassVar[struct.Struct] = struct.Struct("<IqdddHHIHIIII")

    def body(self) -> bytes:
        return self.FORMAT.pack(
            *(self.clock, self.frame, self.sample_rate, self.tempo_bpm, self.quarters),
            *(self.numerator, self.denominator, int(self.flags), self.track),
            *(self.regenerations, self.underruns, self.epoch, self.block),
        )


@dataclass(frozen=True, slots=True)
class Notes:
    """Short MIDI messages."""

    messages: tuple[tuple[int, int, int], ...]

    def body(self) -> bytes:
        return b"".join(bytes((*message, 0)) for message in self.messages)


@dataclass(frozen=True, slots=True)
class EpochTold:
    """What plays from a bar line on; `from_frame` is the page's `from`."""

    epoch: int
    clock: int
    from_frame: int
    fade: int
    at_once: bool

    def body(self) -> bytes:
        return _EPOCH.pack(self.epoch, self.clock, self.from_frame, self.fade, AT_ONCE if self.at_once else 0)


@dataclass(frozen=True, slots=True)
class Pull:
    """The plugin wants so many chunks of an epoch, from a frame on."""

    epoch: int
    frame: int
    chunks: int

    def body(self) -> bytes:
        return _PULL.pack(self.epoch, self.frame, self.chunks)


@dataclass(frozen=True, slots=True)
class Pcm:
    """Sound: whole chunks of interleaved stereo frames, as 32-bit floats."""

    epoch: int
    frame: int
    samples: bytes

    def body(self) -> bytes:
        return _PCM.pack(self.epoch, self.frame) + self.samples


@dataclass(frozen=True, slots=True)
class State:
    """Of the instance's track."""

    flags: TrackFlag

    def body(self) -> bytes:
        return struct.pack("<I", self.flags)


Message: TypeAlias = Hello | Welcome | Refused | Status | Notes | EpochTold | Pull | Pcm | State

_HELLO = struct.Struct("<4sHQ")
_EPOCH = struct.Struct("<IIqII")
_PULL = struct.Struct("<IqI")
_PCM = struct.Struct("<Iq")
_KIND: Final[Mapping[type[Any], Kind]] = {
    Hello: Kind.HELLO,
    Welcome: Kind.WELCOME,
    Refused: Kind.REFUSED,
    Status: Kind.STATUS,
    Notes: Kind.NOTES,
    EpochTold: Kind.EPOCH,
    Pull: Kind.PULL,
    Pcm: Kind.PCM,
    State: Kind.STATE,
}


def encode(message: Message) -> bytes:
    body = message.body()
    return _HEAD.pack(2 + len(body), _KIND[type(message)]) + body


class Decoder:
    """Takes one side's bytes as they come, and gives its messages. It keeps no more than one message that is not whole.

    `feed` raises Malformed at the first byte that shows it; nothing can be fed after that.
    """

    def __init__(self, *, from_plugin: bool) -> None:
        self._most = _MOST_OF_PLUGIN if from_plugin else _MOST_OF_ENGINE
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        self._bytes += data
        at = 0
        try:
            while len(self._bytes) - at >= _HEAD.size:
                size, kind = _HEAD.unpack_from(self._bytes, at)
                most = self._most.get(kind)
                if most is None or not 2 <= size <= 2 + most:
                    raise Malformed(f"a message of kind {kind} and {size} bytes")
                end = at + 4 + size
                if len(self._bytes) < end:
                    break
                body = bytes(memoryview(self._bytes)[at + _HEAD.size : end])
                at = end
                yield _READ[Kind(kind)](body)
        finally:
            del self._bytes[:at]


# -- bodies -----------------------------------------------------------------------------------------------------------


def _unpack(layout: struct.Struct, body: bytes) -> tuple[Any, ...]:
    if len(body) != layout.size:
        raise Malformed(f"{len(body)} bytes in place of {layout.size}")
    return layout.unpack(body)


def _require(fine: bool, what: str) -> None:
    if not fine:
        raise Malformed(what)


def _read_hello(body: bytes) -> Hello:
    magic, version, instance = _unpack(_HELLO, body)
    _require(magic == MAGIC, "another magic")
    return Hello(instance, version)


def _read_welcome(body: bytes) -> Welcome:
    magic, version, engine = _unpack(_HELLO, body)
    _require(magic == MAGIC and version == VERSION, "another magic or version")
    return Welcome(engine, version)


def _read_refused(body: bytes) -> Refused:
    _require(2 <= len(body) <= 2 + _MOST_REASON, "a reason that is too long, or none")
    try:
        return Refused(body[2:].decode(), int.from_bytes(body[:2], "little"))
    except UnicodeDecodeError:
        raise Malformed("a reason that is no UTF-8") from None


def _read_status(body: bytes) -> Status:
    values = list(_unpack(Status.FORMAT, body))
    _require(values[7] < 16, "an unknown flag")
    values[7] = HostFlag(values[7])
    status = Status(*values)
    _require(1 <= status.track <= TRACKS, "no such track")
    _require(abs(status.frame) <= _FARTHEST_FRAME and status.block <= _LARGEST_BLOCK, "a frame out of range")
    _require(0 < status.sample_rate < 1e7, "no sample rate")
    if HostFlag.TIMED in status.flags:
        _require(0 < status.tempo_bpm < 1e5, "no tempo")
        _require(math.isfinite(status.quarters) and abs(status.quarters) <= _FARTHEST_QUARTER, "no position")
        _require(status.numerator > 0 and status.denominator > 0, "no meter")
    return status


def _read_notes(body: bytes) -> Notes:
    _require(0 < len(body) <= 4 * MOST_NOTES and len(body) % 4 == 0, "no notes")
    messages = [body[at : at + 4] for at in range(0, len(body), 4)]
    _require(all(each[0] >= 0x80 and each[1] < 0x80 and each[2] < 0x80 and not each[3] for each in messages), "no MIDI")
    return Notes(tuple((each[0], each[1], each[2]) for each in messages))


def _read_epoch(body: bytes) -> EpochTold:
    epoch, clock, from_frame, fade, flags = _unpack(_EPOCH, body)
    _require(epoch > 0 and flags <= AT_ONCE, "no epoch, or an unknown flag")
    return EpochTold(epoch, clock, from_frame, fade, flags == AT_ONCE)


def _read_pull(body: bytes) -> Pull:
    epoch, frame, chunks = _unpack(_PULL, body)
    _require(frame % CHUNK_FRAMES == 0 and abs(frame) <= _FARTHEST_FRAME, "a frame that begins no chunk")
    _require(1 <= chunks <= MOST_CHUNKS, "so many chunks")
    return Pull(epoch, frame, chunks)


def _read_pcm(body: bytes) -> Pcm:
    _require(len(body) >= _PCM.size, "half a head")
    epoch, frame = _PCM.unpack_from(body)
    samples = body[_PCM.size :]
    whole = len(samples) and len(samples) % (CHUNK_FRAMES * FRAME_BYTES) == 0 and frame % CHUNK_FRAMES == 0
    _require(bool(whole), "no whole chunks")
    return Pcm(epoch, frame, samples)


def _read_state(body: bytes) -> State:
    _require(len(body) == 4 and int.from_bytes(body, "little") < 8, "an unknown flag")
    return State(TrackFlag(int.from_bytes(body, "little")))


_READ: Final[Mapping[Kind, Callable[[bytes], Message]]] = {
    Kind.HELLO: _read_hello,
    Kind.WELCOME: _read_welcome,
    Kind.REFUSED: _read_refused,
    Kind.STATUS: _read_status,
    Kind.NOTES: _read_notes,
    Kind.EPOCH: _read_epoch,
    Kind.PULL: _read_pull,
    Kind.PCM: _read_pcm,
    Kind.STATE: _read_state,
}
# Bytes of the longest body of each kind that a side may send.
_MOST_OF_PLUGIN: Final = {
    Kind.HELLO: _HELLO.size,
    Kind.STATUS: Status.FORMAT.size,
    Kind.NOTES: 4 * MOST_NOTES,
    Kind.PULL: _PULL.size,
}
_MOST_OF_ENGINE: Final = {
    Kind.WELCOME: _HELLO.size,
    Kind.REFUSED: 2 + _MOST_REASON,
    Kind.EPOCH: _EPOCH.size,
    Kind.PCM: MOST_SIZE - 2,
    Kind.STATE: 4,
}
