"""`train codec`: a codec of one's own, from a folder of stems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resonantgen.cli.base import reporter
from resonantgen.cli.train import FOLDER, reading, run_to_the_end, train_group
from resonantgen.errors import BadValue
from resonantgen.packages import require_packages

if TYPE_CHECKING:
    from rich.console import Console

    from resonantgen.training.codec_run import CodecRun


def _shares(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """ "drums=1.5" -> ("drums", 1.5)."""
    shares = []
    for text in texts:
        role, _, number = text.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = 0.0
        if not role or not 0 < share < 1000:
            raise BadValue(f"--share takes a role and how often it is drawn, such as drums=1.5, not {text}.")
        shares.append((role, share))
    return tuple(shares)


@train_group.command("codec")
@click.option("--stems", metavar="FOLDER", type=FOLDER, required=True, help="With sound files, or a folder per role.")
@click.option("--out", metavar="FOLDER", type=FOLDER, required=True, help="Where the codec goes; a run goes on there.")
@click.option("--from", "start", metavar="NAME", help="Begin with this codec, or its folder: resonant. Default: anew.")
@click.option("--steps", metavar="N", type=click.IntRange(1), default=20_000, help="Default: 20000")
@click.option("--batch", metavar="N", type=click.IntRange(1), default=8, help="Crops in a step. Default: 8")
@click.option("--seconds", metavar="S", type=click.FloatRange(0.1, 60), default=1.0, help="Of a crop. Default: 1")
@click.option("--rate", metavar="R", type=click.FloatRange(0, 1, min_open=True), default=1e-3, help="Default: 0.001")
@click.option("--share", "shares", metavar="ROLE=N", multiple=True, callback=_shares, help="Draw it N times as often.")
@click.option("--adversarial", metavar="W", type=click.FloatRange(0), default=0.0, help="Weight of it. Default: 0")
@click.option("--seed", metavar="N", type=click.IntRange(0), default=0, help="Another seed, another codec.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda or mps. Default: $RESONANTGEN_DEVICE")
@click.option("--threads", metavar="N", type=click.IntRange(1), help="Of the CPU. Default: all.")
@click.option("--save-every", metavar="S", type=click.FloatRange(0), default=120.0, help="In seconds. Default: 120")
@click.option("--evaluate-every", metavar="N", type=click.IntRange(1), default=500, help="In steps. Default: 500")
def train_codec_command(
    stems: Path,
    out: Path,
    start: str | None,
    steps: int,
    batch: int,
    seconds: float,
    rate: float,
    shares: tuple[tuple[str, float], ...],
    adversarial: float,
    seed: int,
    device: str | None,
    threads: int | None,
    save_every: float,
    evaluate_every: int,
) -> None:
    """Train a codec on your stems: sound to tokens, and back.

    The same command goes on with a run that was interrupted. Use the codec with --model ./my-codec.
    """
    require_packages(("torch", "scipy"), "neural", "Codecs cannot be trained")
    from resonantgen.training.codec_run import CodecRun
    from resonantgen.training.codec_task import CodecSettings
    from resonantgen.training.distributed import joined, local_device
    from resonantgen.training.loop import TrainSettings

    place = local_device(device)
    settings = TrainSettings(
        steps=steps,
        seed=seed,
        learning_rate=rate,
        warmup_steps=min(100, steps // 10),
        final_rate=0.02,
        betas=(0.8, 0.99),
        weight_decay=1e-3,
        save_seconds=save_every,
        evaluate_every=evaluate_every,
        device=str(place),
        threads=threads,
    )
    losses = CodecSettings(batch=batch, crop_seconds=seconds, shares=shares, adversarial=adversarial)
    with joined(place) as here:
        _train(CodecRun(stems, out, start, losses, settings), reporter(False).console, here.writes)


def _train(run: CodecRun, console: Console, tells: bool) -> None:
    from resonantgen.training.codec_run import prepare, train_codec

    with reading(console, tells) as on_file:
        task, saver, facts = prepare(run, on_file)
    if tells:
        console.print(f"  {task.describe()}", markup=False, soft_wrap=True)
    use = f"Use it: resonantgen codec encode in.wav out.rgt --model {run.out}"
    run_to_the_end(console, tells, run, saver, lambda progress: train_codec(run, task, facts, progress), use)
