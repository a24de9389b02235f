"""A real engine and the plugin's side of the link: what is pulled is what is exported, at any rate and tempo."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.session.fakes import SMALL
from engine_process import EngineProcess, engine_process, make_project, wait_for
from performing import FAKES
from plugin_peer import Host, PluginPeer, Samples
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session import studio
from resonantgen.session.rendition import read_samples, stretched_wav
from resonantgen.session.session import Session

ROLES = tuple(Role)
HOST = Host(tempo_bpm=170, frame=5000)


def exported(engine: EngineProcess, folder: Path) -> dict[Role, Samples]:
    """The stems, as the engine writes them."""
    engine.client.call("export", folder=str(folder))
    stems = {}
    for role in ROLES:
        (file,) = folder.glob(f"**/*{role.value}*.wav")
        stems[role] = soundfile.read(file, dtype="float32", always_2d=True)[0]
    return stems


async def connected(engine: EngineProcess, host: Host) -> list[PluginPeer]:
    """Four, and each has gone over to its first epoch."""
    peers = [await PluginPeer.connect(engine.addresses["plugin"], track, host) for track in (1, 2, 3, 4)]
    for peer in peers:
        await gone_over(peer)
    return peers


async def gone_over(peer: PluginPeer) -> None:
    told = await peer.epoch(lambda told: told.clock == peer.host.clock and told.epoch != peer.plays)
    peer.plays = told.epoch
    peer.go(replace(peer.host, frame=told.from_frame + 512))


async def assert_same(peers: list[PluginPeer], stems: dict[Role, Samples]) -> None:
    """Two passes of each are the stem, to the bit."""
    for peer, role in zip(peers, ROLES, strict=True):
        length = len(stems[role])
        heard = await peer.pull(peer.plays, 0, 2 * length)
        assert np.array_equal(heard[:length], stems[role]), role
        assert np.array_equal(heard[length:], stems[role]), role


def run(engine: EngineProcess, scenario: Callable[[list[PluginPeer]], Awaitable[None]], host: Host) -> None:
    async def whole() -> None:
        peers = await connected(engine, host)
        try:
            await scenario(peers)
        finally:
            for peer in peers:
                await peer.close()

    asyncio.run(whole())


def test_a_session_in_a_host(tmp_path: Path) -> None:
    """Played, regenerated, frozen, at another tempo: always what an export at that moment holds."""

    async def scenario(peers: list[PluginPeer]) -> None:
        await assert_same(peers, await asyncio.to_thread(exported, engine, tmp_path / "first"))
        peers[1].lock = True
        peers[1].tell()
        await peers[1].state(lambda flags: bool(flags & 2))
        peers[1].regenerations += 1
        peers[1].tell()
        for peer in (peers[0], peers[2], peers[3]):
            await gone_over(peer)
        await assert_same(peers, await asyncio.to_thread(exported, engine, tmp_path / "second"))
        host = replace(peers[0].host, clock=2, tempo_bpm=200)  # whole frames in a bar
        for peer in peers:
            peer.go(host)
        for peer in peers:
            await gone_over(peer)
        await asyncio.to_thread(wait_for, "the host's tempo", lambda: engine.state["tempo"] == 200)
        await assert_same(peers, await asyncio.to_thread(exported, engine, tmp_path / "third"))
        described = (await asyncio.to_thread(engine.client.status))["drivers"]["plugin"]
        assert described["silent_here"] == [role.value for role in ROLES]
        assert [each["locks"] for each in described["instances"]] == [False, True, False, False]

    with engine_process(make_project(tmp_path / "night.rg")) as engine:
        run(engine, scenario, HOST)
        assert engine.errors == ""


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_at_the_hosts_rate(tmp_path: Path, rate: int) -> None:
    """Its stems are rendered for it: as those of an engine that runs at that rate."""
    rendered: dict[Role, Samples] = {}

    async def scenario(peers: list[PluginPeer]) -> None:
        for peer, role in zip(peers, ROLES, strict=True):
            length = round(8 * 60 * rate / 170)  # not a whole number: the second pass is a frame longer or shorter
            heard = await peer.pull(peer.plays, 0, 3 * length)
            starts = [round(k * 8 * 60 * rate / 170) for k in range(3)]
            some = length - 1
            assert all(np.array_equal(heard[at : at + some], heard[:some]) for at in starts), role
            assert np.abs(heard).max() > 0.01, role
            rendered[role] = heard[:length]

    with engine_process(make_project(tmp_path / "night.rg"), "--no-follow") as engine:
        run(engine, scenario, replace(HOST, sample_rate=rate))
        assert engine.state["tempo"] == 170 and engine.errors == ""
    with engine_process(tmp_path / "night.rg", "--no-follow") as engine:
        before, rendered = rendered, {}
        run(engine, scenario, replace(HOST, sample_rate=rate))  # another time: the same bytes
    assert all(np.array_equal(before[role], rendered[role]) for role in ROLES)


def test_a_take_of_sound_is_stretched_for_a_host_at_another_rate_and_tempo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pulled is the stretched rendition of the stored file; at the take's own rate and tempo, the file."""
    project, meter, bars = tmp_path / "sound.rg", Meter(4, 4), 2
    for name, fake in FAKES.items():
        monkeypatch.setattr(studio, name, fake)
    with Session.create(project) as session:
        session.generate("techno", tempo=170, bars=bars, seed=1, tracks=["drums"], generators={"drums": SMALL})
        take = session.playing[Role.DRUMS]
        stored = session.wav(take)
    assert take.is_sound and take.recipe.settings.tempo == TempoMap(Fraction(170), meter, 48_000)

    async def scenario(peer: PluginPeer) -> None:
        for clock, (rate, tempo) in enumerate([(44_100, 97.3), (48_000, 170), (96_000, 170), (48_000, 211)], 1):
            host = Host(rate, tempo, frame=3 * rate + 77, clock=clock)
            peer.go(host)
            await gone_over(peer)
            at = TempoMap(Fraction(str(tempo)), meter, rate)
            wav = stored if at == take.recipe.settings.tempo else stretched_wav(take, at, stored)
            stem = read_samples(wav).astype(np.float32)
            assert len(stem) == at.frames(bars) and np.abs(stem).max() > 0.01
            starts = [round(k * bars * host.bar_frames) for k in range(4)]
            laid = np.concatenate([stem[np.arange(b - a) % len(stem)] for a, b in pairwise(starts)])
            assert np.array_equal(await peer.pull(peer.plays, 0, len(laid)), laid), (rate, tempo)

    async def whole(engine: EngineProcess) -> None:
        peer = await PluginPeer.connect(engine.addresses["plugin"], 1, Host(44_100, 97.3, clock=0, timed=False))
        try:
            await scenario(peer)
        finally:
            await peer.close()

    with engine_process(project, "--no-follow") as engine:
        asyncio.run(whole(engine))
        assert engine.state["tempo"] == 170 and engine.errors == ""
    with Session.open(project, readonly=True) as session:
        assert session.wav(take) == stored
