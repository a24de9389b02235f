"""The tensors of a checkpoint by name, wherever in its folder they lie.

    model.safetensors | pytorch_model.bin             all in one file
    model.safetensors.index.json | pytorch_….json     which of several files holds which

Safetensors are mapped into memory: a tensor is a view of its file, and is read when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from resonantgen.codecs.tensor_files import read_tensors
from resonantgen.errors import ModelDamaged

SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
INDEX_SUFFIX = ".index.json"

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """What a folder holds, as it was saved, on the CPU."""

    folder: Path
    by_name: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> Tensors:
        """All files of the checkpoint. Raises ModelDamaged."""
        by_name: dict[str, Tensor] = {}
        for path, listed in _files(folder).items():
            held = read_tensors(path)
            if not isinstance(held, dict) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
                raise ModelDamaged(f"{path} holds something else than tensors by name. {fetch_again(folder)}")
            lacking = sorted(listed - held.keys())
            if lacking:
                raise ModelDamaged(f"{path} does not hold {lacking[0]}, which its index says. {fetch_again(folder)}")
            by_name |= held
        return cls(folder, by_name)

    def under(self, prefix: str) -> Tensors:
        """Those whose names begin so, without holding on to the others."""
        return Tensors(self.folder, {name: own for name, own in self.by_name.items() if name.startswith(prefix)})

    def check_names(self, needed: Iterable[str], known: Iterable[str]) -> None:
        """Raises ModelDamaged if one of `needed` is missing, or one is there that is neither needed nor known."""
        needed = set(needed)
        lacking = sorted(needed - self.by_name.keys())
        if lacking:
            raise ModelDamaged(
                f"The weights in {self.folder} lack {_some(lacking)}: they are cut off, or not of MusicGen in Hugging "
                f"Face format. {fetch_again(self.folder)}"
            )
        unknown = sorted(self.by_name.keys() - needed - set(known))
        if unknown:
            raise ModelDamaged(
                f"The weights in {self.folder} have {_some(unknown)}, which MusicGen has not: it is another model."
            )

    def numbers(self, name: str, shape: Shape) -> Tensor:
        """A tensor that has this shape and holds numbers only. Raises ModelDamaged."""
        tensor = self.by_name.get(name)
        if tensor is None:
            raise ModelDamaged(f"The weights in {self.folder} lack {name}. {fetch_again(self.folder)}")
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ModelDamaged(
                f"{name} in {self.folder} has the shape {list(tensor.shape)} ({kind}); by its config.json it should be "
                f"{list(shape)}. {fetch_again(self.folder)}"
            )
        if not are_numbers(tensor):
            raise ModelDamaged(f"{name} in {self.folder} holds what is no number. {fetch_again(self.folder)}")
        return tensor


def fetch_again(folder: Path) -> str:
    """What to do about a damaged model."""
    return f"Fetch it again: resonantgen models pull {folder.name}"


def are_numbers(tensor: Tensor) -> bool:
    """Whether nothing in it is infinite or NaN; without a copy."""
    if tensor.numel() == 0:
        return True
    smallest, largest = torch.aminmax(tensor)  # NaN if any is
    return bool(torch.isfinite(smallest) and torch.isfinite(largest))


def read_json(path: Path) -> Any:
    """Raises ModelDamaged if it is missing or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read ({error.strerror}). {fetch_again(path.parent)}") from None
    except (ValueError, RecursionError):
        raise ModelDamaged(f"{path} is not JSON. {fetch_again(path.parent)}") from None


def _files(folder: Path) -> dict[Path, set[str]]:
    """The files that hold the tensors, each with the names that it must hold."""
    for name in (SAFETENSORS, PICKLED):
        if (folder / name).exists():
            return {folder / name: set()}
        index = folder / f"{name}{INDEX_SUFFIX}"
        if index.exists():
            return _shards(index)
    raise ModelDamaged(f"{folder} holds no weights: no {SAFETENSORS} and no {PICKLED}, and no index of several.")


def _shards(index: Path) -> dict[Path, set[str]]:
    content = read_json(index)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise ModelDamaged(f"{index} does not say which file holds which tensor. {fetch_again(index.parent)}")
    files: dict[Path, set[str]] = {}
    for name, place in places.items():
        path = index.parent / place
        if Path(place).name != place:
            raise ModelDamaged(f"{index} points out of its folder, to {place}. {fetch_again(index.parent)}")
        if path not in files and not path.exists():
            raise ModelDamaged(f"{path} is missing. {fetch_again(index.parent)}")
        files.setdefault(path, set()).add(name)
    return files


def _some(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
