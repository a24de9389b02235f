"""A task that is quick to learn, with everything in it that a run has to keep: parameters, a buffer that moves, noise.

As a program it trains in a folder, a line for each step, so that it can be killed in the middle of it.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resonantgen.training.history import History
from resonantgen.training.loop import TrainSettings, train

SETTINGS = TrainSettings(
    steps=40, learning_rate=0.05, warmup_steps=5, evaluate_every=10, ema_decay=0.9, save_seconds=1e9, threads=1
)


class LineTask:
    """Learns the sum of three numbers, seen through noise."""

    name = "line"

    def __init__(self, batch: int = 8) -> None:
        self.batch = batch
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def parameter_groups(self) -> list[dict[str, Any]]:
        first, *others = self.module.parameters()
        return [{"params": [first], "lr_scale": 0.5}, {"params": others}]

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = torch.randn(self.batch, 3, generator=generator)
        noise = torch.randn(self.batch, 1, generator=generator)
        off = self.module(x) - x.sum(dim=1, keepdim=True) - 0.1 * noise
        squares, sizes = off.pow(2).mean(), off.abs().mean()
        return squares + 0.1 * sizes, {"squares": float(squares.detach()), "sizes": float(sizes.detach())}

    def evaluate(self) -> dict[str, float]:
        assert not self.module.training
        x = torch.linspace(-1, 1, 12).view(4, 3)
        return {"squares": float((self.module(x) - x.sum(dim=1, keepdim=True)).pow(2).mean())}


class Follower:
    """An `Observer` that does nothing but what it is told to."""

    def started(self, history: History, settings: TrainSettings) -> None: ...
    def stepped(self, history: History) -> None: ...
    def evaluated(self, history: History) -> None: ...
    def saved(self, history: History, folder: Path) -> None: ...
    def ended(self, history: History) -> None: ...


class Speaker(Follower):
    def stepped(self, history: History) -> None:
        print(history.steps, flush=True)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    train(LineTask(), replace(SETTINGS, save_seconds=0.0), Path(sys.argv[1]), Speaker())
