"""OSC 1.0 packets: what a datagram holds, read strictly; and messages and bundles to be sent.

Reading is our own because python-osc's takes what is malformed for something else: missing bytes of a float for zeros,
unknown types for nothing, and a bundle's negative element size for a place further back, without end. Here a datagram
is a whole packet within the limits below, or it is refused. Writing is python-osc's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from pythonosc.osc_message_builder import OscMessageBuilder

from resonantgen.errors import BadValue

Argument: TypeAlias = bool | int | float | str | bytes | list["Argument"] | None

MAX_DEPTH = 8  # bundles within bundles
MAX_MESSAGES = 512  # of one datagram
MAX_ADDRESS = 255  # characters
MAX_ARGUMENTS = 64
_BUNDLE = b"#bundle\0"
_IMMEDIATELY = 1
_UNIX_EPOCH_IN_NTP = 2_208_988_800  # seconds from 1900 to 1970
_BUNDLE_BYTES = 1400  # of those that we send: fits a packet of any network
_NUMBERS = {"i": ">i", "h": ">q", "f": ">f", "d": ">d", "t": ">Q", "r": ">I", "m": ">I", "c": ">I"}
_CONSTANTS: dict[str, Argument] = {"T": True, "F": False, "I": True, "N": None}


class MalformedPacket(BadValue):
    """A datagram that is no OSC packet."""


@dataclass(frozen=True, slots=True)
class Message:
    """An address, or a pattern of addresses, and its arguments."""

    address: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is to be done together, at a time in seconds since 1970, or at once (None)."""

    time: float | None
    elements: tuple[Message | Bundle, ...] = ()


def parse_packet(datagram: bytes) -> Message | Bundle:
    """What it holds. Raises MalformedPacket."""
    return _Reader(datagram).packet(0, len(datagram), MAX_DEPTH)


@lru_cache(maxsize=4096)
def encode_message(address: str, types: str = "", values: tuple[int | float | str, ...] = ()) -> bytes:
    """A message with arguments of these types: i, h, f, s. Echoes repeat, so the last ones are remembered."""
    builder = OscMessageBuilder(address)
    for kind, value in zip(types, values, strict=True):
        builder.add_arg(value, kind)
    return builder.build().dgram


def encode_together(messages: Iterable[bytes]) -> list[bytes]:
    """Datagrams that hold these messages: as they are where there is one, in bundles otherwise."""
    whole = list(messages)
    if len(whole) == 1:
        return whole
    datagrams: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for message in whole:
        if parts and size + len(message) > _BUNDLE_BYTES:
            datagrams.append(encode_bundle(parts))
            parts, size = [], 0
        parts.append(message)
        size += len(message) + 4
    return [*datagrams, encode_bundle(parts)] if parts else datagrams


def encode_bundle(packets: Sequence[bytes], time: float | None = None) -> bytes:
    """A bundle of encoded packets, to be done at once or at a time in seconds since 1970."""
    tag = _IMMEDIATELY if time is None else int((time + _UNIX_EPOCH_IN_NTP) * (1 << 32))
    return _BUNDLE + struct.pack(">Q", tag) + b"".join(struct.pack(">i", len(p)) + p for p in packets)


class _Reader:
    """Reads one datagram; counts its messages."""

    def __init__(self, datagram: bytes) -> None:
        self._data = datagram
        self._messages = 0

    def packet(self, start: int, end: int, depth: int) -> Message | Bundle:
        if (end - start) % 4:
            raise MalformedPacket("This is no OSC packet: its length is no multiple of 4.")
        if self._data.startswith(b"/", start, end):
            return self._message(start, end)
        if self._data.startswith(_BUNDLE, start, end) and end - start >= 16:
            return self._bundle(start, end, depth)
        raise MalformedPacket('This is no OSC packet: it begins with neither "/" nor "#bundle".')

    def _bundle(self, start: int, end: int, depth: int) -> Bundle:
        if depth == 0:
            raise MalformedPacket(f"More than {MAX_DEPTH} OSC bundles are within each other.")
        (tag,) = struct.unpack_from(">Q", self._data, start + 8)
        elements: list[Message | Bundle] = []
        at = start + 16
        while at < end:
            (size,) = struct.unpack_from(">i", self._data, at)
            at += 4
            if not 0 < size <= end - at:
                raise MalformedPacket("An element of an OSC bundle ends outside it.")
            elements.append(self.packet(at, at + size, depth - 1))
            at += size
        time = None if tag == _IMMEDIATELY else tag / (1 << 32) - _UNIX_EPOCH_IN_NTP
        return Bundle(time, tuple(elements))

    def _message(self, start: int, end: int) -> Message:
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            raise MalformedPacket(f"An OSC bundle holds more than {MAX_MESSAGES} messages.")
        address, at = self._text(start, end)
        if len(address) > MAX_ADDRESS:
            raise MalformedPacket(f"An OSC address is longer than {MAX_ADDRESS} characters.")
        if at == end:
            return Message(address)  # old senders leave the type tags out
        types, at = self._text(at, end)
        if not types.startswith(",") or len(types) > MAX_ARGUMENTS + 1:
            raise MalformedPacket(f"An OSC message has no type tags, or more than {MAX_ARGUMENTS}.")
        arguments, at = self._arguments(types[1:], at, end)
        if at != end:
            raise MalformedPacket("An OSC message is longer than its type tags say.")
        return Message(address, tuple(arguments))

    def _arguments(self, types: str, at: int, end: int) -> tuple[list[Argument], int]:
        arguments: list[Argument] = []
        array: list[Argument] | None = None
        for kind in types:
            if kind == "[" and array is None:
                array = []
            elif kind == "]" and array is not None:
                arguments.append(array)
                array = None
            else:
                value, at = self._argument(kind, at, end)
                (arguments if array is None else array).append(value)
        if array is not None:
            raise MalformedPacket("An array in an OSC message has no end.")
        return arguments, at

    def _argument(self, kind: str, at: int, end: int) -> tuple[Argument, int]:
        if kind in _CONSTANTS:
            return _CONSTANTS[kind], at
        if kind in _NUMBERS:
            size = struct.calcsize(_NUMBERS[kind])
            if size > end - at:
                raise MalformedPacket("An OSC message is shorter than its type tags say.")
            value: Argument = struct.unpack_from(_NUMBERS[kind], self._data, at)[0]
            return value, at + size
        if kind in "sS":
            return self._text(at, end)
        if kind == "b":
            return self._blob(at, end)
        raise MalformedPacket("An OSC message holds a type that is not known.")

    def _text(self, at: int, end: int) -> tuple[str, int]:
        stop = self._data.find(b"\0", at, end)
        if stop < 0:
            raise MalformedPacket("Text in an OSC message has no end.")
        try:
            text = self._data[at:stop].decode()
        except UnicodeDecodeError as error:
            raise MalformedPacket("Text in an OSC message is not UTF-8.") from error
        return text, stop + 4 - (stop - at) % 4  # packets are multiples of 4: this is at most `end`

    def _blob(self, at: int, end: int) -> tuple[bytes, int]:
        if end - at < 4:
            raise MalformedPacket("An OSC message is shorter than its type tags say.")
        (size,) = struct.unpack_from(">i", self._data, at)
        at += 4
        padded = size + -size % 4
        if not 0 <= size <= padded <= end - at:
            raise MalformedPacket("A blob in an OSC message is longer than the message.")
        return self._data[at : at + size], at + padded
