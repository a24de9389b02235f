"""The plugin link: what plugins hear, and when, from a live engine with a quick studio."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from live_fakes import Live, live, noise
from plugin_peer import HANG_SECONDS, Host, PluginPeer, Samples
from resonantgen.errors import AddressTaken, WorkerLost
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen_bridge.plugin_link import PluginLink
from resonantgen_bridge.plugin_wire import EpochTold, Hello, HostFlag, Notes, Pull, TrackFlag, encode

QUICK = Host(sample_rate=44_100, tempo_bpm=400, meter=(2, 4))  # as the project is recorded: a bar of 13,230 frames
BAR = 13_230
ROLES = tuple(Role)


@dataclass
class Linked:
    """An engine with its plugin link, and the plugins that a test connects."""

    live: Live
    link: PluginLink
    peers: list[PluginPeer] = field(default_factory=list)

    async def connect(self, track: int = 1, host: Host = QUICK, instance: int = 7) -> PluginPeer:
        self.peers.append(await PluginPeer.connect(self.link.address, track, host, instance))
        return self.peers[-1]

    async def playing(self, track: int = 1, host: Host = QUICK) -> PluginPeer:
        """One that has gone over to its first epoch."""
        peer = await self.connect(track, host)
        peer.plays = (await peer.epoch(lambda told: told.clock == host.clock)).epoch
        peer.tell()
        return peer

    def stem(self, role: Role, host: Host) -> Samples:
        """What the role's take sounds like there, as this test knows it."""
        take = self.live.session.playing[role]
        settings = take.recipe.settings
        tempo = TempoMap(Fraction(str(host.tempo_bpm)), settings.meter, host.sample_rate)
        if tempo == settings.tempo and take.number == 1:  # it was made before the engine was there
            return self.live.session.samples(take).astype(np.float32)
        return noise(take.id, tempo, settings.bars)

    async def until(self, true: Callable[[], object]) -> None:
        async def wait() -> None:
            while not true():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), HANG_SECONDS)


@asynccontextmanager
async def linked(path: Path, *, empty: bool = False, follow: bool = False) -> AsyncIterator[Linked]:
    async with live(path / "night.rg", empty=empty) as one:
        one.worker.noisy = True
        link = PluginLink(one.engine, 0, follow)
        await link.start()
        both = Linked(one, link)
        try:
            yield both
        finally:
            for peer in both.peers:
                await peer.close()
            await link.close()


def run(
    path: Path, scenario: Callable[[Linked], Awaitable[None]], *, empty: bool = False, follow: bool = False
) -> None:
    async def whole() -> None:
        async with linked(path, empty=empty, follow=follow) as both:
            await scenario(both)

    asyncio.run(whole())


def laid(stem: Samples, host: Host, first: int, count: int, loop_quarters: int = 2) -> Samples:
    """The loop on the host's frames, as the page says it."""
    out = np.empty((count, 2), np.float32)
    length = loop_quarters * host.frames_per_quarter
    number = int((first - Fraction(host.origin)) / length) - 2
    while (start := round(Fraction(host.origin) + number * length)) < first + count:
        end = round(Fraction(host.origin) + (number + 1) * length)
        for frame in range(max(start, first), min(end, first + count)):
            out[frame - first] = stem[(frame - start) % len(stem)]
        number += 1
    return out


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("tempo", [400, 97.3, 120])
def test_every_sample_is_the_stems_at_that_place(tmp_path: Path, rate: int, tempo: float) -> None:
    async def scenario(both: Linked) -> None:
        host = Host(sample_rate=rate, tempo_bpm=tempo, meter=(2, 4), frame=random.Random(rate).randrange(10**9))
        for track, role in enumerate(ROLES, 1):
            peer = await both.playing(track, host)
            for first in (host.frame, 0, -5000, host.frame + 12_345):
                heard = await peer.pull(peer.plays, first, 9000)
                assert heard.tobytes() == laid(both.stem(role, host), host, first, 9000).tobytes()

    run(tmp_path, scenario)


