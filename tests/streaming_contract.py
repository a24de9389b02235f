"""What every streaming layer must hold: fed in pieces of any size, it gives what it gives when fed all at once."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import torch
from torch import Tensor

from resonantgen.codecs.streaming import Layer

SIZES = (1, 2, 3, 5, 20, None)  # None: random ones, nothing among them


def pieces(length: int, size: int | None, seed: int = 0) -> Iterator[slice]:
    """Slices of `size`, or of random sizes from 0 to 40, which cover a length."""
    random, begin = Random(seed), 0
    while begin < length:
        end = min(length, begin + (size or random.choice((0, 1, 2, 7, 40))))
        yield slice(begin, end)
        begin = end


def in_pieces(layer: Layer[Any], x: Tensor, size: int | None, seed: int = 0) -> list[Tensor]:
    """What comes out of each step. Random sizes end with a piece that is the last one, others with an empty step."""
    state, cuts = layer.start(x.shape[0]), list(pieces(x.shape[1], size, seed))
    if size is None and cuts:
        *cuts, final = cuts
    else:
        final = slice(x.shape[1], x.shape[1])
    return [*(layer.step(x[:, cut], state, last=False) for cut in cuts), layer.step(x[:, final], state, last=True)]


@torch.inference_mode()
def verify(layer: Layer[Any], x: Tensor, tolerance: float = 1e-6) -> Tensor:
    """Check a layer with a signal [B, T, C], in pieces and as a batch; return what it makes of it all at once."""
    given, whole = x.clone(), layer(x)
    for size in SIZES:
        steps = in_pieces(layer, x, size)
        assert {step.shape[2] for step in steps} == {whole.shape[2]}, "an empty step has the layer's channels, too"
        torch.testing.assert_close(
            torch.cat(steps, dim=1), whole, rtol=0, atol=tolerance, msg=lambda m, s=size: f"{s}: {m}"
        )
    alone = torch.cat([layer(row) for row in x.split(1)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=tolerance)
    assert torch.equal(x, given), "a layer may not write into what it is given"
    return whole
