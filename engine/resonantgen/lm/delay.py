"""Delay patterns: codebook k lags by delays[k] columns, so that a column's tokens can be drawn all at once.

    delays (0, 1, 2), four frames, S = special:     a0 a1 a2 a3 S  S
                                                    S  b0 b1 b2 b3 S
                                                    S  S  c0 c1 c2 c3

The codebooks of a frame are then known to each other in order, at one step of the transformer a column (Copet et al.,
"Simple and Controllable Music Generation", 2023, section 2.2). The transformer reads a start column, all special, and
then these; reading column j - 1 it tells column j.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor


def delayed(codes: Tensor, delays: Sequence[int], special: Sequence[int]) -> Tensor:
    """Aligned codes [..., K, T] as columns [..., K, T + max(delays)]."""
    frames = codes.shape[-1]
    columns = start_column(special, codes.device).expand(*codes.shape[:-1], frames + max(delays)).clone()
    for codebook, delay in enumerate(delays):
        columns[..., codebook, delay : delay + frames] = codes[..., codebook, :]
    return columns


def aligned(columns: Tensor, delays: Sequence[int]) -> Tensor:
    """Columns [..., K, N] as the aligned codes [..., K, N - max(delays)] that are complete in them."""
    frames = max(columns.shape[-1] - max(delays), 0)
    return torch.stack([columns[..., k, delay : delay + frames] for k, delay in enumerate(delays)], dim=-2)


def start_column(special: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """The column [K, 1] that is read before the first."""
    return torch.tensor(special, dtype=torch.int64, device=device).unsqueeze(-1)


def occupied(delays: Sequence[int], frames: int, device: torch.device | str = "cpu") -> Tensor:
    """Where the columns of so many frames hold a token, not the special one: [K, frames + max(delays)]."""
    column = torch.arange(frames + max(delays), device=device)
    lag = torch.tensor(delays, device=device).unsqueeze(-1)
    return (column >= lag) & (column < lag + frames)


class Aligner:
    """Streaming `aligned`: a column goes in, and what has become complete with it comes out."""

    def __init__(self, delays: Sequence[int]) -> None:
        """With no column yet."""
        self.delays = tuple(delays)
        self._last: deque[Tensor] = deque(maxlen=max(self.delays) + 1)

    def push(self, column: Tensor) -> Tensor | None:
        """Take column j [..., K]; give frame j - max(delays) [..., K], once there is one."""
        self._last.append(column)
        if len(self._last) < max(self.delays) + 1:
            return None
        return torch.stack([self._last[delay][..., k] for k, delay in enumerate(self.delays)], dim=-1)

    def reset(self) -> None:
        """Forget all columns."""
        self._last.clear()