def test_tracks_that_are_not_there_and_projects_without_music_are_silent(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        for track in (1, 5, 16):
            peer = await both.playing(track)
            assert not (await peer.pull(peer.plays, 0, 5000)).any()
            assert await peer.state(lambda flags: True) == (TrackFlag.EXISTS if track == 1 else TrackFlag(0))

    run(tmp_path, scenario, empty=True)


def test_what_is_made_anew_begins_on_one_bar_line_for_all_four_and_the_locked_one_goes_on(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        await both.live.do("lock", track="bass", locked=True)
        peers = [await both.playing(track, replace(QUICK, frame=1000 + 300 * track)) for track in (1, 2, 3, 4)]
        before = [(len(peer.told), both.stem(role, QUICK)) for peer, role in zip(peers, ROLES, strict=True)]
        await both.live.do("regenerate", seed=5)
        others = [peer for peer in peers if peer.track != 2]
        told = [await peer.epoch(lambda told: told.epoch == 2) for peer in others]
        assert len({(each.from_frame, each.at_once) for each in told}) == 1
        assert told[0].from_frame % BAR == 0 and not told[0].at_once and told[0].fade == 220
        for peer, role, (count, stem) in zip(peers, ROLES, before, strict=True):
            if role is Role.BASS:
                assert len(peer.told) == count
            else:
                assert (await peer.pull(2, 0, BAR)).tobytes() == both.stem(role, QUICK).tobytes()
            assert (await peer.pull(1, 0, BAR)).tobytes() == stem.tobytes()  # until they go over, both are there

    run(tmp_path, scenario)


def test_a_bar_line_that_is_too_near_for_one_is_left_out_by_all(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        far, near = 1000, BAR - 2000
        peers = [await both.playing(track, replace(QUICK, frame=frame)) for track, frame in ((1, far), (2, near))]
        await both.live.do("regenerate", seed=5)
        told = [await peer.epoch(lambda told: told.epoch == 2) for peer in peers]
        assert [each.from_frame for each in told] == [2 * BAR, 2 * BAR]

    run(tmp_path, scenario)


def test_all_wait_for_the_sound_of_all(tmp_path: Path) -> None:
    """At a rate that nothing was recorded at, each new track has to be rendered first."""

    async def scenario(both: Linked) -> None:
        host = replace(QUICK, sample_rate=48_000)
        peers = [await both.playing(track, host) for track in (1, 2, 3, 4)]
        assert {peer.told[-1].epoch for peer in peers} == {1}
        await both.live.do("regenerate", seed=5)
        told = [await peer.epoch(lambda told: told.epoch == 2) for peer in peers]
        assert len({each.from_frame for each in told}) == 1
        for peer, role in zip(peers, ROLES, strict=True):
            heard = await peer.pull(2, 0, 14_400)
            assert heard.tobytes() == both.stem(role, host).tobytes()

    run(tmp_path, scenario)


def test_a_new_tempo_of_the_host_comes_in_on_its_next_bar_line(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(3, replace(QUICK, frame=20_000))
        host = peer.host.at_tempo(97.3)
        peer.go(host)
        told = await peer.epoch(lambda told: told.clock == 2)
        assert not told.at_once and told.epoch == 2 and host.is_bar_line(told.from_frame)
        assert host.frame < told.from_frame <= host.frame + host.bar_frames + 6000
        heard = await peer.pull(2, told.from_frame, 8000)
        assert heard.tobytes() == both.stem(Role.HARMONY, host)[:8000].tobytes()  # the loop is a bar long
        old = await peer.pull(1, told.from_frame - 1000, 1000)
        assert old.tobytes() == laid(both.stem(Role.HARMONY, QUICK), QUICK, told.from_frame - 1000, 1000).tobytes()

    run(tmp_path, scenario)


def test_a_host_that_waits_is_answered_for_its_own_clock_only(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        waiting = replace(QUICK, wait=True)
        peer = await both.playing(1, waiting)
        assert peer.told[-1].at_once
        both.live.worker.hold()
        before = len(peer.told)
        for tempo, frame in ((200, 4 * BAR), (300, 4 * BAR), (100, 4 * BAR)):  # only the last is there to be answered
            peer.go(replace(peer.host.at_tempo(tempo), frame=frame, origin=0.0))
        await both.until(lambda: both.link.status()["instances"][0]["tempo"] == 100)
        await asyncio.wait_for(both.live.worker.waiting.wait(), HANG_SECONDS)
        both.live.worker.release()
        told = await peer.epoch(lambda told: told.clock == 4)
        assert len(peer.told) == before + 1
        assert told == EpochTold(2, 4, 4 * BAR, 220, True)  # it stands exactly on one

    run(tmp_path, scenario)


def test_a_bar_line_that_was_missed_is_named_again(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing()
        await both.live.do("regenerate", track="drums", seed=5)
        first = await peer.epoch(lambda told: told.epoch == 2)
        peer.go(replace(QUICK, frame=first.from_frame + 100))  # it plays on what it plays
        again = await peer.another_epoch()
        assert again.epoch == 2 and again.from_frame > peer.host.frame and again.from_frame % BAR == 0

    run(tmp_path, scenario)


def test_regenerate_and_notes_make_the_track_anew_and_all_others_if_it_is_locked(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(2)
        peer.regenerations += 1
        peer.tell()
        await both.until(lambda: len(both.live.applied) == 1)
        peer.send(Notes(((0x80, 60, 0), (0x90, 60, 0))))  # releases
        peer.send(Notes(((0x93, 60, 1),)))
        await both.until(lambda: len(both.live.applied) == 2)
        await both.live.do("lock", track="bass", locked=True)
        peer.regenerations += 1
        peer.tell()
        await both.until(lambda: len(both.live.applied) == 4)
        asked = [(command, arguments.get("track")) for command, arguments in both.live.applied]
        assert asked == [("regenerate", "bass"), ("regenerate", "bass"), ("lock", "bass"), ("regenerate", None)]

    run(tmp_path, scenario)


def test_how_often_regenerate_was_pressed_before_means_nothing(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(2)
        await peer.close()
        both.peers.clear()
        peer = PluginPeer(*await asyncio.open_connection(*_host_port(both.link.address)), 2, QUICK)
        both.peers.append(peer)
        peer.regenerations = 12
        peer.send(Hello(7))
        peer.tell()
        await peer.epoch()
        assert both.live.applied == []

    run(tmp_path, scenario)


def test_a_regeneration_that_cannot_be_is_said(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(2)
        both.live.worker.failure = WorkerLost("It stopped.")
        peer.regenerations += 1
        peer.tell()
        await both.until(lambda: both.live.heard("problem"))
        assert both.live.heard("problem")[0]["message"] == "It stopped."

    run(tmp_path, scenario)


def test_lock_locks_and_frees_and_the_last_who_holds_it_decides(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        engine = both.live.engine

        async def held(peer: PluginPeer, on: bool, locked: bool) -> None:
            peer.lock = on
            peer.tell()
            await peer.state(lambda flags: (TrackFlag.LOCKED in flags) == locked)
            assert engine.state["track/drums/lock"] == locked

        one, two = await both.playing(1), await both.playing(1)
        await held(one, True, True)
        await held(two, True, True)
        await held(one, False, True)
        await asyncio.sleep(0.05)
        assert engine.state["track/drums/lock"]
        await held(two, False, False)
        await held(one, True, True)
        await both.live.do("lock", track="drums", locked=False)  # by the user, elsewhere
        await two.state(lambda flags: TrackFlag.LOCKED not in flags)
        one.tell()
        await one.state(lambda flags: TrackFlag.LOCKED not in flags)
        assert not engine.state["track/drums/lock"]

    run(tmp_path, scenario)


def test_lock_that_is_on_at_first_locks_and_off_frees_nothing_and_leaving_neither(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        engine = both.live.engine
        await both.live.do("lock", track="bass", locked=True)
        bass = await both.playing(2)
        assert await bass.state(lambda flags: True) & TrackFlag.LOCKED
        peer = PluginPeer(*await asyncio.open_connection(*_host_port(both.link.address)), 1, QUICK)
        peer.lock = True
        peer.send(Hello(8))
        peer.tell()
        await peer.state(lambda flags: TrackFlag.LOCKED in flags)
        await peer.close()
        await both.until(lambda: len(both.link.status()["instances"]) == 1)
        assert engine.state["track/drums/lock"] and engine.state["track/bass/lock"]

    run(tmp_path, scenario)


def test_a_silent_track_is_locked_once_it_has_a_take(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.connect(1)
        peer.lock = True
        peer.tell()
        await asyncio.sleep(0.05)
        await both.live.do("generate", prompt="techno", seed=3, tempo=400, meter="2/4", bars=1)
        await peer.state(lambda flags: flags == TrackFlag.EXISTS | TrackFlag.LOCKED | TrackFlag.SOUNDS)

    run(tmp_path, scenario, empty=True)


def test_music_that_comes_later_begins_on_a_bar_line(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(1)
        await both.live.do("generate", prompt="techno", seed=3, tempo=400, meter="2/4", bars=1)
        told = await peer.epoch(lambda told: told.epoch == 2)
        assert not told.at_once
        take = both.live.session.playing[Role.DRUMS]
        assert (await peer.pull(2, 0, BAR)).tobytes() == noise(take.id, take.recipe.settings.tempo, 1).tobytes()

    run(tmp_path, scenario, empty=True)


def test_a_track_that_a_plugin_plays_is_silent_in_the_engines_own_mix(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        engine = both.live.engine
        engine._player.mix_block(64)
        strips = engine._player._mixer._strips

        def silent() -> set[str]:
            engine._player.mix_block(64)
            return {role.value for role in Role if strips[role].muted}

        one, two = await both.playing(1), await both.playing(1)
        bass = await both.playing(2)
        assert silent() == {"drums", "bass"} == set(both.link.status()["silent_here"])
        assert not engine.state["track/drums/mute"]
        await both.live.do("mute", track="melody", on=True)
        await both.live.do("gain", track="drums", gain=-6)
        assert silent() == {"drums", "bass", "melody"} and strips[Role.DRUMS].gain_db == -6
        await one.close()
        bass.track = 3
        bass.tell()
        await both.until(lambda: silent() == {"drums", "harmony", "melody"})
        await two.close()
        await bass.close()
        await both.until(lambda: silent() == {"melody"})
        both.peers.clear()

    run(tmp_path, scenario)


def test_a_plugin_whose_host_tells_no_time_plays_nothing_and_silences_nothing(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.connect(1, replace(QUICK, timed=False))
        await peer.state(lambda flags: TrackFlag.SOUNDS in flags)
        assert both.link.status()["silent_here"] == [] and peer.told == []
        peer.go(QUICK)
        await peer.epoch()
        assert both.link.status()["silent_here"] == ["drums"]

    run(tmp_path, scenario)


def test_a_host_that_cannot_be_followed_is_silent_and_that_is_said_once(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        for track in (1, 2):
            peer = await both.playing(track, replace(QUICK, sample_rate=192_000))
            assert not (await peer.pull(1, 0, 4096)).any()
        (problem,) = both.live.heard("problem")
        assert "192000 Hz" in problem["message"]

    run(tmp_path, scenario)


def test_status_says_what_each_plugin_does(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(2, replace(QUICK, sample_rate=48_000, tempo_bpm=97.3))
        peer.underruns = 3
        peer.tell()
        await both.until(lambda: both.link.status()["instances"][0]["underruns"] == 3)
        assert both.link.status()["instances"] == [
            {
                "track": 2,
                "plays": "bass",
                "sample_rate": 48_000,
                "tempo": 97.3,
                "meter": "2/4",
                "playing": True,
                "locks": False,
                "waits": False,
                "epoch": 1,
                "underruns": 3,
            }
        ]

    run(tmp_path, scenario)


def test_sound_that_cannot_be_found_is_looked_for_again_and_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resonantgen_bridge.plugin_epochs._RETRY_SECONDS", 0.2)

    async def scenario(both: Linked) -> None:
        both.live.worker.failure = WorkerLost("It stopped.")
        peer = await both.connect(1, replace(QUICK, tempo_bpm=97.3))
        other = await both.playing(2)  # as recorded: nothing is rendered for it
        await both.until(lambda: both.live.heard("problem"))
        assert peer.told == [] and (await other.pull(1, 0, 5000)).any()
        tries = len(both.live.worker.rendered)
        await both.until(lambda: len(both.live.worker.rendered) > tries)
        assert len(both.live.heard("problem")) == 1  # it is said once
        both.live.worker.failure = None
        assert (await peer.epoch()).at_once

    run(tmp_path, scenario)


def test_a_host_that_waits_for_sound_that_cannot_be_found_is_given_silence_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each of its blocks would wait for 20 s."""
    monkeypatch.setattr("resonantgen_bridge.plugin_epochs._RETRY_SECONDS", 0.2)

    async def scenario(both: Linked) -> None:
        both.live.worker.failure = WorkerLost("It stopped.")
        peer = await both.connect(1, replace(QUICK, tempo_bpm=97.3, wait=True))
        silence = await peer.epoch()
        assert len(both.live.worker.rendered) == 2  # once may be chance
        assert silence.at_once and not (await peer.pull(silence.epoch, 0, 5000)).any()
        peer.plays = silence.epoch
        peer.tell()
        both.live.worker.failure = None
        told = await peer.epoch(lambda told: told.epoch == 2)
        assert (await peer.pull(told.epoch, 0, 5000)).any()

    run(tmp_path, scenario)


def test_a_host_that_waits_is_told_of_a_ramps_tempos_before_their_sound_is_there(tmp_path: Path) -> None:
    """It plays on to the bar line meanwhile."""

    async def scenario(both: Linked) -> None:
        peer = await both.playing(1, replace(QUICK, wait=True))
        both.live.worker.hold()
        for step in range(1, 6):
            peer.go(replace(peer.host, frame=1000 * step).at_tempo(400 - step))
            told = await peer.epoch(lambda told: told.clock == peer.host.clock)
            assert not told.at_once and peer.host.is_bar_line(told.from_frame) and told.epoch == 2 * step
        peer.send(Pull(told.epoch, 0, 1))
        await peer.pull(1, 0, 1024)  # which was asked for later
        assert not [epoch for epoch, _ in peer.chunks if epoch == told.epoch]
        both.live.worker.release()
        await both.until(lambda: peer.send(Pull(told.epoch, 0, 1)) or (told.epoch, 0) in peer.chunks)  # it asks again
        heard = await peer.pull(told.epoch, told.from_frame, 5000)
        assert heard.tobytes() == laid(both.stem(Role.DRUMS, peer.host), peer.host, told.from_frame, 5000).tobytes()

    run(tmp_path, scenario)


def test_a_take_that_is_undone_is_back_on_a_bar_line(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(1)
        before = await peer.pull(1, 0, BAR)
        await both.live.do("regenerate", track="drums", seed=5)
        peer.plays = (await peer.epoch(lambda told: told.epoch == 2)).epoch
        peer.tell()
        await both.live.do("undo", track="drums")
        told = await peer.epoch(lambda told: told.epoch == 3)
        assert not told.at_once and (await peer.pull(3, 0, BAR)).tobytes() == before.tobytes()

    run(tmp_path, scenario)


def test_another_meter_of_the_host_changes_where_things_begin_and_not_where_the_loop_lies(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        host = replace(QUICK, meter=(7, 8), frame=1000)
        peer = await both.playing(1, host)
        await both.live.do("regenerate", track="drums", seed=5)
        told = await peer.epoch(lambda told: told.epoch == 2)
        assert host.is_bar_line(told.from_frame) and told.from_frame % BAR
        heard = await peer.pull(2, 0, 30_000)
        assert heard.tobytes() == laid(both.stem(Role.DRUMS, QUICK), QUICK, 0, 30_000).tobytes()

    run(tmp_path, scenario)


# -- following --------------------------------------------------------------------------------------------------------


def test_the_session_follows_the_host_that_was_there_first(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        engine = both.live.engine
        first = await both.playing(1, replace(QUICK, tempo_bpm=float(np.float32(97.3))))
        await both.until(lambda: engine.state["tempo"] == 97.3 and engine.state["play"])
        second = await both.playing(2, replace(QUICK, tempo_bpm=150))
        second.go(replace(second.host.at_tempo(151), playing=False))
        await second.epoch(lambda told: told.clock == 2)
        assert engine.state["tempo"] == 97.3 and engine.state["play"]
        first.go(replace(first.host, playing=False))
        await both.until(lambda: not engine.state["play"])
        await first.close()
        await both.until(lambda: engine.state["tempo"] == 151)
        assert [command for command, _ in both.live.applied] == ["tempo", "tempo"]

    run(tmp_path, scenario, follow=True)


def test_a_ramp_of_tempos_is_followed_to_its_end_without_a_flood(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(1)
        for step in range(200):
            peer.go(replace(peer.host.at_tempo(200 + step / 4), frame=peer.host.frame + 512))
            if step % 20 == 0:
                await asyncio.sleep(0)
        last = peer.host
        told = await peer.epoch(lambda told: told.clock == last.clock)
        await both.until(lambda: both.live.engine.state["tempo"] == last.tempo_bpm)
        assert len(both.live.applied) < 20 and len(peer.told) < 100
        assert last.is_bar_line(told.from_frame)

    run(tmp_path, scenario, follow=True)


def test_without_following_the_session_stays_as_it_is(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        await both.playing(1, replace(QUICK, tempo_bpm=97.3))
        assert both.live.applied == [] and both.live.engine.state["tempo"] == 400

    run(tmp_path, scenario)


# -- connections ------------------------------------------------------------------------------------------------------


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


UNFIT = {
    "garbage": random.Random(1).randbytes(5000),
    "no HELLO first": encode(Pull(1, 0, 1)),
    "another magic": struct.pack("<IH4sHQ", 16, 1, b"HTTP", 1, 7),
    "HELLO twice": encode(Hello(7)) * 2,
    "an endless size": struct.pack("<IH", 0xFFFFFFFF, 1),
    "a browser": b"GET / HTTP/1.1\r\n\r\n",
    "what the engine says": encode(EpochTold(1, 1, 0, 0, False)),
}


@pytest.mark.parametrize("data", UNFIT.values(), ids=UNFIT.keys())
def test_what_the_page_does_not_allow_ends_that_connection_and_nothing_else(tmp_path: Path, data: bytes) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(1)
        reader, writer = await asyncio.open_connection(*_host_port(both.link.address))
        writer.write(data)
        await asyncio.wait_for(reader.read(1 << 20), HANG_SECONDS)
        with pytest.raises((ConnectionError, EOFError)):  # it ends
            while True:
                if not await asyncio.wait_for(reader.read(1 << 20), HANG_SECONDS):
                    raise EOFError
        writer.close()
        assert both.link.status()["dropped"] == 1
        assert len(await peer.pull(1, 0, 5000)) == 5000

    run(tmp_path, scenario)


def test_another_version_is_refused_with_a_reason(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = PluginPeer(*await asyncio.open_connection(*_host_port(both.link.address)), 1, QUICK)
        peer.send(Hello(7, version=2))
        await peer.wait_for("the end", lambda: peer.ended)
        assert peer.refused is not None and peer.refused.version == 1 and "newer engine" in peer.refused.reason
        await peer.close()

    run(tmp_path, scenario)


def test_half_a_packet_and_silence_end_in_being_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resonantgen_bridge.plugin_link.SILENCE_SECONDS", 0.6)

    async def scenario(both: Linked) -> None:
        peer = await both.playing(1)  # says something every 200 ms
        for data in (b"", encode(Hello(7))[:9], encode(Hello(8)), encode(Hello(9)) + encode(peer.status)[:30]):
            reader, writer = await asyncio.open_connection(*_host_port(both.link.address))
            writer.write(data)
            while await asyncio.wait_for(reader.read(1 << 16), HANG_SECONDS):
                pass
            writer.close()
        assert not peer.ended and both.link.status()["dropped"] == 4

    run(tmp_path, scenario)


def test_one_that_does_not_read_costs_bounded_memory_and_holds_up_nobody(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        good = await both.playing(1)
        _, writer = await asyncio.open_connection(*_host_port(both.link.address), limit=1024)
        writer.write(encode(Hello(9)) + encode(good.status))
        await both.until(lambda: len(both.link.status()["instances"]) == 2)
        writer.write(encode(Pull(1, 0, 64)) * 2000)  # a gigabyte, if it were sent
        for i in range(5):
            assert len(await good.pull(1, i * 65_536, 65_536)) == 65_536
        writer.close()

    run(tmp_path, scenario)


@pytest.mark.parametrize("seed", range(4))
def test_garbled_messages_from_many_hurt_nobody(tmp_path: Path, seed: int) -> None:
    async def scenario(both: Linked) -> None:
        rng = random.Random(seed)
        good = await both.playing(1)
        for _ in range(40):
            _, writer = await asyncio.open_connection(*_host_port(both.link.address))
            data = bytearray(encode(Hello(1)) + encode(good.status) * 3 + encode(Pull(1, 0, 2)) * 3)
            for _ in range(rng.randrange(4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            writer.write(bytes(data[: rng.randrange(1, len(data))]))
            writer.close()
        await both.until(lambda: len(both.link.status()["instances"]) == 1)
        assert len(await good.pull(1, 0, 5000)) == 5000

    run(tmp_path, scenario)


def test_an_engine_that_comes_back_plays_at_once(tmp_path: Path) -> None:
    async def whole() -> None:
        async with linked(tmp_path) as both:
            peer = await both.playing(1)
            first = await peer.pull(1, 0, 5000)
            address = both.link.address
            await both.link.close()
            await peer.wait_for("the end", lambda: peer.ended)
            link = PluginLink(both.live.engine, _host_port(address)[1], follow=False)
            await link.start()
            again = await PluginPeer.connect(address, 1, replace(QUICK, frame=5_000))
            told = await again.epoch()
            assert told.at_once and (await again.pull(told.epoch, 0, 5000)).tobytes() == first.tobytes()
            await again.close()
            await link.close()

    asyncio.run(whole())


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        with pytest.raises(AddressTaken, match="--plugin-port"):
            await PluginLink(both.live.engine, _host_port(both.link.address)[1]).start()

    run(tmp_path, scenario)


def test_a_host_without_a_flag_for_it_does_not_play(tmp_path: Path) -> None:
    async def scenario(both: Linked) -> None:
        peer = await both.playing(1, replace(QUICK, playing=False))
        assert HostFlag.PLAYING not in peer.status.flags
        assert not both.link.status()["instances"][0]["playing"]
        await both.live.do("regenerate", track="drums", seed=5)
        assert (await peer.epoch(lambda told: told.epoch == 2)).at_once

    run(tmp_path, scenario)
