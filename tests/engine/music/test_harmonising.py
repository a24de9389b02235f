"""Chords for a single voice: what is sure in it is found, and the model reckons as it should."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from importlib.resources import files
from itertools import product

import numpy as np
import pytest

from resonantgen.music.harmonising import (
    CHORDS,
    PLACES,
    WEIGHTS,
    Model,
    _explain,
    infer_harmony,
    shipped_models,
    strong_edges,
    tone_weights,
)
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Chord, Key
from resonantgen.music.time import Meter

FOUR, BAR = Meter(4, 4), 1920
# Two bars of each of Am F C G: chord tones on the beats, a passing tone between two of them.
OVER_AM_F_C_G = [
    (69, 76, 74, 72, 76, 72, 69, 69),
    (77, 72, 74, 76, 77, 72, 69, 69),
    (72, 76, 77, 79, 76, 72, 67, 67),
    (74, 79, 77, 76, 74, 71, 67, 67),
]


def eighths(bars: Sequence[Sequence[int]], up: int = 0) -> Score:
    notes = [Note(240 * place, pitch + up, 240, 90) for place, pitch in enumerate(p for bar in bars for p in bar)]
    return Score.of(notes, BAR * len(bars))


def roots(score: Score, role: Role = Role.MELODY, key: Key | None = None) -> list[int]:
    chords = infer_harmony(score, FOUR, role, key).chords
    return [chords.at(tick).chord.root for tick in range(0, score.length_ticks, BAR // 2)]


def scribble(seed: int, meter: Meter, bars: int) -> Score:
    dice = random.Random(seed)
    length = bars * meter.bar_ticks
    spots = [(dice.randrange(length), dice.randrange(1, 1500)) for _ in range(30)]
    return Score.of((Note(at, dice.randrange(40, 90), ticks, 90) for at, ticks in spots), length)


def test_a_melody_that_spells_its_chords_is_read() -> None:
    tune = eighths([bar for bar in OVER_AM_F_C_G for _ in (1, 2)])
    harmony = infer_harmony(tune, FOUR, Role.MELODY)
    assert harmony.key in (Key.parse("A minor"), Key.parse("C major"))
    found = [harmony.chords.at(tick).chord for tick in range(0, tune.length_ticks, BAR // 2)]
    meant = [Chord.parse(name) for name in ("Am", "F", "C", "G") for _ in range(4)]
    assert sum(chord.root in other for chord, other in zip(found, meant, strict=True)) >= 14


@pytest.mark.parametrize("up", range(-5, 7))
def test_what_is_moved_is_found_moved(up: int) -> None:
    tune = eighths(OVER_AM_F_C_G)
    assert roots(eighths(OVER_AM_F_C_G, up)) == [(root + up) % 12 for root in roots(tune)]


def test_a_bass_plays_its_roots() -> None:
    bass = eighths([(root,) * 8 for root in (45, 41, 48, 43)])
    assert roots(bass, Role.BASS) == [9, 9, 5, 5, 0, 0, 7, 7]


def test_a_key_that_is_known_is_kept_and_decides() -> None:
    lone = eighths([(72,) * 8])
    in_f, in_a_flat = (roots(lone, key=Key.parse(name)) for name in ("F major", "Ab major"))
    assert infer_harmony(lone, FOUR, Role.MELODY, Key.parse("D dorian")).key == Key.parse("D dorian")
    assert all(root in Key.parse("F major") for root in in_f)
    assert all(root in Key.parse("Ab major") for root in in_a_flat)


@pytest.mark.parametrize("name", ["C major", "F# minor"])
def test_silence_is_the_tonic(name: str) -> None:
    key = Key.parse(name)
    harmony = infer_harmony(Score((), 2 * BAR), FOUR, Role.MELODY, None if name == "C major" else key)
    (span,) = harmony.chords.spans
    assert (harmony.key, span.chord.root, span.duration_ticks) == (key, key.tonic, 2 * BAR)
    assert span.chord.quality == ("m" if key.mode.is_minor else "")


@pytest.mark.parametrize("meter", ["4/4", "3/4", "6/8", "7/8", "2/4", "5/4"])
@pytest.mark.parametrize("seed", range(3))
def test_chords_fill_the_time_and_change_on_strong_beats(meter: str, seed: int) -> None:
    parsed = Meter.parse(meter)
    score = scribble(seed, parsed, 5)
    chords = infer_harmony(score, parsed, (Role.MELODY, Role.BASS)[seed % 2]).chords
    assert chords.length_ticks == score.length_ticks
    assert {span.start_ticks % parsed.bar_ticks for span in chords.spans} <= set(parsed.strong_ticks)
    assert all(one.chord != two.chord for one, two in zip(chords.spans, chords.spans[1:], strict=False))


def test_weights_say_where_notes_are() -> None:
    """On the span's start, though a little early; on a beat; between beats; and held from before."""
    notes = [Note(0, 60, 480, 90), Note(480, 62, 240, 90), Note(700, 64, 740, 90), Note(1430, 65, 480, 90)]
    weights = tone_weights(Score.of(notes, BAR), FOUR, strong_edges(FOUR, BAR))
    found = {(n, place, tone): weights[n, place, tone] for n, place, tone in zip(*np.nonzero(weights), strict=True)}
    expected = {(0, 0, 0): 1.0, (0, 1, 2): 0.5, (0, 2, 4): 260 / 480, (1, 3, 4): 1.0, (1, 1, 5): 470 / 480}
    assert found == {place: pytest.approx(quarters**0.5) for place, quarters in expected.items()}


