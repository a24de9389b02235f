"""What an ear finds in the sound of one track: notes, so that other tracks have something to play to.

Drums are told apart by the bands in which they begin, single voices by their pitch, chords by the pitch classes that
sound, read against the chords that were planned. It is a sketch of what was played, not a transcription.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from resonantgen.audio.beats import hear_onsets
from resonantgen.audio.onsets import (
    ENVELOPE_RATE,
    Onsets,
    band_edges,
    band_levels,
    find_onsets,
    flux,
)
from resonantgen.audio.pitch import HOP_SECONDS, track_pitch
from resonantgen.audio.resample import resample
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.theory import Chord, Progression, lead_voices
from resonantgen.music.time import TICKS_PER_QUARTER, TempoMap

Array = NDArray[np.float64]

LAP_SECONDS = 0.5  # of a loop that is heard again on each side of it
SILENCE_DB = -60.0  # of a whole track, below which there is nothing in it
SNAP_SECONDS = 0.008  # what begins so near to a sixteenth begins on it; what is further away is meant to be
DRUM_TICKS = TICKS_PER_QUARTER // 8

KICK_HZ, SNARE_HZ, HAT_HZ = (0.0, 120.0), (250.0, 4000.0), (6000.0, 20_000.0)
KICK_DB, SNARE_DB, HAT_DB = 3.0, 6.0, 2.0  # of growth, in the mean of those bands, that is a stroke
# Below the loudest of its kind, a growth is another drum's, or an echo; a snare beside a kick may be the kick's click.
KICK_RANGE_DB, SNARE_RANGE_DB, CLICK_RANGE_DB, HAT_RANGE_DB = 8.0, 12.0, 4.0, 24.0
OPEN_HAT_SECONDS, OPEN_HAT_DB = 0.12, 12.0  # a closed hat has fallen by so much after so long
TOGETHER_SECONDS = 0.025

RANGES_HZ = {Role.BASS: (20.0, 420.0), Role.MELODY: (60.0, 2200.0)}
LOWEST_KEY = 28  # an octave's note that is felt below this is heard above it
LARGEST_APERIODICITY = 0.35
NOTE_RANGE_DB = 30.0  # below the loudest frame, nothing sounds
SHORTEST_NOTE_SECONDS = 0.05
STRUCK_DB = 2.0  # a note on the same key begins again if the level rises by so much
CHORD_LOW, CHORD_HIGH, CHORD_VOICES = 52, 76, 4
CHORD_HABIT = 0.15  # what the planned chord gains over the cosine of chord and chroma


def hear(samples: Array, tempo: TempoMap, bars: int, role: Role, chords: Progression) -> Score:
    """The notes in a loop [frames, channels] of so many bars; none where nothing can be made out."""
    length = bars * tempo.meter.bar_ticks
    if 20 * np.log10(float(np.sqrt(np.mean(samples**2))) + 1e-12) < SILENCE_DB:
        return Score((), length)
    lap = round(LAP_SECONDS * tempo.sample_rate)
    around = np.take(samples, np.arange(-lap, len(samples) + lap), axis=0, mode="wrap")
    if role is Role.DRUMS:
        notes = _drums(around, tempo, length)
    elif role is Role.HARMONY:
        notes = _harmony(around, tempo, length, chords)
    else:
        notes = _voice(around, tempo, length, role)
    return Score.of(notes, length)


def _tick(seconds: float, tempo: TempoMap, length: int) -> int:
    """The tick of a time in what `hear` listens to, on a sixteenth if it is as good as there."""
    ticks = (seconds - LAP_SECONDS) / tempo.seconds(1)
    grid = TICKS_PER_QUARTER // 4
    nearest = round(ticks / grid) * grid
    if abs(ticks - nearest) * tempo.seconds(1) <= SNAP_SECONDS:
        ticks = nearest
    return round(ticks) if round(ticks) < length else -1


def _velocity(below_db: float) -> int:
    """Of what is so many dB below the loudest: 115 for none, 50 for 20."""
    return int(np.clip(round(115 - 3.25 * below_db), 1, 127))


# Drums


def _drums(around: Array, tempo: TempoMap, length: int) -> list[Note]:
    levels = band_levels(around, tempo.sample_rate)
    growth = flux(levels)
    edges = band_edges(tempo.sample_rate)

    def group(limits: tuple[float, float]) -> NDArray[np.bool_]:
        return np.asarray((edges[1:] <= limits[1] * 1.01) & (edges[:-1] >= limits[0] * 0.99))

    kicks = _strokes(levels, growth, group(KICK_HZ), KICK_DB, KICK_RANGE_DB)
    snares = _strokes(levels, growth, group(SNARE_HZ), SNARE_DB, SNARE_RANGE_DB)
    hats = _strokes(levels, growth, group(HAT_HZ), HAT_DB, HAT_RANGE_DB)
    high = levels[:, group(HAT_HZ)].mean(axis=1)
    found = [(DrumPiece.KICK, *kick) for kick in kicks]
    for seconds, below in snares:
        if below <= CLICK_RANGE_DB or not any(abs(seconds - kick) < TOGETHER_SECONDS for kick, _ in kicks):
            found.append((DrumPiece.SNARE, seconds, below))
    found += [(_hat(high, seconds), seconds, below) for seconds, below in hats]
    notes = []
    for piece, seconds, below in found:
        tick = _tick(seconds, tempo, length)
        if tick >= 0:
            notes.append(Note(tick, piece, DRUM_TICKS, _velocity(below)))
    return notes


def _strokes(
    levels: Array, growth: Array, bands: NDArray[np.bool_], least_db: float, range_db: float
) -> list[tuple[float, float]]:
    """What begins in some of the bands: seconds, and dB below the loudest, up to `range_db`."""
    onsets = find_onsets(growth[:, bands].mean(axis=1), least_db)
    at = np.clip(np.round(onsets.seconds * ENVELOPE_RATE).astype(int), 0, len(levels) - 1)
    reach = ndimage.maximum_filter1d(levels[:, bands].mean(axis=1), 9, origin=-4)  # up to 40 ms later
    heights = reach[at]
    below = heights.max(initial=0.0) - heights
    return [(float(t), float(b)) for t, b in zip(onsets.seconds, below, strict=True) if b <= range_db]


def _hat(high: Array, seconds: float) -> DrumPiece:
    """Open or closed, by how the high bands fall."""
    start = round(seconds * ENVELOPE_RATE)
    later = start + round(OPEN_HAT_SECONDS * ENVELOPE_RATE)
    peak = float(high[start : start + 8].max(initial=0.0))
    fallen = peak - float(high[start + 8 : later + 1].min(initial=peak))
    return DrumPiece.OPEN_HAT if fallen < OPEN_HAT_DB else DrumPiece.CLOSED_HAT


# One voice


@dataclass(frozen=True, slots=True)
class VoiceNote:
    """A note that one voice is heard to play, in seconds from the sound's start."""

    start_seconds: float
    seconds: float
    pitch: int
    below_db: float  # the loudest moment of the whole sound


