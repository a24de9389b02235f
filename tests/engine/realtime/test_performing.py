"""Takes that are sound, in the worker: whole at once, at any tempo, beside notes; stopped whenever somebody asks."""

from __future__ import annotations

import asyncio
import hashlib
import io
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from fractions import Fraction
from multiprocessing import Pipe
from typing import Any, TypeVar

import numpy as np
import pytest

from engine.session.fakes import MELODY, SMALL
from orders import Ear, small_order
from performing import ENDLESS, FAKES, launch, order_of_sound
from resonantgen.errors import ModelNotFound
from resonantgen.instruments.wav import read_wav
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen.realtime.material import Grid
from resonantgen.realtime.messages import GiveUp, Make
from resonantgen.realtime.post import Post
from resonantgen.realtime.worker import Ready, Worker
from resonantgen.realtime.worker_process import LocalProcess
from resonantgen.session import studio as studio_module
from resonantgen.session.jobs import Order
from resonantgen.session.produce import make_takes
from resonantgen.session.rendition import stretched_wav
from resonantgen.session.studio import Studio
from resonantgen.session.values import Progress, Take

T = TypeVar("T")
PATIENCE_SECONDS = 120.0  # only to catch what hangs
PITCHED = (Role.BASS, Role.HARMONY, Role.MELODY)


