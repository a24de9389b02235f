"""The live engine: a session, a player, a worker and whoever drives them, in one asyncio loop.

The loop owns everything here. The player reports from its own thread: notes go straight on to MIDI, everything else is
handed to the loop.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Protocol, TextIO

from resonantgen.errors import Cancelled, ResonantGenError, StorageError
from resonantgen.music.notes import Note, Role
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.heard import (
    BarLine,
    Beat,
    Heard,
    Levels,
    Moved,
    NotePlayed,
    NotesOff,
    Problem,
    Stopped,
    Swapped,
)
from resonantgen.realtime.lines import Region
from resonantgen.realtime.output import OutputStatus
from resonantgen.realtime.player import Player, RingLike
from resonantgen.realtime.ring import DeviceState
from resonantgen.realtime.worker import Worker
from resonantgen.session.jobs import Order
from resonantgen.session.session import Session
from resonantgen.session.values import Result, Settings, Take
from resonantgen_bridge.calls import Call, Listener, Value, ignore
from resonantgen_bridge.commands import Commands
from resonantgen_bridge.desk import Desk
from resonantgen_bridge.generation import GenerationQueue, Request
from resonantgen_bridge.hub import Hub
from resonantgen_bridge.playback import Playback
from resonantgen_bridge.properties import music_properties
from resonantgen_bridge.protocol import COMMAND
from resonantgen_bridge.renditions import Renditions

HEARTBEAT_SECONDS = 1.0
CHECKS_PER_HEARTBEAT = 5

_log = logging.getLogger(__name__)


class NotesOut(Protocol):
    """Where the tracks' notes go. Called in the player's thread."""

    def schedule(self, role: Role, note: Note, at_seconds: float, duration_seconds: float) -> None: ...

    def all_off(self, role: Role, at_seconds: float) -> None: ...


class Output(Protocol):
    """As `realtime.output.AudioOutput`, once it is started."""

    def check(self) -> OutputStatus | None: ...

    def status(self) -> OutputStatus: ...


class LiveEngine:
    """`calls.Engine`, for real. Use it in an `async with` block."""

    def __init__(
        self,
        session: Session,
        worker: Worker,
        output: Output,
        ring: RingLike,
        sample_rate: int,
        depth_frames: int,
        stems: bool = False,
        journal: TextIO | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        self._session = session
        self._worker = worker
        self._output = output
        self._ring = ring
        self._sample_rate = sample_rate
        self._journal = journal
        self._number = 0
        self._passes = -1  # through the loop, since playing began
        self._heartbeat: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._hub = Hub()
        self._player = Player(ring, sample_rate, stems=stems, depth_frames=depth_frames, listener=self._hear)
        self._renditions = Renditions(session, worker)
        self._playback = Playback(session, self._player, self._renditions, sample_rate, self.complain)
        self._queue = GenerationQueue(session, worker, self._playback, self._hub, self._generated)
        self._desk = Desk(session, self._player, self._hub, self.complain)
        self._commands = Commands(
            session,
            self._player,
            self._playback,
            self._queue,
            self._desk,
            self._hub,
            self._session_changed,
            self.describe,
            sample_rate,
        )
        self.notes_out: NotesOut | None = None
        self.addresses: dict[str, str] = {}  # by transport, for `status`
        self.drivers: dict[str, Callable[[], Value]] = {}  # likewise: what there is to say of each now
        self.checks: list[Callable[[], object]] = []  # done at each heartbeat
        self._hub.update({"play": False, "loop": True, "loop/first": 1, "loop/bars": 0, "auto": 0, "busy": False})
        self._hub.update(
            music_properties(session) | {"prompt": session.last_prompt, "audio": audio_text(output.status())}
        )

    @property
    def commands(self) -> Commands:
        return self._commands

    @property
    def settings(self) -> Settings | None:
        return self._session.settings

    @property
    def takes(self) -> Mapping[Role, Take]:
        """Those that play."""
        return self._session.playing

    @property
    def renditions(self) -> Renditions:
        return self._renditions

    async def __aenter__(self) -> LiveEngine:
        self._playback.follow()
        self._player.start()
        self._heartbeat = self._loop.create_task(self._beat_heart())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        await self._queue.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._playback.close()
        self._player.close()
        self._desk.save()

    # -- as transports see it -----------------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[str, Value]:
        return self._hub.state

    async def execute(self, call: Call, client: str, on_progress: Listener = ignore) -> dict[str, Value]:
        command = COMMAND[call.command]
        method = getattr(self._commands, command.name)
        if not inspect.iscoroutinefunction(method):
            done: dict[str, Value] = method(**call.arguments)
            return done
        result: dict[str, Value] = await method(on_progress, **call.arguments)
        return result

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._hub.subscribe(listener)

    def align(self, quarters: float, at_seconds: float) -> None:
        self._player.align(quarters, at_seconds)

    def name_daw_track(self, daw_track: int, name: str) -> None:
        self._desk.name_track(daw_track, name)

    def role_of_daw_track(self, daw_track: int) -> str | None:
        role = self._desk.role_of(daw_track)
        return None if role is None else role.value

    def cover(self, roles: Collection[Role]) -> None:
        """These tracks, and no others, are played elsewhere: they are silent in what the engine itself plays."""
        self._desk.cover(roles)

    def complain(self, error: ResonantGenError) -> None:
        """Say what went wrong where no command waits to be told."""
        self._hub.tell("problem", code=error.code, message=str(error))

    # -- what changed -------------------------------------------------------------------------------------------------

    def _session_changed(self, call: Call, properties: Mapping[str, Value]) -> None:
        """A lock or a tempo: what was not made by the line, and may change what the line is making."""
        self._hub.update(properties)
        self._queue.standing_moved()
        self._apply(call)

    def _generated(self, call: Call, result: Result) -> None:
        self._playback.follow()
        self._hub.update(music_properties(self._session))
        if result.intent is None:  # a step through history
            self._hub.update({"prompt": self._session.last_prompt})
        elif result.intent.text:
            self._hub.update({"prompt": result.intent.text})
        for role, take in result.changed.items():
            if take is not None:
                self._hub.tell("take", track=role.value, take=take.id, summary=take.summary)
        if result.changed:
            self._apply(call)

    def _apply(self, call: Call) -> None:
        self._number += 1
        arguments = {name: value for name, value in call.arguments.items() if value is not None}
        self._hub.tell("applied", number=self._number, command=call.command, arguments=arguments)
        self._write_journal({"number": self._number, "command": call.command, "arguments": arguments})

    def _write_journal(self, line: Mapping[str, Value]) -> None:
        """What the line tells of has been done, so a full disk is no error of the command's."""
        if self._journal is None:
            return
        try:
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()
        except OSError as error:
            self._journal = None
            self.complain(
                StorageError(f"The journal ends here: {error.strerror or error}. Make room, and serve again.")
            )

    # -- what the player reports --------------------------------------------------------------------------------------

    def _hear(self, event: Heard) -> None:
        """In the player's thread."""
        if isinstance(event, (NotePlayed, NotesOff)):
            self._pass_note(event)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heard, event)

    def _pass_note(self, event: NotePlayed | NotesOff) -> None:
        out = self.notes_out
        at_seconds = self._ring.time_of(event.frame)
        if out is None or at_seconds is None:
            return
        if isinstance(event, NotesOff):
            out.all_off(event.role, at_seconds)
        else:
            out.schedule(event.role, event.note, at_seconds, event.duration_frames / self._sample_rate)

    def _heard(self, event: Heard) -> None:
        tell = self._hub.tell
        match event:
            case Beat():
                tell("beat", bar=event.bar + 1, beat=event.beat + 1)
            case Levels():
                for role, level in event.levels.items():
                    tell("level", track=role.value, peak=level.peak_db, rms=level.rms_db)
            case Swapped():
                self._tell_swap(event)
            case Moved():
                self._tell_transport(event)
            case BarLine():
                self._count_bar(event.bar)
            case Stopped():
                self._hub.update({"play": self._player.asked_to_play})
            case Problem():
                tell("problem", code="EngineError", message=event.message)
            case _:
                pass

    def _tell_swap(self, event: Swapped) -> None:
        self._hub.tell(
            "swap",
            track=event.role.value,
            material=event.name,
            bar=event.bar + 1,
            frame=event.frame,
            gain=event.gain_db,
            first=event.first_frame,
            frames=event.frames,
        )

    def _tell_transport(self, event: Moved) -> None:
        self._hub.update({"play": self._player.asked_to_play})
        tempo = event.grid.tempo
        self._hub.tell(
            "transport",
            on=event.playing,
            frame=event.frame,
            place=event.place,
            tempo=float(tempo.tempo_bpm),
            meter=str(tempo.meter),
            bars=event.grid.bars,
        )

    def _count_bar(self, bar: int) -> None:
        """Auto mode: in the last of every so many bars, so that the new tracks begin on the next bar line.

        Counted are those of the loop, or of what is played of it, so that they begin with it where the numbers fit.
        """
        state = self._hub.state
        first, end = Region(True, state["loop/first"] - 1, state["loop/bars"]).span(state["bars"])
        self._passes += bar == first
        played = self._passes * (end - first) + bar - first
        every = state["auto"]
        free = self._session.playing.keys() - self._session.locked
        if every and (played + 1) % every == 0 and free and not self._queue.busy:
            task = self._loop.create_task(self._regenerate())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _regenerate(self) -> object:
        def plan(intent: Intent) -> Order:
            return self._session.order_regeneration(intent)

        request = Request(Call("regenerate", {"prompt": ""}), plan, automatic=True)
        try:
            return await self._queue.submit(request, ignore)
        except Cancelled:
            return None  # somebody wants something else
        except ResonantGenError as error:
            self.complain(error)
            return None

    # -- how it does --------------------------------------------------------------------------------------------------

    async def _beat_heart(self) -> None:
        while True:
            for _ in range(CHECKS_PER_HEARTBEAT):
                await asyncio.sleep(HEARTBEAT_SECONDS / CHECKS_PER_HEARTBEAT)
                _checked(self._check_output)
            for check in self.checks:
                _checked(check)
            self._hub.tell("heartbeat", seconds=time.monotonic() - self._started)

    def _check_output(self) -> None:
        status = self._output.check()
        if status is None:
            return
        before, now = self._hub.state["audio"], audio_text(status)
        self._hub.update({"audio": now})
        # An audio process that ends again and again is said once.
        if status.state in (DeviceState.NO_DEVICE, DeviceState.LOST) and now != before:
            self._hub.tell("problem", code="DeviceError", message=status.message)

    def describe(self) -> dict[str, Value]:
        """What `status` answers."""
        position, output = self._player.position(), self._output.status()
        return {
            "version": version("resonantgen"),
            "pid": os.getpid(),
            "project": str(self._session.path.resolve()),
            "seconds": round(time.monotonic() - self._started, 1),
            "addresses": dict(self.addresses),
            "drivers": {name: status() for name, status in self.drivers.items()},
            "transport": {
                "playing": position.playing,
                "bar": position.bar0 + 1,
                "sample_rate": self._sample_rate,
                "render_ahead_ms": round(1000 * self._ring.fill_frames() / self._sample_rate, 1),
            },
            "audio": {**asdict(output), "state": output.state.name.lower()},
            "generation": self._worker.times.document(),
            "applied": self._number,
        }


def _checked(check: Callable[[], object]) -> None:
    """Nothing that a check meets may end the heartbeat: without it no audio process would be started again."""
    try:
        check()
    except Exception:
        _log.exception("A check failed")


def audio_text(status: OutputStatus) -> str:
    """The device that plays, or why there is no sound."""
    if status.state is DeviceState.NONE:
        return "no sound, as asked for"
    return status.message or "starting"
