"""The one transformer of this project: K parallel codebooks in, logits of their next tokens out.

The same layers serve a whole sequence in training, a chunk of a prompt, and one column for several rows that stand at
different positions; only what attention looks at differs (see `cache`). MusicGen's decoders are configurations of it
(Copet et al., "Simple and Controllable Music Generation", 2023): MusicGen's is conditioned through cross-attention,
MusicGen-melody's by a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from resonantgen.lm.cache import Chunk, Offline, State, Step, View
from resonantgen.lm.conditioning import NULL, Conditioning
from resonantgen.lm.config import LMConfig
from resonantgen.lm.elementwise import Norm
from resonantgen.lm.layers import Layer, PositionEmbedding, TokenEmbedding


class Transformer(nn.Module):
    """Decoder-only, pre-norm, sinusoidal positions. Weights are shared by any number of states and threads."""

    logit_index: Tensor

    def __init__(self, config: LMConfig) -> None:
        """With random weights, from torch's global generator."""
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config)
        self.position_embedding = PositionEmbedding(config.width)
        self.layers = cast(Sequence[Layer], nn.ModuleList([Layer(config) for _ in range(config.layers)]))
        self.norm = Norm(config.width)
        self.heads = nn.Linear(config.width, sum(config.vocabularies), bias=False)  # one below the other
        self.register_buffer("logit_index", _logit_index(config.vocabularies), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """As GPT-2: small, and smaller where a layer adds to its input, so that many layers add up to no more."""
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                adds = name.endswith(("_out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * self.config.layers) ** 0.5 if adds else 0.02)

    def start(self, rows: int, columns: int | None = None, prefix: int = 0, cross: int = 0) -> State:
        """A state of rows that have read nothing, under the null condition.

        `columns`: at most so many will be fed to a row (None: no end; fed more, it sees only so many); `prefix`,
        `cross`: at most so many vectors of either in any row's conditioning. Fewer take less memory.
        """
        with torch.inference_mode(False):  # a state outlives the mode that it is made in
            return State.empty(self.config, rows, columns, prefix, cross, like=self.norm.weight.detach())

    @torch.no_grad()
    def condition(self, state: State, row: int, conditioning: Conditioning = NULL) -> None:
        """Begin a row anew: forget what it has read, work out what it will cross-attend to, and read its prefix."""
        weight = self.norm.weight
        state.reset(row, conditioning.prefix_length)
        if self.config.cross_attention:
            cross = conditioning.cross
            if cross is None or not len(cross):
                cross = weight.new_zeros(1, self.config.width)
            state.cross_lengths[row] = len(cross)
            for memory, layer in zip(state.cross_memory, self.layers, strict=True):
                assert len(cross) <= memory.shape[3], "the state was not made for as many vectors of conditioning"
                memory[:, row, :, : len(cross)] = layer.remember(cross.to(weight))
        else:
            assert not conditioning.cross_length, "this model has no cross-attention"
        if conditioning.prefix is not None and conditioning.prefix_length:
            self._layers(
                conditioning.prefix.to(weight).unsqueeze(0),
                Chunk(state, [row], conditioning.prefix_length, prefix=True),
            )

    def forward(self, columns: Tensor, state: State, rows: Sequence[int] | None = None) -> Tensor:
        """Read columns [B, K, T] int64 behind what the rows have read: logits [B, K, T, most tokens] of the next ones.

        `rows` says which rows of the state they are for; None: all, in order. Logits are float32, and -inf beyond the
        vocabulary of a codebook.
        """
        if rows is None and columns.shape[-1] == 1:
            logits = self.step(columns[..., 0], state).unsqueeze(2)
            state.count(1)
            return logits
        with torch.no_grad():
            x = self.embedding(columns)
            view = Chunk(state, range(state.rows) if rows is None else rows, columns.shape[-1])
            return self._logits(self._layers(x, view))

    @torch.no_grad()
    def step(self, columns: Tensor, state: State) -> Tensor:
        """`forward` of one column [rows, K] for all rows: logits [rows, K, most tokens].

        It touches the device alone, in static shapes, so that it can be compiled or captured. The caller counts it on
        the host, with `state.count(1)`.
        """
        x = self.embedding(columns.unsqueeze(-1))
        return self._logits(self._layers(x, Step(state))).squeeze(2)

    def offline(self, columns: Tensor, conditioning: Sequence[Conditioning] | None = None) -> Tensor:
        """Whole sequences [B, K, T] at once, with gradients: logits [B, K, T, most tokens]."""
        weight = self.norm.weight
        conditions = conditioning or [NULL] * len(columns)
        none = weight.new_zeros(0, self.config.width)
        prefixes = [none if c.prefix is None else c.prefix.to(weight) for c in conditions]
        crosses = [none if c.cross is None else c.cross.to(weight) for c in conditions]
        prefix, cross = pad_sequence(prefixes, batch_first=True), pad_sequence(crosses, batch_first=True)
        if not cross.shape[1]:
            cross = weight.new_zeros(len(columns), 1, self.config.width)
        view = Offline(
            prefixes=torch.tensor([len(p) for p in prefixes], device=weight.device),
            padded=prefix.shape[1],
            columns=columns.shape[-1],
            context=self.config.context,
            cross=[layer.remember(cross) for layer in self.layers] if self.config.cross_attention else [],
            cross_lengths=torch.tensor([max(len(c), 1) for c in crosses], device=weight.device),
        )
        x = self._layers(torch.cat([prefix, self.embedding(columns)], dim=1), view)
        return self._logits(x[:, prefix.shape[1] :])

    def _layers(self, x: Tensor, view: View) -> Tensor:
        """Vectors [B, T, width], to which their positions are added, through all layers."""
        x = x + self.position_embedding(view.positions, x.dtype)
        for number, layer in enumerate(self.layers):
            x = layer(x, number, view)
        return x

    def _logits(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, K, T, most tokens]."""
        logits = self.heads(self.norm(x))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        vocabularies = self.config.vocabularies
        if len(set(vocabularies)) > 1:
            logits = pad(logits, (0, 1), value=-torch.inf)[..., self.logit_index]
        return logits.unflatten(-1, (len(vocabularies), -1)).transpose(1, 2)  # type: ignore[no-any-return]


def _logit_index(vocabularies: Sequence[int]) -> Tensor:
    """Where among all logits, with a -inf behind them, is that of each token of each codebook: [K * most tokens]."""
    most, total = max(vocabularies), sum(vocabularies)
    index = torch.full((len(vocabularies), most), total, device="cpu")
    for codebook, tokens in enumerate(vocabularies):
        first = sum(vocabularies[:codebook])
        index[codebook, :tokens] = torch.arange(first, first + tokens, device="cpu")
    return index.flatten()
