"""How tokens are drawn from logits: greedy, or at a temperature from the likeliest few (top-k, top-p).

A draw takes one uniform number for each codebook and inverts the distribution: the tokens in order of likelihood, the
first at which their sum passes the number. All the numbers of a sequence are drawn before it begins, on the CPU, from
its own seed: what a sequence draws at a step depends on its seed and the step alone, the same on every device, and no
step waits for the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from resonantgen.errors import BadValue


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy: the likeliest token, always."""

    temperature: float = 1.0
    top_k: int = 250  # of the likeliest tokens; 0: all
    top_p: float = 1.0  # the likeliest tokens that have this probability together (nucleus sampling); 1.0: all

    def __post_init__(self) -> None:
        """Refuse what no distribution has."""
        if not 0 <= self.temperature < float("inf"):
            raise BadValue(f"A temperature is 0 or more, not {self.temperature}.")
        if self.top_k < 0:
            raise BadValue(f"top_k is a number of tokens, or 0 for all; not {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise BadValue(f"top_p is more than 0 and at most 1, not {self.top_p}.")

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature == 0 or self.top_k == 1


GREEDY = Sampling(temperature=0.0)


def uniforms(seed: int, columns: int, codebooks: int) -> Tensor:
    """What a sequence draws: [columns, codebooks] float32 in [0, 1), on the CPU. Fewer columns begin the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((columns, codebooks), generator=generator)


def guided(conditional: Tensor, unconditional: Tensor, guidance: Tensor) -> Tensor:
    """Classifier-free guidance: away from what would come without the condition (Ho and Salimans, 2022)."""
    return unconditional + (conditional - unconditional) * guidance


def possible(vocabularies: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """Which tokens each codebook has: [K, largest vocabulary]."""
    sizes = torch.tensor(vocabularies, device=device)
    return torch.arange(max(vocabularies), device=device) < sizes.unsqueeze(1)


def sample(logits: Tensor, sampling: Sampling, uniform: Tensor, valid: Tensor) -> Tensor:
    """Tokens [R, K] from logits [R, K, V] and uniform numbers [R, K]; only those of `valid` [K, V].

    A row's tokens do not depend on the other rows. Logits that are no numbers count as the least likely: a broken model
    gives tokens, if poor ones.
    """
    lowest = torch.finfo(logits.dtype).min / 4
    logits = torch.nan_to_num(logits, nan=lowest, neginf=lowest, posinf=-lowest)
    logits = torch.where(valid, logits, -torch.inf)
    if sampling.greedy:
        return logits.argmax(dim=-1)
    tokens = logits.shape[-1]
    count = min(sampling.top_k or tokens, tokens)
    best, token = torch.topk(logits, count, dim=-1)
    probability = torch.softmax((best - best[..., :1]) / sampling.temperature, dim=-1)
    reached = probability.cumsum(dim=-1)
    if sampling.top_p < 1:
        kept = reached - probability < sampling.top_p  # at least the first
        probability = torch.where(kept, probability, 0.0)
        reached = probability.cumsum(dim=-1)
    # The sum is not quite 1, and rounding may let the number pass all of it
    passed = reached <= uniform.unsqueeze(-1) * reached[..., -1:]
    choice = passed.sum(dim=-1, keepdim=True)
    last = (probability > 0).sum(dim=-1, keepdim=True) - 1
    return token.gather(-1, torch.minimum(choice, last)).squeeze(-1)
