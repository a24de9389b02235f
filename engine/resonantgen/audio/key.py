"""The key of a piece of sound, from how strongly its pitch classes sound, in the bass and above.

As in C. Krumhansl's key-finding ("Cognitive Foundations of Musical Pitch", Oxford 1990) each key has a profile, one for
the bass and one for the rest. The profiles were fitted to pieces whose key is known (`tests/benchmarks/fit_rhythm.py`,
`key_weights.json`): the bass says which of two relative keys it is.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from resonantgen.audio.chroma import BASS_KEYS, TREBLE_KEYS, NoteLevels
from resonantgen.music.theory import Key, Mode

Array = NDArray[np.float64]

KEYS = tuple(Key(tonic, mode) for mode in (Mode.MAJOR, Mode.MINOR) for tonic in range(12))
SOUNDING = 0.1  # of the median: in quieter frames there is no bass


def find_key(notes: NoteLevels) -> tuple[Key | None, float]:
    """The major or minor key of a piece, and how likely it is, 0 to 1; None where no tones sound."""
    if not notes.strengths.any():
        return None, 0.0
    scores = key_features(notes) @ _weights()
    likely = np.exp(scores - scores.max())
    best = int(np.argmax(scores))
    return KEYS[best], float(likely[best] / likely.sum())


def key_features(notes: NoteLevels) -> Array:
    """For each of KEYS, the pitch classes' shares from its tonic up, [24, 49]: major's, minor's, and which it is."""
    treble = notes.between(*TREBLE_KEYS).sum(axis=0)
    bass = notes.between(*BASS_KEYS)
    levels = bass.sum(axis=1)
    sounding = levels > SOUNDING * np.median(levels[levels > 0]) if levels.any() else levels > 0
    shares = _shares(_shares(bass[sounding] ** 2).mean(axis=0)) if sounding.any() else np.zeros(12)
    own = np.stack([np.concatenate([np.roll(x, -k.tonic) for x in (np.sqrt(_shares(treble)), shares)]) for k in KEYS])
    minor = np.array([[float(key.mode is Mode.MINOR)] for key in KEYS])
    return np.concatenate([own * (1 - minor), own * minor, minor], axis=1)


def _shares(rows: Array) -> Array:
    return np.asarray(rows / np.maximum(rows.sum(axis=-1, keepdims=True), 1e-9))


@cache
def _weights() -> Array:
    return np.array(json.loads(files("resonantgen.audio").joinpath("key_weights.json").read_text())["key"])
