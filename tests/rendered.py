"""Loops of our own generators and instruments, rendered once each: sound of which the notes are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from resonantgen.generators.base import Plan
from resonantgen.generators.style import load_style
from resonantgen.instruments.base import Samples, Sound
from resonantgen.instruments.stem import render_stem
from resonantgen.music.notes import Role, Score
from resonantgen.music.time import TempoMap
from rhythm import plan_of, play

RATE = 48_000


@dataclass(frozen=True, eq=False)
class Rendered:
    """A part over a plan, and its sound."""

    plan: Plan
    score: Score
    tempo: TempoMap
    samples: Samples  # [frames, 2], a loop

    def starts(self, *pieces: int) -> list[float]:
        """When notes (on these pitches, if any are given) begin, in seconds, each time once."""
        notes = [note for note in self.score if not pieces or note.pitch in pieces]
        return sorted({self.tempo.seconds(note.start_ticks) for note in notes})


@cache
def rendered(
    style: str,
    role: Role = Role.DRUMS,
    *,
    tempo_bpm: int | None = None,
    meter: str = "4/4",
    bars: int = 8,
    seed: int = 0,
    rate: int = RATE,
) -> Rendered:
    """A part of a style on the style's first instrument for it."""
    plan = plan_of(style, seed, bars=bars, meter=meter)
    if tempo_bpm is not None:
        plan = replace(plan, tempo_bpm=Fraction(tempo_bpm))
    score = play(plan, role, seed)
    tempo = TempoMap(plan.tempo_bpm, plan.meter, rate)
    preset = getattr(load_style(style).instruments, role.value)[0]
    return Rendered(plan, score, tempo, render_stem(score, role, Sound(preset), tempo, bars, -20.0).samples)


def continued(loop: NDArray[np.float64], lead_seconds: float, seconds: float, rate: int) -> NDArray[np.float64]:
    """A loop that has been playing for ever: so many seconds, its start after `lead_seconds`."""
    first = -round(lead_seconds * rate)
    return np.take(loop, np.arange(first, first + round(seconds * rate)), axis=0, mode="wrap")


def clicks(times: list[float], seconds: float, rate: int = RATE) -> NDArray[np.float64]:
    """Short bright bursts, [frames, 2]."""
    samples = np.zeros((round(seconds * rate), 2))
    burst = np.random.default_rng(5).standard_normal(round(0.02 * rate)) * np.exp(-np.arange(round(0.02 * rate)) / 200)
    for time in times:
        at = round(time * rate)
        part = samples[at : at + len(burst)]
        part += 0.5 * burst[: len(part), None]
    return samples


def matched(truth: list[float], found: list[float], within: float) -> int:
    """How many can be paired, each once, no further apart than `within`."""
    truth, found = sorted(truth), sorted(found)
    pairs = i = j = 0
    while i < len(truth) and j < len(found):
        if abs(found[j] - truth[i]) <= within:
            pairs, i, j = pairs + 1, i + 1, j + 1
        elif found[j] < truth[i]:
            j += 1
        else:
            i += 1
    return pairs


def f_measure(truth: list[float], found: list[float], within: float) -> float:
    return 2 * matched(truth, found, within) / max(len(truth) + len(found), 1)
