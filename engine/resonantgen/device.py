"""Where models run and in which precision: one setting, for codecs and language models alike.

RESONANTGEN_DEVICE      auto (a GPU if there is one), cpu, cuda, cuda:1, mps
RESONANTGEN_PRECISION   auto (int8 on a CPU, bfloat16 on a GPU), int8, float32, bfloat16

Importing this brings torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from resonantgen.errors import ModelUnusable, quoted

PRECISIONS = ("int8", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Placement:
    """A device that is there, and a precision that it computes in."""

    device: torch.device
    precision: str  # one of PRECISIONS

    @property
    def dtype(self) -> torch.dtype:
        """Of everything but int8 weights."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32


def place(device: str | None = None, precision: str | None = None) -> Placement:
    """What is asked for here, or else by the environment. Raises ModelUnusable."""
    found = _device(device or os.environ.get("RESONANTGEN_DEVICE") or "auto")
    asked = precision or os.environ.get("RESONANTGEN_PRECISION") or "auto"
    if asked == "auto":
        asked = "int8" if found.type == "cpu" else "bfloat16"
    if asked not in PRECISIONS:
        raise ModelUnusable(f"There is no precision {quoted(asked)}. Choose auto, {', '.join(PRECISIONS)}.")
    if asked == "int8" and found.type != "cpu":
        raise ModelUnusable(f"int8 is for the CPU; on {found} choose bfloat16 or float32.")
    return Placement(found, asked)


def _device(name: str) -> torch.device:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise ModelUnusable(f"There is no device {quoted(name)}. Choose auto, cpu, cuda, cuda:0, mps.")
    if kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if kind == "cuda" and cuda else int(kind == "mps" and mps)
    if int(number or 0) >= count:
        here = f"there {'is' if count == 1 else 'are'} {count or 'no'} such device{'' if count == 1 else 's'} here"
        raise ModelUnusable(f"The model cannot run on {name}: {here}. Choose cpu, or auto.")
    return torch.device(kind, int(number)) if number else torch.device(kind)
