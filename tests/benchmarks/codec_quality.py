"""How the resonant codec sounds on stems that it never learned from, for docs/codec.md.

    python tests/benchmarks/codec_quality.py /work/stems --figures figures.json --page docs/codec.md
    python tests/benchmarks/codec_quality.py /work/stems --model my-codec --seconds 20 --most 4     # quickly

SI-SDR (J. Le Roux et al., 2019) and mel distance (training/codec_losses.py), each the mean over the held-out stems of a
role, at each bandwidth; which share of the first codebook's tokens stays when what was decoded is encoded again; and
pictures, original beside decoded. `--wide` tells how much of the energy of sound at 44.1 kHz or more, such as our own
exports, lies above 12 kHz, which a codec of 24 kHz gives up.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.loading import LoadedCodec, load_codec
from resonantgen.training.codec_losses import MelDistance, si_sdr_db
from resonantgen.training.sounds import read_sound, stems_by_role

GOALS_DB = {"bass": 10.0, "drums": 6.0, "harmony": 6.0, "melody": 4.0}  # at the highest bandwidth
TOKENS_GOAL = 0.9
PICTURE_SECONDS = 4.0
WINDOW, HOP = 1024, 250
FLOOR_DB = -80.0
COLOURS = np.array([[0, 0, 4], [60, 15, 110], [180, 50, 90], [250, 140, 40], [252, 255, 190]], dtype=np.float64)

PAGE = """# The resonant codec

`resonant` turns sound into tokens and back: 24 kHz, mono, 75 frames a second of 8 indices of 10 bits (6 kbit/s); the
first 4 or 2 of them are 3 or 1.5 kbit/s. It comes with ResonantGen, and nothing is fetched. `resonantgen codec encode`
uses it unless another is named. What it learned from is in its [model card](../presets/models/resonant/README.md).

Sound is cut into an MDCT of 320 coefficients a frame, compressed by a square root; causal ConvNeXt blocks make vectors
of them, which a residual quantiser writes as indices (a search with a beam of 8, which prefers what will be found
again); the decoder is the same backwards, and looks one frame ahead. A frame's codes are certain half a frame after it,
its sound one and a half frames after its codes. How it learned:
[decision 0145](decisions/0145-how-the-codec-learns.md).

## Held-out stems

Never trained on: other pieces, drums from other kits, pitched parts through another soundfont. Means over {count} stems
of {seconds:g} seconds. SI-SDR in dB, more is better; mel distance (lower is better) in parentheses.

{table}
{wide}
Made by `{command}`; weights `{sha256}`.

## Original beside decoded, at {kbps:g} kbit/s

From 0 to 12 kHz, upwards; 4 seconds; 80 dB from black to white.

{pictures}
"""


def measure(
    loaded: LoadedCodec, stems: Path, seconds: float, most: int | None, pictures: Path | None
) -> dict[str, Any]:
    """Figures by role and bandwidth."""
    codec = loaded.codec
    bandwidths = sorted(codec.shape.bandwidths_kbps, reverse=True)
    mel, roles, stays, count = MelDistance(codec.sample_rate), {}, [], 0
    for role, found in stems_by_role(stems).items():
        rows = []
        for stem in [stem for stem in found if stem.held_out][:most]:
            sound = read_sound(stem.path, codec.sample_rate)[: round(seconds * codec.sample_rate)]
            x = torch.from_numpy(sound.astype(np.float32) / 32768)[None]
            codes = [codec.encode(x[:, None], codebooks_at(codec.shape, kbps)) for kbps in bandwidths]
            made = [codec.decode(each)[:, 0, : x.shape[1]] for each in codes]
            rows.append([(float(si_sdr_db(y, x)), float(mel(y, x))) for y in made])
            again = codec.encode(made[0][:, None], 1).indices
            stays.append(float((again == codes[0].indices[:, :1]).double().mean()))
            if pictures is not None and len(rows) == 1:
                draw(x[0].numpy(), made[0][0].numpy(), pictures / f"{role}.png", f"{bandwidths[0]:g} kbit/s")
            print(f"{role} {stem.path.name}: {rows[-1][0][0]:.1f} dB, {stays[-1]:.1%} stay", flush=True)
        count += len(rows)
        means = np.mean(rows, axis=0)
        roles[role] = {
            f"{kbps:g}": {"si_sdr_db": float(db), "mel": float(distance)}
            for kbps, (db, distance) in zip(bandwidths, means, strict=True)
        }
    figures = {"roles": roles, "tokens_stay": float(np.mean(stays)), "stems": count, "seconds": seconds}
    return figures | {"sha256": loaded.weights_sha256, "bandwidths": bandwidths, "table": table(figures, bandwidths)}


def table(figures: dict[str, Any], bandwidths: list[float]) -> str:
    """In Markdown, with what is wanted at the highest bandwidth, and whether it is reached."""
    head = ["role", *(f"{kbps:g} kbit/s" for kbps in bandwidths), f"wanted at {bandwidths[0]:g}"]
    rows = [head, ["---"] * len(head)]
    for role, found in figures["roles"].items():
        cells = [f"{at['si_sdr_db']:.1f} ({at['mel']:.2f})" for at in found.values()]
        goal = GOALS_DB.get(role)
        rows.append([role, *cells, "" if goal is None else _verdict(next(iter(found.values()))["si_sdr_db"], goal)])
    stay = figures["tokens_stay"]
    reached = "" if stay >= TOKENS_GOAL else ": not reached"
    text = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    return (
        f"{text}\nOf the first codebook's tokens, {stay:.1%} stay when what was decoded is encoded again (wanted: "
        + (f"{TOKENS_GOAL:.0%}{reached}).\n")
    )


def _verdict(found_db: float, goal_db: float) -> str:
    return f"{goal_db:g}" if found_db >= goal_db else f"{goal_db:g}: not reached"


def share_above(path: Path, hertz: float = 12_000.0) -> float | None:
    """Of a sound file's energy; none where its rate is too low to tell."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate < 44_100 or not np.abs(samples).max(initial=0):
        return None
    power = np.abs(np.fft.rfft(samples, axis=0)) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / rate) >= hertz].sum() / power.sum())


