"""Packets in which there is no valid command, made from valid ones: of OSC, ZeroMQ and MIDI.

What is wrong with each is so by construction, or is found by other means than the engine's own reading.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import msgspec
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket, ParseError

from resonantgen.music.notes import Role
from resonantgen_bridge.protocol import COMMAND

BUNDLE = b"#bundle\0" + struct.pack(">Q", 1)
TRACKS = (*(role.value for role in Role), "1", "2", "3", "4")

# Whatever of these is done can be seen in the state, or in what plays.
VALID: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("/rg/track/{}/lock", "i", (1,)),
    ("/rg/track/{}/gain", "f", (-20.0,)),
    ("/rg/track/{}/pan", "f", (0.75,)),
    ("/rg/track/{}/mute", "i", (1,)),
    ("/rg/track/*/solo", "i", (1,)),
    ("/rg/track/{}/density", "f", (0.9,)),
    ("/rg/track/{}/regenerate", "i", (1,)),
    ("/rg/regenerate", "s", ("make the bass busier",)),
    ("/rg/tempo", "f", (99.0,)),
    ("/rg/play", "i", (0,)),
    ("/rg/auto", "i", (4,)),
    ("/rg/loop", "iii", (0, 1, 1)),
    ("/rg/style", "s", ("house",)),
    ("/rg/key", "s", ("A minor",)),
    ("/rg/bars", "i", (3,)),
)

# Known addresses with what they cannot take: (types, values).
IMPOSSIBLE: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "/rg/track/{}/gain": (("f", (1e9,)), ("f", (float("nan"),)), ("s", ("loud",)), ("b", (b"x",)), ("", ())),
    "/rg/track/{}/pan": (("f", (-1.5,)), ("f", (float("inf"),)), ("ff", (0.1, 0.2)), ("N", (None,))),
    "/rg/track/{}/lock": (("s", ("maybe",)), ("ii", (1, 1)), ("f", (float("nan"),)), ("b", (b"\1",))),
    "/rg/track/{}/density": (("f", (7.0,)), ("s", ("very",)), ("", ())),
    "/rg/tempo": (("f", (0.0,)), ("f", (1e30,)), ("i", (-120,)), ("s", ("fast",)), ("", ())),
    "/rg/bars": (("i", (0,)), ("f", (2.5,)), ("i", (2**31 - 1,))),
    "/rg/auto": (("i", (-1,)), ("s", ("often",))),
    "/rg/seek": (("i", (0,)), ("ff", (1.0, -1.0))),
    "/rg/style": (("s", ("no such style",)), ("b", (b"house",))),
    "/rg/key": (("s", ("H moll",)), ("i", (7,))),
    "/rg/subscribe": (("s", ("x",)), ("ii", (1, 70_000)), ("", ())),
    "/rg/track/5/lock": (("i", (1,)),),
    "/rg/track/{{drums,bass/lock": (("i", (1,)),),
    "/rg/track/[a-/mute": (("i", (1,)),),
    "/rg/no/such": (("i", (1,)),),
    "/rg": (("i", (1,)),),
    "/rgx/track/1/lock": (("i", (1,)),),
    "/": (("", ()),),
}


def osc(dice: random.Random) -> bytes:
    """A datagram."""
    valid = _valid_osc(dice)
    match dice.randrange(10):
        case 0:  # no multiple of 4
            return valid[: -dice.randrange(1, 4)]
        case 1:  # shorter than the type tags promise
            return valid[:-4]
        case 2:  # longer
            return valid + dice.randbytes(4 * dice.randrange(1, 9))
        case 3:  # a type that there is not
            tags = valid.index(b",")
            return valid[: tags + 1] + dice.choice(b"!?xyzZ0 ").to_bytes() + valid[tags + 2 :]
        case 4:
            return _bad_bundle(valid, dice)
        case 5:
            return dice.choice((b"", b"/rg/", b"#bundle\0", BUNDLE)) + dice.randbytes(dice.randrange(1, 100))
        case 6 | 7:
            address = dice.choice(tuple(IMPOSSIBLE))
            types, values = dice.choice(IMPOSSIBLE[address])
            return _message(address.format(dice.choice(TRACKS)), types, values)
        case _:
            return _mutated_osc(valid, dice)


def _valid_osc(dice: random.Random) -> bytes:
    address, types, values = dice.choice(VALID)
    return _message(address.format(dice.choice(TRACKS)), types, values)


def _message(address: str, types: str, values: tuple[Any, ...]) -> bytes:
    builder = OscMessageBuilder(address)
    for kind, value in zip(types, values, strict=True):
        builder.add_arg(value, kind)
    return bytes(builder.build().dgram)


def _bad_bundle(valid: bytes, dice: random.Random) -> bytes:
    """Good messages, and something wrong around them: then none of them counts."""
    good = struct.pack(">i", len(valid)) + valid
    match dice.randrange(5):
        case 0:
            size = dice.choice((-len(valid), -1, -16, 0, 1, len(valid) - 4, len(valid) + 4, 2**31 - 1, -(2**31)))
            return BUNDLE + good + struct.pack(">i", size) + valid
        case 1:
            return BUNDLE + good + valid[: 4 * dice.randrange(1, len(valid) // 4)]
        case 2:
            nested = BUNDLE + good
            for _ in range(dice.randrange(9, 40)):
                nested = BUNDLE + struct.pack(">i", len(nested)) + nested
            return nested
        case 3:
            return BUNDLE[: dice.randrange(9, 16)] + good[: dice.choice((0, 4))]
        case _:
            return BUNDLE + good + struct.pack(">i", 8) + b"lock" + bytes(4)


def _mutated_osc(valid: bytes, dice: random.Random) -> bytes:
    """So that python-osc, which forgives a lot, cannot read it, either."""
    while True:
        mutated = _mutated(valid, dice)
        try:
            OscPacket(mutated)
        except (ParseError, UnicodeDecodeError):
            return mutated


def _mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data[: dice.randrange(1, len(data) + 1)])
    for _ in range(dice.randrange(1, 8)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


# -- ZeroMQ -----------------------------------------------------------------------------------------------------------

REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lock", {"track": "drums"}),
    ("gain", {"track": "bass", "gain": -20}),
    ("mute", {"track": 4}),
    ("stop", {}),
    ("regenerate", {"track": "bass"}),
    ("adjust", {"attribute": "density", "value": 0.9}),
    ("tempo", {"tempo": 99}),
    ("loop", {"on": False, "first": 1, "bars": 1}),
    ("undo", {}),
    ("map", {"daw_track": 3, "track": "bass"}),
)
JUNK: tuple[Any, ...] = (
    True, -1, 2**64 - 1, 1e308, float("nan"), "", "no such", "\0", "x" * 2000, b"\xff" * 50, [], [[[[]]]],
    {"a": {"b": 1}}, msgspec.msgpack.Ext(5, b"x"), ["nothing"] * 300,
)  # fmt: skip
IDS: tuple[Any, ...] = (-1, 2**64 - 1, "", "x" * 65, None, True, 1.5, b"id", [], {})
BOMBS = (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff")
DEEP = (b"\x91", b"\x81\xa1a", b"\x81\xa2id", b"\x92\xc0")


def zeromq(dice: random.Random) -> list[bytes]:
    """The frames of a message."""
    command, arguments = dice.choice(REQUESTS)
    request = {"id": dice.randrange(1000), "command": command, "arguments": arguments}
    valid = msgspec.msgpack.encode(request)
    match dice.randrange(9):
        case 0:  # no beginning of a value of msgpack is another
            return [valid[: dice.randrange(len(valid))]]
        case 1:
            return [_mutated_request(valid, dice)]
        case 2:
            return [dice.choice(BOMBS) * dice.randrange(1, 50)]
        case 3:
            return [dice.choice(DEEP) * dice.randrange(1, 4000)]
        case 4:  # a frame too many
            return [valid, *(dice.randbytes(dice.randrange(1, 20)) for _ in range(dice.randrange(1, 20)))]
        case 5:  # nobody to answer
            return [msgspec.msgpack.encode(request | {"id": dice.choice(IDS)})]
        case 6:
            return [msgspec.msgpack.encode(request | {dice.choice(("more", "x", "Command")): dice.choice(JUNK)})]
        case 7:
            return [msgspec.msgpack.encode(request | {"arguments": arguments | {"no such": dice.choice(JUNK)}})]
        case _:
            needed = [field.name for field in COMMAND["gain"].fields]
            wrong = {"track": "bass", "gain": -20} | {dice.choice(needed): dice.choice(JUNK[1:])}
            wrong = {"track": "bass", "gain": dice.choice((1e9, "loud"))} if wrong["gain"] == -1 else wrong
            return [msgspec.msgpack.encode({"id": 1, "command": "gain", "arguments": wrong})]


def _mutated_request(valid: bytes, dice: random.Random) -> bytes:
    """So that no command that there is can be read from it."""
    while True:
        mutated = _mutated(valid, dice)
        if not any(name.encode() in mutated for name in COMMAND):
            return mutated


# -- MIDI -------------------------------------------------------------------------------------------------------------

# How many data bytes follow each status byte of MIDI 1.0; others than these are undefined.
DATA_BYTES = {status: 1 if 0xC0 <= status < 0xE0 else 2 for status in range(0x80, 0xF0)}
DATA_BYTES |= {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0, 0xFF: 0}


def midi(dice: random.Random) -> list[int]:
    """The bytes of a message."""
    while True:
        status = dice.choice((*DATA_BYTES, 0x99, 0xB0, 0xC0, 0xF2))
        message = [status, *(dice.randrange(128) for _ in range(DATA_BYTES[status]))]
        match dice.randrange(6):
            case 0:
                message = message[: dice.randrange(len(message))]
            case 1:
                message += [dice.randrange(128) for _ in range(dice.randrange(1, 40))]
            case 2:
                message[dice.randrange(len(message))] = dice.randrange(256)
            case 3:
                message = [dice.choice((0xF4, 0xF5, 0xF9, 0xFD)), *message[1:]]
            case 4:
                message = message[1:] or [0]
            case _:
                message = list(dice.randbytes(dice.randrange(1, 12)))
        if not _is_midi(message):
            return message


def _is_midi(message: list[int]) -> bool:
    data = message[1:]
    if message and message[0] == 0xF0:  # of any length, up to its end
        return bool(data) and data[-1] == 0xF7 and max(data[:-1], default=0) < 0x80
    return bool(message) and len(data) == DATA_BYTES.get(message[0]) and max(data, default=0) < 0x80
