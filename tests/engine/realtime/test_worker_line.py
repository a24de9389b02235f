"""The worker's line and its restarts, against processes that a test plays itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from orders import small_order
from resonantgen.errors import Cancelled, EngineError, TrackLocked, WorkerLost
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Intent
from resonantgen.realtime import worker as worker_module
from resonantgen.realtime.material import Grid
from resonantgen.realtime.messages import (
    Advanced,
    Done,
    Failed,
    GivenUp,
    GiveUp,
    Hello,
    Make,
    Message,
    Render,
    Reply,
    Understand,
    Warm,
)
from resonantgen.realtime.worker import Worker
from resonantgen.realtime.worker_process import Peer
from resonantgen.session.values import Progress

ORDER = small_order()
TEMPO = ORDER.job.settings.tempo
PATIENCE_SECONDS = 30.0


class FakePeer:
    """A process that does what the test says. `sent` is what it was asked."""

    def __init__(self, healthy: bool = True) -> None:
        self.sent: list[Message] = []
        self.closed = 0
        self.healthy = healthy
        self._receive: Callable[[Peer, Reply], None] | None = None
        self._ended: Callable[[Peer], None] | None = None

    @property
    def pid(self) -> int | None:
        return 1234

    def listen(self, receive: Callable[[Peer, Reply], None], ended: Callable[[Peer], None]) -> None:
        self._receive, self._ended = receive, ended
        if self.healthy:
            self.say(Hello(0))
        else:
            self.die()

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def close(self) -> str:
        self.closed += 1
        return "exit code 3"

    def say(self, reply: Reply) -> None:
        assert self._receive is not None
        self._receive(self, reply)

    def die(self) -> None:
        assert self._ended is not None
        self._ended(self)


class Nursery:
    """Starts fake processes, the first `sick` of which end at once."""

    def __init__(self, sick: int = 0) -> None:
        self.peers: list[FakePeer] = []
        self.sick = sick

    def __call__(self) -> FakePeer:
        self.peers.append(FakePeer(healthy=len(self.peers) >= self.sick))
        return self.peers[-1]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario, PATIENCE_SECONDS)

    asyncio.run(limited())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def started(nursery: Nursery) -> tuple[Worker, FakePeer]:
    worker = Worker(nursery)
    await worker.start()
    return worker, nursery.peers[-1]


def make(worker: Worker, bar: int | Callable[[], int] = 0) -> asyncio.Task[Any]:
    return asyncio.create_task(worker.make(ORDER, bar, TEMPO))


def test_one_order_at_a_time_is_sent_and_renders_first() -> None:
    async def scenario() -> None:
        worker, peer = await started(Nursery())
        first, second = make(worker, 3), make(worker)
        render = asyncio.create_task(worker.render([], Grid(TEMPO, 2), 0, lambda news: None))
        words = asyncio.create_task(worker.understand("house"))
        await until(lambda: len(peer.sent) == 2)
        assert isinstance(peer.sent[0], Make) and peer.sent[0].preview_bar == 3
        assert isinstance(peer.sent[1], Understand)
        peer.say(Done(peer.sent[1].id, intent=Intent("house")))
        assert await words == Intent("house")
        peer.say(Done(peer.sent[0].id))
        assert await first == []
        await until(lambda: len(peer.sent) == 3)
        assert isinstance(peer.sent[2], Render)
        peer.say(Done(peer.sent[2].id))
        await render
        await until(lambda: len(peer.sent) == 4)
        assert isinstance(peer.sent[3], Make)
        peer.say(Done(peer.sent[3].id))
        await second
        assert not worker.busy and len({message.id for message in peer.sent}) == 4
        worker.close()

    run(scenario())


def test_the_preview_bar_is_asked_for_when_the_work_begins() -> None:
    async def scenario() -> None:
        worker, peer = await started(Nursery())
        bar = 1
        first, second = make(worker), make(worker, lambda: bar)
        await until(lambda: peer.sent)
        bar = 5
        peer.say(Done(peer.sent[0].id))
        await until(lambda: len(peer.sent) == 2)
        assert isinstance(peer.sent[1], Make) and peer.sent[1].preview_bar == 5
        peer.say(Done(peer.sent[1].id))
        await asyncio.gather(first, second)
        worker.close()

    run(scenario())


def test_what_comes_late_is_dropped_and_the_next_order_waits_for_the_end() -> None:
    async def scenario() -> None:
        worker, peer = await started(Nursery())
        heard: list[object] = []
        first = asyncio.create_task(worker.make(ORDER, 0, TEMPO, heard.append))
        await until(lambda: peer.sent)
        number = peer.sent[0].id
        second = make(worker)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled() and peer.sent[1:] == [GiveUp(number)]
        progress = Progress(Role.BASS, "notes", 1, 2)
        peer.say(Advanced(number, progress))
        peer.say(Done(number))  # it was done before it learned that it was given up
        await until(lambda: len(peer.sent) == 3)
        assert isinstance(peer.sent[2], Make) and heard == []
        peer.say(GivenUp(number))  # an id that has ended
        peer.say(Advanced(999, progress))
        peer.say(Done(peer.sent[2].id))
        assert await second == []
        worker.close()

    run(scenario())


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (Failed(1, "TrackLocked", "bass is locked"), TrackLocked),
        (Failed(1, "", "ZeroDivisionError: x"), EngineError),
        (Failed(1, "SystemExit", "x"), EngineError),
        (Failed(1, "quoted", "x"), EngineError),
    ],
)
def test_errors_come_back_as_their_own_class(failed: Failed, kind: type[Exception]) -> None:
    async def scenario() -> None:
        worker, peer = await started(Nursery())
        task = make(worker)
        await until(lambda: peer.sent)
        peer.say(failed)
        with pytest.raises(kind, match=failed.text) as error:
            await task
        assert type(error.value) is kind
        worker.close()

    run(scenario())


def test_what_a_dead_process_still_says_is_not_heard() -> None:
    async def scenario() -> None:
        nursery = Nursery()
        worker, old = await started(nursery)
        running, waiting = make(worker), make(worker)
        await until(lambda: old.sent)
        old.die()
        with pytest.raises(WorkerLost, match="nothing was changed"):
            await running
        await until(lambda: len(nursery.peers) == 2 and nursery.peers[1].sent)
        new = nursery.peers[1]
        number = new.sent[0].id
        old.say(Failed(number, "", "from the grave"))
        old.die()
        new.say(Done(number))
        assert await waiting == []
        assert old.closed == 1 and len(nursery.peers) == 2
        worker.close()
        assert new.closed == 1

    run(scenario())


def test_warm_is_told_and_is_over_with_the_process() -> None:
    async def scenario() -> None:
        nursery = Nursery()
        worker, peer = await started(nursery)
        assert worker.warming
        peer.say(Warm(0))
        await worker.warm.wait()
        peer.die()
        await until(lambda: worker.warming)
        assert peer.closed == 1
        worker.close()

    run(scenario())


def test_a_process_that_keeps_ending_is_tried_again_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds != 0.005:  # of `until`
            waits.append(seconds)
        await sleep(0)

    async def scenario() -> None:
        nursery = Nursery(sick=12)
        worker = Worker(nursery)
        with pytest.raises(WorkerLost, match=r"keeps stopping \(exit code 3\)"):
            await worker.start()
        with pytest.raises(WorkerLost, match="restart"):
            await worker.understand("house")
        monkeypatch.setattr(asyncio, "sleep", note)
        await until(lambda: not worker.trouble)
        assert len(nursery.peers) == 13 and all(peer.closed == 1 for peer in nursery.peers[:12])
        assert waits == sorted(waits) and waits[-1] == worker_module.LONGEST_WAIT_SECONDS
        task = make(worker)
        await until(lambda: nursery.peers[-1].sent)
        nursery.peers[-1].say(Done(nursery.peers[-1].sent[0].id))
        assert await task == []
        worker.close()

    run(scenario())


def test_what_waits_for_a_process_that_keeps_ending_fails() -> None:
    async def scenario() -> None:
        nursery = Nursery()
        worker, peer = await started(nursery)
        nursery.sick = 100
        running, waiting = make(worker), make(worker)
        await until(lambda: peer.sent)
        peer.die()
        with pytest.raises(WorkerLost, match="try again"):
            await running
        with pytest.raises(WorkerLost, match="keeps stopping"):
            await waiting
        worker.close()

    run(scenario())


def test_a_process_that_cannot_be_started_is_said_so() -> None:
    def launch() -> Peer:
        raise OSError(11, "Resource temporarily unavailable")

    async def scenario() -> None:
        worker = Worker(launch)
        with pytest.raises(WorkerLost, match="Resource temporarily unavailable"):
            await worker.start()
        worker.close()

    run(scenario())


@pytest.mark.parametrize("close_first", [False, True], ids=["after its start", "during its start"])
def test_a_process_that_starts_while_the_worker_is_closed_is_ended(close_first: bool) -> None:
    launching, go = threading.Event(), threading.Event()
    peer = FakePeer()

    def launch() -> Peer:
        launching.set()
        assert go.wait(PATIENCE_SECONDS)
        return peer

    async def scenario() -> None:
        worker = Worker(launch)
        starting = asyncio.create_task(worker.start())
        await until(launching.is_set)
        if close_first:
            worker.close()
            go.set()
        else:
            go.set()
            while worker._newborn is None:  # the loop stands still, so nobody adopts the process
                time.sleep(0.001)
            worker.close()
        with pytest.raises(Cancelled, match="shut down"):
            await starting

    run(scenario())
    assert peer.closed == 1
