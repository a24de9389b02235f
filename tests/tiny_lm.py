"""Tiny language models with random weights that matter: attention looks somewhere, logits differ."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from resonantgen.lm.conditioning import Conditioning
from resonantgen.lm.config import LMConfig
from resonantgen.lm.transformer import Transformer

TINY = LMConfig(
    vocabularies=(11,) * 4,
    delays=(0, 1, 2, 3),
    width=32,
    layers=3,
    heads=4,
    feedforward=64,
    context=16,
    cross_attention=True,
)
TINY_ODD = replace(TINY, vocabularies=(7, 13, 5), delays=(0, 2, 1))  # codebooks that differ
TINY_PREFIX = replace(TINY, cross_attention=False)  # conditioned by a prefix alone


def tiny_model(config: LMConfig = TINY, seed: int = 0, dtype: torch.dtype = torch.float32) -> Transformer:
    """A model whose weights are drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:  # norms
                weight.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
            else:
                weight.copy_(noise if name.startswith("embedding") else noise * weight.shape[1] ** -0.5)
    return model.to(dtype).eval()


def random_columns(config: LMConfig, rows: int, columns: int, seed: int = 0) -> Tensor:
    """Tokens [rows, K, columns], special ones among them."""
    generator = torch.Generator().manual_seed(seed)
    books = [torch.randint(tokens + 1, (rows, columns), generator=generator) for tokens in config.vocabularies]
    return torch.stack(books, dim=1)


def random_conditioning(config: LMConfig, cross: int = 0, prefix: int = 0, seed: int = 0) -> Conditioning:
    """So many random vectors of either kind; 0: none."""
    generator = torch.Generator().manual_seed(seed)

    def vectors(count: int) -> Tensor | None:
        return torch.randn(count, config.width, generator=generator) if count else None

    return Conditioning(cross=vectors(cross), prefix=vectors(prefix))
