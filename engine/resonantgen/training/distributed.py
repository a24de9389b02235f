"""Several processes that train one model, as torchrun starts them: each has its own batches; gradients are averaged.

torchrun says in the environment who is who (RANK, WORLD_SIZE, LOCAL_RANK). A run without it is a world of one, for
which nothing here does anything. Only the process of rank 0 writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from resonantgen.device import place

PATIENCE = timedelta(hours=24)  # that one process has with another, which may be reading or encoding the data


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run, and which of them this one is."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine: the number of its GPU

    @property
    def writes(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0


def world() -> World:
    """What torchrun says in the environment."""
    return World(*(int(os.environ.get(name) or one) for name, one in _VARIABLES))


_VARIABLES = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Meet the other processes, and part in the end. They speak over nccl on GPUs, over gloo elsewhere."""
    here = world()
    if here.size == 1 or distributed.is_initialized():
        yield here
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield here
    finally:
        distributed.destroy_process_group()


def local_device(name: str | None) -> torch.device:
    """Where this process computes: of several GPUs each has its own. See `device.place`. Raises ModelUnusable."""
    found, here = place(name, "float32").device, world()
    several = here.size > 1 and found.type == "cuda" and found.index is None
    return place(f"cuda:{here.local_rank}", "float32").device if several else found


def average_gradients(parameters: Iterable[nn.Parameter], here: World) -> None:
    """The mean over all processes takes the place of each one's gradients: those of the joint batch."""
    if here.size == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad and parameter.grad is None:  # some process may have used it
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= here.size


def average(values: Sequence[float], here: World, device: torch.device) -> list[float]:
    """The mean of figures over all processes, which must give as many."""
    if here.size == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return [value / here.size for value in total.tolist()]


def wait(here: World) -> None:
    """Until all processes have come here."""
    if here.size > 1:
        distributed.barrier()


def share(tensors: Iterable[Tensor], here: World) -> None:
    """What rank 0 has, in all processes."""
    if here.size > 1:
        for tensor in tensors:
            distributed.broadcast(tensor.detach(), 0)  # in place, and nothing of it is learned from
