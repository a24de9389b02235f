"""Fits the weights by which tempo, bar and key are chosen: `python tests/benchmarks/fit_rhythm.py DATA`.

DATA is as for `analysis.py`. Fitted to pieces that are not held out, through a soundfont that the benchmark does not
use: our own styles, a third of Groove's training split, a tenth of POP909's songs, Freedoom's. Each choice is
log-linear: of a piece's candidates, the likelihood of the right ones is made large, with a penalty on the squares of
the weights. Writes `rhythm_weights.json` and `key_weights.json` into `resonantgen.audio`.

The weights in the repository were fitted so, by a draft of this script that stopped early: see docs/analysis.md.
--every 20 takes every twentieth piece of each kind, to try the script; --out says where the weights go.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import analysis as bench  # the script beside this one
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import resonantgen.audio
from resonantgen.audio import rhythm
from resonantgen.audio.analysis import ONSET_DB
from resonantgen.audio.chroma import FRAMES_PER_SECOND, note_levels
from resonantgen.audio.key import KEYS, key_features
from resonantgen.audio.onsets import band_levels, find_onsets, flux
from resonantgen.generators.style import style_ids

Array = NDArray[np.float64]
Choice = tuple[Array, NDArray[np.bool_]]  # features of the candidates [n, features], and which are right [n]

SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
PARTS = ("mix", "drums", "bass", "harmony", "melody")
SEEDS = (201, 302)
PENALTIES = {"tempo": 1.0, "bar": 3.0, "bar_without_tones": 3.0, "key": 5.0}
FEWEST_ONSETS = 9


def training_items(data: Path, every: int) -> Iterator[bench.Item]:
    for seed in SEEDS:
        for number, style in list(enumerate(style_ids()))[::every]:
            yield from (bench.own_item(style, part, seed + 7 * number) for part in PARTS)
    bench.GROOVE_SPLITS[True] = "train"
    beats = bench.groove_items(data, True, SOUNDFONT, every)
    yield from (item for item in beats if not zlib.crc32(item.name.encode()) % 3)
    bench.DEV_REMAINDERS = (1,)
    yield from bench.pop909_items(data, True, SOUNDFONT, every)
    bench.DEV_REMAINDERS = tuple(range(1, 10))
    yield from bench.freedoom_items(data, True, SOUNDFONT, every)


def choices(item: bench.Item) -> Iterator[tuple[str, Choice]]:
    """What is to be chosen in a piece: its tempo, the start of its bar (in 4/4), its key."""
    samples, rate = item.load()
    growth = flux(band_levels(samples, rate))
    onsets = find_onsets(growth.mean(axis=1), ONSET_DB)
    if len(onsets.seconds) < FEWEST_ONSETS or not item.tempo_bpm:
        return
    drums = item.name.endswith(" drums") or item.name.startswith("groove")
    notes = note_levels(samples, rate)
    heard = rhythm.hear_events(onsets, growth, None if drums else notes.changes(), FRAMES_PER_SECOND)
    spectrum = rhythm.spectrum_of(heard)
    tempos = rhythm.candidates(spectrum)
    yield "tempo", (rhythm.tempo_features(spectrum, tempos), np.abs(tempos / item.tempo_bpm - 1) < 0.01)
    if len(item.beats) >= 6 and len(item.downbeats) > 2:
        beat = float(np.polyfit(np.arange(len(item.beats)), item.beats, 1)[0])
        if abs(float(np.median(np.diff(item.downbeats))) / beat - 4) < 0.2:
            features, right = bar_choice(item, heard, beat)
            yield "bar", (features.reshape(len(right), -1), right)
            yield "bar_without_tones", (features[:, :3].reshape(len(right), -1), right)
    if item.key and notes.strengths.any():
        right = np.array([k.tonic == item.key.tonic and k.mode.is_minor == item.key.mode.is_minor for k in KEYS])
        yield "key", (key_features(notes), right)


def bar_choice(item: bench.Item, heard: rhythm.Events, beat: float) -> Choice:
    found = rhythm.phases(heard.onsets, heard.onsets.strengths, beat)
    starts = np.concatenate([found + k * beat for k in range(4)])
    turn = np.angle(np.exp(2j * np.pi * np.array(item.downbeats) / (4 * beat)).mean()) / (2 * np.pi)
    away = starts / (4 * beat) - turn
    return rhythm.bar_patterns(heard, beat, starts), np.abs(away - np.round(away)) * 4 < bench.NEAR_BEAT


def fit(pieces: list[Choice], penalty: float) -> list[float]:
    """The weights of the features."""
    pieces = [(features, right) for features, right in pieces if right.any()]
    scale = np.concatenate([features for features, _ in pieces]).std(axis=0) + 1e-3

    def loss(weights: Array) -> tuple[float, Array]:
        total, slope = penalty * float(weights @ weights), 2 * penalty * weights
        for features, right in pieces:
            scaled = features / scale
            likely = np.exp(scaled @ weights - (scaled @ weights).max())
            likely /= likely.sum()
            among = likely * right
            total -= float(np.log(among.sum() + 1e-12))
            slope = slope - scaled.T @ (among / (among.sum() + 1e-12) - likely)
        return total, slope

    found = minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return [round(float(weight), 3) for weight in found.x / scale]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th piece")
    parser.add_argument("--out", type=Path, default=Path(resonantgen.audio.__file__).parent)
    options = parser.parse_args()
    gathered: dict[str, list[Choice]] = {name: [] for name in PENALTIES}
    for item in training_items(options.data, options.every):
        for name, choice in choices(item):
            gathered[name].append(choice)
    print(", ".join(f"{name}: {len(pieces)} pieces" for name, pieces in gathered.items()))
    weights = {name: fit(pieces, PENALTIES[name]) for name, pieces in gathered.items()}
    (options.out / "key_weights.json").write_text(json.dumps({"key": weights.pop("key")}))
    (options.out / "rhythm_weights.json").write_text(json.dumps(weights))


if __name__ == "__main__":
    main()
