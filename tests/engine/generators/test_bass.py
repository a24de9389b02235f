"""The bass keeps its contracts, follows chords and kick, and stays in its register, in every style and meter."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resonantgen.generators.base import Plan, Request
from resonantgen.generators.bass import BassGenerator
from resonantgen.generators.bass_pitch import HIGHEST, LOWEST
from resonantgen.generators.dice import Dice
from resonantgen.generators.grammars.bass import KickRelation
from resonantgen.generators.style import load_style
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.prompt.intent import Attributes, Feel
from rhythm import METERS, SEEDS, STEP, STYLES, bass_of, drums_of, plan_of, play, steps, with_moved

LEVELS = st.sampled_from((-1.0, -0.5, 0.0, 0.5, 1.0))
ATTRIBUTES = st.builds(Attributes, *[LEVELS] * 6)
DIATONIC = [style_id for style_id in STYLES if load_style(style_id).diatonic]


def out_of_key(score: Score, plan: Plan) -> list[Note]:
    """Notes that are neither in the key nor in the chord that sounds where they are written."""
    return [
        note
        for note in score
        if note.pitch not in plan.key
        and note.pitch not in plan.chords.at(note.start_ticks).chord
        and note.pitch not in plan.chords.at(min(note.start_ticks + STEP // 3, plan.length_ticks - 1)).chord
    ]


@settings(max_examples=80, deadline=None)
@given(
    style_id=st.sampled_from(STYLES),
    meter=st.sampled_from(METERS),
    bars=st.sampled_from((1, 2, 3, 4, 5, 8, 13)),
    seed=st.integers(0, 2**40),
    attributes=ATTRIBUTES,
    feel=st.sampled_from(list(Feel)),
    transpose=st.sampled_from((-12, -5, -2, 0, 2, 5, 12)),
    with_drums=st.booleans(),
)
def test_any_request_yields_each_bar_with_its_own_notes(
    style_id: str,
    meter: str,
    bars: int,
    seed: int,
    attributes: Attributes,
    feel: Feel,
    transpose: int,
    with_drums: bool,
) -> None:
    plan = plan_of(style_id, 0, bars=bars, meter=meter)
    context = {Role.DRUMS: play(plan, Role.DRUMS, seed)} if with_drums else {}
    request = Request(Role.BASS, plan, seed, attributes, feel, transpose, context=context)
    made = list(BassGenerator().bars(request))
    assert len(made) == bars
    assert any(made)
    for bar, notes in enumerate(made):
        for note in notes:
            assert bar * plan.meter.bar_ticks <= note.start_ticks < (bar + 1) * plan.meter.bar_ticks
            assert LOWEST - 4 <= note.pitch <= HIGHEST + 4
    if load_style(style_id).diatonic:
        score = Score.of((note for notes in made for note in notes), plan.length_ticks)
        assert not out_of_key(score, plan)


@pytest.mark.parametrize("style_id", STYLES)
def test_it_lies_where_a_bass_lies(style_id: str) -> None:
    pitches = sorted(note.pitch for seed in SEEDS for note in bass_of(style_id, seed))
    assert pitches[0] >= LOWEST
    assert pitches[-1] <= HIGHEST
    assert 32 <= pitches[len(pitches) // 2] <= 45


@pytest.mark.parametrize("style_id", DIATONIC)
def test_diatonic_styles_stay_in_the_key(style_id: str) -> None:
    for seed in SEEDS:
        assert not out_of_key(bass_of(style_id, seed), plan_of(style_id, seed))


def test_only_other_styles_lead_in_half_steps() -> None:
    leading = [note for seed in SEEDS for note in out_of_key(bass_of("jazz", seed), plan_of("jazz", seed))]
    assert leading


@pytest.mark.parametrize("style_id", STYLES)
def test_the_first_note_over_each_chord_is_its_root(style_id: str) -> None:
    for seed in SEEDS[:5]:
        plan, score = plan_of(style_id, seed), bass_of(style_id, seed)
        for span in plan.chords.spans:
            over = [n for n in score if span.start_ticks - STEP // 3 <= n.start_ticks < span.end_ticks - STEP // 3]
            assert not over or over[0].pitch % 12 == span.chord.root


@pytest.mark.parametrize("style_id", [s for s in STYLES if load_style(s).bass.kick is KickRelation.WITH])
def test_it_comes_with_the_chord(style_id: str) -> None:
    for seed in SEEDS[:5]:
        onsets = steps(bass_of(style_id, seed))
        for span in plan_of(style_id, seed).chords.spans:
            step = span.start_ticks // STEP
            assert onsets & {step, step + 1, step + 2}


@pytest.mark.parametrize("style_id", STYLES)
def test_strong_beats_have_chord_tones(style_id: str) -> None:
    for seed in SEEDS[:5]:
        plan = plan_of(style_id, seed)
        for note in bass_of(style_id, seed):
            step = round(note.start_ticks / STEP)
            if step * STEP % plan.meter.bar_ticks in plan.meter.strong_ticks:
                assert note.pitch in plan.chords.at(min(step * STEP, plan.length_ticks - 1)).chord


@pytest.mark.parametrize("style_id", STYLES)
def test_it_meets_or_avoids_the_kick_that_it_hears(style_id: str) -> None:
    """Against the same request with the kicks shuffled: a bass meets (avoids) its own kicks more than the others'."""
    meets = load_style(style_id).bass.kick is KickRelation.WITH
    clear = 0
    for seed in SEEDS:
        drums, plan = drums_of(style_id, seed), plan_of(style_id, seed)
        kicks = steps(drums, DrumPiece.KICK)
        places = {kick: kick - kick % 16 + int(16 * Dice(seed, "shuffle").roll(kick)) for kick in kicks}
        shuffled = with_moved(drums, DrumPiece.KICK, places)
        others = steps(shuffled, DrumPiece.KICK)
        mine = steps(play(plan, Role.BASS, seed, context={Role.DRUMS: drums}))
        theirs = steps(play(plan, Role.BASS, seed, context={Role.DRUMS: shuffled}))
        heard = len(mine & kicks) + len(theirs & others)
        not_heard = len(mine & others) + len(theirs & kicks)
        clear += heard > 1.08 * not_heard if meets else heard < 0.5 * not_heard
    assert clear >= 9


