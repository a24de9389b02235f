"""The plugin link's messages: the page's bytes, and what is none of them."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import replace

import pytest

from resonantgen_bridge.plugin_wire import (
    CHUNK_FRAMES,
    Decoder,
    EpochTold,
    Hello,
    HostFlag,
    Malformed,
    Message,
    Notes,
    Pcm,
    Pull,
    Refused,
    State,
    Status,
    TrackFlag,
    Welcome,
    encode,
)

STATUS = Status(
    clock=3,
    frame=-4800,
    sample_rate=48_000.0,
    tempo_bpm=97.3,
    quarters=-1.5,
    numerator=7,
    denominator=8,
    flags=HostFlag.PLAYING | HostFlag.TIMED,
    track=2,
    regenerations=5,
    underruns=6,
    epoch=7,
    block=512,
)
OF_PLUGIN: list[Message] = [
    Hello(1 << 63),
    Hello(0, version=9),
    STATUS,
    Notes(((0x90, 60, 100), (0x80, 60, 0))),
    Pull(4, -2048, 64),
]
OF_ENGINE: list[Message] = [
    Welcome(77),
    Refused("No. Ä"),
    EpochTold(1, 2, -96_000, 240, True),
    EpochTold(2, 2, 96_000, 240, False),
    Pcm(1, 1024, bytes(range(256)) * 32),
    State(TrackFlag.EXISTS | TrackFlag.SOUNDS),
]


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack("<IH", 2 + len(body), kind) + body


def test_bytes_are_as_the_page_says() -> None:
    assert encode(Hello(0x0102030405060708)) == bytes.fromhex("10000000 0100 5247504c 0100 0807060504030201")
    assert encode(Pull(5, 1024, 2)) == bytes.fromhex("12000000 0700 05000000 0004000000000000 02000000")
    told = EpochTold(6, 7, -1, 240, True)
    assert encode(told) == bytes.fromhex("1a000000 0600 06000000 07000000 ffffffffffffffff f0000000 01000000")
    expected = struct.pack("<IqdddHHIHIIII", 3, -4800, 48_000.0, 97.3, -1.5, 7, 8, 9, 2, 5, 6, 7, 512)
    assert encode(STATUS) == frame(4, expected)
    assert encode(State(TrackFlag.LOCKED)) == bytes.fromhex("06000000 0900 02000000")
    assert encode(Notes(((0x90, 60, 1),))) == bytes.fromhex("06000000 0500 903c0100")


@pytest.mark.parametrize("from_plugin", [True, False])
def test_what_is_sent_arrives_however_it_is_cut(from_plugin: bool) -> None:
    messages = OF_PLUGIN if from_plugin else OF_ENGINE
    data = b"".join(map(encode, messages))
    rng = random.Random(4)
    for most in (1, 7, 100, len(data)):
        decoder, got, at = Decoder(from_plugin=from_plugin), [], 0
        while at < len(data):
            some = rng.randint(1, most)
            got += decoder.feed(data[at : at + some])
            at += some
        assert got == messages


def test_a_reason_is_cut_between_characters() -> None:
    (refused,) = Decoder(from_plugin=False).feed(encode(Refused("ä" * 150)))
    assert refused == Refused("ä" * 100)


NOT_SAID = {
    "nothing in it": struct.pack("<IH", 2, 1),
    "a size below 2": struct.pack("<IH", 1, 7),
    "another kind": frame(10, b""),
    "a kind of the engine's": encode(State(TrackFlag.EXISTS)),
    "too much for its kind": struct.pack("<IH", 2 + 17, 7),
    "as much as fits in a size": struct.pack("<IH", 0xFFFFFFFF, 4),
    "too little for its kind": frame(7, b"abc"),
    "another magic": frame(1, b"RGPX" + bytes(10)),
    "no notes": frame(5, b""),
    "half a note": frame(5, b"\x90\x3c"),
    "a note that is none": frame(5, b"\x10\x3c\x00\x00"),
    "a frame within a chunk": encode(Pull(1, 1025, 1)),
    "no chunks": encode(Pull(1, 1024, 0)),
    "too many chunks": encode(Pull(1, 1024, 65)),
    "a frame that is too far": encode(Pull(1, 1 << 62, 1)),
    "no such track": encode(replace(STATUS, track=17)),
    "track 0": encode(replace(STATUS, track=0)),
    "an unknown flag": frame(4, encode(STATUS)[6:46] + b"\x10" + encode(STATUS)[47:]),
    "no tempo": encode(replace(STATUS, tempo_bpm=0.0)),
    "a tempo that is no number": encode(replace(STATUS, tempo_bpm=math.nan)),
    "an endless position": encode(replace(STATUS, quarters=math.inf)),
    "no meter": encode(replace(STATUS, denominator=0)),
    "no sample rate": encode(replace(STATUS, sample_rate=-1.0)),
    "a block that nothing could hold": encode(replace(STATUS, block=0xFFFFFFFF)),
}


@pytest.mark.parametrize("data", NOT_SAID.values(), ids=NOT_SAID.keys())
def test_anything_else_is_malformed_at_once(data: bytes) -> None:
    decoder = Decoder(from_plugin=True)
    assert list(decoder.feed(encode(STATUS))) == [STATUS]
    with pytest.raises(Malformed):
        list(decoder.feed(data))


def test_a_host_that_told_no_time_may_say_anything_of_it() -> None:
    untimed = replace(STATUS, flags=HostFlag(0), tempo_bpm=0.0, quarters=-math.inf, denominator=0)
    assert list(Decoder(from_plugin=True).feed(encode(untimed))) == [untimed]


@pytest.mark.parametrize("seed", range(20))
def test_garbage_gives_messages_or_malformed_and_keeps_little(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        data = bytearray(b"".join(map(encode, rng.choices(OF_PLUGIN, k=4))))
        for _ in range(rng.randint(0, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        decoder = Decoder(from_plugin=True)
        try:
            for at in range(0, len(data), 13):
                for message in decoder.feed(bytes(data[at : at + 13])):
                    again = encode(message)  # whatever is taken for a message is one
                    assert again in bytes(data)
        except Malformed:
            pass
        assert len(decoder._bytes) < 400


def test_chunks_are_whole() -> None:
    with pytest.raises(Malformed):
        list(Decoder(from_plugin=False).feed(encode(Pcm(1, 0, bytes(8 * CHUNK_FRAMES - 8)))))
