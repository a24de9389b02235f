"""Convolutions that stream, padded at both ends as the published audio codecs pad theirs.

Padding by reflection, at the start, needs the samples that follow: the layer holds its output back until it has them. At
the end the signal is padded on, so that a last frame that is not whole has a window of its own: T samples give
ceil(T / stride) frames. A signal that is shorter than its padding is taken to be silent afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from resonantgen.codecs.streaming import Layer, join


class Padding(StrEnum):
    """What a convolution takes to be beyond the ends of a signal."""

    REFLECT = "reflect"
    ZERO = "constant"
    REPLICATE = "replicate"


@dataclass
class ConvState:
    window: Tensor  # [B, C, t] padded, what coming frames still look at
    recent: Tensor  # [B, C, t] not padded: all of it before the start is made, then what the end may reflect
    length: int = 0  # samples so far
    started: bool = False  # whether the start has been padded
    gathered: list[Tensor] = field(default_factory=list)  # for the norm, which is over all time


class Conv1d(Layer[ConvState]):
    """A convolution [B, C, T] -> [B, C', ceil(T / stride)].

    `causal` has all the padding at the start, otherwise it is on both sides. `norm` is group normalisation over
    channels and time in one group: nothing can leave before everything is there.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        causal: bool = True,
        padding: Padding = Padding.REFLECT,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.padding = stride, dilation, padding
        self.span = (kernel_size - 1) * dilation + 1  # samples that one frame looks at
        total = self.span - stride
        assert total >= 0, "a stride that leaves samples out"
        self.right = 0 if causal else total // 2
        self.left = total - self.right
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.norm = nn.GroupNorm(1, out_channels) if norm else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def start(self, batch: int) -> ConvState:
        nothing = self.weight.new_empty(batch, self.weight.shape[1], 0)
        return ConvState(nothing, nothing)

    def step(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        if self.norm is None:
            return self._convolve(x, state, last)
        state.gathered.append(x)
        if not last:
            return self._nothing(x)
        y = self._convolve(join(state.gathered), state, last)
        return self.norm(y) if y.shape[-1] else y

    def _convolve(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        padded = self._pad(x, state, last)
        frames = max(0, (padded.shape[-1] - self.span) // self.stride + 1)
        state.window = padded[..., frames * self.stride :]
        if not frames:
            return self._nothing(x)
        return functional.conv1d(padded, self.weight, self.bias, self.stride, dilation=self.dilation)

    def _pad(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        """What comes after the frames that were given: the window, x, and padding where it begins or ends."""
        parts = [state.window]
        state.length += x.shape[-1]
        if not state.started:
            x = join((state.recent, x))
            state.recent = x
            if not (last or state.length > self._held) or not state.length:
                return state.window
            state.started = True
            parts.append(self._start(x))
        else:
            state.recent = x if x.shape[-1] >= self._reflected else join((state.recent, x))
        parts.append(x)
        if last:
            parts.append(self._end(state))
        state.recent = self._latest(state.recent)
        return join(parts)

    @property
    def _held(self) -> int:
        """As many samples must be there, and one more, before the start can be padded."""
        return self.left if self.padding is Padding.REFLECT else 0

    @property
    def _reflected(self) -> int:
        """Samples that the end's padding is made of, at most."""
        longest = self.right + self.stride - 1
        return 0 if longest == 0 or self.padding is Padding.ZERO else longest + 1

    def _latest(self, x: Tensor) -> Tensor:
        return x[..., max(0, x.shape[-1] - self._reflected) :]

    def _start(self, x: Tensor) -> Tensor:
        """The padding before the samples x, which are all that matter to it."""
        if self.padding is Padding.ZERO:
            return x.new_zeros(*x.shape[:2], self.left)
        if self.padding is Padding.REPLICATE:
            return x[..., :1].expand(-1, -1, self.left)
        missing = max(0, self.left + 1 - x.shape[-1])
        return functional.pad(x[..., 1 : self.left + 1], (0, missing)).flip(-1)

    def _end(self, state: ConvState) -> Tensor:
        """The padding after the last sample, with as much more as makes the last frame whole."""
        recent, right = state.recent, self.right + -state.length % self.stride
        if self.padding is Padding.ZERO or not right:
            return recent.new_zeros(*recent.shape[:2], right)
        if self.padding is Padding.REPLICATE:
            return recent[..., -1:].expand(-1, -1, right)
        silence = max(0, max(self.left, right) + 1 - state.length)  # after a signal shorter than its padding
        silent = functional.pad(recent, (0, silence))
        mirrored = silent[..., -1 - max(0, right - silence) : -1].flip(-1)
        return join((recent.new_zeros(*recent.shape[:2], silence), mirrored))[..., :right]

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape[0], self.weight.shape[0], 0)


@dataclass
class TransposedState:
    tail: Tensor  # [B, C', kernel - stride] what the frames so far add to coming samples, without the bias
    started: bool = False
    trim: int = 0  # samples to drop at the start
    gathered: list[Tensor] = field(default_factory=list)  # for the norm, which is over all time


class ConvTranspose1d(Layer[TransposedState]):
    """A transposed convolution [B, C, T] -> [B, C', T * stride].

    Of what is more than that, `causal` cuts `trim_right` (0 to 1) from the end and the rest from the start, otherwise
    half is cut from each. `norm` as in `Conv1d`; it is over what is cut, too.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        *,
        causal: bool = True,
        trim_right: float = 1.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.overlap = stride, kernel_size - stride
        assert self.overlap >= 0, "a stride that leaves samples out"
        self.right = math.ceil(self.overlap * trim_right) if causal else self.overlap // 2
        self.left = self.overlap - self.right
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.norm = nn.GroupNorm(1, out_channels) if norm else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def start(self, batch: int) -> TransposedState:
        return TransposedState(self.weight.new_zeros(batch, self.weight.shape[1], self.overlap), trim=self.left)

    def step(self, x: Tensor, state: TransposedState, last: bool) -> Tensor:
        if self.norm is not None:
            state.gathered.append(x)
            if not last:
                return self._nothing(x)
            x = join(state.gathered)
        state.started |= x.shape[-1] > 0
        if not state.started or (not x.shape[-1] and not last):
            return self._nothing(x)
        y = self._overlap_add(x, state, last)
        if self.norm is not None:
            y = self.norm(y)
        trimmed = y[..., state.trim : y.shape[-1] - self.right if last else None]
        state.trim = max(0, state.trim - y.shape[-1])
        return trimmed

    def _overlap_add(self, x: Tensor, state: TransposedState, last: bool) -> Tensor:
        """The samples that no coming frame changes; after the last one, all."""
        if x.shape[-1]:
            y = functional.conv_transpose1d(x, self.weight, None, self.stride)
            y[..., : self.overlap] += state.tail
        else:
            y = state.tail
        ready = y.shape[-1] if last else y.shape[-1] - self.overlap
        state.tail = y[..., ready:]
        return y[..., :ready] + self.bias[:, None]

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape[0], self.weight.shape[1], 0)
