"""Two processes over gloo, on the CPU: what they learn is what one learns from both their batches together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tiny_training
from resonantgen.training.loop import TrainSettings, step_seed, train
from resonantgen.training.run_state import STATE_NAME, read_module
from tiny_training import free_port

SETTINGS = TrainSettings(steps=6, learning_rate=0.05, warmup_steps=0, evaluate_every=3, ema_decay=None, threads=1)


class PlainTask:
    """Learns a sum, from the batches of so many processes at once; without anything that looks at a whole batch."""

    name = "plain"

    def __init__(self, processes: Sequence[int] | None = None) -> None:
        self._processes = processes
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters())}]

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        generators = [generator]
        if self._processes is not None:
            generators = [torch.Generator().manual_seed(step_seed(0, step, rank)) for rank in self._processes]
        x = torch.cat([torch.randn(8, 3, generator=each) for each in generators])
        squares = (self.module(x) - x.sum(dim=1, keepdim=True)).pow(2).mean()
        return squares, {"squares": squares.item()}

    def evaluate(self) -> dict[str, float]:
        return {"weight": float(self.module[0].weight.sum())}


def run_together(out: Path, count: int) -> None:
    """As torchrun starts them."""
    port = str(free_port())
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    common["PYTHONPATH"] = str(Path(tiny_training.__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(out / str(rank))],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count, said


def test_two_processes_learn_what_one_learns_from_both_batches(tmp_path: Path) -> None:
    run_together(tmp_path, 2)
    assert sorted(path.name for path in (tmp_path / "0").iterdir()) == [".lock", STATE_NAME]
    assert not (tmp_path / "1").exists()  # only one process writes
    together = PlainTask()
    read_module(tmp_path / "0" / STATE_NAME, together.module)
    alone = PlainTask(processes=(0, 1))
    train(alone, SETTINGS, tmp_path / "alone")
    for one, other in zip(together.module.parameters(), alone.module.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    half = PlainTask(processes=(0,))
    train(half, SETTINGS, tmp_path / "half")
    assert not torch.allclose(half.module[0].weight, alone.module[0].weight, atol=1e-4)


def test_a_world_of_one_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from resonantgen.training.distributed import World, average, joined, world

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert world() == World()
    with joined(torch.device("cpu")) as here:
        assert average([1.0, 2.0], here, torch.device("cpu")) == [1.0, 2.0]
    assert not torch.distributed.is_initialized()
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert world() == World(3, 4, 0) and not world().writes


if __name__ == "__main__":
    train(PlainTask(), SETTINGS, Path(sys.argv[1]))
