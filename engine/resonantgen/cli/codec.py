"""`codec encode | decode | info`: sound files to token files and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from resonantgen.cli.base import Interrupted, commands, json_option, print_json, reporter
from resonantgen.errors import BadValue, ModelNotFound

if TYPE_CHECKING:
    from rich.console import Console

    from resonantgen.codecs.loading import LoadedCodec
    from resonantgen.codecs.token_file import TokenHeader

DEFAULT_BANDWIDTH_KBPS = 6.0
INTERRUPTED = "Interrupted. Nothing was written."

FILE = click.Path(path_type=Path)


device_option = click.option("--device", metavar="NAME", help="auto, cpu, cuda or mps. Default: $RESONANTGEN_DEVICE")


@commands.group("codec")
def codec_group() -> None:
    """Sound as tokens, and tokens as sound."""


@codec_group.command()
@click.argument("source", metavar="IN.WAV", type=FILE)
@click.argument("target", metavar="OUT.RGT", type=FILE)
@click.option("--model", metavar="NAME", help="Or a folder or file. Default: resonant, which is shipped.")
@click.option("--bandwidth", metavar="KBPS", type=float, help="In kbit/s; 6 by default, where the model has it.")
@device_option
@json_option
def encode(
    source: Path, target: Path, model: str | None, bandwidth: float | None, device: str | None, as_json: bool
) -> None:
    """Write a sound file's tokens. It may have any sample rate, and one or two channels."""
    from resonantgen.codecs.loading import DEFAULT_CODEC, load_codec

    _check_target(source, target)
    loaded = load_codec(model or DEFAULT_CODEC, device)
    codebooks = _codebooks(loaded, bandwidth)
    from resonantgen.codecs.transcode import encode_file

    report = reporter(as_json)
    began = perf_counter()
    with _progress(report.console, source.name) as on_progress:
        header = encode_file(source, target, loaded, codebooks, on_progress)
    if as_json:
        print_json(_document(header, target))
    else:
        report.plain(f"  {target}   {_summary(header, target)}   {perf_counter() - began:.1f} s")


@codec_group.command()
@click.argument("source", metavar="IN.RGT", type=FILE)
@click.argument("target", metavar="OUT.WAV", type=FILE)
@click.option("--model", metavar="NAME", help="Or a folder or file. Default: the model that it was encoded with.")
@click.option("--sample-rate", metavar="HZ", type=click.IntRange(min=1), help="Default: the codec's.")
@device_option
@json_option
def decode(
    source: Path, target: Path, model: str | None, sample_rate: int | None, device: str | None, as_json: bool
) -> None:
    """Write the sound of tokens, as long as what was encoded: a 24-bit WAV or FLAC file."""
    from resonantgen.codecs.loading import load_codec
    from resonantgen.codecs.token_file import read_header

    header = read_header(source)
    _check_target(source, target)
    rate = header.sample_rate if sample_rate is None else sample_rate
    loaded = load_codec(model or _model_of(header, source), device)
    from resonantgen.codecs.transcode import decode_file

    report = reporter(as_json)
    began = perf_counter()
    with _progress(report.console, source.name) as on_progress:
        samples = decode_file(source, target, loaded, rate, on_progress)
    if as_json:
        print_json({"file": str(target), "sample_rate": rate, "channels": header.channels, "samples": samples})
    else:
        length = f"{_time(samples / rate)} · {rate} Hz · {_channels(header.channels)}"
        report.plain(f"  {target}   {length}   {perf_counter() - began:.1f} s")


@codec_group.command()
@click.argument("source", metavar="[IN.RGT]", type=FILE, required=False)
@click.option("--model", metavar="NAME", help="Or a folder or file: what this codec is, and how it was trained.")
@json_option
def info(source: Path | None, model: str | None, as_json: bool) -> None:
    """Say what is in a token file, for which the model need not be there; or what a codec is, with --model."""
    from resonantgen.codecs.token_file import read_header

    if model is not None and source is None:
        _show_codec(model, as_json)
        return
    if source is None or model is not None:
        raise BadValue("Give a token file, or a codec with --model NAME: one of both.")
    header = read_header(source)
    if as_json:
        print_json(_document(header, source))
        return
    report = reporter(as_json)
    report.line("length", f"{_time(header.seconds)} · {header.samples} samples at {header.sample_rate} Hz", "")
    report.line("sound", f"{_channels(header.channels)} · from {header.source_sample_rate} Hz")
    report.line("model", header.model, f"(weights {header.weights_sha256[:12]})")
    books = f"{header.codebooks} codebooks of {header.cardinality}"
    report.line("tokens", f"{header.frames} frames, {float(header.frame_rate):g} a second · {books}")
    report.line("bandwidth", f"{float(header.bandwidth_kbps):g} kbit/s", f"({_size(source)})")


