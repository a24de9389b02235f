"""The engine's handle on the process that generates and renders: asyncio on this side, `making.py` on the other.

All of `Worker` belongs to one asyncio loop. Each process has two threads here: one packs and sends requests, the other
receives and unpacks replies (files to samples, too) and hands them to the loop.

One order at a time is with the process; those that wait are kept here, so that they outlive it. Only beside an order
that performs, which can take minutes, takes are rendered: who goes over to another tempo does not wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

import msgspec

from resonantgen import errors
from resonantgen.errors import Cancelled, EngineError, ResonantGenError, WorkerLost
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.material import Grid, Material, frames_of_bytes, frames_of_wav
from resonantgen.realtime.messages import (
    NO_RECORDINGS,
    Advanced,
    Done,
    Failed,
    GivenUp,
    GiveUp,
    Heard,
    Hello,
    Make,
    Recorded,
    Recordings,
    Render,
    Reply,
    Understand,
    Warm,
    meet_types,
)
from resonantgen.realtime.times import Times
from resonantgen.realtime.worker_process import LocalProcess, Peer
from resonantgen.session.jobs import Order
from resonantgen.session.values import Progress, Take

DEATHS_FORGIVEN = 2  # in a row: a new process is started at once
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0  # before a process that keeps ending is started again

LOST = "The generator stopped in the middle of it, and nothing was changed. A new one is starting: try again."
GIVEN_UP = "This was given up before it was done; nothing was changed."
SHUT_DOWN = "The engine was shut down before this was done; nothing was changed."

_URGENCY = (Understand, Render, Make)  # what waits is sent in this order, and otherwise in that of the calls

Launch: TypeAlias = Callable[[], Peer]  # starts a process, here or elsewhere; called in a thread. Raises OSError


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A track's new sound has come: a partial one first, then longer ones if the whole takes long, then the whole."""

    role: Role
    material: Material
    gain_db: float  # from the level of the stem's stream to this: `preview.preview` with it gives the same partial


Listener: TypeAlias = Callable[[Progress | Ready], None]  # called in the loop


def ignore(news: Progress | Ready) -> None:
    """For those who only want the result."""


@dataclass(eq=False)
class _Request:
    """What one caller waits for."""

    message: Understand | Make | Render
    future: asyncio.Future[Any]
    listener: Listener = ignore
    preview_bar: Callable[[], int] | None = None  # asked when the work begins
    files: dict[str, bytes] = field(default_factory=dict)  # by hash
    sent_at: float = 0.0
    first_bar_seconds: float | None = None


