"""Where a model runs and in which precision: one setting, and what follows from it.

RESONANTGEN_DEVICE      auto (a GPU if there is one), cpu, cuda, cuda:1, mps
RESONANTGEN_PRECISION   auto (int8 on a CPU, bfloat16 on a GPU), int8, float32, bfloat16
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resonantgen.errors import ModelUnusable, quoted
from resonantgen.lm.cache import State
from resonantgen.lm.decoding import Group, WriteColumn, Writing, write_column
from resonantgen.lm.int8 import dequantize, few_rows, quantize
from resonantgen.lm.transformer import Transformer

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


def prepare(model: Transformer, placement: Placement) -> Transformer:
    """Bring a model, float or int8, to where it is to run, in place."""
    if placement.precision == "int8":
        quantize(model)
    else:
        dequantize(model, placement.dtype)
    model.to(placement.device, placement.dtype)
    if placement.device.type == "cpu" and placement.precision == "float32":
        few_rows(model)
    return model.eval()


class CompiledStep:
    """`write_column` as one graph. On CUDA it is captured once for each shape and replayed: a step is one launch."""

    def __init__(self, backend: str = "inductor", mode: str | None = "reduce-overhead") -> None:
        """`backend="eager"` traces only: what is compiled is the same everywhere, and can be checked without a GPU."""
        self._compiled = torch.compile(write_column, backend=backend, mode=mode, fullgraph=True, dynamic=False)

    def __call__(
        self, model: Transformer, state: State, writing: Writing, groups: Sequence[Group], valid: Tensor
    ) -> None:
        """See `decoding.write_column`."""
        # Tensors that a step writes to stay where they are: a captured graph may write to them in place
        kept = (*state.memory, state.positions, writing.column, writing.plan, writing.written)
        for tensor in kept:
            torch._dynamo.mark_static_address(tensor)
        if valid.is_cuda:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        self._compiled(model, state, writing, groups, valid)


def step_for(placement: Placement) -> WriteColumn:
    """How a batch there writes a column: compiled where there are CUDA graphs, else as it stands."""
    return CompiledStep() if placement.device.type == "cuda" else write_column
