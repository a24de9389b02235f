"""Live and the engine follow each other through the Remote Script, and neither hears its own words again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fake_live import World
from hosts_fakes import NamingEngine, done, settled
from live_fakes import live
from osc_peer import Peer, peer, serving, until
from prints import leave_print
from remote_script import HANG_SECONDS, running
from resonantgen.errors import BadValue, ResonantGenError
from resonantgen_bridge.drivers import Drivers
from resonantgen_bridge.hosts.live_script import LiveScriptHost
from resonantgen_bridge.options import NO_DEVICE, Arm, ServeOptions
from resonantgen_bridge.osc_packets import Message

BAND = (("Drums", "midi"), ("Band", "group"), ("Bass", "audio", True))

Scene = Callable[[NamingEngine, LiveScriptHost, World, Any], Awaitable[None]]


async def ticking(script: Any, condition: Callable[[], object]) -> None:
    """Live goes on until it holds; a hang fails."""
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            script.update_display()
            await asyncio.sleep(0.002)


async def ticks(script: Any) -> None:
    """Long enough for both to say what they have to say."""
    for _ in range(100):
        script.update_display()
        await asyncio.sleep(0.002)


def play(scene: Scene, *tracks: Any, state: dict[str, Any] | None = None, **options: Any) -> World:
    """The script in a fake Live, the host behind the real OSC server, and an engine that records."""
    world = World(tracks=tracks or BAND)

    async def whole() -> None:
        engine = NamingEngine({"bars": 8} | (state or {}))
        host = LiveScriptHost(engine, **options)
        await host.start()
        async with serving(engine, foreign=[host]) as server:
            with running(world, server.address[1]) as script:
                await ticking(script, lambda: host.status()["connected"] and len(engine.names) == len(world.tracks))
                await ticks(script)
                world.changed.clear()
                await scene(engine, host, world, script)
        await host.close()
        assert engine.listeners == 0

    asyncio.run(whole())
    return world


def test_live_is_followed() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        assert done(engine) == [("lock", "bass", True)]
        assert engine.names == {1: "Drums", 2: "Band", 3: "Bass"}
        assert host.status() == {"host": "live", "connected": True, "version": "12.1.0", "tracks": engine.names}
        world.song._set("tempo", 97.5)
        world.song._set("is_playing", True)
        world.song._set("signature_numerator", 3)
        world.song._set("current_song_time", 17.25)
        world.song._set("root_note", 9)
        world.arm(world.tracks[0], exclusive=True)
        await ticking(script, lambda: len(engine.calls) == 7 and engine.aligned[-1][0] == 17.25)
        assert set(done(engine)[1:]) == {
            ("tempo", 97.5),
            ("play", True),
            ("meter", "3/4"),
            ("key", "A major"),
            ("lock", "drums", True),
            ("lock", "bass", False),
        }
        await ticks(script)
        assert world.changed == [] and len(engine.calls) == 7

    play(scene)


def test_the_engine_is_followed() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        before = len(engine.calls)
        engine.change({"tempo": 97.3})
        engine.change({"play": True})
        await ticking(script, lambda: world.song.is_playing and abs(world.song.tempo - 97.3) < 1e-4)
        await ticks(script)
        assert len(engine.calls) == before and world.changed == ["Song.tempo", "start_playing"]
        world.song._set("tempo", 120.0)  # as before: the engine has to hear of it all the same
        world.song._set("is_playing", False)
        await ticking(script, lambda: len(engine.calls) == before + 2)
        assert done(engine)[before:] == [("tempo", 120.0), ("play", False)]
        engine.change({"tempo": 97.3})
        await ticking(script, lambda: abs(world.song.tempo - 97.3) < 1e-4)

    play(scene)


def test_a_tempo_that_is_turned_is_not_pulled_back() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        for step in range(60):
            world.song._set("tempo", 120.0 + step / 2)
            if step % 3 == 0:
                script.update_display()
                await asyncio.sleep(0.001)
        await ticking(script, lambda: engine.state["tempo"] == 149.5)
        await ticks(script)
        assert world.changed == [] and world.song.tempo == 149.5

    play(scene)


def test_both_change_at_once_and_agree_in_the_end() -> None:
    chance = random.Random(2)

    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        for _ in range(80):
            match chance.randrange(5):
                case 0:
                    world.song._set("tempo", float(chance.randrange(80, 160)))
                case 1:
                    engine.change({"tempo": float(chance.randrange(80, 160))})
                case 2:
                    world.song._set("is_playing", chance.random() < 0.5)
                case 3:
                    engine.change({"play": chance.random() < 0.5})
                case _:
                    script.update_display()
                    await asyncio.sleep(chance.choice([0.0, 0.003]))
        await ticks(script)
        assert world.song.tempo == engine.state["tempo"]
        assert world.song.is_playing == engine.state["play"]
        calls, changed = len(engine.calls), len(world.changed)
        await ticks(script)
        assert (len(engine.calls), len(world.changed)) == (calls, changed)  # and it is quiet

    play(scene)


def test_the_first_music_takes_lives_tempo() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        engine.change({"bars": 8, "tempo": 97.0})
        await ticking(script, lambda: engine.state["tempo"] == 120.0)
        await ticks(script)
        assert world.changed == []

    play(scene, state={"bars": 0})


@pytest.mark.parametrize("arm_back", [False, True])
def test_a_lock_arms_only_where_it_is_asked_for(arm_back: bool) -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        engine.change({"track/drums/lock": True})
        engine.change({"track/bass/lock": False})
        engine.change({"track/harmony/lock": True})  # no track of Live's
        if arm_back:
            await ticking(script, lambda: len(world.changed) == 2)
        await ticks(script)
        assert [bool(world.tracks[index].arm) for index in (0, 2)] == ([True, False] if arm_back else [False, True])
        assert (engine.state["track/drums/lock"], engine.state["track/bass/lock"]) == (True, False)
        if arm_back:
            world.arm(world.tracks[0], False)
            await ticking(script, lambda: not engine.state["track/drums/lock"])
            world.arm(world.tracks[0], True)  # and at once again
            world.arm(world.tracks[0], False)
            await ticks(script)
            assert not world.tracks[0].arm and not engine.state["track/drums/lock"]

    play(scene, arm_back=arm_back)


def test_arm_may_be_ignored() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        world.arm(world.tracks[0])
        engine.change({"track/bass/lock": True})
        await ticks(script)
        assert engine.calls == [] and world.changed == []

    play(scene, arm=Arm.IGNORE, arm_back=True)


def test_tracks_move_and_their_locks_stay() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        drums, _, bass = world.tracks
        world.put(bass, world.make("Lead"), drums, world.make("Pad"))
        await ticking(script, lambda: engine.names == {1: "Bass", 2: "Lead", 3: "Drums", 4: "Pad"})
        await ticks(script)
        assert done(engine) == [("lock", "bass", True)]
        world.put(drums)
        await ticking(script, lambda: len(engine.calls) == 2)
        assert done(engine)[1] == ("lock", "bass", False)
        assert engine.names == {1: "Drums", 2: "", 3: "", 4: ""}

    play(scene)


def test_what_was_printed_becomes_clips_or_a_problem(tmp_path: Path) -> None:
    problems: list[ResonantGenError] = []

    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        folder = str(leave_print(tmp_path / "p"))
        engine.notify("printed", folder=folder, bar=1, scene=2, tracks=["drums", "bass"], kind="audio")
        await ticking(script, lambda: problems)
        assert [str(error) for error in problems] == ['Live: Not printed: bass. Track "Bass" is armed.']
        drums = world.tracks[-1]
        assert drums.name == "drums" and drums.clip_slots[1].clip.name == "night drums"
        engine.notify("printed", folder=str(tmp_path / "none"), bar=1, scene=0, tracks=[], kind="audio")
        await ticking(script, lambda: len(problems) == 2)

    play(scene, complain=problems.append)


async def followed(script: Any, call: tuple[Any, ...]) -> None:
    """A new engine does it, as it is told of Live."""
    engine = NamingEngine({"bars": 8})
    host = LiveScriptHost(engine)
    await host.start()
    async with serving(engine, foreign=[host]) as server:
        script._link._engine = server.address
        await ticking(script, lambda: call in done(engine) and len(engine.names) == 3)
    await host.close()


def test_the_engine_and_live_may_each_go_and_come_back() -> None:
    world = World(tracks=BAND)

    async def whole() -> None:
        with running(world, 1) as script:  # nobody is there as yet
            for tempo in (97.0, 98.0):
                world.song._set("tempo", tempo)
                await followed(script, ("tempo", tempo))
        engine = NamingEngine({"bars": 8})
        host = LiveScriptHost(engine, gone_seconds=0.2)
        await host.start()
        async with serving(engine, foreign=[host]) as server:
            for _ in range(2):
                with running(world, server.address[1]) as script:
                    await ticking(script, lambda: host.status()["connected"] and host.status()["tracks"])
                    await ticks(script)
                await until(lambda: not host.status()["connected"])
            assert set(done(engine)) == {("tempo", 98.0), ("lock", "bass", True)}  # nothing is freed when Live goes
            with running(world, server.address[1]) as script:
                await ticking(script, lambda: host.status()["connected"])
                await until(lambda: not host.status()["connected"])  # Live hangs
                await ticking(script, lambda: host.status()["connected"])
        await host.close()

    asyncio.run(whole())


def test_what_was_lost_on_the_way_is_asked_for_again() -> None:
    async def whole() -> None:
        engine = NamingEngine()
        host = LiveScriptHost(engine)
        await host.start()
        async with peer() as script, serving(engine, foreign=[host]) as server:
            hello = ("/daw/hello", "live", "11.3.4", script.port)
            script.send(server.address, *hello)
            (first,) = await script.wait_for("/daw/welcome")
            script.send(server.address, "/daw/tracks", 2)
            script.send(server.address, "/daw/track", 1, "Drums", 1, 0)
            script.send(server.address, *hello)
            (second,) = await script.wait_for("/daw/welcome", 2)
            assert first != second and engine.names == {}
            for number in (1, 2):
                script.send(server.address, "/daw/track", number, f"T{number}", 1, 0)
            script.send(server.address, *hello)
            assert await script.wait_for("/daw/welcome", 3) == (second,)
            await until(lambda: engine.names == {1: "T1", 2: "T2"})
        await host.close()

    asyncio.run(whole())


def test_a_second_script_waits_until_the_first_has_gone() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        other = World(tracks=(("Melody", "midi", True),))
        other.song._set("tempo", 77.0)
        with running(other, script._link._engine[1]) as second:
            for _ in range(3):
                await ticks(second)
                await ticks(script)
            assert host.status()["tracks"] == {1: "Drums", 2: "Band", 3: "Bass"}
            assert engine.state["tempo"] == 120.0
            script.disconnect()
            await ticking(second, lambda: engine.state["tempo"] == 77.0 and engine.names[1] == "Melody")

    play(scene)


@pytest.mark.parametrize(
    ("root", "scale", "key"),
    [
        (9, "Minor", "A minor"),
        (2, "Dorian", "D dorian"),
        (10, "Major", "Bb major"),
        (4, "Harmonic Minor", "E harmonic minor"),
        (0, "Locrian", None),
        (0, "Whole Tone", None),
        (12, "Major", None),
        (-1, "Major", None),
    ],
)
def test_keys_that_are_known_are_followed(root: int, scale: str, key: str | None) -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        host.received(Message("/daw/key", (root, scale)), 0.0)
        host.received(Message("/daw/tempo", (61.0,)), 0.0)
        await until(lambda: ("tempo", 61.0) in done(engine))
        assert [call for call in done(engine) if call[0] == "key"] == ([] if key is None else [("key", key)])

    play(scene, state={"key": "C# minor"})


ODD = [
    Message(address, arguments)
    for address in ("hello", "bye", "tempo", "meter", "key", "playing", "position", "tracks", "track", "error", "x", "")
    for arguments in ((), (None,), ("x", "y"), (float("nan"), 1), (-1, -1, -1, -1), (1 << 62,), ([1], b"x", True, "z"))
    for address in [f"/daw/{address}"]
    if (address, arguments) != ("/daw/bye", ())
]


@pytest.mark.parametrize("known", [False, True])
def test_odd_messages_do_nothing(known: bool) -> None:
    async def whole() -> None:
        engine = NamingEngine()
        host = LiveScriptHost(engine)
        await host.start()
        if known:
            host.received(Message("/daw/hello", ("live", "12", 9)), 0.0)
        for message in ODD:
            assert host.received(message, 0.0)
        assert not host.received(Message("/rg/tempo", (1.0,)), 0.0)
        await settled()
        assert {call[0] for call in done(engine)} <= {"tempo", "play"}  # which the engine itself refuses if need be
        assert (engine.names == {} and engine.state["tempo"] != -1) or known
        await host.close()

    asyncio.run(whole())


@pytest.mark.parametrize("port", [0, -1, 65536, 1 << 40])
def test_a_port_that_is_none_is_not_answered(port: int) -> None:
    async def whole() -> None:
        host = LiveScriptHost(NamingEngine())
        await host.start()
        host.received(Message("/daw/hello", ("live", "12", port)), 0.0)
        assert not host.status()["connected"]
        await host.close()

    asyncio.run(whole())


def test_noise_at_the_port_does_not_stop_it() -> None:
    chance = random.Random(5)

    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        async with peer() as noise:
            assert isinstance(noise, Peer)
            to = script._link._engine
            for _ in range(300):
                noise.send_raw(to, b"/daw/" + chance.randbytes(chance.randrange(40)))
            noise.send(to, "/daw/track", 1, "Other" * 400, 1, 1)
            await ticks(script)
        world.song._set("tempo", 87.0)
        await ticking(script, lambda: engine.state["tempo"] == 87.0)

    play(scene)


def test_a_real_engine_and_live(tmp_path: Path) -> None:
    world = World(tracks=(("Drums", "midi"), ("Bass", "audio"), ("Pads", "midi"), ("Lead", "midi")))

    async def whole() -> None:
        async with live(tmp_path / "night.rg") as one:
            host = LiveScriptHost(one.engine, arm_back=True, complain=one.engine.complain)
            await host.start()
            async with serving(one.engine, foreign=[host]) as server:  # type: ignore[arg-type]
                with running(world, server.address[1]) as script:
                    state = one.engine.state
                    await ticking(script, lambda: len(host.status()["tracks"]) == 4)
                    world.song._set("tempo", 101.5)
                    world.arm(world.tracks[1])
                    await ticking(script, lambda: state["track/bass/lock"] and state["tempo"] == 101.5)
                    takes = {role: state[f"track/{role}/take"] for role in ("drums", "bass")}
                    await one.do("regenerate", prompt="")
                    assert state["track/bass/take"] == takes["bass"]
                    assert state["track/drums/take"] != takes["drums"]
                    await one.do("tempo", tempo=88.0)
                    await one.do("lock", track="melody", locked=True)
                    await one.do("lock", track="bass", locked=False)
                    await ticking(script, lambda: world.tracks[3].arm and not world.tracks[1].arm)
                    await ticks(script)
                    assert world.song.tempo == 88.0 == state["tempo"]
                    assert state["track/melody/lock"] and not state["track/bass/lock"]
            await host.close()

    asyncio.run(whole())


def test_a_refused_lock_is_asked_for_once() -> None:
    async def scene(engine: NamingEngine, host: LiveScriptHost, world: World, script: Any) -> None:
        engine.answers["lock"] = BadValue("The drums are silent.")
        world.arm(world.tracks[0])
        await ticks(script)
        assert done(engine).count(("lock", "drums", True)) == 1

    play(scene)


def test_a_real_print_becomes_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONANTGEN_PRINTS", str(tmp_path / "prints"))
    world = World(tracks=(("Drums", "midi"), ("Bass", "audio"), ("Melody", "audio", True)))
    world.guess = lambda seconds: (0.0, 77.0)

    async def whole() -> None:
        async with live(tmp_path / "night.rg") as one:
            world.song._set("tempo", one.engine.state["tempo"])  # the fake studio's music has no other
            world.song._set("signature_numerator", int(one.engine.state["meter"].removesuffix("/4")))
            host = LiveScriptHost(one.engine, complain=one.engine.complain)
            await host.start()
            async with serving(one.engine, foreign=[host]) as server:  # type: ignore[arg-type]
                with running(world, server.address[1]) as script:
                    await ticking(script, lambda: len(host.status()["tracks"]) == 3)
                    printing = one.start("print", scene=2)
                    await ticking(script, lambda: printing.done() and len(world.tracks) == 5 and one.heard("problem"))
            await host.close()
            state = one.engine.state
            quarters = float(state["bars"] * world.song.signature_numerator)
        tracks = {track.name: track for track in world.tracks}
        assert list(tracks) == ["Drums", "Bass", "Melody", "drums", "harmony"]
        for name, track in tracks.items():
            clip = track._clips()[1]
            assert (clip is None) == (name in ("Drums", "Melody")), name
            if clip is not None:
                assert clip.loop_end == quarters
                assert clip.do_sample_to_beat_time(clip.sample_length) == pytest.approx(quarters)
        assert [problem["message"] for problem in one.heard("problem")] == [
            'Live: Not printed: melody. Track "Melody" is armed.'
        ]

    asyncio.run(whole())


def test_what_serves_answers_the_script_without_being_asked_to(tmp_path: Path) -> None:
    world = World(tracks=BAND)

    async def whole() -> None:
        async with live(tmp_path / "night.rg", empty=True) as one:
            options = ServeOptions(tmp_path, zmq_port=0, events_port=0, osc_port=0, plugin_port=0, midi_in=NO_DEVICE)
            async with Drivers(one.engine, options, lambda line: None):
                port = int(one.engine.addresses["osc"].rpartition(":")[2])
                with running(world, port) as script:
                    await ticking(script, lambda: one.engine.drivers["live script"]()["tracks"])
                    status = (await one.do("status"))["status"]["drivers"]["live script"]
        assert (status["connected"], status["version"]) == (True, "12.1.0")

    asyncio.run(whole())
