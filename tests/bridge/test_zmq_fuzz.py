"""Malformed messages by the thousand: nothing crashes, nothing is done, nothing grows."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import socket
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from bridge_fakes import FakeEngine
from bridge_serving import Peer, run, serving
from resonantgen_bridge import wire
from resonantgen_bridge.protocol import COMMANDS

MESSAGES = 30_000
SEED = 5570
GROWTH_MB = 16

# No mutation of a few bytes makes this a name that exists.
NO_ARGUMENT = "no such argument, whatever a few bytes are changed to"
IDS: list[Any] = [0, 7, 2**63 - 1, -1, 2**64 - 1, "x", "x" * 64, "x" * 65, "", None, True, 1.5, b"id", [], {}]
JUNK: list[Any] = [None, True, -1, 2**64 - 1, 1e308, float("nan"), "", "lock", "\0", "x" * 2000, b"\xff" * 50]
JUNK += [[], [[[[]]]], {}, {"a": {"b": 1}}, msgspec.msgpack.Ext(5, b"x"), ["bass"] * 300]
BOMBS = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]


def malformed(dice: random.Random) -> list[bytes]:
    """The frames of a message that is no request, or one that cannot be done."""
    match dice.randrange(8):
        case 0:
            return [dice.randbytes(dice.randrange(200))]
        case 1:
            return [_mutated(_request(dice), dice)]
        case 2:
            request = _request(dice)
            return [request[: dice.randrange(len(request))]]
        case 3:
            return [dice.choice(BOMBS) * dice.randrange(1, 50)]
        case 4:
            return [dice.choice((b"\x91", b"\x81\xa1a", b"\x81\xa2id", b"\x92\xc0")) * dice.randrange(1, 15_000)]
        case 5:
            return [_request(dice)] + [dice.randbytes(dice.randrange(20)) for _ in range(dice.randrange(1, 30))]
        case 6:
            message = {dice.choice(("id", "command", "cancel", "arguments", "x")): dice.choice(JUNK) for _ in range(3)}
            return [msgspec.msgpack.encode(message | {"id": dice.choice(IDS), "more": 1})]
        case _:
            return [_request(dice)]


def _request(dice: random.Random) -> bytes:
    arguments = {field.name: dice.choice(JUNK) for field in dice.choice(COMMANDS).fields} | {
        NO_ARGUMENT: dice.choice(JUNK)
    }
    return msgspec.msgpack.encode(
        {"id": dice.choice(IDS), "command": dice.choice(COMMANDS).name, "arguments": arguments}
    )


def _mutated(message: bytes, dice: random.Random) -> bytes:
    changed = bytearray(message)
    for _ in range(dice.randrange(1, 8)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def _resident_mb() -> float:
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # the highest so far, in bytes on macOS


@pytest.mark.slow
def test_malformed_messages_do_nothing() -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)

    async def sending() -> None:
        engine = FakeEngine()
        state = dict(engine.state)
        async with serving(engine) as server, Peer(server.address) as peer:
            answered = 0
            before = 0.0
            for number in range(MESSAGES):
                await peer.send(*malformed(dice))
                if number % 500 == 499:  # everything before this was read, too
                    await peer.ask(id=f"{number}", command="ping")
                    while (answer := await peer.answer())["id"] != f"{number}":
                        assert answer["error"]["code"] in ("BadValue", "UnknownCommand"), answer
                        assert answer["error"]["message"].isprintable()
                        answered += 1
                    assert answer["result"] == {"version": 1}
                    assert not server._running
                    if number < MESSAGES // 4:
                        before = _resident_mb()
            assert answered > MESSAGES // 20
            assert _resident_mb() - before < GROWTH_MB
        assert {call.command for call in engine.calls} == {"ping"}
        assert len(engine.calls) == MESSAGES // 500
        assert engine.state == state

    run(sending(), seconds=300)


def test_messages_that_are_too_large_and_bytes_that_are_no_zeromq_do_nothing() -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)

    async def sending() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, Peer(server.address) as peer:
            for address, kind in ((server.address, zmq.DEALER), (server.events_address, zmq.XSUB)):
                for _ in range(50):
                    async with Peer(address, kind) as large:
                        await large.send(dice.randbytes(wire.MAX_REQUEST_BYTES + dice.randrange(1, 100_000)))
                for _ in range(200):
                    _send_bytes(int(address.rpartition(":")[2]), _no_zeromq(dice))
                    await asyncio.sleep(0)
            await peer.ask(id=1, command="ping")
            assert (await peer.answer())["result"] == {"version": 1}
        assert [call.command for call in engine.calls] == ["ping"]

    run(sending())


def test_subscribers_that_send_nonsense_do_nothing() -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)

    async def sending() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, Peer(server.events_address, zmq.XSUB) as peer:
            for _ in range(5000):
                await peer.send(*(dice.randbytes(dice.randrange(100)) for _ in range(dice.randrange(1, 4))))
            async with Peer(server.events_address, zmq.SUB) as subscriber:
                subscriber.socket.subscribe("heartbeat")
                assert (await subscriber.answer())["seconds"] >= 0
        assert engine.calls == []

    run(sending())


def _no_zeromq(dice: random.Random) -> bytes:
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)  # of ZMTP 3.0
    frame = b"\x04" + bytes([dice.randrange(256)]) + dice.randbytes(30)
    endless = b"\x02" + struct.pack(">Q", dice.getrandbits(64)) + dice.randbytes(30)
    start = dice.choice((greeting, greeting[: dice.randrange(64)], b"GET / HTTP/1.1\r\n\r\n", b""))
    return start + dice.choice((frame, endless, dice.randbytes(dice.randrange(300))))


def _send_bytes(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
