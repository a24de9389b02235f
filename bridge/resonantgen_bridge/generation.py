"""Commands that make takes wait in line here: one is made at a time, in the order in which they came.

That holds also where a track is sound, which a model may take minutes to make: who does not want to wait cancels it.
Nothing piles up behind it: of commands of a kind the last waits, and auto mode asks for nothing while anything is made.

Locks, tempo and the mixer do not wait. If such a command changes what the running one was planned from, that one is
planned again: if the new plan is another one, the work starts anew by it. So the outcome is always that of the
commands one after the other, in the order of the `applied` events, and a lock counts from the moment that it is set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TypeAlias

from resonantgen.errors import Cancelled
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.material import Grid, Material
from resonantgen.realtime.worker import Ready, Worker
from resonantgen.session.jobs import Job, Order
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Result, Take
from resonantgen_bridge.calls import Call, Listener, Notice
from resonantgen_bridge.hub import Hub
from resonantgen_bridge.playback import Playback
from resonantgen_bridge.renditions import recordings_of

Plan: TypeAlias = Callable[[Intent], Order]  # from what the words mean; raises ResonantGenError
Act: TypeAlias = Callable[[], Result]  # what needs nothing made, such as undo


@dataclass(eq=False)
class Request:
    """One command in the line: a plan of takes to make, or an act. A later one of the same kind may take the place of
    a plan that waits.
    """

    call: Call
    plan: Plan | None = None
    act: Act | None = None
    text: str = ""  # words to understand before it is planned
    automatic: bool = False  # nobody asked for it just now, so it gives way to whoever does
    listeners: list[Listener] = field(default_factory=list)
    done: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    waiters: int = 0


class GenerationQueue:
    """The line. `applied` is called after each command that was done, before anyone who waits for it goes on."""

    def __init__(
        self,
        session: Session,
        worker: Worker,
        playback: Playback,
        hub: Hub,
        applied: Callable[[Call, Result], None],
    ) -> None:
        self._session = session
        self._worker = worker
        self._playback = playback
        self._hub = hub
        self._applied = applied
        self._waiting: deque[Request] = deque()
        self._running: Request | None = None
        self._work: asyncio.Task[Result] | None = None
        self._moved = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is under way, or about to be."""
        return self._running is not None or bool(self._waiting)

    async def submit(self, request: Request, on_progress: Listener) -> Result:
        """Wait for a command to be done. Where nothing runs or waits, what needs no making is done at once.

        Of commands that wait, the same kind counts once: the last one is done, for all who asked. If everyone who
        waits for a command is cancelled, it is given up. Raises what the command raises, and Cancelled.
        """
        if request.act is not None and not self.busy:
            return self._done(request, request.act())
        if not request.automatic and self._running is not None and self._running.automatic:
            self._give_up(self._running)
        request = self._join(request)
        request.listeners.append(on_progress)
        request.waiters += 1
        self._start_next()
        try:
            return await asyncio.shield(request.done)
        except asyncio.CancelledError:
            if request.done.done():  # just before: who asked is told what became of it
                return request.done.result()
            request.waiters -= 1
            if not request.waiters:
                self._give_up(request)
            raise

    def standing_moved(self) -> None:
        """The session was changed by a command that does not wait in line: the running one may need another plan."""
        self._moved.set()

    def cancel_all(self) -> int:
        """Give up everything. Gives how many commands that were."""
        requests = [*self._waiting, *([self._running] if self._running else [])]
        for request in requests:
            self._give_up(request)
        return len(requests)

    async def close(self) -> None:
        self.cancel_all()
        if self._runner is not None:
            await self._runner

    # -- the line -----------------------------------------------------------------------------------------------------

    def _join(self, request: Request) -> Request:
        for other in self._waiting:
            if request.plan is not None and _kind(other.call) == _kind(request.call):
                other.call, other.plan, other.text = request.call, request.plan, request.text
                return other
        self._waiting.append(request)
        return request

    def _start_next(self) -> None:
        if self._runner is None or self._runner.done():
            self._runner = asyncio.get_running_loop().create_task(self._run())

    def _give_up(self, request: Request) -> None:
        if request is self._running:
            if self._work is not None:
                self._work.cancel()
        elif request in self._waiting:
            self._waiting.remove(request)
            _fail(request, Cancelled("The command was given up. Nothing was changed."))

    async def _run(self) -> None:
        while self._waiting:
            request = self._running = self._waiting.popleft()
            self._hub.update({"busy": True})
            self._work = asyncio.get_running_loop().create_task(self._perform(request))
            await asyncio.wait({self._work})
            work, self._work, self._running = self._work, None, None
            if work.cancelled():
                _fail(request, Cancelled("The command was given up. Nothing was changed."))
            elif (error := work.exception()) is not None:
                _fail(request, error)
            else:
                request.done.set_result(work.result())
            if not self._waiting:
                self._hub.update({"busy": False})

    # -- one command --------------------------------------------------------------------------------------------------

    async def _perform(self, request: Request) -> Result:
        if request.act is not None:
            return self._done(request, request.act())
        assert request.plan is not None
        intent = await self._worker.understand(request.text) if request.text.strip() else Intent("")
        plan = partial(request.plan, intent)
        while (result := await self._make(request, plan)) is None:
            pass  # it has become another plan
        return result

    def _done(self, request: Request, result: Result) -> Result:
        """Tell of it at once: whatever comes next is applied after it."""
        self._applied(request.call, result)
        return result

    async def _make(self, request: Request, plan: Callable[[], Order]) -> Result | None:
        """Make what is planned, and commit it; None as soon as the plan has become another one."""
        order = plan()
        self._moved.clear()
        work = asyncio.get_running_loop().create_task(self._make_and_store(request, order))
        taken = False
        try:
            while not work.done():
                await self._wait_for_move_or(work)
                if self._moved.is_set():
                    self._moved.clear()
                    if plan().job != order.job:
                        return None
            takes = work.result()
            # Nothing is awaited between this last look at the plan and the commit, so nobody can come between.
            latest = plan()
            if latest.job != order.job:
                return None
            result = self._session.fulfil(latest, takes)
            taken = True
            return self._done(request, result)
        finally:
            if not taken:
                work.cancel()
                (made,) = await asyncio.gather(work, return_exceptions=True)
                if isinstance(made, list):  # it was done just before
                    self._session.discard(made)
                self._playback.follow()

    async def _wait_for_move_or(self, work: asyncio.Task[list[Take]]) -> None:
        moved = asyncio.get_running_loop().create_task(self._moved.wait())
        try:
            await asyncio.wait({work, moved}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()

    async def _make_and_store(self, request: Request, order: Order) -> list[Take]:
        if not order.job.parts:
            return []
        grid = self._playback.grid(order.job.settings)
        audition = _Audition(self._playback, order, grid)

        def listen(message: Progress | Ready) -> None:
            if isinstance(message, Ready):
                audition.hear(message)
            else:
                self._tell_progress(request, message)

        tracks = len(order.job.parts)
        recordings = await recordings_of(self._session, order.job.recordings)
        made = await self._worker.make(
            order, lambda: self._playback.next_bar(grid, tracks), grid.tempo, listen, recordings
        )
        takes = [take for take, _ in made]
        try:
            for _, wav in made:
                await asyncio.to_thread(self._session.add_audio, wav)
        except BaseException:
            self._session.discard(takes)
            raise
        return takes

    def _tell_progress(self, request: Request, progress: Progress) -> None:
        fields = {
            "track": progress.role.value,
            "stage": progress.stage,
            "bar": progress.bar,
            "bars": progress.bars,
        }
        self._hub.tell("progress", **fields)
        for listener in request.listeners:
            listener(Notice("progress", fields))


class _Audition:
    """New takes begin together: on the first bar line by which all of them have a bar that can be played.

    Sound takes its time, so nobody waits for it: the tracks before it begin together, then it does when it is whole,
    then those after it, which hear it. What it replaces plays on until then, unless the new tracks are in another key
    or a new start: then it is silent.
    """

    def __init__(self, playback: Playback, order: Order, grid: Grid) -> None:
        self._playback = playback
        self._grid = grid
        self._stages = _stages(order.job)
        self._changed: dict[Role, Material | None] = dict.fromkeys(order.job.removed)
        self._heard: dict[Role, Material] = {}
        before = order.standing.settings
        if order.command == "generate" or (before is not None and before.key != order.job.settings.key):
            self._changed |= dict.fromkeys(role for stage in self._stages[1:] for role in stage)

    def hear(self, ready: Ready) -> None:
        self._heard[ready.role] = ready.material
        (stage,) = (stage for stage in self._stages if ready.role in stage)
        if stage <= self._heard.keys():
            self._changed |= {role: self._heard[role] for role in stage}
            self._playback.audition(self._grid, self._changed)


def _stages(job: Job) -> list[frozenset[Role]]:
    """The tracks of a job that begin together, in order: one of sound is alone."""
    runs = groupby(job.parts, key=lambda role: role if job.parts[role].is_sound else None)
    return [frozenset(run) for _, run in runs]


def _kind(call: Call) -> tuple[object, ...]:
    """Calls of one kind replace each other while they wait: a knob's later value, the same button again."""
    kept = (item for item in call.arguments.items() if item[0] not in ("value", "generator"))
    return (call.command, tuple(sorted((name, str(value)) for name, value in kept)))


def _fail(request: Request, error: BaseException) -> None:
    if not request.done.done():
        request.done.set_exception(error)
        request.done.exception()  # so that it counts as seen, if nobody waits any more
