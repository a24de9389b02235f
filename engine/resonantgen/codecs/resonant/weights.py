"""A `resonant` model on disk: one safetensors file, whose header says what the model is and how it came to be.

    write_weights(codec, Path("my-codec/resonant.safetensors"), about={"steps": 40_000})
    codec = read_weights(Path("my-codec")).codec()

Weights and codebooks are 16-bit floats: these are the model, and its hash is theirs. It computes in 32 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from resonantgen.codecs.resonant.config import ResonantConfig
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.tensor_checks import check_shapes, digest, numbers
from resonantgen.codecs.tensor_files import AGAIN, read_metadata, read_tensors
from resonantgen.errors import ModelDamaged, ModelUnusable
from resonantgen.session.files import storage_errors, write_file

FILE = "resonant.safetensors"  # in a model's folder
# Another number for another layout, or for weights that mean something else because a layer computes something else.
LAYOUT = 1
_KEY = "resonantgen-codec"  # of the card: the header's only entry, as the order of several is not the same every time
_CODEBOOKS = "quantizer.codebooks"
_LARGE = 2.0**13  # of what vectors are summed from: far from the largest number there is
_LARGEST = torch.finfo(torch.float16).max


class _Layout(msgspec.Struct, frozen=True):
    layout: int


class _Card(_Layout, frozen=True, forbid_unknown_fields=True):
    """What a file says of itself."""

    settings: dict[str, Any]  # ResonantConfig.as_json
    sha256: str
    about: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a model is made from."""

    config: ResonantConfig
    state: Mapping[str, Tensor]  # float32, by the model's own names
    sha256: str  # of the settings, but for the name, and of the weights
    about: Mapping[str, Any]  # what it was written with: JSON values

    def codec(self) -> Resonant:
        """The model with these weights, on the CPU."""
        with torch.random.fork_rng(devices=[]):  # the weights that it begins with are not used, and no one misses them
            model = Resonant(self.config)
        model.load_state_dict(self.state)  # copied: its tensors lie in memory as it wants them
        return model.eval().requires_grad_(False)


def write_weights(codec: Resonant, path: Path, about: Mapping[str, Any] | None = None) -> str:
    """Write a model, and what there is to say about it (JSON values), whole or not at all; gives its hash.

    Raises ModelUnusable for weights that 16-bit floats cannot hold, and StorageError.
    """
    state = _in_reach({name: tensor.detach().float().cpu().contiguous() for name, tensor in codec.state_dict().items()})
    for name, tensor in state.items():
        if not bool((tensor.abs() <= _LARGEST).all()):  # false of NaN, too
            raise ModelUnusable(f"{name} has weights that are no numbers, or too large: the training went astray.")
    halves = {name: tensor.half() for name, tensor in state.items()}
    sha256 = _hash(codec.config, {name: tensor.float() for name, tensor in halves.items()})
    card = _Card(LAYOUT, codec.config.as_json(), sha256, dict(about or {}))
    with storage_errors(path):
        write_file(path, safetensors_bytes(halves, {_KEY: msgspec.json.encode(card, order="sorted").decode()}))
    return sha256


def _in_reach(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same codec with smaller vectors, where these are large: how large is free, and grows while it learns.

    By a power of two, so that what it computes is the same to the last digit.
    """
    largest = float(state[_CODEBOOKS].abs().max())
    if not _LARGE < largest < math.inf:
        return dict(state)
    factor = 2.0 ** -math.ceil(math.log2(largest / _LARGE))
    last = max(int(name.split(".")[2]) for name in state if name.startswith("encoder_net.layers."))
    smaller = {_CODEBOOKS, *(f"encoder_net.layers.{last}.{part}" for part in ("weight", "bias"))}
    larger = {"decoder_net.layers.0.weight"}
    return {n: t * factor if n in smaller else t / factor if n in larger else t for n, t in state.items()}


def is_resonant(path: Path) -> bool:
    """Whether a file or folder is to be read by `read_weights`. Raises ModelDamaged, ModelNotFound."""
    return (path / FILE).is_file() if path.is_dir() else _KEY in read_metadata(path)


def read_weights(path: Path, name: str | None = None) -> Weights:
    """The weights of a file, or of the folder that it is in; the model is called `name`, or else as its folder is.

    Raises ModelNotFound, ModelUnusable for what a newer version wrote, and ModelDamaged unless the weights are those
    that were written.
    """
    file = path / FILE if path.is_dir() else path
    card = _card(file)
    config = replace(_config(card, file), name=name or file.absolute().parent.name or file.stem)
    tensors = read_tensors(file)
    with torch.device("meta"):
        shapes = {own: tuple(tensor.shape) for own, tensor in Resonant(config).state_dict().items()}
    check_shapes(tensors, shapes, str(file))
    state = {own: numbers(tensor, own, str(file)) for own, tensor in tensors.items()}
    if _hash(config, state) != card.sha256:
        raise ModelDamaged(f"{file} does not hold the weights that were written: its checksum is wrong. {AGAIN}")
    return Weights(config, state, card.sha256, card.about)


def _card(file: Path) -> _Card:
    text = read_metadata(file).get(_KEY)
    if text is None:
        raise ModelDamaged(f"{file} holds no resonant codec. {AGAIN}")
    try:
        layout = msgspec.json.decode(text, type=_Layout).layout
        if layout != LAYOUT:
            raise ModelUnusable(
                f"{file} was written by another version of ResonantGen (layout {layout}, and this one reads {LAYOUT}). "
                "Update with: pip install -U resonantgen"
            )
        return msgspec.json.decode(text, type=_Card)
    except (msgspec.DecodeError, RecursionError):
        raise ModelDamaged(f"{file} is damaged: what it says of itself cannot be read. {AGAIN}") from None


def _config(card: _Card, file: Path) -> ResonantConfig:
    try:
        return ResonantConfig.from_json(card.settings)
    except ModelUnusable as error:
        raise ModelUnusable(f"{file} cannot be used. {error}") from None


def _hash(config: ResonantConfig, state: Mapping[str, Tensor]) -> str:
    settings = {key: value for key, value in config.as_json().items() if key != "name"}
    return digest(state, msgspec.json.encode(settings, order="sorted").decode())
