"""A codec's model card: what it learned from, how, what it is worth; and how a codec comes to be the shipped one.

    python -m resonantgen.training.model_card my-codec --stems ~/stems --figures figures.json --command "…"
    python -m resonantgen.training.model_card my-codec --stems ~/stems --figures figures.json --command "…" --ship

The first writes my-codec/README.md. The second puts the codec, its card and their checksums where the shipped model
lies, in presets/models/resonant. `tests/benchmarks/codec_quality.py` makes the figures.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from resonantgen.codecs.loading import DEFAULT_CODEC, told
from resonantgen.codecs.resonant.weights import FILE, Weights, read_weights, write_weights
from resonantgen.errors import ModelUnusable
from resonantgen.models.catalog import bytes_text, model_info
from resonantgen.models.folder import model_folder, record_shipped
from resonantgen.session.files import storage_errors, write_file
from resonantgen.training.stem_folder import MANIFEST, manifest_lines

CARD = "README.md"
MOST_BYTES = 24_000_000  # of the shipped weights
HELD_OUT = "held_out"

# Who made the notes and the sounds of `train stems`, by the names that its manifest gives them.
SOURCES = {
    "composed": "the project's own composers, in all its styles",
    "groove": "Groove MIDI Dataset, Google Magenta: J. Gillick, A. Roberts, J. Engel, D. Eck, D. Bamman, "
    '"Learning to Groove with Inverse Sequence Transformations", ICML 2019 '
    "(https://magenta.tensorflow.org/datasets/groove); rendered on other sounds, and transposed in loudness",
    "pop909": "POP909, Music X Lab: Z. Wang et al., ISMIR 2020 (https://github.com/music-x-lab/POP909-Dataset)",
    "freedoom": "the music of Freedoom, by its contributors (https://freedoom.github.io)",
    "own": "the project's own instruments",
    "FluidR3_GM": "the soundfont FluidR3 GM, by Frank Wen",
    "MuseScore_General": "the soundfont MuseScore General, by S. Christian Collins, after FluidR3",
    "TimGM6mb": "the soundfont TimGM6mb, by Tim Brechbill",
    "samples": "drum samples of Sonic Pi, CC0 from freesound.org",
}


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """What matters here of a line of the manifest; a person's own need not have it."""

    role: str = "sound"
    split: str = "train"
    seconds: float = 0.0
    piece: str = ""
    licence: str = ""
    instrument: str = ""
    instrument_licence: str = ""


@dataclass(slots=True)
class Data:
    """What is in a folder of stems."""

    hours: Counter[tuple[str, str]] = field(default_factory=Counter)  # by role and split
    sources: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # files, by split, source and licence

    @classmethod
    def of(cls, stems: Path) -> Data:
        """From the manifest, if there is one. Raises BadValue, StorageError."""
        data, path = cls(), stems / MANIFEST
        if path.is_file():
            with storage_errors(path):
                for _, line in manifest_lines(path, _Line):
                    data.add(line)
        return data

    def add(self, line: _Line) -> None:
        self.hours[line.role, line.split] += line.seconds / 3600  # type: ignore[assignment]
        for name, licence in ((line.piece, line.licence), (line.instrument, line.instrument_licence)):
            if name:
                self.sources[line.split, name.partition(":")[0], licence or "not stated"] += 1


def codec_card(weights: Weights, data: Data, command: str, figures: Mapping[str, Any] | None = None) -> str:
    """The card's text, in Markdown. `figures` is what `codec_quality.py` wrote, or none."""
    config = weights.config
    size = sum(2 * tensor.numel() for tensor in weights.state.values())
    bandwidths = ", ".join(f"{kbps:g}" for kbps in config.bandwidths_kbps)
    parts = [
        f"# {config.name}\n",
        f"A neural audio codec of ResonantGen: {config.sample_rate / 1000:g} kHz, mono, {config.frame_rate:g} frames a "
        f"second of up to {config.codebooks} indices from 0 to {config.cardinality - 1} ({bandwidths} kbit/s). "
        "It streams, with two frames of delay.\n",
        f"- weights: {sum(tensor.numel() for tensor in weights.state.values()) / 1e6:.1f} million 16-bit numbers, "
        f"{bytes_text(size)}\n- hash: `{weights.sha256}`\n- made with: `{command}`\n"
        + "".join(f"- {text}: {value}\n" for text, value in told(weights.about).items()),
        *_figures(figures),
        *_data(data),
    ]
    return "\n".join(parts)


def _figures(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    return [f"## Held-out stems\n\n{figures['table']}"]


def _data(data: Data) -> list[str]:
    if not data.hours:
        return ["## Data\n\nStems of its user's own.\n"]
    roles = sorted({role for role, _ in data.hours})
    rows = [f"| {role} | {data.hours[role, 'train']:.1f} h | {_held_out(data, role):.1f} h |" for role in roles]
    hours = "\n".join(["| role | learned from | held out |", "|---|---|---|", *rows])
    return [f"## Data\n\n{hours}\n", *_sources(data, "train", "Learned from"), *_sources(data, HELD_OUT, "Held out")]


def _held_out(data: Data, role: str) -> float:
    return sum(hours for (of, split), hours in data.hours.items() if of == role and split != "train")


def _sources(data: Data, split: str, title: str) -> Iterable[str]:
    found = {(source, licence): count for (of, source, licence), count in data.sources.items() if of == split}
    if not found:
        return []
    rows = [
        f"| {SOURCES.get(source, source)} | {licence} | {count} |"
        for (source, licence), count in sorted(found.items(), key=lambda item: -item[1])
    ]
    return [f"{title}, notes and sounds:\n", "\n".join(["| source | licence | stems |", "|---|---|---|", *rows]), ""]


def write_card(
    folder: Path, data: Data, command: str, figures: Mapping[str, Any] | None = None, name: str | None = None
) -> Path:
    """Write the card of the codec in a folder, beside it. Raises ModelError, StorageError."""
    text = codec_card(read_weights(folder, name), data, command, figures)
    with storage_errors(folder):
        write_file(folder / CARD, text.encode())
    return folder / CARD


def ship(codec: Path, data: Data, command: str, figures: Mapping[str, Any] | None) -> Path:
    """Let this codec be the one that comes with ResonantGen; its folder. Raises ModelError, StorageError."""
    folder = model_folder(model_info(DEFAULT_CODEC))
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    weights = read_weights(codec, DEFAULT_CODEC)
    write_weights(weights.codec(), folder / FILE, weights.about)
    size = (folder / FILE).stat().st_size
    if size > MOST_BYTES:
        raise ModelUnusable(
            f"{folder / FILE} has {bytes_text(size)}: more than {bytes_text(MOST_BYTES)} is not shipped."
        )
    write_card(folder, data, command, figures, DEFAULT_CODEC)
    record_shipped(DEFAULT_CODEC)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codec", type=Path, help="the folder that `train codec` wrote, or its file")
    parser.add_argument("--stems", type=Path, required=True, help="what it learned from")
    parser.add_argument("--command", required=True, help="what it was trained with")
    parser.add_argument("--figures", type=Path, help="what tests/benchmarks/codec_quality.py wrote")
    parser.add_argument("--ship", action="store_true", help="make it the one that comes with ResonantGen")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text()) if options.figures else None
    write = ship if options.ship else write_card
    print(write(options.codec, Data.of(options.stems), options.command, figures))


if __name__ == "__main__":
    main()
