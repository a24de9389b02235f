"""Where bars and beats lie in a loop, in frames, and which bar comes after which. Plain arithmetic."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from resonantgen.realtime.material import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The lines of a grid, looked up once: the player's thread only searches in them."""

    grid: Grid
    bars: tuple[int, ...]  # the frame on which each bar starts, and the loop's end
    beats: tuple[int, ...]  # the frame on which each beat starts, and the loop's end
    beats_per_bar: int

    @property
    def frames(self) -> int:
        """Length of the loop."""
        return self.bars[-1]

    @property
    def bar_count(self) -> int:
        return len(self.bars) - 1

    def bar_at(self, frame: int) -> int:
        """The bar that a frame of the loop belongs to."""
        return bisect_right(self.bars, frame) - 1

    def until_bar(self, frame: int) -> int:
        """Frames to the next bar line, or to the loop's end; at a line, to the one after it."""
        return self.bars[self.bar_at(frame) + 1] - frame

    def until_beat(self, frame: int) -> int:
        """Likewise to the next beat."""
        return self.beats[bisect_right(self.beats, frame)] - frame

    def beat_at(self, frame: int) -> tuple[int, int] | None:
        """Bar and beat that start exactly on a frame of the loop, if any do."""
        index = bisect_left(self.beats, frame)
        return divmod(index, self.beats_per_bar) if self.beats[index] == frame else None

    def place(self, bar: int, ticks: int) -> int:
        """The frame of a place that is given in music; it may lie beyond the loop's end, which goes round."""
        return self.grid.tempo.sample_at(bar * self.grid.tempo.meter.bar_ticks + ticks) % self.frames


@lru_cache(maxsize=16)
def lines_of(grid: Grid) -> Lines:
    """Takes a millisecond the first time: for callers, not for the player's thread."""
    tempo = grid.tempo
    bar_ticks, beats_ticks = tempo.meter.bar_ticks, tempo.meter.beats_ticks
    bars = tuple(tempo.bar_sample(bar) for bar in range(grid.bars + 1))
    beats = tuple(tempo.sample_at(bar * bar_ticks + tick) for bar in range(grid.bars) for tick in beats_ticks)
    return Lines(grid, bars, (*beats, bars[-1]), len(beats_ticks))


@dataclass(frozen=True, slots=True)
class Region:
    """The bars that are played, around or once. What lies outside of a loop counts as all of it."""

    around: bool = True
    first: int = 0
    bars: int = 0  # 0: to the end

    def span(self, bar_count: int) -> tuple[int, int]:
        """First bar, and the bar behind the last, in a loop of so many bars."""
        if not 0 <= self.first < bar_count:
            return 0, bar_count
        end = self.first + self.bars if self.bars > 0 else bar_count
        return self.first, min(end, bar_count)

    def after(self, bar: int, bar_count: int) -> int | None:
        """The bar that follows one; None: nothing does. From a bar outside, the region is entered at its start."""
        first, end = self.span(bar_count)
        if first <= bar < end - 1:
            return bar + 1
        if bar == end - 1 and not self.around:
            return None
        return first
