"""The line of commands that make takes: its order, and what is left of those that were given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from live_fakes import Live, live
from resonantgen.session.values import Take


def with_engine(path: Path, test: Callable[[Live], Awaitable[None]]) -> None:
    async def run() -> None:
        async with live(path / "night.rg") as one:
            await asyncio.wait_for(test(one), 60)

    asyncio.run(run())


async def idle(one: Live) -> None:
    while one.engine.state["busy"]:
        await asyncio.sleep(0.01)


def test_an_undo_that_comes_with_a_generation_is_done_after_it(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        made, undone = one.start("regenerate", track="bass"), one.start("undo")
        assert (await made)["changed"] == {"bass": "bass-2"}
        assert (await undone)["changed"] == {"bass": "bass-1"}
        assert [command for command, _ in one.applied] == ["regenerate", "undo"]

    with_engine(tmp_path, test)


def test_who_gives_up_when_it_is_done_already_hears_that_it_is(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        made = one.start("regenerate", track="bass")
        await one.worker.waiting.wait()
        running = one.engine._queue._running
        assert running is not None
        running.done.add_done_callback(lambda _: made.cancel())
        one.worker.release()
        assert (await made)["changed"] == {"bass": "bass-2"}

    with_engine(tmp_path, test)


def test_commands_that_are_given_up_leave_no_task_behind(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        if (fetching := one.engine._playback._fetching) is not None:
            await fetching
        before = len(asyncio.all_tasks())
        for _ in range(5):
            one.worker.hold()
            made = one.start("regenerate", track="bass")
            await one.worker.waiting.wait()
            made.cancel()
            await asyncio.gather(made, return_exceptions=True)
            await idle(one)
        one.worker.release()
        for _ in range(3):  # the line itself ends
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before

    with_engine(tmp_path, test)


def test_takes_that_are_made_when_a_lock_comes_leave_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(one: Live) -> None:
        queue = one.engine._queue
        make_and_store = queue._make_and_store
        tries = 0

        async def lock_as_it_ends(*arguments: Any) -> list[Take]:
            nonlocal tries
            tries += 1
            takes: list[Take] = await make_and_store(*arguments)
            await one.do("lock", track="bass")
            return takes

        monkeypatch.setattr(queue, "_make_and_store", lock_as_it_ends)
        outcome = await one.do("regenerate")
        assert (
            tries == 2 and outcome["locked"] == ["bass"] and set(outcome["changed"]) == {"drums", "harmony", "melody"}
        )
        kept = {take.audio_sha256 for track in one.session.tracks.values() for take in track.takes}
        assert {file.stem for file in (one.session.path / "audio").iterdir()} == kept

    with_engine(tmp_path, test)
