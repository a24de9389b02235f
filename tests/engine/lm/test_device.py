"""Models on their devices, and the compiled step, which is checked here without a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from resonantgen.device import Placement, place
from resonantgen.lm.config import LMConfig
from resonantgen.lm.decoding import Batch, LMRequest, write_all, write_column
from resonantgen.lm.device import CompiledStep, prepare, step_for
from resonantgen.lm.int8 import FloatLinear, Int8Linear
from resonantgen.lm.sampling import Sampling
from tiny_lm import TINY, TINY_ODD, random_conditioning, tiny_model


@pytest.mark.parametrize(
    ("precision", "kind", "dtype"),
    [
        ("int8", Int8Linear, torch.int8),
        ("float32", FloatLinear, torch.float32),
        ("bfloat16", nn.Linear, torch.bfloat16),
    ],
)
def test_models_are_prepared_for_where_they_run(precision: str, kind: type[nn.Module], dtype: torch.dtype) -> None:
    model = prepare(prepare(tiny_model(), place("cpu", "int8")), place("cpu", precision))  # from an int8 checkpoint too
    assert type(model.heads) is kind and model.heads.weight.dtype == dtype
    assert write_all(model, LMRequest(frames=3)).shape == (4, 3)


@pytest.mark.parametrize("config", [TINY, TINY_ODD], ids=["even", "odd"])
@torch._dynamo.config.patch(error_on_recompile=True)
def test_a_compiled_step_writes_the_same_tokens(config: LMConfig) -> None:
    """One graph, whole, traced once: what CUDA would capture."""
    torch.compiler.reset()
    model = tiny_model(config)
    requests = [
        LMRequest(12, seed=seed, guidance=3.0, conditioning=random_conditioning(config, cross=4, seed=seed))
        for seed in range(2)
    ]
    requests[1] = replace(requests[1], prompt=torch.ones(config.codebooks, 3, dtype=torch.int64))
    expected = [write_all(model, wanted) for wanted in requests]
    batch = Batch(model, 2, 20, cross=4, write=CompiledStep(backend="eager", mode=None))
    handles = [batch.add(wanted) for wanted in requests]
    parts = [batch.advance(1), batch.advance(4), batch.advance(20)]
    for handle, tokens in zip(handles, expected, strict=True):
        assert torch.equal(torch.cat([part[handle] for part in parts], dim=1), tokens)


def test_a_compiled_step_draws_as_it_is_told() -> None:
    torch.compiler.reset()
    model = tiny_model()
    write = CompiledStep(backend="eager", mode=None)
    for sampling in (Sampling(0.5, top_k=3), Sampling(top_p=0.7)):
        wanted = LMRequest(8, seed=5, sampling=sampling)
        assert torch.equal(write_all(model, wanted, write), write_all(model, wanted))


def test_steps_are_compiled_where_there_are_cuda_graphs() -> None:
    assert step_for(Placement(torch.device("cpu"), "int8")) is write_column
    assert isinstance(step_for(Placement(torch.device("cuda"), "bfloat16")), CompiledStep)
