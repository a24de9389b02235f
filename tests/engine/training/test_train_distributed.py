"""Two processes over gloo, on the CPU: what they learn is what one learns from both their batches together, and the
same in both.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tiny_training
from resonant_models import random_codec
from resonantgen.codecs.resonant.weights import FILE, read_weights
from resonantgen.training.codec_task import CodecSettings, CodecTask
from resonantgen.training.curve import CURVE_NAME
from resonantgen.training.distributed import World, average, joined, world
from resonantgen.training.loop import TrainSettings, step_seed, train
from resonantgen.training.run_state import STATE_NAME, read_module
from tiny_lm_training import write_codec, write_loop
from tiny_training import free_port

PATIENCE_SECONDS = 120
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


def run_together(count: int, *command: str) -> list[str]:
    """As torchrun starts them; what each says. `command` follows Python."""
    port = str(free_port())
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    common["PYTHONPATH"] = str(Path(tiny_training.__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        said = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()  # what waits for one that failed
            process.communicate()
    assert [process.returncode for process in processes] == [0] * count, said
    return said


def test_two_processes_learn_what_one_learns_from_both_batches(tmp_path: Path) -> None:
    run_together(2, __file__, "plain", str(tmp_path))
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


def codec_task(rank: int) -> CodecTask:
    """A tiny codec, with other weights in each process."""
    tone = 0.4 * np.sin(2 * np.pi * 220 * np.arange(24_000) / 24_000)
    codec = random_codec(seed=rank).requires_grad_(True)
    settings = CodecSettings(batch=2, crop_seconds=0.1)
    return CodecTask(codec, {"bass": [(32_767 * tone).astype(np.int16)]}, {}, settings, resumes=True)


def test_the_codec_and_its_codebooks_are_the_same_in_all_processes(tmp_path: Path) -> None:
    """Its weights, and the entries that follow what both have; whatever weights each began with."""
    first, second = run_together(2, __file__, "codec", str(tmp_path))
    assert len(first.split()) == 2 and first == second


def test_train_codec_under_torchrun(tmp_path: Path) -> None:
    """One process speaks and writes; what results is a codec."""
    for number in range(2):
        write_loop(tmp_path / "stems" / "drums" / f"{number}.wav", number)
    start = write_codec(tmp_path / "first")
    options = ("--steps", "3", "--batch", "2", "--seconds", "0.1", "--threads", "1", "--device", "cpu")
    places = ("--stems", str(tmp_path / "stems"), "--out", str(tmp_path / "mine"), "--from", str(start))
    first, second = run_together(2, "-m", "resonantgen", "train", "codec", *places, *options)
    assert "step 3 of 3" in first and first.count("3 steps ·") == 1 and not second  # "4.83 steps/s" is none
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {".lock", "README.md", CURVE_NAME, FILE, STATE_NAME}
    assert read_weights(tmp_path / "mine").about["steps"] == 3


def test_a_world_of_one_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert world() == World()
    with joined(torch.device("cpu")) as here:
        assert average([1.0, 2.0], here, torch.device("cpu")) == [1.0, 2.0]
    assert not torch.distributed.is_initialized()
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert world() == World(3, 4, 0) and not world().writes


def main(kind: str, out: Path) -> None:
    """One of the processes: train, in a folder of its own, and say what came of it."""
    rank = world().rank
    if kind == "plain":
        train(PlainTask(), SETTINGS, out / str(rank))
        return
    task = codec_task(rank)
    history = train(task, replace(SETTINGS, steps=12), out / str(rank))
    weights = b"".join(tensor.numpy().tobytes() for tensor in task.module.state_dict().values())
    print(hashlib.sha256(weights).hexdigest(), history.losses[-1])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
