"""What can be told from notes: key and chords (each in its own module), density, register, onsets, swing."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from resonantgen.errors import BadValue
from resonantgen.music.chord_reading import read_chords
from resonantgen.music.key_estimation import estimate_key
from resonantgen.music.notes import Score
from resonantgen.music.time import TICKS_PER_QUARTER, Meter

__all__ = [
    "Features",
    "Register",
    "VelocityStats",
    "density",
    "estimate_key",
    "features",
    "onset_histogram",
    "onsets",
    "read_chords",
    "register",
    "swing_ratio",
    "velocity_stats",
]


@dataclass(frozen=True, slots=True)
class Register:
    """Lowest, median and highest pitch."""

    low: int
    median: float
    high: int


@dataclass(frozen=True, slots=True)
class VelocityStats:
    """Softest, mean and loudest velocity, and their standard deviation."""

    low: int
    mean: float
    high: int
    deviation: float


@dataclass(frozen=True, slots=True)
class Features:
    """A score in numbers. `register` and `velocity` are None for a score without notes."""

    density: float  # notes a bar
    onset_histogram: tuple[float, ...]  # mean number of notes a bar on each step
    swing_ratio: float | None  # of sixteenths; None without off-beat sixteenths
    note_length_quarters: float  # mean
    polyphony: float  # mean number of notes that sound where any does
    register: Register | None
    velocity: VelocityStats | None


def features(score: Score, meter: Meter, steps_per_bar: int = 16) -> Features:
    """All features of a score at once."""
    return Features(
        density(score, meter),
        onset_histogram(score, meter, steps_per_bar),
        swing_ratio(score),
        fmean(note.duration_ticks for note in score) / TICKS_PER_QUARTER if len(score) else 0.0,
        _polyphony(score),
        register(score),
        velocity_stats(score),
    )


def onsets(score: Score, pieces: Container[int] | None = None) -> tuple[int, ...]:
    """The ticks at which any note starts, each once, in order; only those on `pieces` (pitches) if given."""
    return tuple(sorted({note.start_ticks for note in score if pieces is None or note.pitch in pieces}))


def density(score: Score, meter: Meter) -> float:
    """Notes a bar."""
    return len(score) * meter.bar_ticks / score.length_ticks if score.length_ticks else 0.0


def onset_histogram(
    score: Score, meter: Meter, steps_per_bar: int = 16, pieces: Container[int] | None = None
) -> tuple[float, ...]:
    """Mean number of notes a bar that start on each of a bar's steps: `[steps_per_bar]`.

    An onset counts for the nearest step, so swing and micro-timing do not blur it; one just before the bar line counts
    for the next bar's first step.
    """
    if steps_per_bar < 1:
        raise BadValue(f"A bar cannot have {steps_per_bar} steps. Use 1 or more.")
    counts = [0] * steps_per_bar
    for note in score:
        if pieces is None or note.pitch in pieces:
            in_bar = note.start_ticks % meter.bar_ticks
            counts[(2 * in_bar * steps_per_bar + meter.bar_ticks) // (2 * meter.bar_ticks) % steps_per_bar] += 1
    bars = max(1, score.length_ticks // meter.bar_ticks)
    return tuple(count / bars for count in counts)


def register(score: Score) -> Register | None:
    """Lowest, median and highest pitch, or None without notes."""
    pitches = [note.pitch for note in score]
    return Register(min(pitches), float(median(pitches)), max(pitches)) if pitches else None


def velocity_stats(score: Score) -> VelocityStats | None:
    """How hard the notes are struck, or None without notes."""
    values = [note.velocity for note in score]
    return VelocityStats(min(values), fmean(values), max(values), pstdev(values)) if values else None


def swing_ratio(score: Score, grid: int = 16) -> float | None:
    """How much longer the first of two grid steps is than the second: 1.0 straight, 2.0 triplets.

    `grid` is the number of steps in a whole note: 8 for swung eighths, 16 for swung sixteenths. Measured at the median
    of the off-beat onsets, against the median of the on-beat ones, so that playing early or late all the time is no
    swing. None if nothing starts between 42 % and 72 % of a pair (further out lie the notes of the next finer grid).
    """
    pair = 8 * TICKS_PER_QUARTER // grid
    positions = [tick % pair / pair for tick in onsets(score)]
    off = [position for position in positions if 0.42 <= position <= 0.72]
    if not off:
        return None
    on = [position - (position > 0.5) for position in positions if position < 0.1 or position > 0.9]
    first = min(max(median(off) - (median(on) if on else 0.0), 0.05), 0.95)
    return first / (1 - first)


def _polyphony(score: Score) -> float:
    """Total length of all notes over the length of their union."""
    union, reached = 0, 0
    for note in score:
        union += max(0, note.end_ticks - max(note.start_ticks, reached))
        reached = max(reached, note.end_ticks)
    return sum(note.duration_ticks for note in score) / union if union else 0.0
