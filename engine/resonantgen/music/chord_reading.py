"""Reads the chord progression back from a harmony track's notes.

Each felt beat says how well it fits each of the 240 chords, a change of chord costs something, least at a bar line, and
the Viterbi algorithm finds the best path (as in Sheh and Ellis, "Chord segmentation and recognition using EM-trained
hidden Markov models", ISMIR 2003, but with rules in place of trained probabilities, since the notes are known).

What makes it work for arpeggios as well as for block chords is the window in which a moment is judged: the smallest of
what sounds at that moment, its beat, its half bar and its bar in which three different tones can be heard.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.key_estimation import estimate_key
from resonantgen.music.notes import Note, Score
from resonantgen.music.theory import QUALITIES, Chord, ChordSpan, Key, Progression
from resonantgen.music.time import TICKS_PER_QUARTER, Meter

Floats = NDArray[np.float64]

# Onsets so close together are one chord (a strum, a human hand), and so close to a beat they are on it.
_TOGETHER_TICKS = TICKS_PER_QUARTER // 8

# All in the unit "one quarter note long, fits perfectly".
_FOREIGN = 2.0  # times the share of notes that are not the chord's
_MISSING_ROOT, _MISSING_TONE, _MISSING_FIFTH = 0.5, 0.35, 0.15
_ROOT_IS_LOWEST = 0.1
_ROOT_IN_KEY, _ALL_IN_KEY = 0.02, 0.03
_CHANGE_AT_BAR, _CHANGE_AT_STRONG_BEAT, _CHANGE_AT_BEAT = 0.2, 0.3, 0.9
# Between names of the same notes (C6 and Am7, Csus2 and Gsus4) where nothing else decides.
_RARITY = {"6": 0.01, "m6": 0.01, "sus2": 0.01, "add9": 0.005, "madd9": 0.005, "7sus4": 0.005, "dim7": 0.005}
_HEARD = 0.02  # share of a window from which a tone counts as heard


def read_chords(score: Score, meter: Meter, key: Key | None = None) -> Progression:
    """The chords that a harmony track plays, changing on felt beats, as long as the score.

    Reads block chords, broken chords, stabs with rests, strums and anticipations; silence continues the chord before
    it, and silence at the start belongs to the first chord. Of several names for the same notes (C6, Am7) the one
    whose root is lowest is chosen, then the one that fits the key, which is estimated if not given. A tone that only
    the bass plays is not known here. Without notes: the key's tonic triad, C major if there is no key either.
    """
    key = key or estimate_key(score)
    beats = _beats(meter, score.length_ticks)
    fit = np.zeros((len(beats), len(_chords())))
    moments = list(_moments(_held(score, beats), beats))
    if moments:
        weights, lowest = _windows(moments, beats)
        fits = _fit(weights, lowest, key)
        for moment, row in zip(moments, fits, strict=True):
            fit[moment.beat] += row * (moment.end_ticks - moment.start_ticks) / TICKS_PER_QUARTER
    else:
        tonic = Chord(key.tonic, "m" if key.mode.is_minor else "")
        fit[:, _chords().index(tonic)] = 1.0
    return _progression(_best_path(fit, np.array([beat.change_cost for beat in beats])), beats, score.length_ticks)


@dataclass(frozen=True, slots=True)
class _Beat:
    """A felt beat: when it starts, what a change of chord there costs, and the half bar and bar that it is in."""

    start_ticks: int
    change_cost: float
    half: int
    bar: int


def _beats(meter: Meter, length_ticks: int) -> list[_Beat]:
    beats: list[_Beat] = []
    half = -1
    for bar in range(-(-length_ticks // meter.bar_ticks)):
        for offset in meter.beats_ticks:
            strong = offset in meter.strong_ticks
            half += strong
            cost = _CHANGE_AT_BEAT if not strong else _CHANGE_AT_STRONG_BEAT if offset else _CHANGE_AT_BAR
            beats.append(_Beat(bar * meter.bar_ticks + offset, cost, half, bar))
    return [beat for beat in beats if beat.start_ticks < length_ticks]


def _held(score: Score, beats: Sequence[_Beat]) -> list[Note]:
    """The notes as chords in the beats that they are meant for.

    Onsets are gathered and moved onto a beat that is close. A chord that anticipates a beat starts on that beat. Each
    is held until the next one, but not beyond its beat unless it sounds longer: staccato counts as much as legato.
    """
    lines = [beat.start_ticks for beat in beats] + [score.length_ticks]
    chords: list[list[Note]] = []
    for note in score:
        if not chords or note.start_ticks - chords[-1][0].start_ticks > _TOGETHER_TICKS:
            chords.append([])
        chords[-1].append(note)
    held: list[Note] = []
    following = struck = score.length_ticks
    for chord in reversed(chords):
        start = _on_line(chord[0].start_ticks, lines)
        struck, struck_next = start, struck
        if start < score.length_ticks and _anticipates(start, struck_next, lines):
            start = lines[bisect_right(lines, start)]
        beat_end = lines[min(bisect_right(lines, start), len(lines) - 1)]
        for note in chord:
            end = max(_on_line(note.end_ticks, lines), min(following, beat_end))
            if end > start:
                held.append(replace(note, start_ticks=start, duration_ticks=end - start))
        following = start
    return held


def _anticipates(start: int, following: int, lines: Sequence[int]) -> bool:
    """Whether a chord struck in the second half of a beat is meant for the next beat.

    It is if nothing else is struck for longer after that beat than it comes before it. A pushed chord does that; the
    off-beats of reggae, one after each beat, do not.
    """
    after = bisect_right(lines, start)
    early = lines[after] - start
    return 2 * early <= lines[after] - lines[after - 1] and following - lines[after] > early + _TOGETHER_TICKS


def _on_line(tick: int, lines: Sequence[int]) -> int:
    """The beat line that is close to a tick, or the tick itself."""
    after = bisect_right(lines, tick)
    return next((line for line in lines[max(after - 1, 0) : after + 1] if abs(line - tick) <= _TOGETHER_TICKS), tick)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A stretch within one beat during which the same notes sound."""

    start_ticks: int
    end_ticks: int
    beat: int
    pitches: tuple[int, ...]
    struck_as_one: bool  # no voice of a broken chord that still rings under another

    @property
    def tones(self) -> Floats:
        """1 for each pitch class that sounds, 0 for the others: `[12]`."""
        present = np.zeros(12)
        present[[pitch % 12 for pitch in self.pitches]] = 1.0
        return present

    @property
    def speaks_for_itself(self) -> bool:
        """Three different tones, or a bare fifth or its inversion (a power chord)."""
        tones = {(pitch - self.pitches[0]) % 12 for pitch in self.pitches}
        return len(tones) >= 3 or (self.struck_as_one and tones in ({0, 7}, {0, 5}))


