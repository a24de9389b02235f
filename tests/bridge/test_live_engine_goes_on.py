"""The live engine goes on when something around it fails, and what it says of the transport stays true."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path

import pytest

from live_fakes import Live, live
from resonantgen.realtime.heard import BarLine, Stopped
from resonantgen_bridge import engine as engine_module
from resonantgen_bridge.calls import Notice


def with_engine(path: Path, test: Callable[[Live], Awaitable[None]]) -> None:
    async def run() -> None:
        async with live(path / "night.rg") as one:
            while (fetching := one.engine._playback._fetching) is not None:
                await fetching
            await asyncio.wait_for(test(one), 60)

    asyncio.run(run())


def test_a_check_that_fails_does_not_end_the_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "HEARTBEAT_SECONDS", 0.01)

    async def test(one: Live) -> None:
        def fail() -> None:
            raise RuntimeError("a library's own")

        beats = asyncio.Event()

        def listen(notice: Notice) -> None:
            if notice.event == "heartbeat" and len(one.heard("heartbeat")) > 2:
                beats.set()

        monkeypatch.setattr(one.output, "check", fail)
        one.engine.checks.append(fail)
        one.engine.subscribe(listen)
        await beats.wait()

    with_engine(tmp_path, test)


def test_a_journal_that_cannot_be_written_is_said_once_and_commands_are_done(tmp_path: Path) -> None:
    class Full(StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    async def test(one: Live) -> None:
        one.engine._journal = Full()
        await one.do("lock", track="bass")
        assert (await one.do("regenerate", track="drums"))["changed"] == {"drums": "drums-2"}
        assert one.engine.state["track/bass/lock"] is True
        (problem,) = one.heard("problem")
        assert problem["code"] == "StorageError" and "No space left on device" in problem["message"]

    with_engine(tmp_path, test)


def test_auto_counts_the_bars_that_are_played_where_that_is_a_part_of_the_loop(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("bars", bars=8)
        await one.do("loop", first=3, bars=2)
        await one.do("auto", every=4)
        made = []
        for number in range(12):
            before = len(one.worker.made)
            one.engine._heard(BarLine(2 + number % 2, 0, number + 1))
            await asyncio.sleep(0)
            while one.engine.state["busy"] or one.engine._tasks:
                await asyncio.sleep(0.01)
            made += [number + 1] * (len(one.worker.made) > before)
        assert made == [4, 8, 12]

    with_engine(tmp_path, test)


def test_play_that_comes_before_the_stop_has_been_told_is_what_counts(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        player = one.engine._player
        await one.do("play")
        player.mix_block(5000)
        await one.do("stop")
        player.mix_block(1000)
        assert not player.position().playing
        await one.do("play")  # the loop has not heard that it stopped
        await asyncio.sleep(0)
        assert one.engine.state["play"] is True
        player.mix_block(1000)
        assert player.position().playing

    with_engine(tmp_path, test)


def test_what_is_played_once_is_told_to_have_stopped_at_its_end(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        player, heard = one.engine._player, []
        hear = player._listener
        player._listener = lambda event: (heard.append(event), hear(event))[1]
        await one.do("loop", on=False)
        await one.do("play")
        while not any(isinstance(event, Stopped) for event in heard):
            assert one.engine.state["play"] is True
            player.mix_block(1000)
        await asyncio.sleep(0)
        assert one.engine.state["play"] is False
        await one.do("play")
        player.mix_block(1000)
        await asyncio.sleep(0)
        assert one.engine.state["play"] is True and player.position().playing

    with_engine(tmp_path, test)
