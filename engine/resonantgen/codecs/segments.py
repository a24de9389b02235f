"""Sound in segments, as EnCodec 48 kHz codes it: each has its own scale, and overlaps with the next one.

Codes are laid end to end: how many frames each segment has follows from how many there are in all. Decoded segments are
cross-faded with the references' weights, a triangle over the first segment.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from resonantgen.codecs.base import Codes
from resonantgen.errors import BadValue


@dataclass(frozen=True, slots=True)
class Segments:
    """Where segments lie."""

    samples: int  # of a segment
    stride: int  # samples from one's beginning to the next one's
    frame_samples: int

    @property
    def frames(self) -> int:
        """Frames of a whole segment."""
        return math.ceil(self.samples / self.frame_samples)

    @property
    def certain(self) -> int:
        """With more frames than this to come, the next segment is whole."""
        return self.frames - 1 + math.ceil((self.samples - self.stride) / self.frame_samples)

    def split(self, frames: int, segments: int) -> list[int]:
        """The frames of each of the last segments, given how many they have in all.

        All are whole but the last one, and the one before where sound ends in their overlap. Raises BadValue.
        """
        if frames == segments == 0:
            return []
        if segments == 1 and 0 < frames <= self.frames:
            return [frames]
        rest = frames - max(0, segments - 2) * self.frames
        for last in range(1, min(self.frames, rest) + 1):
            shortest = math.ceil((self.stride + (last - 1) * self.frame_samples + 1) / self.frame_samples)
            longest = math.ceil((self.stride + last * self.frame_samples) / self.frame_samples)
            if segments > 1 and min(self.frames, shortest) <= rest - last <= min(self.frames, longest):
                return [*[self.frames] * (segments - 2), rest - last, last]
        raise BadValue(f"{frames} frames cannot be those of {segments} segments.")


@dataclass
class SegmentEncoder:
    """An EncoderStream over segments."""

    segments: Segments
    encode: Callable[[Tensor], Tensor]  # a segment [B, C, T] -> [B, K, F]
    nothing: Codes
    waiting: Tensor  # [B, C, t] from the next segment's beginning on

    def step(self, x: Tensor, last: bool) -> Codes:
        self.waiting = torch.cat((self.waiting, x), dim=-1)
        indices, scales = [self.nothing.indices], []
        while self.waiting.shape[-1] >= self.segments.samples or (last and self.waiting.shape[-1]):
            segment = self.waiting[..., : self.segments.samples]
            self.waiting = self.waiting[..., self.segments.stride :]
            scale = 1e-8 + segment.mean(dim=1, keepdim=True).pow(2).mean(dim=2, keepdim=True).sqrt()
            indices.append(self.encode(segment / scale))
            scales.append(scale[..., 0])
        assert self.nothing.scales is not None
        return Codes(torch.cat(indices, dim=-1), torch.cat([self.nothing.scales, *scales], dim=1))


@dataclass
class SegmentDecoder:
    """A DecoderStream over segments."""

    segments: Segments
    decode: Callable[[Tensor], Tensor]  # a segment [B, K, F] -> [B, C, F * frame_samples]
    sound: Tensor  # [B, C, t] weighted, from the next segment's beginning on
    weight: Tensor = field(init=False)  # [t] that sound has so far
    fade: Tensor | None = None  # [T] the triangle
    waiting: list[Tensor] = field(default_factory=list)  # [B, K, f] indices of the next segment
    scales: Tensor = field(init=False)  # [B, s] of the next segments

    def __post_init__(self) -> None:
        self.weight = self.sound.new_zeros(0)
        self.scales = self.sound[:, 0]

    def step(self, codes: Codes, last: bool) -> Tensor:
        indices, scales = torch.cat((*self.waiting, codes.indices), dim=-1), self.scales
        if codes.scales is not None:
            scales = torch.cat((scales, codes.scales.to(scales)), dim=1)
        if last:
            lengths = self.segments.split(indices.shape[-1], scales.shape[1])
        else:
            ready = max(0, math.ceil((indices.shape[-1] - self.segments.certain) / self.segments.frames))
            lengths = [self.segments.frames] * min(ready, scales.shape[1])
        done = [self.sound[..., :0]]
        for number, frames in enumerate(lengths):
            segment = self.decode(indices[..., :frames]) * scales[:, number, None, None]
            indices = indices[..., frames:]
            done.append(self._add(segment))
        self.waiting, self.scales = [indices], scales[:, len(lengths) :]
        if last and self.sound.shape[-1]:
            done.append(self.sound / self.weight)
        return torch.cat(done, dim=-1)

    def _add(self, segment: Tensor) -> Tensor:
        """Fade a segment in where the last one fades out; give what no coming segment changes."""
        length, stride = segment.shape[-1], self.segments.stride
        if self.fade is None:
            ramp = torch.linspace(0, 1, length + 2, device=segment.device, dtype=segment.dtype)[1:-1]
            self.fade = 0.5 - (ramp - 0.5).abs()
        longer = (0, max(0, length - self.sound.shape[-1]))
        sound, weight = functional.pad(self.sound, longer), functional.pad(self.weight, longer)
        sound[..., :length] += self.fade[:length] * segment
        weight[:length] += self.fade[:length]
        self.sound, self.weight = sound[..., stride:], weight[stride:]
        return sound[..., :stride] / weight[:stride]
