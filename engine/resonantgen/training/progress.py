"""How a run is shown while it goes: a bar in a terminal, a line now and then elsewhere, and the curve at each save."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from resonantgen.training.history import History

if TYPE_CHECKING:
    from rich.console import Console

    from resonantgen.training.loop import TrainSettings

LINE_SECONDS = 10.0  # between lines, where there is no terminal
RECENT_STEPS = 50  # that figures and speed are the mean of
MOST_FIGURES = 4  # in one line, beside the loss

OnSaved = Callable[[History, Path], None]


class TrainProgress:
    """An `Observer` (see `loop`). `on_saved` is called each time that the run was saved, such as to draw its curve."""

    def __init__(self, console: Console, on_saved: OnSaved | None = None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console, self._on_saved = console, on_saved
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._steps, self._line_at = 0, -math.inf
        self._times: deque[float] = deque(maxlen=RECENT_STEPS + 1)

    def started(self, history: History, settings: TrainSettings) -> None:
        self._steps = settings.steps
        self._times.append(time.monotonic())
        if 0 < history.steps < settings.steps:
            self._console.print(f"  Going on after step {history.steps} of {settings.steps}.", markup=False)
        self._bar.update(self._task, total=settings.steps, completed=history.steps)
        self._bar.start()

    def stepped(self, history: History) -> None:
        now = time.monotonic()
        self._times.append(now)
        speed = (len(self._times) - 1) / max(now - self._times[0], 1e-9)
        text = f"{figures_text(recent(history))}   {speed:.3g} steps/s"
        self._bar.update(self._task, completed=history.steps, description=text)
        done = history.steps == self._steps
        if self._bar.disable and (now - self._line_at >= LINE_SECONDS or done):
            self._line_at = now
            left = duration_text((self._steps - history.steps) / speed)
            self._print(f"  step {history.steps} of {self._steps}   {text}   {left} left")

    def evaluated(self, history: History) -> None:
        step, figures = history.evaluations[-1]
        if figures:
            self._print(f"  step {step}, held out: {figures_text(figures, len(figures))}")

    def saved(self, history: History, folder: Path) -> None:
        if self._on_saved:
            self._on_saved(history, folder)

    def ended(self, history: History) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was; also after an error."""
        self._bar.stop()

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def recent(history: History) -> dict[str, float]:
    """Mean of the loss and its parts over the last steps."""
    columns = {"loss": history.losses, **history.parts}
    means = {name: _mean(values[-RECENT_STEPS:]) for name, values in columns.items()}
    return {name: mean for name, mean in means.items() if not math.isnan(mean)}


def figures_text(figures: Mapping[str, float], most: int = MOST_FIGURES + 1) -> str:
    """ "loss 2.31   mel 1.02"."""
    return "   ".join(f"{name} {value:.4g}" for name, value in list(figures.items())[:most])


def duration_text(seconds: float) -> str:
    """ "1:02:03", "0:07"."""
    whole = round(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
