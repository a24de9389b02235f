"""REAPER's stock OSC, as it sends it (bundles of floats and text), makes the engine follow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hosts_fakes import NamingEngine, done
from osc_peer import Peer, peer, serving, until
from resonantgen_bridge.hosts.reaper import ReaperHost
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import encode_bundle, encode_message


def bundle(*messages: tuple[str, float | str]) -> bytes:
    return encode_bundle([encode_message(a, "s" if isinstance(v, str) else "f", (v,)) for a, v in messages])


ALL = bundle(
    ("/track/1/name", "Drums"),
    ("/track/1/recarm", 0.0),
    ("/track/1/volume", 0.7),
    ("/track/2/name", "BASS DI"),
    ("/track/2/recarm", 1.0),
    ("/track/3/name", "Vocals"),
    ("/track/3/recarm", 1.0),
    ("/track/recarm", 1.0),
    ("/track/8/name", ""),
    ("/tempo/raw", 97.3),
    ("/play", 0.0),
    ("/stop", 1.0),
    ("/time", 4.0),
    ("/beat/str", "3.2.50"),
    ("/samples", 192000.0),
)

Scene = Callable[[NamingEngine, ReaperHost, Peer], Awaitable[None]]


def play(scene: Scene, **options: Any) -> None:
    async def whole() -> None:
        engine = NamingEngine({"play": True})
        async with peer() as reaper:
            host = ReaperHost(engine, listen=("127.0.0.1", 0), reaper=("127.0.0.1", reaper.port), **options)
            await host.start()
            try:
                await scene(engine, host, reaper)
            finally:
                await host.close()
        assert engine.listeners == 0

    asyncio.run(whole())


def test_reaper_is_asked_for_everything_and_followed() -> None:
    async def scene(engine: NamingEngine, host: ReaperHost, reaper: Peer) -> None:
        assert await reaper.wait_for("/action") == (41743,)
        reaper.send_raw(host.address, ALL)
        await until(lambda: len(engine.calls) == 2)
        assert done(engine) == [("tempo", pytest.approx(97.3)), ("lock", "bass", True)]
        assert engine.names == {1: "Drums", 2: "BASS DI", 3: "Vocals", 8: ""}
        assert [quarters for quarters, _ in engine.aligned] == [9.5]
        reaper.send_raw(host.address, ALL)
        reaper.send_raw(host.address, bundle(("/play", 1.0), ("/stop", 0.0), ("/beat/str", "3.3.00")))
        reaper.send_raw(host.address, bundle(("/track/2/recarm", 0.0)))
        await until(lambda: len(engine.calls) == 3)
        assert done(engine)[2] == ("lock", "bass", False)
        reaper.send_raw(host.address, bundle(("/stop", 1.0), ("/play", 0.0)))
        await until(lambda: len(engine.calls) == 4)
        assert done(engine)[3] == ("play", False)
        assert engine.aligned[-1][0] == 10.0
        assert host.status()["connected"]

    play(scene)


def test_places_are_read_by_the_meter() -> None:
    async def scene(engine: NamingEngine, host: ReaperHost, reaper: Peer) -> None:
        engine.state["meter"] = "7/8"
        for text in ("2.1.00", "1.4.50", "-1.2.00", "1:02.5", "", "3.7.99", "9" * 40):
            reaper.send_raw(host.address, bundle(("/beat/str", text)))
        await until(lambda: len(engine.aligned) == 3)
        assert [quarters for quarters, _ in engine.aligned] == pytest.approx([3.5, 1.75, 10.495])

    play(scene)


def test_a_pattern_file_without_beats_gives_seconds() -> None:
    async def scene(engine: NamingEngine, host: ReaperHost, reaper: Peer) -> None:
        for seconds in (3.0, 3.5, 4.0, 4.5):
            reaper.send_raw(host.address, bundle(("/time", seconds)))
        await until(lambda: len(engine.aligned) == 2)
        assert [quarters for quarters, _ in engine.aligned] == [8.0, 9.0]

    play(scene)


def test_arming_can_be_ignored_and_is_not_done_unasked() -> None:
    async def scene(engine: NamingEngine, host: ReaperHost, reaper: Peer) -> None:
        reaper.send_raw(host.address, ALL)
        await until(lambda: engine.calls)
        engine.change({"track/bass/lock": True})
        await asyncio.sleep(0.15)
        assert done(engine) == [("tempo", pytest.approx(97.3))]
        assert {message[0] for message in reaper.got} == {"/action"}

    play(scene, arm=Arm.IGNORE)


def test_locks_arm_reaper_where_that_is_wanted() -> None:
    async def scene(engine: NamingEngine, host: ReaperHost, reaper: Peer) -> None:
        reaper.send_raw(host.address, ALL)
        await until(lambda: len(engine.calls) == 2)
        engine.change({"track/drums/lock": True, "track/melody/lock": True, "tempo": 90.0})
        assert await reaper.wait_for("/track/1/recarm") == (1.0,)
        engine.change({"track/bass/lock": False})
        assert await reaper.wait_for("/track/2/recarm") == (0.0,)
        assert {message[0] for message in reaper.got} == {"/action", "/track/1/recarm", "/track/2/recarm"}

    play(scene, arm_back=True)


def test_odd_messages_do_nothing() -> None:
    async def scene(engine: NamingEngine, host: ReaperHost, reaper: Peer) -> None:
        for message in [
            ("/track/0/recarm", 1.0),
            ("/track/2/recarm", "x"),
            ("/track/2/name", 3.0),
            ("/tempo/raw", float("nan")),
            ("/tempo/raw", 1e9),
            ("/play", float("inf")),
            ("/time", float("inf")),
            ("/rg/tempo", 90.0),
            ("/live/song/get/tempo", 90.0),
        ]:
            reaper.send_raw(host.address, bundle(message))
        reaper.send(host.address, "/play")
        reaper.send_raw(host.address, b"noise")
        reaper.send_raw(host.address, bundle(("/track/7/name", "Keys")))
        await until(lambda: engine.names)
        assert (engine.calls, engine.aligned, engine.names) == ([], [], {7: "Keys"})

    play(scene)


def test_reaper_may_send_to_the_port_of_surfaces() -> None:
    async def whole() -> None:
        engine = NamingEngine()
        host = ReaperHost(engine, listen=("127.0.0.1", 0))
        await host.start()
        async with serving(engine, foreign=[host]) as server, peer() as reaper:
            reaper.send_raw(server.address, ALL)
            reaper.send(server.address, "/rg/tempo", 90)
            await until(lambda: len(engine.calls) == 3)
            await reaper.wait_for("/rg/tempo")
            assert len(reaper.got) == 1
        await host.close()

    asyncio.run(whole())