def test_techno_and_trance_bass_leave_every_kick_alone() -> None:
    for style_id in ("techno", "trance"):
        for seed in SEEDS:
            assert not steps(bass_of(style_id, seed)) & steps(drums_of(style_id, seed), DrumPiece.KICK)


def test_the_groove_of_locked_drums_binds_it() -> None:
    """Straight funk over swung lo-fi drums swings, and where it meets a kick it is exactly on it."""
    plan = plan_of("synthwave", 1)
    swung = play(plan_of("lo_fi", 1), Role.DRUMS, 1, Attributes(density=0.5, swing=0.5))
    score = play(plan, Role.BASS, 1, Attributes(density=1.0), context={Role.DRUMS: swung})
    off_beats = [n.start_ticks % 240 - STEP for n in score if 90 <= n.start_ticks % 240 <= 200]
    assert off_beats
    assert sum(late > 15 for late in off_beats) > 0.8 * len(off_beats)
    kicks = {n.start_ticks for n in swung if n.pitch == DrumPiece.KICK}
    assert len(kicks & {n.start_ticks for n in score}) > 0.5 * len(kicks)


def test_it_keeps_below_chords_that_are_there() -> None:
    plan = plan_of("disco", 1)
    low_chords = Score.of([Note(0, 45, plan.length_ticks, 90), Note(0, 49, plan.length_ticks, 90)], plan.length_ticks)
    free = play(plan, Role.BASS, 1)
    score = play(plan, Role.BASS, 1, context={Role.HARMONY: low_chords})
    assert max(note.pitch for note in free) >= 45
    assert max(note.pitch for note in score) < 45


@pytest.mark.parametrize("style_id", STYLES)
def test_ten_seeds_are_ten_lines(style_id: str) -> None:
    plan, drums = plan_of(style_id), drums_of(style_id, 0)
    lines = {
        tuple((round(n.start_ticks / 60), n.pitch) for n in play(plan, Role.BASS, seed, context={Role.DRUMS: drums}))
        for seed in SEEDS
    }
    assert len(lines) >= 9  # an ambient pedal can come twice


@pytest.mark.parametrize("style_id", STYLES)
def test_one_note_at_a_time_but_for_glides(style_id: str) -> None:
    glides = load_style(style_id).bass.glide > 0
    for seed in SEEDS[:5]:
        for note, following in pairwise(bass_of(style_id, seed)):
            overlap = note.end_ticks - following.start_ticks
            assert overlap <= (60 if glides else 0)


def test_styles_play_their_own_way() -> None:
    """Walking in quarters, octaves, long 808 notes, rolling sixteenths, roots on the eighths."""
    jazz = [step % 4 for seed in SEEDS for step in steps(bass_of("jazz", seed))]
    assert jazz.count(0) > 0.7 * len(jazz)
    disco = [b.pitch - a.pitch for seed in SEEDS for a, b in pairwise(bass_of("disco", seed))]
    assert sum(abs(leap) == 12 for leap in disco) > 0.35 * len(disco)
    trap = [note.duration_ticks for seed in SEEDS for note in bass_of("trap", seed)]
    assert sum(duration > 480 for duration in trap) > 0.4 * len(trap)
    techno = [note.duration_ticks for seed in SEEDS for note in bass_of("techno", seed)]
    assert sorted(techno)[len(techno) // 2] <= 240
    bossa = [step % 16 for seed in SEEDS for step in steps(bass_of("bossa_nova", seed))]
    assert bossa.count(0) + bossa.count(6) + bossa.count(8) + bossa.count(14) > 0.8 * len(bossa)


def test_half_time_is_slower() -> None:
    plan = plan_of("rock", 2)
    assert len(play(plan, Role.BASS, 2, feel=Feel.HALF_TIME)) < 0.7 * len(play(plan, Role.BASS, 2))


def test_up_an_octave_is_up_an_octave() -> None:
    plan = plan_of("pop", 2)
    usual, up = play(plan, Role.BASS, 2), play(plan, Role.BASS, 2, transpose_semitones=12)
    assert sum(n.pitch for n in up) / len(up) > sum(n.pitch for n in usual) / len(usual) + 5
