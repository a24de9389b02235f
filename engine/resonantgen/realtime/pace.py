"""How far previews have to reach: what rendering is expected to take, and when more is needed. Arithmetic, no work."""

from __future__ import annotations

import math
from collections.abc import Mapping

from resonantgen.music.notes import Role

SAFETY = 2.0  # rendering may take so many times as long as expected
USUAL_PACE = 0.05  # seconds of work for a second of a track, before any was measured
FORGETTING = 0.3  # how much a quicker rendering counts against those before it; a slower one counts fully at once
FINISHING_SECONDS = 0.05  # of work for each track, however short: its tail, its loudness, its file
HANDING_OVER_SECONDS = 0.05  # until what was sent can play


class Pace:
    """How quickly whole tracks were rendered lately. Any thread may note; numbers are only ever replaced."""

    def __init__(self) -> None:
        self._by_role: dict[Role, float] = {}

    def note(self, role: Role, seconds: float, sound_seconds: float) -> None:
        """A track of such a length took so many seconds of one thread."""
        measured = max(seconds - FINISHING_SECONDS, 0.0) / sound_seconds
        before = self._by_role.get(role, measured)
        self._by_role[role] = max(measured, before + FORGETTING * (measured - before))

    def seconds_for(self, sound_seconds: Mapping[Role, float], threads: int) -> float:
        """What rendering tracks of such lengths should take, by so many threads."""
        each = [
            FINISHING_SECONDS + self._by_role.get(role, USUAL_PACE) * length for role, length in sound_seconds.items()
        ]
        return max(sum(each) / threads, *each) if each else 0.0


class Runway:
    """How many bars of previews are needed. Previews begin to play when the last track's first bar was sent, or later;
    from then on the wholes are awaited."""

    def __init__(self, bars: int, bar_seconds: float) -> None:
        """`bars` is the loop's length: what reaches around it is enough for ever."""
        self.reach = 1  # bars that every track has
        self._bars = bars
        self._bar_seconds = bar_seconds
        self._begun_at = 0.0
        self._goal = 1

    def begin(self, now: float, expected_seconds: float) -> None:
        """Every track has its first bar; the wholes are expected in so many seconds."""
        self._begun_at = now
        needed = SAFETY * expected_seconds + HANDING_OVER_SECONDS
        self._goal = min(math.ceil(needed / self._bar_seconds), self._bars)

    @property
    def due_at(self) -> float:
        """When to look whether it needs to be longer: as half of it may have been played."""
        if self.reach >= self._bars:
            return math.inf
        return self._begun_at + self.reach * self._bar_seconds / 2

    def next_reach(self, now: float) -> int:
        """How many bars every track should have next; `reach` itself while they are enough."""
        if now >= self.due_at:
            self._goal = max(self._goal, min(2 * self.reach, self._bars))
        return max(min(self._goal, self.reach + max(self.reach // 2, 1)), self.reach)
