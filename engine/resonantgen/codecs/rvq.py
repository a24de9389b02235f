"""Residual vector quantisation (Zeghidour et al., "SoundStream", 2021): each codebook says what those before left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

TILE_FRAMES = 64  # whose distances are in memory at a time
MARGIN = 0.1  # by which a beam's sum is to be nearer to its first vector than to others, over their variance


class ResidualQuantizer(nn.Module):
    """K codebooks of N vectors with C components, [K, N, C]. The nearest vector is the one at the smallest distance."""

    def __init__(self, codebooks: int, cardinality: int, dimension: int) -> None:
        super().__init__()
        self.codebooks: Tensor
        self.register_buffer("codebooks", torch.zeros(codebooks, cardinality, dimension))

    def search(self, codebooks: int, beam: int = 1) -> Search:
        """The search for vectors of the first codebooks, as they are now."""
        vectors = self.codebooks[:codebooks]
        return Search(vectors, vectors.pow(2).sum(dim=2), beam)

    def decode(self, indices: Tensor) -> Tensor:
        """Indices [B, K, F], K from 1 to as many as there are codebooks -> vectors [B, F, C]."""
        first, *others = indices.unbind(1)
        x = functional.embedding(first, self.codebooks[0])
        for vectors, chosen in zip(self.codebooks[1:], others, strict=False):
            x += functional.embedding(chosen, vectors)
        return x


@dataclass(frozen=True, slots=True)
class Search:
    """Finds vectors whose sum is near. What does not change with what is sought is done once.

    With a beam of 1 each codebook's vector is the nearest to what is left. With more, so many choices are followed, and
    the best sum is taken (D.-H. Juang, A. H. Gray, "Multiple stage vector quantization for speech coding", 1982, did
    the first; W. P. LeBlanc et al., IEEE TSAP 1993, the second). The first codebook's is the nearest always: what
    follows a frame by its first token finds the same, whatever comes after. Of the best sums, one is taken that is
    itself nearest to its first vector by a margin, if it is about as good: what is decoded has that token again.
    """

    vectors: Tensor  # [K, N, C]
    squares: Tensor  # [K, N] of the vectors' lengths
    beam: int = 1

    def encode(self, x: Tensor) -> Tensor:
        """Vectors [B, F, C] -> indices [B, K, F]."""
        tiles = torch.split(x.reshape(-1, 1, x.shape[2]), TILE_FRAMES)
        indices = torch.cat([self._encode(tile) for tile in tiles])
        return indices.view(*x.shape[:2], len(self.vectors)).transpose(1, 2).contiguous()

    def _encode(self, x: Tensor) -> Tensor:
        """Vectors [F, choices, C], of one choice -> indices [F, K]."""
        _, cardinality, components = self.vectors.shape
        residual = x
        indices = residual.new_empty(len(residual), 1, 0, dtype=torch.int64)  # [F, choices, K so far]
        for number, (vectors, squares) in enumerate(zip(self.vectors, self.squares, strict=True)):
            distance = _distance(residual, vectors, squares).flatten(1)
            best = _smallest(distance, min(self.beam, distance.shape[1]) if number else 1)
            nearest = best % cardinality
            if residual.shape[1] > 1:
                before = (best // cardinality)[:, :, None]
                residual = residual.gather(1, before.expand(-1, -1, components))
                indices = indices.gather(1, before.expand(-1, -1, number))
            else:
                indices = indices.expand(-1, best.shape[1], -1)
            residual = residual - functional.embedding(nearest, vectors)
            indices = torch.cat((indices, nearest[:, :, None]), dim=2)
        return indices[:, 0] if indices.shape[1] == 1 else self._of_its_first(x, residual, indices)

    def _of_its_first(self, x: Tensor, residual: Tensor, indices: Tensor) -> Tensor:
        """Vectors [F, 1, C], what choices leave of them [F, choices, C], indices [F, choices, K] -> one's [F, K].

        A choice costs the square of what it leaves, and what its sum lacks of the margin, a square as well.
        """
        first = indices[:, :, :1]
        distance = _distance(x - residual, self.vectors[0], self.squares[0])
        nearer = distance.scatter(2, first, torch.inf).amin(dim=2) - distance.gather(2, first)[:, :, 0]
        margin = MARGIN * self.vectors[0].var(dim=0, correction=0).sum()
        chosen = (residual.pow(2).sum(dim=2) + (margin - nearer).clamp_min(0)).argmin(dim=1)
        return indices[torch.arange(len(indices), device=indices.device), chosen]


def _distance(x: Tensor, vectors: Tensor, squares: Tensor) -> Tensor:
    """Of vectors [..., C] from each of a codebook, [..., N]. Rounded as the references round it: where two are about
    as near, the last bit decides.
    """
    return x.pow(2).sum(dim=-1, keepdim=True) - 2 * x @ vectors.t() + squares


def _smallest(x: Tensor, count: int) -> Tensor:
    """Where the smallest values of each row [R, N] are, [R, count]; of equal ones the first, for a count of 1."""
    return (-x).max(dim=1, keepdim=True).indices if count == 1 else x.topk(count, dim=1, largest=False).indices
