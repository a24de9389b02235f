"""OSC packets are read as python-osc writes them, and refused unless they are whole."""

from __future__ import annotations

import random
import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder, build_msg

from resonantgen_bridge.osc_packets import (
    MAX_DEPTH,
    MAX_MESSAGES,
    Bundle,
    MalformedPacket,
    Message,
    encode_bundle,
    encode_message,
    encode_together,
    parse_packet,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
floats = st.floats(width=32, allow_nan=False)
scalars = st.one_of(
    st.tuples(st.just("i"), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.tuples(st.just("h"), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(st.just("f"), floats),
    st.tuples(st.just("d"), st.floats(allow_nan=False)),
    st.tuples(st.just("s"), texts),
    st.tuples(st.just("b"), st.binary(min_size=1, max_size=9)),
    st.tuples(st.sampled_from("TF"), st.none()),
)


@given(st.lists(scalars, max_size=6))
def test_messages_of_python_osc_are_read(arguments: list[tuple[str, Any]]) -> None:
    builder = OscMessageBuilder("/rg/x")
    for kind, value in arguments:
        builder.add_arg(value, kind)
    expected = tuple({"T": True, "F": False}.get(kind, value) for kind, value in arguments)
    assert parse_packet(builder.build().dgram) == Message("/rg/x", expected)


@given(st.integers(-(1 << 31), (1 << 31) - 1), floats, texts)
def test_messages_are_written_as_python_osc_reads_them(number: int, level: float, text: str) -> None:
    message = OscMessage(encode_message("/rg/x", "ifs", (number, level, text)))
    assert (message.address, message.params) == ("/rg/x", [number, level, text])


def test_arrays_and_impulses_are_read() -> None:
    data = b"/x\0\0,[ii]I\0" + b"\0" + struct.pack(">ii", 1, 2)
    assert parse_packet(data) == Message("/x", ([1, 2], True))


def test_bundles_are_read_with_their_times() -> None:
    inner = OscBundleBuilder(2_000_000_000.5)
    inner.add_content(build_msg("/b", 2))
    outer = OscBundleBuilder(IMMEDIATELY)
    outer.add_content(build_msg("/a", 1))
    outer.add_content(inner.build())
    outer.add_content(build_msg("/c", 3))
    assert parse_packet(outer.build().dgram) == Bundle(
        None, (Message("/a", (1,)), Bundle(2_000_000_000.5, (Message("/b", (2,)),)), Message("/c", (3,)))
    )
    now = time.time()
    bundle = parse_packet(encode_bundle([encode_message("/x")], now))
    assert isinstance(bundle, Bundle) and bundle.time == pytest.approx(now, abs=1e-5)


def test_many_messages_are_sent_in_bundles_that_fit_a_packet() -> None:
    messages = [encode_message(f"/rg/track/bass/{n}", "i", (n,)) for n in range(200)]
    datagrams = encode_together(messages)
    assert 1 < len(datagrams) < 20 and all(len(datagram) <= 1500 for datagram in datagrams)
    read = [element for datagram in datagrams for element in parse_packet(datagram).elements]  # type: ignore[union-attr]
    assert [element.arguments for element in read] == [(n,) for n in range(200)]
    assert encode_together(messages[:1]) == messages[:1]
    assert encode_together([]) == []


def nested(depth: int) -> bytes:
    data = encode_message("/x")
    for _ in range(depth):
        data = encode_bundle([data])
    return data


def test_the_deepest_and_the_largest_bundle_are_read() -> None:
    assert isinstance(parse_packet(nested(MAX_DEPTH)), Bundle)
    whole = parse_packet(encode_bundle([encode_message("/x")] * MAX_MESSAGES))
    assert isinstance(whole, Bundle) and len(whole.elements) == MAX_MESSAGES


IMMEDIATE = struct.pack(">Q", 1)
MALFORMED = {
    "nothing": b"",
    "no address": b"abcd",
    "odd length": b"/x\0",
    "no end of address": b"/xyz",
    "no comma": b"/x\0\0i\0\0\0",
    "missing number": b"/x\0\0,i\0\0",
    "half a number": b"/x\0\0,d\0\0\0\0\0\0",
    "missing float": b"/x\0\0,ff\0\0\0\0\0",
    "text without end": b"/x\0\0,s\0\0abcd",
    "no UTF-8": b"/\xff\0\0",
    "text that is no UTF-8": b"/x\0\0,s\0\0\xff\xfe\0\0",
    "unknown type": b"/x\0\0,Q\0\0",
    "more than its types": b"/x\0\0,i\0\0" + bytes(8),
    "negative blob": b"/x\0\0,b\0\0" + struct.pack(">i", -4),
    "blob too long": b"/x\0\0,b\0\0" + struct.pack(">i", 8) + bytes(4),
    "largest blob": b"/x\0\0,b\0\0" + struct.pack(">i", 0x7FFFFFFF),
    "array without end": b"/x\0\0,[i\0" + bytes(4),
    "array without begin": b"/x\0\0,]\0\0",
    "array in array": b"/x\0\0,[[]]\0\0\0",
    "bundle without time": b"#bundle\0",
    "bundle with half a time": b"#bundle\0" + bytes(4),
    "element of negative size": b"#bundle\0" + IMMEDIATE + struct.pack(">i", -4) + bytes(8),
    "element of no size": b"#bundle\0" + IMMEDIATE + struct.pack(">i", 0),
    "element beyond the end": b"#bundle\0" + IMMEDIATE + struct.pack(">i", 400) + b"/x\0\0",
    "element of odd size": b"#bundle\0" + IMMEDIATE + struct.pack(">i", 3) + b"/x\0\0",
    "element that is nothing": b"#bundle\0" + IMMEDIATE + struct.pack(">i", 4) + b"abcd",
    "too deep": nested(MAX_DEPTH + 1),
    "far too deep": nested(2000),
    "too many": encode_bundle([encode_message("/x")] * (MAX_MESSAGES + 1)),
    "long address": b"/" + b"x" * 299 + bytes(4),
    "many arguments": b"/x\0\0," + b"T" * 98 + b"\0",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        parse_packet(data)


def test_nothing_but_refusals_comes_of_noise() -> None:
    seed = 11
    print("seed", seed)
    dice = random.Random(seed)
    whole = encode_bundle([encode_message("/rg/track/1/lock", "i", (1,)), encode_message("/rg/prompt", "s", ("dub",))])
    read = 0
    for _ in range(20_000):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            parse_packet(bytes(data[: dice.randint(0, len(data))] if dice.random() < 0.5 else data))
            read += 1
        except MalformedPacket:
            pass
    assert 0 < read < 20_000
