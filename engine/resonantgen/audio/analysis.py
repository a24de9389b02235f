"""What can be told from sound: tempo and bar, key, chords, onsets, register and loudness."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.beats import NEAR_BEAT, Beat, beat_of, pulses
from resonantgen.audio.chords import read_chords
from resonantgen.audio.chroma import BASS_KEYS, FRAMES_PER_SECOND, LOWEST, TREBLE_KEYS, NoteLevels, note_levels
from resonantgen.audio.key import find_key
from resonantgen.audio.onsets import band_levels, find_onsets, flux
from resonantgen.audio.pcm import Pcm, parts
from resonantgen.audio.rhythm import hear_events
from resonantgen.errors import BadValue
from resonantgen.instruments.loudness import block_powers, gated_loudness
from resonantgen.music.analysis import Register
from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, ChordSpan, Key, Mode, Progression
from resonantgen.music.time import MAX_BARS, TICKS_PER_QUARTER, Meter

Array = NDArray[np.float64]

ONSET_DB = 1.0
SILENCE_LUFS = -70.0
BEAT_SECONDS = 180.0  # tempo and bar are those of a long piece's beginning: few keep one grid for longer
CUT_SECONDS = 0.02  # a loop that was cut to bars is so near to their length
SPAN_SECONDS = 0.5  # of which chords are told where no beat is heard


@dataclass(frozen=True, slots=True)
class HeardChord:
    """A chord and when it sounds; None where no tone does."""

    chord: Chord | None
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is heard in a piece of sound. Bars and beats lie on one grid of constant tempo."""

    seconds: float
    tempo_bpm: float | None  # quarter notes a minute; None: no beat can be heard
    tempo_clarity: float  # 0 to 1: how well onsets gather on the beat
    meter: Meter  # as it was said, otherwise as it was heard
    downbeat_seconds: float  # the first start of a bar; 0 where no beat is heard
    downbeat_clarity: float  # 0 to 1: by how much this place of the bar is ahead of the others
    key: Key | None  # None: no tones
    key_clarity: float  # 0 to 1: by how much it is ahead of the next
    chords: tuple[HeardChord, ...]  # from start to end, changing on beats
    onsets_seconds: tuple[float, ...]
    register: Register | None  # of the tones, in MIDI keys
    loudness_lufs: float  # -inf: silence

    @property
    def beat_seconds(self) -> float | None:
        """A quarter note."""
        return None if self.tempo_bpm is None else 60 / self.tempo_bpm

    @property
    def bar_seconds(self) -> float | None:
        return None if self.tempo_bpm is None else self.meter.bar_ticks / TICKS_PER_QUARTER * 60 / self.tempo_bpm

    @property
    def bars(self) -> int:
        """Whole bars from the first downbeat to the end, to a twentieth of a bar; 0 where no beat is heard."""
        bar = self.bar_seconds
        return 0 if bar is None else max(math.floor((self.seconds - self.downbeat_seconds) / bar + 0.05), 0)

    def ticks_at(self, seconds: float) -> float:
        """Ticks from the first downbeat to a time, negative before it. Raises BadValue where no beat is heard."""
        if self.tempo_bpm is None:
            raise BadValue("No beat can be heard in this sound. Say its tempo: --tempo 120.")
        return (seconds - self.downbeat_seconds) * self.tempo_bpm / 60 * TICKS_PER_QUARTER

    def progression(self, bars: int, start_seconds: float | None = None) -> Progression:
        """The chords of so many bars from a time (the first downbeat), each changing on a quarter note.

        Where no chord is heard the one before goes on; before the first, that one. Without any, the key's tonic triad.
        Raises BadValue where no beat is heard.
        """
        origin = self.ticks_at(self.downbeat_seconds if start_seconds is None else start_seconds)
        length = bars * self.meter.bar_ticks
        known = [span for span in self.chords if span.chord is not None]
        tonic = self.key or Key(0, Mode.MAJOR)
        chord = known[0].chord if known else Chord(tonic.tonic, "m" if tonic.mode.is_minor else "")
        assert chord is not None
        changes: dict[int, Chord] = {0: chord}
        for span in known:
            tick = self.ticks_at(span.start_seconds) - origin
            start = max(round(tick / TICKS_PER_QUARTER) * TICKS_PER_QUARTER, 0)
            if start < length and span.chord is not None:
                changes[start] = span.chord
        starts = sorted(changes)
        spans: list[ChordSpan] = []
        for start, end in zip(starts, [*starts[1:], length], strict=True):
            if spans and spans[-1].chord == changes[start]:
                spans[-1] = ChordSpan(spans[-1].chord, spans[-1].start_ticks, end - spans[-1].start_ticks)
            else:
                spans.append(ChordSpan(changes[start], start, end - start))
        return Progression(tuple(spans))

    def __str__(self) -> str:
        key = self.key or Key(0, Mode.MAJOR)
        lines = [f"{self.seconds:.2f} s, {_loudness_text(self.loudness_lufs)}, {len(self.onsets_seconds)} onsets"]
        if self.tempo_bpm is None:
            lines.append("no beat can be heard")
        else:
            lines.append(
                f"{self.tempo_bpm:.2f} bpm (clarity {self.tempo_clarity:.2f}), {self.meter}, "
                f"first bar at {self.downbeat_seconds:.3f} s (clarity {self.downbeat_clarity:.2f}), {self.bars} bars"
            )
        if self.key is None:
            lines.append("no tones can be heard")
        else:
            lines.append(f"{self.key} (clarity {self.key_clarity:.2f})")
            names = [span.chord.symbol(key) if span.chord else "-" for span in self.chords]
            lines.append("chords: " + " ".join(names[:64]) + (" …" if len(names) > 64 else ""))
        if self.register is not None:
            lines.append(
                f"tones from {self.register.low} to {self.register.high}, most about {self.register.median:.0f}"
            )
        return "\n".join(lines)


