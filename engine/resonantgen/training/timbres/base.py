"""The contract of everything that stems are played on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resonantgen.training.corpora.piece import TimedNote

RENDER_RATE = 48_000  # Hz; brought down to the stems' rate afterwards, so that nothing folds back

Mono: TypeAlias = NDArray[np.float64]  # [frames]


class Timbre(Protocol):
    """Notes to sound."""

    @property
    def name(self) -> str:
        """For the manifest: "FluidR3_GM:33", "own:jazz"."""
        ...

    @property
    def text(self) -> str:
        """For people, and for models that read words: "electric bass"."""
        ...

    @property
    def licence(self) -> str: ...

    def render(self, notes: Sequence[TimedNote], seconds: float, tempo_bpm: float) -> Mono:
        """So many seconds at RENDER_RATE; what sounds on after them is cut. `notes` are sorted."""
        ...
