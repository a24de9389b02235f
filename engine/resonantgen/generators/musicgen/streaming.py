"""Sound as it comes: tokens are written column by column, and decoded as soon as a frame of them is complete.

A frame is complete when its last codebook is written, max(delays) columns after its first, and the codec looks ahead by
not quite four frames. So with four codebooks sound begins to leave after 7 steps of the transformer, 0.14 seconds of
music, however long the piece will be, and each step brings a frame more.

Closing the iterator ends the work, within one chunk.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from resonantgen.codecs.base import Codec, Codes
from resonantgen.generators.musicgen.conditioner import Guided
from resonantgen.instruments.base import Samples
from resonantgen.lm.decoding import Batch, LMRequest, WriteColumn, columns_of
from resonantgen.lm.sampling import Sampling
from resonantgen.lm.transformer import Transformer

GUIDANCE = 3.0  # as in the paper, and as the checkpoints' generation_config.json has it


@dataclass(frozen=True, slots=True, eq=False)
class SoundRequest:
    """What is to be played. The same request gives the same samples on the same machine."""

    guided: Guided  # of `MusicGen.condition`
    frames: int  # of the codec, 50 a second
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    guidance: float = GUIDANCE

    @property
    def tokens(self) -> LMRequest:
        """As the transformer takes it."""
        return LMRequest(
            frames=self.frames,
            seed=self.seed,
            sampling=self.sampling,
            guidance=self.guidance if self.guided.asked else 1.0,
            conditioning=self.guided.conditioning,
            null=self.guided.null,
        )


class Decoder:
    """Codes of one or two channels as they come -> sound as it comes. One thread at a time."""

    def __init__(self, codec: Codec, channels: int) -> None:
        """Of a codec of one channel. With two, codebooks are left and right in turn."""
        self._channels = channels
        self._stream = codec.decoder(batch=channels)

    def push(self, codes: Tensor) -> Samples:
        """[channels * K, n] -> [samples, channels], from 0."""
        rows = codes.reshape(-1, self._channels, codes.shape[1]).transpose(0, 1)
        return _samples(self._stream.push(Codes(rows)))

    def finish(self) -> Samples:
        """The rest: [samples, channels]."""
        return _samples(self._stream.finish())


def play(
    transformer: Transformer,
    codec: Codec,
    channels: int,
    requests: Sequence[SoundRequest],
    chunk_frames: int,
    write: WriteColumn,
) -> Generator[dict[int, Samples], None, None]:
    """Play requests together: each time what comes next of those that have become ready, [samples, channels].

    A request is known by its place in `requests`. Its sound does not depend on the others.
    """
    asked = [request.tokens for request in requests]
    conditions = [condition for request in asked for condition in request.conditions]
    delays = transformer.config.delays
    batch = Batch(
        transformer,
        len(asked),
        max(columns_of(request, delays) for request in asked),
        guided=any(request.rows == 2 for request in asked),
        prefix=max(condition.prefix_length for condition in conditions),
        cross=max(condition.cross_length for condition in conditions),
        write=write,
    )
    places = {batch.add(request): place for place, request in enumerate(asked)}
    decoders = [Decoder(codec, channels) for _ in asked]
    left = [request.frames for request in asked]
    steps = max(delays) + chunk_frames
    while any(left):
        ready: dict[int, Samples] = {}
        for handle, codes in batch.advance(steps).items():
            place = places[handle]
            left[place] -= codes.shape[1]
            samples = decoders[place].push(codes)
            if not left[place]:
                samples = np.concatenate([samples, decoders[place].finish()])
            if len(samples):
                ready[place] = samples
        if ready:
            yield ready
        steps = chunk_frames


def _samples(sound: Tensor) -> Samples:
    """[channels, 1, t] -> [t, channels] float64."""
    return sound[:, 0].T.double().cpu().numpy()
