"""Tempo and bar of a piece of sound of which nothing is expected.

The onsets' spectrum says which pulses there are (P. Grosche, M. Müller, "Extracting predominant local pulse information
from music recordings", IEEE TASLP 2011). Which of them is the beat, and which beat begins the bar, is a matter of
habit: both are chosen by log-linear models, whose weights were fitted to pieces with known beats
(`tests/benchmarks/fit_rhythm.py`, `rhythm_weights.json`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from resonantgen.audio.onsets import ENVELOPE_RATE, Onsets

Array = NDArray[np.float64]

SLOWEST_BPM, FASTEST_BPM, STEP = 40.0, 240.0, 1.0005
HARMONICS = (1, 2, 3, 4, 6, 8)  # of a beat, that count for it
RELATED = (0.25, 1 / 3, 0.5, 2 / 3, 0.75, 1.0, 4 / 3, 1.5, 2.0, 3.0, 4.0)  # tempos that are heard for one another
PEAKS, APART = 12, 0.02
# Of a tempo, by whose strength it is judged
MULTIPLES = (0.25, 1 / 3, 0.5, 2 / 3, 1.0, 4 / 3, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
PLACES = 16  # in a bar of four beats
LOW, MIDDLE, HIGH = slice(0, 4), slice(8, 17), slice(19, 24)  # bands: kick and bass; snare; hats and cymbals


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What begins in a piece, and how."""

    onsets: Onsets
    accents: Array  # [n, 4] growth in low, middle and high bands, and how much the harmony changes there

    def before(self, seconds: float) -> Events:
        """Those up to a time."""
        count = int(np.searchsorted(self.onsets.seconds, seconds))
        return Events(Onsets(self.onsets.seconds[:count], self.onsets.strengths[:count]), self.accents[:count])