class Worker:
    """A process that understands, makes and renders. It is started again whenever it ends."""

    def __init__(self, launch: Launch = LocalProcess) -> None:
        self.times = Times()
        self.warm = asyncio.Event()  # whether the kernels of every role are loaded
        self._launch = launch
        self._ids = count(1)
        self._peer: Peer | None = None
        self._newborn: Peer | None = None  # started, but not yet ours
        self._answered = False  # whether the process has said hello
        self._open: dict[int, _Request] = {}  # those that are with the process
        self._running: list[_Request] = []  # those among them that take their time
        self._waiting: list[_Request] = []
        self._deaths = 0  # in a row, with nothing done in between
        self._trouble = ""  # why calls fail at once
        self._first: asyncio.Future[None] | None = None  # what `start` waits for
        self._starting: asyncio.Task[None] | None = None
        self._closed = False

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process; returns once it answers, while it still warms up. Raises WorkerLost if it never does."""
        assert self._starting is None and not self._closed, "started once"
        meet_types()
        self._first = asyncio.get_running_loop().create_future()
        self._starting = asyncio.create_task(self._start(0.0))
        await self._first

    def close(self) -> None:
        """End the process, within seconds whatever it does; what waits gets Cancelled."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
        if self._first is not None and not self._first.done():
            self._first.set_exception(Cancelled(SHUT_DOWN))
        for peer in (self._peer, self._newborn):
            if peer is not None:
                peer.close()
        self._peer = self._newborn = None
        self._fail([*self._open.values(), *self._waiting], Cancelled(SHUT_DOWN))
        self._open.clear()
        self._waiting.clear()
        self._running.clear()

    @property
    def warming(self) -> bool:
        """Whether it loads kernels, or compiles them: work takes longer until it is done."""
        return not self.warm.is_set()

    @property
    def pid(self) -> int | None:
        """The process's id; None while there is none."""
        return self._peer.pid if self._peer is not None else None

    @property
    def trouble(self) -> str:
        """Why nothing can be made at present; empty if it can."""
        return self._trouble

    @property
    def busy(self) -> bool:
        return bool(self._running or self._waiting)

    # -- work ---------------------------------------------------------------------------------------------------------

    async def understand(self, text: str) -> Intent:
        """What words mean. It waits for no order. Raises PromptError, BadValue, WorkerLost."""
        done: Done = await self._call(Understand(next(self._ids), text), ignore)
        assert done.intent is not None
        return done.intent

    async def make(
        self,
        order: Order,
        preview_bar: int | Callable[[], int],
        tempo: TempoMap,
        listener: Listener = ignore,
        recordings: Recordings = NO_RECORDINGS,
    ) -> list[tuple[Take, bytes]]:
        """Make an order's takes: them, whole, and the bytes of their WAV files. `recordings` are those of its job.

        The listener is told how far it is and given what can be played: for each track its preview bar (counted from 0;
        a function is asked when the work begins), then so many bars that they last until all of it is there, then all
        of it, at `tempo`, which is what plays. A track of sound is there all at once. Cancelling stops the work at the
        next bar, or after some frames of a model. Raises ResonantGenError, WorkerLost.
        """
        bar = preview_bar if isinstance(preview_bar, int) else 0
        message = Make(next(self._ids), order, bar, tempo, recordings)
        files: dict[str, bytes] = {}
        done: Done = await self._call(message, listener, None if isinstance(preview_bar, int) else preview_bar, files)
        return [(take, files[take.audio_sha256]) for take in done.takes]

    async def render(
        self,
        takes: Sequence[Take],
        grid: Grid,
        first_bar: int,
        listener: Listener,
        recordings: Recordings = NO_RECORDINGS,
    ) -> None:
        """Takes at the grid's tempo and rate. Of notes, bar `first_bar` comes first, then as many more as it takes to
        render them, then each whole; those of sound, whose `recordings` are given, are stretched and come whole.

        Raises ResonantGenError, WorkerLost.
        """
        await self._call(Render(next(self._ids), tuple(takes), grid, first_bar, recordings), listener)

    async def _call(
        self,
        message: Understand | Make | Render,
        listener: Listener,
        preview_bar: Callable[[], int] | None = None,
        files: dict[str, bytes] | None = None,
    ) -> Any:
        if self._closed:
            raise Cancelled(SHUT_DOWN)
        if self._trouble:
            raise WorkerLost(self._trouble)
        future = asyncio.get_running_loop().create_future()
        request = _Request(message, future, listener, preview_bar, {} if files is None else files)
        self._waiting.append(request)
        self._send_next()
        try:
            return await future
        finally:
            if request.future.cancelled():
                self._give_up(request)

    def _give_up(self, request: _Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
        if request.message.id in self._open and self._peer is not None:
            self._peer.send(GiveUp(request.message.id))

    def _send_next(self) -> None:
        """Send what can be sent: questions about words at once, the others when there is room for them."""
        if self._peer is None or not self._answered:
            return
        for request in sorted(self._waiting, key=lambda r: _URGENCY.index(type(r.message))):
            if not isinstance(request.message, Understand):
                if not self._has_room_for(request.message):
                    continue
                self._running.append(request)
            self._waiting.remove(request)
            self._send(request)

    def _has_room_for(self, message: Make | Render) -> bool:
        under_way = [request.message for request in self._running]
        beside = isinstance(message, Render) and all(isinstance(each, Make) and each.performs for each in under_way)
        return beside or not under_way

    def _send(self, request: _Request) -> None:
        assert self._peer is not None
        message = request.message
        if isinstance(message, Make) and request.preview_bar is not None:
            message = msgspec.structs.replace(message, preview_bar=request.preview_bar())
        self._open[message.id] = request
        request.sent_at = time.monotonic()
        self._peer.send(message)

    # -- what comes back ----------------------------------------------------------------------------------------------

    def _deliver(self, peer: Peer, reply: Reply, material: Material | None) -> None:
        """A reply, in the loop; `material` is the sound that it brings, if any."""
        if peer is not self._peer:
            return
        match reply:
            case Hello():
                self._on_hello()
            case Warm():
                self._deaths = 0
                self.warm.set()
            case _ if reply.id in self._open:
                self._advance(self._open[reply.id], reply, material)

    def _advance(self, request: _Request, reply: Reply, material: Material | None) -> None:
        match reply:
            case Advanced():
                self._tell(request, reply.progress)
            case Heard() | Recorded():
                if isinstance(reply, Recorded):
                    request.files[reply.audio_sha256] = reply.wav
                if material is not None:
                    if request.first_bar_seconds is None:
                        request.first_bar_seconds = time.monotonic() - request.sent_at
                    self._tell(request, Ready(reply.role, material, reply.gain_db))
            case Done():
                self._note_times(request)
                self._end(request, reply)
            case Failed():
                self._end(request, _error(reply))
            case GivenUp():
                self._end(request, Cancelled(GIVEN_UP))

    def _tell(self, request: _Request, news: Progress | Ready) -> None:
        if request.future.done():
            return
        try:
            request.listener(news)
        except Exception as error:
            request.future.set_exception(error)
            self._give_up(request)

    def _end(self, request: _Request, result: Done | ResonantGenError) -> None:
        self._deaths = 0
        del self._open[request.message.id]
        if request in self._running:
            self._running.remove(request)
        if not request.future.done():
            if isinstance(result, Done):
                request.future.set_result(result)
            else:
                request.future.set_exception(result)
        self._send_next()

    def _note_times(self, request: _Request) -> None:
        """Of orders of notes: how long a model takes says nothing of them."""
        if not isinstance(request.message, Make) or request.message.performs:
            return
        if request.first_bar_seconds is not None:
            self.times.add(request.first_bar_seconds, time.monotonic() - request.sent_at)

    @staticmethod
    def _fail(requests: Sequence[_Request], error: ResonantGenError) -> None:
        for request in requests:
            if not request.future.done():
                request.future.set_exception(type(error)(str(error)))

    # -- starting, and starting again ---------------------------------------------------------------------------------

    async def _start(self, wait_seconds: float) -> None:
        """Start a process after a while. Its hello, or its end, comes through the loop."""
        await asyncio.sleep(wait_seconds)
        loop = asyncio.get_running_loop()

        def receive(peer: Peer, reply: Reply) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody listens
                loop.call_soon_threadsafe(self._deliver, peer, reply, _material(reply))

        def ended(peer: Peer) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_end, peer)

        try:
            self._peer = await asyncio.to_thread(self._launch_one)
        except OSError as error:
            self._retry(f"{error.strerror or error}")
            return
        self._newborn = None
        self._peer.listen(receive, ended)

    def _launch_one(self) -> Peer:
        """Runs in a thread, while the handle may be closed: one of the two notices the other, and ends the process."""
        self._newborn = peer = self._launch()
        if self._closed:
            peer.close()
        return peer

    def _on_hello(self) -> None:
        self._answered, self._trouble = True, ""
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        self._send_next()

    def _on_end(self, peer: Peer) -> None:
        """The process has ended: what was with it fails, what waits goes to the next one."""
        if peer is not self._peer:
            return
        self._peer, self._answered = None, False
        self._running.clear()
        self.warm.clear()
        lost = list(self._open.values())
        self._open.clear()
        self._fail(lost, WorkerLost(LOST))
        self._starting = asyncio.create_task(self._bury(peer))

    async def _bury(self, peer: Peer) -> None:
        """A process that dumps its memory as it dies takes seconds to be gone."""
        self._retry(await asyncio.to_thread(peer.close))

    def _retry(self, reason: str) -> None:
        self._deaths += 1
        wait_seconds = 0.0
        if self._deaths > DEATHS_FORGIVEN:
            doublings = min(self._deaths - DEATHS_FORGIVEN - 1, 10)
            wait_seconds = min(FIRST_WAIT_SECONDS * 2**doublings, LONGEST_WAIT_SECONDS)
            self._trouble = (
                f"The generator keeps stopping ({reason}), so nothing can be made now. It is tried again every "
                f"{LONGEST_WAIT_SECONDS:.0f} s at least. See what it printed, check that memory is free, or restart "
                "the engine."
            )
            self._fail(self._waiting, WorkerLost(self._trouble))
            self._waiting.clear()
            if self._first is not None and not self._first.done():
                self._first.set_exception(WorkerLost(self._trouble))
        self._starting = asyncio.create_task(self._start(wait_seconds))


def _material(reply: Reply) -> Material | None:
    """The sound that a reply brings. Runs in the thread that receives."""
    match reply:
        case Heard():
            name = f"{reply.take}~" if reply.partial else reply.take
            samples, gain_db = frames_of_bytes(reply.samples), reply.gain_db if reply.partial else 0.0
            stream = reply.id if reply.partial else 0
            return Material(name, samples, reply.notes, reply.first_frame, reply.partial, gain_db, stream)
        case Recorded(plays=True):
            return Material(reply.take, frames_of_wav(reply.wav), reply.notes)
    return None


def _error(failed: Failed) -> ResonantGenError:
    """What the process raised, as the same class."""
    kind = getattr(errors, failed.error, None) if failed.error else None
    if isinstance(kind, type) and issubclass(kind, ResonantGenError):
        return kind(failed.text)
    return EngineError(
        f"The generator failed at this ({failed.text}), and nothing was changed. Try other words or another seed, and "
        "please report it."
    )
