"""MusicGen as it is published in Hugging Face layout: its config.json, and which tensors make which weights of ours.

`Settings` are the fields that matter. `transformer_parts` is the one table of names: a weight of our transformer is
one tensor of the checkpoint, or several one below the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from resonantgen.errors import BadValue, ModelDamaged
from resonantgen.generators.musicgen.chroma import ChromaSettings
from resonantgen.generators.musicgen.files import Shape, fetch_again, read_json
from resonantgen.lm.config import LMConfig

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Part: TypeAlias = tuple[str, Shape]  # a tensor's name and shape

AUDIO_ENCODER = "audio_encoder."
TEXT_PROJECTION, CHROMA_PROJECTION = "enc_to_dec_proj.", "audio_enc_to_dec_proj."
DECODER, HEADS = "decoder.model.decoder.", "decoder.lm_heads."
# Tensors that published files hold and nobody needs: sinusoids, which are computed, and T5's second name for a table
IDLE = (f"{DECODER}embed_positions.weights", "text_encoder.encoder.embed_tokens.weight")


class DecoderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`decoder` of config.json. The defaults are those of `transformers`."""

    vocab_size: Count = 2048
    max_position_embeddings: Count = 2048
    hidden_size: Count = 1024
    num_hidden_layers: Count = 24
    num_attention_heads: Count = 16
    ffn_dim: Count = 4096
    num_codebooks: Count = 4
    audio_channels: Literal[1, 2] = 1
    activation_function: Literal["gelu"] = "gelu"


class TextSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`text_encoder` of config.json: T5 1.0."""

    model_type: Literal["t5"] = "t5"
    vocab_size: Count = 32128
    d_model: Count = 512
    d_kv: Count = 64
    d_ff: Count = 2048
    num_layers: Count = 6
    num_heads: Count = 8
    relative_attention_num_buckets: Count = 32
    feed_forward_proj: Literal["relu"] = "relu"


class AudioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`audio_encoder` of config.json, so far as it has to fit the decoder; the codec reads the rest."""

    model_type: Literal["encodec"] = "encodec"
    audio_channels: Literal[1] = 1
    codebook_size: Count = 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A MusicGen's config.json."""

    model_type: Literal["musicgen", "musicgen_melody"]
    decoder: DecoderSettings
    text_encoder: TextSettings
    audio_encoder: AudioSettings
    num_chroma: Count = 12
    chroma_length: Count = 235

    @property
    def melody(self) -> bool:
        """Whether it is conditioned by a prefix, of chroma and words, and not by attention to words."""
        return self.model_type == "musicgen_melody"

    @property
    def lm(self) -> LMConfig:
        """The transformer. In stereo, codebooks are left and right in turn, and each pair has one delay."""
        decoder = self.decoder
        channels, codebooks = decoder.audio_channels, decoder.num_codebooks
        return LMConfig(
            vocabularies=(decoder.vocab_size,) * codebooks,
            delays=tuple(codebook // channels for codebook in range(codebooks)),
            width=decoder.hidden_size,
            layers=decoder.num_hidden_layers,
            heads=decoder.num_attention_heads,
            feedforward=decoder.ffn_dim,
            context=decoder.max_position_embeddings,
            cross_attention=not self.melody,
        )


def read_settings(folder: Path) -> tuple[Settings, dict[str, Any]]:
    """config.json, checked, and all that is in it, for those who read its parts. Raises ModelDamaged."""
    content = read_json(folder / "config.json")
    try:
        settings = msgspec.convert(content, Settings)
        decoder = settings.decoder
        if decoder.num_codebooks % decoder.audio_channels:
            raise BadValue(f"{decoder.num_codebooks} codebooks for {decoder.audio_channels} channels.")
        if settings.audio_encoder.codebook_size != decoder.vocab_size:
            raise BadValue(f"{decoder.vocab_size} tokens for {settings.audio_encoder.codebook_size} of the codec.")
        _ = settings.lm  # it checks itself
    except (msgspec.ValidationError, BadValue) as error:
        raise ModelDamaged(
            f"{folder / 'config.json'} is not of a MusicGen in Hugging Face format: {error} {fetch_again(folder)}"
        ) from None
    return settings, content


class _Preprocessor(msgspec.Struct, frozen=True, kw_only=True):
    sampling_rate: Count = 32000
    n_fft: Annotated[int, msgspec.Meta(ge=16, le=1 << 20)] = 16384
    hop_length: Count = 4096
    chunk_length: Count = 30


def read_chroma_settings(folder: Path, settings: Settings) -> ChromaSettings:
    """preprocessor_config.json of a melody model. Raises ModelDamaged."""
    path = folder / "preprocessor_config.json"
    try:
        found = msgspec.convert(read_json(path), _Preprocessor)
    except msgspec.ValidationError as error:
        raise ModelDamaged(f"{path} is not of a MusicGen-melody: {error}. {fetch_again(folder)}") from None
    return ChromaSettings(
        sample_rate=found.sampling_rate,
        window_samples=found.n_fft,
        hop_samples=found.hop_length,
        bins=settings.num_chroma,
        longest_seconds=found.chunk_length,
    )


def transformer_parts(config: LMConfig) -> dict[str, list[Part]]:
    """Which tensors make which weight of `Transformer`: {its name: parts, one below the other}."""
    width = config.width
    parts: dict[str, list[Part]] = {
        "embedding.weight": [
            (f"{DECODER}embed_tokens.{k}.weight", (tokens + 1, width)) for k, tokens in enumerate(config.vocabularies)
        ],
        "heads.weight": [(f"{HEADS}{k}.weight", (tokens, width)) for k, tokens in enumerate(config.vocabularies)],
        **_norm("norm", f"{DECODER}layer_norm", width),
    }
    for number in range(config.layers):
        parts |= _layer_parts(config, f"layers.{number}.", f"{DECODER}layers.{number}.")
    return parts


def _layer_parts(config: LMConfig, ours: str, theirs: str) -> dict[str, list[Part]]:
    width, feedforward = config.width, config.feedforward
    square = (width, width)

    def projections(attention: str, letters: str) -> list[Part]:
        return [(f"{theirs}{attention}.{letter}_proj.weight", square) for letter in letters]

    parts: dict[str, list[Part]] = {
        f"{ours}query_key_value.weight": projections("self_attn", "qkv"),
        f"{ours}attention_out.weight": [(f"{theirs}self_attn.out_proj.weight", square)],
        f"{ours}up.weight": [(f"{theirs}fc1.weight", (feedforward, width))],
        f"{ours}down.weight": [(f"{theirs}fc2.weight", (width, feedforward))],
        **_norm(f"{ours}attention_norm", f"{theirs}self_attn_layer_norm", width),
        **_norm(f"{ours}feedforward_norm", f"{theirs}final_layer_norm", width),
    }
    if config.cross_attention:
        parts |= {
            f"{ours}cross_query.weight": projections("encoder_attn", "q"),
            f"{ours}cross_key_value.weight": projections("encoder_attn", "kv"),
            f"{ours}cross_out.weight": [(f"{theirs}encoder_attn.out_proj.weight", square)],
            **_norm(f"{ours}cross_norm", f"{theirs}encoder_attn_layer_norm", width),
        }
    return parts


def _norm(ours: str, theirs: str, width: int) -> dict[str, list[Part]]:
    return {f"{ours}.{kind}": [(f"{theirs}.{kind}", (width,))] for kind in ("weight", "bias")}


def projection_parts(settings: Settings) -> dict[str, Shape]:
    """The linear layers that bring text, and chroma, to the decoder's width: {name: shape}, where they are needed."""
    width, text = settings.decoder.hidden_size, settings.text_encoder.d_model
    shapes: dict[str, Shape] = {}
    if text != width:
        shapes |= {f"{TEXT_PROJECTION}weight": (width, text), f"{TEXT_PROJECTION}bias": (width,)}
    if settings.melody and settings.num_chroma != width:
        shapes |= {f"{CHROMA_PROJECTION}weight": (width, settings.num_chroma), f"{CHROMA_PROJECTION}bias": (width,)}
    return shapes
