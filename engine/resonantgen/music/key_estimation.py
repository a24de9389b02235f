"""Estimates the key of a piece from its notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.notes import Score
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import TICKS_PER_QUARTER

# How well each pitch class fits a major and a minor key, from the tonic up: the probe-tone ratings of Krumhansl and
# Kessler, "Tracing the dynamic changes in perceived tonal organization", Psychological Review 89 (1982). Correlating
# them with summed durations is the Krumhansl-Schmuckler algorithm (Krumhansl, "Cognitive Foundations of Musical Pitch",
# Oxford 1990, chapter 4).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_SCALE_WEIGHT = 2.0  # a twentieth of all notes out of the scale costs as much as 0.1 in correlation


def estimate_key(scores: Score | Iterable[Score]) -> Key:
    """The key of pitched scores (leave drums out): the tonic and mode whose profile their durations fit best.

    Correlates the summed durations of the pitch classes with a profile for each of 84 keys, and adds the share of them
    that lies in the scale. The profiles of the modes are those of major or minor (whichever has their third) with the
    ratings of the altered degrees exchanged; the share tells scales apart, the correlation where their tonic is. What
    the clip starts on, and what is lowest, counts more, since there a loop states its tonic. C major without notes.
    """
    weights = np.zeros(12)
    for score in [scores] if isinstance(scores, Score) else scores:
        weights += _pitch_class_weights(score)
    if not weights.any():
        return Key(0, Mode.MAJOR)
    keys, profiles, scales = _key_profiles()
    centred = weights - weights.mean()
    spread = np.linalg.norm(centred)
    correlation = profiles @ centred / spread if spread else np.zeros(len(keys))
    fit = correlation + _SCALE_WEIGHT * (scales @ weights) / weights.sum()
    return keys[int(np.argmax(np.round(fit, 9)))]  # rounded, so that ties go to the first: major, minor, then the modes


def _pitch_class_weights(score: Score) -> NDArray[np.float64]:
    weights = np.zeros(12)
    if not len(score):
        return weights
    start = score.notes[0].start_ticks
    lowest = min(note.pitch for note in score)
    for note in score:
        opening = 1.0 if note.start_ticks - start < TICKS_PER_QUARTER else 0.0
        bass = 0.5 if note.pitch < lowest + 7 else 0.0
        weights[note.pitch % 12] += note.duration_ticks * (1.0 + opening + bass)
    return weights


@cache
def _key_profiles() -> tuple[tuple[Key, ...], NDArray[np.float64], NDArray[np.float64]]:
    """84 keys, their profiles (centred, of length 1) `[84, 12]` and their scales as 0 and 1 `[84, 12]`."""
    keys = tuple(Key(tonic, mode) for mode in Mode for tonic in range(12))
    profiles, scales = [], []
    for key in keys:
        profiles.append(np.roll(_mode_profile(key.mode), key.tonic))
        scales.append(np.array([float(pitch_class in key) for pitch_class in range(12)]))
    table = np.array(profiles)
    table -= table.mean(axis=1, keepdims=True)
    return keys, table / np.linalg.norm(table, axis=1, keepdims=True), np.array(scales)


def _mode_profile(mode: Mode) -> NDArray[np.float64]:
    base, ratings = (Mode.MINOR, _MINOR) if mode.is_minor else (Mode.MAJOR, _MAJOR)
    profile = np.array(ratings)
    for usual, altered in _differences(base, mode):
        profile[[usual, altered]] = profile[[altered, usual]]
    return profile


def _differences(base: Mode, mode: Mode) -> Sequence[tuple[int, int]]:
    """The degrees in which two modes differ, as pairs of semitones above the tonic."""
    return [(a, b) for a, b in zip(base.intervals, mode.intervals, strict=True) if a != b]
