"""MIDI in: pads, knobs, program changes and a clock become commands, by the mapping and what the user has taught.

Messages arrive in the MIDI system's thread and are handed to the engine's asyncio loop; all else belongs to that loop.
What is no valid message, or bound to nothing, is ignored. What goes wrong is reported, never raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import mido

from resonantgen.errors import Cancelled, DeviceError, ResonantGenError
from resonantgen_bridge.calls import Call, Engine
from resonantgen_bridge.lanes import Lanes, Report, seek_call
from resonantgen_bridge.midi_actions import Action, chosen, parse_action, scaled
from resonantgen_bridge.midi_clock import Align, ClockAction, MidiClock, Play, Seek, Tempo
from resonantgen_bridge.midi_map import (
    Binding,
    MidiMap,
    Source,
    Trigger,
    load_learned,
    save_learned,
    suits,
)
from resonantgen_bridge.midi_ports import DEFAULT_PORT, MidiPort

_PRESSED: Final = 64  # a button's controller value from which it counts as pressed


class MidiIn:
    """One input port and what its messages do. Made, and used, in the engine's loop."""

    def __init__(
        self,
        engine: Engine,
        mapping: MidiMap,
        report: Report,
        *,
        port: str = DEFAULT_PORT,
        learned: Path | None = None,
        follow_clock: bool = False,
    ) -> None:
        """`learned` is the file of the user's own bindings; None: nothing is kept. A file that is damaged is
        reported, and left as it is until something new is learned.
        """
        self._engine = engine
        self._mapping = mapping
        self._report = report
        self._learned_path = learned
        self._learned = MidiMap(styles=mapping.styles)
        try:
            self._learned = load_learned(learned) if learned else self._learned
        except ResonantGenError as error:
            report(error)
        self._port = MidiPort(port, self._arrived)
        self._lanes = Lanes(engine, "midi", report)
        self._clock = MidiClock() if follow_clock else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._learning: tuple[Action, asyncio.Future[str]] | None = None
        self._pressed: set[tuple[int, int]] = set()  # controllers (number, channel) that are down

    @property
    def port(self) -> str:
        """The open port; empty if none is."""
        return self._port.name

    @property
    def clock_bpm(self) -> float | None:
        """The tempo of the clock that it follows, once it is known."""
        return self._clock.bpm if self._clock else None

    def status(self) -> dict[str, Any]:
        return {"port": self.port, "clock_bpm": self.clock_bpm}

    def open(self) -> None:
        """Begin to listen, in the running loop. Raises DeviceError; then `check` tries again."""
        self._loop = asyncio.get_running_loop()
        self._port.open()

    def check(self) -> bool:
        """Look after the port, every second or so: reports that it has gone; True when it has come back."""
        outcome = self._port.check()
        if isinstance(outcome, DeviceError):
            self._pressed.clear()
            self._report(outcome)
            return False
        return outcome

    async def close(self) -> None:
        """Stop listening; what it asked for and is not done is cancelled."""
        self._port.close()
        self._loop = None
        self._end_learning("MIDI was closed before anything was learned.")
        await self._lanes.close()

    async def learn(self, action: str, seconds: float) -> str:
        """Bind the next note, controller or program to an action, and say which it was.

        Raises BadValue for what is no action, DeviceError without a port, Cancelled if nothing arrives in time or
        another binding is learned instead, StorageError if it cannot be kept.
        """
        parsed = parse_action(action)
        if not self._port.name:
            raise DeviceError("No MIDI input is open, so nothing can be learned. See: resonantgen doctor")
        self._end_learning("Another binding is being learned instead.")
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._learning = (parsed, future)
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            if future.done() and not future.cancelled():  # at that very moment
                return future.result()
            what = "controller" if parsed.continuous else "note, controller or program"
            raise Cancelled(f'No {what} arrived within {seconds:g} s to bind to "{parsed.text}".') from None
        finally:
            if self._learning is not None and self._learning[1] is future:
                self._learning = None

    def handle(self, data: Sequence[int], at_seconds: float) -> None:
        """One message, in the loop."""
        try:
            message = mido.Message.from_bytes(data)
        except (ValueError, TypeError, IndexError):
            return  # no MIDI
        if len(data) != len(message):
            return  # mido reads a song position with bytes behind it, too
        match message.type:
            case "note_on" if message.velocity > 0:
                self._message(Source.NOTE, message.note, message.channel + 1, message.velocity)
            case "control_change":
                self._message(Source.CONTROL, message.control, message.channel + 1, message.value)
            case "program_change":
                self._message(Source.PROGRAM, message.program, message.channel + 1, message.program)
            case "clock" | "start" | "continue" | "stop" | "songpos" if self._clock is not None:
                for action in _clock_actions(self._clock, message, at_seconds):
                    self._follow(action)

    def _arrived(self, data: Sequence[int], at_seconds: float) -> None:
        """In the MIDI system's thread."""
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self.handle, data, at_seconds)
            except RuntimeError:
                return  # the loop has just been closed

    def _message(self, source: Source, number: int, channel: int, value: int) -> None:
        rising = self._rising(source, number, channel, value)
        if self._learning is not None and self._learn(self._learning[0], source, number, channel, rising):
            return
        found = self._learned.find(source, number, channel) or self._mapping.find(source, number, channel)
        if found is None:
            return
        trigger, binding = found
        lane, action = (trigger, number, channel), binding.action
        if action.continuous:
            assert action.driven is not None
            self._lanes.send(lane, partial(action.call, scaled(action.driven, value)), latest=True)
        elif action.chooses:
            style = chosen(self._mapping.styles, value, spread=source is Source.CONTROL)
            if style is not None:
                self._lanes.send(trigger, partial(action.call, style), latest=True)
        elif action.toggles and binding.latching:
            self._lanes.send(lane, partial(action.call, value >= _PRESSED), latest=True)
        elif action.toggles and rising:
            self._lanes.send(lane, partial(self._toggled, action), latest=False)
        elif rising:
            self._lanes.send(lane, action.call, latest=True)

    def _toggled(self, action: Action) -> Call:
        """The other of on and off, seen when its turn comes."""
        return action.call(not action.is_on(self._engine.state))

    def _rising(self, source: Source, number: int, channel: int, value: int) -> bool:
        """Whether it is a press: of buttons that send controllers, from below the middle to above."""
        if source is not Source.CONTROL:
            return True
        was_down, key = (number, channel) in self._pressed, (number, channel)
        if value >= _PRESSED:
            self._pressed.add(key)
        else:
            self._pressed.discard(key)
        return value >= _PRESSED and not was_down

    def _learn(self, action: Action, source: Source, number: int, channel: int, rising: bool) -> bool:
        """Bind it, if it suits the action; whether it did."""
        assert self._learning is not None
        future = self._learning[1]
        if future.done() or not suits(action, source) or not (rising or action.continuous or action.chooses):
            return False
        self._learning = None
        any_program = source is Source.PROGRAM and action.chooses
        trigger = Trigger(source, None if any_program else number, channel)
        before = self._learned.find(source, number, channel) or self._mapping.find(source, number, channel)
        self._learned = self._learned.with_binding(trigger, Binding(action))
        instead = f', instead of "{before[1].action.text}"' if before and before[1].action != action else ""
        try:
            if self._learned_path is not None:
                save_learned(self._learned_path, self._learned)
        except ResonantGenError as error:
            future.set_exception(error)
        else:
            future.set_result(f"{trigger}{instead}")
        return True

    def _end_learning(self, why: str) -> None:
        if self._learning is not None and not self._learning[1].done():
            self._learning[1].set_exception(Cancelled(why))
        self._learning = None

    def _follow(self, action: ClockAction) -> None:
        """Do what the clock's master does."""
        match action:
            case Tempo(bpm):
                self._lanes.send("clock tempo", partial(Call, "tempo", {"tempo": bpm}), latest=True)
            case Play(on):
                self._lanes.send("clock", partial(Call, "play", {"on": on}), latest=False)
            case Seek(quarters):
                self._lanes.send("clock", partial(self._seek, quarters), latest=False)
            case Align(quarters, at_seconds):
                self._engine.align(quarters, at_seconds)

    def _seek(self, quarters: float) -> Call | None:
        """The call, once there is music to go to."""
        bars = int(self._engine.state["bars"])
        return seek_call(quarters, str(self._engine.state["meter"]), bars) if bars else None


def _clock_actions(clock: MidiClock, message: mido.Message, at_seconds: float) -> list[ClockAction]:
    match message.type:
        case "clock":
            return clock.tick(at_seconds)
        case "start":
            return clock.start()
        case "continue":
            return clock.resume()
        case "stop":
            return clock.stop()
        case _:
            return clock.song_position(message.pos)
