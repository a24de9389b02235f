"""A MusicGen checkpoint in memory: our transformer, our codec, its reading of words and of a melody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from resonantgen.codecs.encodec.layouts import from_huggingface
from resonantgen.codecs.encodec.model import Encodec
from resonantgen.codecs.encodec.weights import to_weights
from resonantgen.errors import BadValue
from resonantgen.generators.musicgen.chroma import ChromaSettings, chroma
from resonantgen.generators.musicgen.files import Tensors
from resonantgen.generators.musicgen.layout import (
    AUDIO_ENCODER,
    CHROMA_PROJECTION,
    IDLE,
    TEXT_PROJECTION,
    Settings,
    projection_parts,
    read_chroma_settings,
    read_settings,
    transformer_parts,
)
from resonantgen.generators.musicgen.text import PREFIX, TextEncoder, t5_shapes
from resonantgen.lm.conditioning import NULL, Conditioning
from resonantgen.lm.config import LMConfig
from resonantgen.lm.transformer import Transformer


@dataclass(frozen=True, slots=True, eq=False)
class Melody:
    """A sound whose melody is to be followed."""

    samples: NDArray[np.float64]  # [frames, channels]
    sample_rate: int


@dataclass(frozen=True, slots=True, eq=False)
class Guided:
    """What a request is conditioned on, and what guidance leads away from."""

    conditioning: Conditioning
    null: Conditioning | None  # None: the request asks for nothing, so there is nothing to be guided by


class MusicGen:
    """A checkpoint, ready to play. Any thread may condition and stream; weights are only read."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        transformer: Transformer,
        codec: Encodec,
        text: TextEncoder,
        projections: dict[str, Tensor],
        chroma_settings: ChromaSettings | None,
    ) -> None:
        """See `load`."""
        self.name = name
        self.transformer = transformer
        self.codec = codec
        self.text = text
        self._settings = settings
        self._projections = projections
        self._chroma_settings = chroma_settings

    @classmethod
    def load(cls, folder: Path) -> MusicGen:
        """A checkpoint in Hugging Face layout; its name is the folder's.

        Raises ModelDamaged for files that are missing, cut off, of another layout or model, or hold what is no number,
        and ModelUnusable for a device that does not exist.
        """
        settings, content = read_settings(folder)
        tensors = Tensors.read(folder)
        config, projections = settings.lm, projection_parts(settings)
        _check_names(tensors, settings, config)
        published = from_huggingface(tensors.by_name, content["audio_encoder"], AUDIO_ENCODER, str(folder))
        return cls(
            folder.name,
            settings,
            load_transformer(tensors, config),
            to_weights(published, folder.name, str(folder)).codec(),
            TextEncoder(tensors, content["text_encoder"]),
            {name: tensors.numbers(name, shape).float() for name, shape in projections.items()},
            read_chroma_settings(folder, settings) if settings.melody else None,
        )

    @property
    def sample_rate(self) -> int:
        """Of what it plays."""
        return self.codec.sample_rate

    @property
    def channels(self) -> int:
        """1 or 2, of what it plays."""
        return self._settings.decoder.audio_channels

    @property
    def frame_samples(self) -> int:
        """Samples that come of a column of tokens."""
        return self.codec.frame_samples

    @property
    def follows_melody(self) -> bool:
        """Whether a melody can be given."""
        return self._settings.melody

    def condition(self, words: str, melody: Melody | None = None) -> Guided:
        """What words, and for a melody model a melody, ask for. No words and no melody ask for nothing.

        Raises BadValue for a melody where the model follows none, AudioError, ModelUnusable without `transformers`.
        """
        if melody is not None and not self.follows_melody:
            raise BadValue(f"{self.name} follows no melody; musicgen-melody does.")
        text = self._project(TEXT_PROJECTION, self.text.encode(words)) if words.strip() else None
        with torch.inference_mode():
            if self.follows_melody:
                return self._prefixed(text, melody)
        return Guided(NULL, None) if text is None else Guided(Conditioning(cross=text), NULL)

    def _prefixed(self, text: Tensor | None, melody: Melody | None) -> Guided:
        """Chroma first, then text; null are the chroma of silence and as many zeros."""
        if text is None:
            text = torch.zeros(1, self._settings.decoder.hidden_size)
            asked = melody is not None
        else:
            asked = True
        assert self._chroma_settings is not None
        silence = torch.zeros(1, self._chroma_settings.bins)
        silence[:, 0] = 1.0
        heard = silence if melody is None else chroma(melody.samples, melody.sample_rate, self._chroma_settings)
        conditioning = Conditioning(prefix=torch.cat([self._chroma_prefix(heard), text]))
        null = Conditioning(prefix=torch.cat([self._chroma_prefix(silence), torch.zeros_like(text)]))
        return Guided(conditioning, null) if asked else Guided(null, None)

    def _chroma_prefix(self, frames: Tensor) -> Tensor:
        """[T, bins] -> [length, width]: a melody that is shorter begins again."""
        length = self._settings.chroma_length
        return self._project(CHROMA_PROJECTION, frames).repeat(-(-length // len(frames)), 1)[:length]

    def _project(self, name: str, vectors: Tensor) -> Tensor:
        """To the transformer's width, unless they have it."""
        weight = self._projections.get(f"{name}weight")
        return vectors if weight is None else linear(vectors, weight, self._projections[f"{name}bias"])


def _check_names(tensors: Tensors, settings: Settings, config: LMConfig) -> None:
    ours = [name for parts in transformer_parts(config).values() for name, _ in parts]
    text = [f"{PREFIX}{name}" for name in t5_shapes(settings.text_encoder)]
    codec = [name for name in tensors.by_name if name.startswith(AUDIO_ENCODER)]  # the codec checks its own
    tensors.check_names([*ours, *text, *projection_parts(settings)], [*codec, *IDLE])


def load_transformer(tensors: Tensors, config: LMConfig) -> Transformer:
    """The decoder of a checkpoint, one layer after the other, so that no second copy of it is ever in memory."""
    with torch.device("meta"):
        model = Transformer(config)
    parts = transformer_parts(config)

    def fill(ours: str) -> None:
        owner, _, kind = ours.rpartition(".")
        read = [tensors.numbers(name, shape) for name, shape in parts[ours]]
        weight = (torch.cat(read) if read[1:] else read[0].clone()).float()
        setattr(model.get_submodule(owner), kind, nn.Parameter(weight, requires_grad=False))

    for ours in parts:
        fill(ours)
    return model.eval()
