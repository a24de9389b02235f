"""The key of a piece of sound, from how strongly its pitch classes sound."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.theory import Key, Mode

Array = NDArray[np.float64]

# D. Temperley, "What's key for key?", Music Perception 17 (1999)
_MAJOR = (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0)
_MINOR = (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0)


def find_key(chroma: Array) -> tuple[Key | None, float]:
    """The major or minor key that a piece's pitch classes [12] fit best, and by how much it is ahead, 0 to 1."""
    centred = chroma - chroma.mean()
    length = float(np.linalg.norm(centred))
    if length < 1e-9:
        return None, 0.0
    keys, profiles = _profiles()
    fits = profiles @ centred / length
    order = np.argsort(-fits)
    return keys[int(order[0])], float(np.clip(fits[order[0]] - fits[order[1]], 0.0, 1.0))


@cache
def _profiles() -> tuple[tuple[Key, ...], Array]:
    keys = tuple(Key(tonic, mode) for mode in (Mode.MAJOR, Mode.MINOR) for tonic in range(12))
    rows = np.array([np.roll(_MINOR if key.mode is Mode.MINOR else _MAJOR, key.tonic) for key in keys])
    rows -= rows.mean(axis=1, keepdims=True)
    return keys, rows / np.linalg.norm(rows, axis=1, keepdims=True)
