"""The worker, with real processes: what is heard and recorded, giving up, death on either side."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from orders import Ear, small_order, with_instrument
from resonantgen.errors import BadValue, Cancelled, EngineError, PromptError, WorkerLost
from resonantgen.instruments.wav import read_wav
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen.prompt import understand
from resonantgen.realtime import worker_process
from resonantgen.realtime.material import Grid
from resonantgen.realtime.preview import preview
from resonantgen.realtime.worker import Ready, Worker
from resonantgen.session.jobs import Order
from resonantgen.session.produce import make_takes
from resonantgen.session.rendition import recipe_at, render_wav
from resonantgen.session.studio import Studio
from resonantgen.session.values import Progress, Take

T = TypeVar("T")
PATIENCE_SECONDS = 120.0  # only to catch what hangs
LONG = 64  # bars: work that is still going on whenever a test looks


class Bench:
    """A worker and the loop that it lives in."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.worker = Worker()
        self.run(self.worker.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            return await asyncio.wait_for(work, PATIENCE_SECONDS)

        return self.runner.run(limited())

    def make(self, order: Order, bar: int = 0, tempo: TempoMap | None = None) -> tuple[list[tuple[Take, bytes]], Ear]:
        ear = Ear()
        made = self.run(self.worker.make(order, bar, tempo or order.job.settings.tempo, ear))
        return made, ear


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.runner:
        yield bench
        bench.worker.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that waits to be reaped does not."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def made_here(order: Order) -> list[tuple[Take, bytes]]:
    files: dict[str, bytes] = {}

    def add_audio(data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        files[sha256] = data
        return sha256

    takes = make_takes(order.job, order.standing, Studio(), order.numbers, add_audio)
    return [(take, files[take.audio_sha256]) for take in takes]


# Making


def test_takes_are_those_that_would_be_made_here(bench: Bench) -> None:
    order = small_order()
    made, _ = bench.make(order)
    assert made == made_here(order)
    assert [take.role for take, _ in made] == list(Role)


def test_a_partial_is_the_preview_of_its_bar(bench: Bench) -> None:
    order = small_order("house", seed=4)
    tempo = order.job.settings.tempo
    for bar in (0, 1):
        made, ear = bench.make(order, bar)
        assert ear.partial.keys() == set(Role)
        for take, _ in made:
            ready = ear.partial[take.role]
            material = ready.material
            assert material.name == f"{take.id}~" and material.notes == take.score.notes
            assert material.first_frame == tempo.bar_sample(bar)
            assert len(material.samples) == tempo.bar_sample(bar + 1) - tempo.bar_sample(bar)
            assert material.samples.dtype == np.float32
            assert np.array_equal(material.samples, preview(take.score, take.recipe, take.sound, bar, ready.gain_db))
            assert np.abs(material.samples).max() <= 10 ** (-1 / 20)


def test_a_whole_is_the_recorded_take(bench: Bench) -> None:
    made, ear = bench.make(small_order(seed=2), bar=7)  # a bar that it does not have: the loop goes round
    assert ear.partial[Role.BASS].material.first_frame == made[0][0].recipe.settings.tempo.bar_sample(1)
    for take, data in made:
        material = ear.whole[take.role].material
        assert (material.name, material.first_frame, material.partial) == (take.id, 0, False)
        assert material.notes == take.score.notes
        assert material.samples.dtype == np.float32
        assert np.array_equal(material.samples, read_wav(io.BytesIO(data))[0])
        assert hashlib.sha256(data).hexdigest() == take.audio_sha256


def test_every_preview_comes_before_any_whole_and_progress_tells_each_bar(bench: Bench) -> None:
    _, ear = bench.make(small_order(seed=3))
    assert [(ready.role, ready.material.partial) for ready in ear.ready[:4]] == [(role, True) for role in Role]
    wholes = [(ready.role, ready.material.partial) for ready in ear.ready if not ready.material.partial]
    assert wholes == [(role, False) for role in Role]
    for role in Role:
        stages = [(p.stage, p.bar, p.bars) for p in ear.progress if p.role is role]
        assert stages == [("notes", 1, 2), ("notes", 2, 2), ("sound", 2, 2)]


def test_a_sound_that_was_heard_before_is_previewed_at_the_gain_it_came_to(bench: Bench) -> None:
    order = small_order("ambient", seed=5)
    _, before = bench.make(order)
    _, ear = bench.make(order, bar=1)
    for role in Role:
        assert ear.partial[role].gain_db == before.whole[role].gain_db == ear.whole[role].gain_db


def test_what_plays_at_another_tempo_and_rate_is_heard_so_and_recorded_as_ordered(bench: Bench) -> None:
    order = small_order(roles=[Role.DRUMS, Role.MELODY])
    tempo = TempoMap(Fraction(300), order.job.settings.meter, 48_000)
    made, ear = bench.make(order, 1, tempo)
    assert made == made_here(order)
    for take, _ in made:
        recipe = recipe_at(take.recipe, tempo)
        partial, whole = ear.partial[take.role], ear.whole[take.role]
        assert partial.material.first_frame == tempo.bar_sample(1)
        expected = preview(take.score, recipe, take.sound, 1, partial.gain_db)
        assert np.array_equal(partial.material.samples, expected)
        stored = render_wav(take.score, recipe, take.sound, Studio())
        assert np.array_equal(whole.material.samples, read_wav(io.BytesIO(stored))[0])


def test_takes_are_rendered_again_for_another_grid(bench: Bench) -> None:
    made, _ = bench.make(small_order(roles=[Role.BASS, Role.HARMONY]))
    takes = [take for take, _ in made]
    grid = Grid(TempoMap(Fraction(333), sample_rate=48_000), 2)
    ear = Ear()
    bench.run(bench.worker.render(takes, grid, 1, ear))
    names = [ready.material.name for ready in ear.ready]
    assert list(dict.fromkeys(names)) == ["bass-1~", "harmony-1~", "bass-1", "harmony-1"]
    for take in takes:
        recipe = recipe_at(take.recipe, grid.tempo)
        partial, whole = ear.partial[take.role], ear.whole[take.role]
        assert partial.material.first_frame == grid.tempo.bar_sample(1)
        expected = preview(take.score, recipe, take.sound, 1, partial.gain_db)
        assert np.array_equal(partial.material.samples, expected)
        assert len(whole.material.samples) == grid.frames
        stored = render_wav(take.score, recipe, take.sound, Studio())
        assert np.array_equal(whole.material.samples, read_wav(io.BytesIO(stored))[0])


def check_previews(ear: Ear, takes: list[Take], tempo: TempoMap, bar: int) -> None:
    """What was sent of each track until its whole was: from one bar, longer and longer, the same preview."""
    for take in takes:
        partials = ear.partials(take.role)
        mine = [ready for ready in ear.ready if ready.role is take.role]
        assert len(partials) > 1 and mine == [*partials, ear.whole[take.role]]
        frames = [len(ready.material.samples) for ready in partials]
        bars = [tempo.tick_at(each) // tempo.meter.bar_ticks for each in frames]
        assert bars[0] == 1 and bars == sorted(set(bars)) and frames == [tempo.frames(each) for each in bars]
        material = partials[-1].material
        recipe = recipe_at(take.recipe, tempo)
        longest = preview(take.score, recipe, take.sound, bar, partials[0].gain_db, bars[-1])
        assert np.array_equal(material.samples, longest)
        for ready in partials:
            assert material.extends(ready.material) and ready.material.first_frame == tempo.bar_sample(bar)
            assert np.array_equal(ready.material.samples, longest[: len(ready.material.samples)])


def test_previews_run_on_until_the_wholes_of_a_long_loop_are_there(bench: Bench) -> None:
    roles = [Role.DRUMS, Role.HARMONY]
    order = small_order("house", bars=LONG, tempo=400, roles=roles)
    tempo = order.job.settings.tempo
    made, ear = bench.make(order, LONG - 1)  # so that they go around the loop's end
    takes = [take for take, _ in made]
    check_previews(ear, takes, tempo, LONG - 1)
    grid = Grid(TempoMap(Fraction(360), sample_rate=48_000), LONG)
    ear = Ear()
    bench.run(bench.worker.render(takes, grid, 5, ear))
    check_previews(ear, takes, grid.tempo, 5)


def test_times_are_told(bench: Bench) -> None:
    bench.make(small_order(roles=[Role.BASS]))
    document = bench.worker.times.document()
    assert document["orders"] and document["orders"] > 0
    for half, most in (("first_bar_ms_p50", "first_bar_ms_p95"), ("whole_ms_p50", "whole_ms_p95")):
        low, high = document[half], document[most]
        assert low is not None and high is not None and 0 < low <= high


# Words and errors


def test_words_are_understood_as_they_are_here(bench: Bench) -> None:
    text = "dark techno, driving bass, no melody"
    assert bench.run(bench.worker.understand(text)) == understand(text)


@pytest.mark.parametrize(("text", "kind"), [("...", PromptError), ("techno at 9000 bpm", BadValue)])
def test_errors_are_those_that_would_be_raised_here(bench: Bench, text: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as here:
        understand(text)
    with pytest.raises(kind) as there:
        bench.run(bench.worker.understand(text))
    assert type(there.value) is type(here.value) and str(there.value) == str(here.value)


def test_the_process_outlives_errors(bench: Bench) -> None:
    pid = bench.worker.pid
    order = small_order()
    with pytest.raises(BadValue, match="no_such_thing"):
        bench.make(with_instrument(order, "no_such_thing"))
    broken = replace(order, job=replace(order.job, seeds={}))
    with pytest.raises(EngineError, match=r"KeyError.*report") as error:
        bench.make(broken)
    assert type(error.value) is EngineError and "\n" not in str(error.value)
    assert bench.make(order)[0] == made_here(order)
    assert bench.worker.pid == pid


def test_a_listener_that_fails_ends_its_order_only(bench: Bench) -> None:
    def fail(news: Progress | Ready) -> None:
        raise RuntimeError("of the listener")

    order = small_order(bars=LONG)
    with pytest.raises(RuntimeError, match="of the listener"):
        bench.run(bench.worker.make(order, 0, order.job.settings.tempo, fail))
    bench.make(small_order())


# Order, and giving up


def test_words_do_not_wait_and_renders_go_before_orders(bench: Bench) -> None:
    small = small_order(roles=[Role.BASS])
    take = bench.make(small)[0][0][0]
    long = small_order(bars=LONG)
    tempo = small.job.settings.tempo
    ended: list[str] = []

    async def note(name: str, work: Coroutine[Any, Any, object]) -> None:
        await work
        ended.append(name)

    async def scenario() -> None:
        worker = bench.worker
        begun = asyncio.Event()
        running = asyncio.create_task(worker.make(long, 0, long.job.settings.tempo, lambda news: begun.set()))
        await begun.wait()
        others = [
            asyncio.create_task(note("first make", worker.make(small, 0, tempo))),
            asyncio.create_task(note("second make", worker.make(small, 0, tempo))),
            asyncio.create_task(note("render", worker.render([take], Grid(tempo, 2), 0, lambda news: None))),
        ]
        await note("words", worker.understand("house"))
        assert ended == ["words"] and not running.done()
        running.cancel()
        await asyncio.gather(running, *others, return_exceptions=True)

    bench.run(scenario())
    assert ended == ["words", "render", "first make", "second make"]


@pytest.mark.parametrize("partial", [False, True], ids=["while composing", "while rendering"])
def test_an_order_that_is_given_up_makes_way(bench: Bench, partial: bool) -> None:
    pid = bench.worker.pid
    long, small = small_order(bars=LONG), small_order(seed=9)
    heard: list[object] = []

    async def scenario() -> list[tuple[Take, bytes]]:
        begun = asyncio.Event()

        def listen(news: Progress | Ready) -> None:
            heard.append(news)
            if isinstance(news, Ready) if partial else True:
                begun.set()

        task = asyncio.create_task(bench.worker.make(long, 0, long.job.settings.tempo, listen))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told = len(heard)
        made = await bench.worker.make(small, 0, small.job.settings.tempo)
        assert len(heard) == told, "nothing more is heard of it"
        return made

    assert bench.run(scenario()) == made_here(small)
    assert bench.worker.pid == pid


def test_what_waits_can_be_given_up(bench: Bench) -> None:
    small = small_order(seed=9)
    tempo = small.job.settings.tempo

    async def scenario() -> None:
        running = asyncio.create_task(bench.worker.make(small, 0, tempo))
        waiting = asyncio.create_task(bench.worker.make(small_order(bars=LONG), 0, tempo))
        last = asyncio.create_task(bench.worker.make(small, 0, tempo))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await running == await last
        assert waiting.cancelled() and not bench.worker.busy

    bench.run(scenario())


# Death


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")
def test_a_killed_process_fails_what_runs_and_another_does_the_rest(bench: Bench) -> None:
    long, small = small_order(bars=LONG), small_order(seed=8)
    pid = bench.worker.pid
    assert pid is not None

    async def scenario() -> list[tuple[Take, bytes]]:
        begun = asyncio.Event()

        def listen(news: Progress | Ready) -> None:
            if isinstance(news, Ready):
                begun.set()

        running = asyncio.create_task(bench.worker.make(long, 0, long.job.settings.tempo, listen))
        waiting = asyncio.create_task(bench.worker.make(small, 0, small.job.settings.tempo))
        await begun.wait()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="try again"):
            await running
        assert bench.worker.warming
        made = await waiting
        await bench.worker.warm.wait()
        assert await bench.worker.make(small, 0, small.job.settings.tempo) == made
        return made

    assert bench.run(scenario()) == made_here(small)
    assert bench.worker.pid not in (None, pid) and not is_running(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_ctrl_c_is_not_for_the_process(bench: Bench) -> None:
    pid = bench.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    bench.make(small_order())
    assert bench.worker.pid == pid


PARENT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from orders import small_order
from resonantgen.realtime.worker import Worker

async def main():
    worker = Worker()
    await worker.start()
    order = small_order(bars=64)
    await worker.make(order, 0, order.job.settings.tempo, lambda news: print(worker.pid, flush=True))

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")
def test_the_process_ends_when_the_engine_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(tests=str(Path(__file__).parents[2])))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    wait_until(lambda: not is_running(pid))


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
def test_closing_ends_even_a_process_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "PATIENCE_SECONDS", 0.2)
    bench = Bench()
    with bench.runner:
        pid = bench.worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)

        async def scenario() -> None:
            order = small_order()
            running = asyncio.create_task(bench.worker.make(order, 0, order.job.settings.tempo))
            waiting = asyncio.create_task(bench.worker.make(order, 0, order.job.settings.tempo))
            await asyncio.sleep(0)
            bench.worker.close()
            bench.worker.close()
            for task in (running, waiting):
                with pytest.raises(Cancelled, match="shut down"):
                    await task
            with pytest.raises(Cancelled, match="shut down"):
                await bench.worker.understand("house")

        bench.run(scenario())
        assert bench.worker.pid is None and not is_running(pid)
