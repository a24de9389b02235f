"""MIDI out: the tracks' notes for a user's own synths, sent when they are heard.

Of a take that is sound, they are what an ear has found in it: a synth doubles it, as it doubles the others. Whoever
wants only one of them silences the track here, or its channel there.

`schedule` and `all_off` may be called from any thread (the player's, mostly) and never wait for the port: a thread of
its own sends what is due. A note that was begun always ends, and a pitch that is played again is ended first.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from resonantgen.errors import DeviceError
from resonantgen.music.notes import Note, Role
from resonantgen_bridge.lanes import Report
from resonantgen_bridge.midi_ports import DEFAULT_PORT, MidiPort

# As in exported MIDI files; from 1, as musicians count. Drums are General MIDI percussion keys.
CHANNELS: Final[Mapping[Role, int]] = MappingProxyType({Role.DRUMS: 10, Role.BASS: 1, Role.HARMONY: 2, Role.MELODY: 3})

_NOTE_ON, _NOTE_OFF, _CONTROL, _ALL_NOTES_OFF = 0x90, 0x80, 0xB0, 123
_END, _CUT, _BEGIN = 0, 1, 2  # the order of what is due at the same time
_NEAR_SECONDS: Final = 0.001  # the last stretch before a note is slept through without the lock

Send: TypeAlias = Callable[[Sequence[int]], None]
_Due: TypeAlias = tuple[float, int, int, Role, int, int, float]  # when, what, number, role, pitch, velocity, end


class NoteSender:
    """The thread that sends notes when they are due. Times are of `time.monotonic`."""

    def __init__(self, send: Send, report: Report, channels: Mapping[Role, int] = CHANNELS) -> None:
        """`send` may raise DeviceError, which is reported once until it succeeds again."""
        self._send = send
        self._report = report
        self._status = {role: channels[role] - 1 for role in Role}
        self._due: list[_Due] = []
        self._numbers = count()
        self._sounding: dict[tuple[int, int], tuple[int, Role]] = {}  # (channel, pitch): (number of the note, role)
        self._changed = threading.Condition()  # guards all of the above but `_send`
        self._closing = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="midi out", daemon=True)
        self._thread.start()

    def schedule(self, role: Role, note: Note, at_seconds: float, duration_seconds: float) -> None:
        """Play a note at that time; one that should have ended already is left out."""
        end = at_seconds + max(duration_seconds, 0.001)
        if end > time.monotonic():
            self._put((at_seconds, _BEGIN, next(self._numbers), role, note.pitch, note.velocity, end))

    def all_off(self, role: Role | None = None, at_seconds: float | None = None) -> None:
        """End what a track, or every one, plays at that time: on a swap, a stop, a jump.

        It ends what was scheduled before this call only: the first notes after a swap are due at the same time.
        Without a time: now, and what is scheduled is forgotten.
        """
        roles = tuple(Role) if role is None else (role,)
        if at_seconds is None:
            with self._changed:
                self._due = [due for due in self._due if due[3] not in roles or due[1] == _END]
                heapq.heapify(self._due)
        for each in roles:
            self._put((at_seconds or 0.0, _CUT, next(self._numbers), each, 0, 0, 0.0))

    def close(self) -> None:
        """End all notes, and the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _put(self, due: _Due) -> None:
        with self._changed:
            if not self._closing:
                heapq.heappush(self._due, due)
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if self._closing:
                    break
                if wait is None or wait > _NEAR_SECONDS:
                    self._changed.wait(None if wait is None else wait - _NEAR_SECONDS)
                    continue
                if wait <= 0:
                    messages = self._messages(heapq.heappop(self._due))
            if wait > 0:
                time.sleep(wait)
            else:
                self._send_all(messages)
        self._send_all([self._off(*key) for key in self._sounding])
        self._send_all([(_CONTROL | channel, _ALL_NOTES_OFF, 0) for channel in sorted(set(self._status.values()))])

    def _messages(self, due: _Due) -> list[tuple[int, ...]]:
        """What to send for it; keeps account of what sounds."""
        _, what, number, role, pitch, velocity, end = due
        channel = self._status[role]
        if what == _CUT:
            ended = [key for key, (begun, of) in self._sounding.items() if of is role and begun < number]
            for key in ended:
                del self._sounding[key]
            return [self._off(*key) for key in ended]
        key = (channel, pitch)
        if what == _END:
            if self._sounding.get(key, (None, role))[0] != velocity:
                return []  # cut, or begun again since
            del self._sounding[key]
            return [self._off(*key)]
        again = [self._off(*key)] if key in self._sounding else []
        self._sounding[key] = (number, role)
        # The end carries the number of its note in place of a velocity.
        heapq.heappush(self._due, (end, _END, next(self._numbers), role, pitch, number, 0.0))
        return [*again, (_NOTE_ON | channel, pitch, velocity)]

    @staticmethod
    def _off(channel: int, pitch: int) -> tuple[int, ...]:
        return (_NOTE_OFF | channel, pitch, 0)

    def _send_all(self, messages: Sequence[Sequence[int]]) -> None:
        for message in messages:
            try:
                self._send(message)
                self._failing = False
            except DeviceError as error:
                if not self._failing:
                    self._report(error)
                self._failing = True


class MidiOut:
    """An output port and the thread that sends to it. `open`, `check` and `close` belong to the engine's loop."""

    def __init__(self, report: Report, *, port: str = DEFAULT_PORT, channels: Mapping[Role, int] = CHANNELS) -> None:
        """`report` is called in the sender's thread or the loop's."""
        self._report = report
        self._port = MidiPort(port)
        self._sender = NoteSender(self._port.send, report, channels)
        self.schedule = self._sender.schedule
        self.all_off = self._sender.all_off

    @property
    def port(self) -> str:
        """The open port; empty if none is."""
        return self._port.name

    def status(self) -> dict[str, Any]:
        return {"port": self.port}

    def open(self) -> None:
        """Raises DeviceError; then `check` tries again, and until then notes go nowhere."""
        self._port.open()

    def check(self) -> bool:
        """Look after the port, every second or so: reports that it has gone; True when it has come back."""
        outcome = self._port.check()
        if isinstance(outcome, DeviceError):
            self._report(outcome)
            return False
        return outcome

    def close(self) -> None:
        """End all notes, and close the port."""
        self._sender.close()
        self._port.close()
