"""Melody: chord tones where it counts, steps where it leaps not, motifs that come again, and ears for the others."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.making import GENERATORS, harmony_of, melody_of, plan_of, play
from resonantgen.generators.base import Plan, Request
from resonantgen.generators.groove import Groove, groove_for
from resonantgen.generators.melody import HIGHEST, LOWEST, summary
from resonantgen.generators.phrases import Phrasing
from resonantgen.generators.plan import make_plan
from resonantgen.generators.style import load_style, style_ids
from resonantgen.music.analysis import swing_ratio
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.theory import Key, Mode, scale_share
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes, Feel

STYLES = style_ids()
SEEDS = range(10)
METERS = [Meter(n, d) for d in (4, 8) for n in range(2, 13)]
AMOUNT = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])
A_MINOR = Key.parse("A minor")


def on_strong_beats(score: Score, plan: Plan, groove: Groove) -> list[Note]:
    """The notes within a human hand's 13 ticks after a strong beat."""
    meter = plan.meter
    ticks = [groove.place(meter, b * meter.bar_ticks + t) for b in range(plan.bars) for t in meter.strong_ticks]
    return [note for note in score if any(0 <= note.start_ticks - tick <= 13 for tick in ticks)]


def chord_tone_share(notes: list[Note], plan: Plan) -> float:
    return fmean(note.pitch in plan.chords.at(note.start_ticks).chord for note in notes) if notes else 1.0


@pytest.mark.parametrize("style_id", STYLES)
def test_strong_beats_have_chord_tones(style_id: str) -> None:
    """At least 95 %, and more than by chance: the same notes fit the chords of other seeds in the same key less."""
    style, own, shuffled = load_style(style_id), [], []
    for seed in SEEDS:
        plan = make_plan(style, None, seed, key=A_MINOR, meter=Meter(), bars=8)
        melody = play(Role.MELODY, plan, seed)
        strong = on_strong_beats(melody, plan, groove_for(Request(Role.MELODY, plan, seed)))
        own.append(chord_tone_share(strong, plan))
        for other in SEEDS:
            if other != seed:
                foreign = make_plan(style, None, other, key=A_MINOR, meter=Meter(), bars=8)
                shuffled.append(chord_tone_share(strong, foreign))
    assert fmean(own) >= 0.95
    assert fmean(shuffled) < fmean(own) - 0.1


@pytest.mark.parametrize("style_id", STYLES)
def test_lines_sing(style_id: str) -> None:
    """In range, in the key where the style is, and leaps of a minor sixth or more turn back."""
    style = load_style(style_id)
    leaps = recovered = 0
    for seed in SEEDS:
        plan, melody = plan_of(style_id, seed), melody_of(style_id, seed)
        pitches = [note.pitch for note in melody]
        assert min(pitches) >= LOWEST
        assert max(pitches) <= HIGHEST
        assert max(pitches) - min(pitches) <= style.melody.range_semitones + 4
        assert max(pitches) - min(pitches) >= 2
        if style.diatonic:
            assert scale_share(pitches, plan.key) == 1.0
        for (a, b), (_, c) in pairwise(pairwise(pitches)):
            if abs(b - a) >= 8:
                leaps += 1
                recovered += abs(c - b) <= 4 or (c - b) * (b - a) < 0
    assert leaps - recovered <= max(1, 0.1 * leaps)


@pytest.mark.parametrize("style_id", STYLES)
def test_only_one_note_at_a_time_and_none_hangs_over_a_chord_that_it_is_foreign_to(style_id: str) -> None:
    for seed in SEEDS:
        plan, melody = plan_of(style_id, seed), melody_of(style_id, seed)
        assert all(a.end_ticks <= b.start_ticks for a, b in pairwise(melody))
        for note in melody:
            for span in plan.chords.between(note.start_ticks, note.end_ticks)[1:]:
                assert note.pitch in span.chord or span.start_ticks >= note.end_ticks


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
    plan = make_plan(load_style(style_id), None, seed, meter=meter, key=Key(seed % 12, mode), bars=bars)
    context = {Role.HARMONY: play(Role.HARMONY, plan, seed)}
    request = Request(Role.MELODY, plan, seed, attributes, feel, semitones, context=context)
    played = list(GENERATORS[Role.MELODY].bars(request))
    assert len(played) == bars
    for bar, notes in enumerate(played):
        assert all(bar * meter.bar_ticks <= note.start_ticks < (bar + 1) * meter.bar_ticks for note in notes)
        assert all(note.end_ticks <= plan.length_ticks for note in notes)
    score = Score.of((note for notes in played for note in notes), plan.length_ticks)
    assert len(score) >= 1
    if plan.style.diatonic:
        assert scale_share((note.pitch for note in score), plan.key) >= 0.98
    strong = on_strong_beats(score, plan, groove_for(request))
    assert chord_tone_share(strong, plan) >= 0.95