def wide_text(folder: Path) -> str:
    shares = {path.stem: share_above(path) for path in sorted(folder.rglob("*.wav"))}
    told = [f"{name} {share:.2%}" for name, share in shares.items() if share is not None]
    return f"\nAbove 12 kHz, which 24 kHz sampling gives up, lies this share of the energy: {', '.join(told)}.\n"


# -- pictures ---------------------------------------------------------------------------------------------------------


def spectrogram(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """[frequencies, frames] in dB, the highest frequency first."""
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    louder = power[:, : WINDOW // 2].reshape(len(power), -1, 2).max(axis=2)  # of each two, so that pictures are small
    return 10 * np.log10(louder + 1e-12).T[::-1]


def draw(original: NDArray[np.float32], decoded: NDArray[np.float32], path: Path, label: str) -> None:
    """Both side by side, from where the original is loudest, each with the original's scale."""
    length = round(PICTURE_SECONDS * 24_000)
    starts = range(0, max(1, len(original) - length), 12_000)
    start = max(starts, key=lambda at: float(np.square(original[at : at + length]).sum()))
    both = [spectrogram(x[start : start + length]) for x in (original, decoded)]
    top = both[0].max()
    images = [Image.fromarray(_coloured((each - top - FLOOR_DB) / -FLOOR_DB)) for each in both]
    width, height = images[0].size
    page = Image.new("RGB", (2 * width + 8, height + 16), "white")
    for number, (image, text) in enumerate(zip(images, ("original", f"decoded, {label}"), strict=True)):
        page.paste(image, (number * (width + 8), 16))
        ImageDraw.Draw(page).text((number * (width + 8) + 4, 2), text, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(64).save(path, optimize=True)


def _coloured(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    at = np.clip(shares, 0, 1)
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(at, places, COLOURS[:, c]) for c in range(3)], axis=-1).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stems", type=Path)
    parser.add_argument("--model", default="resonant")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each stem, from its start")
    parser.add_argument("--most", type=int, help="stems of a role")
    parser.add_argument("--wide", type=Path, help="a folder of .wav files at 44.1 kHz or more")
    parser.add_argument("--figures", type=Path, help="a JSON file to write")
    parser.add_argument("--page", type=Path, help="a Markdown page to write, with pictures in a folder of its name")
    options = parser.parse_args()
    page: Path | None = options.page
    pictures = None if page is None else page.with_suffix("")
    with torch.inference_mode():
        figures = measure(load_codec(options.model), options.stems, options.seconds, options.most, pictures)
    print(figures["table"])
    if options.figures:
        options.figures.write_text(json.dumps(figures, indent=1) + "\n")
    if page is not None and pictures is not None:
        shown = "\n\n".join(f"![{role}]({pictures.name}/{role}.png)\n{role}" for role in figures["roles"])
        wide = wide_text(options.wide) if options.wide else ""
        facts = {"count": figures["stems"], "seconds": options.seconds, "sha256": figures["sha256"][:12]}
        command = f"python tests/benchmarks/codec_quality.py STEMS --seconds {options.seconds:g}"
        text = PAGE.format(
            **facts, command=command, kbps=figures["bandwidths"][0], table=figures["table"], wide=wide, pictures=shown
        )
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
