"""Finds chords for a single voice, which leaves them open: a melody, or a bass.

A hidden Markov model (L. Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 77, 1989; for melodies as in
I. Simon, D. Morris, S. Basu, "MySong", CHI 2008). Its states are the chords that are usual in a key, one for each half
bar; they follow each other, and the voice takes its tones over them, as often as in songs whose chords are known
(`harmony_weights.json`, fitted by `tests/benchmarks/fit_harmony.py`). All major and minor keys are tried, and each
counts by how well it explains the voice.

Of the chords that are then likely at a place the one is taken whose tones, most of all its root, will most likely
belong to what was meant: what is played to it shall be right as often as possible, even where its name is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import Chord, ChordSpan, Key, Mode, Progression
from resonantgen.music.time import TICKS_PER_QUARTER, Meter

Floats = NDArray[np.float64]

WEIGHTS = "harmony_weights.json"
PLACES = 4  # of a note in its span: it starts with it, on another felt beat, between beats, or has begun before
CHORDS = tuple(Chord(root, quality) for quality in ("", "m", "dim") for root in range(12))
# What is gained where a tone of the chosen chord is one of the true chord's, and where it has its root.
_ROOT_BELONGS, _THIRD_BELONGS, _FIFTH_BELONGS, _SAME_ROOT = 0.8, 0.1, 0.1, 0.1
_NEAR = 0.25  # of a written unit: so far from a beat a note is on it


@dataclass(frozen=True, slots=True)
class Harmony:
    """What a voice is taken to mean."""

    key: Key
    key_clarity: float  # 0 to 1: how likely it is among all major and minor keys
    chords: Progression


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """How chords (C of CHORDS, as in the key of C) follow each other in a mode, and what is played over them."""

    chords: NDArray[np.int64]  # [C]
    prior: float  # how much of the music is in this mode; a logarithm
    initial: Floats  # [C]
    changes: Floats  # [2, C, C]: within a bar, and at a bar line; from, to
    tones: Mapping[Role, Floats]  # [PLACES, C, 12], logarithms


def infer_harmony(
    voice: Score, meter: Meter, role: Role, key: Key | None = None, models: Sequence[Model] | None = None
) -> Harmony:
    """The key and the chords of a melody or bass, which change on strong beats, as long as the score.

    Where the key is known, chords are those of the major or minor key with its tonic and third. Without notes: the
    key's tonic triad, of C major if there is no key either.
    """
    edges = strong_edges(meter, voice.length_ticks)
    if not len(voice):
        tonic = key or Key(0, Mode.MAJOR)
        triad = CHORDS.index(Chord(tonic.tonic, "m" if tonic.mode.is_minor else ""))
        return Harmony(tonic, 0.0, _progression([triad] * (len(edges) - 1), edges))
    weights = tone_weights(voice, meter, edges)
    at_bar = [start % meter.bar_ticks == 0 for start in edges[:-1]]
    fits, chords = zip(*(_explain(model, weights, role, at_bar) for model in models or shipped_models()), strict=True)
    fit = np.stack(fits)
    if key is not None:
        others = np.ones(fit.shape, bool)
        others[int(key.mode.is_minor), key.tonic] = False
        fit[others] = -np.inf
    likely = np.exp(fit - fit.max())
    likely /= likely.sum()
    mode, tonic_class = divmod(int(np.argmax(likely)), 12)
    found = key or Key(tonic_class, _MODES[mode])
    gains = np.einsum("mk,mknc->nc", likely, np.stack(chords)) @ _gains().T
    return Harmony(found, float(likely.max()), _progression([int(c) for c in gains.argmax(axis=1)], edges))


def strong_edges(meter: Meter, length_ticks: int) -> list[int]:
    """The strong beats, in ticks, and the end."""
    bars = range(0, length_ticks, meter.bar_ticks)
    return [*(bar + beat for bar in bars for beat in meter.strong_ticks if bar + beat < length_ticks), length_ticks]


def tone_weights(voice: Score, meter: Meter, edges: Sequence[int]) -> Floats:
    """What each span between edges holds of each pitch class, by the place of its notes: `[N, PLACES, 12]`.

    A note counts by the root of its quarters in the span, so that a long one is more, but is one note even so.
    """
    weights = np.zeros((len(edges) - 1, PLACES, 12))
    near = round(_NEAR * meter.unit_ticks)
    beats = np.array([*meter.beats_ticks, meter.bar_ticks])
    for note in voice:
        in_bar = note.start_ticks % meter.bar_ticks
        beat = int(beats[np.argmin(np.abs(beats - in_bar))])
        on_beat = abs(beat - in_bar) <= near
        start = note.start_ticks - in_bar + beat if on_beat else note.start_ticks
        first = max(int(np.searchsorted(edges, start, "right")) - 1, 0)
        last = int(np.searchsorted(edges, note.end_ticks, "left"))
        for span in range(first, min(last, len(weights))):
            quarters = (min(note.end_ticks, edges[span + 1]) - max(start, edges[span])) / TICKS_PER_QUARTER
            place = 3 if start < edges[span] else 0 if start == edges[span] else 1 if on_beat else 2
            weights[span, place, note.pitch % 12] += max(quarters, 0.0) ** 0.5
    return weights


_MODES = (Mode.MAJOR, Mode.MINOR)


@cache
def shipped_models() -> tuple[Model, ...]:
    """Of the major and of the minor mode."""
    return read_models(files("resonantgen.music").joinpath(WEIGHTS).read_text())


def read_models(text: str) -> tuple[Model, ...]:
    """As `shipped_models`, from JSON."""
    read = json.loads(text)
    return tuple(
        Model(
            np.array([CHORDS.index(Chord.parse(name)) for name in mode["chords"]]),
            float(np.log(mode["share"])),
            np.array(mode["initial"]),
            np.array(mode["changes"]),
            {Role(role): np.log(np.array(tones)) for role, tones in mode["tones"].items()},
        )
        for mode in (read[str(mode)] for mode in _MODES)
    )


def _explain(model: Model, weights: Floats, role: Role, at_bar: Sequence[bool]) -> tuple[Floats, Floats]:
    """For each tonic, how well a mode's keys explain the voice, and how likely each chord is then.

    `[N, PLACES, 12]` -> logarithms `[12]`, and shares of one `[12, N, CHORDS]`. The forward-backward algorithm.
    """
    turned = np.stack([np.roll(weights, -tonic, axis=2) for tonic in range(12)])
    logs = np.einsum("knpt,pct->nkc", turned, model.tones[role])
    peaks = logs.max(axis=2, keepdims=True)
    fits = np.exp(logs - peaks)
    total = peaks.sum(axis=(0, 2)) + model.prior
    forward = np.zeros(fits.shape)
    for span, fit in enumerate(fits):
        before = model.initial if not span else forward[span - 1] @ model.changes[int(at_bar[span])]
        joint = before * fit
        sums = joint.sum(axis=1, keepdims=True)
        total += np.log(sums[:, 0])
        forward[span] = joint / sums
    likely = np.zeros((12, len(fits), len(CHORDS)))
    backward = np.ones(forward.shape[1:])
    for span in range(len(fits) - 1, -1, -1):
        both = forward[span] * backward
        both /= both.sum(axis=1, keepdims=True)
        for tonic in range(12):
            likely[tonic, span, _moved(model.chords, tonic)] = both[tonic]
        backward = (backward * fits[span]) @ model.changes[int(at_bar[span])].T
        backward /= backward.sum(axis=1, keepdims=True)
    return total, likely


def _moved(chords: NDArray[np.int64], semitones: int) -> NDArray[np.int64]:
    """Places in CHORDS of the same chords on other roots."""
    return np.asarray(chords - chords % 12 + (chords + semitones) % 12)


@cache
def _gains() -> Floats:
    """What choosing a chord is worth where another is meant: `[chosen, meant]`."""
    gains = np.zeros((len(CHORDS), len(CHORDS)))
    for row, chosen in zip(gains, CHORDS, strict=True):
        for place, meant in enumerate(CHORDS):
            row[place] = (
                _ROOT_BELONGS * (chosen.root in meant)
                + _THIRD_BELONGS * (chosen.third in meant)
                + _FIFTH_BELONGS * (chosen.fifth in meant)
                + _SAME_ROOT * (chosen.root == meant.root)
            )
    return gains


def _progression(places: Sequence[int], edges: Sequence[int]) -> Progression:
    """Equal neighbours are one chord."""
    spans: list[ChordSpan] = []
    for place, start, end in zip(places, edges[:-1], edges[1:], strict=True):
        if spans and spans[-1].chord == CHORDS[place]:
            spans[-1] = ChordSpan(CHORDS[place], spans[-1].start_ticks, end - spans[-1].start_ticks)
        else:
            spans.append(ChordSpan(CHORDS[place], start, end - start))
    return Progression(tuple(spans))
