"""The model of a REAPER project that `fake_reaper` works on: tracks, items, takes, and a map of tempo and meter.

Times are in seconds, bars count from 0, as in REAPER's API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ITEM_VALUES = {
    "D_POSITION": 0.0,
    "D_LENGTH": 0.0,
    "B_LOOPSRC": 1.0,
    "C_BEATATTACHMODE": -1.0,
    "C_LOCK": 0.0,
    "D_FADEINLEN": 0.01,
    "D_FADEOUTLEN": 0.01,
}
TAKE_VALUES = {"D_PLAYRATE": 1.0, "B_PPITCH": 0.0, "D_STARTOFFS": 0.0}
PPQ = 960  # of MIDI items, REAPER's default


@dataclass(eq=False)
class Source:
    path: Path
    seconds: float
    peaks: str = ""  # "begun", "built"


@dataclass(eq=False)
class Take:
    source: Source | None = None
    values: dict[str, float] = field(default_factory=lambda: dict(TAKE_VALUES))
    name: str = ""
    start: float = 0.0  # of a MIDI take: the item's position when it was made
    notes: list[tuple[float, float, int, int, int]] | None = None  # from and to in ticks, channel, pitch, velocity
    sorted: bool = True


@dataclass(eq=False)
class Item:
    values: dict[str, float] = field(default_factory=lambda: dict(ITEM_VALUES))
    ext: dict[str, str] = field(default_factory=dict)
    take: Take | None = None
    updated: bool = False

    @property
    def start(self) -> float:
        return self.values["D_POSITION"]

    @property
    def end(self) -> float:
        return self.start + self.values["D_LENGTH"]


@dataclass(eq=False)
class Track:
    name: str = ""
    armed: bool = False
    items: list[Item] = field(default_factory=list)
    effects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """From a bar on (from 0): tempo and meter."""

    bar: int
    bpm: float
    numerator: int = 4
    denominator: int = 4

    @property
    def bar_quarters(self) -> float:
        return self.numerator * 4 / self.denominator


class TempoMap:
    def __init__(self, *changes: Change) -> None:
        self._spans: list[tuple[float, float, Change]] = []  # start in seconds, in quarters
        seconds = quarters = 0.0
        for index, change in enumerate(changes):
            if index:
                before = changes[index - 1]
                length = (change.bar - before.bar) * before.bar_quarters
                seconds, quarters = seconds + length * 60 / before.bpm, quarters + length
            self._spans.append((seconds, quarters, change))

    def bar_seconds(self, bar: float) -> float:
        seconds, _, change = [span for span in self._spans if span[2].bar <= bar][-1]
        return seconds + (bar - change.bar) * change.bar_quarters * 60 / change.bpm

    def seconds_of(self, quarters: float) -> float:
        seconds, start, change = [span for span in self._spans if span[1] <= max(quarters, 0)][-1]
        return seconds + (quarters - start) * 60 / change.bpm

    def quarters_of(self, seconds: float) -> float:
        start, quarters, change = self.at(seconds)
        return quarters + (seconds - start) * change.bpm / 60

    def at(self, seconds: float) -> tuple[float, float, Change]:
        return [span for span in self._spans if span[0] <= max(seconds, 0) + 1e-9][-1]