def analyze(
    samples: Pcm,
    sample_rate: int,
    *,
    tempo_bpm: float | None = None,
    meter: Meter | None = None,
    role: Role | None = None,
) -> Analysis:
    """What is heard in [frames, channels] at any rate.

    `samples` may be anything that is sliced as an array is: it is read in parts. The tempo is looked for near
    `tempo_bpm` where it is given. `role` says what is in it, if that is known: in drums no
    tones are looked for. Raises BadValue for what is no sound: no frames, no channels, a rate that is none.
    """
    if len(samples.shape) != 2 or not len(samples) or not samples.shape[1] or sample_rate <= 0:
        raise BadValue("There is no sound to analyse: give samples [frames, channels] and their rate.")
    seconds = len(samples) / sample_rate
    loudness = _loudness(samples, sample_rate)
    if loudness < SILENCE_LUFS:
        return Analysis(seconds, None, 0.0, meter or Meter(), 0.0, 0.0, None, 0.0, (), (), None, -math.inf)
    notes = None if role is Role.DRUMS else note_levels(samples, sample_rate)
    growth = flux(band_levels(samples, sample_rate))
    onsets = find_onsets(growth.mean(axis=1), ONSET_DB)
    heard = hear_events(onsets, growth, notes.changes() if notes else None, FRAMES_PER_SECOND)
    beat = beat_of(heard.before(BEAT_SECONDS), min(seconds, BEAT_SECONDS), tempo_bpm, meter or Meter())
    beat = _cut_to_bars(beat, seconds, meter or Meter()) if beat else None
    edges = _edges(seconds, beat.tempo_bpm if beat else None, beat.downbeat_seconds if beat else 0.0)
    key, clarity = find_key(notes) if notes else (None, 0.0)
    chords = _chords(notes, edges, key) if notes else ()
    return Analysis(
        seconds,
        beat.tempo_bpm if beat else None,
        beat.clarity if beat else 0.0,
        meter or Meter(),
        beat.downbeat_seconds if beat else 0.0,
        beat.downbeat_clarity if beat else 0.0,
        key,
        clarity,
        chords,
        tuple(float(time) for time in onsets.seconds),
        _register(notes) if notes else None,
        loudness,
    )


def _loudness(samples: Pcm, sample_rate: int) -> float:
    """Of the first two channels, measured minute by minute, so that a long file needs no more memory."""
    minute = 60 * sample_rate
    powers = [
        block_powers(np.repeat(part, 2, axis=1) if part.shape[1] == 1 else part[:, :2], sample_rate)
        for part in parts(samples, minute)
        if len(part) >= sample_rate or len(samples) < minute
    ]
    return gated_loudness(np.concatenate(powers))


def _cut_to_bars(beat: Beat, seconds: float, meter: Meter) -> Beat:
    """The same, or, where the sound is a loop, with its bar at the start: of what plays off the beat only, nothing but
    where it was cut tells where the beat is.

    A loop is 1, 2, 4, 8 … whole bars long, or any number of them with a beat, or what lies between two, at its start.
    """
    quarter = 60 / beat.tempo_bpm
    bar = meter.bar_ticks / TICKS_PER_QUARTER * quarter
    bars = round(seconds / bar)
    if not 1 <= bars <= MAX_BARS or abs(seconds - bars * bar) >= CUT_SECONDS:
        return beat
    halves = beat.downbeat_seconds / (pulses(meter)[0] * quarter / 2)
    if bars.bit_count() == 1 or abs(halves - round(halves)) < 2 * NEAR_BEAT:
        return replace(beat, downbeat_seconds=0.0)
    return beat


def _loudness_text(lufs: float) -> str:
    return "silence" if math.isinf(lufs) else f"{lufs:.1f} LUFS"


def _edges(seconds: float, tempo_bpm: float | None, downbeat_seconds: float) -> Array:
    """The limits of the spans of which chords are told: beats, or, without any, even parts, [spans + 1]."""
    step = 60 / tempo_bpm if tempo_bpm else SPAN_SECONDS
    first = downbeat_seconds % step
    inner = np.arange(first, seconds, step)
    inner = inner[(inner > 0.1 * step) & (inner < seconds - 0.1 * step)]
    return np.concatenate([[0.0], inner, [seconds]])


def _chords(notes: NoteLevels, edges: Array, key: Key | None) -> tuple[HeardChord, ...]:
    places = np.clip(np.round(edges * FRAMES_PER_SECOND).astype(int), 0, len(notes.strengths))
    last = len(notes.strengths) - 1
    tones, bass = (
        np.stack([chroma[min(a, last) : max(b, a + 1)].mean(axis=0) for a, b in pairwise(places)])
        for chroma in (notes.between(*TREBLE_KEYS), notes.between(*BASS_KEYS))
    )
    read = read_chords(tones, bass, np.ones(len(tones)), key)
    return tuple(
        HeardChord(chord, float(start), float(end))
        for chord, start, end in zip(read, edges[:-1], edges[1:], strict=True)
    )


def _register(notes: NoteLevels) -> Register | None:
    """The keys between which nearly all of the tones lie."""
    share = np.cumsum(notes.strengths.sum(axis=0) ** 2)
    if not len(share) or share[-1] <= 0:
        return None
    low, middle, high = (int(LOWEST + np.searchsorted(share, part * share[-1])) for part in (0.02, 0.5, 0.98))
    return Register(low, float(middle), high)
