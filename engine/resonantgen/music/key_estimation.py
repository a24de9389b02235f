"""Estimates the key of a piece from its notes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.notes import Score
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import TICKS_PER_QUARTER

Floats = NDArray[np.float64]

# How well each pitch class fits a major and a minor key, from the tonic up: the probe-tone ratings of Krumhansl and
# Kessler, "Tracing the dynamic changes in perceived tonal organization", Psychological Review 89 (1982). Correlating
# them with summed durations is the Krumhansl-Schmuckler algorithm (Krumhansl, "Cognitive Foundations of Musical Pitch",
# Oxford 1990, chapter 4).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_SCALE_WEIGHT = 4.0  # a fortieth of all notes out of the scale costs as much as 0.1 in correlation
_PREFERENCE = 0.1  # for major and minor


def estimate_key(scores: Score | Iterable[Score]) -> Key:
    """The key of pitched scores (leave drums out): the tonic and mode whose profile their durations fit best.

    Correlates the summed durations of the pitch classes with a profile for each of 84 keys, and adds the share of them
    that lies in the scale. The profiles of the modes are those of major or minor (whichever has their third) with the
    ratings of the altered degrees exchanged. The share tells scales apart, the correlation where their tonic is; notes
    in the first four quarters count twice, since there most loops state their tonic. Major and minor have a small
    preference. Over the diatonic progressions of the free-midi-chords collection, broken or in blocks, this finds the
    scale in 95 of 100 and the tonic in 69: a loop of four chords often has more than one. C major without notes.
    """
    weights = sum((_weights(score) for score in ([scores] if isinstance(scores, Score) else scores)), np.zeros(12))
    if not weights.any():
        return Key(0, Mode.MAJOR)
    keys, profiles, scales, preference = _key_profiles()
    centred = weights - weights.mean()
    spread = np.linalg.norm(centred)
    fit = preference + _SCALE_WEIGHT * (scales @ weights) / weights.sum()
    if spread:
        fit = fit + profiles @ centred / spread
    return keys[int(np.argmax(np.round(fit, 9)))]  # rounded, so that ties go to the first: major, minor, then the modes


def _weights(score: Score) -> Floats:
    """How long each pitch class sounds, in ticks: `[12]`."""
    weights = np.zeros(12)
    opening_ticks = score.notes[0].start_ticks + 4 * TICKS_PER_QUARTER if len(score) else 0
    for note in score:
        weights[note.pitch % 12] += note.duration_ticks * (2 if note.start_ticks < opening_ticks else 1)
    return weights


@cache
def _key_profiles() -> tuple[tuple[Key, ...], Floats, Floats, Floats]:
    """84 keys, profiles (centred, of length 1) `[84, 12]`, scales (0 and 1) `[84, 12]`, preferences `[84]`."""
    keys = tuple(Key(tonic, mode) for mode in Mode for tonic in range(12))
    profiles = np.array([np.roll(_mode_profile(key.mode), key.tonic) for key in keys])
    profiles -= profiles.mean(axis=1, keepdims=True)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    scales = np.array([[float(pitch_class in key) for pitch_class in range(12)] for key in keys])
    preference = np.array([_PREFERENCE * (key.mode in (Mode.MAJOR, Mode.MINOR)) for key in keys])
    return keys, profiles, scales, preference


def _mode_profile(mode: Mode) -> Floats:
    """Krumhansl and Kessler's ratings, with those of the degrees in which the mode differs exchanged: `[12]`."""
    base, ratings = (Mode.MINOR, _MINOR) if mode.is_minor else (Mode.MAJOR, _MAJOR)
    profile = np.array(ratings)
    for usual, altered in zip(base.intervals, mode.intervals, strict=True):
        if usual != altered:
            profile[[usual, altered]] = profile[[altered, usual]]
    return profile
