"""`train …`: models from a person's own sound. Each command of the group has a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from resonantgen.cli.base import Interrupted, commands

if TYPE_CHECKING:
    from rich.console import Console

    from resonantgen.training.history import History
    from resonantgen.training.loop import Observer, TrainSettings
    from resonantgen.training.progress import OnSaved

FOLDER = click.Path(path_type=Path)


class Run(Protocol):
    """What all runs have."""

    @property
    def out(self) -> Path: ...
    @property
    def settings(self) -> TrainSettings: ...


@commands.group("train")
def train_group() -> None:
    """Models from your own sound."""
    from resonantgen.training.memory import keep_memory

    keep_memory("train")


@contextmanager
def reading(console: Console, tells: bool) -> Iterator[Callable[[int, Path], None]]:
    """How far the stems are read."""
    from rich.progress import Progress, TextColumn

    columns = (TextColumn("  {task.description}", markup=False),)
    with Progress(*columns, console=console, transient=True, disable=not (tells and console.is_terminal)) as progress:
        task = progress.add_task("stems …")
        yield lambda done, path: progress.update(task, description=f"stem {done + 1}: {path.name}")


def run_to_the_end(
    console: Console, tells: bool, run: Run, on_saved: OnSaved, work: Callable[[Observer], History], use: str
) -> None:
    """Train, shown as it goes; in the end `use` says what to do with the model. Raises Interrupted after Ctrl-C."""
    from resonantgen.training.progress import TrainProgress

    progress = TrainProgress(console, on_saved)
    try:
        history = work(progress)
    finally:
        progress.close()
    if history.steps < run.settings.steps:
        raise Interrupted(
            f"Stopped after step {history.steps} of {run.settings.steps}; {run.out} has them. The same command goes on."
        )
    if tells:
        text = f"  {run.out}   {history.steps} steps · curve.png shows them. {use}"
        console.print(text, markup=False, soft_wrap=True)
