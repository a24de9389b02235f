"""A trained track's model on disk: a folder with one file of weights, and a page that says what it is.

my-drums/
  model.safetensors   the transformer and its conditions (see `lm.checkpoint`), and which codec its tokens are of
  README.md           the model card
  curve.png           how it was trained
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from resonantgen.errors import ModelDamaged
from resonantgen.generators.resonant.conditions import SIZES, Conditions
from resonantgen.generators.resonant.folder import KIND, MODEL_NAME, About
from resonantgen.lm.checkpoint import ModelCard, load_all, save
from resonantgen.lm.config import LMConfig
from resonantgen.lm.transformer import Transformer
from resonantgen.session.files import storage_errors, write_file

CARD_NAME = "README.md"


@dataclass(frozen=True, slots=True, eq=False)
class TrackModel:
    """What is in a folder."""

    transformer: Transformer
    conditions: Conditions
    about: About
    card: ModelCard


def write_track_model(
    folder: Path,
    transformer: Transformer,
    conditions: Conditions,
    about: About,
    *,
    licence: str,
    training_data: str,
) -> ModelCard:
    """Write a model, and its card for people. The file of weights is whole at any time. Raises StorageError."""
    card = save(
        folder / MODEL_NAME,
        transformer,
        name=folder.resolve().name,
        licence=licence,
        training_data=training_data,
        beside=conditions.state_dict(),
        about=msgspec.to_builtins(about),
    )
    with storage_errors(folder):
        write_file(folder / CARD_NAME, _page(card, about).encode())
    return card


def read_track_model(folder: Path) -> TrackModel:
    """A model on the CPU, in float32. Raises ModelNotFound, ModelDamaged."""
    whole = load_all(folder / MODEL_NAME)
    about = _about(folder, whole.card)
    conditions = Conditions(whole.card.config.width)
    try:
        conditions.load_state_dict(whole.beside)
    except RuntimeError:
        raise ModelDamaged(f"{folder} is damaged: its conditions are of another layout. Train it again.") from None
    return TrackModel(whole.model, conditions.eval(), about, whole.card)


def track_config(
    codebooks: int, cardinality: int, piece_frames: int, width: int, layers: int, heads: int, feedforward: int
) -> LMConfig:
    """A transformer of a codec's tokens that sees a whole piece; its conditions are a prefix."""
    return LMConfig(
        vocabularies=(cardinality,) * codebooks,
        delays=tuple(range(codebooks)),
        width=width,
        layers=layers,
        heads=heads,
        feedforward=feedforward,
        context=piece_frames + codebooks,
        cross_attention=False,
    )


def new_track_model(config: LMConfig, seed: int) -> tuple[Transformer, Conditions]:
    """With random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Transformer(config), Conditions(config.width)


def _about(folder: Path, card: ModelCard) -> About:
    try:
        about = msgspec.convert(card.about, About)
    except msgspec.ValidationError:
        raise ModelDamaged(f"{folder} holds a language model, but none that plays a track.") from None
    if about.kind != KIND or about.codebooks != card.config.codebooks:
        raise ModelDamaged(f"{folder} holds a language model, but none that plays a track.")
    return about


def _page(card: ModelCard, about: About) -> str:
    rate = about.sample_rate / about.frame_samples
    seconds = about.piece_frames / rate
    facts = ", ".join(("role", "tempo", "key", "words")[: len(SIZES)])
    return f"""# {card.name}

Plays {about.role.value}. Made with `resonantgen train lm`; play it with

    resonantgen generate "…" --generator {about.role.value}=./{card.name}

| | |
|---|---|
| trained on | {card.training_data} |
| licence | {card.licence} |
| parameters | {card.parameters:,}, {card.config.layers} layers of width {card.config.width} |
| steps | {about.steps} |
| pieces | {seconds:.1f} s, of {about.codebooks} codebooks at {rate:g} frames a second |
| codec | {about.codec}, weights {about.codec_sha256} |
| conditions | {facts}; each may be left out |
| sha256 | {card.sha256} |

`curve.png` shows how it was trained. The folder also holds the state of the training (`state.safetensors`) and the
tokens that it was trained on (`tokens/`); neither is needed to play.
"""
