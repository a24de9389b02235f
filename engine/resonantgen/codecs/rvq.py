"""Residual vector quantisation (Zeghidour et al., "SoundStream", 2021): each codebook says what those before left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualQuantizer(nn.Module):
    """K codebooks of N vectors with C components, [K, N, C]. The nearest vector is the one at the smallest distance."""

    def __init__(self, codebooks: int, cardinality: int, dimension: int) -> None:
        super().__init__()
        self.codebooks: Tensor
        self.register_buffer("codebooks", torch.zeros(codebooks, cardinality, dimension))

    def search(self, codebooks: int) -> Search:
        """The search for the nearest vectors of the first codebooks, as they are now."""
        vectors = self.codebooks[:codebooks]
        return Search(vectors, vectors.pow(2).sum(dim=2))

    def decode(self, indices: Tensor) -> Tensor:
        """Indices [B, K, F], K from 1 to as many as there are codebooks -> vectors [B, F, C]."""
        first, *others = indices.unbind(1)
        x = functional.embedding(first, self.codebooks[0])
        for vectors, chosen in zip(self.codebooks[1:], others, strict=False):
            x += functional.embedding(chosen, vectors)
        return x


@dataclass(frozen=True, slots=True)
class Search:
    """Finds nearest vectors. What does not change with what is sought is done once."""

    vectors: Tensor  # [K, N, C]
    squares: Tensor  # [K, N] of the vectors' lengths

    def encode(self, x: Tensor) -> Tensor:
        """Vectors [B, F, C] -> indices [B, K, F]."""
        residual = x.reshape(-1, x.shape[2])  # [B F, C]
        indices = x.new_empty(self.vectors.shape[0], residual.shape[0], dtype=torch.int64)
        for vectors, squares, nearest in zip(self.vectors, self.squares, indices, strict=True):
            # Rounded as the references round it: where two vectors are about as near, the last bit decides.
            distance = residual.pow(2).sum(dim=1, keepdim=True) - 2 * residual @ vectors.t() + squares
            nearest.copy_((-distance).max(dim=1).indices)
            residual = residual - functional.embedding(nearest, vectors)
        return indices.view(len(self.vectors), *x.shape[:2]).transpose(0, 1).contiguous()
