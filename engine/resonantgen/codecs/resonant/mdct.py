"""The modified discrete cosine transform (J. Princen, A. Bradley, "Analysis/synthesis filter bank design based on time
domain aliasing cancellation", IEEE TASSP 1986), as layers that stream.

It is built as a lapped orthogonal transform: around each border between two frames, half a frame to each side, samples
are rotated in pairs (the sine window and its aliasing are that rotation); then each frame has a DCT-IV of its own.
Every step is orthogonal, so the inverse is the same steps backwards. Nothing is rotated before the first and after the
last sample, so that n frames of N samples are n frames of N coefficients, and back, exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from resonantgen.codecs.streaming import Layer, join


@dataclass
class LappedState:
    waiting: Tensor  # what is held back: samples [B, t, C] going in, half a frame [B, N / 2] going out
    begun: bool = False  # whether a frame came before what is held back


class _Lapped(Layer[LappedState]):
    """What both directions share: the DCT-IV [N, N], its own inverse, and the rotations [N / 2]."""

    cosines: Tensor
    near: Tensor
    far: Tensor

    def __init__(self, frame_samples: int) -> None:
        super().__init__()
        assert frame_samples % 2 == 0, frame_samples
        self.frame_samples, self.half_samples = frame_samples, frame_samples // 2
        n = torch.arange(frame_samples, dtype=torch.float64) + 0.5
        cosines = torch.cos(math.pi / frame_samples * n[:, None] * n) * math.sqrt(2 / frame_samples)
        angle = math.pi / 2 * (n[: self.half_samples] + self.half_samples) / frame_samples
        self.register_buffer("cosines", cosines.float(), persistent=False)
        self.register_buffer("near", torch.sin(angle).float(), persistent=False)
        self.register_buffer("far", torch.cos(angle).float(), persistent=False)

    def start(self, batch: int) -> LappedState:
        raise NotImplementedError

    def _rotate(self, before: Tensor, after: Tensor, sign: float) -> tuple[Tensor, Tensor]:
        """Both sides of borders, [..., N / 2] each in order of time, turned into each other."""
        mirrored, turned = before.flip(-1), sign * self.far
        return (mirrored * self.near - after * turned).flip(-1), after * self.near + mirrored * turned


class Mdct(_Lapped):
    """Samples [B, T, 1] -> coefficients [B, ceil(T / N), N]. A frame needs half of the one that follows.

    What follows the last sample is taken to be silent.
    """

    def start(self, batch: int) -> LappedState:
        return LappedState(self.cosines.new_empty(batch, 0, 1))

    def step(self, x: Tensor, state: LappedState, last: bool) -> Tensor:
        # Held back: at least the second half of the last frame that was given, its border to what follows not rotated.
        x = join((state.waiting, x))
        n, half = self.frame_samples, self.half_samples
        behind = half if state.begun else 0
        if last:
            x = torch.nn.functional.pad(x, (0, 0, 0, -(x.shape[1] - behind) % n))
        count = (x.shape[1] - behind) // n if last else max(0, (x.shape[1] - behind - half) // n)
        if count == 0:
            state.waiting = x
            return x.new_empty(x.shape[0], 0, n)
        used = behind + count * n
        state.waiting, state.begun = x[:, used - half :], True
        halves = x[:, : used if last else used + half, 0].reshape(x.shape[0], -1, half)  # [B, h, N / 2]
        return self._frames(halves, behind > 0, last) @ self.cosines

    def _frames(self, halves: Tensor, begun: bool, last: bool) -> Tensor:
        """Rotated frames [B, f, N] of half frames [B, h, N / 2], which begin before a border, if `begun`."""
        first = 0 if begun else 1  # the half before the first border
        final = halves.shape[1] - (1 if last else 0)
        before, after = self._rotate(halves[:, first:final:2], halves[:, first + 1 : final : 2], 1.0)
        lefts = after if begun else torch.cat((halves[:, :1], after), dim=1)
        rights = before[:, 1:] if begun else before
        if last:
            rights = torch.cat((rights, halves[:, -1:]), dim=1)
        count = min(lefts.shape[1], rights.shape[1])
        return torch.cat((lefts[:, :count], rights[:, :count]), dim=2)


class InverseMdct(_Lapped):
    """Coefficients [B, F, N] -> samples [B, F * N, 1]. The second half of a frame needs the frame that follows."""

    def start(self, batch: int) -> LappedState:
        return LappedState(self.cosines.new_empty(batch, 0, self.half_samples))

    def step(self, x: Tensor, state: LappedState, last: bool) -> Tensor:
        halves = (x @ self.cosines).reshape(x.shape[0], -1, self.half_samples)  # [B, 2 f, N / 2]
        halves = join((state.waiting, halves))
        if halves.shape[1] == 0:
            return x.new_empty(x.shape[0], 0, 1)
        first = 0 if state.begun else 1
        before, after = self._rotate(halves[:, first:-1:2], halves[:, first + 1 :: 2], -1.0)
        turned = torch.stack((before, after), dim=2).flatten(1, 2)
        parts = (halves[:, :first], turned, halves[:, -1:]) if last else (halves[:, :first], turned)
        state.waiting, state.begun = halves[:, -1:], True
        return torch.cat(parts, dim=1).flatten(1)[:, :, None]
