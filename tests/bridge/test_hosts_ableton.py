"""Live is followed through AbletonOSC: found when it starts, asked again when it restarts, believed when it is sure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hosts_fakes import NamingEngine, done, settled
from osc_peer import Peer, peer, until
from resonantgen.errors import BadValue
from resonantgen_bridge.hosts.ableton import AbletonHost
from resonantgen_bridge.osc_packets import Message

POLL = 0.05


class FakeLive(Peer):
    """Answers as AbletonOSC does, listeners that outlive a track's place included."""

    def __init__(self) -> None:
        super().__init__()
        self.tracks: list[dict[str, Any]] = []
        self.song: dict[str, Any] = {"tempo": 120.0, "is_playing": False, "current_song_time": 0.0}
        self.listened: set[str] = set()
        self.arm_listeners: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[str] = []
        self.engine: tuple[str, int] = ("", 0)
        self.there = True

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        before = len(self.got)
        super().datagram_received(data, addr)
        if not self.there:
            return
        self.engine = (addr[0], addr[1])
        for address, *arguments in self.got[before:]:
            self.asked.append(address)
            self.answer(address, arguments)

    def answer(self, address: str, arguments: list[Any]) -> None:
        match address.split("/")[2:]:
            case ["song", "get", "num_tracks"]:
                self.tell(address, len(self.tracks))
            case ["song", "get", "track_data"]:
                assert arguments[2:] == ["track.name", "track.can_be_armed"]
                tracks = self.tracks[arguments[0] : arguments[1]]
                self.tell(address, *(value for track in tracks for value in (track["name"], track["arm"] is not None)))
            case ["song", "start_listen", name]:
                self.listened.add(name)
                self.tell(f"/live/song/get/{name}", self.song[name])
            case ["track", "start_listen", "arm"]:
                track = self.tracks[arguments[0]]
                assert track["arm"] is not None, "a group was asked for its arm"
                if (arguments[0], track) not in self.arm_listeners:
                    self.arm_listeners.append((arguments[0], track))
                self.tell("/live/track/get/arm", arguments[0], track["arm"])
            case ["track", "get", "arm"]:
                self.tell(address, arguments[0], self.tracks[arguments[0]]["arm"])
            case _:
                raise AssertionError(f"AbletonOSC knows no {address}")

    def tell(self, address: str, *values: Any) -> None:
        if self.there:
            self.send(self.engine, address, *values)

    def arm(self, track: dict[str, Any], armed: bool) -> None:
        track["arm"] = armed
        for index, listened in self.arm_listeners:
            if listened is track:
                self.tell("/live/track/get/arm", index, armed)

    def change(self, name: str, value: Any) -> None:
        self.song[name] = value
        if name in self.listened:
            self.tell(f"/live/song/get/{name}", value)

    def restart(self, *tracks: dict[str, Any]) -> None:
        self.listened.clear()
        self.arm_listeners.clear()
        self.tracks = list(tracks)
        self.there = True


def track(name: str, arm: bool | None = False) -> dict[str, Any]:
    return {"name": name, "arm": arm}


Scene = Callable[[NamingEngine, AbletonHost, FakeLive], Awaitable[None]]


def play(scene: Scene, *tracks: dict[str, Any], there: bool = True) -> None:
    async def whole() -> None:
        engine = NamingEngine()
        loop = asyncio.get_running_loop()
        transport, live = await loop.create_datagram_endpoint(FakeLive, local_addr=("127.0.0.1", 0))
        live.restart(*tracks)
        live.there = there
        address = ("127.0.0.1", live.port)
        host = AbletonHost(engine, live=address, listen=("127.0.0.1", 0), poll_seconds=POLL)
        await host.start()
        try:
            await scene(engine, host, live)
        finally:
            await host.close()
            transport.close()
            await asyncio.sleep(0)
        assert engine.listeners == 0

    asyncio.run(whole())


def test_live_is_followed() -> None:
    kick, bass, group = track("1-Kick"), track("Bass", True), track("Rhythm section", None)

    async def scene(engine: NamingEngine, host: AbletonHost, live: FakeLive) -> None:
        await until(lambda: engine.calls and engine.aligned)
        assert done(engine) == [("lock", "bass", True)]
        assert engine.names == {1: "1-Kick", 2: "Rhythm section", 3: "Bass"}
        live.arm(kick, True)
        await until(lambda: len(engine.calls) == 2)
        live.arm(bass, False)
        await until(lambda: len(engine.calls) == 3)
        assert done(engine)[1:] == [("lock", "drums", True), ("lock", "bass", False)]
        live.change("tempo", 98.5)
        live.change("is_playing", True)
        live.change("current_song_time", 17.25)
        await until(lambda: len(engine.calls) == 5 and len(engine.aligned) == 2)
        assert done(engine)[3:] == [("tempo", 98.5), ("play", True)]
        assert engine.aligned[1][0] == 17.25
        assert host.status() == {"host": "live", "connected": True, "tracks": engine.names}

    play(scene, kick, group, bass)


