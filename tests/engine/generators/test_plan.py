"""Plans: what is given is kept, the rest suits the style, and every combination has a plan."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.making import plan_of
from resonantgen.errors import BadValue
from resonantgen.generators.base import Plan
from resonantgen.generators.dice import Dice
from resonantgen.generators.plan import MOOD_MODES, harmonise, make_plan
from resonantgen.generators.progressions import choose_progression, diatonic_chord, split_tick
from resonantgen.generators.style import load_style, style_ids
from resonantgen.music.notes import Note, Score
from resonantgen.music.theory import Chord, Key, Mode, Progression, roman_chord
from resonantgen.music.time import Meter

STYLES = style_ids()
METERS = [Meter(n, d) for d in (4, 8) for n in range(2, 13)]


def fills(chords: Progression, meter: Meter, bars: int) -> bool:
    return chords.length_ticks == bars * meter.bar_ticks  # that there are no gaps is an invariant of Progression


@given(
    style_id=st.sampled_from(STYLES),
    mode=st.sampled_from(Mode),
    tonic=st.integers(0, 11),
    meter=st.sampled_from(METERS),
    bars=st.integers(1, 64),
    seed=st.integers(0, 2**32),
)
def test_every_style_has_a_plan_in_every_mode_meter_and_length(
    style_id: str, mode: Mode, tonic: int, meter: Meter, bars: int, seed: int
) -> None:
    style, key = load_style(style_id), Key(tonic, mode)
    plan = make_plan(style, None, seed, meter=meter, key=key, bars=bars)
    assert (plan.key, plan.meter, plan.bars) == (key, meter, bars)
    assert fills(plan.chords, meter, bars)
    beats = {*meter.beats_ticks}
    assert all(span.start_ticks % meter.bar_ticks in beats for span in plan.chords.spans)
    if style.diatonic:
        assert all(tone in key for span in plan.chords.spans for tone in span.chord.pitch_classes)
    else:
        assert plan.chords.spans[0].chord.root in key


@pytest.mark.parametrize("style_id", STYLES)
def test_unasked_choices_suit_the_style(style_id: str) -> None:
    style = load_style(style_id)
    plans = [plan_of(style_id, seed) for seed in range(60)]
    tempos = Counter(plan.tempo_bpm for plan in plans)
    assert all(style.tempo.low <= tempo <= style.tempo.high for tempo in tempos)
    assert tempos.most_common(1)[0][0] == style.tempo.usual
    assert len(tempos) >= 3
    meters = Counter(str(plan.meter) for plan in plans)
    assert set(meters) <= set(style.meters)
    assert meters.most_common(1)[0][0] == style.meters[0]
    modes = Counter(plan.key.mode for plan in plans)
    assert set(modes) == set(style.modes)
    assert {plan.bars for plan in plans} == {8}


@pytest.mark.parametrize("style_id", STYLES)
@pytest.mark.parametrize("mood", sorted(MOOD_MODES))
def test_a_mood_decides_the_mode(style_id: str, mood: str) -> None:
    for seed in range(10):
        assert plan_of(style_id, seed, mood).key.mode in MOOD_MODES[mood]


def test_a_mood_picks_its_progressions() -> None:
    style, key = load_style("techno"), Key.parse("A minor")
    dark = [p for p in style.progressions if p.mode is Mode.MINOR and "dark" in p.moods]
    expected = {tuple(roman_chord(n, key) for n in preset.chords) for preset in dark}
    for seed in range(20):
        chords = choose_progression(style, key, "dark", Meter(), 7, Dice(seed))
        assert any(
            chords.spans[0].chord == loop[0] and {s.chord for s in chords.spans} <= set(loop) for loop in expected
        )


@pytest.mark.parametrize("style_id", STYLES)
def test_asking_for_minor_or_major_is_heard_even_against_the_mood(style_id: str) -> None:
    style = load_style(style_id)
    for seed in range(5):
        assert make_plan(style, "happy", seed, minor=True).key.mode.is_minor
        assert not make_plan(style, "dark", seed, minor=False).key.mode.is_minor


def test_what_is_given_is_kept() -> None:
    style = load_style("jazz")
    key, meter, tempo = Key.parse("F# minor"), Meter(7, 8), Fraction(973, 10)
    plan = make_plan(style, "dark", 3, tempo_bpm=tempo, meter=meter, key=key, minor=False, bars=5)
    assert (plan.tempo_bpm, plan.meter, plan.key, plan.bars, plan.mood) == (tempo, meter, key, 5, "dark")


def test_the_same_seed_gives_the_same_plan_and_other_seeds_give_others() -> None:
    style = load_style("pop")
    plans = [make_plan(style, None, seed) for seed in range(20)]
    assert plans == [make_plan(style, None, seed) for seed in range(20)]
    assert len({(plan.key, plan.chords) for plan in plans}) >= 15


def test_a_choice_does_not_depend_on_what_else_is_given() -> None:
    """Each choice has its own die: giving the tempo leaves key and chords as they were."""
    style = load_style("house")
    free, given_tempo = make_plan(style, None, 5), make_plan(style, None, 5, tempo_bpm=Fraction(99))
    assert (free.key, free.meter, free.chords) == (given_tempo.key, given_tempo.meter, given_tempo.chords)


@pytest.mark.parametrize("bars", [0, 65, -1])
def test_impossible_lengths_are_refused(bars: int) -> None:
    with pytest.raises(BadValue, match="bars cannot be made"):
        make_plan(load_style("pop"), None, 1, bars=bars)


@pytest.mark.parametrize("bars", [1, 3, 8, 20])
def test_bound_chords_are_repeated_or_cut(bars: int) -> None:
    style, key = load_style("rock"), Key.parse("E minor")
    bound = make_plan(style, None, 1, key=key, meter=Meter(), bars=4).chords
    plan = make_plan(style, None, 99, key=key, meter=Meter(), bars=bars, chords=bound)
    assert fills(plan.chords, Meter(), bars)
    for tick in range(0, plan.length_ticks, 480):
        assert plan.chords.at(tick).chord == bound.at(tick % bound.length_ticks).chord


@pytest.mark.parametrize(
    ("meter", "position", "tick"),
    [
        ("4/4", Fraction(1, 2), 960),
        ("3/4", Fraction(1, 2), 960),
        ("5/4", Fraction(1, 2), 1440),
        ("6/8", Fraction(1, 2), 720),
        ("7/8", Fraction(3, 2), 1680 + 960),
        ("4/4", Fraction(1, 4), 480),
        ("12/8", Fraction(9, 4), 2 * 2880 + 720),
        ("4/4", Fraction(3), 5760),
    ],
)
def test_chords_change_where_the_bar_is_felt_to_divide(meter: str, position: Fraction, tick: int) -> None:
    assert split_tick(position, Meter.parse(meter)) == tick


@pytest.mark.parametrize("mode", Mode)
def test_diatonic_chords_have_the_degree_as_root_and_stay_in_the_key(mode: Mode) -> None:
    key = Key(9, mode)
    for color in {style.harmony.color for style in map(load_style, STYLES)}:
        for degree in range(7):
            chord = diatonic_chord(key, degree, color)
            assert chord.root == key.pitch_classes[degree]
            assert all(tone in key for tone in chord.pitch_classes)


def test_long_clips_have_a_bridge() -> None:
    """From 16 bars on the third quarter has other chords than the first."""
    for seed in range(10):
        plan = make_plan(load_style("pop"), None, seed, bars=32, meter=Meter())
        quarter = plan.length_ticks // 4
        parts = [[plan.chords.at(tick).chord for tick in range(q * quarter, (q + 1) * quarter, 480)] for q in range(4)]
        assert parts[2] != parts[0]
        assert parts[1] == parts[0]


def test_a_turnaround_leads_back() -> None:
    """Where the last bar differs from the loop, its chord is neither the loop's first nor the one before."""
    style, key = load_style("pop"), Key.parse("C major")
    changed = 0
    for seed in range(40):
        plan = make_plan(style, None, seed, key=key, meter=Meter(), bars=8)
        last, loop = plan.chords.spans[-1], plan.chords.at(plan.length_ticks // 2 - 1).chord
        if last.chord != loop:
            changed += 1
            assert last.chord.root not in (plan.chords.spans[0].chord.root, loop.root)
            assert last.duration_ticks == 960
    assert 5 <= changed <= 30  # pop turns around in 40 % of its loops


def arpeggios(plan: Plan, chords: list[Chord]) -> Score:
    """A melody that plays one chord's tones in each bar, in quarters."""
    notes = []
    for bar in range(plan.bars):
        tones = chords[bar % len(chords)].pitch_classes
        for beat in range(4):
            notes.append(Note(bar * 1920 + beat * 480, 72 + tones[beat % len(tones)], 480, 90))
    return Score.of(notes, plan.length_ticks)


def test_harmonising_finds_the_chords_of_a_melody() -> None:
    key = Key.parse("C major")
    plan = make_plan(load_style("pop"), None, 2, key=key, meter=Meter(), bars=8)
    one_a_bar = Progression(tuple(s for s in plan.chords.spans))
    wanted = [Chord.parse(name) for name in ("Am", "F", "C", "G")]
    found = harmonise(arpeggios(plan, wanted), plan)
    assert [s.start_ticks for s in found.spans] == [s.start_ticks for s in one_a_bar.spans]
    for span in found.spans:
        assert span.chord == wanted[span.start_ticks // 1920 % 4]


@pytest.mark.parametrize("style_id", STYLES)
def test_harmonising_fits_a_melody_better_than_the_plan_it_starts_from(style_id: str) -> None:
    """With the melody of another plan in the same key: more of it lies on chord tones, and nothing leaves the key."""
    style, key = load_style(style_id), Key.parse("A minor")

    def share(melody: Score, chords: Progression) -> float:
        return sum(n.pitch in chords.at(n.start_ticks).chord for n in melody) / len(melody)

    gained = []
    for seed in range(8):
        plan = make_plan(style, None, seed, key=key, meter=Meter(), bars=8)
        other = make_plan(style, None, seed + 50, key=key, meter=Meter(), bars=8)
        melody = arpeggios(other, [span.chord for span in other.chords.spans])
        fitted = harmonise(melody, plan)
        assert fills(fitted, Meter(), 8)
        if style.diatonic:
            assert all(tone in key for span in fitted.spans for tone in span.chord.pitch_classes)
        gained.append(share(melody, fitted) - share(melody, plan.chords))
    assert sum(gained) / len(gained) > 0.1
    assert min(gained) >= -0.05


def test_silence_leaves_the_chords_alone() -> None:
    plan = plan_of("pop", 1)
    assert harmonise(Score((), plan.length_ticks), plan) == plan.chords
