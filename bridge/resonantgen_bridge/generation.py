"""Commands that make takes wait in line here: one is made at a time, in the order in which they came.

Locks, tempo and the mixer do not wait. If such a command changes what the running one was planned from, that one is
planned again: if the new plan is another one, the work starts anew by it. So the outcome is always that of the
commands one after the other, in the order of the `applied` events, and a lock counts from the moment that it is set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from resonantgen.errors import Cancelled
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.material import Grid, Material
from resonantgen.realtime.worker import Ready, Worker
from resonantgen.session.jobs import Order
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Result, Take
from resonantgen_bridge.calls import Call, Listener, Notice
from resonantgen_bridge.hub import Hub
from resonantgen_bridge.playback import Playback

Plan: TypeAlias = Callable[[Intent], Order]  # from what the words mean; raises ResonantGenError
Act: TypeAlias = Callable[[], Result]  # what needs nothing made, such as undo


@dataclass(eq=False)
class Request:
    """One command in the line. `call` may be replaced by a later one of the same kind while it waits."""

    call: Call
    work: Plan | Act
    text: str = ""  # words to understand first
    plans: bool = True  # whether `work` is a Plan
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
        if not request.plans and not self.busy:
            return self._done(request, _act(request))
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
            if request.plans and _kind(other.call) == _kind(request.call):
                other.call, other.work, other.text = request.call, request.work, request.text
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
        if not request.plans:
            return self._done(request, _act(request))
        intent = await self._worker.understand(request.text) if request.text.strip() else Intent("")
        while True:
            order = _plan(request, intent)
            takes = await self._make(request, intent, order)
            # Nothing is awaited between this last look at the plan and the commit, so nobody can come between.
            latest = _plan(request, intent)
            if takes is not None and latest.job == order.job:
                return self._done(request, self._session.fulfil(latest, takes))
            self._session.discard(takes or [])
            self._playback.follow()

    def _done(self, request: Request, result: Result) -> Result:
        """Tell of it at once: whatever comes next is applied after it."""
        self._applied(request.call, result)
        return result

    async def _make(self, request: Request, intent: Intent, order: Order) -> list[Take] | None:
        """The takes of an order, their audio stored; None as soon as the plan has become another one."""
        loop = asyncio.get_running_loop()
        self._moved.clear()
        work = loop.create_task(self._make_and_store(request, order))
        taken = False
        try:
            while not work.done():
                await self._wait_for_move_or(work)
                if self._moved.is_set():
                    self._moved.clear()
                    if _plan(request, intent).job != order.job:
                        return None
            takes = work.result()
            taken = True
            return takes
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
        made = await self._worker.make(order, lambda: self._playback.next_bar(grid, tracks), grid.tempo, listen)
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
    """New takes begin together: on the first bar line by which all of them have a bar that can be played."""

    def __init__(self, playback: Playback, order: Order, grid: Grid) -> None:
        self._playback = playback
        self._grid = grid
        self._awaited = set(order.job.parts)
        self._ready: dict[Role, Material | None] = dict.fromkeys(order.job.removed)

    def hear(self, ready: Ready) -> None:
        self._ready[ready.role] = ready.material
        self._awaited.discard(ready.role)
        if not self._awaited:
            self._playback.audition(self._grid, self._ready)


def _plan(request: Request, intent: Intent) -> Order:
    plan = cast("Plan", request.work)
    return plan(intent)


def _act(request: Request) -> Result:
    act = cast("Act", request.work)
    return act()


def _kind(call: Call) -> tuple[object, ...]:
    """Calls of one kind replace each other while they wait: a knob's later value, the same button again."""
    values = tuple(sorted((name, str(value)) for name, value in call.arguments.items() if name != "value"))
    return (call.command, values)


def _fail(request: Request, error: BaseException) -> None:
    if not request.done.done():
        request.done.set_exception(error)
        request.done.exception()  # so that it counts as seen, if nobody waits any more
