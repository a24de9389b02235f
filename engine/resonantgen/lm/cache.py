"""Keys and values of what has been read: fixed in size, written in place, each row at a position of its own.

Of each layer, a row has `slots` slots. A prefix of P vectors takes slots 0..P-1 and stays. Behind it lies a ring of
`ring` slots: the column at position p is at slot P + (p - P) mod ring. What may be seen is said by positions alone: the
query at position p sees the key at position k if k <= p and (k < P or k > p - context).

A step of one column writes first and attends then: with a ring of `context` slots it overwrites the one column that has
just gone out of view. A chunk of T columns attends to the ring as it was, with the chunk's own keys behind it, and
writes then. (Written first, it would overwrite columns still in view, unless the ring had context + T - 1 slots.)

A state belongs to whoever steps it: one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from resonantgen.lm import kernels
from resonantgen.lm.config import LMConfig

NEVER = 1 << 40  # a position that no query reaches


@dataclass(slots=True, eq=False)
class State:
    """What the transformer knows of each row, apart from its weights."""

    context: int  # columns in view
    ring: int  # slots behind the prefix: min(context, columns that will be fed)
    memory: list[Tensor]  # of each layer [2, rows, heads, slots, head width]: keys, values
    cross_memory: list[Tensor]  # of each layer [2, rows, heads, cross slots, head width]; none without cross-attention
    positions: Tensor  # [rows] of the next column, the prefix counted; int64 as the next two
    prefixes: Tensor  # [rows] P
    cross_lengths: Tensor  # [rows] at least 1: the null condition is a single zero
    counts: list[int]  # `positions` on the host, so that no step has to wait for the device

    @classmethod
    def empty(cls, config: LMConfig, rows: int, columns: int | None, prefix: int, cross: int, like: Tensor) -> State:
        """For so many rows, columns (None: no end), prefix and cross vectors; dtype and device are those of `like`."""
        ring = config.context if columns is None else max(min(config.context, columns), 1)

        def zeros(slots: int) -> list[Tensor]:
            shape = (2, rows, config.heads, slots, config.head_width)
            return [like.new_zeros(shape) for _ in range(config.layers)]

        def numbers(value: int) -> Tensor:
            return torch.full((rows,), value, dtype=torch.int64, device=like.device)

        return cls(
            context=config.context,
            ring=ring,
            memory=zeros(prefix + ring),
            cross_memory=zeros(max(cross, 1)) if config.cross_attention else [],
            positions=numbers(0),
            prefixes=numbers(0),
            cross_lengths=numbers(1),
            counts=[0] * rows,
        )

    @property
    def rows(self) -> int:
        """Sequences side by side."""
        return len(self.counts)

    @property
    def slots(self) -> int:
        """Of each row: those of the prefix, and the ring."""
        return self.memory[0].shape[3]

    def reset(self, row: int, prefix: int) -> None:
        """Begin the row anew, with a prefix of so many vectors to come. What its slots hold is out of view."""
        assert prefix <= self.slots - self.ring, "the state was not made for a prefix as long as this"
        self.positions[row] = 0
        self.prefixes[row] = prefix
        self.counts[row] = 0

    def count(self, columns: int, rows: Sequence[int] | None = None) -> None:
        """Columns have been read: note it on the host. `Transformer.step` leaves this to its caller."""
        for row in range(self.rows) if rows is None else rows:
            self.counts[row] += columns


def visible(queries: Tensor, keys: Tensor, prefixes: Tensor, context: int) -> Tensor:
    """Which keys [B, S] the queries [B, T] of rows with prefixes [B, 1] see, all by position: [B, 1, T, S]."""
    query, key, prefix = queries[:, None, :, None], keys[:, None, None, :], prefixes[:, None, :, None]
    return (key <= query) & ((key < prefix) | (key > query - context))


def _before(lengths: Tensor, slots: int) -> Tensor:
    """Slots 0..length-1 of each row: a mask [B, 1, 1, slots]."""
    return (torch.arange(slots, device=lengths.device) < lengths.unsqueeze(-1))[:, None, None]


def _attend(query: Tensor, keys_values: Tensor, mask: Tensor | None) -> Tensor:
    """[B, T, H, D] to keys and values [2, B, H, S, D]; without a mask, T = S and each sees what is not behind it."""
    heads_first = query.transpose(1, 2)
    attended = scaled_dot_product_attention(
        heads_first, keys_values[0], keys_values[1], attn_mask=mask, is_causal=mask is None
    )
    return attended.transpose(1, 2)


class View(Protocol):
    """How the vectors that go through the layers now attend; the same for every layer, and made once for all."""

    positions: Tensor  # [B, T], or what can be broadcast to it

    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        """Self-attention of a layer, which remembers the new keys and values: [B, T, 3, H, D] -> [B, T, H, D]."""
        ...

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        """Cross-attention of a layer: [B, T, H, D] -> [B, T, H, D]."""
        ...


class Step:
    """One column for all rows of a state. On the device alone: nothing waits, and no shape depends on a value.

    On a CPU in float32 attention is a kernel's, and what a row gets is the same to the bit whatever is beside it;
    elsewhere, and where it is being compiled, torch's with masks over all slots.
    """

    def __init__(self, state: State) -> None:
        """The state's positions move on."""
        self.state = state
        position = state.positions.clone()
        state.positions.add_(1)
        self.positions = position.unsqueeze(-1)
        self.slot = state.prefixes + (position - state.prefixes) % state.ring
        self.lengths = torch.minimum(position + 1, state.prefixes + state.ring)
        memory = state.memory[0]
        self.kernel = memory.is_cpu and memory.dtype == torch.float32 and not torch.compiler.is_compiling()
        if not self.kernel:
            self.rows = torch.arange(state.rows, device=memory.device)
            self.mask = _before(self.lengths, state.slots)
            if state.cross_memory:
                self.cross_mask = _before(state.cross_lengths, state.cross_memory[0].shape[3])

    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        memory = self.state.memory[layer]
        if self.kernel:
            return kernels.remember_and_attend(query_key_value[:, 0], memory, self.slot, self.lengths).unsqueeze(1)
        memory[:, self.rows, :, self.slot] = query_key_value[:, 0, 1:]
        return _attend(query_key_value[:, :, 0], memory, self.mask)

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        memory = self.state.cross_memory[layer]
        if self.kernel:
            return kernels.attend(query[:, 0], memory, self.state.cross_lengths).unsqueeze(1)
        return _attend(query, memory, self.cross_mask)


