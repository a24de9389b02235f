"""The training loop: what is learned is a task's matter, how a run goes on, stops and goes on again is told here.

A run is a function of its settings, its data and its seed, to the last digit: each step draws its batch from a
generator that is seeded with the number of the step, and everything else that a step depends on is in one file (see
`run_state`). A run that was killed goes on from there with the same curve.
"""

from __future__ import annotations

import hashlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from resonantgen.errors import BadValue
from resonantgen.training.claim import claimed
from resonantgen.training.distributed import World, average, average_gradients, joined, share
from resonantgen.training.history import History
from resonantgen.training.run_state import STATE_NAME, read_state, write_state


class Task(Protocol):
    """What is learned, from what."""

    @property
    def name(self) -> str: ...
    @property
    def module(self) -> nn.Module:
        """All that is learned: parameters, and buffers that change."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For AdamW. A group may have an `lr_scale`, which its learning rate is multiplied by."""
        ...

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch that is drawn from `generator` alone, as is all else that is random; and its parts."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures of held-out data. Nothing is learned from it, and nothing is random."""
        ...


class Observer(Protocol):
    """Who follows a run: called in the process that writes, between steps."""

    def started(self, history: History, settings: TrainSettings) -> None: ...
    def stepped(self, history: History) -> None: ...
    def evaluated(self, history: History) -> None: ...
    def saved(self, history: History, folder: Path) -> None:
        """What results is to be written into the folder: the module has the weights. The run's state follows."""
        ...

    def ended(self, history: History) -> None:
        """All steps are done, or it was interrupted and saved."""
        ...


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a task is trained. A run goes on only with the same, but for `save_seconds`."""

    steps: int
    seed: int = 0
    learning_rate: float = 3e-4
    warmup_steps: int = 100
    final_rate: float = 0.05  # the last step's learning rate over the highest; a cosine lies between
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # of all gradients of a group together
    save_seconds: float = 120.0
    evaluate_every: int = 500  # steps; also after the last
    ema_decay: float | None = None  # of averaged weights, which are evaluated and result; None: the weights themselves
    device: str = "cpu"
    threads: int | None = None  # of torch; None: as it chooses

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        along = min(1.0, max(0.0, (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)))
        cosine = self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * along))
        return self.learning_rate * warmup * cosine

    def identity(self) -> dict[str, Any]:
        """What a run that goes on must have in common with this."""
        common = {name: value for name, value in asdict(self).items() if name != "save_seconds"}
        return common | {"device": torch.device(self.device).type}


def train(
    task: Task,
    settings: TrainSettings,
    out: Path,
    observer: Observer | None = None,
    facts: Mapping[str, Any] | None = None,
) -> History:
    """Train until the last step, or until Ctrl-C; a run that is in `out` goes on. The module ends with what it learned.

    `facts` are what tells this run from others, such as hashes of its data: JSON values. Under torchrun, every process
    calls this. Raises BadValue for a folder with another run and for a loss that is no number, StorageError,
    ModelDamaged.
    """
    device = torch.device(settings.device)
    with (
        joined(device) as here,
        _threads(settings.threads),
        _exact(device),
        claimed(out, "training") if here.writes else nullcontext(),
    ):
        run = _Run(task, settings, out, here, {"task": task.name, **settings.identity(), **(facts or {})})
        watcher = observer if here.writes else None
        run.resume()
        if watcher:
            watcher.started(run.history, settings)
        run.go(watcher)
        if watcher:
            watcher.ended(run.history)
        run.finish()
        return run.history


class _Run:
    def __init__(
        self, task: Task, settings: TrainSettings, out: Path, here: World, identity: Mapping[str, Any]
    ) -> None:
        self.task, self.settings, self.here, self.out = task, settings, here, out
        self.device = torch.device(settings.device)
        self.identity = {**identity, "processes": here.size}
        self.module = task.module.to(self.device)
        groups = [dict(group) for group in task.parameter_groups()]
        self._scales = [float(group.pop("lr_scale", 1.0)) for group in groups]
        self._parameters = [p for group in groups for p in group["params"]]
        self._optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )
        wanted = settings.ema_decay is not None
        self._averaged = {n: p.detach().clone() for n, p in self.module.named_parameters()} if wanted else {}
        self.history = History()
        self._saved_at = -1  # steps

    def resume(self) -> None:
        """Go on with what is in the folder, if anything is."""
        path = self.out / STATE_NAME
        if path.is_file():
            self.history = read_state(path, self.module, self._optimizer, self._averaged, self.identity)
            self._saved_at = self.history.steps
        else:
            share([*self.module.parameters(), *self.module.buffers()], self.here)
            for name, parameter in self.module.named_parameters():
                if name in self._averaged:
                    self._averaged[name].copy_(parameter.detach())

    def go(self, watcher: Observer | None) -> None:
        saved = time.monotonic()
        with _interrupts() as interrupted:
            stop = False
            while self.history.steps < self.settings.steps and not stop:
                stop = self._step(interrupted.is_set())
                if watcher:
                    watcher.stepped(self.history)
                if self.history.steps % self.settings.evaluate_every == 0 or self.history.steps == self.settings.steps:
                    self._evaluate(watcher)
                if self.here.writes and time.monotonic() - saved >= self.settings.save_seconds:
                    self._save(watcher)
                    saved = time.monotonic()
            if self.here.writes and self._saved_at != self.history.steps:
                self._save(watcher)

    def finish(self) -> None:
        """The averaged weights, if there are any, take the place of those that were trained."""
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self._averaged:
                    parameter.copy_(self._averaged[name])
        self.module.eval()

    def _step(self, interrupted: bool) -> bool:
        """One step. Gives whether any process was interrupted."""
        step, here = self.history.steps, self.here
        self.module.train()
        self._optimizer.zero_grad(set_to_none=True)
        generator = torch.Generator().manual_seed(step_seed(self.settings.seed, step, here.rank))
        loss, parts = self.task.loss(step, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self._parameters, here)
        figures = average([float(loss.detach()), float(interrupted), *parts.values()], here, self.device)
        groups = [group["params"] for group in self._optimizer.param_groups]
        norms = [float(nn.utils.clip_grad_norm_(group, self.settings.clip_norm)) for group in groups]
        if not all(map(math.isfinite, (figures[0], *norms))):
            raise BadValue(
                f"The loss is no number any more at step {step + 1}. Try a lower learning rate, in another folder."
            )
        for group, scale in zip(self._optimizer.param_groups, self._scales, strict=True):
            group["lr"] = self.settings.rate(step) * scale
        self._optimizer.step()
        self._average_weights(step)
        self.history.add(figures[0], dict(zip(parts, figures[2:], strict=True)))
        return figures[1] > 0

    def _average_weights(self, step: int) -> None:
        if self.settings.ema_decay is None:
            return
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))  # the first weights are soon forgotten
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                self._averaged[name].lerp_(parameter, 1 - decay)

    def _evaluate(self, watcher: Observer | None) -> None:
        if not self.here.writes:
            return
        with self._with_averaged(), torch.no_grad():
            self.module.eval()
            figures = self.task.evaluate()
        self.module.train()
        self.history.evaluations.append((self.history.steps, figures))
        if watcher:
            watcher.evaluated(self.history)

    @contextmanager
    def _with_averaged(self) -> Iterator[None]:
        trained = {n: p.detach().clone() for n, p in self.module.named_parameters() if n in self._averaged}
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self._averaged:
                    parameter.copy_(self._averaged[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.module.named_parameters():
                    if name in trained:
                        parameter.copy_(trained[name])

    def _save(self, watcher: Observer | None) -> None:
        """The state is last: a run of which it says that it is done has written all that results, whenever it ended."""
        if watcher:
            with self._with_averaged():
                watcher.saved(self.history, self.out)
        write_state(self.out / STATE_NAME, self.module, self._optimizer, self._averaged, self.history, self.identity)
        self._saved_at = self.history.steps


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of one process's generator in one step."""
    digest = hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and a request to end are noted and met between two steps; a second Ctrl-C ends at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """On a GPU, sums are in the same order each time. A CPU does so by itself."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
