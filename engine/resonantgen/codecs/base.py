"""The contract of audio codecs: sound to frames of K codebook indices, and back, whole or as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Sound as a codec writes it."""

    indices: Tensor  # [B, K, F] int64, from 0 to cardinality - 1
    scales: Tensor | None = None  # [B, S] loudness of each segment, for codecs that code segments; otherwise none


class EncoderStream(Protocol):
    """Sound comes in pieces, codes leave as soon as they are certain."""

    def push(self, x: Tensor) -> Codes:
        """Take x [B, C, t], t from 0; give the frames that are ready [B, K, f], f from 0."""
        ...

    def finish(self) -> Codes:
        """The frames that are left. Nothing may be pushed afterwards."""
        ...


class DecoderStream(Protocol):
    """Codes come in pieces, sound leaves as soon as it is certain."""

    def push(self, codes: Codes) -> Tensor:
        """Take the next frames, from 0, with the scales of the segments that begin with them; give sound [B, C, t]."""
        ...

    def finish(self) -> Tensor:
        """The sound that is left. Nothing may be pushed afterwards."""
        ...


class Codec(Protocol):
    """Turns sound [B, C, T] at its own sample rate, floats around -1 to 1, into codes and back."""

    name: str  # "encodec-24khz"

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def frame_samples(self) -> int:
        """Samples a frame."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        ...

    @property
    def codebooks(self) -> int:
        """Codebooks, at most: fewer may be used, from the first on."""
        ...

    @property
    def cardinality(self) -> int:
        """Entries of a codebook."""
        ...

    def encode(self, x: Tensor, codebooks: int | None = None) -> Codes:
        """Sound [B, C, T] -> ceil(T / frame_samples) frames. `codebooks` of None: all.

        Raises AudioError, BadValue.
        """
        ...

    def decode(self, codes: Codes) -> Tensor:
        """Codes of F frames -> sound [B, C, F * frame_samples]: cut it to the length that was encoded.

        Raises BadValue.
        """
        ...

    def encoder(self, codebooks: int | None = None, batch: int = 1) -> EncoderStream:
        """A stream that gives what `encode` gives."""
        ...

    def decoder(self, batch: int = 1) -> DecoderStream:
        """A stream that gives what `decode` gives."""
        ...
