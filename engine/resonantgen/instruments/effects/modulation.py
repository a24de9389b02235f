"""Effects that move by themselves: chorus, phaser, tremolo, pump."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.instruments.effects import inserts
from resonantgen.instruments.effects.inserts import note_value_ticks
from resonantgen.instruments.jit import kernel
from resonantgen.music.time import TICKS_PER_QUARTER, TempoMap

GAIN_TABLE_SIZE = 4096
PUMP_DIP_SECONDS = 0.006  # the pump's way down: short, but not a click


@kernel
def _run_chorus(
    block: Samples,
    delay: float,
    depth: float,
    step: float,
    feedback: float,
    mix: float,
    phases: Samples,
    line: Samples,
    place: Samples,
) -> Samples:
    """`delay` and `depth` in frames; `phases` [2 channels, voices]; `line` is a ring [frames, 2].

    `place` holds the ring's position and the cosine and sine of the oscillator, which turns by `step` radians a frame.
    """
    out = np.empty_like(block)
    size, voices = line.shape[0], phases.shape[1]
    write = int(place[0])
    cosine, sine = place[1], place[2]
    turn_cos, turn_sin = math.cos(step), math.sin(step)
    offset_cos, offset_sin = np.cos(phases), np.sin(phases)
    dry, wet = math.cos(mix * math.pi / 2), math.sin(mix * math.pi / 2) / math.sqrt(voices)
    for n in range(block.shape[0]):
        for c in range(2):
            total = 0.0
            for v in range(voices):
                back = delay + depth * (sine * offset_cos[c, v] + cosine * offset_sin[c, v])
                whole = int(back)
                part = back - whole
                # Cubic interpolation (Catmull-Rom) between the frames `whole` and `whole + 1` back.
                i = write - whole + 1
                p0 = line[i if i >= 0 else i + size, c]
                p1 = line[i - 1 if i >= 1 else i - 1 + size, c]
                p2 = line[i - 2 if i >= 2 else i - 2 + size, c]
                p3 = line[i - 3 if i >= 3 else i - 3 + size, c]
                slope = 0.5 * (p2 - p0)
                bend = p0 - 2.5 * p1 + 2 * p2 - 0.5 * p3
                twist = 0.5 * (p3 - p0) + 1.5 * (p1 - p2)
                total += p1 + part * (slope + part * (bend + part * twist))
            kept = block[n, c] + feedback * total / voices
            line[write, c] = 0.0 if -1e-30 < kept < 1e-30 else kept
            out[n, c] = dry * block[n, c] + wet * total
        write = write + 1 if write + 1 < size else 0
        cosine, sine = cosine * turn_cos - sine * turn_sin, sine * turn_cos + cosine * turn_sin
    place[0], place[1], place[2] = write, cosine, sine
    return out


@dataclass(slots=True)
class ChorusState:
    line: Samples
    place: Samples


@dataclass(frozen=True, slots=True)
class ChorusEffect:
    """See `inserts.Chorus`."""

    delay: float
    depth: float
    step: float
    feedback: float
    mix: float
    phases: Samples

    @classmethod
    def of(cls, insert: inserts.Chorus, tempo: TempoMap) -> ChorusEffect:
        per_ms = tempo.sample_rate / 1000
        delay = max(insert.delay_ms * per_ms, 4.0)
        depth = min(insert.depth_ms * per_ms, delay - 3.0)  # the interpolation looks up to two frames ahead
        voice = np.arange(insert.voices) / insert.voices
        phases = 2 * np.pi * np.stack([voice, voice + 0.5 / insert.voices])
        step = 2 * math.pi * insert.rate_hz / tempo.sample_rate
        return cls(delay, depth, step, insert.feedback, insert.mix, phases)

    @property
    def gap_frames(self) -> int:
        return math.ceil(self.delay + self.depth)

    def start(self) -> ChorusState:
        return ChorusState(np.zeros((self.gap_frames + 4, 2)), np.array([0.0, 1.0, 0.0]))

    def render(self, state: ChorusState, block: Samples) -> Samples:
        return _run_chorus(
            np.ascontiguousarray(block),
            self.delay,
            self.depth,
            self.step,
            self.feedback,
            self.mix,
            self.phases,
            state.line,
            state.place,
        )


@kernel
def _run_phaser(
    block: Samples,
    rate: float,
    low: float,
    high: float,
    feedback: float,
    mix: float,
    start_frame: int,
    memory: Samples,
    last: Samples,
) -> Samples:
    """`rate`, `low` and `high` in cycles a frame; `memory` is [2 channels, stages]; `last` [2 channels] the wet sound.

    The notches move every 16 frames of the stream, whatever the blocks.
    """
    out = np.empty_like(block)
    stages = memory.shape[1]
    coefficients = np.empty(2)
    for n in range(block.shape[0]):
        if n == 0 or (start_frame + n) % 16 == 0:
            cycle = rate * ((start_frame + n) // 16 * 16)
            for c in range(2):
                sweep = 0.5 + 0.5 * math.sin(2 * math.pi * (cycle - math.floor(cycle) + 0.25 * c))
                w = math.tan(math.pi * low * (high / low) ** sweep)
                coefficients[c] = (w - 1) / (w + 1)
        for c in range(2):
            x = block[n, c] + feedback * last[c]
            for s in range(stages):
                y = coefficients[c] * x + memory[c, s]
                kept = x - coefficients[c] * y
                memory[c, s] = 0.0 if -1e-30 < kept < 1e-30 else kept
                x = y
            last[c] = x
            out[n, c] = (1 - 0.5 * mix) * block[n, c] + 0.5 * mix * x
    return out


@dataclass(slots=True)
class PhaserState:
    memory: Samples
    last: Samples
    frame: int = 0


@dataclass(frozen=True, slots=True)
class PhaserEffect:
    """See `inserts.Phaser`."""

    insert: inserts.Phaser
    sample_rate: int

    @property
    def gap_frames(self) -> int:
        return 0

    def start(self) -> PhaserState:
        return PhaserState(np.zeros((2, self.insert.stages)), np.zeros(2))

    def render(self, state: PhaserState, block: Samples) -> Samples:
        p, rate = self.insert, self.sample_rate
        low, high = min(p.low_hz / rate, 0.4), min(p.high_hz / rate, 0.4)
        out = _run_phaser(
            np.ascontiguousarray(block),
            p.rate_hz / rate,
            low,
            high,
            p.feedback,
            p.mix,
            state.frame,
            state.memory,
            state.last,
        )
        state.frame += len(block)
        return out


@kernel
def _run_gain(block: Samples, period: float, start_frame: int, table: Samples) -> Samples:
    """Multiply by a curve that repeats every `period` frames; `table` [points + 1, 2] is one turn with both ends."""
    out = np.empty_like(block)
    points = table.shape[0] - 1
    for n in range(block.shape[0]):
        turns = (start_frame + n) / period
        at = (turns - math.floor(turns)) * points
        i = min(int(at), points - 1)
        for c in range(2):
            out[n, c] = block[n, c] * (table[i, c] + (at - i) * (table[i + 1, c] - table[i, c]))
    return out


@dataclass(slots=True)
class GainState:
    frame: int = 0


@dataclass(frozen=True, slots=True)
class PeriodicGain:
    """A level that follows a curve over and over: tremolo, auto-pan and pump."""

    period_frames: float
    table: Samples  # [points + 1, 2]

    @classmethod
    def tremolo(cls, insert: inserts.Tremolo, tempo: TempoMap) -> PeriodicGain:
        period = (
            tempo.sample_rate / insert.rate_hz
            if insert.period is None
            else _frames(note_value_ticks(insert.period), tempo)
        )
        angle = 2 * np.pi * np.linspace(0, 1, GAIN_TABLE_SIZE + 1)
        sides = np.stack([angle, angle + np.pi if insert.pan else angle], axis=1)
        return cls(period, 1 - insert.depth * (0.5 - 0.5 * np.cos(sides)))

    @classmethod
    def pump(cls, insert: inserts.Pump, tempo: TempoMap) -> PeriodicGain:
        period = _frames(_part_of_bar(insert.period, tempo), tempo)
        phase = np.linspace(0, 1, GAIN_TABLE_SIZE + 1)
        dip = min(PUMP_DIP_SECONDS * tempo.sample_rate / period, 0.25)
        down = 0.5 + 0.5 * np.cos(np.pi * np.minimum(phase / dip, 1))
        swell = np.sin(0.5 * np.pi * np.clip((phase - dip) / (1 - dip), 0, 1)) ** (2 * insert.curve)
        curve = 1 - insert.depth * (1 - np.where(phase < dip, down, swell))
        return cls(period, np.stack([curve, curve], axis=1))

    @property
    def gap_frames(self) -> int:
        return math.ceil(self.period_frames)

    def start(self) -> GainState:
        return GainState()

    def render(self, state: GainState, block: Samples) -> Samples:
        out = _run_gain(np.ascontiguousarray(block), self.period_frames, state.frame, self.table)
        state.frame += len(block)
        return out


def _frames(ticks: int, tempo: TempoMap) -> float:
    """A length in frames, not rounded to whole ones, so that what repeats keeps with the beat for ever."""
    return float(ticks * 60 * tempo.sample_rate / TICKS_PER_QUARTER / tempo.tempo_bpm)


def _part_of_bar(value: inserts.NoteValue, tempo: TempoMap) -> int:
    """The length in ticks, or the longest part of it that fills a bar (an eighth for a quarter in 7/8).

    So every bar begins with a dip, and a loop has no step in level at its seam.
    """
    return math.gcd(note_value_ticks(value), tempo.meter.bar_ticks)
