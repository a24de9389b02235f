"""The chords of a piece of sound, beat by beat.

Each beat says how well its pitch classes and its bass fit each chord; a change costs something; the Viterbi algorithm
finds the best path (A. Sheh, D. Ellis, "Chord segmentation and recognition using EM-trained hidden Markov models",
ISMIR 2003).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.theory import QUALITIES, Chord, Key

Array = NDArray[np.float64]

HEARD_QUALITIES = {"": 0.0, "m": 0.0, "7": 0.06, "maj7": 0.05, "m7": 0.05, "dim": 0.08, "sus4": 0.08}
BASS_WEIGHT = 0.35
CHANGE_COST = 0.25
IN_KEY = 0.03


@cache
def _chords() -> tuple[Chord, ...]:
    return tuple(Chord(root, quality) for quality in HEARD_QUALITIES for root in range(12))


@cache
def _templates() -> Array:
    """Chord tones, of length 1, [chords, 12]."""
    rows = np.zeros((len(_chords()), 12))
    for row, chord in zip(rows, _chords(), strict=True):
        for step in QUALITIES[chord.quality]:
            row[(chord.root + step) % 12] = 1.0
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def read_chords(tones: Array, bass: Array, change_costs: Array, key: Key | None) -> list[Chord | None]:
    """One chord for each beat of tones [beats, 12] and the bass's [beats, 12]; None where no tone sounds."""
    if not len(tones):
        return []
    fit = _unit(tones) @ _templates().T + BASS_WEIGHT * _unit(bass)[:, [chord.root for chord in _chords()]]
    fit -= np.array([HEARD_QUALITIES[chord.quality] for chord in _chords()])
    if key is not None:
        fit += IN_KEY * np.array([all(tone in key for tone in chord.pitch_classes) for chord in _chords()])
    silent = tones.sum(axis=1) <= 1e-9
    fit[silent] = 0.0
    path = _best_path(fit, CHANGE_COST * change_costs)
    return [None if quiet else _chords()[index] for index, quiet in zip(path, silent, strict=True)]


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def _best_path(fit: Array, costs: Array) -> list[int]:
    """The chord of each beat that maximises fit [beats, chords] less the costs of changes [beats]."""
    came_from = np.zeros(fit.shape, dtype=np.int64)
    total = fit[0].copy()
    for beat in range(1, len(fit)):
        best = int(np.argmax(total))
        changes = total[best] - costs[beat] > total
        came_from[beat] = np.where(changes, best, np.arange(len(total)))
        total = np.where(changes, total[best] - costs[beat], total) + fit[beat]
    path = [int(np.argmax(total))]
    for beat in range(len(fit) - 1, 0, -1):
        path.append(int(came_from[beat, path[-1]]))
    return path[::-1]
