"""A codec made of an encoder, a residual quantiser and a decoder that stream: what all of ours share."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from resonantgen.codecs.bandwidth import Offer
from resonantgen.codecs.base import Codes
from resonantgen.codecs.rvq import ResidualQuantizer
from resonantgen.codecs.segments import SegmentDecoder, SegmentEncoder, Segments
from resonantgen.codecs.streaming import Sequence, SequenceState, join
from resonantgen.errors import AudioError, BadValue

TILE_FRAMES = 64  # how much of a long sound is worked on at a time


class Shape(Offer, Protocol):
    """What a codec's configuration says of it."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def frame_samples(self) -> int: ...
    @property
    def codebooks(self) -> int: ...
    @property
    def cardinality(self) -> int: ...
    @property
    def dimension(self) -> int: ...


class NetworkCodec(nn.Module):
    """A `Codec`. Its streams must not outlive a change of its weights."""

    beam = 1  # choices that the search for codes follows

    def __init__(self, shape: Shape, encoder_net: Sequence, decoder_net: Sequence) -> None:
        super().__init__()
        self.shape = shape
        self.name = shape.name
        self.encoder_net = encoder_net  # sound [B, T, C] -> vectors [B, F, D]
        self.decoder_net = decoder_net  # and back
        self.quantizer = ResidualQuantizer(shape.codebooks, shape.cardinality, shape.dimension)

    @property
    def sample_rate(self) -> int:
        return self.shape.sample_rate

    @property
    def channels(self) -> int:
        return self.shape.channels

    @property
    def frame_samples(self) -> int:
        return self.shape.frame_samples

    @property
    def frame_rate(self) -> float:
        return self.shape.sample_rate / self.shape.frame_samples

    @property
    def codebooks(self) -> int:
        return self.shape.codebooks

    @property
    def cardinality(self) -> int:
        return self.shape.cardinality

    def encode(self, x: Tensor, codebooks: int | None = None) -> Codes:
        return self.encoder(codebooks, _batch(x)).step(x, last=True)

    def decode(self, codes: Codes) -> Tensor:
        return self.decoder(_batch(codes.indices)).step(codes, last=True)

    def encoder(self, codebooks: int | None = None, batch: int = 1) -> NetworkEncoder:
        return NetworkEncoder(self, self.codebooks if codebooks is None else codebooks, batch)

    def decoder(self, batch: int = 1) -> NetworkDecoder:
        return NetworkDecoder(self, batch)

    @property
    def segments(self) -> Segments | None:
        """How sound is cut, for codecs that code segments."""
        return None


class NetworkEncoder:
    """An `EncoderStream`."""

    def __init__(self, codec: NetworkCodec, codebooks: int, batch: int) -> None:
        if not 1 <= codebooks <= codec.codebooks:
            raise BadValue(f"{codec.name} has from 1 to {codec.codebooks} codebooks, not {codebooks}.")
        self._codec, self._finished = codec, False
        self._search = codec.quantizer.search(codebooks, codec.beam)
        self._like = codec.quantizer.codebooks  # of this type, on this device
        self._silence = self._like.new_empty(batch, codec.channels, 0)
        segments = codec.segments
        self._state = codec.encoder_net.start(batch) if segments is None else None
        if segments is not None:
            nothing = Codes(
                self._search.encode(self._like.new_empty(batch, 0, codec.shape.dimension)), self._silence[:, 0]
            )
            self._segments = SegmentEncoder(segments, self._encode_segment, nothing, self._silence)

    def push(self, x: Tensor) -> Codes:
        return self.step(x.clone(), last=False)  # layers keep what they are given; the caller may reuse it

    def finish(self) -> Codes:
        return self.step(self._silence, last=True)

    def step(self, x: Tensor, last: bool) -> Codes:
        """`push` without a copy of x, and `finish`, in one."""
        assert not self._finished, "the stream is at its end"
        self._finished = last
        if x.dim() != 3 or x.shape[:2] != self._silence.shape[:2]:
            wanted = f"{self._silence.shape[0]} x {self._codec.channels} channels"
            raise AudioError(f"{self._codec.name} takes sound of {wanted}, not of shape {tuple(x.shape)}.")
        with torch.inference_mode():
            x = x.to(self._like)
            if self._state is None:
                return self._segments.step(x, last)
            net, tile = self._codec.encoder_net, TILE_FRAMES * self._codec.frame_samples
            return Codes(self._search.encode(_in_tiles(net, self._state, x.transpose(1, 2), tile, last)))

    def _encode_segment(self, x: Tensor) -> Tensor:
        vectors: Tensor = self._codec.encoder_net(x.transpose(1, 2))
        return self._search.encode(vectors)


class NetworkDecoder:
    """A `DecoderStream`."""

    def __init__(self, codec: NetworkCodec, batch: int) -> None:
        self._codec, self._batch, self._finished = codec, batch, False
        self._codebooks: int | None = None  # as the first codes have
        segments = codec.segments
        self._state = codec.decoder_net.start(batch) if segments is None else None
        if segments is not None:
            sound = codec.quantizer.codebooks.new_empty(batch, codec.channels, 0)
            self._segments = SegmentDecoder(segments, self._decode_segment, sound)

    def push(self, codes: Codes) -> Tensor:
        return self.step(codes, last=False)

    def finish(self) -> Tensor:
        return self.step(Codes(torch.empty(self._batch, self._codebooks or 1, 0, dtype=torch.int64)), last=True)

    def step(self, codes: Codes, last: bool) -> Tensor:
        """`push` and `finish` in one."""
        assert not self._finished, "the stream is at its end"
        self._finished = last
        indices = self._checked(codes.indices)
        with torch.inference_mode():
            if self._state is None:
                return self._segments.step(Codes(indices, codes.scales), last)
            vectors = self._codec.quantizer.decode(indices)
            sound = _in_tiles(self._codec.decoder_net, self._state, vectors, TILE_FRAMES, last)
            return sound.transpose(1, 2).contiguous()

    def _checked(self, indices: Tensor) -> Tensor:
        """Indices on the codec's device. Raises BadValue."""
        codec = self._codec
        if indices.dim() != 3 or indices.shape[0] != self._batch or not 1 <= indices.shape[1] <= codec.codebooks:
            wanted = f"{self._batch} x 1 to {codec.codebooks} codebooks"
            raise BadValue(f"{codec.name} takes codes of {wanted}, not of shape {tuple(indices.shape)}.")
        self._codebooks = self._codebooks or indices.shape[1]
        if indices.shape[1] != self._codebooks:
            raise BadValue(f"The codes had {self._codebooks} codebooks so far, and now have {indices.shape[1]}.")
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < codec.cardinality:
            raise BadValue(f"{codec.name} takes codes from 0 to {codec.cardinality - 1}.")
        return indices.to(codec.quantizer.codebooks.device)

    def _decode_segment(self, indices: Tensor) -> Tensor:
        sound: Tensor = self._codec.decoder_net(self._codec.quantizer.decode(indices))
        return sound.transpose(1, 2)


def _in_tiles(net: Sequence, state: SequenceState, x: Tensor, tile: int, last: bool) -> Tensor:
    """One step of a network over x [B, T, C], in so small ones that what is between its layers stays in the cache."""
    *tiles, final = torch.split(x, tile, dim=1)
    done = [net.step(each, state, last=False) for each in tiles]
    return join((*done, net.step(final, state, last)))


def _batch(x: Tensor) -> int:
    return x.shape[0] if x.dim() else 1
