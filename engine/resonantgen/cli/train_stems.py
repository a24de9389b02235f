"""`train stems`: sound to train on, rendered from public symbolic music and the project's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resonantgen.cli.base import Interrupted, reporter
from resonantgen.cli.train import FOLDER, train_group
from resonantgen.packages import require_packages

if TYPE_CHECKING:
    from rich.console import Console

    from resonantgen.training.stems import StemLine

LINES = 20  # where there is no terminal: a line every so many stems


@train_group.command("stems")
@click.option("--music", metavar="FOLDER", type=FOLDER, required=True, help="With groove-midi.tar.xz, pop909.tar.xz, …")
@click.option("--out", metavar="FOLDER", type=FOLDER, required=True, help="Where the stems go; a run goes on there.")
@click.option("--hours", metavar="H", type=click.FloatRange(0, 1000, min_open=True), default=20.0, help="Default: 20")
@click.option("--seed", metavar="N", type=click.IntRange(0), default=0, help="Another seed, other stems.")
@click.option("--jobs", metavar="N", type=click.IntRange(1, 64), default=1, help="Processes. Default: 1")
def train_stems_command(music: Path, out: Path, hours: float, seed: int, jobs: int) -> None:
    """Render stems of drums, bass, harmony and melody from public music, to train codecs and models on.

    Needs FluidSynth, the soundfonts and the samples: apt install fluidsynth fluid-soundfont-gm
    musescore-general-soundfont timgm6mb-soundfont sonic-pi-samples. The same command goes on with a run that was
    interrupted.
    """
    require_packages(("scipy",), "neural", "Stems cannot be rendered")
    from resonantgen.training.stems import StemOrder, render_stems

    order = StemOrder(music, out, hours, seed)
    report = reporter(False)
    try:
        with _progress(report.console) as on_stem:
            count = render_stems(order, jobs, on_stem)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted. The same command goes on; what is done is in {out}.") from None
    report.plain(f"  {count} stems, {count * order.stem_seconds / 3600:.1f} h, in {out}")


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[StemLine, int, int], None]]:
    """A bar in a terminal, a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("  {task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("")

        def on_stem(line: StemLine, count: int, total: int) -> None:
            progress.update(task, description=line.text, completed=count, total=total)
            if not console.is_terminal and (count % LINES == 0 or count == total):
                console.print(f"  {count} of {total}: {line.file}, {line.text}", markup=False, soft_wrap=True)

        yield on_stem
