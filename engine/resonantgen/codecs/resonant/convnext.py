"""ConvNeXt blocks (Z. Liu et al., "A ConvNet for the 2020s", 2022) over time, causal, as layers that stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from resonantgen.codecs.streaming import Layer

LAYER_SCALE = 0.1  # what a block adds at first


@dataclass
class ConvNextState:
    past: Tensor  # [B, k - 1, C] frames that came before


class ConvNext(Layer[ConvNextState]):
    """Mixes time within each channel, then channels within each frame, and adds that: [B, T, C] -> [B, T, C]."""

    def __init__(self, channels: int, kernel_size: int, expansion: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(channels, channels, kernel_size, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, expansion * channels)
        self.narrow = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), LAYER_SCALE))

    def start(self, batch: int) -> ConvNextState:
        kernel_size = self.over_time.weight.shape[2]
        return ConvNextState(self.scale.new_zeros(batch, kernel_size - 1, len(self.scale)))

    def step(self, x: Tensor, state: ConvNextState, last: bool) -> Tensor:
        if x.shape[1] == 0:
            return x
        seen = torch.cat((state.past, x), dim=1)
        state.past = seen[:, x.shape[1] :]
        mixed = self.over_time(seen.transpose(1, 2)).transpose(1, 2)
        added: Tensor = self.narrow(functional.gelu(self.widen(self.norm(mixed))))
        return x + added * self.scale


class Norm(Layer[None]):
    """Layer normalisation of each frame (J. Ba et al., 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def start(self, batch: int) -> None:
        return None

    def step(self, x: Tensor, state: None, last: bool) -> Tensor:
        normalized: Tensor = self.norm(x)
        return normalized