class Bench:
    """A worker whose models are fakes, and the loop that it lives in."""

    def __init__(self, launching: Callable[[], Any] = launch) -> None:
        self.runner = asyncio.Runner()
        self.worker = Worker(launching)
        self.run(self.worker.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            return await asyncio.wait_for(work, PATIENCE_SECONDS)

        return self.runner.run(limited())

    def make(self, order: Order, tempo: TempoMap | None = None) -> tuple[list[tuple[Take, bytes]], Ear]:
        ear = Ear()
        made = self.run(self.worker.make(order, 0, tempo or order.job.settings.tempo, ear))
        return made, ear


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.runner:
        yield bench
        bench.worker.close()


def made_here(order: Order, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Take, bytes]]:
    for name, fake in FAKES.items():
        monkeypatch.setattr(studio_module, name, fake)
    files: dict[str, bytes] = {}

    def add_audio(data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        files[sha256] = data
        return sha256

    takes = make_takes(order.job, order.standing, Studio(), order.numbers, add_audio)
    return [(take, files[take.audio_sha256]) for take in takes]


@pytest.mark.parametrize("sounds", [(Role.DRUMS,), (Role.HARMONY,), (Role.MELODY,), tuple(Role)], ids=str)
def test_takes_are_those_that_would_be_made_here(
    bench: Bench, sounds: tuple[Role, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_of_sound(*sounds)
    made, ear = bench.make(order)
    assert made == made_here(order, monkeypatch)
    assert [take.role for take, _ in made if take.is_sound] == list(sounds)
    assert ear.whole.keys() == set(Role)
    for take, data in made:
        material = ear.whole[take.role].material
        assert (material.name, material.partial, material.notes) == (take.id, False, take.score.notes)
        assert np.array_equal(material.samples, read_wav(io.BytesIO(data))[0])
        assert (take.role in ear.partial) is not take.is_sound, "sound has no preview from notes"
    assert bench.worker.times.document()["orders"] == 0, "a model's time is no measure of the others"


def test_nobody_waits_for_sound_and_each_whole_comes_once(bench: Bench) -> None:
    order = order_of_sound(Role.HARMONY)
    news: list[Progress | Ready] = []
    bench.run(bench.worker.make(order, 0, order.job.settings.tempo, news.append))
    performed = next(i for i, one in enumerate(news) if isinstance(one, Progress) and one.role is Role.HARMONY)
    before = {one.role for one in news[:performed] if isinstance(one, Ready)}
    assert before >= {Role.DRUMS, Role.BASS} and Role.MELODY not in before
    wholes = [one.role for one in news if isinstance(one, Ready) and not one.material.partial]
    assert sorted(wholes) == sorted(Role)
    for role in Role:
        of_track = [one for one in news if isinstance(one, Ready) and one.role is role]
        assert not of_track[-1].material.partial, "nothing comes after the whole"


def test_sound_is_stretched_to_what_plays_and_recorded_as_it_was_made(bench: Bench) -> None:
    order = order_of_sound(Role.DRUMS)
    plays = TempoMap(Fraction(240), order.job.settings.meter, 48_000)
    made, ear = bench.make(order, plays)
    drums, data = made[0]
    assert drums.recipe.settings.sample_rate == 44_100
    expected = read_wav(io.BytesIO(stretched_wav(drums, plays, data)))[0]
    samples = ear.whole[Role.DRUMS].material.samples
    assert len(samples) == plays.frames(2) and np.array_equal(samples, expected.astype(np.float32))


def test_takes_of_sound_and_of_notes_are_brought_to_another_tempo(bench: Bench) -> None:
    order = order_of_sound(Role.BASS)
    made, _ = bench.make(order)
    takes = [take for take, _ in made]
    recordings = {take.audio_sha256: data for take, data in made if take.is_sound}
    grid, ear = Grid(replace(order.job.settings.tempo, tempo_bpm=Fraction("222.7")), 2), Ear()
    bench.run(bench.worker.render(takes, grid, 1, ear, recordings))
    assert {len(ready.material.samples) for ready in ear.whole.values()} == {grid.frames}
    assert ear.whole.keys() == set(Role) and ear.partial.keys() == set(Role) - {Role.BASS}
    (recorded,) = recordings.values()
    expected = read_wav(io.BytesIO(stretched_wav(takes[1], grid.tempo, recorded)))[0]
    assert np.array_equal(ear.whole[Role.BASS].material.samples, expected.astype(np.float32))
    assert recorded == made[1][1]


def test_recordings_are_let_go_once_they_were_used(bench: Bench) -> None:
    order = order_of_sound(Role.DRUMS)
    (drums, data), *_ = bench.make(order)[0]
    grid = Grid(replace(order.job.settings.tempo, tempo_bpm=Fraction(200)), 2)
    before = sys.getrefcount(data)

    async def scenario() -> None:
        await bench.worker.render([drums], grid, 0, Ear(), {drums.audio_sha256: data})
        while sys.getrefcount(data) > before:  # by a thread that sends and waits
            await asyncio.sleep(0.01)

    bench.run(scenario())


def test_what_a_take_heard_of_sound_travels_with_the_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = bench.make(order_of_sound(Role.DRUMS))
    drums, data = made[0]
    order = order_of_sound(*PITCHED)
    job = replace(order.job, parts={role: order.job.parts[role] for role in PITCHED}, staying={Role.DRUMS: drums})
    order = replace(order, job=job, numbers=dict.fromkeys(PITCHED, 1))
    assert job.recordings == (drums,)
    settings, recordings = job.settings, {drums.audio_sha256: data}
    again = bench.run(bench.worker.make(order, 0, settings.tempo, recordings=recordings))
    assert all(take.recipe.context[Role.DRUMS] == drums.id and take.is_sound for take, _ in again)


def test_a_model_hears_tracks_that_stay_and_those_that_are_rendered_beside_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = dict(zip(Role, (take for take, _ in bench.make(small_order())[0]), strict=True))
    order = order_of_sound(Role.MELODY)
    parts = {Role.HARMONY: order.job.parts[Role.HARMONY]}
    parts[Role.MELODY] = replace(order.job.parts[Role.MELODY], generator=MELODY)
    staying = {role: stays[role] for role in (Role.DRUMS, Role.BASS)}
    job = replace(order.job, parts=parts, staying=staying)
    order = replace(order, job=job, numbers=dict.fromkeys(parts, 2))
    made, ear = bench.make(order)
    assert made == made_here(order, monkeypatch)
    assert ear.whole.keys() == parts.keys(), "what stays is not sent"


def test_a_model_that_plays_is_stopped_and_rendered_beside(bench: Bench) -> None:
    made, _ = bench.make(small_order())
    takes, settings = [take for take, _ in made], made[0][0].recipe.settings
    grid = Grid(replace(settings.tempo, tempo_bpm=Fraction(200)), settings.bars)
    pid = bench.worker.pid

    async def scenario() -> None:
        performing, ear = asyncio.Event(), Ear()

        def listen(news: Progress | Ready) -> None:
            if isinstance(news, Progress) and news.role is Role.DRUMS:
                performing.set()

        endless = order_of_sound(Role.DRUMS, words=ENDLESS)
        making = asyncio.create_task(bench.worker.make(endless, 0, settings.tempo, listen))
        await performing.wait()
        assert (await bench.worker.understand("house")).style == "house"
        await bench.worker.render(takes, grid, 0, ear)
        assert ear.whole.keys() == set(Role) and not making.done()
        stopped = asyncio.create_task(bench.worker.render(takes, grid, 0, ear))
        stopped.cancel()
        waiting = asyncio.create_task(bench.worker.make(small_order(), 0, settings.tempo))
        await asyncio.sleep(0.05)
        assert not waiting.done() and bench.worker.busy
        making.cancel()
        await asyncio.gather(making, stopped, return_exceptions=True)
        assert len(await waiting) == 4

    bench.run(scenario())
    assert bench.worker.pid == pid


def test_what_is_given_up_stays_so_however_many_words_are_given_up_before_a_model_notices() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        post, order = Post(ours), order_of_sound(Role.DRUMS)
        post._take(Make(1, order, 0, order.job.settings.tempo))
        post._take(GiveUp(1))
        for number in range(2, 100):
            post._take(GiveUp(number))  # of words that were answered already
        assert post.gave_up(1) and not post.gave_up(2)
        post.ended(1)
        assert post.gave_up(1), "what it has left behind is to end"


def test_a_model_that_is_not_there_is_told_before_anything_is_made(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESONANTGEN_MODELS", str(tmp_path_factory.mktemp("none")))
    bench = Bench(LocalProcess)
    with bench.runner:
        ear, order = Ear(), order_of_sound(Role.MELODY)
        with pytest.raises(ModelNotFound, match=f"models pull {SMALL}"):
            bench.run(bench.worker.make(order, 0, order.job.settings.tempo, ear))
        assert not ear.ready and not ear.progress
        bench.worker.close()
