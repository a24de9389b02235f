"""Renditions: a take's sound at any tempo, found once however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from engine.session.fakes import SHORT, FakeStudio, words
from live_fakes import FakeWorker, noise
from resonantgen.errors import WorkerLost
from resonantgen.music.notes import Role
from resonantgen.realtime.material import Grid
from resonantgen.realtime.worker import Worker
from resonantgen.session.session import Session
from resonantgen_bridge import renditions as module
from resonantgen_bridge.renditions import Renditions

Scenario = Callable[[Session, FakeWorker, Renditions], Awaitable[None]]


def run(path: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        studio = FakeStudio()
        with Session.create(path / "night.rg", studio) as session:
            session.generate(words(style="techno"), seed=7, **SHORT)
            worker = FakeWorker(studio)
            worker.noisy = True
            await scenario(session, worker, Renditions(session, cast("Worker", worker)))

    asyncio.run(whole())


def grid_at(session: Session, tempo: str, rate: int = 44_100) -> Grid:
    assert session.settings is not None
    return Grid(replace(session.settings.tempo, tempo_bpm=Fraction(tempo), sample_rate=rate), session.settings.bars)


def test_as_recorded_it_is_read_and_nothing_is_rendered(tmp_path: Path) -> None:
    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        take, grid = session.playing[Role.BASS], grid_at(session, "400")
        assert renditions.find(take, grid.tempo) is None
        found = await renditions.get([take], grid)
        assert np.array_equal(found[take.id].samples, session.samples(take).astype(np.float32))
        assert renditions.find(take, grid.tempo) is found[take.id] and not worker.rendered

    run(tmp_path, scenario)


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_at_another_tempo_it_is_rendered_once_for_all_who_ask(tmp_path: Path, rate: int) -> None:
    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        takes, grid = list(session.playing.values()), grid_at(session, "97.3", rate)
        asked = [renditions.get([take], grid) for take in takes for _ in range(4)]
        answers = await asyncio.gather(*asked, renditions.get(takes, grid))
        assert sorted(worker.rendered) == sorted((take.id,) for take in takes)
        for take in takes:
            assert np.array_equal(answers[-1][take.id].samples, noise(take.id, grid.tempo, grid.bars))
        await renditions.get(takes, grid)
        assert len(worker.rendered) == 4

    run(tmp_path, scenario)


def test_whoever_gives_up_leaves_the_others_waiting(tmp_path: Path) -> None:
    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        take, grid = session.playing[Role.BASS], grid_at(session, "97.3")
        worker.hold()
        asking = [asyncio.create_task(renditions.get([take], grid)) for _ in range(3)]
        await worker.waiting.wait()
        asking[0].cancel()
        await asyncio.sleep(0)
        worker.release()
        assert (await asking[1])[take.id] is (await asking[2])[take.id]
        assert worker.rendered == [(take.id,)]

    run(tmp_path, scenario)


def test_what_everyone_gave_up_is_asked_for_anew(tmp_path: Path) -> None:
    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        take, grid = session.playing[Role.BASS], grid_at(session, "97.3")
        worker.hold()
        asking = asyncio.create_task(renditions.get([take], grid))
        await worker.waiting.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        worker.release()
        assert take.id in await renditions.get([take], grid)
        assert worker.rendered == [(take.id,)] * 2

    run(tmp_path, scenario)


def test_an_error_is_everyones_and_the_next_who_asks_tries_again(tmp_path: Path) -> None:
    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        take, grid = session.playing[Role.BASS], grid_at(session, "97.3")
        worker.failure = WorkerLost("It stopped.")
        errors = await asyncio.gather(*(renditions.get([take], grid) for _ in range(2)), return_exceptions=True)
        assert all(isinstance(error, WorkerLost) for error in errors)
        worker.failure = None
        assert take.id in await renditions.get([take], grid)

    run(tmp_path, scenario)


def test_the_sound_of_a_take_that_never_was_is_not_found_under_its_id(tmp_path: Path) -> None:
    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        playing, grid = session.playing, grid_at(session, "97.3")
        materials = [(await renditions.get([take], grid))[take.id] for take in playing.values()]
        fresh = Renditions(session, cast("Worker", worker))
        fresh.audition(materials, grid.tempo)
        assert fresh.find(playing[Role.BASS], grid.tempo) is None
        fresh.keep_what_became_true([playing[Role.BASS]])
        assert fresh.find(playing[Role.BASS], grid.tempo) is not None
        fresh.keep_what_became_true(playing.values())
        assert fresh.find(playing[Role.DRUMS], grid.tempo) is None

    run(tmp_path, scenario)


def test_memory_is_bounded_and_the_latest_four_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_BYTES", 1)

    async def scenario(session: Session, worker: FakeWorker, renditions: Renditions) -> None:
        takes = list(session.playing.values())
        for tempo in ("97.3", "120"):
            await renditions.get(takes, grid_at(session, tempo))
        assert all(renditions.find(take, grid_at(session, "120").tempo) is not None for take in takes)
        assert all(renditions.find(take, grid_at(session, "97.3").tempo) is None for take in takes)

    run(tmp_path, scenario)
