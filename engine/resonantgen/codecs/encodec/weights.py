"""EnCodec's published weights as our model takes them: checked, weight norm folded, with one hash for all layouts.

    weights = read_weights(Path("encodec_24khz-d7cc33bc.th"))  # or a folder of Hugging Face's, or audiocraft's file
    codec = weights.codec()

Which layout a file has is read from what is in it. A checkpoint of MusicGen gives its codec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from resonantgen.codecs.encodec.config import EncodecConfig
from resonantgen.codecs.encodec.layouts import (
    Layout,
    Published,
    from_audiocraft,
    from_encodec,
    from_huggingface,
    has_names_of_encodec,
    has_names_of_huggingface,
    is_audiocraft,
    is_state,
)
from resonantgen.codecs.encodec.model import Encodec
from resonantgen.codecs.tensor_checks import Tensors, check_shapes, digest, numbers
from resonantgen.codecs.tensor_files import AGAIN, read_tensors
from resonantgen.errors import BadValue, ModelDamaged, ModelNotFound, ModelUnusable

MUSICGEN_PREFIX = "audio_encoder."  # of the codec's tensors in a MusicGen checkpoint

_CODEBOOKS = "quantizer.codebooks"  # all codebooks of our model in one tensor
_AUDIOCRAFT_FILE = "compression_state_dict.bin"
_PICKLED = (".th", ".bin", ".pt", ".pth")


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What our model is made from."""

    layout: Layout
    config: EncodecConfig
    state: Mapping[str, Tensor]  # float32, by the names of our model
    sha256: str  # of the weights as published, in whatever layout

    def codec(self) -> Encodec:
        """The model with these weights, on the CPU."""
        model = _empty_model(self.config).to_empty(device="cpu")  # its tensors lie in memory as it wants them
        model.load_state_dict(self.state)
        return model.eval().requires_grad_(False)


def read_weights(path: Path, name: str | None = None) -> Weights:
    """The weights of a file, or of a folder with the files that belong together; `name` is what the model is called.

    Raises ModelNotFound, ModelDamaged, ModelUnusable, and BadValue for a folder with several models.
    """
    return to_weights(read_published(path), name or model_name(path), str(path))


def model_name(path: Path) -> str:
    """What a model that is only known by its place is called: the name of its folder, or of a file on its own."""
    path = path.absolute()
    own = path.is_dir() or path.suffix == ".th"
    return path.stem if own and path.stem else path.parent.name or path.stem


def read_published(path: Path) -> Published:
    """What a file or folder holds, in whichever layout. Raises as `read_weights`, before shapes are looked at."""
    files = _weight_files(path) if path.is_dir() else [path]
    config = _config(files[0].parent)
    prefix = MUSICGEN_PREFIX if config is not None and MUSICGEN_PREFIX[:-1] in config else ""
    tensors: dict[str, Tensor] = {}
    for file in files:
        content = read_tensors(file, prefix)
        if is_audiocraft(content):
            return from_audiocraft(content, str(path))
        if not isinstance(content, Mapping) or not (is_state(content) or not content):
            raise ModelDamaged(f"{file} holds no weights: it is not tensors by name. {AGAIN}")
        tensors.update(content)
    if has_names_of_encodec(tensors):
        return from_encodec(tensors, str(path))
    if not has_names_of_huggingface(tensors, prefix):
        raise ModelDamaged(f"{path} holds no EnCodec model: none of its tensors has the name of one. {AGAIN}")
    if config is None:
        raise ModelDamaged(f"There is no config.json beside {files[0]}. Get it from where the weights are published.")
    return from_huggingface(tensors, config[prefix[:-1]] if prefix else config, prefix, str(path))


