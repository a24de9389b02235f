"""Sound as it comes: tokens are written column by column, and decoded as soon as a frame of them is complete.

A frame is complete when its last codebook is written, max(delays) columns after its first, and the codec looks ahead by
not quite four frames. So with four codebooks sound begins to leave after 7 steps of the transformer, 0.14 seconds of
music, however long the piece will be, and each step brings a frame more.

A model learned from pieces of some length, MusicGen of 30 seconds. A longer piece is written in windows, as audiocraft
writes it: each begins with the end of the one before, for MusicGen 12 seconds, which is read at once, and the rest is
added.
The codec hears one stream.

Closing the iterator ends the work, within one chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from resonantgen.codecs.base import Codec, Codes
from resonantgen.errors import BadValue
from resonantgen.instruments.base import Samples
from resonantgen.lm.conditioning import Conditioning
from resonantgen.lm.decoding import Batch, LMRequest, WriteColumn, columns_of
from resonantgen.lm.sampling import Sampling
from resonantgen.lm.transformer import Transformer

GUIDANCE = 3.0  # as in the paper, and as the checkpoints' generation_config.json has it


@dataclass(frozen=True, slots=True)
class Window:
    """How long a piece the model writes at a stretch, and by how much the next window begins later."""

    frames: int
    stride_frames: int

    def __post_init__(self) -> None:
        """Refuse what leaves gaps, or does not move on."""
        if not 1 <= self.stride_frames < self.frames:
            raise BadValue(f"Windows of {self.frames} frames move on by fewer, and not by {self.stride_frames}.")

    @property
    def overlap(self) -> int:
        """Frames that a window has of the one before it."""
        return self.frames - self.stride_frames

    def count(self, frames: int) -> int:
        """Windows that a piece takes."""
        return 1 + max(0, -(-(frames - self.frames) // self.stride_frames))

    def added(self, number: int, frames: int) -> int:
        """Frames that a piece has from this window, counted from 0, and not from those before."""
        if number == 0:
            return min(frames, self.frames)
        return min(frames - self.frames - (number - 1) * self.stride_frames, self.stride_frames)


@dataclass(frozen=True, slots=True, eq=False)
class Guided:
    """What is asked for, and what guidance leads away from."""

    conditioning: Conditioning
    null: Conditioning
    asked: bool  # False: for nothing; the two are the same, and there is nothing to be guided by


@dataclass(frozen=True, slots=True, eq=False)
class SoundRequest:
    """What is to be played. The same request gives the same samples on the same machine."""

    guided: Guided  # what it is conditioned on
    frames: int  # of the codec
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    guidance: float = GUIDANCE
    later: tuple[Guided, ...] = ()  # in the windows after the first, where a melody goes on; the last one remains

    def conditions(self) -> tuple[Guided, ...]:
        """All of them, in order."""
        return (self.guided, *self.later)

    def tokens(self, window: Window, number: int = 0, prompt: Tensor | None = None) -> LMRequest:
        """A window of it, counted from 0, as the transformer takes it. `prompt` [K, overlap]: what it goes on from."""
        guided = self.conditions()[min(number, len(self.later))]
        return LMRequest(
            frames=window.added(number, self.frames),
            seed=window_seed(self.seed, number),
            sampling=self.sampling,
            guidance=self.guidance if guided.asked else 1.0,
            conditioning=guided.conditioning,
            null=guided.null,
            prompt=prompt,
        )


def window_seed(seed: int, number: int) -> int:
    """A seed for each window, the first's the piece's own: else each would draw what the first drew at its place."""
    if number == 0:
        return seed
    digest = hashlib.blake2b(f"window {seed} {number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


class Decoder:
    """Codes of one or two channels as they come -> sound as it comes. One thread at a time."""

    def __init__(self, codec: Codec, channels: int) -> None:
        """Of a codec of one channel. With two, codebooks are left and right in turn."""
        self._channels = channels
        self._stream = codec.decoder(batch=channels)

    def push(self, codes: Tensor) -> Samples:
        """[channels * K, n] -> [samples, channels], from 0."""
        rows = codes.reshape(len(codes) // self._channels, self._channels, codes.shape[1]).transpose(0, 1)
        return _samples(self._stream.push(Codes(rows)))

    def finish(self) -> Samples:
        """The rest: [samples, channels]."""
        return _samples(self._stream.finish())


class _Piece:
    """A request while it is played: its window, what the next one goes on from, and its sound."""

    def __init__(self, request: SoundRequest, window: Window, decoder: Decoder) -> None:
        self.request, self.window, self.decoder = request, window, decoder
        self.left = request.frames
        self._number, self._left_of_window = 0, window.added(0, request.frames)
        self._recent: Tensor | None = None  # [K, at most overlap]

    def first(self) -> LMRequest:
        """What is written first."""
        return self.request.tokens(self.window)

    def push(self, codes: Tensor) -> Samples:
        """The next frames [K, n] of its window, as sound."""
        kept = codes if self._recent is None else torch.cat([self._recent, codes], dim=1)
        self._recent = kept[:, max(0, kept.shape[1] - self.window.overlap) :]
        self.left -= codes.shape[1]
        self._left_of_window -= codes.shape[1]
        samples = self.decoder.push(codes)
        return samples if self.left else np.concatenate([samples, self.decoder.finish()])

    def next(self) -> LMRequest | None:
        """The next window, once the last one is at its end and more is to come."""
        if self._left_of_window or not self.left:
            return None
        self._number += 1
        self._left_of_window = self.window.added(self._number, self.request.frames)
        return self.request.tokens(self.window, self._number, self._recent)


def play(
    transformer: Transformer,
    codec: Codec,
    channels: int,
    requests: Sequence[SoundRequest],
    chunk_frames: int,
    window: Window,
    write: WriteColumn,
) -> Generator[dict[int, Samples], None, None]:
    """Play requests together: each time what comes next of those that have become ready, [samples, channels].

    A request is known by its place in `requests`. Its sound does not depend on the others.
    """
    pieces = [_Piece(request, window, Decoder(codec, channels)) for request in requests]
    conditions = [guided for request in requests for guided in request.conditions()]
    vectors = [each for guided in conditions for each in (guided.conditioning, guided.null)]
    delays = transformer.config.delays
    batch = Batch(
        transformer,
        len(pieces),
        max(columns_of(piece.first(), delays) for piece in pieces),  # later windows are not longer
        guided=any(guided.asked for guided in conditions),
        prefix=max(each.prefix_length for each in vectors),
        cross=max(1, *(each.cross_length for each in vectors)),
        write=write,
    )
    playing = {batch.add(piece.first()): place for place, piece in enumerate(pieces)}
    steps = max(delays) + chunk_frames
    while playing:
        ready: dict[int, Samples] = {}
        for handle, codes in batch.advance(steps).items():
            piece = pieces[playing[handle]]
            samples = piece.push(codes)
            if len(samples):
                ready[playing[handle]] = samples
            following = piece.next()
            if following is not None:
                playing[batch.add(following)] = playing[handle]
            if following is not None or not piece.left:
                del playing[handle]
        if ready:
            yield ready
        steps = chunk_frames


def _samples(sound: Tensor) -> Samples:
    """[channels, 1, t] -> [t, channels] float64."""
    return sound[:, 0].T.double().cpu().numpy()
