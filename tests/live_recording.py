"""What a live engine must have played, by what it told and what it stored, and how a recording compares with it.

The model here is plain and knows nothing of the player. It lays each track's stored stem (or its preview, computed
again) along the output as the `swap` and `transport` events say, fades into each new one over the frames before its
line, adds the tracks up and limits the sum. A recording must equal that exactly, from the first sound on.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.mix import MixStream
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap, parse_tempo
from resonantgen.realtime.preview import preview
from resonantgen.session.rendition import recipe_at
from resonantgen.session.session import Session
from resonantgen.session.values import Take
from resonantgen_bridge.calls import Notice

RATE = 48_000
FADE = RATE // 200  # 5 ms, before a line
CHUNK = 1 << 18  # frames computed at a time
TOLD = ("swap", "transport", "problem")  # the events that the model needs

Sound = NDArray[np.float64]
Recorded = NDArray[np.float32]


@dataclass(frozen=True)
class Move:
    """From this frame of the output on it plays from a place of the loop, or not."""

    frame: int
    on: bool
    place: int
    tempo: TempoMap
    bars: int

    @property
    def length(self) -> int:
        return self.tempo.frames(self.bars)

    def places(self, first: int, end: int) -> NDArray[np.int64]:
        """Where in the loop the frames of the output are; also before the move, as if it had come from there."""
        return (np.arange(first, end) - self.frame + self.place) % self.length


@dataclass(frozen=True)
class Swap:
    """From this frame on a track plays this material; "" is nothing."""

    frame: int
    material: str
    bar: int  # from 0
    gain_db: float = 0.0
    first_frame: int = 0  # of a preview, in the loop
    frames: int = 0  # of a preview, when it began


NOWHERE = Move(0, False, 0, TempoMap(parse_tempo("120"), Meter(), RATE), 1)
NOTHING = Swap(0, "", 0)


class Story:
    """What an engine told, from before it had any music."""

    def __init__(self, notices: Iterable[Notice]) -> None:
        self.problems: list[str] = []
        self.moves = [NOWHERE]
        self.swaps: dict[Role, list[Swap]] = {role: [NOTHING] for role in Role}
        for notice in notices:
            fields: Mapping[str, Any] = notice.fields
            if notice.event == "problem":
                self.problems.append(fields["message"])
            elif notice.event == "transport":
                tempo = TempoMap(parse_tempo(str(fields["tempo"])), Meter.parse(fields["meter"]), RATE)
                self.moves.append(Move(fields["frame"], fields["on"], fields["place"], tempo, fields["bars"]))
            elif notice.event == "swap":
                part = (fields[name] for name in ("gain", "first", "frames"))
                swap = Swap(fields["frame"], fields["material"], fields["bar"] - 1, *part)
                self.swaps[Role(fields["track"])].append(swap)

    @property
    def end(self) -> int:
        """The frame from which on it is silent."""
        assert not self.moves[-1].on, "it still plays"
        return self.moves[-1].frame

    def move_at(self, frame: int) -> Move:
        return _latest(self.moves, frame)

    def lines(self, role: Role) -> list[int]:
        """The frames from which on a track sounds otherwise than before."""
        return sorted({each.frame for each in (*self.moves[1:], *self.swaps[role][1:])})

    def swaps_heard(self) -> list[tuple[Role, Swap]]:
        """Those that took effect while it played, in order."""
        heard = [(role, swap) for role in Role for swap in self.swaps[role][1:] if self.move_at(swap.frame).on]
        return sorted(heard, key=lambda pair: pair[1].frame)

    def samples_off(self) -> list[int]:
        """For each swap that was heard: how far it was from the line of its bar."""
        off = []
        for _, swap in self.swaps_heard():
            move = self.move_at(swap.frame)
            place = int(move.places(swap.frame, swap.frame + 1)[0])
            off.append(abs(place - move.tempo.bar_sample(swap.bar)))
        return off


def _latest(events: Sequence[Any], frame: int) -> Any:
    """The last one at or before a frame."""
    return events[bisect_right(events, frame, key=lambda event: event.frame) - 1]


class Model:
    """What the tracks must sound like, from the takes of a project."""

    def __init__(self, story: Story, session: Session) -> None:
        self._story = story
        self._session = session
        self._takes: dict[str, Take] = {take.id: take for role in Role for take in session.takes(role)}
        self._whole = lru_cache(32)(self._make_whole)
        self._preview = lru_cache(16)(self._make_preview)
        self._rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE) + 0.5) / FADE))[:, None]

    def track(self, role: Role, first: int, end: int) -> Sound:
        """A track by itself, [frames, 2]."""
        lines = self._story.lines(role)
        out = np.zeros((end - first, 2))
        starts = [first, *(line for line in lines if first < line < end), end]
        for start, stop in pairwise(starts):
            out[start - first : stop - first] = self._as_from(role, start, start, stop)
        for line in lines:
            start, stop = max(line - FADE, first), min(line, end)
            if start < stop and self._changes(role, line):
                old = out[start - first : stop - first]
                new = self._as_from(role, line, start, stop)
                out[start - first : stop - first] = (
                    old + (new - old) * self._rise[start - line + FADE : stop - line + FADE]
                )
        return out

    def mix(self, frames: int, out: Recorded) -> None:
        """The first frames of the output, limited, into `out` [frames, 2]."""
        stream = MixStream(RATE)
        late = stream.latency_frames
        stream.render([self._sum(0, late)])
        for first in range(0, frames, CHUNK):
            end = min(first + CHUNK, frames)
            out[first:end] = stream.render([self._sum(first + late, end + late)])

    def stems(self, frames: int, out: Recorded) -> None:
        """The same with two channels for each track and no limiter, [frames, 8]."""
        for first in range(0, frames, CHUNK):
            end = min(first + CHUNK, frames)
            for number, role in enumerate(Role):
                out[first:end, 2 * number : 2 * number + 2] = self.track(role, first, end)

    def _sum(self, first: int, end: int) -> Sound:
        total = np.zeros((end - first, 2))
        for role in Role:
            total += self.track(role, first, end)
        return total

    def _changes(self, role: Role, line: int) -> bool:
        """Whether a track sounds otherwise from a line on: with what goes on unmoved there is no fade."""
        story = self._story
        swaps = story.swaps[role]
        return story.move_at(line) != story.move_at(line - 1) or _latest(swaps, line) != _latest(swaps, line - 1)

    def _as_from(self, role: Role, line: int, first: int, end: int) -> Sound:
        """Frames of a track as they would be if all were as it is at `line`."""
        move, swap = self._story.move_at(line), _latest(self._story.swaps[role], line)
        if not move.on or not swap.material:
            return np.zeros((end - first, 2))
        places = move.places(first, end)
        if not swap.material.endswith("~"):
            return np.asarray(self._whole(swap.material, move.tempo)[places], np.float64)
        loop = self._preview(swap.material, move.tempo, move.bars, swap.gain_db, swap.first_frame)
        sound = np.asarray(loop[places], np.float64)
        if first < line:  # the run-up to its beginning, of which there is what there was by then
            sound[(places - swap.first_frame) % move.length >= swap.frames] = 0
        return sound

    def _make_whole(self, material: str, tempo: TempoMap) -> Recorded:
        return self._session.rendition(self._takes[material], tempo).astype(np.float32)

    def _make_preview(self, material: str, tempo: TempoMap, bars: int, gain_db: float, first_frame: int) -> Recorded:
        """All around the loop from its first bar on: however often it was extended, it is the beginning of this."""
        take = self._takes[material.removesuffix("~")]
        bar = next(bar for bar in range(bars) if tempo.bar_sample(bar) == first_frame)
        sound = preview(take.score, recipe_at(take.recipe, tempo), take.sound, bar, gain_db, bars)
        return np.roll(sound, first_frame, axis=0)


@dataclass(frozen=True)
class Break:
    """A place where the recording goes on with another frame than it should, or differs otherwise."""

    frame: int  # of the output stream
    kind: str  # "gap": frames of silence were put in; "loss": frames are missing; "other": neither
    frames: int


@dataclass(frozen=True)
class Comparison:
    """How a recording compares with what it should be."""

    first: int  # the frame of the output stream that sounds first
    offset: int  # frame of the recording minus frame of the output stream, at first
    compared: int  # frames that are equal, to the last bit
    breaks: tuple[Break, ...]


def compare(recorded: Recorded, expected: Recorded) -> Comparison:
    """Each frame of what is expected, from the first sound to the end, with what was recorded; then silence.

    AssertionError if nothing was recorded, or less than is expected, or sound after the end.
    """
    first, at = _first_sound(expected), _first_sound(recorded)
    offset, frame, compared, breaks = at - first, first, 0, []
    while frame < len(expected):
        equal = _equal_frames(recorded[at:], expected[frame:])
        compared, at, frame = compared + equal, at + equal, frame + equal
        if frame == len(expected):
            break
        assert at < len(recorded), f"the recording ends at frame {frame} of {len(expected)}"
        found = _next_match(recorded, at, expected, frame)
        breaks.append(found)
        if found.kind == "other":
            break
        at, frame = at + found.frames * (found.kind == "gap"), frame + found.frames * (found.kind == "loss")
    else:
        assert breaks or not recorded[at:].any(), "it sounds on after its end"
    return Comparison(first, offset, compared, tuple(breaks))


def _first_sound(sound: Recorded) -> int:
    for start in range(0, len(sound), CHUNK):
        sounding = np.flatnonzero(sound[start : start + CHUNK].any(axis=1))
        if len(sounding):
            return start + int(sounding[0])
    raise AssertionError("there is only silence")


def _equal_frames(one: Recorded, other: Recorded) -> int:
    """How many frames from the start on are equal."""
    length = min(len(one), len(other))
    for start in range(0, length, CHUNK):
        different = np.flatnonzero(
            (one[start : min(start + CHUNK, length)] != other[start : start + CHUNK][: length - start]).any(axis=1)
        )
        if len(different):
            return start + int(different[0])
    return length


def _next_match(recorded: Recorded, at: int, expected: Recorded, frame: int, window: int = 5 * RATE) -> Break:
    """Where it goes on: later in the recording, or later in what is expected."""
    gap = _find(expected[frame : frame + FADE], recorded[at : at + window])
    if gap is not None and not recorded[at : at + gap].any():
        return Break(frame, "gap", gap)
    loss = _find(recorded[at : at + FADE], expected[frame : frame + window])
    return Break(frame, "other", 0) if loss is None else Break(frame, "loss", loss)


def _find(part: Recorded, whole: Recorded) -> int | None:
    """The first place in `whole` at which it goes on as `part`."""
    for place in np.flatnonzero((whole == part[0]).all(axis=1)):
        if len(whole) - place >= len(part) and np.array_equal(whole[place : place + len(part)], part):
            return int(place)
    return None


def percentile(values: Sequence[float], percent: int) -> float:
    """The least of them that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
