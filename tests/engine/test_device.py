"""Where models run: the setting."""

from __future__ import annotations

import pytest
import torch

from resonantgen.device import Placement, place
from resonantgen.errors import ModelUnusable


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
