"""What DAWs report becomes commands: arm is lock, only changes count, and nothing that the user did is undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hosts_fakes import NamingEngine, done, settled
from osc_peer import until
from resonantgen.errors import AddressTaken, BadValue
from resonantgen_bridge.hosts import Follower
from resonantgen_bridge.hosts.osc_host import HostPort
from resonantgen_bridge.options import Arm


def play(scene: Callable[[NamingEngine, Follower], Awaitable[None]], arm: Arm = Arm.LOCK) -> None:
    async def whole() -> None:
        engine = NamingEngine()
        follower = Follower(engine, "test", arm)
        follower.start()
        for number, name in enumerate(["Kick", "Snare", "Bass", "Vocals"], start=1):
            follower.track_named(number, name)
        await asyncio.sleep(0.15)
        try:
            await scene(engine, follower)
        finally:
            await follower.close()
        assert engine.listeners == 0

    asyncio.run(whole())


def test_a_track_is_locked_while_any_of_its_tracks_is_armed() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        for track, armed in [(1, True), (2, True), (1, False), (4, True), (2, False), (3, True)]:
            follower.track_armed(track, armed)
            await settled()
        assert done(engine) == [("lock", "drums", True), ("lock", "drums", False), ("lock", "bass", True)]

    play(scene)


def test_a_track_that_is_mapped_by_hand_while_it_is_armed_moves_the_lock() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        follower.track_armed(3, True)
        await settled()
        engine.map[3] = "harmony"
        for _ in range(2):
            engine.notify("heartbeat", seconds=1.0)
            await settled()
        assert done(engine) == [("lock", "bass", True), ("lock", "bass", False), ("lock", "harmony", True)]

    play(scene)


def test_what_is_repeated_is_done_once() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        for _ in range(5):
            follower.track_armed(3, True)
            follower.tempo(97.5)
            follower.playing(True)
            follower.position(float("inf"), 0.5)  # such as a time of 1e308 s makes
            follower.position(8.0, 1.0)
            await settled()
        assert done(engine) == [("tempo", 97.5), ("play", True), ("lock", "bass", True)]
        assert engine.aligned == [(8.0, 1.0)]

    play(scene)


def test_first_reports_free_and_stop_nothing() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        engine.state |= {"track/bass/lock": True, "play": True}
        follower.track_armed(3, False)
        follower.playing(False)
        await settled()
        assert engine.calls == []
        follower.track_armed(3, True)
        follower.playing(True)
        await settled()
        follower.track_armed(3, False)
        follower.playing(False)
        await settled()
        assert done(engine)[-2:] == [("play", False), ("lock", "bass", False)]
        engine.calls.clear()
        follower.track_armed(3, True)
        await settled()
        follower.forget()
        follower.track_armed(3, False)
        follower.playing(False)
        await settled()
        assert done(engine) == [("lock", "bass", True)]

    play(scene)


def test_a_meter_and_a_key_count_once_they_change() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        follower.meter("7/8")
        follower.key("C major")
        await settled()
        assert engine.calls == []
        follower.meter("3/4")
        follower.meter("3/4")
        follower.key("D dorian")
        follower.key("D dorian")
        await settled()
        assert done(engine) == [("meter", "3/4"), ("key", "D dorian")]
        follower.meter("9/16")  # cannot be played here: refused, and nobody is worse off
        follower.forget()
        follower.meter("4/4")
        await settled()
        assert done(engine)[2:] == [("meter", "9/16")]

    play(scene)


def test_the_first_music_takes_the_tempo_and_the_meter_that_the_daw_has() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        follower.tempo(97.5)
        follower.meter("7/8")
        await settled()
        engine.calls.clear()
        engine.change({"bars": 0})
        engine.change({"bars": 8, "tempo": 132.0, "meter": "4/4"})
        await settled()
        assert done(engine) == [("tempo", 97.5), ("meter", "7/8")]
        engine.change({"bars": 4, "tempo": 140.0, "meter": "4/4"})  # somebody's own wish
        await settled()
        assert len(engine.calls) == 2

    play(scene)


def test_a_meter_and_a_key_without_music_are_kept_for_the_first() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        engine.change({"bars": 0})
        for meter, key in [("7/8", "A minor"), ("3/4", "E minor")]:
            follower.meter(meter)
            follower.key(key)
        await settled()
        assert engine.calls == []
        engine.change({"bars": 8})
        await settled()
        assert done(engine) == [("meter", "3/4")]

    play(scene)


def test_arming_can_be_ignored() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        follower.track_armed(3, True)
        follower.tempo(99.0)
        await settled()
        assert done(engine) == [("tempo", 99.0)]

    play(scene, Arm.IGNORE)


def test_a_silent_track_is_locked_once_it_has_a_take() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        engine.answers["lock"] = BadValue("The bass is silent. There is nothing to lock.")
        follower.track_armed(3, True)
        await settled()
        engine.change({"track/bass/gain": 1.0})
        engine.change({"track/bass/take": ""})
        await settled()
        assert len(engine.calls) == 1
        del engine.answers["lock"]
        engine.change({"track/drums/take": "drums-1", "track/bass/take": "bass-1"})
        engine.change({"track/bass/take": "bass-1"})
        await settled()
        assert done(engine) == [("lock", "bass", True)] * 2
        assert engine.state["track/bass/lock"] is True

    play(scene)


def test_renaming_an_armed_track_moves_its_lock() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        follower.track_armed(3, True)
        await settled()
        follower.track_named(3, "Lead")
        await until(lambda: len(engine.calls) == 3)
        assert done(engine)[1:] == [("lock", "bass", False), ("lock", "melody", True)]

    play(scene)


def test_names_that_move_one_by_one_lock_nothing_in_between() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        follower.track_armed(3, True)
        await settled()
        follower.track_named(2, "Bass")  # the snare is deleted: all move up
        follower.track_armed(2, True)
        await settled()
        follower.track_named(3, "Vocals")
        follower.track_armed(3, False)
        await asyncio.sleep(0.15)
        assert done(engine) == [("lock", "bass", True)]

    play(scene)


def test_of_many_tempos_the_latest_is_set() -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        engine.hold("tempo")
        for tempo in range(60, 160):
            follower.tempo(float(tempo))
            await asyncio.sleep(0)
        engine.release("tempo")
        await settled()
        assert done(engine) == [("tempo", 60.0), ("tempo", 159.0)]
        follower.tempo(5000.0)  # refused by the table
        follower.tempo(158.9998)  # rounding: it is the same
        await settled()
        assert len(engine.calls) == 2

    play(scene)


def test_a_fault_in_the_engine_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(engine: NamingEngine, follower: Follower) -> None:
        engine.answers["tempo"] = RuntimeError("a bug")
        follower.tempo(90.0)
        await settled()
        del engine.answers["tempo"]
        follower.tempo(91.0)
        await settled()
        assert done(engine)[-1] == ("tempo", 91.0)

    play(scene)
    assert "a bug" in caplog.text


def test_a_taken_port_is_a_clear_error() -> None:
    async def whole() -> None:
        first, second = HostPort(lambda message, at: None), HostPort(lambda message, at: None)
        await first.open(("127.0.0.1", 0))
        with pytest.raises(AddressTaken, match=str(first.address[1])):
            await second.open(first.address)
        first.datagram_received(b"noise", ("127.0.0.1", 9))
        await first.close()

    asyncio.run(whole())