@pytest.mark.parametrize("style_id", STYLES)
def test_the_first_bars_do_not_wait_for_the_last(style_id: str) -> None:
    """The first bar is there after one step of the iterator, and a clip's first bars are the same in a longer clip."""
    style = load_style(style_id)
    short = make_plan(style, None, 1, key=A_MINOR, meter=Meter(), bars=4)
    long = make_plan(style, None, 1, key=A_MINOR, meter=Meter(), bars=8, chords=short.chords)
    bars = [list(GENERATORS[Role.MELODY].bars(Request(Role.MELODY, plan, 1))) for plan in (short, long)]
    assert bars[0][:2] == bars[1][:2]
    assert next(iter(GENERATORS[Role.MELODY].bars(Request(Role.MELODY, long, 1)))) == bars[1][0]


@pytest.mark.parametrize("style_id", STYLES)
def test_motifs_come_again(style_id: str) -> None:
    """Phrases of the same letter share their onsets far more than phrases of different letters do."""
    same, different = [], []
    for seed in SEEDS:
        plan = make_plan(load_style(style_id), None, seed, key=A_MINOR, meter=Meter(), bars=8)
        phrasing = Phrasing(Request(Role.MELODY, plan, seed))
        phrases = [phrasing.phrase(i) for i in range(8 // plan.style.melody.phrase_bars)]
        for i, first in enumerate(phrases):
            for second in phrases[:i]:
                a, b = ({onset.name for onset in phrase.played} for phrase in (first, second))
                (same if first.letter == second.letter else different).append(len(a & b) / len(a | b))
    assert fmean(same) >= 0.55
    assert fmean(same) > fmean(different) + 0.15


@pytest.mark.parametrize("style_id", STYLES)
def test_the_clip_comes_home(style_id: str) -> None:
    """Its last note is mostly the root of its chord: by chance it would be in about one of three."""
    roots = 0
    for seed in SEEDS:
        plan, melody = plan_of(style_id, seed), melody_of(style_id, seed)
        last = melody.notes[-1]
        roots += last.pitch % 12 == plan.chords.at(last.start_ticks).chord.root
    assert roots >= 6


def shared(melody: Score, other: Score) -> float:
    """Share of a melody's onsets that fall on the other track's, on the grid of sixteenths."""
    ticks = {round(note.start_ticks / 120) for note in other}
    return fmean(round(note.start_ticks / 120) in ticks for note in melody)


def test_a_melody_answers_the_harmony_that_it_hears() -> None:
    """Where a style asks for an answer it meets that harmony's onsets less than those of other seeds' harmonies."""
    differences = {}
    for style_id in STYLES:
        style, own, shuffled = load_style(style_id), [], []
        if style.melody.answer < 0.6:
            continue
        plans = [make_plan(style, None, seed, key=A_MINOR, meter=Meter(), bars=8) for seed in SEEDS]
        harmonies = [play(Role.HARMONY, plan, seed) for seed, plan in enumerate(plans)]
        for seed, plan in enumerate(plans):
            melody = play(Role.MELODY, plan, seed, context={Role.HARMONY: harmonies[seed]})
            own.append(shared(melody, harmonies[seed]))
            shuffled += [shared(melody, harmony) for i, harmony in enumerate(harmonies) if i != seed]
        differences[style_id] = fmean(shuffled) - fmean(own)
    assert len(differences) >= 6
    assert fmean(differences.values()) >= 0.03
    assert min(differences.values()) > -0.02


def drums(swing_ticks: int, places: list[int], bars: int = 8) -> Score:
    """Kicks on given sixteenths of each bar, and hats on all of them, every second one late."""
    notes = [
        Note(b * 1920 + p * 120 + swing_ticks * (p % 2), DrumPiece.KICK, 60, 110) for b in range(bars) for p in places
    ]
    notes += [Note(s * 120 + swing_ticks * (s % 2), DrumPiece.CLOSED_HAT, 60, 80) for s in range(16 * bars)]
    return Score.of(notes, bars * 1920)


@pytest.mark.parametrize("style_id", ["techno", "funk", "trap", "r_and_b", "metal"])
def test_a_melody_takes_the_groove_of_drums_that_are_there(style_id: str) -> None:
    """Its swing is that of the drums, whatever the style's own is."""
    style = load_style(style_id)
    for ticks, low, high in ((0, 0.9, 1.15), (40, 1.6, 2.4)):
        ratios = []
        for seed in SEEDS:
            plan = make_plan(style, None, seed, key=A_MINOR, meter=Meter(), bars=8)
            asked = Attributes(density=1.0)  # enough off-beat sixteenths to measure
            score = play(Role.MELODY, plan, seed, asked, context={Role.DRUMS: drums(ticks, [0, 4, 8, 12])})
            ratio = swing_ratio(score)
            if ratio is not None:
                ratios.append(ratio)
        assert len(ratios) >= 5
        assert low <= fmean(ratios) <= high


def test_a_melody_joins_the_kicks_that_it_hears() -> None:
    """It meets the kicks that it was given more often than other kicks."""
    own, shuffled = [], []
    patterns = [[0, 3, 6, 10], [2, 5, 8, 14], [1, 7, 9, 12]]
    for style_id in STYLES:
        plan = make_plan(load_style(style_id), None, 4, key=A_MINOR, meter=Meter(), bars=8)
        for pattern in patterns:
            melody = play(Role.MELODY, plan, 4, context={Role.DRUMS: drums(0, pattern)})
            for other in patterns:
                kicks = Score.of((n for n in drums(0, other) if n.pitch == DrumPiece.KICK), plan.length_ticks)
                (own if other == pattern else shuffled).append(shared(melody, kicks))
    assert fmean(own) > fmean(shuffled) + 0.03


def clashes(melody: Score, bass: Score) -> float:
    """Share of a melody's notes that begin a semitone (in any octave) from the bass note that sounds."""
    found = []
    for note in melody:
        under = [b.pitch for b in bass if b.start_ticks <= note.start_ticks < b.end_ticks]
        found.append(any((note.pitch - pitch) % 12 in (1, 11) for pitch in under))
    return fmean(found)


def test_a_melody_keeps_out_of_the_way_of_the_bass_that_it_hears() -> None:
    """With a bass on other tones of the scale than the chords' roots it clashes less than without having heard it."""
    heard, unheard = [], []
    for style_id in STYLES:
        for seed in range(5):
            plan = make_plan(load_style(style_id), None, seed, key=A_MINOR, meter=Meter(), bars=8)
            tones = [plan.key.pitch(seed + bar * 3, 1) for bar in range(8)]
            bass = Score.of((Note(b * 1920, tone, 1900, 90) for b, tone in enumerate(tones)), plan.length_ticks)
            heard.append(clashes(play(Role.MELODY, plan, seed, context={Role.BASS: bass}), bass))
            unheard.append(clashes(play(Role.MELODY, plan, seed), bass))
    assert fmean(heard) < 0.7 * fmean(unheard)


def test_blue_notes_only_where_the_scale_is_left() -> None:
    """Funk may play the flat fifth; the same melody section in a diatonic style would not leave its key."""
    outside = sum(note.pitch not in plan_of("funk", seed).key for seed in range(20) for note in melody_of("funk", seed))
    assert outside > 0


@pytest.mark.parametrize("style_id", STYLES)
def test_ten_seeds_are_ten_melodies(style_id: str) -> None:
    """Even with four bars in the same key and tempo."""
    style = load_style(style_id)
    plans = [make_plan(style, None, s, key=A_MINOR, tempo_bpm=Fraction(120), bars=4) for s in range(1, 11)]
    assert len({play(Role.MELODY, plan, s).sha256 for s, plan in enumerate(plans, 1)}) == 10


def test_the_summary_says_how_much_is_played() -> None:
    plan = plan_of("techno", 1)
    usual = play(Role.MELODY, plan, 1, context={Role.HARMONY: harmony_of("techno", 1)})
    assert summary(usual, Request(Role.MELODY, plan, 1)) == "sparse, answers the stab"
    crowded = Score.of((Note(i * 120, 70, 100, 90) for i in range(128)), plan.length_ticks)
    assert summary(crowded, Request(Role.MELODY, plan, 1)) == "busy, answers the stab"
    assert summary(Score((), plan.length_ticks), Request(Role.MELODY, plan, 1)) == "silent"