def hear_voice(samples: Array, sample_rate: int, role: Role) -> list[VoiceNote]:
    """The notes of a bass or melody [frames, channels], one at a time."""
    track = track_pitch(samples, sample_rate, *RANGES_HZ[role])
    loudest = float(track.levels_db.max())
    sounding = (track.aperiodicity < LARGEST_APERIODICITY) & (track.levels_db > loudest - NOTE_RANGE_DB)
    tuning = _tuning(track.keys[sounding])
    keys = np.round(ndimage.median_filter(track.keys - tuning, 5)).astype(int)
    onsets = hear_onsets(samples, sample_rate)
    notes = []
    for start, end in _segments(keys, sounding, track.levels_db, onsets):
        key = int(np.median(keys[start:end]))
        key += max(0, -((key - LOWEST_KEY) // 12)) * 12
        if key <= 127:
            below = loudest - float(track.levels_db[start:end].max())
            notes.append(VoiceNote(_begins(start, onsets), (end - start) * HOP_SECONDS, key, below))
    return notes


def _voice(around: Array, tempo: TempoMap, length: int, role: Role) -> list[Note]:
    notes = []
    for note in hear_voice(around, tempo.sample_rate, role):
        tick = _tick(note.start_seconds, tempo, length)
        if tick >= 0:
            ticks = round(note.seconds / tempo.seconds(1))
            notes.append(Note(tick, note.pitch, max(ticks, 1), _velocity(note.below_db)))
    return notes


def _tuning(keys: Array) -> float:
    """How far the keys are from whole ones, in the middle, -0.5 to 0.5: a track may be out of tune as a whole."""
    if not len(keys):
        return 0.0
    return float(np.angle(np.exp(2j * np.pi * keys).mean()) / (2 * np.pi))


def _segments(
    keys: NDArray[np.int_], sounding: NDArray[np.bool_], levels: Array, onsets: Onsets
) -> list[tuple[int, int]]:
    """Where one key sounds without a new onset: frames [start, end) of at least SHORTEST_NOTE_SECONDS."""
    struck = np.zeros(len(keys) + 1, bool)
    for at in np.clip(np.round(onsets.seconds / HOP_SECONDS).astype(int), 0, len(keys) - 1):
        before, after = levels[max(at - 4, 0) : at + 1], levels[at : at + 8]
        struck[at] = after.max() - before.min() >= STRUCK_DB
    shortest = round(SHORTEST_NOTE_SECONDS / HOP_SECONDS)
    found: list[tuple[int, int]] = []
    start = None
    for k in range(len(keys) + 1):
        ends = k == len(keys) or not sounding[k] or struck[k] or (start is not None and keys[k] != keys[k - 1])
        if start is not None and ends:
            if k - start >= shortest:
                found.append((start, k))
            start = None
        if start is None and k < len(keys) and sounding[k]:
            start = k
    return found


def _begins(frame: int, onsets: Onsets) -> float:
    """When a segment that starts at a frame of the pitch track begins: at the onset nearby, if there is one."""
    seconds = frame * HOP_SECONDS
    if len(onsets.seconds):
        nearest = float(onsets.seconds[int(np.argmin(np.abs(onsets.seconds - seconds)))])
        if -0.06 <= nearest - seconds <= 0.02:
            return nearest
    return seconds


# Chords

CHROMA_RATE, CHROMA_SIZE, CHROMA_HOP = 8_000, 4096, 400
CHROMA_LOW, CHROMA_HIGH = 48, 88  # keys that are listened to


def _harmony(around: Array, tempo: TempoMap, length: int, chords: Progression) -> list[Note]:
    chroma, levels = _chroma(around, tempo.sample_rate)
    loudest = float(levels.max())
    notes: list[Note] = []
    voicing: tuple[int, ...] | None = None
    for start, end in _spans(tempo, length):
        first, last = (round((LAP_SECONDS + tempo.seconds(tick)) * CHROMA_RATE / CHROMA_HOP) for tick in (start, end))
        level = float(levels[first : max(last, first + 1)].max())
        if level < loudest - NOTE_RANGE_DB:
            continue
        heard = chroma[first : max(last, first + 1)].mean(axis=0)
        chord = _chord(heard, chords.at(start).chord, chords)
        voicing = lead_voices(voicing, chord, CHORD_LOW, CHORD_HIGH, min(CHORD_VOICES, len(chord.pitch_classes)))
        notes += [Note(start, key, end - start, _velocity(loudest - level)) for key in voicing]
    return _held(notes, tempo.meter.bar_ticks)


def _spans(tempo: TempoMap, length: int) -> list[tuple[int, int]]:
    """The felt beats, in ticks."""
    bar, beats = tempo.meter.bar_ticks, tempo.meter.beats_ticks
    starts = [start + beat for start in range(0, length, bar) for beat in beats]
    return list(zip(starts, [*starts[1:], length], strict=True))


def _held(notes: Sequence[Note], bar_ticks: int) -> list[Note]:
    """Notes of one key that follow upon each other within a bar as one."""
    held: list[Note] = []
    last: dict[int, int] = {}  # key to place in `held`
    for note in notes:
        at = last.get(note.pitch)
        before = held[at] if at is not None else None
        if before is not None and before.end_ticks == note.start_ticks and note.start_ticks % bar_ticks:
            assert at is not None
            held[at] = Note(
                before.start_ticks,
                note.pitch,
                before.duration_ticks + note.duration_ticks,
                max(before.velocity, note.velocity),
            )
        else:
            last[note.pitch] = len(held)
            held.append(note)
    return held


def _chord(heard: Array, planned: Chord, chords: Progression) -> Chord:
    """The chord of a progression, or a triad on any tone, that a chroma [12] is nearest to; the planned one."""
    known = list(dict.fromkeys(span.chord for span in chords.spans))
    triads = [Chord.parse(f"{name}{kind}") for name in _NAMES for kind in ("", "m")]
    norm = float(np.linalg.norm(heard)) or 1.0

    def score(chord: Chord) -> float:
        tones = chord.pitch_classes
        alike = float(heard[list(tones)].sum()) / (math.sqrt(len(tones)) * norm)  # cosine
        return alike + CHORD_HABIT * (chord == planned)

    candidates = [planned, *known, *triads]
    return max(candidates, key=score)


_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def _chroma(around: Array, sample_rate: int) -> tuple[Array, Array]:
    """Strength of the pitch classes [frames, 12] and level in dB [frames], CHROMA_RATE / CHROMA_HOP frames a second."""
    mono = resample(around.mean(axis=1, keepdims=True), sample_rate, CHROMA_RATE)[:, 0]
    count = len(mono) // CHROMA_HOP + 1
    padded = np.pad(mono, (CHROMA_SIZE // 2, CHROMA_SIZE))
    at = np.arange(count)[:, None] * CHROMA_HOP + np.arange(CHROMA_SIZE)
    frames = padded[at] * signal.get_window("hann", CHROMA_SIZE)
    spectrum = np.abs(np.fft.rfft(frames, axis=1)) ** 0.5  # compressed: a chord's softer tones count
    frequencies = np.fft.rfftfreq(CHROMA_SIZE, 1 / CHROMA_RATE)
    peaks = spectrum * (spectrum >= ndimage.maximum_filter1d(spectrum, 3, axis=1))
    keys = 69 + 12 * np.log2(np.maximum(frequencies, 1.0) / 440)
    inside = (keys >= CHROMA_LOW - 0.5) & (keys < CHROMA_HIGH + 0.5)
    classes = np.round(keys[inside]).astype(int) % 12
    chroma = np.stack([peaks[:, inside][:, classes == c].sum(axis=1) for c in range(12)], axis=1)
    return chroma, 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
