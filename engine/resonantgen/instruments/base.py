"""The contract of everything that makes or shapes sound.

Samples are float64 arrays of shape [frames, 2]. Every part keeps its state apart from its settings, and gives the same
samples whether it is fed one frame or all frames at a time: nothing may depend on where a block begins or ends. Offline
is the same code with a throwaway state. `tests/engine/instruments/contracts.py` checks this for every part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float64]  # [frames, 2], or [frames] where a docstring says mono
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class NoteEvent:
    """A note in samples: what an instrument plays."""

    frame: int  # onset, counted from the start of the stream
    duration_frames: int
    pitch: int  # MIDI key; for drums a DrumPiece
    velocity: float  # 0 to 1
    seed: int = 0  # 32 bits that make this note's noise and phases its own; the same note always sounds the same


@dataclass(frozen=True, slots=True)
class Macros:
    """The knobs that prompts move, each -1 to 1; 0 is the preset as its maker left it."""

    brightness: float = 0.0  # filters open, tone tilts upward
    drive: float = 0.0  # saturation
    attack: float = 0.0  # positive is slower (drums: softer)
    release: float = 0.0  # positive is longer (drums: longer decay)
    width: float = 0.0  # stereo width
    space: float = 0.0  # reverb and delay

    def __post_init__(self) -> None:
        assert all(-1.0 <= getattr(self, f.name) <= 1.0 for f in fields(self)), self

    def moved(self, **steps: float) -> Macros:
        """These macros with steps added, each clamped to -1 … 1."""
        return replace(self, **{n: min(1.0, max(-1.0, getattr(self, n) + step)) for n, step in steps.items()})


@dataclass(frozen=True, slots=True)
class Sound:
    """What a track plays on: the id of a kit or patch in presets/instruments, and where its macros stand."""

    preset: str
    macros: Macros = Macros()


class Instrument(Protocol):
    """Notes to sound. One object holds the settings; `start` makes a state, `render` advances it."""

    def start(self) -> Any:
        """A fresh state, at frame 0."""
        ...

    def render(self, state: Any, events: Sequence[NoteEvent], frames: int) -> Samples:
        """The next `frames` frames. `events` are the notes that start within them, sorted by `frame` (absolute)."""
        ...


class Effect(Protocol):
    """Sound to sound, the same way. No latency: frame n of the output belongs to frame n of the input."""

    def start(self) -> Any:
        """A fresh, silent state, at frame 0."""
        ...

    def render(self, state: Any, block: Samples) -> Samples:
        """The block, processed; the input is left as it is."""
        ...
