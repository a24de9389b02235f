"""Generated sound onto a plan's bars: exactly as many frames, its beats on the grid, a loop, at a loudness.

A model makes more than is needed. Of that the piece is kept whose first beat is a downbeat and whose end leads to its
start best; it is stretched by what its tempo is off, if that is little, and what came before it is faded into its end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.beats import Beat, find_beat, grid_error, loop_onsets, pulse_offset, pulses
from resonantgen.audio.loop import close_loop
from resonantgen.audio.onsets import ENVELOPE_RATE, RANGE_DB, band_levels
from resonantgen.audio.resample import resample
from resonantgen.audio.stretch import stretch
from resonantgen.errors import ModelError
from resonantgen.generators.base import Plan
from resonantgen.instruments.base import Samples
from resonantgen.instruments.stem import at_loudness
from resonantgen.music.time import TICKS_PER_QUARTER, TempoMap

Array = NDArray[np.float64]

LARGEST_STRETCH = 0.04
LARGEST_ERROR = 0.055  # root mean square, over a pulse, of beats that still count as aligned; chance gives 0.07
SEAM_SECONDS = 0.03  # at a beat: a stroke is not doubled
PAD_SEAM_SECONDS = 0.4  # where no beat was found
MARGIN_SECONDS = 0.25  # kept on each side of the window while it is resampled and stretched
LEAST_DRIFT_SECONDS = 0.003  # over the whole: less is not worth a stretch
LARGEST_NUDGE = 0.06  # of a pulse, by which the finished loop may still be turned onto the grid


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A loop of exactly the plan's bars, and what was measured and done."""

    samples: Samples  # [frames, 2]
    heard_tempo_bpm: float | None
    stretch: float  # length after over before
    beat_error_ms: float | None
    aligned: bool

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Of several attempts the one with the lowest is the best."""
        off = abs((self.stretch if self.aligned else 1.0) - 1.0) + (self.beat_error_ms or 0.0) / 1000
        return not self.aligned, self.heard_tempo_bpm is None, off


def seconds_needed(plan: Plan) -> float:
    """How long a piece must be for a window of the plan's bars to be in it, wherever its first downbeat is."""
    bar = plan.meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(plan.tempo_bpm)
    return (plan.bars / (1 - LARGEST_STRETCH) + 1) * bar + 2 * MARGIN_SECONDS


def fit(piece: Array, piece_rate: int, plan: Plan, sample_rate: int, loudness_lufs: float) -> Fitted:
    """A piece [frames, 1 or 2] as a loop. Raises ModelError if it is too short or holds what is no number."""
    if not np.isfinite(piece).all():
        raise ModelError(
            "The model's sound holds values that are no numbers. Verify its files: resonantgen models verify."
        )
    tempo = TempoMap(plan.tempo_bpm, plan.meter, sample_rate)
    beat = find_beat(piece, piece_rate, float(plan.tempo_bpm), plan.meter)
    ratio = beat.tempo_bpm / float(plan.tempo_bpm) if beat else 1.0
    alignable = beat is not None and abs(ratio - 1) <= LARGEST_STRETCH
    wanted_seconds = tempo.frames(plan.bars) / sample_rate
    if not alignable or abs(ratio - 1) * wanted_seconds < LEAST_DRIFT_SECONDS:
        ratio = 1.0
    start = _best_start(piece, piece_rate, plan, beat, wanted_seconds / ratio)
    loop = _cut(piece, piece_rate, start, tempo, plan.bars, ratio, SEAM_SECONDS if beat else PAD_SEAM_SECONDS)
    error: float | None = None
    if beat is not None:
        loop, error = _onto_grid(loop, tempo)
    loop -= loop.mean(axis=0)
    stem = at_loudness(np.repeat(loop, 2, axis=1) if loop.shape[1] == 1 else loop, sample_rate, loudness_lufs)
    pulse_ms = pulses(plan.meter)[0] * 60_000 / float(plan.tempo_bpm)
    aligned = alignable and error is not None and error <= LARGEST_ERROR * pulse_ms
    return Fitted(stem.samples, beat.tempo_bpm if beat else None, ratio, error, aligned)


