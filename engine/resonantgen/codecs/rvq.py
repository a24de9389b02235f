"""Residual vector quantisation (Zeghidour et al., "SoundStream", 2021): each codebook says what the ones before left over."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualQuantizer(nn.Module):
    """K codebooks of N vectors with C components, [K, N, C]. The nearest vector is the one at the smallest distance."""

    def __init__(self, codebooks: int, cardinality: int, dimension: int) -> None:
        super().__init__()
        self.codebooks: Tensor
        self.register_buffer("codebooks", torch.zeros(codebooks, cardinality, dimension))

    def encode(self, x: Tensor, codebooks: int) -> Tensor:
        """Vectors [B, C, F] -> indices [B, codebooks, F]."""
        residual = x.transpose(1, 2).reshape(-1, x.shape[1])  # [B F, C]
        indices = x.new_empty(codebooks, residual.shape[0], dtype=torch.int64)
        for vectors, nearest in zip(self.codebooks, indices, strict=False):
            # Rounded as the references round it: where two vectors are about as near, the last bit decides.
            distance = residual.pow(2).sum(1, keepdim=True) - 2 * residual @ vectors.t()
            distance += vectors.t().pow(2).sum(0, keepdim=True)
            nearest.copy_((-distance).max(dim=-1).indices)
            residual = residual - functional.embedding(nearest, vectors)
        return indices.view(codebooks, x.shape[0], x.shape[2]).transpose(0, 1)

    def decode(self, indices: Tensor) -> Tensor:
        """Indices [B, K, F], K from 1 to as many as there are codebooks -> vectors [B, C, F]."""
        first, *others = indices.unbind(1)
        x = functional.embedding(first, self.codebooks[0])
        for vectors, chosen in zip(self.codebooks[1:], others, strict=False):
            x += functional.embedding(chosen, vectors)
        return x.transpose(1, 2)
