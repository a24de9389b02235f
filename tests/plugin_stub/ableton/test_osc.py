"""The script's OSC is what others write and read."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from pythonosc.osc_message_builder import build_msg
from pythonosc.osc_packet import OscPacket

from fake_live import World
from remote_script import loaded
from resonantgen_bridge.osc_packets import Message, encode_message, parse_packet


@pytest.fixture
def osc() -> Iterator[Any]:
    with loaded(World()):
        from ResonantGen import osc  # type: ignore[import-not-found]

        yield osc


@pytest.mark.parametrize(
    "values", [(), (1, -7), (0.5, -3.25), ("", "a", "abc", "abcd", "é – 音"), ("x", 3, 1.5)], ids=str
)
def test_what_one_writes_the_others_read(osc: Any, values: tuple[Any, ...]) -> None:
    data = osc.encode("/daw/x", *values)
    assert parse_packet(data) == Message("/daw/x", values)
    (found,) = OscPacket(data).messages
    assert (found.message.address, tuple(found.message.params)) == ("/daw/x", values)
    types = "".join({int: "i", float: "f", str: "s"}[type(value)] for value in values)
    for theirs in (encode_message("/daw/x", types, values), build_msg("/daw/x", list(values)).dgram):
        assert osc.decode(theirs) == ("/daw/x", list(values))


def test_what_cannot_be_written_as_it_is(osc: Any) -> None:
    assert osc.decode(osc.encode("/x", True, "a\0b", "\ud800")) == ("/x", [1, "a b", "?"])
    with pytest.raises(struct.error):
        osc.encode("/x", 1 << 31)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"/x",
        b"/x\0\0",
        b"/x\0\0,",
        b"/x\0\0i\0\0\0",
        b"x\0\0\0,\0\0\0",
        b"/x\0\0,i\0\0",
        b"/x\0\0,i\0\0\0\0",
        b"/x\0\0,\0\0\0\0",
        b"/x\0\0,q\0\0\0\0\0\0",
        b"/x\0\0,s\0\0abcd",
        b"/x\0\0,s\0\0\xff\0\0\0",
        b"/x\0a,\0\0\0",
        b"#bundle\0" + bytes(8),
    ],
    ids=repr,
)
def test_what_is_no_message_is_refused(osc: Any, packet: bytes) -> None:
    with pytest.raises(ValueError):
        osc.decode(packet)


def test_noise_is_refused_or_read_as_the_engine_reads_it(osc: Any) -> None:
    chance = random.Random(11)
    whole = osc.encode("/daw/track", 3, "Bass", True, 0.5)
    read = 0
    for _ in range(3000):
        packet = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            packet[chance.randrange(len(packet))] = chance.choice(b"\0,ifs/a\xff\x80")
        try:
            address, arguments = osc.decode(bytes(packet))
        except ValueError:
            continue
        message = parse_packet(bytes(packet))
        assert isinstance(message, Message) and message.address == address
        assert repr(list(message.arguments)) == repr(arguments)
        read += 1
    assert read > 100