def _best_start(piece: Array, piece_rate: int, plan: Plan, beat: Beat | None, seconds: float) -> float:
    """Where in the piece a window of so many seconds starts, in seconds: at a downbeat, or else a beat, if it has any.

    Of several the one wins whose surroundings at start and end are most alike, and which is not quieter than the rest.
    """
    latest = len(piece) / piece_rate - seconds
    if latest < 0:
        raise ModelError(
            f"The model made {len(piece) / piece_rate:.1f} seconds of sound, and {seconds:.1f} are needed."
        )
    if beat is None:
        return min(PAD_SEAM_SECONDS, latest)
    quarters = pulses(plan.meter)[0]
    pulse = quarters * 60 / beat.tempo_bpm
    per_bar = round(plan.meter.bar_ticks / TICKS_PER_QUARTER / quarters)
    for step in (per_bar * pulse, pulse):
        first = beat.downbeat_seconds - np.floor(beat.downbeat_seconds / step) * step
        starts = np.arange(first, latest, step)
        if len(starts):
            levels = band_levels(piece, piece_rate)
            costs = [_seam_cost(levels, start, start + seconds, pulse) for start in starts]
            return float(starts[int(np.argmin(costs))])
    return 0.0


def _seam_cost(levels: Array, start: float, end: float, pulse: float) -> float:
    """How badly a window loops, in dB: how far what is around its end is from what is around its start."""
    span = max(round(pulse * ENVELOPE_RATE), 1)
    first, last = round(start * ENVELOPE_RATE), round(end * ENVELOPE_RATE)
    cost = max(float(levels.mean()) - float(levels[first:last].mean()), 0.0)
    count = min(span, first)  # of what leads to each; a window at the very start of the piece has nothing to show
    if count > span // 4:
        cost += float(np.abs(levels[first - count : first] - levels[last - count : last]).mean())
    else:
        cost += 0.1 * RANGE_DB
    count = min(span, len(levels) - last)
    if count > span // 4:
        cost += float(np.abs(levels[first : first + count] - levels[last : last + count]).mean())
    return cost


def _cut(
    piece: Array, piece_rate: int, start: float, tempo: TempoMap, bars: int, ratio: float, seam_seconds: float
) -> Array:
    """The window from `start` seconds as a loop of exactly the bars at the tempo's sample rate, [frames, channels]."""
    frames = tempo.frames(bars)
    end = start + frames / tempo.sample_rate / ratio
    margin = max(MARGIN_SECONDS, seam_seconds)
    first = max(round((start - margin) * piece_rate), 0)
    last = min(round((end + margin) * piece_rate), len(piece))
    sound = resample(piece[first:last], piece_rate, tempo.sample_rate)
    lead = (start - first / piece_rate) * ratio
    sound = stretch(sound, round(len(sound) * ratio), tempo.sample_rate)
    at = min(round(lead * tempo.sample_rate), len(sound) - frames)
    if at < 0:  # shorter by the rounding of a frame or two
        sound, at = np.pad(sound, ((0, -at), (0, 0))), 0
    return close_loop(sound, at, frames, round(seam_seconds * tempo.sample_rate))


def _onto_grid(loop: Array, tempo: TempoMap) -> tuple[Array, float]:
    """The loop turned by the few milliseconds by which its beats are off, and the error that is left, in ms."""
    pulse = pulses(tempo.meter)[0] * 60 / float(tempo.tempo_bpm)
    offset = pulse_offset(loop_onsets(loop, tempo.sample_rate), pulse)
    if abs(offset) <= LARGEST_NUDGE * pulse:
        loop = np.roll(loop, -round(offset * tempo.sample_rate), axis=0)
    return loop, 1000 * grid_error(loop_onsets(loop, tempo.sample_rate), pulse, 0.0)
