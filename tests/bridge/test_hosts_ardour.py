"""Ardour's OSC, as Ardour 7.3 sends it, makes the engine follow; and what is sent to Ardour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hosts_fakes import NamingEngine, done
from osc_peer import Peer, peer, until
from resonantgen_bridge.hosts.ardour import ArdourHost
from resonantgen_bridge.options import Arm

TRACKS = ("drums", "Bass DI", "Vocals", "melody")
POLL_SECONDS = 0.06

Scene = Callable[[NamingEngine, "FakeArdour", ArdourHost], Awaitable[None]]


class FakeArdour:
    """Says what Ardour 7.3 was heard to say: every strip twice, then the rest, with the session's name at the end."""

    def __init__(self, port: Peer) -> None:
        self.port = port
        self.to = ("", 0)
        self.tracks: list[tuple[str, bool]] = [(name, False) for name in TRACKS]

    async def asked(self, times: int = 1) -> tuple[Any, ...]:
        return await self.port.wait_for("/set_surface", times)

    def say(self, address: str, *values: Any) -> None:
        self.port.send(self.to, address, *values)

    def list_strips(self) -> None:
        for number, (name, armed) in enumerate(self.tracks, start=1):
            self.say("/strip/select", number, 0.0)
            self.say("/strip/name", number, name)
            self.say("/strip/group", number, " ")
            self.say("/strip/hide", number, 0)
            self.say("/strip/recenable", number, float(armed))
            self.say("/strip/record_safe", number, 0.0)

    def answer(self, playing: bool = False) -> None:
        """To `/set_surface`."""
        self.list_strips()
        self.list_strips()
        self.say("/master/name", "Master")
        self.say("/transport_play", float(playing))
        self.say("/transport_stop", float(not playing))
        self.say("/record_tally", 0.0)
        self.say("/session_name", "song")
        self.say("/jog/mode/name", "Jog")

    def move(self, *tracks: tuple[str, bool]) -> None:
        """Tracks are added, removed or hidden: strips that there are no more are not mentioned."""
        self.tracks = list(tracks)
        self.list_strips()
        self.say("/strip/list")


def play(scene: Scene, answers: bool = True, **options: Any) -> None:
    async def whole() -> None:
        engine = NamingEngine()
        async with peer() as port:
            options.setdefault("poll_seconds", 60.0)
            host = ArdourHost(engine, ardour=("127.0.0.1", port.port), **options)
            await host.start()
            ardour = FakeArdour(port)
            ardour.to = host.address
            try:
                await ardour.asked()
                if answers:
                    ardour.answer()
                    await until(lambda: len(engine.names) == len(TRACKS))
                await scene(engine, ardour, host)
            finally:
                await host.close()
        assert engine.listeners == 0

    asyncio.run(whole())


def test_ardour_is_told_what_to_send_and_where_to() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        assert await ardour.asked() == (0, 3, 57, 0, 0, 0, 0)  # 0: answers go to the port that it came from
        assert engine.names == dict(enumerate(TRACKS, start=1))
        assert engine.calls == []
        assert host.status() == {"host": "ardour", "connected": True, "tracks": engine.names}

    play(scene)


def test_armed_tracks_are_locked() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        ardour.say("/strip/recenable", 2, 1.0)
        ardour.say("/record_tally", 1.0)
        await until(lambda: engine.calls)
        ardour.say("/strip/recenable", 3, 1.0)  # none of ours
        ardour.say("/strip/recenable", 2, 0.0)
        await until(lambda: len(engine.calls) == 2)
        assert done(engine) == [("lock", "bass", True), ("lock", "bass", False)]

    play(scene)


def test_the_transport_and_the_place_are_followed() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        ardour.say("/transport_play", 1.0)
        ardour.say("/transport_stop", 0.0)
        ardour.say("/transport_play", 1.0)
        await until(lambda: engine.calls)
        ardour.say("/position/bbt", "002|01|0184")
        await until(lambda: engine.aligned)
        engine.state["meter"] = "7/8"  # a beat is an eighth, a tick still a part of a quarter
        ardour.say("/position/bbt", "001|07|0351")
        ardour.say("/position/bbt", "001|07|0351")
        ardour.say("/transport_play", 0.0)
        await until(lambda: len(engine.calls) == 2)
        assert done(engine) == [("play", True), ("play", False)]
        assert [quarters for quarters, _ in engine.aligned] == pytest.approx([4 + 184 / 1920, 3 + 351 / 1920])

    play(scene)


def test_an_armed_track_keeps_its_lock_when_tracks_move() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        ardour.say("/strip/recenable", 2, 1.0)
        await until(lambda: engine.calls)
        ardour.move(("Bass DI", True), ("Vocals", False), ("melody", False))
        await ardour.asked(2)
        ardour.answer()
        await until(lambda: engine.names == {1: "Bass DI", 2: "Vocals", 3: "melody", 4: ""})
        ardour.move(("Vocals", False), ("melody", True))
        await ardour.asked(3)
        ardour.answer()
        await until(lambda: len(engine.calls) == 3)
        assert done(engine) == [("lock", "bass", True), ("lock", "bass", False), ("lock", "melody", True)]

    play(scene)