class Chunk:
    """T vectors for some rows of a state: their prefixes, or columns."""

    def __init__(self, state: State, rows: Sequence[int], length: int, prefix: bool = False) -> None:
        """The rows' positions move on."""
        self.state = state
        device = state.positions.device
        self.rows = torch.tensor(rows, device=device)
        start, prefixes = state.positions[self.rows].unsqueeze(-1), state.prefixes[self.rows].unsqueeze(-1)
        self.positions = start + torch.arange(length, device=device)
        self.used = min(max(state.counts[row] for row in rows), state.slots)
        causal = self.used == 0 and (prefix or length <= state.context)
        self.mask = None if causal else self._mask(start, prefixes)
        turns = (self.positions - prefixes).clamp(min=0) // state.ring
        self.kept = length if prefix else min(length, state.ring)  # the last so many go into the ring
        self.slots = (self.positions - turns * state.ring)[:, length - self.kept :]
        if state.cross_memory:
            self.cross_mask = _before(state.cross_lengths[self.rows], state.cross_memory[0].shape[3])
        state.positions[self.rows] += length
        state.count(length, rows)

    def _mask(self, start: Tensor, prefixes: Tensor) -> Tensor:
        """Of the slots in use with the chunk behind them: [B, 1, T, used + T]. `start` and `prefixes` are [B, 1]."""
        ring = self.state.ring
        slot = torch.arange(self.used, device=start.device)
        turns = torch.where(slot < prefixes, 0, (start - 1 - slot) // ring)
        past = torch.where(slot < torch.minimum(start, prefixes + ring), slot + turns * ring, NEVER)
        return visible(self.positions, torch.cat([past, self.positions], dim=1), prefixes, self.state.context)

    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        memory, new = self.state.memory[layer], query_key_value[:, :, 1:]
        keys_values = new.permute(2, 0, 3, 1, 4)
        if self.used:
            keys_values = torch.cat([memory[:, self.rows, :, : self.used], keys_values], dim=3)
        attended = _attend(query_key_value[:, :, 0], keys_values, self.mask)
        memory[:, self.rows.unsqueeze(-1), :, self.slots] = new[:, new.shape[1] - self.kept :]
        return attended

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        return _attend(query, self.state.cross_memory[layer][:, self.rows], self.cross_mask)


class Offline:
    """Whole sequences from their start, with nothing remembered: for training, and to compare with.

    Prefixes of different lengths are padded behind; the padding stands after the last column, where nothing sees it.
    """

    def __init__(
        self, prefixes: Tensor, padded: int, columns: int, context: int, cross: list[Tensor], cross_lengths: Tensor
    ) -> None:
        """Rows have prefixes [B] of so many vectors, padded to one length, and then so many columns."""
        device = prefixes.device
        prefixes = prefixes.unsqueeze(-1)
        slot = torch.arange(padded, device=device)
        before = torch.where(slot < prefixes, slot, slot + columns)
        self.positions = torch.cat([before, prefixes + torch.arange(columns, device=device)], dim=1)
        causal = padded == 0 and columns <= context
        self.mask = None if causal else visible(self.positions, self.positions, prefixes, context)
        self.cross = cross
        if cross:
            self.cross_mask = _before(cross_lengths, cross[0].shape[3])

    def attend(self, layer: int, query_key_value: Tensor) -> Tensor:
        return _attend(query_key_value[:, :, 0], query_key_value[:, :, 1:].permute(2, 0, 3, 1, 4), self.mask)

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        return _attend(query, self.cross[layer], self.cross_mask)
