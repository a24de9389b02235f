"""Clients of a served engine, sync and async, and what they do when it goes away."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from typing import Any

import msgspec
import pytest
import zmq
import zmq.asyncio

from bridge_fakes import FakeEngine
from bridge_serving import HANG_SECONDS, run, serving, serving_in_thread, until
from resonantgen import errors
from resonantgen.errors import (
    BadValue,
    Cancelled,
    EngineError,
    EngineNotRunning,
    ResonantGenError,
    TrackLocked,
    UnknownCommand,
)
from resonantgen_bridge import AsyncClient, Client, wire
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.protocol import COMMANDS
from resonantgen_bridge.zmq_server import ZmqServer

SHORT = 1.0  # seconds of silence that tests wait for


def client_of(server: ZmqServer, timeout: float = HANG_SECONDS) -> AsyncClient:
    return AsyncClient(server.address, events=server.events_address, timeout=timeout)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_commands_are_methods() -> None:
    async def calling() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, client_of(server) as client:
            assert await client.lock(track=2) is None
            assert await client.ping() == 1
            assert (await client.state())["track/bass/lock"] is True
            outcome = await client.regenerate(prompt="darker", track="bass")
            assert outcome == {"changed": {"bass": "bass-1"}, "locked": [], "kept": [], "understood": None}
            assert await client.call("ping") == {"version": 1}
        regenerate = next(call for call in engine.calls if call.command == "regenerate")
        assert regenerate.arguments == {"prompt": "darker", "track": "bass", "seed": None, "generators": None}

    run(calling())


def test_every_command_has_a_method_that_can_be_looked_up() -> None:
    for client in (AsyncClient("tcp://127.0.0.1:1"), Client("tcp://127.0.0.1:1")):
        for command in COMMANDS:
            method = getattr(client, command.name)
            assert command.name in dir(client)
            assert command.doc in method.__doc__
            names = [field.name for field in command.fields]
            assert list(inspect.signature(method).parameters) == [*names, "on_progress"]
        assert not hasattr(client, "sing")


def test_mistakes_are_told_before_anything_is_sent() -> None:
    async def calling() -> None:
        client = AsyncClient("tcp://127.0.0.1:1")  # nobody there
        with pytest.raises(UnknownCommand, match='lock has no argument "trck"'):
            await client.lock(trck=1)
        with pytest.raises(BadValue, match="tempo cannot be 5 bpm"):
            await client.tempo(tempo=5)
        with pytest.raises(UnknownCommand, match='no command "sing"'):
            await client.call("sing")
        with pytest.raises(AttributeError, match="sing"):
            await client.sing()
        with pytest.raises(BadValue, match="There is no event 'sung'"):
            await client.events("sung")

    run(calling())


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:5570", "tcp://", "tcp://host", "tcp://:1", "tcp://a:99999", "udp://a:1"]
)
def test_addresses_are_checked(address: str) -> None:
    with pytest.raises(BadValue, match=r"is no address of an engine. Use one like tcp://127.0.0.1:5570"):
        Client(address)


def test_errors_are_the_ones_that_the_engine_raised() -> None:
    async def calling() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, client_of(server) as client:
            kinds = [
                kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ResonantGenError)
            ]
            assert len(kinds) > 15
            for kind in kinds:
                engine.answers["undo"] = kind("What is wrong, and what to do.")
                with pytest.raises(kind, match=r"^What is wrong, and what to do\.$") as raised:
                    await client.undo()
                assert type(raised.value) is kind

    run(calling())


@pytest.mark.parametrize(
    "fields", [None, 7, {}, {"code": "SystemExit"}, {"code": "quoted"}, {"code": 7, "message": []}]
)
def test_errors_that_we_do_not_know_are_engine_errors(fields: object) -> None:
    assert type(wire.error_from(fields)) is EngineError


def test_progress_is_told_while_it_runs() -> None:
    async def calling() -> None:
        engine = FakeEngine()
        engine.progress["regenerate"] = [
            Notice("progress", {"track": "bass", "stage": "notes", "bar": bar, "bars": 2}) for bar in (1, 2)
        ]
        async with serving(engine) as server, client_of(server) as client:
            told: list[Notice] = []
            await client.regenerate(on_progress=told.append)
            assert told == engine.progress["regenerate"]

            def fail(notice: Notice) -> None:
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await client.regenerate(on_progress=fail)
            assert await client.ping() == 1

    run(calling())


def test_cancelling_the_task_cancels_the_command() -> None:
    async def cancelling() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, client_of(server) as client:
            task = asyncio.create_task(client.generate(prompt="techno"))
            await until(lambda: engine.waiting)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: engine.cancelled)
            assert await client.ping() == 1

    run(cancelling())


def test_calls_may_run_at_once() -> None:
    async def calling() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, client_of(server) as client:
            task = asyncio.create_task(client.generate(prompt="techno"))
            await until(lambda: engine.waiting)
            assert await client.ping() == 1
            engine.release("generate")
            assert (await task)["locked"] == []

    run(calling())


def test_nobody_there_is_told_with_the_address_and_what_to_do() -> None:
    async def calling() -> None:
        async with AsyncClient("tcp://127.0.0.1:1", timeout=0.1) as client:
            with pytest.raises(EngineNotRunning) as told:
                await client.ping()
            assert str(told.value) == (
                "No engine answers at tcp://127.0.0.1:1. Start one with: resonantgen serve --project NAME.rg"
            )
            with pytest.raises(EngineNotRunning):
                await client.events("changed")

    run(calling())


def test_what_was_given_up_is_not_done_later_and_the_client_connects_again() -> None:
    async def calling() -> None:
        first, second = FakeEngine(), FakeEngine()
        async with serving(first) as server:
            ports = port_of(server.address), port_of(server.events_address)
            client = client_of(server, timeout=SHORT)
            await client.ping()
        async with client:
            with pytest.raises(EngineNotRunning):
                await client.undo()
            async with serving(second, *ports):
                client.timeout = HANG_SECONDS
                assert await client.ping() == 1
            assert "undo" not in [call.command for call in (*first.calls, *second.calls)]

    run(calling())


def test_a_request_that_an_engine_took_with_it_fails_even_if_it_is_back() -> None:
    async def calling() -> None:
        class Deaf(FakeEngine):
            """Never answers, like an engine that was killed."""

            async def execute(self, call: Any, client: str, on_progress: Any = None) -> dict[str, Any]:
                if call.command == "generate":
                    self.waiting += 1
                    await asyncio.sleep(2 * HANG_SECONDS)
                return await super().execute(call, client, on_progress)

        deaf, back = Deaf(), FakeEngine()
        server = ZmqServer(deaf, commands_port=0, events_port=0)
        await server.start()
        async with client_of(server, timeout=3 * SHORT) as client:
            task = asyncio.create_task(client.generate(prompt="techno"))
            await until(lambda: deaf.waiting)
            _kill(server)
            async with serving(back, port_of(server.address), port_of(server.events_address)):
                with pytest.raises(EngineNotRunning):
                    await task
                assert await client.ping() == 1
        await server.close()
        assert "generate" not in [call.command for call in back.calls]

    run(calling())


def _kill(server: ZmqServer) -> None:
    """Take its sockets away without a word, as the end of its process does."""
    server._router.close(linger=0)
    server._publisher.close(linger=0)


def test_what_takes_long_is_waited_for_while_the_engine_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RUNNING_SECONDS", 0.02)

    async def calling() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server, client_of(server, timeout=SHORT) as client:
            task = asyncio.create_task(client.generate(prompt="techno"))
            done, _ = await asyncio.wait({task}, timeout=2.5 * SHORT)
            assert not done
            engine.release("generate")
            assert (await task)["locked"] == []

    run(calling())


def test_an_engine_of_another_version_is_refused() -> None:
    async def calling() -> None:
        engine = FakeEngine()
        engine.answers["ping"] = {"version": 99}
        async with serving(engine) as server, client_of(server) as client:
            with pytest.raises(EngineError, match="speaks version 99 of the protocol, and this client version 1"):
                await client.undo()
        assert [call.command for call in engine.calls] == ["ping"]

    run(calling())


def test_closing_ends_what_waits() -> None:
    async def closing() -> None:
        engine = FakeEngine()
        engine.hold("generate")
        async with serving(engine) as server:
            client = client_of(server)
            task = asyncio.create_task(client.generate(prompt="techno"))
            await until(lambda: engine.waiting)
            client.close()
            client.close()
            with pytest.raises(EngineNotRunning, match="closed before"):
                await task
            assert await client.ping() == 1  # used again, it connects again
            client.close()
            engine.release("generate")

    run(closing())


def test_nonsense_from_the_other_side_is_passed_over() -> None:
    nonsense: list[Any] = [7, [], {}, {"id": []}, {"id": 1}, {"id": 99, "result": {}}, {"id": 1, "progress": 7}]
    nonsense += [{"id": 1, "progress": {"event": "x"}}, {"id": 1, "progress": {"event": []}}, {"id": 1, "running": []}]

    async def calling() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as router:
            port = router.bind_to_random_port("tcp://127.0.0.1")

            async def answer() -> None:
                for result in ({"version": 1}, 7):
                    identity, payload = await router.recv_multipart()
                    id = msgspec.msgpack.decode(payload)["id"]
                    await router.send_multipart([identity, b"\xc1"])
                    await router.send_multipart([identity, b"x", b"y", b""])
                    for message in nonsense:
                        await router.send_multipart([identity, msgspec.msgpack.encode(message)])
                    await router.send_multipart([identity, msgspec.msgpack.encode({"id": id, "result": result})])

            answering = asyncio.create_task(answer())
            async with AsyncClient(f"tcp://127.0.0.1:{port}", timeout=HANG_SECONDS) as client:
                assert await client.call("undo") == {}
            await answering

    run(calling())


def test_events_come_in_order_and_by_name() -> None:
    async def listening() -> None:
        engine = FakeEngine()
        async with (
            serving(engine) as server,
            client_of(server) as client,
            await client.events("changed", "take") as events,
        ):
            for number in range(100):
                engine.notify("beat", bar=1, beat=1)
                engine.change({"auto": number})
            engine.notify("take", track="bass", take="bass-2", summary="eighths")
            got = [await anext(events) for _ in range(101)]
            assert got[:100] == [Notice("changed", {"state": {"auto": number}}) for number in range(100)]
            assert got[100] == Notice("take", {"track": "bass", "take": "bass-2", "summary": "eighths"})
        assert [notice async for notice in events] == []  # closed

    run(listening())


def test_all_events_are_those_of_no_name() -> None:
    async def listening() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, client_of(server) as client, await client.events() as events:
            engine.notify("swap", track="bass", material="bass-2", bar=1, frame=96_000)
            got = {(await anext(events)).event}
            while "swap" not in got:
                got.add((await anext(events)).event)
            assert got <= {"swap", "heartbeat"}

    run(listening())


def test_a_silent_engine_ends_the_waiting_for_events_and_listening_goes_on_when_it_is_back() -> None:
    async def listening() -> None:
        async with serving(FakeEngine()) as server:
            ports = port_of(server.address), port_of(server.events_address)
            client = client_of(server, timeout=2 * SHORT)
            events = await client.events("changed")
        async with client:
            with pytest.raises(EngineNotRunning):
                await anext(events)
            client.timeout = HANG_SECONDS
            back = FakeEngine()
            async with serving(back, *ports):
                await events.join()
                back.change({"auto": 4})
                assert await anext(events) == Notice("changed", {"state": {"auto": 4}})

    run(listening())


# -- for scripts ------------------------------------------------------------------------------------------------------


def sync_client(server: ZmqServer) -> Client:
    return Client(server.address, events=server.events_address, timeout=HANG_SECONDS)


def test_a_script_can_drive_the_engine() -> None:
    engine = FakeEngine()
    engine.answers["undo"] = TrackLocked("The bass is locked.")
    with serving_in_thread(engine) as server, sync_client(server) as client:
        client.tempo(tempo=98)
        assert client.state()["tempo"] == 98
        assert client.call("state")["state"]["tempo"] == 98
        with pytest.raises(TrackLocked, match="The bass is locked"):
            client.undo()
        with client.events("changed") as events:
            client.lock(track="drums")
            assert next(events) == Notice("changed", {"state": {"track/drums/lock": True}})
        assert list(events) == []


def test_several_threads_may_use_one_client() -> None:
    engine = FakeEngine()
    with serving_in_thread(engine) as server, sync_client(server) as client:
        failed: list[BaseException] = []

        def work() -> None:
            try:
                for number in range(50):
                    assert client.export(folder=str(number)) == str(number)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
    assert len([call for call in engine.calls if call.command == "export"]) == 200


def test_submitted_commands_can_be_cancelled() -> None:
    engine = FakeEngine()
    engine.hold("generate")
    with serving_in_thread(engine) as server, sync_client(server) as client:
        future = client.submit("generate", prompt="techno")
        assert _soon(lambda: engine.waiting)
        assert future.cancel()
        assert _soon(lambda: engine.cancelled)
        assert client.submit("ping").result() == {"version": 1}


def test_cancelled_by_another_client_is_an_error_of_the_call() -> None:
    engine = FakeEngine()
    engine.answers["generate"] = Cancelled("The command was given up before it was done. Nothing was changed.")
    with serving_in_thread(engine) as server, sync_client(server) as client, pytest.raises(Cancelled):
        client.generate(prompt="techno")


def test_events_can_call_back(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Notice] = []
    misuse: list[BaseException] = []

    def hear(notice: Notice) -> None:
        heard.append(notice)
        try:
            client.ping()
        except RuntimeError as error:
            misuse.append(error)
            raise

    with serving_in_thread(FakeEngine()) as server, sync_client(server) as client:
        end = client.listen(hear, "changed")
        client.tempo(tempo=100)
        client.tempo(tempo=101)
        assert _soon(lambda: len(heard) == 2)
        end()
        client.tempo(tempo=102)
        client.ping()
    assert [notice.fields["state"]["tempo"] for notice in heard] == [100, 101]
    assert "would wait for itself" in str(misuse[0])
    assert [record.message for record in caplog.records] == ["A listener failed"] * 2


def test_a_closed_client_connects_when_it_is_used_again() -> None:
    with serving_in_thread(FakeEngine()) as server:
        client = sync_client(server)
        client.close()
        for _ in range(2):
            assert client.ping() == 1
            client.close()
            client.close()
    assert "resonantgen-client" not in [thread.name for thread in threading.enumerate()]


def test_closing_ends_what_waits_in_other_threads() -> None:
    engine = FakeEngine()
    engine.hold("generate")
    with serving_in_thread(engine) as server:
        client = sync_client(server)
        future = client.submit("generate", prompt="techno")
        assert _soon(lambda: engine.waiting)
        client.close()
        with pytest.raises(EngineNotRunning, match="closed before"):
            future.result(HANG_SECONDS)


def test_closing_ends_the_waiting_for_events() -> None:
    with serving_in_thread(FakeEngine()) as server:
        client = sync_client(server)
        events = client.events("take")
        got: list[Notice] = []
        thread = threading.Thread(target=lambda: got.extend(events))
        thread.start()
        client.close()
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()
        client.close()
        assert got == []


def test_importing_the_bridge_imports_nothing_else() -> None:
    program = "import sys, resonantgen_bridge; sys.exit(any(m in sys.modules for m in ('zmq', 'msgspec', 'asyncio')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _soon(condition: Any) -> bool:
    """Whether it comes true, in a thread that may block."""

    async def wait() -> None:
        await until(condition)

    asyncio.run(wait())
    return bool(condition())
