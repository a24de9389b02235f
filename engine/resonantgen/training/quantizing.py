"""Learning the codebooks of a residual quantiser: moving averages of what each entry is nearest to.

Gradients pass the quantiser as if it were not there (A. van den Oord et al., "Neural discrete representation learning",
2017); entries follow their clusters (the same, appendix A.1); one that is hardly used begins again at a vector of the
batch (P. Dhariwal et al., "Jukebox", 2020); and each sound is quantised with a random number of codebooks, so that any
number of them works (N. Zeghidour et al., "SoundStream", 2021). Some are not quantised at all, so that the networks
learn to carry what the codebooks have no entries for yet (A. Défossez et al., "Moshi", 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from resonantgen.codecs.rvq import ResidualQuantizer

DECAY = 0.99  # of the averages, a step
LEAST_USE = 0.3  # vectors a step, on average, below which an entry begins again


class LearningQuantizer(nn.Module):
    """Quantises with a `ResidualQuantizer`, whose codebooks it moves while it is in training mode."""

    sizes: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, quantizer: ResidualQuantizer) -> None:
        super().__init__()
        self.quantizer = quantizer
        count, cardinality, _ = quantizer.codebooks.shape
        self.register_buffer("sizes", torch.zeros(count, cardinality))  # vectors that an entry was nearest to
        self.register_buffer("sums", torch.zeros_like(quantizer.codebooks))
        self.register_buffer("begun", torch.tensor(False))

    def resume(self) -> None:
        """Go on from codebooks that were learned before."""
        self.sizes.fill_(2 * LEAST_USE)
        self.sums.copy_(self.quantizer.codebooks * 2 * LEAST_USE)
        self.begun.fill_(True)

    def forward(self, x: Tensor, counts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Vectors [B, F, C], codebooks to use [B] (0: all of the vector passes) -> quantised ones [B, F, C], and how
        far they are off.

        The distance is that of what each codebook was given from what it chose, mean square over the variance of x; its
        gradient pulls x to the codebooks.
        """
        flat = x.reshape(-1, x.shape[2])
        residual, chosen, distance = flat.detach(), torch.zeros_like(flat), x.new_zeros(())
        used = counts.repeat_interleave(x.shape[1])  # [B F]
        for k in range(len(self.quantizer.codebooks)):  # all of them, whatever is used: processes go in step
            if not self.begun and self.training:
                self._begin(k, residual, generator)
            vectors = self.quantizer.codebooks[k]
            nearest = torch.argmin(vectors.pow(2).sum(dim=1) - 2 * residual @ vectors.t(), dim=1)
            of_entries = functional.embedding(nearest, vectors)
            if self.training:
                self._follow(k, residual, nearest, generator)
            wanted = flat - chosen
            inside = (used > k)[:, None].to(x)
            distance = distance + ((wanted - of_entries).pow(2) * inside).mean()
            chosen = chosen + of_entries * inside
            residual = residual - of_entries
        if self.training:
            self.begun.fill_(True)
        passed = flat + (chosen - flat).detach() * (used > 0)[:, None].to(x)
        return passed.view_as(x), distance / flat.detach().var(dim=0).mean().clamp_min(1e-6)

    def _begin(self, k: int, residual: Tensor, generator: torch.Generator) -> None:
        """Entries are vectors of the first batch, a little apart where it has too few of them."""
        codebook = self.quantizer.codebooks[k]
        drawn = torch.randint(len(residual), (len(codebook),), generator=generator).to(residual.device)
        noise = torch.randn(codebook.shape, generator=generator).to(codebook) * 0.1 * residual.std()
        codebook.copy_(_shared(residual[drawn] + noise))
        self.sizes[k] = 1.0
        self.sums[k] = codebook

    def _follow(self, k: int, x: Tensor, nearest: Tensor, generator: torch.Generator) -> None:
        codebook = self.quantizer.codebooks[k]
        sizes, sums = self.sizes[k], self.sums[k]
        found = torch.zeros_like(sizes).index_add_(0, nearest, x.new_ones(len(x)))
        total = torch.zeros_like(codebook).index_add_(0, nearest, x)
        if distributed.is_initialized():
            distributed.all_reduce(found)
            distributed.all_reduce(total)
        sizes.mul_(DECAY).add_(found, alpha=1 - DECAY)
        sums.mul_(DECAY).add_(total, alpha=1 - DECAY)
        idle = sizes < LEAST_USE
        drawn = torch.randint(len(x), (len(codebook),), generator=generator).to(x.device)
        fresh = _shared(x[drawn])
        sums[idle], sizes[idle] = fresh[idle] * 2 * LEAST_USE, 2 * LEAST_USE
        codebook.copy_(sums / sizes[:, None])


def _shared(x: Tensor) -> Tensor:
    """The first process's, in all processes."""
    if distributed.is_initialized():
        x = x.contiguous()
        distributed.broadcast(x, 0)
    return x
