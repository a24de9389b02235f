"""100,000 packets without a valid command in them, at an engine that plays: nothing is done, and nothing grows."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import zmq

import malformed
from bridge_fakes import FakeEngine
from engine_process import HANG_SECONDS, EngineProcess, engine_process, make_project, needs_linux, resident_mb, wait_for
from live_fakes import standing
from resonantgen.errors import ResonantGenError
from resonantgen.session.session import Session
from resonantgen_bridge.midi_in import MidiIn
from resonantgen_bridge.midi_map import load_named_map

pytestmark = [needs_linux, pytest.mark.slow]

SEED = 1000
OSC_PACKETS, ZEROMQ_MESSAGES, STREAMS, EVENTS_MESSAGES = 50_000, 27_000, 500, 2_500
MIDI_MESSAGES = 20_000
TOGETHER = 100  # packets; then the engine is asked whether it has read them
WARM = 10_000  # packets, after which memory is measured
GROWTH_MB = 16
MIDI_GROWTH_BYTES = 20_000  # over half of them: two bytes a message that was kept would be as much


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """It must end as it began, whatever it has read meanwhile."""
    project = make_project(tmp_path_factory.mktemp("fuzz") / "night.rg")
    with Session.open(project) as session:
        before = standing(session), session.setup
    with engine_process(project) as engine:
        wait_for("music", lambda: engine.status["transport"]["playing"])
        yield engine
        assert engine.end() == 0
        engine.wait_until_nothing_is_left()
        assert engine.errors == ""
    with Session.open(project) as session:
        assert (standing(session), session.setup) == before


class Unmoved:
    """Asserts in the end that nothing was done meanwhile, and that no memory was taken since `warm`."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._memory = 0.0

    def __enter__(self) -> Unmoved:
        self._before = self._what_is()
        return self

    def warm(self) -> None:
        self._memory = resident_mb(self._engine.pid)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            assert self._what_is() == self._before
            grown = resident_mb(self._engine.pid) - self._memory
            print(f"memory grew by {grown:.1f} MB")
            assert grown < GROWTH_MB
            self._engine.wait_until_it_has_played()

    def _what_is(self) -> tuple[Any, ...]:
        status = self._engine.status
        pids = tuple(self._engine.children())
        return self._engine.state, status["applied"], status["transport"]["playing"], status["audio"]["restarts"], pids


def test_osc_without_a_command(engine: EngineProcess) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    with Unmoved(engine) as unmoved:
        surface = engine.osc()
        for number in range(1, OSC_PACKETS + 1):
            surface.send_raw(malformed.osc(dice))
            if number % TOGETHER == 0:
                surface.ping()
            if number == WARM:
                unmoved.warm()
    answers = {message[1] for message in surface.got if message[0] == "/rg/error"}
    assert {"BadValue", "UnknownCommand"} <= answers
    assert {message[:2] for message in surface.got if message[0] != "/rg/error"} == {("/rg/done", "ping")}


def test_zeromq_without_a_command(engine: EngineProcess) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    with Unmoved(engine) as unmoved, zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.setsockopt(zmq.LINGER, 0)
        peer.setsockopt(zmq.RCVTIMEO, round(1000 * HANG_SECONDS))
        peer.connect(engine.addresses["zmq"])
        answered = 0
        for number in range(1, ZEROMQ_MESSAGES + 1):
            peer.send_multipart(malformed.zeromq(dice))
            if number % TOGETHER == 0:
                peer.send(msgspec.msgpack.encode({"id": f"{number}", "command": "ping"}))
                while (answer := msgspec.msgpack.decode(peer.recv()))["id"] != f"{number}":
                    assert answer["error"]["code"] in ("BadValue", "UnknownCommand"), answer
                    answered += 1
            if number == WARM:
                unmoved.warm()
        assert answered > ZEROMQ_MESSAGES // 10
        for number in range(STREAMS):
            address = engine.addresses["zmq" if number % 2 else "events"]
            _send_bytes(int(address.rpartition(":")[2]), _no_zeromq(dice))
        with context.socket(zmq.XSUB) as subscriber:
            subscriber.setsockopt(zmq.LINGER, 0)
            subscriber.connect(engine.addresses["events"])
            for _ in range(EVENTS_MESSAGES):
                subscriber.send_multipart([dice.randbytes(dice.randrange(100)) for _ in range(dice.randrange(1, 4))])
    assert engine.client.ping() == 1


def test_midi_without_a_command() -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)

    async def send() -> None:
        engine = FakeEngine()
        problems: list[ResonantGenError] = []
        midi = MidiIn(engine, load_named_map(), problems.append, follow_clock=True)
        state, held = dict(engine.state), 0
        tracemalloc.start()
        for number in range(MIDI_MESSAGES):
            midi.handle(malformed.midi(dice), number / 1000)
            if number % TOGETHER == 0:
                await asyncio.sleep(0)
            if number == MIDI_MESSAGES // 2:
                held = tracemalloc.get_traced_memory()[0]
        grown = tracemalloc.get_traced_memory()[0] - held
        tracemalloc.stop()
        print(f"memory grew by {grown} bytes")
        assert grown < MIDI_GROWTH_BYTES
        await midi.close()
        assert engine.calls == [] and problems == [] and engine.state == state and midi.clock_bpm is None

    asyncio.run(send())


def _no_zeromq(dice: random.Random) -> bytes:
    """A stream of bytes that no ZeroMQ socket sends."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)  # of ZMTP 3.0
    endless = b"\x02" + struct.pack(">Q", dice.getrandbits(64)) + dice.randbytes(30)
    start = dice.choice((greeting, greeting[: dice.randrange(64)], b"GET / HTTP/1.1\r\n\r\n", b""))
    return start + dice.choice((endless, dice.randbytes(dice.randrange(300))))


def _send_bytes(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as connection:
        connection.sendall(data)