def to_weights(published: Published, name: str, source: str = "it") -> Weights:
    """Published tensors as our model's state. Raises ModelDamaged, about `source`, unless they are exactly what the
    settings ask for: all there, nothing else, of the right shapes, and finite numbers."""
    config = _our_config(published, name, source)
    tensors = {key: numbers(tensor, key, source) for key, tensor in sorted(published.tensors.items())}
    folded = _folded(tensors, source)
    names = {own: _published_names(own, tensor) for own, tensor in _empty_model(config).state_dict().items()}
    check_shapes(folded, {name: shape for shapes in names.values() for name, shape in shapes.items()}, source)
    state = {
        own: torch.stack([folded[name] for name in shapes]) if own == _CODEBOOKS else folded[next(iter(shapes))]
        for own, shapes in names.items()
    }
    return Weights(published.layout, config, state, digest(tensors))


def _our_config(published: Published, name: str, source: str) -> EncodecConfig:
    fields = published.config
    if fields.normalize != (fields.chunk_length_s is not None):
        raise ModelUnusable(f"{source} normalises sound without cutting it into segments, or the other way round.")
    try:
        return EncodecConfig.from_huggingface(msgspec.to_builtins(fields), name)
    except ModelUnusable:
        raise ModelUnusable(f"The settings of {source} are those of no EnCodec model that runs here.") from None


def _empty_model(config: EncodecConfig) -> Encodec:
    """Without memory for its tensors."""
    with torch.device("meta"):
        return Encodec(config)


# -- files ------------------------------------------------------------------------------------------------------------


def _weight_files(folder: Path) -> list[Path]:
    """The shards of one model, or its one file. Safetensors are taken before pickles of the same weights."""
    try:
        files = sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        raise ModelDamaged(f"{folder} cannot be read: {error.strerror or error}.") from None
    safe = [file for file in files if file.suffix == ".safetensors"]
    pickled = [file for file in files if file.suffix in _PICKLED]
    codecs = [file for file in pickled if file.name == _AUDIOCRAFT_FILE]
    found = safe or codecs or pickled
    if not found:
        raise ModelNotFound(f"There are no weights in {folder}: no .safetensors, .bin or .th file.")
    if found is pickled and len(found) > 1:
        raise BadValue(f"{folder} has several models: {', '.join(file.name for file in found)}. Say which.")
    return found


def _config(folder: Path) -> Mapping[str, Any] | None:
    """config.json, or None where there is none."""
    path = folder / "config.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read: {error.strerror or error}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ModelDamaged(f"{path} is damaged: it is no JSON object. {AGAIN}") from None


# -- tensors ----------------------------------------------------------------------------------------------------------


def _folded(tensors: Tensors, source: str) -> dict[str, Tensor]:
    """Weight norm (Salimans and Kingma, 2016) folded into the weights: g v / |v|, computed as torch computes it."""
    folded = dict(tensors)
    for name in tensors:
        if not name.endswith(".weight_v"):
            continue
        base = name.removesuffix("_v")
        v, g = folded.pop(name), folded.pop(base + "_g", None)
        if g is None or base in folded or v.dim() < 2 or g.shape != (v.shape[0], *[1] * (v.dim() - 1)):
            raise ModelDamaged(f"The norm of {base} of {source} does not fit it. {AGAIN}")
        folded[base] = numbers(torch._weight_norm(v, g, 0), base, source)
    return folded


def _published_names(own: str, tensor: Tensor) -> dict[str, tuple[int, ...]]:
    """Under which names, and in which shapes, a tensor of our model is published: one, or one for each codebook."""
    if own == _CODEBOOKS:
        return {f"quantizer.layers.{k}.codebook.embed": tuple(tensor.shape[1:]) for k in range(tensor.shape[0])}
    name = own.replace("_net.", ".", 1).replace(".block.layers.", ".block.")
    name = re.sub(r"\.((?:weight|bias)_[ih]h_l\d+)$", r".lstm.\1", name)
    if ".norm." not in name:
        name = re.sub(r"\.(weight|bias)$", r".conv.\1", name)
    return {name: tuple(tensor.shape)}