def _moments(notes: Sequence[Note], beats: Sequence[_Beat]) -> Iterator[_Moment]:
    lines = [beat.start_ticks for beat in beats]
    edges = {tick for note in notes for tick in (note.start_ticks, note.end_ticks)}
    last = max(edges, default=0)
    ticks = sorted(edges | {line for line in lines if line < last})
    waiting = sorted(notes)[::-1]
    sounding: list[Note] = []
    for start, end in pairwise(ticks):
        sounding = [note for note in sounding if note.end_ticks > start]
        while waiting and waiting[-1].start_ticks <= start:
            sounding.append(waiting.pop())
        if sounding:
            pitches = tuple(sorted(note.pitch for note in sounding))
            struck_as_one = len({note.start_ticks for note in sounding}) == 1
            yield _Moment(start, end, bisect_right(lines, start) - 1, pitches, struck_as_one)


def _windows(moments: Sequence[_Moment], beats: Sequence[_Beat]) -> tuple[Floats, NDArray[np.int64]]:
    """For each moment, the tones by which it is judged and their lowest: `[M, 12]`, `[M]`."""
    levels = [range(len(beats)), [beat.half for beat in beats], [beat.bar for beat in beats]]
    tones = [np.zeros((levels_of[-1] + 1, 12)) for levels_of in levels]
    lows = [np.full(levels_of[-1] + 1, 127) for levels_of in levels]
    for moment in moments:
        for level, total, low in zip(levels, tones, lows, strict=True):
            place = level[moment.beat]
            total[place] += moment.tones * (moment.end_ticks - moment.start_ticks)
            low[place] = min(low[place], moment.pitches[0])
    weights, lowest = np.zeros((len(moments), 12)), np.zeros(len(moments), dtype=np.int64)
    for row, moment in enumerate(moments):
        weights[row], lowest[row] = moment.tones, moment.pitches[0]
        if moment.speaks_for_itself:
            continue
        for level, total, low in zip(levels, tones, lows, strict=True):
            place = level[moment.beat]
            weights[row], lowest[row] = total[place], low[place]
            if np.count_nonzero(total[place] > _HEARD * total[place].sum()) >= 3:
                break
    return weights, lowest


