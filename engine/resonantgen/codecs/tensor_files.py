"""Files of tensors, as they are published: safetensors, and what `torch.save` writes. Nothing in them is ever run.

A `torch.save` file is a pickle, which can hold any program. torch's weights-only unpickler knows tensors and plain
containers and refuses everything else. Which of the two kinds a file is, is read from its first bytes.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from resonantgen.errors import ModelDamaged, ModelNotFound

AGAIN = "Get it again from where it is published."

_CODE = re.compile(r"GLOBAL ([\w.]+)")
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def read_tensors(path: Path, prefix: str = "") -> Any:
    """What is in a file: tensors by name, or whatever containers of tensors `torch.save` was given.

    Of a safetensors file, only the tensors whose names begin with `prefix` are read. Raises ModelNotFound, and
    ModelDamaged for a file that is cut off, is no such file, cannot be read, or holds what would have to be run.
    """
    start = _start(path)
    if _is_safetensors(start):
        with _opened(path) as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
    if start.startswith((_ZIP, _PICKLE)):
        return _read_pickled(path, start.startswith(_ZIP))
    raise ModelDamaged(f"{path} holds no weights: it is neither a safetensors nor a PyTorch file. {AGAIN}")


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing, of a file of another kind. Raises as `read_tensors`."""
    if not _is_safetensors(_start(path)):
        return {}
    with _opened(path) as file:
        return file.metadata() or {}


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError:
        raise ModelNotFound(f"There is no file {path}.") from None
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read: {error.strerror or error}.") from None
    if not start:
        raise ModelDamaged(f"{path} is empty. {AGAIN}")
    return start


def _is_safetensors(start: bytes) -> bool:
    return start[8:] == b"{"  # after the length of the JSON text that says what is in it


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelDamaged(f"{path} is damaged ({str(error)[:100]}). {AGAIN}") from None


def _read_pickled(path: Path, is_zip: bool) -> Any:
    try:
        with path.open("rb") as file, warnings.catch_warnings():  # by its path, torch would go by its suffix
            warnings.simplefilter("ignore")  # of old pickles: they are read, or they are not
            if is_zip and path.suffix != ".safetensors":  # mapped into memory: a tensor is read when it is used
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = _CODE.search(str(error))
        if code is not None:
            raise ModelDamaged(
                f"{path} wants to run code ({code[1]}) when it is loaded. It was not run. Weights do not need that: "
                "get them as safetensors."
            ) from None
        raise ModelDamaged(f"{path} is damaged, or holds more than weights; nothing in it was run. {AGAIN}") from None
    except MemoryError:
        raise
    except Exception:  # what a damaged pickle raises can be anything
        raise ModelDamaged(f"{path} is damaged: it is cut off, or not what was written. {AGAIN}") from None