def test_it_reckons_as_trying_every_path_does() -> None:
    """The forward-backward algorithm against the sum over all sequences of chords."""
    dice = np.random.default_rng(4)
    count = 3
    changes, tones = dice.random((2, count, count)), dice.random((PLACES, count, 12))
    model = Model(
        np.array([CHORDS.index(Chord.parse(name)) for name in ("C", "F", "Am")]),
        -0.7,
        np.array([0.5, 0.2, 0.3]),
        changes / changes.sum(axis=2, keepdims=True),
        {Role.MELODY: np.log(tones / tones.sum(axis=2, keepdims=True))},
    )
    weights, at_bar, tonic = dice.random((4, PLACES, 12)), (True, False, True, False), 3
    fits, chords = _explain(model, weights, Role.MELODY, at_bar)
    total, shares = 0.0, np.zeros((4, count))
    for path in product(range(count), repeat=4):
        value = np.exp(model.prior) * model.initial[path[0]]
        for span, chord in enumerate(path):
            turned = np.roll(weights[span], -tonic, axis=1)
            value *= np.exp((turned * model.tones[Role.MELODY][:, chord]).sum())
            if span:
                value *= model.changes[int(at_bar[span]), path[span - 1], chord]
        total += value
        for span, chord in enumerate(path):
            shares[span, chord] += value
    assert fits[tonic] == pytest.approx(np.log(total))
    places = [CHORDS.index(Chord.parse(name)) for name in ("Eb", "Ab", "Cm")]
    assert np.allclose(chords[tonic][:, places], shares / total) and np.allclose(chords.sum(axis=2), 1.0)


def test_the_shipped_model_says_where_it_is_from_and_is_one() -> None:
    read = json.loads(files("resonantgen.music").joinpath(WEIGHTS).read_text())
    assert "POP909" in read["source"] and read["licence"] == "MIT"
    for model in shipped_models():
        assert np.allclose(model.changes.sum(axis=2), 1.0, atol=1e-3) and (model.changes > 0).all()
        assert model.initial.sum() == pytest.approx(1.0, abs=1e-3)
        for tones in model.tones.values():
            assert np.allclose(np.exp(tones).sum(axis=2), 1.0, atol=1e-3)
