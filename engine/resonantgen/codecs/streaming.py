"""Layers that stream: fed one sample or all samples at a time, they give the same result.

`start` makes a state, `step` advances it; offline is one step with a throwaway state. A layer gives what is ready, which
may be nothing: reflection padding at the start needs the samples that follow it, and a convolution that is not causal
those that it looks ahead to. The last step flushes what is left.

A step may keep what it is given, and write over it only where its docstring says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

State = TypeVar("State")


class Layer(nn.Module, Generic[State]):
    """Something that turns [B, C, T] into [B, C', T'], in one step or in many."""

    def start(self, batch: int) -> State:
        """The state before the first sample, of `batch` streams that run side by side."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        """Take in x [B, C, t], t from 0, and give what is ready, [B, C', t'], t' from 0. `last`: nothing follows x."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] -> [B, C', T'], all at once."""
        return self.step(x, self.start(x.shape[0]), last=True)


def join(parts: Iterable[Tensor]) -> Tensor:
    """The parts [B, C, t] one after the other. A single one that is not empty is given as it is, without a copy."""
    parts = list(parts)
    full = [part for part in parts if part.shape[-1]]
    return torch.cat(full, dim=-1) if len(full) > 1 else (full or parts)[-1]


class Elu(Layer[None]):
    """The exponential linear unit. `in_place` writes over what it is given: where nobody else holds it."""

    def __init__(self, in_place: bool = True) -> None:
        super().__init__()
        self.in_place = in_place

    def start(self, batch: int) -> None:
        return None

    def step(self, x: Tensor, state: None, last: bool) -> Tensor:
        return functional.elu(x, inplace=self.in_place)


@dataclass
class SequenceState:
    states: list[Any]  # one for each layer


class Sequence(Layer[SequenceState]):
    """Layers one after the other."""

    def __init__(self, layers: Iterable[Layer[Any]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def start(self, batch: int) -> SequenceState:
        return SequenceState([layer.start(batch) for layer in self.layers])  # type: ignore[operator]

    def step(self, x: Tensor, state: SequenceState, last: bool) -> Tensor:
        for layer, layer_state in zip(self.layers, state.states, strict=True):
            x = layer.step(x, layer_state, last)  # type: ignore[operator]
        return x


@dataclass
class ResidualState:
    block: Any
    shortcut: Any
    waiting: Tensor  # [B, C, t] of the shortcut, for which the block has given nothing yet


class Residual(Layer[ResidualState]):
    """A block that keeps the length, added to what it is given: as it is, or through a layer of its own.

    What goes past the block waits for as long as the block looks ahead.
    """

    def __init__(self, block: Layer[Any], shortcut: Layer[Any] | None = None) -> None:
        super().__init__()
        self.block = block
        self.shortcut = shortcut

    def start(self, batch: int) -> ResidualState:
        shortcut = self.shortcut.start(batch) if self.shortcut is not None else None
        return ResidualState(self.block.start(batch), shortcut, torch.empty(batch, 0, 0))

    def step(self, x: Tensor, state: ResidualState, last: bool) -> Tensor:
        past = x if self.shortcut is None else self.shortcut.step(x, state.shortcut, last)
        past = join((state.waiting, past))
        y: Tensor = self.block.step(x, state.block, last)
        ready = y.shape[-1]
        state.waiting = past[..., ready:]
        return y.add_(past[..., :ready])


@dataclass
class LstmState:
    hidden: Tensor  # [L, B, C]
    cell: Tensor  # [L, B, C]


class Lstm(Layer[LstmState]):
    """Long short-term memory over time, added to what it is given."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers)

    def start(self, batch: int) -> LstmState:
        weight = self.lstm.weight_ih_l0
        zeros = weight.new_zeros(self.lstm.num_layers, batch, self.lstm.hidden_size)
        return LstmState(zeros, zeros)

    def step(self, x: Tensor, state: LstmState, last: bool) -> Tensor:
        if x.shape[-1] == 0:
            return x
        steps = x.permute(2, 0, 1)
        y, (state.hidden, state.cell) = self.lstm(steps, (state.hidden, state.cell))
        return (y + steps).permute(1, 2, 0)
