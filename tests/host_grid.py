"""What a DAW's tracks must sound like, by docs/plugin-link.md, and which takes a recording of one plays.

The model is plain and knows nothing of the engine or the plugin: loops laid from the song's beginning, crossfaded
before the bar lines on which they change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap, parse_tempo
from resonantgen.session.session import Session

FADE = 240  # frames at 48 kHz, before a line
ROUNDING = 2.0**-21  # of what is mixed of two samples below 1, in 32 bits

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class HostGrid:
    """A host's bars, and a loop of so many quarter notes on them."""

    tempo: str  # bpm
    meter: str
    loop_quarters: Fraction
    rate: int = 48_000
    origin: Fraction = Fraction(0)  # the frame of the song's beginning, if it had this tempo from there on

    @property
    def quarter_frames(self) -> Fraction:
        return 60 * self.rate / parse_tempo(self.tempo)

    def line(self, bar: int) -> int:
        """The first frame of a bar, from 0."""
        meter = Meter.parse(self.meter)
        return round(self.origin + bar * Fraction(4 * meter.numerator, meter.denominator) * self.quarter_frames)

    def changed(self, tempo: str, bar: int) -> HostGrid:
        """The bars from this one on, if the tempo changes on its line: docs/plugin-link.md says how exactly."""
        meter = Meter.parse(self.meter)
        quarters = bar * Fraction(4 * meter.numerator, meter.denominator)
        after = replace(self, tempo=tempo)
        origin = self.origin + quarters * (self.quarter_frames - after.quarter_frames)
        whole = round(origin)
        is_whole = abs(origin - whole) <= Fraction(1, 4)
        return replace(after, origin=Fraction(whole) if is_whole else Fraction(round(64 * origin), 64))

    def lay(self, stem: Sound, first: int, end: int) -> Sound:
        """Frames of the song with the loop all along it, [end - first, 2]."""
        out = np.zeros((end - first, 2), np.float32)
        length = self.loop_quarters * self.quarter_frames
        number = int((first - self.origin) // length) - 1
        while (start := round(self.origin + number * length)) < end:
            stop = round(self.origin + (number + 1) * length)
            places = np.arange(max(start, first), min(stop, end))
            if len(places):
                out[places - first] = stem[(places - start) % len(stem)]
            number += 1
        return out


def crossfaded(old: Sound, new: Sound) -> NDArray[np.float64]:
    """The frames before a line, all of a crossfade or its end."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE) + 0.5) / FADE)
    before = old.astype(np.float64)
    return np.asarray(before + (new - before) * rise[-len(old) :, None])


def stems(session: Session, role: Role, grid: HostGrid) -> dict[str, Sound]:
    """Every take of a track as the engine exports it at the host's tempo, by its id."""
    settings = session.settings
    assert settings is not None
    tempo = TempoMap(parse_tempo(grid.tempo), settings.meter, grid.rate)
    return {take.id: session.rendition(take, tempo).astype(np.float32) for take in session.takes(role)}


def loop_quarters(session: Session) -> Fraction:
    settings = session.settings
    assert settings is not None
    return Fraction(settings.length_ticks, 480)


def takes_by_bar(heard: Sound, takes: Mapping[str, Sound], grid: HostGrid) -> list[str]:
    """What each bar of a track's sound plays, every sample compared; `heard` begins with the song.

    AssertionError where a bar is no take's, or where two do not meet on its line as they should.
    """
    found: list[str] = []
    bar = 0
    while (end := grid.line(bar + 1)) <= len(heard):
        first = grid.line(bar)
        laid = {name: grid.lay(stem, first, end) for name, stem in takes.items()}
        body = slice(0, end - first - FADE)
        fits = [name for name, sound in laid.items() if np.array_equal(sound[body], heard[first:end][body])]
        assert fits, f"bar {bar + 1} is no take's: {_nearest(laid, heard[first:end], body)}"
        last = found[-1] if found else fits[0]
        found.append(last if last in fits else fits[0])
        if bar > 0:
            old = grid.lay(takes[last], first - FADE, first)
            new = grid.lay(takes[found[-1]], first - FADE, first)
            due = crossfaded(old, new) if found[-1] != last else old
            off = float(np.abs(heard[first - FADE : first] - due).max())
            assert off <= (ROUNDING if found[-1] != last else 0), f"{off} off before the line of bar {bar + 1}"
        bar += 1
    return found


def _nearest(laid: Mapping[str, Sound], heard: Sound, body: slice) -> str:
    off = {name: int((sound[body] != heard[body]).any(axis=1).sum()) for name, sound in laid.items()}
    name = min(off, key=lambda each: off[each])
    wrong = np.flatnonzero((laid[name][body] != heard[body]).any(axis=1))
    return f"{off[name]} of {len(heard[body])} frames differ from take {name}, from {wrong[0]} to {wrong[-1]}"


def song_start(heard: Sound, stem: Sound, grid: HostGrid) -> int:
    """The frame of a recording at which a song began that plays this stem first: by its first sound."""
    due = grid.lay(stem, 0, grid.line(2))
    return int(heard.any(axis=1).argmax()) - int(due.any(axis=1).argmax())
