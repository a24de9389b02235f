"""A codec by name, or by where its weights are. Importing this loads no torch: it says so where torch is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resonantgen.errors import ModelNotFound
from resonantgen.models.catalog import catalog, model_info
from resonantgen.models.folder import installed
from resonantgen.packages import require_packages

if TYPE_CHECKING:
    from resonantgen.codecs.network import NetworkCodec

DEFAULT_CODEC = "resonant"  # it is shipped
_PACKAGES = ("torch", "scipy")


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCodec:
    """A codec that is ready, and what tells its weights from others."""

    codec: NetworkCodec
    weights_sha256: str
    about: Mapping[str, Any] = field(default_factory=dict)  # how it was trained, if it was here: JSON values


def load_codec(model: str = DEFAULT_CODEC, device: str | None = None) -> LoadedCodec:
    """The codec of a model of the catalogue (a MusicGen has one, too), or of weights in a folder or file.

    It runs where `device` says, or else $RESONANTGEN_DEVICE. Raises BadValue for what is neither, ModelNotFound if it
    is not here, ModelDamaged, and ModelUnusable where torch is not installed or there is no such device.
    """
    name, path = find_weights(model)
    require_packages(_PACKAGES, "neural", "Codecs do not work")
    from resonantgen.codecs.encodec import weights as encodec
    from resonantgen.codecs.resonant import weights as resonant
    from resonantgen.device import place

    target = place(device, "float32").device
    weights = (resonant if resonant.is_resonant(path) else encodec).read_weights(path, name)
    about = weights.about if isinstance(weights, resonant.Weights) else {}
    return LoadedCodec(weights.codec().to(target), weights.sha256, about)


def find_weights(model: str) -> tuple[str | None, Path]:
    """A model's name, None if it has only a place, and its folder or file. Raises as `load_codec`."""
    if model in catalog():
        return model, installed(model).folder
    path = Path(model)
    if path.exists():
        return None, path
    if path.name != model or path.suffix:
        raise ModelNotFound(f"There is no file or folder {model}.")
    return model_info(model).name, path  # raises: it says which names are near


def told(about: Mapping[str, Any]) -> dict[str, str]:
    """What a codec was written with, for people: "set of stems" -> "1f0c…"."""
    return {key.replace("_", " "): str(value) for key, value in sorted(about.items())}
