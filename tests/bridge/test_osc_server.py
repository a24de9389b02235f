"""Control surfaces over real UDP sockets: commands, echoes, errors, patterns, bundles, subscriptions, floods."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bridge_fakes import FakeEngine
from osc_peer import Peer, peer, serving, until
from resonantgen.errors import AddressTaken, TrackLocked
from resonantgen.prompt.intent import ATTRIBUTES
from resonantgen_bridge.osc_backlog import MAX_WAITING
from resonantgen_bridge.osc_packets import encode_bundle, encode_message
from resonantgen_bridge.osc_server import MAX_RUNNING, MAX_SCHEDULED, OscServer
from resonantgen_bridge.osc_subscribers import KEPT_SECONDS, MAX_SUBSCRIBERS, Subscribers, TooManySubscribers

Scene = Callable[[FakeEngine, OscServer, Peer], Awaitable[None]]


def play(scene: Scene) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, peer() as surface:
            await scene(engine, server, surface)

    asyncio.run(whole())


def done(engine: FakeEngine) -> list[tuple[str, dict[str, Any]]]:
    return [(call.command, dict(call.arguments)) for call in engine.calls]


def test_a_value_is_echoed_at_the_address_that_was_used() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/track/2/lock", 1)
        assert await surface.wait_for("/rg/track/2/lock") == (1,)
        surface.send(server.address, "/rg/track/BASS/gain", -6.5)
        assert await surface.wait_for("/rg/track/bass/gain") == (-6.5,)
        surface.send(server.address, "/rg/tempo", "97.25")
        assert await surface.wait_for("/rg/tempo") == (97.25,)
        assert done(engine) == [
            ("lock", {"track": "bass", "locked": True}),
            ("gain", {"track": "bass", "gain": -6.5}),
            ("tempo", {"tempo": 97.25}),
        ]
        assert engine.clients[0] == f"osc 127.0.0.1:{surface.port}"
        assert len(surface.got) == 3

    play(scene)


def test_other_commands_are_answered_with_their_result() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/ping")
        assert await surface.wait_for("/rg/done") == ("ping", 1)
        engine.answers["regenerate"] = {
            "changed": {"bass": "bass-2"},
            "locked": ["drums"],
            "kept": [],
            "understood": None,
        }
        surface.send(server.address, "/rg/track/2/regenerate", "more syncopated")
        answer = await surface.wait_for("/rg/done", 2)
        assert answer == ("regenerate", '{"bass": "bass-2"}', '["drums"]', "[]", "")
        asked = {"prompt": "more syncopated", "track": "bass", "seed": None, "generators": None}
        assert done(engine)[1] == ("regenerate", asked)

    play(scene)


def test_buttons_act_when_pressed() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        for value in (1.0, 0.0, True, False, 0, 0.5):
            surface.send(server.address, "/rg/track/melody/regenerate", value)
        surface.send(server.address, "/rg/stop", 0.0)
        surface.send(server.address, "/rg/stop", 1.0)
        surface.send(server.address, "/rg/track/1/lock", 0.0)  # no trigger: 0 is a value
        await until(lambda: len(engine.calls) == 5)
        assert [call.command for call in engine.calls] == ["regenerate"] * 3 + ["stop", "lock"]
        assert all(call.arguments["prompt"] == "" for call in engine.calls[:3])

    play(scene)


def test_errors_come_back_to_the_sender() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        engine.answers["regenerate"] = TrackLocked("The bass is locked. Free it first.")
        surface.send(server.address, "/rg/track/2/regenerate")
        assert await surface.wait_for("/rg/error") == ("TrackLocked", "The bass is locked. Free it first.")
        for number, (address, values, code) in enumerate(
            [
                ("/rg/tempo", (9000,), "BadValue"),
                ("/rg/tempo", (), "BadValue"),
                ("/rg/tempo", (120, 3), "BadValue"),
                ("/rg/tempo", (b"blob",), "BadValue"),
                ("/rg/track/2/lock", ([1],), "BadValue"),
                ("/rg/nonsense", (1,), "UnknownCommand"),
                ("/rg/track/[1/lock", (1,), "BadValue"),
                ("/rg/subscribe", (), "BadValue"),
                ("/rg/subscribe", (1, 99999), "BadValue"),
                ("/live/song", (1,), "BadValue"),
            ],
            start=2,
        ):
            surface.send(server.address, address, *values)
            assert (await surface.wait_for("/rg/error", number))[0] == code, address
        surface.send_raw(server.address, b"noise")
        assert (await surface.wait_for("/rg/error", 12))[0] == "BadValue"
        assert len(engine.calls) == 1

    play(scene)


def test_a_fault_in_the_engine_is_an_error_too(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        engine.answers["tempo"] = RuntimeError("a bug")
        surface.send(server.address, "/rg/tempo", 100)
        assert await surface.wait_for("/rg/error") == ("EngineError", "tempo failed.")

    play(scene)
    assert "a bug" in caplog.text


def test_answers_are_not_answered() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/error", "BadValue", "x")
        surface.send(server.address, "/rg/done", "tempo")
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done")
        assert [message[:2] for message in surface.got] == [("/rg/done", "ping")]
        for _ in range(200):
            surface.send(server.address, "/noise")
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done", 2)
        assert len(surface.of("/rg/error")) < 200

    play(scene)


def test_a_pattern_locks_every_track_once() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/track/*/lock", 1)
        await until(lambda: len(surface.got) == 4)
        assert [call.arguments["track"] for call in engine.calls] == ["drums", "bass", "harmony", "melody"]
        engine.answers["gain"] = lambda call: TrackLocked("x") if call.arguments["track"] == "drums" else None
        surface.send(server.address, "/rg/track/{1,2}/gain", -3)
        assert await surface.wait_for("/rg/track/2/gain") == (-3.0,)
        assert len(surface.of("/rg/error")) == 1

    play(scene)


def lock(track: int, on: int = 1) -> bytes:
    return encode_message(f"/rg/track/{track}/lock", "i", (on,))


def test_a_bundle_is_done_in_order_with_nothing_in_between() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        inner = encode_bundle(
            [encode_message("/rg/play", "i", (1,)), encode_message("/rg/auto", "i", (4,))], time.time() - 9
        )
        bundle = encode_bundle([lock(1), inner, encode_message("/rg/tempo", "f", (99.0,)), lock(2)])
        async with peer() as other:
            for _ in range(20):
                other.send(server.address, "/rg/ping")
                surface.send_raw(server.address, bundle)
            await until(lambda: len(engine.calls) == 120)
        names = [call.command for call in engine.calls if call.command != "ping"]
        assert names == ["lock", "play", "auto", "tempo", "lock"] * 20
        positions = [n for n, call in enumerate(engine.calls) if call.command == "tempo"]
        assert all([c.command for c in engine.calls[n - 3 : n + 2]] == names[:5] for n in positions)

    play(scene)


def test_bundles_wait_for_their_time() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        now = time.time()
        later = encode_bundle([lock(3)], now + 0.3)
        inside = encode_bundle([lock(4), encode_bundle([lock(2)], now + 0.2)])
        surface.send_raw(server.address, later)
        surface.send_raw(server.address, inside)
        surface.send_raw(server.address, encode_bundle([lock(1)], now - 100))
        await until(lambda: len(engine.calls) == 4)
        assert time.time() >= now + 0.29
        assert [call.arguments["track"] for call in engine.calls] == ["melody", "drums", "bass", "harmony"]

    play(scene)


def test_bundles_of_the_far_future_and_too_many_are_refused() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send_raw(server.address, encode_bundle([lock(1)], time.time() + 3600))
        assert (await surface.wait_for("/rg/error"))[0] == "BadValue"
        for _ in range(MAX_SCHEDULED + 5):
            server.datagram_received(encode_bundle([lock(1)], time.time() + 50), ("127.0.0.1", surface.port))
        await surface.wait_for("/rg/error", 6)
        assert not engine.calls

    play(scene)  # and closing with bundles that wait is clean


def test_a_subscriber_is_told_everything_then_each_change() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/subscribe", 1)
        await until(lambda: {m[0] for m in surface.got} >= {"/rg/tempo", "/rg/track/melody/solo", "/rg/track/4/solo"})
        per_track = [key for key in engine.state if key.startswith("track/")]
        await until(lambda: len(surface.got) == len(engine.state) + len(per_track))
        assert surface.of("/rg/tempo") == [[120.0]]
        surface.got.clear()
        engine.change({"track/bass/gain": -7.5, "play": True})
        await until(lambda: len(surface.got) == 3)
        assert surface.got == [("/rg/track/bass/gain", -7.5), ("/rg/track/2/gain", -7.5), ("/rg/play", 1)]
        async with peer() as other:
            other.send(server.address, "/rg/track/1/mute", 1)
            assert await other.wait_for("/rg/track/1/mute") == (1,)
            assert await surface.wait_for("/rg/track/1/mute") == (1,)
            assert await surface.wait_for("/rg/track/drums/mute") == (1,)
            assert len(other.got) == 1
        surface.send(server.address, "/rg/subscribe", 0)
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done")
        surface.got.clear()
        engine.change({"tempo": 90.0})
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done")
        assert not surface.of("/rg/tempo")

    play(scene)


def test_subscribers_are_told_events() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/subscribe", 1)
        await surface.wait_for("/rg/tempo")
        await until(lambda: surface.of(f"/rg/track/4/{ATTRIBUTES[-1]}"))
        surface.got.clear()
        engine.notify("beat", bar=3, beat=2)
        engine.notify("level", track="bass", peak=-6.0, rms=float("-inf"))
        engine.notify("progress", track="drums", stage="notes", bar=1, bars=8)
        engine.notify("take", track="melody", take="melody-2", summary="a süß\0lead")
        engine.notify("heartbeat", seconds=1.0)
        engine.notify("problem", code="DeviceError", message="gone")
        await surface.wait_for("/rg/problem")
        assert surface.of("/rg/beat") == [[3, 2]]
        assert surface.of("/rg/track/2/level") == surface.of("/rg/track/bass/level") == [[-6.0, float("-inf")]]
        assert surface.of("/rg/track/1/progress") == [["notes", 1, 8]]
        assert surface.of("/rg/track/melody/new") == [["melody-2", "a süß lead"]]
        assert surface.of("/rg/problem") == [["DeviceError", "gone"]]
        assert len(surface.got) == 8

    play(scene)


def test_a_surface_may_listen_on_another_port() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        async with peer() as screen, peer() as stranger:
            surface.send(server.address, "/rg/subscribe", 1, screen.port)
            await screen.wait_for("/rg/tempo")
            surface.send(server.address, "/rg/tempo", 9000)
            await screen.wait_for("/rg/error")
            stranger.send(server.address, "/rg/tempo", 9000)
            await screen.wait_for("/rg/error", 2)
            await stranger.wait_for("/rg/error")
            assert not surface.got
            surface.send(server.address, "/rg/subscribe", 0)
            await until(lambda: server.status()["subscribers"] == 0)

    play(scene)


def test_subscribers_are_bounded_renewed_and_forgotten() -> None:
    now = [0.0]
    subscribers = Subscribers(lambda: now[0])
    for port in range(1, MAX_SUBSCRIBERS + 1):
        subscribers.change(("10.0.0.1", port), (1,))
    subscribers.change(("10.0.0.1", 1), (1,))
    with pytest.raises(TooManySubscribers):
        subscribers.change(("10.0.0.2", 5), (1,))
    now[0] = KEPT_SECONDS - 1
    subscribers.heard(("10.0.0.1", 3))
    now[0] = KEPT_SECONDS + 1
    assert subscribers.destinations() == [("10.0.0.1", 3)]
    assert subscribers.change(("10.0.0.2", 5), (1.0, 9000)) == ("10.0.0.2", 9000)
    assert subscribers.change(("10.0.0.2", 77), (0, 9000)) is None
    assert subscribers.destinations() == [("10.0.0.1", 3)]


def test_of_a_moving_fader_the_latest_value_counts_and_nothing_is_overtaken() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        source = ("127.0.0.1", surface.port)
        for n in range(1000):
            server.datagram_received(encode_message("/rg/track/1/gain", "f", (-n / 100,)), source)
        server.datagram_received(lock(1), source)
        server.datagram_received(encode_message("/rg/track/1/gain", "f", (-30.0,)), source)
        await until(lambda: len(engine.calls) >= 2)
        assert done(engine) == [
            ("lock", {"track": "drums", "locked": True}),
            ("gain", {"track": "drums", "gain": -30.0}),
        ]

    play(scene)


def test_of_a_knob_that_generates_one_value_is_made_and_the_latest_waits() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        engine.hold("adjust")
        for n in range(1, 50):
            surface.send(server.address, "/rg/track/2/density", n / 100)
            surface.send(server.address, "/rg/track/bass/density", n / 100)
        surface.send(server.address, "/rg/track/3/density", 0.5)
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done")
        assert [call.arguments["track"] for call in engine.calls if call.command == "adjust"] == ["bass", "harmony"]
        engine.release("adjust")
        await until(lambda: len(engine.calls) == 4)
        assert engine.calls[-1].arguments["value"] == pytest.approx(0.49)
        surface.send(server.address, "/rg/track/2/density", -1.0)
        await until(lambda: len(engine.calls) == 5)

    play(scene)


def test_what_comes_too_fast_is_dropped_and_counted() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        source = ("127.0.0.1", surface.port)
        for _ in range(MAX_WAITING + 100):
            server.datagram_received(encode_message("/rg/stop", "i", (0,)), source)  # not answered
        code, message = await surface.wait_for("/rg/error")
        assert code == "EngineError" and message.startswith("100 messages")
        await until(lambda: server.status()["waiting"] == 0)
        assert server.status()["dropped"] == 100
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done")

    play(scene)


def test_generating_commands_that_wait_are_bounded() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        engine.hold("regenerate")
        for _ in range(MAX_RUNNING + 3):
            server.datagram_received(encode_message("/rg/regenerate"), ("127.0.0.1", surface.port))
        await surface.wait_for("/rg/error", 3)
        assert engine.waiting == MAX_RUNNING
        surface.send(server.address, "/rg/tempo", 101)  # others go on
        await surface.wait_for("/rg/tempo")
        engine.release("regenerate")
        await surface.wait_for("/rg/done", MAX_RUNNING)

    play(scene)


def test_a_hanging_command_does_not_fill_the_memory() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        engine.hold("lock")
        for n in range(20_000):
            server.datagram_received(lock(1), ("127.0.0.1", surface.port))
            if n % 50 == 0:
                await asyncio.sleep(0)
        assert engine.waiting <= MAX_RUNNING + 50
        assert server.status()["waiting"] <= MAX_WAITING
        engine.release("lock")
        await until(lambda: server.status()["waiting"] == 0)

    play(scene)


def noise(dice: random.Random) -> bytes:
    """A datagram that means no command: noise, or a command for another program, spoiled."""
    kind = dice.randrange(4)
    if kind == 0:
        return dice.randbytes(dice.randrange(120))
    one = encode_message("/zz/track/1/lock", "i", (1,))
    if kind == 1:
        return one[: dice.randrange(len(one))]
    data = bytearray(one if kind == 2 else encode_bundle([one, encode_bundle([one] * 3), one]))
    for _ in range(dice.randint(1, 8)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


def test_noise_does_nothing() -> None:
    seed = 23
    print("seed", seed)
    dice = random.Random(seed)

    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        before = dict(engine.state)
        grown = []
        tracemalloc.start()
        for part in range(3):
            for n in range(10_000):
                server.datagram_received(noise(dice), ("127.0.0.1", dice.randrange(1024, 65536)))
                if n % 100 == 0:
                    await asyncio.sleep(0)
            await until(lambda: server.status()["waiting"] == 0)
            gc.collect()
            grown.append(tracemalloc.get_traced_memory()[0])
            assert server.status()["received"] == (part + 1) * 10_000
        tracemalloc.stop()
        for _ in range(3000):
            surface.send_raw(server.address, noise(dice))
            await asyncio.sleep(0)
        surface.send(server.address, "/rg/ping")
        await surface.wait_for("/rg/done")
        assert [call.command for call in engine.calls] == ["ping"]
        assert engine.state == before
        assert grown[2] - grown[1] < 200_000

    play(scene)


class FullSocket(asyncio.DatagramTransport):
    """Takes nothing; asyncio would keep what is sent, without end."""

    sent = 0

    def get_write_buffer_size(self) -> int:
        return 1

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent += 1


def test_what_a_full_socket_does_not_take_is_dropped() -> None:
    async def scene(engine: FakeEngine, server: OscServer, surface: Peer) -> None:
        surface.send(server.address, "/rg/subscribe", 1)
        await surface.wait_for("/rg/tempo")
        working, full = server._transport, FullSocket()
        assert working is not None
        server.connection_made(full)
        for tempo in range(60, 80):
            engine.change({"tempo": float(tempo)})
        assert full.sent == 0
        server.connection_made(working)
        engine.change({"tempo": 90.0})
        await until(lambda: [90.0] in surface.of("/rg/tempo"))
        assert [60.0] not in surface.of("/rg/tempo")

    play(scene)


def test_a_taken_port_is_a_clear_error() -> None:
    async def whole() -> None:
        async with serving(FakeEngine()) as server:
            with pytest.raises(AddressTaken, match=str(server.address[1])):
                await OscServer(FakeEngine(), port=server.address[1]).start()

    asyncio.run(whole())


@pytest.mark.parametrize("host", ["300.1.1.1", "192.0.2.1"])  # no address; another machine's
def test_an_address_that_is_not_this_machines_is_a_clear_error(host: str) -> None:
    with pytest.raises(AddressTaken, match=f'"{host}": this machine has no such address. Check --osc-listen'):
        asyncio.run(OscServer(FakeEngine(), host=host, port=0).start())


def test_closing_gives_up_what_runs() -> None:
    async def whole() -> None:
        engine = FakeEngine()
        engine.hold("regenerate")
        async with serving(engine) as server, peer() as surface:
            surface.send(server.address, "/rg/regenerate")
            await until(lambda: engine.waiting)
        assert [call.command for call in engine.cancelled] == ["regenerate"]
        assert engine.listeners == 0
        await server.close()

    asyncio.run(whole())
