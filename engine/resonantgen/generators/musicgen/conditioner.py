"""Words and a melody to what the transformer is conditioned on, and to the null condition beside it.

MusicGen attends to its words; its null condition is no words at all. MusicGen-melody has both before the first column:
the chroma of a melody, always of the same length, and then the words. Its null condition is the chroma of silence and
as many zeros as there are words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear, one_hot

from resonantgen.errors import BadValue
from resonantgen.generators.musicgen.chroma import ChromaSettings, chroma
from resonantgen.generators.musicgen.layout import CHROMA_PROJECTION, TEXT_PROJECTION, Settings
from resonantgen.generators.musicgen.text import TextEncoder
from resonantgen.generators.sound.streaming import Guided
from resonantgen.lm.conditioning import NULL, Conditioning


@dataclass(frozen=True, slots=True, eq=False)
class Melody:
    """A sound whose melody is to be followed."""

    samples: NDArray[np.float64]  # [frames, channels]
    sample_rate: int

    def part(self, start_seconds: float, seconds: float) -> Melody:
        """What is heard of it from some time on, where it begins again at its end."""
        if not len(self.samples):
            return self
        first = round(start_seconds * self.sample_rate)
        places = np.arange(first, first + round(seconds * self.sample_rate)) % len(self.samples)
        return Melody(self.samples[places], self.sample_rate)


class Conditioner:
    """Of one checkpoint. Any thread may use it."""

    def __init__(
        self,
        settings: Settings,
        text: TextEncoder,
        projections: Mapping[str, Tensor],
        chroma_settings: ChromaSettings | None,
    ) -> None:
        """`projections`: see `layout.projection_parts`; `chroma_settings`: of a melody model."""
        self._text = text
        self._projections = projections
        self._chroma_settings = chroma_settings
        self._width = settings.decoder.hidden_size
        self._chroma_length = settings.chroma_length

    @property
    def follows_melody(self) -> bool:
        """Whether a melody can be given."""
        return self._chroma_settings is not None

    @torch.inference_mode()
    def condition(self, words: str, melody: Melody | None = None) -> Guided:
        """What words ask for, and for a melody model a melody. Without either, nothing is asked for.

        Raises BadValue for a melody where the model follows none, AudioError, ModelUnusable without `transformers`.
        """
        text = self._project(TEXT_PROJECTION, self._text.encode(words)) if words.strip() else None
        if self._chroma_settings is not None:
            return self._prefixed(text, melody, self._chroma_settings)
        if melody is not None:
            raise BadValue("This model follows no melody; musicgen-melody does.")
        return Guided(Conditioning(cross=text), NULL, asked=text is not None)

    def _prefixed(self, text: Tensor | None, melody: Melody | None, settings: ChromaSettings) -> Guided:
        silence = one_hot(torch.tensor([0]), settings.bins).float()
        heard = silence if melody is None else chroma(melody.samples, melody.sample_rate, settings)
        asked = text is not None or melody is not None
        text = torch.zeros(1, self._width) if text is None else text
        return Guided(
            Conditioning(prefix=torch.cat([self._chroma_prefix(heard), text])),
            Conditioning(prefix=torch.cat([self._chroma_prefix(silence), torch.zeros_like(text)])),
            asked,
        )

    def _chroma_prefix(self, frames: Tensor) -> Tensor:
        """[T, bins] -> [length, width]: a melody that is shorter begins again."""
        turns = -(-self._chroma_length // len(frames))
        return self._project(CHROMA_PROJECTION, frames).repeat(turns, 1)[: self._chroma_length]

    def _project(self, name: str, vectors: Tensor) -> Tensor:
        """To the transformer's width, unless they have it."""
        weight = self._projections.get(f"{name}weight")
        return vectors if weight is None else linear(vectors, weight, self._projections[f"{name}bias"])