def hear_events(onsets: Onsets, growth: Array, changes: Array | None = None, changes_rate: float = 1.0) -> Events:
    """Onsets with what marks them, from growth [envelope frames, bands] and changes of harmony [n] at a rate."""
    at = np.clip(np.round(onsets.seconds * ENVELOPE_RATE).astype(int), 0, max(len(growth) - 1, 0))
    around = np.stack([growth[np.clip(at + k, 0, len(growth) - 1)] for k in (-1, 0, 1, 2)]).max(axis=0)
    rows = [around[:, bands].mean(axis=1) for bands in (LOW, MIDDLE, HIGH)]
    if changes is None:
        rows.append(np.zeros(len(at)))
    else:
        rows.append(changes[np.clip(np.round(onsets.seconds * changes_rate).astype(int), 0, len(changes) - 1)])
    return Events(onsets, np.stack(rows, axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class PulseSpectrum:
    """How far weighted moments gather on one phase of a pulse, for pulses up to a quarter of ENVELOPE_RATE."""

    strengths: Array  # [weightings, bins], 0 to 1
    bin_hz: float

    def at(self, frequencies: Array) -> Array:
        """[weightings, frequencies]."""
        places = np.clip(frequencies / self.bin_hz, 0, self.strengths.shape[1] - 1.001)
        low = places.astype(int)
        part = places - low
        return np.asarray(self.strengths[:, low] * (1 - part) + self.strengths[:, low + 1] * part)


def pulse_spectrum(seconds: Array, weights: Array) -> PulseSpectrum:
    """Of moments [n] with weights [n, weightings]."""
    start = float(seconds.min(initial=0.0))
    length = float(seconds.max(initial=0.0)) - start
    size = 1 << max(math.ceil(math.log2(8 * (length + 1) * ENVELOPE_RATE)), 12)
    places = (seconds - start) * ENVELOPE_RATE
    low = places.astype(int)
    part = (places - low)[:, None]
    train = np.zeros((size, weights.shape[1]))
    np.add.at(train, low, weights * (1 - part))
    np.add.at(train, low + 1, weights * part)
    found = np.abs(np.fft.rfft(train, axis=0)[: size // 4]).T
    return PulseSpectrum(found / np.maximum(weights.sum(axis=0), 1e-9)[:, None], ENVELOPE_RATE / size)


def candidates(spectrum: PulseSpectrum) -> Array:
    """Tempos (bpm) that may be the beat's, [n]."""
    tempos = np.exp(np.arange(np.log(SLOWEST_BPM), np.log(FASTEST_BPM), np.log(STEP)))
    score = sum(spectrum.at(tempos / 60 * harmonic)[0] ** 2 for harmonic in HARMONICS)
    width = round(APART / np.log(STEP)) | 1
    peaks = np.flatnonzero(score == ndimage.maximum_filter1d(score, width))
    best = tempos[peaks[np.argsort(-score[peaks])][:PEAKS]]
    related = (best[:6, None] * np.array(RELATED)).ravel()
    found: list[float] = []
    for tempo in (*best, *related):
        if SLOWEST_BPM <= tempo <= FASTEST_BPM and all(abs(tempo / other - 1) > APART / 2 for other in found):
            found.append(_climbed(spectrum, float(tempo)))
    return np.array(found)


def _climbed(spectrum: PulseSpectrum, tempo: float) -> float:
    """The best tempo within half a percent."""
    near = tempo * np.linspace(0.995, 1.005, 41)
    score = sum(spectrum.at(near / 60 * harmonic)[0] ** 2 for harmonic in HARMONICS)
    return float(near[int(np.argmax(score))])


def tempo_features(spectrum: PulseSpectrum, tempos: Array) -> Array:
    """What speaks for each tempo being the beat's, [tempos, features].

    How strong its multiples are may count by its square too, and that of all onsets otherwise in a slow tempo than in
    a fast one.
    """
    octaves = np.log2(tempos / 110)[:, None]
    strengths = np.stack([spectrum.at(tempos / 60 * multiple).T for multiple in MULTIPLES], axis=1)
    flat = strengths.reshape(len(tempos), -1)
    return np.concatenate([octaves, octaves**2, octaves**3, flat, strengths[:, :, 0] * octaves, flat**2], axis=1)


def phases(onsets: Onsets, weights: Array, beat: float) -> Array:
    """Where in a beat (in seconds, 0 to `beat`) it may begin: the peaks of what begins there."""
    grid = np.arange(0, 1, 1 / 96)
    turns = (onsets.seconds[None] / beat - grid[:, None] + 0.5) % 1 - 0.5
    mass = (weights * np.maximum(1 - np.abs(turns) / 0.06, 0.0)).sum(axis=1)
    highest = mass == ndimage.maximum_filter1d(mass, 13, mode="wrap")
    peaks = np.flatnonzero(highest & (mass > 0.05 * mass.max(initial=0.0)))
    order = peaks[np.argsort(-mass[peaks])][:6]
    found = []
    for peak in order:
        away = (onsets.seconds / beat - grid[peak] + 0.5) % 1 - 0.5
        near = np.abs(away) < 0.06
        found.append((grid[peak] + float((weights[near] * away[near]).sum() / max(weights[near].sum(), 1e-9))) * beat)
    return np.array(found)


def bar_patterns(heard: Events, beat: float, starts: Array, beats_per_bar: int = 4) -> Array:
    """What each place of the bar has, were it to begin at each of `starts`: [starts, kinds of accents, places]."""
    places = 4 * beats_per_bar
    at = (heard.onsets.seconds[None] - starts[:, None]) / (beat / 4) % places
    weights = heard.accents / np.maximum(heard.accents.sum(axis=0), 1e-9)
    found = np.zeros((len(starts), heard.accents.shape[1], places))
    for place in range(places):
        away = np.abs((at - place + places / 2) % places - places / 2)
        found[:, :, place] = np.maximum(1 - away / 0.75, 0.0) @ weights
    return found


def spectrum_of(heard: Events) -> PulseSpectrum:
    weights = np.concatenate([heard.onsets.strengths[:, None], heard.accents], axis=1)
    return pulse_spectrum(heard.onsets.seconds, weights + 1e-9)


def likely_tempo(heard: Events) -> float:
    """The tempo in beats a minute at which a listener would most likely tap."""
    spectrum = spectrum_of(heard)
    tempos = candidates(spectrum)
    return float(tempos[int(np.argmax(tempo_features(spectrum, tempos) @ _weights()["tempo"]))])


def likely_bar(heard: Events, beat: float, beats_per_bar: int) -> tuple[float, float]:
    """Where a bar begins, in seconds, and how likely it is that it begins there."""
    found = phases(heard.onsets, heard.onsets.strengths, beat)
    starts = np.concatenate([found + k * beat for k in range(beats_per_bar)])
    tones = bool(heard.accents[:, 3].any())
    kinds = 4 if tones else 3
    patterns = bar_patterns(heard, beat, starts, beats_per_bar)[:, :kinds]
    weights = _bar_weights("bar" if tones else "bar_without_tones", beats_per_bar)
    scores = patterns.reshape(len(starts), -1) @ weights
    likely = np.exp(scores - scores.max())
    best = int(np.argmax(scores))
    return float(starts[best]), float(likely[best] / likely.sum())


def _bar_weights(name: str, beats_per_bar: int) -> Array:
    """Of each kind of accent at each place of the bar: as fitted for four beats; for others, the first beat's and the
    mean of the others'."""
    four = _weights()[name].reshape(-1, PLACES)
    if beats_per_bar == 4:
        return four.ravel()
    others = four[:, 4:].reshape(len(four), 3, 4).mean(axis=1)
    return np.concatenate([four[:, :4], np.tile(others, (1, beats_per_bar - 1))], axis=1).ravel()


@cache
def _weights() -> dict[str, Array]:
    text = files("resonantgen.audio").joinpath("rhythm_weights.json").read_text()
    return {name: np.array(values) for name, values in json.loads(text).items()}
