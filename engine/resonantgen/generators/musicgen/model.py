"""A MusicGen checkpoint in memory: our transformer, our codec, and what conditions them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

from resonantgen.codecs.encodec.layouts import from_huggingface
from resonantgen.codecs.encodec.model import Encodec
from resonantgen.codecs.encodec.weights import to_weights
from resonantgen.device import Placement, place
from resonantgen.errors import BadValue
from resonantgen.generators.musicgen.conditioner import Conditioner, Melody
from resonantgen.generators.musicgen.files import Tensors
from resonantgen.generators.musicgen.layout import (
    AUDIO_ENCODER,
    IDLE,
    Settings,
    projection_parts,
    read_chroma_settings,
    read_settings,
    transformer_parts,
)
from resonantgen.generators.musicgen.text import PREFIX, TextEncoder, t5_shapes
from resonantgen.generators.sound.streaming import Guided, SoundRequest, Window, play
from resonantgen.instruments.base import Samples
from resonantgen.lm.config import LMConfig
from resonantgen.lm.device import prepare, step_for
from resonantgen.lm.int8 import quantize
from resonantgen.lm.transformer import Transformer

CHUNK_FRAMES = 5  # of sound that is handed on at a time: a tenth of a second
WINDOW_SECONDS, STRIDE_SECONDS = 30.0, 18.0  # the models learned from pieces of 30 seconds; audiocraft moves on by 18
LONGEST_SECONDS = 300.0  # of a piece: what is no limit of the model, but of patience


class MusicGen:
    """A checkpoint, ready to play. Several threads may condition and stream at once: weights are only read."""

    def __init__(
        self,
        name: str,
        channels: int,
        transformer: Transformer,
        codec: Encodec,
        conditioner: Conditioner,
        placement: Placement,
    ) -> None:
        """See `load`."""
        self.name = name
        self.channels = channels  # 1 or 2, of what it plays
        self.transformer = transformer
        self.codec = codec
        self.placement = placement
        rate = codec.frame_rate
        self.window = Window(round(WINDOW_SECONDS * rate), round(STRIDE_SECONDS * rate))  # of what is written at a time
        self._conditioner = conditioner
        self._write = step_for(placement)

    @classmethod
    def load(cls, folder: Path, device: str | None = None, precision: str | None = None) -> MusicGen:
        """A checkpoint in Hugging Face layout; its name is the folder's. See `device.place` for the settings.

        Raises ModelDamaged for files that are missing, cut off, of another layout or model, or hold what is no number,
        and ModelUnusable for a device that does not exist.
        """
        placement = place(device, precision)
        settings, content = read_settings(folder)
        tensors = Tensors.read(folder)
        _check_names(tensors, settings)
        published = from_huggingface(tensors.by_name, content["audio_encoder"], AUDIO_ENCODER, str(folder))
        codec = to_weights(published, folder.name, str(folder)).codec()
        projections = projection_parts(settings)
        conditioner = Conditioner(
            settings,
            TextEncoder(tensors.under(PREFIX), content["text_encoder"]),
            {name: tensors.numbers(name, shape).float() for name, shape in projections.items()},
            read_chroma_settings(folder, settings) if settings.melody else None,
        )
        transformer = load_transformer(tensors, settings.lm, placement)
        return cls(
            folder.name,
            settings.decoder.audio_channels,
            transformer,
            codec.to(placement.device),
            conditioner,
            placement,
        )

    @property
    def sample_rate(self) -> int:
        """Of what it plays."""
        return self.codec.sample_rate

    @property
    def frame_samples(self) -> int:
        """Samples of a frame: of what one column of tokens plays."""
        return self.codec.frame_samples

    @property
    def longest_seconds(self) -> float:
        """That a track asks of it. It may be asked for more."""
        return LONGEST_SECONDS

    @property
    def follows_melody(self) -> bool:
        """Whether it can be given a melody."""
        return self._conditioner.follows_melody

    def condition(self, words: str, melody: Melody | None = None) -> Guided:
        """See `Conditioner.condition`."""
        return self._conditioner.condition(words, melody)

    def request(self, words: str, frames: int, seed: int = 0, melody: Melody | None = None) -> SoundRequest:
        """A piece of any length: in each of its windows the part of the melody that is then reached, which goes round.

        Raises as `condition` does.
        """
        if melody is None:
            return SoundRequest(self.condition(words), frames, seed)
        starts = [number * self.window.stride_frames for number in range(self.window.count(frames))]
        rate = self.codec.frame_rate
        first, *later = (
            self.condition(words, melody.part(start / rate, self.window.frames / rate)) for start in starts
        )
        return SoundRequest(first, frames, seed, later=tuple(later))

    def stream(self, request: SoundRequest, chunk_frames: int = CHUNK_FRAMES) -> Iterator[Samples]:
        """Play: sound [samples, channels] as it comes, `request.frames * frame_samples` in all.

        Closing the iterator ends the work. Raises BadValue.
        """
        with closing(self.stream_together([request], chunk_frames)) as played:
            for ready in played:
                yield ready[0]

    def stream_together(
        self, requests: Sequence[SoundRequest], chunk_frames: int = CHUNK_FRAMES
    ) -> Generator[dict[int, Samples], None, None]:
        """Play several in one batch, each as it would be alone: what comes next of each, by its place in `requests`."""
        if chunk_frames < 1:
            raise BadValue(f"Sound comes in chunks of at least one frame, not {chunk_frames}.")
        return play(self.transformer, self.codec, self.channels, requests, chunk_frames, self.window, self._write)


def load_transformer(tensors: Tensors, config: LMConfig, placement: Placement) -> Transformer:
    """The decoder of a checkpoint. Layer by layer: float32 weights of more than one are never in memory with int8.

    Raises ModelDamaged.
    """
    with torch.device("meta"):
        model = Transformer(config)
    parts = transformer_parts(config)
    layers = [f"layers.{number}." for number in range(config.layers)]
    for prefix in (*layers, ""):
        for ours in [name for name in parts if name.startswith(prefix)]:
            read = [tensors.numbers(name, shape).float() for name, shape in parts.pop(ours)]
            owner, _, kind = ours.rpartition(".")
            setattr(model.get_submodule(owner), kind, nn.Parameter(torch.cat(read), requires_grad=False))
        filled = model.get_submodule(prefix.rstrip("."))
        if placement.precision == "int8":
            quantize(filled)
        filled.to(placement.device, placement.dtype)
    return prepare(model, placement)


def _check_names(tensors: Tensors, settings: Settings) -> None:
    """Raises ModelDamaged if the checkpoint has not just the tensors that its settings ask for."""
    ours = [name for parts in transformer_parts(settings.lm).values() for name, _ in parts]
    text = [f"{PREFIX}{name}" for name in t5_shapes(settings.text_encoder)]
    codec = [name for name in tensors.by_name if name.startswith(AUDIO_ENCODER)]  # the codec checks its own
    tensors.check_names([*ours, *text, *projection_parts(settings)], [*codec, *IDLE])
