"""The engine on ZeroMQ, seen from a socket."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pytest
import zmq

from bridge_fakes import FakeEngine
from bridge_serving import Peer, run, serving, until
from resonantgen.errors import AddressTaken, EngineError, KeysError, TrackLocked
from resonantgen_bridge import wire, zmq_server
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.zmq_server import MAX_RUNNING_PER_CLIENT, ZmqServer


def ask(*messages: dict[str, Any], engine: FakeEngine | None = None) -> list[Any]:
    """What the engine sends for these messages, up to the answer of a ping behind them."""

    async def asking() -> list[Any]:
        async with serving(engine or FakeEngine()) as server, Peer(server.address) as peer:
            for message in messages:
                await peer.send(msgspec.msgpack.encode(message))
            await peer.ask(id="last", command="ping")
            answers = []
            while not answers or answers[-1]["id"] != "last":
                answers.append(await peer.answer())
            return answers[:-1]

    return run(asking())


def test_requests_are_answered_with_their_id() -> None:
    engine = FakeEngine()
    assert ask(
        {"id": 0, "command": "lock", "arguments": {"track": 2}},
        {"id": "seven", "command": "ping"},
        {"id": 2**63 - 1, "command": "undo", "arguments": None},
        engine=engine,
    ) == [
        {"id": 0, "result": {}},
        {"id": "seven", "result": {"version": 1}},
        {"id": 2**63 - 1, "result": {"changed": engine_changed(), "locked": [], "kept": [], "understood": None}},
    ]
    assert engine.calls[0].arguments == {"track": "bass", "locked": True}
    assert engine.clients[0].startswith("zmq ")


def engine_changed() -> dict[str, str]:
    return {track: f"{track}-1" for track in ("drums", "bass", "harmony", "melody")}


def test_errors_have_a_code_and_a_message() -> None:
    engine = FakeEngine()
    engine.answers["regenerate"] = TrackLocked("The bass is locked. Unlock it first.")
    assert ask({"id": 1, "command": "regenerate", "arguments": {"track": "bass"}}, engine=engine) == [
        {"id": 1, "error": {"code": "TrackLocked", "message": "The bass is locked. Unlock it first."}}
    ]
    [answer] = ask({"id": 1, "command": "tempo", "arguments": {"tempo": 0}})
    assert answer["error"] == {"code": "BadValue", "message": "tempo cannot be 0 bpm. Use 20 to 400 bpm."}
    [answer] = ask({"id": 1, "command": "tmpo"})
    assert answer["error"]["code"] == "UnknownCommand"


@pytest.mark.parametrize(
    "answer",
    [KeyError("no such thing"), {"session": object()}, {"session": {1j: 2}}],
    ids=["raises", "no value", "no key"],
)
def test_a_failing_engine_is_an_error_too(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()
    engine.answers["session"] = answer
    [told] = ask({"id": 1, "command": "session"}, engine=engine)
    assert told["error"]["code"] == "EngineError"
    assert "log" in told["error"]["message"]
    assert len(caplog.records) == 1


def test_progress_comes_before_the_answer() -> None:
    engine = FakeEngine()
    steps = [{"track": "bass", "stage": "notes", "bar": bar, "bars": 2} for bar in (1, 2)]
    engine.progress["regenerate"] = [Notice("progress", step) for step in steps]
    answers = ask({"id": 5, "command": "regenerate"}, engine=engine)
    assert answers[:2] == [{"id": 5, "progress": {"event": "progress", **step}} for step in steps]
    assert set(answers[2]) == {"id", "result"}


@pytest.mark.parametrize(
    "message",
    [
        {"id": 1},
        {"id": 1, "command": None},
        {"id": 1, "command": ["lock"]},
        {"id": 1, "command": "lock"},
        {"id": 1, "command": "lock", "arguments": []},
        {"id": 1, "command": "lock", "arguments": {"track": {}}},
        {"id": 1, "command": "lock", "arguments": {3: 4}},
        {"id": 1, "command": "ping", "arguments": {}, "more": 1},
        {"id": 1, "command": "ping", 7: 1},
        {"id": 1, "command": "ping", "cancel": 1},
        {"id": 1, "cancel": -1},
        {"id": 1, "cancel": ["x"]},
    ],
    ids=repr,
)
def test_requests_that_make_no_sense_are_told_so(message: dict[str, Any]) -> None:
    engine = FakeEngine()
    [answer] = ask(message, engine=engine)
    assert answer["id"] == 1
    assert answer["error"]["code"] in ("BadValue", "UnknownCommand")
    assert answer["error"]["message"].isprintable()
    assert [call.command for call in engine.calls] == ["ping"]  # the one behind it


@pytest.mark.parametrize("id", [None, -1, 2**63, True, 1.0, "", "x" * 65, [], {}, b"1"], ids=repr)
def test_messages_without_an_id_are_dropped(id: object) -> None:
    assert ask({"id": id, "command": "stop"}) == []


def test_frames_that_are_no_request_are_dropped() -> None:
    async def sending() -> None:
        engine = FakeEngine()
        ping = msgspec.msgpack.encode({"id": 1, "command": "stop"})
        async with serving(engine) as server, Peer(server.address) as peer:
            for frames in (
                [b""],
                [b"\xc1"],
                [b"\x91" * 60_000],
                [ping, b""],
                [b"x", ping],
                [b"", b"", ping],
                [ping] * 500,
            ):
                await peer.send(*frames)
            await peer.ask(id=2, command="ping")
            assert (await peer.answer())["id"] == 2
        assert [call.command for call in engine.calls] == ["ping"]

    run(sending())


def test_what_is_too_large_ends_the_connection_and_nothing_else() -> None:
    async def sending() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, Peer(server.address) as large, Peer(server.address) as peer:
            largest = {"id": 1, "command": "stop", "arguments": {"x": "x" * (wire.MAX_REQUEST_BYTES - 100)}}
            await large.ask(**largest)
            assert (await large.answer())["error"]["code"] == "UnknownCommand"
            await large.send(b"x" * (wire.MAX_REQUEST_BYTES + 1))
            await peer.ask(id=2, command="ping")
            assert (await peer.answer())["id"] == 2
        assert [call.command for call in engine.calls] == ["ping"]

    run(sending())


def test_many_requests_at_once_are_done_in_order_and_answered_once_each() -> None:
    async def sending() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, Peer(server.address) as peer:
            for number in range(500):
                await peer.ask(id=number, command="tempo", arguments={"tempo": 100 + number % 100})
            answers = [await peer.answer() for _ in range(500)]
            assert answers == [{"id": number, "result": {}} for number in range(500)]
        assert [call.arguments["tempo"] for call in engine.calls] == [100 + number % 100 for number in range(500)]

    run(sending())


def test_a_request_that_runs_can_be_cancelled() -> None:
    async def cancelling() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, Peer(server.address) as peer, Peer(server.address) as other:
            await peer.ask(id=1, command="generate", arguments={"prompt": "techno"})
            await until(lambda: engine.waiting)
            await other.ask(id=2, cancel=1)  # not its own
            assert await other.final_answer() == {"id": 2, "result": {"cancelled": 0}}
            assert engine.waiting == 1
            await peer.ask(id=3, cancel=1)
            answers = {answer["id"]: answer for answer in [await peer.final_answer() for _ in range(2)]}
            assert answers[3]["result"] == {"cancelled": 1}
            assert answers[1]["error"]["code"] == "Cancelled"
            assert [call.command for call in engine.cancelled] == ["generate"]
            await peer.ask(id=4, cancel=1)  # it is over
            assert await peer.answer() == {"id": 4, "result": {"cancelled": 0}}

    run(cancelling())


def test_while_it_runs_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RUNNING_SECONDS", 0.01)

    async def waiting() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, Peer(server.address) as peer:
            await peer.ask(id=1, command="generate", arguments={"prompt": "techno"})
            signs = [await peer.answer() for _ in range(3)]
            assert all(set(sign) == {"id", "running"} and sign["id"] == 1 for sign in signs)
            assert 0 <= signs[0]["running"] < signs[1]["running"] < signs[2]["running"]
            engine.release("generate")
            assert "result" in await peer.final_answer()

    run(waiting())


def test_an_id_that_runs_cannot_be_used_again() -> None:
    async def asking() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, Peer(server.address) as peer, Peer(server.address) as other:
            await peer.ask(id=1, command="generate", arguments={"prompt": "techno"})
            await peer.ask(id=1, command="stop")
            assert (await peer.final_answer())["error"]["message"].startswith("A request of this id is still running")
            await other.ask(id=1, command="ping")  # another client's ids are its own
            assert "result" in await other.final_answer()
            engine.release("generate")
            assert "result" in await peer.final_answer()
            await peer.ask(id=1, command="ping")
            assert "result" in await peer.final_answer()
        assert [call.command for call in engine.calls] == ["generate", "ping", "ping"]

    run(asking())


def test_a_client_cannot_pile_up_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_server, "MAX_RUNNING", MAX_RUNNING_PER_CLIENT + 1)

    async def asking() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, Peer(server.address) as peer, Peer(server.address) as other:
            for number in range(MAX_RUNNING_PER_CLIENT + 5):
                await peer.ask(id=number, command="generate", arguments={"prompt": "techno"})
            for number in range(MAX_RUNNING_PER_CLIENT, MAX_RUNNING_PER_CLIENT + 5):
                answer = await peer.final_answer()
                assert answer["id"] == number
                assert answer["error"]["message"].startswith(f"{MAX_RUNNING_PER_CLIENT} requests of this client are")
            assert engine.waiting == MAX_RUNNING_PER_CLIENT
            await other.ask(id=1, command="generate", arguments={"prompt": "house"})
            await other.ask(id=2, command="generate", arguments={"prompt": "house"})
            assert (await other.final_answer())["error"][
                "code"
            ] == "EngineError"  # all clients together have a limit, too
            await peer.ask(id="cancel", cancel=3)
            assert {(await peer.final_answer())["id"] for _ in range(2)} == {"cancel", 3}
            await peer.ask(id="ping", command="ping")
            assert (await peer.final_answer())["result"] == {"version": 1}

    run(asking())


def test_a_req_socket_is_sent_the_answer_only() -> None:
    async def asking() -> None:
        engine = FakeEngine()
        engine.progress["undo"] = [Notice("progress", {"track": "bass", "stage": "notes", "bar": 1, "bars": 1})]
        async with serving(engine) as server, Peer(server.address, zmq.REQ) as peer:
            for number in range(3):
                await peer.ask(id=number, command="undo")
                answer = await peer.answer()
                assert set(answer) == {"id", "result"}
                assert answer["id"] == number

    run(asking())


def test_closing_answers_what_runs() -> None:
    async def closing() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        server = ZmqServer(engine, commands_port=0, events_port=0)
        await server.start()
        async with Peer(server.address) as peer:
            await peer.ask(id=1, command="generate", arguments={"prompt": "techno"})
            await until(lambda: engine.waiting)
            assert engine.listeners == 1
            await server.close()
            await server.close()
            assert (await peer.final_answer())["error"]["code"] == "Cancelled"
        assert engine.listeners == 0

    run(closing())


def test_events_are_published_by_name() -> None:
    async def listening() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, Peer(server.events_address, zmq.SUB) as subscriber:
            subscriber.socket.subscribe("changed")
            subscriber.socket.subscribe("heartbeat")
            topic, payload = await subscriber.socket.recv_multipart()
            assert topic == b"heartbeat"
            assert msgspec.msgpack.decode(payload)["seconds"] >= 0
            engine.notify("beat", bar=1, beat=2)
            engine.change({"tempo": 128.0, "track/bass/lock": True})
            while topic == b"heartbeat":
                topic, payload = await subscriber.socket.recv_multipart()
            assert topic == b"changed"
            assert msgspec.msgpack.decode(payload) == {"state": {"tempo": 128.0, "track/bass/lock": True}}

    run(listening())


def test_an_event_that_cannot_be_sent_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def listening() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, Peer(server.address) as peer:
            engine.notify("changed", state=object())
            await peer.ask(id=1, command="ping")
            assert (await peer.answer())["id"] == 1

    run(listening())
    assert len(caplog.records) == 1


def test_a_slow_subscriber_loses_events_and_holds_nobody_up() -> None:
    async def flooding() -> None:
        engine = FakeEngine()
        async with (
            serving(engine) as server,
            Peer(server.events_address, zmq.SUB) as slow,
            Peer(server.address) as peer,
        ):
            slow.socket.rcvhwm = 10
            slow.socket.subscribe("")
            await until(lambda: slow.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN)
            text = "x" * 10_000
            for number in range(20_000):
                engine.notify("problem", code="x", message=text + str(number))
            await peer.ask(id=1, command="ping")
            assert (await peer.answer())["id"] == 1

    run(flooding())


def test_a_taken_port_names_the_engine_that_has_it() -> None:
    async def starting() -> None:
        async with serving(FakeEngine()) as first:
            port = int(first.address.rpartition(":")[2])
            engine = FakeEngine()
            second = ZmqServer(engine, commands_port=port, events_port=0)
            with pytest.raises(AddressTaken) as taken:
                await second.start()
            assert str(taken.value) == (
                f"Port {port} is taken by another ResonantGen (pid 4242, project night.rg). Stop it there, or use "
                "--zmq-port."
            )
            assert engine.listeners == 0

    run(starting())


@pytest.mark.parametrize(("which", "option"), [("commands_port", "--zmq-port"), ("events_port", "--events-port")])
def test_a_taken_port_may_be_another_programs(which: str, option: str) -> None:
    async def starting(port: int) -> str:
        server = ZmqServer(FakeEngine(), **{"commands_port": 0, "events_port": 0, which: port})
        with pytest.raises(AddressTaken) as taken:
            await server.start()
        return str(taken.value)

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run(starting(port)) == f"Port {port} is taken by another program. Stop it, or use {option}."


def test_addresses_that_are_not_ours_are_refused() -> None:
    with pytest.raises(EngineError, match=r"cannot listen at tcp://192\.0\.2\.1:5570: "):
        run(ZmqServer(FakeEngine(), host="192.0.2.1", keys=_keys()).start())


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.0.2.1", "::", "example.org"])
def test_other_hosts_than_loopback_need_keys(host: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(KeysError, match="resonantgen keys new"):
        port = other.getsockname()[1]  # taken: binding it would be another error
        run(ZmqServer(FakeEngine(), host=host, commands_port=port, events_port=0).start())


def test_localhost_is_loopback() -> None:
    async def starting() -> None:
        server = ZmqServer(FakeEngine(), host="localhost", commands_port=0, events_port=0)
        await server.start()
        async with Peer(server.address) as peer:
            await peer.ask(id=1, command="ping")
            assert (await peer.answer())["id"] == 1
        await server.close()

    run(starting())


def _keys() -> zmq_server.ServerKeys:
    public, secret = zmq.curve_keypair()
    return zmq_server.ServerKeys(public, secret, frozenset([public]))
