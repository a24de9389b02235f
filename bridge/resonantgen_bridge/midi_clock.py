"""MIDI clock, understood: ticks with their times in, what to tell the engine out. Pure; belongs to one thread.

24 ticks make a quarter note. The tempo is the slope of a straight line through the last ticks (least squares), so that
single late ticks hardly matter. It is told only when it is certain enough, as the roundest value that the measurement
allows, and told again only when the measurement contradicts it: each new tempo makes the engine render anew, so jitter
must not look like one.

Some systems hand MIDI over once per audio block only (JACK does). Such coarse times repeat themselves or skip, which
looks like lost ticks at first; once that is noticed, a whole window is measured and single ticks are not judged.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from resonantgen.music.time import MAX_TEMPO_BPM, MIN_TEMPO_BPM

TICKS_PER_QUARTER: Final = 24
_TICKS_PER_SIXTEENTH: Final = TICKS_PER_QUARTER // 4  # what song positions count
_WINDOW: Final = 8 * TICKS_PER_QUARTER
_FIRST_FIT: Final = TICKS_PER_QUARTER  # ticks before there is any line
_SETTLED: Final = 2 * TICKS_PER_QUARTER  # ticks after which the tempo is told, however uncertain it is
_CERTAIN_BPM: Final = 0.03  # standard error with which it is told at once
_OUTLIERS: Final = 4  # so many ticks in a row beside the line are no accident
_LEAST_TOLERANCE_SECONDS: Final = 0.0015
_LEAST_SPREAD_SECONDS: Final = 0.0003
_COARSE_PERIODS: Final = 2.5  # how far coarse times may lie beside the line
_PAUSE_SECONDS: Final = 1.0  # without a tick: the clock was stopped, measure anew
_ROUND_BPM: Final = (1.0, 0.5, 0.1)


@dataclass(frozen=True, slots=True)
class Tempo:
    """The clock's tempo is this."""

    bpm: float


@dataclass(frozen=True, slots=True)
class Play:
    """The master plays, or has stopped."""

    on: bool


@dataclass(frozen=True, slots=True)
class Seek:
    """The master's song position is now so many quarter notes."""

    quarters: float


@dataclass(frozen=True, slots=True)
class Align:
    """The song position is, or was, so many quarter notes at that time."""

    quarters: float
    at_seconds: float


ClockAction: TypeAlias = Tempo | Play | Seek | Align


@dataclass(frozen=True, slots=True)
class _Line:
    """tick number -> seconds, with how far the ticks lie off it."""

    period_seconds: float
    middle_tick: float
    middle_seconds: float
    spread_seconds: float  # standard deviation of the ticks from it
    ticks: int

    def seconds(self, tick: float) -> float:
        return self.middle_seconds + (tick - self.middle_tick) * self.period_seconds

    @property
    def bpm(self) -> float:
        return 60 / (TICKS_PER_QUARTER * self.period_seconds)

    @property
    def error_bpm(self) -> float:
        """The standard error of the tempo."""
        error_seconds = self.spread_seconds * math.sqrt(12 / (self.ticks * (self.ticks**2 - 1)))
        return self.bpm * error_seconds / self.period_seconds


