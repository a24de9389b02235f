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
        # Off the last bit of torch's own, and faster on CPUs: its exp is vectorised better than its expm1.
        return torch.maximum(x, x.clamp(max=0).exp_() - 1)


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
    hidden: Tensor  # [L, B, C]
    cell: Tensor  # [L, B, C]


class Lstm(Layer[LstmState]):
    """Long short-term memory over time (L layers), added to what it is given."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers, batch_first=True)

    def start(self, batch: int) -> LstmState:
        weight = self.lstm.weight_ih_l0
        zeros = weight.new_zeros(self.lstm.num_layers, batch, self.lstm.hidden_size)
        return LstmState(zeros, zeros)

    def step(self, x: Tensor, state: LstmState, last: bool) -> Tensor:
        if x.shape[1] == 0:
            return x
        if x.shape[1] < REPACKING_FRAMES and x.device.type == "cpu":
            return self._by_frame(x, state) + x
        y, (state.hidden, state.cell) = self.lstm(x, (state.hidden, state.cell))
        y += x
        return y

    def _by_frame(self, x: Tensor, state: LstmState) -> Tensor:
        hidden, cell = list(state.hidden.unbind(0)), list(state.cell.unbind(0))
        for layer in range(self.lstm.num_layers):
            of_input, of_hidden, bias, more_bias = self.lstm.all_weights[layer]
            frames = []
            for gates in functional.linear(x, of_input, bias + more_bias).unbind(1):
                hidden[layer], cell[layer] = _lstm_frame(gates, hidden[layer], cell[layer], of_hidden)
                frames.append(hidden[layer])
            x = torch.stack(frames, dim=1)
        state.hidden, state.cell = torch.stack(hidden), torch.stack(cell)
        return x


# oneDNN packs the weights of an LSTM at every call, which costs as much time as it saves in as many frames as this.
REPACKING_FRAMES = 50


def _lstm_frame(gates: Tensor, hidden: Tensor, cell: Tensor, of_hidden: Tensor) -> tuple[Tensor, Tensor]:
    """One frame of one layer: gates [B, 4 C] of its input, hidden and cell [B, C], of_hidden [4 C, C]."""
    rows = [torch.addmv(gate, of_hidden, row) for gate, row in zip(gates, hidden, strict=True)]  # quicker than addmm
    take, keep, new, give = torch.stack(rows).chunk(4, dim=1)
    cell = torch.addcmul(take.sigmoid() * new.tanh(), keep.sigmoid(), cell)
    return give.sigmoid() * cell.tanh(), cell