def _check_target(source: Path, target: Path) -> None:
    """Raises BadValue if what is read would be written over, under whatever name."""
    if source.exists() and target.exists() and target.samefile(source):
        raise BadValue(f"{target} is the file that is read. Name another for what is written.")


def _codebooks(loaded: LoadedCodec, bandwidth_kbps: float | None) -> int:
    """How many to use. Raises BadValue with the bandwidths that there are."""
    from resonantgen.codecs.bandwidth import codebooks_at

    shape = loaded.codec.shape
    if bandwidth_kbps is None:
        offered = shape.bandwidths_kbps
        bandwidth_kbps = DEFAULT_BANDWIDTH_KBPS if DEFAULT_BANDWIDTH_KBPS in offered else offered[-1]
    return codebooks_at(shape, bandwidth_kbps)


def _model_of(header: TokenHeader, source: Path) -> str:
    """Raises ModelNotFound for tokens of a model that only has a place."""
    from resonantgen.models.catalog import catalog

    if header.model not in catalog():
        raise ModelNotFound(
            f"{source} was encoded with {header.model}, which is not in the catalogue. Say where it is: --model PATH"
        )
    return header.model


def _show_codec(model: str, as_json: bool) -> None:
    from resonantgen.codecs.loading import load_codec, told

    loaded = load_codec(model, "cpu")
    codec, about = loaded.codec, loaded.about
    if as_json:
        facts = {"model": codec.name, "weights_sha256": loaded.weights_sha256, "sample_rate": codec.sample_rate}
        shape = {"channels": codec.channels, "codebooks": codec.codebooks, "cardinality": codec.cardinality}
        rates = {"frame_rate": codec.frame_rate, "bandwidths_kbps": list(codec.shape.bandwidths_kbps)}
        print_json({**facts, **shape, **rates, "about": dict(about)})
        return
    report = reporter(as_json)
    report.line("model", codec.name, f"(weights {loaded.weights_sha256[:12]})")
    report.line("sound", f"{codec.sample_rate} Hz · {_channels(codec.channels)}")
    report.line("tokens", f"{codec.frame_rate:g} frames a second · {codec.codebooks} codebooks of {codec.cardinality}")
    report.line("bandwidth", ", ".join(f"{kbps:g}" for kbps in codec.shape.bandwidths_kbps) + " kbit/s")
    for number, (key, value) in enumerate(told(about).items()):
        report.line("" if number else "trained", f"{key}: {value}")


# -- printing ---------------------------------------------------------------------------------------------------------


def _document(header: TokenHeader, path: Path) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(header)
    derived = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "seconds": header.seconds,
        "frame_rate": float(header.frame_rate),
        "bandwidth_kbps": float(header.bandwidth_kbps),
    }
    return derived | fields


def _summary(header: TokenHeader, path: Path) -> str:
    kbps = f"{float(header.bandwidth_kbps):g} kbit/s"
    return f"{_time(header.seconds)} · {header.model} · {kbps} · {header.frames} frames · {_size(path)}"


def _size(path: Path) -> str:
    from resonantgen.models.catalog import bytes_text

    return bytes_text(path.stat().st_size)


def _channels(count: int) -> str:
    return "mono" if count == 1 else "stereo"


def _time(seconds: float) -> str:
    """ "1:02:03.5", "0:07.0"."""
    tenths = round(seconds * 10)
    minutes, hours = tenths // 600 % 60, tenths // 36_000
    last = f"{tenths % 600 / 10:04.1f}"
    return f"{hours}:{minutes:02}:{last}" if hours else f"{minutes}:{last}"


@contextmanager
def _progress(console: Console, name: str) -> Iterator[Callable[[float], None]]:
    """A bar while there is a terminal; and what Ctrl-C means here."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    label = TextColumn("  {task.description}", markup=False)
    columns = (label, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(name, total=1.0)
            yield lambda share: progress.update(task, completed=share)
    except KeyboardInterrupt:
        raise Interrupted(INTERRUPTED) from None
