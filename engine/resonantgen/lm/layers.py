"""A layer of the transformer, and the embeddings of tokens and positions that go into the first."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from resonantgen.lm.cache import View
from resonantgen.lm.config import LMConfig
from resonantgen.lm.elementwise import Norm, gelu, sinusoids, sum_vectors


class Layer(nn.Module):
    """Self-attention, cross-attention (if any) and feed-forward, each with its norm before it (pre-norm).

    Linear layers have no bias. Where several read the same vector they are one: query, key and value are stacked along
    the outputs in this order, as are cross-attention's key and value.
    """

    def __init__(self, config: LMConfig) -> None:
        """With random weights; see `Transformer`."""
        super().__init__()
        self.heads = config.heads
        width = config.width
        self.attention_norm = Norm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.cross_attention = config.cross_attention
        if config.cross_attention:
            self.cross_norm = Norm(width)
            self.cross_query = nn.Linear(width, width, bias=False)
            self.cross_key_value = nn.Linear(width, 2 * width, bias=False)
            self.cross_out = nn.Linear(width, width, bias=False)
        self.feedforward_norm = Norm(width)
        self.up = nn.Linear(width, config.feedforward, bias=False)
        self.down = nn.Linear(config.feedforward, width, bias=False)

    def forward(self, x: Tensor, number: int, view: View) -> Tensor:
        """[B, T, width] -> [B, T, width], as the layer of this number; `view` says what is attended to."""
        batch, length, width = x.shape
        heads = (batch, length, -1, self.heads, width // self.heads)
        query_key_value = self.query_key_value(self.attention_norm(x)).view(heads)
        x = x + self.attention_out(view.attend(number, query_key_value).flatten(2))
        if self.cross_attention:
            query = self.cross_query(self.cross_norm(x)).view(heads).squeeze(2)
            x = x + self.cross_out(view.attend_cross(number, query).flatten(2))
        return x + self.down(gelu(self.up(self.feedforward_norm(x))))  # type: ignore[no-any-return]

    def remember(self, cross: Tensor) -> Tensor:
        """Keys and values of cross-attention to [..., S, width], which stay as they are: [2, ..., H, S, D]."""
        key_value = self.cross_key_value(cross).unflatten(-1, (2, self.heads, -1))  # [..., S, 2, H, D]
        return key_value.movedim(-3, 0).transpose(-2, -3)  # type: ignore[no-any-return]


class TokenEmbedding(nn.Module):
    """The vector of a column: the sum of its tokens' vectors. All codebooks lie in one table, one after the other."""

    offsets: Tensor

    def __init__(self, config: LMConfig) -> None:
        """With random weights. A codebook has a vector for each token and one for the special token behind them."""
        super().__init__()
        sizes = [tokens + 1 for tokens in config.vocabularies]
        self.weight = nn.Parameter(torch.empty(sum(sizes), config.width))
        offsets = [sum(sizes[:codebook]) for codebook in range(len(sizes))]
        self.register_buffer("offsets", torch.tensor(offsets, device="cpu"), persistent=False)

    def forward(self, columns: Tensor) -> Tensor:
        """Columns [B, K, T] int64 -> [B, T, width]."""
        tokens = columns.transpose(1, 2) + self.offsets
        vectors = sum_vectors(tokens.flatten(0, 1), self.weight)
        return vectors.view(*tokens.shape[:2], -1)


class PositionEmbedding(nn.Module):
    """Sinusoids of a position, computed for any position: cosines first, then sines, as MusicGen has them."""

    bits: Tensor

    def __init__(self, width: int) -> None:
        """Of vectors of an even width of 4 or more. Wavelengths go from 2 pi to 20000 pi."""
        super().__init__()
        step = torch.arange(width // 2, dtype=torch.float32, device="cpu")
        frequencies = torch.exp(step * -(math.log(10_000) / (width // 2 - 1)))
        # Bits of float32: a model that is made bfloat16 must not round its frequencies
        self.register_buffer("bits", frequencies.view(torch.int32), persistent=False)

    def forward(self, positions: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Positions [B, T] int64 -> [B, T, width] of a type, which is rounded to at the end."""
        exact = torch.promote_types(dtype, torch.float32)
        return sinusoids(positions, self.bits.view(torch.float32).to(exact)).to(dtype)
