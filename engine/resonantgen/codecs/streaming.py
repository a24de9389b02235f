"""Layers that stream: fed one sample or all samples at a time, they give the same result.

`start` makes a state, `step` advances it; offline is one step with a throwaway state. A layer gives what is ready,
which may be nothing: reflection padding at the start needs the samples that follow it, and a convolution that is not
causal those that it looks ahead to. The last step flushes what is left.

Signals are [B, T, C]: with the channels of a sample side by side, convolutions are matrix products on views. A layer
may keep what it is given, but never writes into it.
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
    """Something that turns [B, T, C] into [B, T', C'], in one step or in many."""

    def start(self, batch: int) -> State:
        """The state before the first sample, of `batch` streams that run side by side."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State, last: bool) -> Tensor:
        """Take in x [B, t, C], t from 0, and give what is ready, [B, t', C'], t' from 0. `last`: nothing follows x."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, T', C'], all at once."""
        return self.step(x, self.start(x.shape[0]), last=True)


def join(parts: Iterable[Tensor]) -> Tensor:
    """The parts [B, t, C] one after the other. A single one that is not empty is given as it is, without a copy."""
    parts = list(parts)
    full = [part for part in parts if part.shape[1]]
    return torch.cat(full, dim=1) if len(full) > 1 else (full or parts)[-1]


class Elu(Layer[None]):
    """The exponential linear unit."""

    def start(self, batch: int) -> None:
        return None

    def step(self, x: Tensor, state: None, last: bool) -> Tensor:
        return functional.elu(x)


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
    waiting: list[Tensor]  # [B, t, C] of the shortcut, for which the block has given nothing yet


class Residual(Layer[ResidualState]):
    """A block that keeps the length, added to what it is given: as it is, or through a layer of its own.

    What goes past the block waits for as long as the block looks ahead.
    """

    def __init__(self, block: Layer[Any], shortcut: Layer[Any] | None = None) -> None:
        super().__init__()
        self.block = block
        self.shortcut = shortcut

    def start(self, batch: int) -> ResidualState:
        return ResidualState(self.block.start(batch), self.shortcut.start(batch) if self.shortcut else None, [])

    def step(self, x: Tensor, state: ResidualState, last: bool) -> Tensor:
        past = self.shortcut.step(x, state.shortcut, last) if self.shortcut else x
        past = join((*state.waiting, past))
        y: Tensor = self.block.step(x, state.block, last)
        state.waiting = [past[:, y.shape[1] :]]
        return y + past[:, : y.shape[1]]


@dataclass
class LstmState:
    hidden: list[Tensor]  # [B, C] of each layer
    cell: list[Tensor]


class Lstm(Layer[LstmState]):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) over time, L layers, added to what it is given.

    Parameters are named and shaped as those of `torch.nn.LSTM`, and give what it gives. But oneDNN packs its weights
    anew at every call, which takes as long as many frames do; and a row times a matrix is twice as fast on CPUs where
    the matrix lies in memory as [C, 4 C].
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.channels, self.layers = channels, layers
        for layer in range(layers):
            for of in ("ih", "hh"):
                weight = torch.empty(channels, 4 * channels).t()  # [4 C, C]
                self.register_parameter(f"weight_{of}_l{layer}", nn.Parameter(weight))
                self.register_parameter(f"bias_{of}_l{layer}", nn.Parameter(torch.empty(4 * channels)))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(channels**-0.5), channels**-0.5)

    def start(self, batch: int) -> LstmState:
        zeros = self.get_parameter("weight_ih_l0").new_zeros(batch, self.channels)
        return LstmState([zeros] * self.layers, [zeros] * self.layers)

    def step(self, x: Tensor, state: LstmState, last: bool) -> Tensor:
        if x.shape[1] == 0:
            return x
        y = x
        for layer in range(self.layers):
            of_input, of_hidden = self._parameters_of("weight", layer)
            bias, more_bias = self._parameters_of("bias", layer)
            gates = functional.linear(y, of_input, bias + more_bias)
            y = _lstm_layer(gates, of_hidden.t(), state, layer)
        return y + x

    def _parameters_of(self, kind: str, layer: int) -> tuple[Tensor, Tensor]:
        """Of its input, and of what it gave for the frame before."""
        return self.get_parameter(f"{kind}_ih_l{layer}"), self.get_parameter(f"{kind}_hh_l{layer}")


def _lstm_layer(gates: Tensor, of_hidden: Tensor, state: LstmState, layer: int) -> Tensor:
    """One layer over time: gates [B, t, 4 C] of its input, of_hidden [C, 4 C] -> [B, t, C]."""
    hidden, cell, frames = state.hidden[layer], state.cell[layer], []
    for of_frame in gates.unbind(1):
        take, keep, new, give = torch.addmm(of_frame, hidden, of_hidden).chunk(4, dim=1)
        cell = torch.addcmul(take.sigmoid() * new.tanh(), keep.sigmoid(), cell)
        hidden = give.sigmoid() * cell.tanh()
        frames.append(hidden)
    state.hidden[layer], state.cell[layer] = hidden, cell
    return torch.stack(frames, dim=1)
