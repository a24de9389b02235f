"""A language model on its device: how it is brought there, and how its step is compiled where that pays."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resonantgen.device import Placement
from resonantgen.lm.cache import State
from resonantgen.lm.decoding import Group, WriteColumn, Writing, write_column
from resonantgen.lm.int8 import dequantize, few_rows, quantize
from resonantgen.lm.transformer import Transformer


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
