"""Harmony: it plays the plan's chords, all of their tones and nothing else, so that they can be read back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import groupby, pairwise
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.making import GENERATORS, harmony_of, plan_of, play
from resonantgen.generators.base import Plan, Request
from resonantgen.generators.harmony import chord_line, summary
from resonantgen.generators.plan import make_plan
from resonantgen.generators.style import load_style, style_ids
from resonantgen.generators.voicing import HIGHEST, LOWEST, is_ambiguous, voice
from resonantgen.music.analysis import read_chords
from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import QUALITIES, Chord, ChordSpan, Key, Mode, Progression, scale_share
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes, Feel

STYLES = style_ids()
SEEDS = range(10)
METERS = [Meter(n, d) for d in (4, 8) for n in range(2, 13)]
AMOUNT = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])


def plays_the_chords(score: Score, plan: Plan) -> None:
    """Each chord's tones sound within its span, all of them and no others, and none sounds beyond it."""
    for span in plan.chords.spans:
        within = score.between(span.start_ticks, span.end_ticks)
        assert {note.pitch % 12 for note in within} == set(span.chord.pitch_classes), span
        assert all(note.end_ticks <= span.end_ticks for note in within), span


def changes(chords: Progression) -> list[tuple[int, Chord]]:
    """Where a chord begins that differs from the one before."""
    return [next((s.start_ticks, s.chord) for s in same) for _, same in groupby(chords.spans, lambda s: s.chord)]


@pytest.mark.parametrize("style_id", STYLES)
def test_each_chord_sounds_whole_and_alone_and_can_be_read_back(style_id: str) -> None:
    for seed in SEEDS:
        plan, score = plan_of(style_id, seed), harmony_of(style_id, seed)
        plays_the_chords(score, plan)
        assert changes(read_chords(score, plan.meter, plan.key)) == changes(plan.chords), seed


@pytest.mark.parametrize("style_id", STYLES)
@pytest.mark.parametrize("level", [-0.5, 0.5])
def test_chords_can_be_read_back_from_sparse_and_busy_harmony(style_id: str, level: float) -> None:
    """In nine of ten seeds, and always in the right order: sparse chords may be noticed a beat later than planned."""
    exact = 0
    for seed in SEEDS:
        plan = plan_of(style_id, seed)
        score = play(Role.HARMONY, plan, seed, Attributes(density=level))
        read = read_chords(score, plan.meter, plan.key)
        exact += changes(read) == changes(plan.chords)
    assert exact >= 9


@pytest.mark.parametrize("style_id", [style_id for style_id in STYLES if load_style(style_id).diatonic])
def test_diatonic_styles_stay_in_their_key(style_id: str) -> None:
    for seed in SEEDS:
        plan = plan_of(style_id, seed)
        assert scale_share((n.pitch for n in harmony_of(style_id, seed)), plan.key) == 1.0


@given(
    style_id=st.sampled_from(STYLES),
    mode=st.sampled_from(Mode),
    meter=st.sampled_from(METERS),
    bars=st.integers(1, 12),
    seed=st.integers(0, 2**32),
    feel=st.sampled_from(Feel),
    attributes=st.builds(Attributes, *[AMOUNT] * 6),
    semitones=st.integers(-12, 12),
)
def test_any_request_is_played_bar_by_bar(
    style_id: str, mode: Mode, meter: Meter, bars: int, seed: int, feel: Feel, attributes: Attributes, semitones: int
) -> None:
    key = Key(seed % 12, mode)
    plan = make_plan(load_style(style_id), None, seed, meter=meter, key=key, bars=bars)
    request = Request(Role.HARMONY, plan, seed, attributes, feel, semitones)
    played = list(GENERATORS[Role.HARMONY].bars(request))
    assert len(played) == bars
    for bar, notes in enumerate(played):
        assert all(bar * meter.bar_ticks <= note.start_ticks < (bar + 1) * meter.bar_ticks for note in notes)
    score = Score.of((note for notes in played for note in notes), plan.length_ticks)
    plays_the_chords(score, plan)
    assert all(24 <= note.pitch <= 100 for note in score)


@pytest.mark.parametrize("style_id", STYLES)
def test_the_first_bars_do_not_wait_for_the_last(style_id: str) -> None:
    """The first bar is there after one step of the iterator, and a clip's first bars are the same in a longer clip."""
    style, key = load_style(style_id), Key.parse("A minor")
    chords = make_plan(style, None, 1, key=key, meter=Meter(), bars=4).chords
    short = make_plan(style, None, 1, key=key, meter=Meter(), bars=4, chords=chords)
    long = make_plan(style, None, 1, key=key, meter=Meter(), bars=8, chords=chords)
    bars = [list(GENERATORS[Role.HARMONY].bars(Request(Role.HARMONY, plan, 1))) for plan in (short, long)]
    assert bars[0][:2] == bars[1][:2]
    assert next(iter(GENERATORS[Role.HARMONY].bars(Request(Role.HARMONY, long, 1)))) == bars[1][0]


