"""What a `resonant` model is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from resonantgen.errors import ModelUnusable


@dataclass(frozen=True, slots=True)
class ResonantConfig:
    """The defaults are those of the shipped model."""

    name: str = "resonant"
    sample_rate: int = 24_000
    channels: int = 1
    frame_samples: int = 320  # 75 frames a second
    codebooks: int = 8
    cardinality: int = 1024  # entries of a codebook, a power of 2
    dimension: int = 128  # of a frame's vector, which is quantised
    encoder_width: int = 320  # channels
    encoder_blocks: int = 5
    decoder_width: int = 384
    decoder_blocks: int = 6
    kernel_size: int = 7  # frames that a block looks at
    expansion: int = 3  # channels inside a block over those outside

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.frame_samples

    @property
    def bits(self) -> int:
        """Of an index."""
        return self.cardinality.bit_length() - 1

    @property
    def bandwidths_kbps(self) -> tuple[float, ...]:
        """What a number of codebooks that is a power of two takes, from 2 on, and all of them."""
        counts = {2**power for power in range(1, self.codebooks.bit_length()) if 2**power <= self.codebooks}
        return tuple(count * self.bits * self.frame_rate / 1000 for count in sorted(counts | {self.codebooks}))

    def as_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ResonantConfig:
        """From values that came from a file. Raises ModelUnusable."""
        expected = {field.name: str if field.name == "name" else int for field in fields(cls)}
        if set(values) != set(expected) or any(type(values[key]) is not kind for key, kind in expected.items()):
            raise ModelUnusable("Its settings are not those of a resonant codec.")
        made = cls(**values)
        if any(getattr(made, key) < 1 for key, kind in expected.items() if kind is int) or (
            made.cardinality != 1 << made.bits or made.frame_samples % 2 or made.channels != 1
        ):
            raise ModelUnusable("Its settings are not possible for a resonant codec.")
        return made
