"""Convolutions that stream, padded at both ends as the published audio codecs pad theirs.

Padding by reflection, at the start, needs the samples that follow: the layer holds its output back until it has them.
At the end the signal is padded on, so that a last frame that is not whole has a window of its own: T samples give
ceil(T / stride) frames. A signal that is shorter than its padding is taken to be silent afterwards.

Both kinds are sums of matrix products, one for each stride's length of the kernel: with [B, T, C] in memory, `stride`
samples are a row of `stride * C` numbers, so nothing is unfolded or copied. On CPUs that is faster than torch's
convolutions, most of all for short chunks. Weights have their usual shapes; their strides are what products want.
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
    window: Tensor  # [B, t, C] padded, what coming frames still look at
    recent: Tensor  # [B, t, C] not padded: all of it before the start is made, then what the end may reflect
    length: int = 0  # samples so far
    started: bool = False  # whether the start has been padded
    gathered: list[Tensor] = field(default_factory=list)  # for the norm, which is over all time


class Conv1d(Layer[ConvState]):
    """A convolution [B, T, C] -> [B, ceil(T / stride), C'].

    The kernel is a multiple of the stride. `causal` has all the padding at the start, otherwise it is on both sides.
    `norm` is group normalisation over channels and time in one group: nothing can leave before everything is there.
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
        assert kernel_size % stride == 0 and (stride == 1 or dilation == 1), (kernel_size, stride, dilation)
        self.stride, self.dilation, self.padding = stride, dilation, padding
        self.span = (kernel_size - 1) * dilation + 1  # samples that one frame looks at
        total = self.span - stride
        self.right = 0 if causal else total // 2
        self.left = total - self.right
        self.weight = nn.Parameter(torch.empty(kernel_size, in_channels, out_channels).permute(2, 1, 0))  # [C', C, k]
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.norm = nn.GroupNorm(1, out_channels) if norm else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def start(self, batch: int) -> ConvState:
        nothing = self.weight.new_empty(batch, 0, self.weight.shape[1])
        return ConvState(nothing, nothing)

    def step(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        if self.norm is None:
            return self._convolve(x, state, last)
        state.gathered.append(x)
        if not last:
            return self._nothing(x)
        return normalized(self._convolve(join(state.gathered), state, last), self.norm)

    def _convolve(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        padded = self._pad(x, state, last)
        frames = max(0, (padded.shape[1] - self.span) // self.stride + 1)
        state.window = padded[:, frames * self.stride :]
        return self._frames(padded, frames) if frames else self._nothing(x)

    def _frames(self, padded: Tensor, frames: int) -> Tensor:
        """The convolution of padded samples, [B, frames, C']."""
        batch, _, channels = padded.shape
        out_channels, _, kernel_size = self.weight.shape
        of_taps = self.weight.permute(2, 1, 0).reshape(-1, self.stride * channels, out_channels)
        taps = of_taps.shape[0]
        steps = frames + (taps - 1) * self.dilation  # of `stride` samples, in each of the batch
        rows = padded[:, : steps * self.stride].reshape(batch * steps, self.stride * channels).contiguous()
        # All of the batch in one go: frames that would see two of its signals are made, and left out.
        count = rows.shape[0] - (taps - 1) * self.dilation
        if self.dilation == 1 and (count == 1 or channels * kernel_size <= out_channels):
            windows = rows.as_strided((count, kernel_size * channels), (rows.shape[1], 1))  # a copy is small, or none
            y = torch.addmm(self.bias, windows, of_taps.view(-1, out_channels))
        else:
            y = torch.addmm(self.bias, rows[:count], of_taps[0])
            for tap in range(1, taps):
                begin = tap * self.dilation
                y.addmm_(rows[begin : begin + count], of_taps[tap])
        return y.as_strided((batch, frames, out_channels), (steps * out_channels, out_channels, 1))

    def _pad(self, x: Tensor, state: ConvState, last: bool) -> Tensor:
        """What comes after the frames that were given: the window, x, and padding where it begins or ends."""
        parts = [state.window]
        state.length += x.shape[1]
        if not state.started:
            x = join((state.recent, x))
            state.recent = x
            held = self.left if self.padding is Padding.REFLECT else 0  # until more samples than this are there
            if state.length == 0 or (state.length <= held and not last):
                return state.window
            state.started = True
            parts.append(self._start(x))
        elif self._reflected:
            state.recent = x if x.shape[1] >= self._reflected else join((state.recent, x))
        parts.append(x)
        if last:
            parts.append(self._end(state))
        state.recent = state.recent[:, max(0, state.recent.shape[1] - self._reflected) :]
        return join(parts)

    @property
    def _reflected(self) -> int:
        """Samples that the end's padding is made of, at most."""
        longest = self.right + self.stride - 1
        return 0 if longest == 0 or self.padding is Padding.ZERO else longest + 1

    def _start(self, x: Tensor) -> Tensor:
        """The padding before the samples x, which are all that matter to it."""
        if self.padding is Padding.ZERO:
            return x.new_zeros(x.shape[0], self.left, x.shape[2])
        if self.padding is Padding.REPLICATE:
            return x[:, :1].expand(-1, self.left, -1)
        return _silent_after(x[:, 1 : self.left + 1], max(0, self.left + 1 - x.shape[1])).flip(1)

    def _end(self, state: ConvState) -> Tensor:
        """The padding after the last sample, with as much more as makes the last frame whole."""
        recent, right = state.recent, self.right + -state.length % self.stride
        if self.padding is Padding.ZERO or not right:
            return recent.new_zeros(recent.shape[0], right, recent.shape[2])
        if self.padding is Padding.REPLICATE:
            return recent[:, -1:].expand(-1, right, -1)
        silence = max(0, max(self.left, right) + 1 - state.length)  # after a signal shorter than its padding
        mirrored = _silent_after(recent, silence)[:, -1 - max(0, right - silence) : -1].flip(1)
        return _silent_after(recent[:, :0], silence, mirrored)[:, :right]

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape[0], 0, self.weight.shape[0])


@dataclass
class TransposedState:
    past: Tensor  # [B, kernel / stride - 1, C] the last samples, which overlap with coming ones
    trim: int  # samples still to drop at the start
    started: bool = False
    gathered: list[Tensor] = field(default_factory=list)  # for the norm, which is over all time


class ConvTranspose1d(Layer[TransposedState]):
    """A transposed convolution [B, T, C] -> [B, T * stride, C'].

    The kernel is a multiple of the stride. Of what it gives beyond T * stride samples, `causal` cuts `trim_right` (0 to
    1) from the end and the rest from the start, otherwise half is cut from each. `norm` as in `Conv1d`; it is over what
    is cut, too.
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
        assert kernel_size % stride == 0, (kernel_size, stride)
        self.stride, self.overlap = stride, kernel_size - stride
        self.right = math.ceil(self.overlap * trim_right) if causal else self.overlap // 2
        self.weight = nn.Parameter(torch.empty(in_channels, kernel_size, out_channels).transpose(1, 2))  # [C, C', k]
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.norm = nn.GroupNorm(1, out_channels) if norm else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def start(self, batch: int) -> TransposedState:
        past = self.weight.new_zeros(batch, self.overlap // self.stride, self.weight.shape[0])
        return TransposedState(past, trim=self.overlap - self.right)

    def step(self, x: Tensor, state: TransposedState, last: bool) -> Tensor:
        if self.norm is not None:
            state.gathered.append(x)
            if not last:
                return self._nothing(x)
            x = join(state.gathered)
        state.started |= x.shape[1] > 0
        if not state.started:
            return self._nothing(x)
        if last:
            x = _silent_after(x, self.overlap // self.stride)
        padded = join((state.past, x))
        state.past = padded[:, x.shape[1] :]
        y = normalized(self._samples(padded, x.shape[1]), self.norm) if x.shape[1] else self._nothing(x)
        dropped = min(state.trim, y.shape[1])
        state.trim -= dropped
        return y[:, dropped : y.shape[1] - self.right if last else None]

    def _samples(self, padded: Tensor, count: int) -> Tensor:
        """What `count` samples give, after as many as overlap with them: [B, count * stride, C']."""
        batch, steps, channels = padded.shape
        out_channels = self.weight.shape[1]
        of_samples = self.weight.transpose(1, 2).reshape(channels, -1)  # [C, k C']
        rows, width = padded.reshape(batch * steps, channels), self.stride * out_channels
        total = rows.shape[0] - (steps - count)
        y = torch.addmm(self.bias.expand(self.stride, -1).reshape(-1), rows[steps - count :], of_samples[:, :width])
        for back in range(1, steps - count + 1):
            begin = steps - count - back
            y.addmm_(rows[begin : begin + total], of_samples[:, back * width : (back + 1) * width])
        return y.as_strided((batch, count * self.stride, out_channels), (steps * width, out_channels, 1))

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape[0], 0, self.weight.shape[1])


def normalized(x: Tensor, norm: nn.GroupNorm | None) -> Tensor:
    """x [B, T, C] with mean 0 and variance 1 over all of T and C, then each channel scaled and shifted."""
    if norm is None or not x.shape[1]:
        return x
    return torch.addcmul(norm.bias, functional.layer_norm(x, x.shape[1:], eps=norm.eps), norm.weight)


def _silent_after(x: Tensor, samples: int, then: Tensor | None = None) -> Tensor:
    """x [B, t, C], silence, and what comes then."""
    silence = x.new_zeros(x.shape[0], samples, x.shape[2])
    return join((x, silence) if then is None else (x, silence, then))