def test_a_track_that_is_renamed_becomes_another_of_ours() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        ardour.say("/strip/recenable", 3, 1.0)
        ardour.say("/strip/name", 3, "Harmony")
        await until(lambda: engine.calls)
        assert done(engine) == [("lock", "harmony", True)]
        assert engine.names == {1: "drums", 2: "Bass DI", 3: "Harmony", 4: "melody"}

    play(scene)


def test_ardour_is_asked_until_it_answers_and_again_when_it_has_come_back() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        await ardour.asked(3)
        assert not host.status()["connected"]
        ardour.tracks[0] = ("drums", True)
        ardour.answer()
        await until(lambda: engine.calls)
        asked = len(ardour.port.of("/set_surface"))
        await ardour.asked(asked + 1)  # it says nothing more
        assert not host.status()["connected"]
        ardour.tracks[0] = ("drums", False)
        ardour.answer()
        await until(lambda: host.status()["connected"])
        ardour.say("/strip/recenable", 4, 1.0)
        await until(lambda: len(engine.calls) == 2)
        assert done(engine) == [("lock", "drums", True), ("lock", "melody", True)]  # what was locked, stays so

    play(scene, answers=False, poll_seconds=POLL_SECONDS)


def test_a_surface_that_ardour_drops_frees_and_stops_nothing_and_asks_again() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        ardour.say("/transport_play", 1.0)
        ardour.say("/strip/recenable", 1, 1.0)
        await until(lambda: len(engine.calls) == 2)
        asked = len(ardour.port.of("/set_surface"))
        for strip in range(1, len(TRACKS) + 1):
            ardour.say("/strip/name", strip, " ")
            ardour.say("/strip/recenable", strip, 0.0)
        ardour.say("/transport_play", 0.0)
        ardour.say("/session_name", " ")
        await ardour.asked(asked + 1)
        ardour.tracks[0] = ("drums", True)
        ardour.answer()
        ardour.say("/strip/recenable", 4, 1.0)
        await until(lambda: ("lock", "melody", True) in done(engine))
        assert ("lock", "drums", False) not in done(engine)
        assert [call.command for call in engine.calls].count("play") == 1
        assert engine.names == host.status()["tracks"]
        assert " " not in engine.names.values()

    play(scene, poll_seconds=POLL_SECONDS)


def test_a_heartbeat_is_enough_to_be_there() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        async def beat() -> None:
            while True:
                ardour.say("/heartbeat", 1.0)
                await asyncio.sleep(POLL_SECONDS / 4)

        ardour.say("/heartbeat", 0.0)
        await until(lambda: host.status()["connected"])
        beating = asyncio.create_task(beat())
        asked = len(ardour.port.of("/set_surface"))
        await ardour.asked(asked + 1)  # after a long time: a message may have been lost
        assert host.status()["connected"]
        beating.cancel()

    play(scene, answers=False, poll_seconds=POLL_SECONDS)


def test_arming_can_be_ignored_and_is_not_done_unasked() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        ardour.say("/strip/recenable", 1, 1.0)
        engine.change({"track/bass/lock": True})
        ardour.say("/transport_play", 1.0)
        await until(lambda: engine.calls)
        assert done(engine) == [("play", True)]
        assert {message[0] for message in ardour.port.got} == {"/set_surface"}

    play(scene, arm=Arm.IGNORE)


def test_locks_arm_ardour_where_that_is_wanted() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        engine.change({"track/bass/lock": True, "track/harmony/lock": True, "tempo": 90.0})
        assert await ardour.port.wait_for("/strip/recenable") == (2, 1)
        ardour.say("/strip/recenable", 2, 1.0)
        await until(lambda: engine.calls)
        engine.change({"track/bass/lock": False})
        assert await ardour.port.wait_for("/strip/recenable", 2) == (2, 0)

    play(scene, arm_back=True)


ODD: tuple[tuple[Any, ...], ...] = (
    ("/strip/name", 0, "bass"),
    ("/strip/name", -1, "bass"),
    ("/strip/name", 10**6, "bass"),
    ("/strip/name", "bass", 1),
    ("/strip/name", float("nan"), "bass"),
    ("/strip/name", 1),
    ("/strip/name",),
    ("/strip/name", 1, "bass", 3),
    ("/strip/name/1", "bass"),
    ("/strip/recenable", 1, "on"),
    ("/strip/recenable", 1, float("inf")),
    ("/strip/recenable", 0, 1.0),
    ("/strip/recenable", 1000, 1.0),
    ("/strip/recenable", 1),
    ("/transport_play", "yes"),
    ("/transport_play", float("nan")),
    ("/transport_play",),
    ("/position/bbt", 4.0),
    ("/position/bbt", ""),
    ("/position/bbt", "-01|01|0000"),
    ("/position/bbt", "9999999|01|0000"),
    ("/position/bbt", "00:00:01.962"),
    ("/rg/tempo", 90.0),
)


def test_odd_messages_do_nothing() -> None:
    async def scene(engine: NamingEngine, ardour: FakeArdour, host: ArdourHost) -> None:
        for message in ODD:
            ardour.say(*message)
        ardour.port.send_raw(host.address, b"#reply\0\0,s\0\0end_route_list\0\0")
        ardour.port.send_raw(host.address, b"noise")
        ardour.say("/strip/name", 4, "Keys")
        await until(lambda: engine.names[4] == "Keys")
        assert (engine.calls, engine.aligned) == ([], [])
        assert engine.names == {1: "drums", 2: "Bass DI", 3: "Vocals", 4: "Keys"}

    play(scene)