class MidiClock:
    """Follows one master. Times are of `time.monotonic` and do not go back."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, float]] = deque(maxlen=_WINDOW)  # (number, seconds) of those on the line
        self._beside: list[tuple[int, float]] = []  # the latest ones, if they lie beside it
        self._line: _Line | None = None
        self._number = 0  # of the last tick
        self._last_seconds = -math.inf
        self._coarse = False  # times come in steps of about a tick
        self._lost_number = -_WINDOW  # the tick after which one was lost last
        self._told_bpm: float | None = None
        self._playing = False
        self._song_start = 0  # number of the tick that is song position 0
        self._position = 0  # song position in ticks while stopped
        self._first = False  # the next tick is the first since the master started

    @property
    def bpm(self) -> float | None:
        """The tempo that was told last."""
        return self._told_bpm

    def start(self) -> list[ClockAction]:
        """Play from the beginning; the next tick is the first beat."""
        self._position = 0
        return [Seek(0.0), *self.resume()]

    def resume(self) -> list[ClockAction]:
        """MIDI's "continue": play from the song position."""
        self._playing, self._first = True, True
        return [Play(True)]

    def stop(self) -> list[ClockAction]:
        if self._playing and not self._first:
            self._position = self._number + 1 - self._song_start
        self._playing = False
        return [Play(False)]

    def song_position(self, sixteenths: int) -> list[ClockAction]:
        """Where the master will go on, in sixteenth notes; it is sent while it is stopped."""
        self._position = sixteenths * _TICKS_PER_SIXTEENTH
        self._first = self._playing
        return [Seek(self._position / TICKS_PER_QUARTER)]

    def tick(self, at_seconds: float) -> list[ClockAction]:
        """One of the 24 in a quarter note."""
        if at_seconds - self._last_seconds > _PAUSE_SECONDS or at_seconds < self._last_seconds:
            self._measure_anew([])
            self._coarse = False
        self._last_seconds = at_seconds
        self._number += 1
        self._take(self._number, at_seconds)
        if self._first:
            self._first = False
            self._song_start = self._number - self._position
        actions: list[ClockAction] = []
        tempo = self._tempo()
        if tempo is not None:
            self._told_bpm = tempo
            actions.append(Tempo(tempo))
        position = self._number - self._song_start
        if self._playing and position % TICKS_PER_QUARTER == 0:
            when = self._line.seconds(self._number) if self._line and not self._beside else at_seconds
            actions.append(Align(position / TICKS_PER_QUARTER, when))
        return actions

    def _take(self, number: int, at_seconds: float) -> None:
        """Add a tick to the measurement."""
        line = self._line
        if line is None:
            self._ticks.append((number, at_seconds))
            if len(self._ticks) >= (_WINDOW if self._coarse else _FIRST_FIT):
                if not self._coarse:
                    self._close_gaps()
                self._line = _fit(self._ticks)
            return
        tolerance = max(4 * line.spread_seconds, _LEAST_TOLERANCE_SECONDS)
        if self._coarse:
            tolerance = _COARSE_PERIODS * line.period_seconds
        if abs(at_seconds - line.seconds(number)) > tolerance:
            self._beside.append((number, at_seconds))
            if len(self._beside) >= _OUTLIERS:
                self._explain(line, tolerance)
            return
        self._beside.clear()
        self._ticks.append((number, at_seconds))
        self._line = _fit(self._ticks)

    def _explain(self, line: _Line, tolerance: float) -> None:
        """Several ticks lie beside the line: ticks were lost, or times are coarse, or the tempo is another."""
        if line.period_seconds <= 0:  # a burst of ticks at one time
            self._measure_anew(self._beside.copy())
            return
        late = [(at - line.seconds(number)) / line.period_seconds for number, at in self._beside]
        lost = round(late[0])
        beside, self._beside = self._beside, []
        shifted = lost != 0 and all(abs(each - lost) * line.period_seconds <= tolerance for each in late)
        if shifted and (lost < 0 or self._number - self._lost_number < _WINDOW):
            self._measure_anew([])
            self._coarse = True  # nothing comes too early, and ticks are not lost that often
        elif shifted:
            self._number += lost
            self._lost_number = self._number
            self._ticks.extend((number + lost, at) for number, at in beside)
            self._line = _fit(self._ticks)
        else:
            self._measure_anew(beside)

    def _measure_anew(self, ticks: list[tuple[int, float]]) -> None:
        self._ticks.clear()
        self._ticks.extend(ticks)
        self._beside.clear()
        self._line = None

    def _close_gaps(self) -> None:
        """Number the first ticks anew where one was lost: a gap of two periods that no short one follows."""
        numbers, times = zip(*self._ticks, strict=True)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        usual = sorted(gaps)[len(gaps) // 2]
        shift, ticks = 0, [(numbers[0], times[0])]
        for index, gap in enumerate(gaps):
            periods = gap / usual if usual > 0 else 1.0
            after = gaps[index + 1] if index + 1 < len(gaps) else usual
            if round(periods) >= 2 and abs(periods - round(periods)) < 0.3 and after > usual / 2:
                shift += round(periods) - 1
            ticks.append((numbers[index + 1] + shift, times[index + 1]))
        self._number += shift
        self._ticks.clear()
        self._ticks.extend(ticks)

    def _tempo(self) -> float | None:
        """A tempo to tell, if there is a new one."""
        line = self._line
        if line is None or line.period_seconds <= 0 or self._beside:
            return None
        bpm, error = line.bpm, line.error_bpm
        if line.ticks < _SETTLED and error > _CERTAIN_BPM:
            return None
        if self._told_bpm is not None and abs(bpm - self._told_bpm) <= max(4 * error, _ROUND_BPM[-1] / 2 + 0.01):
            return None
        rounded = next(
            (near for step in _ROUND_BPM if abs((near := round(bpm / step) * step) - bpm) <= 3 * error),
            round(bpm / _ROUND_BPM[-1]) * _ROUND_BPM[-1],
        )
        rounded = round(rounded, 1)
        return rounded if MIN_TEMPO_BPM <= rounded <= MAX_TEMPO_BPM and rounded != self._told_bpm else None


def _fit(ticks: deque[tuple[int, float]]) -> _Line:
    """The straight line with the least squares through them."""
    count = len(ticks)
    origin, start = ticks[0]  # small numbers keep their digits
    middle_tick = sum(number - origin for number, _ in ticks) / count
    middle_seconds = sum(at - start for _, at in ticks) / count
    square = cross = 0.0
    for number, at in ticks:
        distance = number - origin - middle_tick
        square += distance * distance
        cross += distance * (at - start - middle_seconds)
    period = cross / square
    rest = sum((at - start - middle_seconds - (number - origin - middle_tick) * period) ** 2 for number, at in ticks)
    spread = max(math.sqrt(rest / (count - 2)), _LEAST_SPREAD_SECONDS)
    return _Line(period, origin + middle_tick, start + middle_seconds, spread, count)
