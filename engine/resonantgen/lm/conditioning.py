"""What a sequence is conditioned on, as vectors of the transformer's width."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """Vectors that are known before the first column. Nothing of it is nothing: the null condition."""

    cross: Tensor | None = None  # [S, width]: what cross-attention looks at. None or S = 0: it contributes zeros
    prefix: Tensor | None = None  # [P, width]: at positions 0..P-1, before the first column; always in view

    @property
    def cross_length(self) -> int:
        """S."""
        return 0 if self.cross is None else self.cross.shape[0]

    @property
    def prefix_length(self) -> int:
        """P."""
        return 0 if self.prefix is None else self.prefix.shape[0]


NULL = Conditioning()
