"""Where a model runs: the setting, and the compiled step, which is checked here without a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from resonantgen.errors import ModelUnusable
from resonantgen.lm.config import LMConfig
from resonantgen.lm.decoding import Batch, LMRequest, write_all, write_column
from resonantgen.lm.device import CompiledStep, Placement, place, prepare, step_for
from resonantgen.lm.int8 import FloatLinear, Int8Linear
from resonantgen.lm.sampling import Sampling
from tiny_lm import TINY, TINY_ODD, random_conditioning, tiny_model


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESONANTGEN_DEVICE", raising=False)
    monkeypatch.delenv("RESONANTGEN_PRECISION", raising=False)


def gpus(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_auto_is_the_gpu_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch)
    assert place() == Placement(torch.device("cpu"), "int8")
    gpus(monkeypatch, cuda=1)
    assert place() == Placement(torch.device("cuda"), "bfloat16") and place().dtype == torch.bfloat16
    gpus(monkeypatch, mps=True)
    assert place() == Placement(torch.device("mps"), "bfloat16")


def test_the_environment_is_asked_and_an_argument_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, cuda=2)
    monkeypatch.setenv("RESONANTGEN_DEVICE", "cuda:1")
    monkeypatch.setenv("RESONANTGEN_PRECISION", "float32")
    assert place() == Placement(torch.device("cuda", 1), "float32")
    assert place("cpu", "int8") == Placement(torch.device("cpu"), "int8")
    assert place("cpu", "auto") == Placement(torch.device("cpu"), "int8")


@pytest.mark.parametrize(
    ("device", "precision", "said"),
    [
        ("cuda", None, "no such device"),
        ("cuda:7", None, "no such device"),
        ("mps", None, "no such device"),
        ("tpu", None, '"tpu"'),
        ("cuda:x", None, '"cuda:x"'),
        ("cpu", "int4", '"int4"'),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, device: str, precision: str | None, said: str
) -> None:
    gpus(monkeypatch)
    with pytest.raises(ModelUnusable, match=said) as raised:
        place(device, precision)
    assert "\n" not in str(raised.value)


def test_int8_is_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, cuda=1)
    with pytest.raises(ModelUnusable, match="bfloat16"):
        place("cuda", "int8")


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