def test_live_may_start_later_and_again() -> None:
    async def scene(engine: NamingEngine, host: AbletonHost, live: FakeLive) -> None:
        await until(lambda: len(live.of("/live/song/get/num_tracks")) >= 3)
        assert not host.status()["connected"]
        live.restart(track("Bass", True))
        await until(lambda: engine.calls)
        live.there = False
        await until(lambda: not host.status()["connected"])
        live.restart(track("Bass"))  # nobody disarmed it: it is another set
        await until(lambda: host.status()["connected"] and live.arm_listeners)
        await settled()
        assert done(engine) == [("lock", "bass", True)]
        live.arm(live.tracks[0], True)
        await until(lambda: len(engine.calls) == 2)
        live.restart(track("Pad", True), track("Bass"))
        live.tell("/live/startup")
        await until(lambda: len(engine.calls) == 3)
        assert done(engine)[2] == ("lock", "harmony", True)

    play(scene, there=False)


def test_tracks_come_and_go() -> None:
    drums, bass, lead = track("Drums"), track("Bass", True), track("Lead")

    async def scene(engine: NamingEngine, host: AbletonHost, live: FakeLive) -> None:
        await until(lambda: engine.calls and len(live.arm_listeners) == 2)
        live.tracks = [lead, drums, bass]  # one is put before the others; old listeners keep their numbers
        await until(lambda: engine.names == {1: "Lead", 2: "Drums", 3: "Bass"} and len(live.arm_listeners) == 5)
        await asyncio.sleep(0.2)
        assert done(engine) == [("lock", "bass", True)]
        live.arm(drums, True)  # also reported as track 1, which is the lead now
        await until(lambda: len(engine.calls) == 2)
        await asyncio.sleep(0.1)
        assert done(engine)[1:] == [("lock", "drums", True)]
        live.tracks = [lead, drums]
        live.arm_listeners = [(index, one) for index, one in live.arm_listeners if one is not bass]
        await until(lambda: len(engine.calls) == 3)
        assert done(engine)[2] == ("lock", "bass", False)

    play(scene, drums, bass)


def test_a_lock_on_a_silent_track_is_asked_for_once() -> None:
    bass = track("Bass", True)

    async def scene(engine: NamingEngine, host: AbletonHost, live: FakeLive) -> None:
        engine.answers["lock"] = BadValue("The bass is silent.")
        await until(lambda: engine.calls)
        await until(lambda: len(live.of("/live/song/get/num_tracks")) >= 20)  # past a renewal
        assert len(engine.calls) == 1

    play(scene, bass)


@pytest.mark.parametrize(
    "message",
    [
        Message("/live/song/get/num_tracks"),
        Message("/live/song/get/num_tracks", ("x",)),
        Message("/live/song/get/num_tracks", (-5,)),
        Message("/live/song/get/num_tracks", (1 << 40,)),
        Message("/live/song/get/track_data", ("a",)),
        Message("/live/song/get/track_data", (None, None, 3, [1])),
        Message("/live/track/get/arm", (1,)),
        Message("/live/track/get/arm", (-7, True)),
        Message("/live/track/get/arm", (1, None)),
        Message("/live/song/get/tempo", (float("nan"),)),
        Message("/live/song/get/tempo", (-1.0,)),
        Message("/live/song/get/is_playing", (None,)),
        Message("/live/song/get/current_song_time", ("x",)),
        Message("/live/error", ("Unknown",)),
        Message("/other", (1,)),
    ],
)
def test_odd_answers_do_nothing(message: Message) -> None:
    async def whole() -> None:
        engine = NamingEngine()
        async with peer() as live:
            host = AbletonHost(engine, live=("127.0.0.1", live.port), listen=("127.0.0.1", 0), poll_seconds=POLL)
            await host.start()
            assert host.received(message, 0.0) is message.address.startswith("/live/")
            await settled()
            await host.close()
        assert (engine.calls, engine.aligned) == ([], [])

    asyncio.run(whole())