@pytest.mark.parametrize("style_id", STYLES)
def test_chords_lie_above_the_bass_and_move_little(style_id: str) -> None:
    """In range, and from chord to chord by at most a fourth in each voice on average."""
    steps = []
    for seed in SEEDS:
        plan, score = plan_of(style_id, seed), harmony_of(style_id, seed)
        assert all(LOWEST <= note.pitch <= HIGHEST for note in score)
        tops = [max(n.pitch for n in score.between(s.start_ticks, s.end_ticks)) for s in plan.chords.spans]
        steps += [abs(a - b) for a, b in pairwise(tops)]
    assert fmean(steps) <= 5


@pytest.mark.parametrize("root", range(0, 12, 5))
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_voicing_has_all_tones_near_its_center(quality: str, root: int) -> None:
    chord = Chord(root, quality)
    for size in (2, 4, 5):
        for center in (58.0, 62.0, 66.0):
            voicing = voice(chord, None, center, size)
            assert {pitch % 12 for pitch in voicing} == set(chord.pitch_classes)
            assert all(LOWEST <= pitch <= HIGHEST for pitch in voicing)
            assert abs(fmean(voicing) - center) <= 9  # a rooted voicing moves by octaves
            if is_ambiguous(chord):
                assert voicing[0] % 12 == root


def test_names_that_depend_on_the_bass() -> None:
    ambiguous = {quality for quality in QUALITIES if is_ambiguous(Chord(0, quality))}
    assert {"m7", "6", "m6", "m7b5", "sus2", "sus4", "aug", "dim7"} <= ambiguous
    assert not ambiguous & {"", "m", "5", "7", "maj7"}


@pytest.mark.parametrize("style_id", STYLES)
def test_a_low_melody_pushes_the_chords_down(style_id: str) -> None:
    lower = 0
    for seed in SEEDS:
        plan, melody = plan_of(style_id, seed), play(Role.MELODY, plan_of(style_id, seed), seed)
        deep = (replace(note, pitch=note.pitch - 14) for note in melody)
        around = play(Role.HARMONY, plan, seed, context={Role.MELODY: melody})
        under = play(Role.HARMONY, plan, seed, context={Role.MELODY: Score.of(deep, plan.length_ticks)})
        plays_the_chords(under, plan)
        lower += median(n.pitch for n in under) < median(n.pitch for n in around)
    assert lower >= 9


def test_over_all_styles_harmony_leaves_room_for_the_melody_it_is_given() -> None:
    """Against the same harmony and the melody of another seed: at least 3 % of the melody's notes fewer are covered."""
    difference = []
    for style_id in STYLES:
        for seed in SEEDS:
            plan = make_plan(load_style(style_id), None, seed, key=Key.parse("A minor"), meter=Meter(), bars=8)
            melodies = [play(Role.MELODY, plan, other) for other in (seed, seed + 40)]
            around = play(Role.HARMONY, plan, seed, context={Role.MELODY: melodies[0]})
            ticks = {round(n.start_ticks / 120) for n in around}
            own, other = (fmean(round(n.start_ticks / 120) in ticks for n in melody) for melody in melodies)
            difference.append(other - own)
    assert fmean(difference) >= 0.03


def test_chords_that_begin_off_the_grid_sound_too() -> None:
    """A locked harmony's chords are read from its notes and may begin anywhere."""
    style, key = load_style("techno"), Key.parse("A minor")
    odd = Progression((ChordSpan(Chord.parse("Am"), 0, 137), ChordSpan(Chord.parse("F"), 137, 7680 - 137)))
    plan = make_plan(style, None, 1, key=key, meter=Meter(), bars=4, chords=odd)
    plays_the_chords(play(Role.HARMONY, plan, 1), plan)


@pytest.mark.parametrize("style_id", STYLES)
def test_ten_seeds_are_ten_harmonies(style_id: str) -> None:
    """Even with four bars in the same key and tempo."""
    style, key = load_style(style_id), Key.parse("A minor")
    plans = [make_plan(style, None, s, key=key, tempo_bpm=Fraction(120), bars=4) for s in range(1, 11)]
    assert len({play(Role.HARMONY, plan, s).sha256 for s, plan in enumerate(plans, 1)}) == 10


def test_the_summary_names_the_chords_once_around() -> None:
    key, bar = Key.parse("A minor"), 1920
    chords = [Chord.parse(name) for name in ("Am", "F", "Am", "G")]
    spans = tuple(ChordSpan(chords[i % 4], i * bar, bar) for i in range(8))
    assert chord_line(Progression(spans), key) == "Am · F · Am · G"
    plan = make_plan(load_style("techno"), None, 1, key=key, meter=Meter(), bars=8, chords=Progression(spans))
    request = Request(Role.HARMONY, plan, 1)
    line = summary(play(Role.HARMONY, plan, 1), request)
    names = [pattern.name for pattern in plan.style.harmony.patterns]
    assert line in [f"Am · F · Am · G   {name}" for name in names]
