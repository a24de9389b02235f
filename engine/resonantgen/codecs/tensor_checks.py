"""Whether the tensors of a file are those of a model: finite numbers in its shapes; and one hash for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from resonantgen.codecs.tensor_files import AGAIN
from resonantgen.errors import ModelDamaged

Tensors = Mapping[str, Tensor]


def numbers(tensor: Tensor, name: str, source: str) -> Tensor:
    """As float32, all finite. Raises ModelDamaged, about `source`."""
    if not tensor.is_floating_point():
        raise ModelDamaged(f"{name} of {source} holds {tensor.dtype} where weights are floating-point numbers. {AGAIN}")
    tensor = tensor.detach().to(torch.float32)
    if not torch.isfinite(tensor).all():
        raise ModelDamaged(f"{name} of {source} holds weights that are no numbers (NaN or infinity). {AGAIN}")
    return tensor.contiguous()


def check_shapes(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Raises ModelDamaged, about `source`, unless there are exactly these tensors in exactly these shapes."""
    missing = [name for name in shapes if name not in tensors]
    if missing:
        raise ModelDamaged(f"{source} lacks {_some(missing)}, which it has by its settings. {AGAIN}")
    unknown = [name for name in tensors if name not in shapes]
    if unknown:
        raise ModelDamaged(f"{source} has {_some(unknown)}, which it does not have by its settings. {AGAIN}")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ModelDamaged(
                f"{name} of {source} is {by(tensors[name].shape)}, and {by(shape)} by its settings. {AGAIN}"
            )


def digest(tensors: Tensors, settings: str = "") -> str:
    """Of names, shapes and numbers (float32), before anything is computed from them: the same on every machine.

    `settings` are those that do not show in the tensors.
    """
    made = hashlib.sha256(settings.encode())
    for name, tensor in sorted(tensors.items()):
        made.update(f"{name} {by(tensor.shape)}\n".encode())
        made.update(tensor.cpu().numpy().astype("<f4", copy=False).tobytes())
    return made.hexdigest()


def by(shape: tuple[int, ...]) -> str:
    """A shape in words: "3x4"."""
    return "x".join(str(size) for size in shape) or "a single number"


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
