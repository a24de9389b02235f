"""OSC 1.0 messages as bytes: the few types that are spoken here."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Python 3.7 cannot say this
    Argument = int | float | str
    Message = tuple[str, list[Argument]]

_SIZES = {"i": (4, ">i"), "f": (4, ">f"), "h": (8, ">q"), "d": (8, ">d")}


def encode(address: str, *arguments: Argument) -> bytes:
    """A message; a bool is written as 0 or 1. An int beyond 32 bits raises struct.error."""
    types, body = ",", b""
    for value in arguments:
        if isinstance(value, str):
            types += "s"
            body += _text(value)
        elif isinstance(value, float):
            types += "f"
            body += struct.pack(">f", value)
        else:
            types += "i"
            body += struct.pack(">i", int(value))
    return _text(address) + _text(types) + body


def decode(packet: bytes) -> Message:
    """The address and the arguments of a message. Raises ValueError: it is none, or is not spoken here."""
    address, at = _read_text(packet, 0)
    types, at = _read_text(packet, at)
    if not address.startswith("/") or not types.startswith(","):
        raise ValueError("no OSC message")
    arguments: list[Argument] = []
    for kind in types[1:]:
        if kind == "s":
            text, at = _read_text(packet, at)
            arguments.append(text)
        elif kind in "TF":
            arguments.append(int(kind == "T"))
        elif kind in _SIZES:
            size, form = _SIZES[kind]
            if at + size > len(packet):
                raise ValueError("an argument is cut short")
            arguments.append(struct.unpack_from(form, packet, at)[0])
            at += size
        else:
            raise ValueError("an unknown type")
    if at != len(packet):
        raise ValueError("bytes are left over")
    return address, arguments


def _text(text: str) -> bytes:
    """In UTF-8, ended by one to four zeros. What cannot be written becomes a question mark."""
    data = text.replace("\0", " ").encode("utf-8", "replace")
    return data + b"\0" * (4 - len(data) % 4)


def _read_text(packet: bytes, at: int) -> tuple[str, int]:
    end = packet.find(b"\0", at)
    after = end + 4 - (end - at) % 4
    if end < 0 or after > len(packet) or any(packet[end:after]):
        raise ValueError("a text without an end")
    return packet[at:end].decode("utf-8"), after  # UnicodeDecodeError is a ValueError
