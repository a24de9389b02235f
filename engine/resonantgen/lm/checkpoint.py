"""Models on disk: one safetensors file, whose header says what the model is and where it comes from.

A file is written whole or not at all. One that is read has been checked: its layout, the names and shapes of its
weights, that they are numbers, and that they are those that were saved. Weights are mapped into memory, not copied.
Beside the transformer's a file may hold other tensors, such as those of what makes its conditioning, and facts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from msgspec import Struct
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from resonantgen.errors import ModelDamaged, ModelNotFound, quoted
from resonantgen.lm.config import LMConfig
from resonantgen.lm.transformer import Transformer
from resonantgen.session.files import storage_errors, write_file

LAYOUT = "resonantgen-lm-1"  # another number for another layout: an older program refuses what it would misread
BESIDE = "beside."  # before the names of tensors that are not the transformer's


class ModelCard(Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint says of itself."""

    name: str
    licence: str  # of the weights: "CC-BY-4.0"
    training_data: str  # what it was trained on, for people
    parameters: int
    sha256: str  # of the configuration, the weights, and what is beside them
    config: LMConfig
    about: dict[str, Any] = {}  # what else whoever uses it needs to know; JSON values


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What is in a file."""

    model: Transformer
    card: ModelCard
    beside: dict[str, Tensor]


def save(
    path: Path,
    model: Transformer,
    *,
    name: str,
    licence: str,
    training_data: str,
    beside: Mapping[str, Tensor] | None = None,
    about: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Write a model of float weights, and what goes with it. Raises StorageError."""
    tensors = _own(model.state_dict())
    assert _misfit(model.config, tensors) is None, "only models as they were made are saved, not quantised ones"
    tensors |= {BESIDE + key: tensor for key, tensor in _own(beside or {}).items()}
    facts = dict(about or {})
    card = ModelCard(
        name=name,
        licence=licence,
        training_data=training_data,
        parameters=model.config.parameters,
        sha256=_sha256(model.config, tensors, facts),
        config=model.config,
        about=facts,
    )
    metadata = {"format": LAYOUT, "card": msgspec.json.encode(card).decode()}
    with storage_errors(path):
        write_file(path, safetensors_bytes(tensors, metadata))
    return card


def load(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Transformer, ModelCard]:
    """A model and its card. Raises ModelNotFound, ModelDamaged."""
    whole = load_all(path, device, dtype)
    return whole.model, whole.card


def load_all(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Checkpoint:
    """A model, its card and what is beside it, which stays on the CPU as it is. Raises as `load`."""
    with _opened(path) as file:
        card = _card(path, file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    if card.parameters != card.config.parameters:
        raise _damaged(path, f"says that it has {card.parameters} parameters, and not {card.config.parameters}")
    beside = {key.removeprefix(BESIDE): tensor for key, tensor in tensors.items() if key.startswith(BESIDE)}
    own = {key: tensor for key, tensor in tensors.items() if not key.startswith(BESIDE)}
    check_weights(card.config, own, path)
    if _sha256(card.config, tensors, card.about) != card.sha256:
        raise _damaged(path, "does not hold the weights that were saved (its checksum is wrong)")
    return Checkpoint(_assemble(card.config, own, device, dtype), card, beside)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise ModelNotFound(f"There is no model file {path}; check the path, or fetch the model first.")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise _damaged(path, f"cannot be read ({str(error).splitlines()[0][:100]})") from None


def assemble(
    config: LMConfig,
    tensors: Mapping[str, Tensor],
    source: Path | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Transformer:
    """A model of weights that were read from `source`, named as in `Transformer.state_dict`. Raises ModelDamaged.

    Weights that are on the device, in that dtype, become the model's own and are not copied.
    """
    check_weights(config, tensors, source)
    return _assemble(config, tensors, device, dtype)


def check_weights(config: LMConfig, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Check that the tensors are the weights of such a model, and numbers. Raises ModelDamaged, naming `source`."""
    misfit = _misfit(config, tensors)
    if misfit is not None:
        raise _damaged(source, misfit)
    for name, tensor in tensors.items():
        if not all(bound.isfinite() for bound in tensor.aminmax()):  # no second copy, as isfinite() of all would be
            raise _damaged(source, f"has weights that are not numbers (in {name})")


def _card(path: Path, metadata: Mapping[str, str] | None) -> ModelCard:
    layout = (metadata or {}).get("format")
    if metadata is None or layout is None or not layout.startswith("resonantgen-lm-"):
        raise _damaged(path, "is a safetensors file, but not a language model of ResonantGen")
    if layout != LAYOUT:
        raise _damaged(path, f"has the layout {quoted(layout)} and not {quoted(LAYOUT)}, which this version reads")
    try:
        return msgspec.json.decode(metadata.get("card", ""), type=ModelCard)
    except msgspec.DecodeError as error:
        raise _damaged(path, f"has no valid model card ({error})") from None


def _misfit(config: LMConfig, tensors: Mapping[str, Tensor]) -> str | None:
    """What keeps these tensors from being the weights of such a model."""
    with torch.device("meta"):
        expected = Transformer(config).state_dict()
    for name, weight in expected.items():
        tensor = tensors.get(name)
        if tensor is None:
            return f"lacks the weights {name}"
        if tensor.shape != weight.shape:
            return f"has weights {name} of shape {tuple(tensor.shape)}, which should be {tuple(weight.shape)}"
        if not tensor.is_floating_point():
            return f"has weights {name} of type {tensor.dtype}, which should be floating-point"
    unknown = sorted(tensors.keys() - expected.keys())
    return f"has weights {quoted(unknown[0])}, which such a model does not have" if unknown else None


def _assemble(
    config: LMConfig, tensors: Mapping[str, Tensor], device: torch.device | str, dtype: torch.dtype
) -> Transformer:
    with torch.device("meta"):  # its weights are about to be replaced
        model = Transformer(config)
    model.load_state_dict({name: tensor.to(device, dtype) for name, tensor in tensors.items()}, assign=True)
    return model.to(device).eval()


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As they are written."""
    return {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}


def _sha256(config: LMConfig, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(config, order="sorted"))
    if about:
        digest.update(msgspec.json.encode(about, order="sorted"))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _damaged(source: Path | str, what: str) -> ModelDamaged:
    return ModelDamaged(f"{source} {what}. Fetch it again, or restore it from a backup.")
