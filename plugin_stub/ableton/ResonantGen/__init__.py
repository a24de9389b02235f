# ruff: noqa: N999  (Live shows the folder's name in its menu)
"""ResonantGen's MIDI Remote Script for Ableton Live 11 and 12: the Set and the engine follow each other.

Live calls `create_instance` when the script is chosen as a control surface, and all of it on Live's main thread. Only
the standard library is used, and nothing newer than Python 3.7, which is Live 11's.
"""

from __future__ import annotations

from typing import Any

from .script import ResonantGen


def create_instance(c_instance: Any) -> ResonantGen:
    """What Live calls."""
    return ResonantGen(c_instance)
