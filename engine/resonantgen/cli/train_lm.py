"""`train lm`: a model of one role, from a folder of stems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resonantgen.cli.base import reporter
from resonantgen.cli.train import FOLDER, reading, run_to_the_end, train_group
from resonantgen.music.notes import Role
from resonantgen.packages import require_packages

if TYPE_CHECKING:
    from rich.console import Console

    from resonantgen.training.lm_run import LMRun

DEFAULT_CODEC = "resonant"
SIZES = ("tiny", "small", "medium", "large")


@train_group.command("lm")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What it is to play.")
@click.option("--stems", metavar="FOLDER", type=FOLDER, required=True, help="With sound files, or a folder per role.")
@click.option("--out", metavar="FOLDER", type=FOLDER, required=True, help="Where the model goes; a run goes on there.")
@click.option("--codec", metavar="NAME", default=DEFAULT_CODEC, help=f"Or its folder. Default: {DEFAULT_CODEC}")
@click.option("--codebooks", metavar="N", type=click.IntRange(1), help="Of the codec's. Default: all.")
@click.option("--size", type=click.Choice(SIZES), default="small", help="Default: small, for a CPU.")
@click.option("--steps", metavar="N", type=click.IntRange(1), default=3000, help="Default: 3000")
@click.option("--batch", metavar="N", type=click.IntRange(1), default=4, help="Pieces in a step. Default: 4")
@click.option("--seconds", metavar="S", type=click.FloatRange(0.1, 120), default=6.0, help="Of a piece. Default: 6")
@click.option("--rate", metavar="R", type=click.FloatRange(0, 1, min_open=True), default=1e-3, help="Default: 0.001")
@click.option("--seed", metavar="N", type=click.IntRange(0), default=0, help="Another seed, another model.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda or mps. Default: $RESONANTGEN_DEVICE")
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Of the CPU. Default: all.")
@click.option("--save-every", metavar="S", type=click.FloatRange(0), default=120.0, help="In seconds. Default: 120")
@click.option("--evaluate-every", metavar="N", type=click.IntRange(1), default=250, help="In steps. Default: 250")
@click.option("--licence", metavar="TEXT", default="as you say", help='Of the model, for its card: "CC-BY-4.0".')
def train_lm_command(
    role: str,
    stems: Path,
    out: Path,
    codec: str,
    codebooks: int | None,
    size: str,
    steps: int,
    batch: int,
    seconds: float,
    rate: float,
    seed: int,
    device: str | None,
    threads: int | None,
    save_every: float,
    evaluate_every: int,
    licence: str,
) -> None:
    """Train a model that plays one role the way your stems do.

    The same command goes on with a run that was interrupted. Play the model with --generator drums=./my-drums.
    """
    require_packages(("torch", "scipy"), "neural", "Models cannot be trained")
    from resonantgen.training.distributed import joined, local_device
    from resonantgen.training.lm_run import LMRun
    from resonantgen.training.loop import TrainSettings

    place = local_device(device)
    settings = TrainSettings(
        steps=steps,
        seed=seed,
        learning_rate=rate,
        warmup_steps=min(100, steps // 10),
        weight_decay=0.1,
        save_seconds=save_every,
        evaluate_every=evaluate_every,
        ema_decay=0.999,
        device=str(place),
        threads=threads,
    )
    run = LMRun(Role(role), stems, out, codec, codebooks, size, seconds, batch, settings, licence)
    with joined(place) as here:
        _train(run, reporter(False).console, here.writes)


def _train(run: LMRun, console: Console, tells: bool) -> None:
    from resonantgen.codecs.loading import load_codec
    from resonantgen.training.lm_run import prepare, train_lm

    loaded = load_codec(run.codec, run.settings.device)
    with reading(console, tells) as on_file:
        task, saver, facts = prepare(run, loaded, on_file)
    if tells:
        parameters = task.transformer.config.parameters / 1e6
        text = f"  {saver.training_data} · {parameters:.1f} million parameters · {loaded.codec.name}"
        console.print(text, markup=False, soft_wrap=True)
    use = f'Play it: resonantgen generate "…" --generator {run.role.value}={_as_path(run.out)}'
    run_to_the_end(console, tells, run, saver, lambda progress: train_lm(run, task, facts, progress), use)


def _as_path(folder: Path) -> str:
    """As `--generator` takes it: with a separator, so that it is no name."""
    text = str(folder)
    return text if "/" in text or "\\" in text else f"./{text}"
