"""MIDI files in seconds: all tempo changes are followed, where `music.midi` keeps to one tempo."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise

import mido
from mido.midifiles.meta import KeySignatureError

from resonantgen.errors import BadValue
from resonantgen.music.time import Meter
from resonantgen.training.corpora.piece import TimedNote

DEFAULT_US_PER_QUARTER = 500_000
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class TimedTrack:
    """The notes of one channel of one track, sorted."""

    name: str
    channel: int  # from 0
    program: int | None  # the first that is set
    notes: tuple[TimedNote, ...]


class Clock:
    """Ticks to seconds."""

    def __init__(self, changes: Sequence[tuple[int, int]], ticks_per_quarter: int) -> None:
        """`changes` are ticks and microseconds per quarter note, sorted."""
        self._ticks, self._seconds, self._tick_seconds = [0], [0.0], [DEFAULT_US_PER_QUARTER / 1e6 / ticks_per_quarter]
        for tick, microseconds in changes:
            self._seconds.append(self.at(tick))
            self._ticks.append(tick)
            self._tick_seconds.append(microseconds / 1e6 / ticks_per_quarter)

    def at(self, tick: int) -> float:
        i = bisect_right(self._ticks, tick) - 1
        return self._seconds[i] + (tick - self._ticks[i]) * self._tick_seconds[i]


@dataclass(frozen=True, slots=True)
class TimedMidi:
    tracks: tuple[TimedTrack, ...]
    tempo_bpm: float  # of quarter notes: the one that lasts longest
    meter: Meter  # the first
    beat_seconds: tuple[float, ...]  # every quarter note from the start to the last note's end
    downbeat_seconds: tuple[float, ...]  # right as long as the meter stays


def read_timed(data: bytes, name: str) -> TimedMidi:
    """Raises BadValue, naming `name`."""
    try:
        file = mido.MidiFile(file=BytesIO(data), charset="latin1", clip=True)
    except (OSError, EOFError, ValueError, LookupError, TypeError, struct.error, KeySignatureError) as error:
        raise BadValue(f"{name} is no MIDI file that can be read ({str(error) or 'it ends too early'}).") from None
    quarter = file.ticks_per_beat
    tracks = [_absolute(track) for track in file.tracks]
    last_tick = max((tick for track in tracks for tick, message in track if message.type == "note_on"), default=0)
    changes = sorted((t, m.tempo) for track in tracks for t, m in track if m.type == "set_tempo")
    clock = Clock(changes, quarter)
    meter = _meter([m for track in tracks for _, m in track if m.type == "time_signature"])
    bar = quarter * 4 * meter.numerator // meter.denominator
    return TimedMidi(
        tuple(part for track in tracks for part in _channels(track, clock)),
        60e6 / _usual(changes, last_tick),
        meter,
        tuple(clock.at(tick) for tick in range(0, last_tick + 1, quarter)),
        tuple(clock.at(tick) for tick in range(0, last_tick + 1, bar)),
    )


def _absolute(track: Sequence[mido.Message]) -> list[tuple[int, mido.Message]]:
    tick, events = 0, []
    for message in track:
        tick += message.time
        events.append((tick, message))
    return events


def _usual(changes: Sequence[tuple[int, int]], last_tick: int) -> int:
    """The microseconds per quarter that hold for most ticks."""
    held: dict[int, int] = {}
    starts = [(0, DEFAULT_US_PER_QUARTER), *changes, (last_tick + 1, 0)]
    for (start, tempo), (end, _) in pairwise(starts):
        held[tempo] = held.get(tempo, 0) + max(0, end - start)
    return max(held, key=lambda tempo: held[tempo])


def _meter(messages: Sequence[mido.MetaMessage]) -> Meter:
    for message in messages[:1]:
        try:
            return Meter(message.numerator, message.denominator)
        except BadValue:
            pass
    return Meter()


def _channels(events: Sequence[tuple[int, mido.Message]], clock: Clock) -> Iterator[TimedTrack]:
    name = next((message.name for _, message in events if message.type == "track_name"), "")
    for channel in sorted({message.channel for _, message in events if message.type == "note_on"}):
        own = [(tick, m) for tick, m in events if not m.is_meta and getattr(m, "channel", None) == channel]
        program = next((m.program for _, m in own if m.type == "program_change"), None)
        notes = tuple(sorted(_notes(own, clock)))
        if notes:
            yield TimedTrack(name, channel, program, notes)


def _notes(events: Sequence[tuple[int, mido.Message]], clock: Clock) -> Iterator[TimedNote]:
    sounding: dict[int, list[tuple[int, int]]] = {}
    for tick, message in events:
        if message.type == "note_on" and message.velocity > 0:
            sounding.setdefault(message.note, []).append((tick, message.velocity))
        elif message.type in ("note_on", "note_off") and sounding.get(message.note):
            start, velocity = sounding[message.note].pop(0)
            at = clock.at(start)
            if at < LONGEST_SECONDS:
                yield TimedNote(at, message.note, max(clock.at(tick) - at, 0.01), velocity)