@cache
def _chords() -> tuple[Chord, ...]:
    return tuple(Chord(root, quality) for quality in QUALITIES for root in range(12))


@cache
def _templates() -> tuple[Floats, Floats]:
    """For each chord, its tones as 0 and 1, and what it costs when one is missing: each `[240, 12]`."""
    members, missing = np.zeros((len(_chords()), 12)), np.zeros((len(_chords()), 12))
    for row, chord in enumerate(_chords()):
        tones = chord.pitch_classes
        members[row, list(tones)] = 1.0
        for tone in tones:
            plain_fifth = len(tones) > 2 and (tone - chord.root) % 12 == 7
            missing[row, tone] = _MISSING_FIFTH if plain_fifth else _MISSING_TONE
        missing[row, chord.root] = _MISSING_ROOT
    return members, missing


def _fit(weights: Floats, lowest: NDArray[np.int64], key: Key) -> Floats:
    """How well windows fit chords: `[M, 12]`, `[M]` -> `[M, 240]`; 1 is perfect."""
    members, missing = _templates()
    roots = np.array([chord.root for chord in _chords()])
    shares = weights / weights.sum(axis=1, keepdims=True)
    own = shares @ members.T
    absent = (shares <= _HEARD).astype(np.float64) @ missing.T
    root_is_lowest = roots[None, :] == lowest[:, None] % 12
    fit: Floats = own - _FOREIGN * (1 - own) - absent + _ROOT_IS_LOWEST * root_is_lowest + _prior(key)
    return fit


def _prior(key: Key) -> Floats:
    """What speaks for each chord before a note is heard: `[240]`."""
    leading_tone = (key.tonic - 1) % 12
    prior = np.zeros(len(_chords()))
    for row, chord in enumerate(_chords()):
        root_fits = chord.root in key or (chord.quality in ("dim", "dim7") and chord.root == leading_tone)
        all_fit = all(tone in key for tone in chord.pitch_classes)
        prior[row] = _ROOT_IN_KEY * root_fits + _ALL_IN_KEY * all_fit - _RARITY.get(chord.quality, 0.0)
    return prior


def _best_path(fit: Floats, change_costs: Floats) -> list[int]:
    """The chord (index) of each beat that maximises fit less the costs of changes: `[N, 240]`, `[N]` -> N indices."""
    if not len(fit):
        return []
    came_from = np.zeros(fit.shape, dtype=np.int64)
    total = fit[0].copy()
    for beat in range(1, len(fit)):
        best = int(np.argmax(total))
        # `>=`: of changes that are equally good, the latest, so that a chord lasts through the silence after it.
        changes = total[best] - change_costs[beat] >= total - 1e-9
        came_from[beat] = np.where(changes, best, np.arange(len(total)))
        total = np.where(changes, total[best] - change_costs[beat], total) + fit[beat]
    path = [int(np.argmax(total))]
    for beat in range(len(fit) - 1, 0, -1):
        path.append(int(came_from[beat, path[-1]]))
    return path[::-1]


def _progression(path: Sequence[int], beats: Sequence[_Beat], length_ticks: int) -> Progression:
    """Merge equal neighbours."""
    spans: list[ChordSpan] = []
    ends = [beat.start_ticks for beat in beats[1:]] + [length_ticks]
    for index, beat, end in zip(path, beats, ends, strict=True):
        chord = _chords()[index]
        if spans and spans[-1].chord == chord:
            spans[-1] = replace(spans[-1], duration_ticks=end - spans[-1].start_ticks)
        else:
            spans.append(ChordSpan(chord, beat.start_ticks, end - beat.start_ticks))
    return Progression(tuple(spans))
