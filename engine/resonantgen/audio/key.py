"""The key of a piece of sound, from how strongly its pitch classes and its triads sound.

As in C. Krumhansl's key-finding ("Cognitive Foundations of Musical Pitch", Oxford 1990) each key has a profile: of the
bass, of the tones above, and of the triads. The profiles were fitted to pieces whose key is known
(`tests/benchmarks/fit_rhythm.py`, `key_weights.json`). Bass and triads say which of two relative keys it is.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.chroma import BASS_KEYS, FRAMES_PER_SECOND, TREBLE_KEYS, NoteLevels
from resonantgen.music.theory import Key, Mode

Array = NDArray[np.float64]

KEYS = tuple(Key(tonic, mode) for mode in (Mode.MAJOR, Mode.MINOR) for tonic in range(12))
SOUNDING = 0.1  # of the median: in quieter frames there is no bass
TRIAD_SECONDS = 1.0  # of which one triad is told
ROOT_IN_BASS, SHARPNESS = 0.35, 12.0  # how much the bass says of a triad, and how sure the best of them is


def find_key(notes: NoteLevels) -> tuple[Key | None, float]:
    """The major or minor key of a piece, and how likely it is, 0 to 1; None where no tones sound."""
    if not notes.strengths.any():
        return None, 0.0
    scores = key_features(notes) @ _weights()
    likely = np.exp(scores - scores.max())
    best = int(np.argmax(scores))
    return KEYS[best], float(likely[best] / likely.sum())


def key_features(notes: NoteLevels) -> Array:
    """For each of KEYS, what sounds from its tonic up, [24, 97]: in a major key, in a minor one, and which it is.

    That is 12 shares of the tones, 12 of the bass, and 12 each of the major and the minor triads.
    """
    treble = notes.between(*TREBLE_KEYS).sum(axis=0)
    bass = notes.between(*BASS_KEYS)
    levels = bass.sum(axis=1)
    sounding = levels > SOUNDING * np.median(levels[levels > 0]) if levels.any() else levels > 0
    shares = _shares(_shares(bass[sounding] ** 2).mean(axis=0)) if sounding.any() else np.zeros(12)
    heard = np.stack([np.sqrt(_shares(treble)), shares, *triad_shares(notes)])
    own = np.stack([np.roll(heard, -key.tonic, axis=1).ravel() for key in KEYS])
    minor = np.array([[float(key.mode is Mode.MINOR)] for key in KEYS])
    return np.concatenate([own * (1 - minor), own * minor, minor], axis=1)


def triad_shares(notes: NoteLevels) -> Array:
    """How much of the time each triad is likely to sound, [major or minor, root]."""
    count = max(round(len(notes.strengths) / FRAMES_PER_SECOND / TRIAD_SECONDS), 1)
    tones, bass = (
        np.stack([part.mean(axis=0) for part in np.array_split(notes.between(*keys), count)])
        for keys in ((BASS_KEYS[0], TREBLE_KEYS[1]), BASS_KEYS)
    )
    sounding = tones.sum(axis=1) > 0
    if not sounding.any():
        return np.zeros((2, 12))
    fit = _unit(tones[sounding]) @ _triads().T + ROOT_IN_BASS * np.tile(_unit(bass[sounding]), 2)
    likely = _shares(np.exp(SHARPNESS * (fit - fit.max(axis=1, keepdims=True))))
    return np.asarray(likely.mean(axis=0).reshape(2, 12))


@cache
def _triads() -> Array:
    """The tones of the triads, of length 1, [24, 12]: major from C up, then minor."""
    rows = np.zeros((24, 12))
    for row, tones in enumerate([(root, root + third, root + 7) for third in (4, 3) for root in range(12)]):
        rows[row, np.array(tones) % 12] = 1 / np.sqrt(3)
    return rows


def _unit(rows: Array) -> Array:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))


def _shares(rows: Array) -> Array:
    return np.asarray(rows / np.maximum(rows.sum(axis=-1, keepdims=True), 1e-9))


@cache
def _weights() -> Array:
    return np.array(json.loads(files("resonantgen.audio").joinpath("key_weights.json").read_text())["key"])
