"""What words ask of harmony and melody is measured in their notes: for every style, over ten seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from engine.generators.making import harmony_of, mean, notes_a_bar, plan_of, play
from resonantgen.generators.base import Plan
from resonantgen.generators.style import style_ids
from resonantgen.music.notes import Role, Score
from resonantgen.prompt.intent import Attributes, Feel

STYLES = style_ids()
SEEDS = range(10)
PITCHED = (Role.HARMONY, Role.MELODY)
OTHER = 100  # added to a seed: another piece of the same style


def velocity(score: Score, plan: Plan) -> float:
    return mean(score, lambda note: note.velocity)


def pitch(score: Score, plan: Plan) -> float:
    return mean(score, lambda note: note.pitch)


def length(score: Score, plan: Plan) -> float:
    return mean(score, lambda note: note.duration_ticks)


Measure = Callable[[Score, Plan], float]
CASES: list[tuple[str, Measure]] = [("density", notes_a_bar), ("aggression", velocity), ("brightness", pitch)]


@cache
def played(role: Role, style_id: str, seed: int, other: int = 0, **asked: float) -> Score:
    """A track over its usual context, of a plan's own seed or (`other`) of another."""
    return play(role, plan_of(style_id, seed), seed + other, Attributes(**asked), context=context(role, style_id, seed))


def context(role: Role, style_id: str, seed: int) -> Mapping[Role, Score]:
    return {Role.HARMONY: harmony_of(style_id, seed)} if role is Role.MELODY else {}


@pytest.mark.parametrize("amount", [-0.5, 0.5])
@pytest.mark.parametrize(("name", "measure"), CASES)
@pytest.mark.parametrize("role", PITCHED)
@pytest.mark.parametrize("style_id", STYLES)
def test_a_step_moves_what_it_names(style_id: str, role: Role, name: str, measure: Measure, amount: float) -> None:
    """With the same seed always; with another seed, which is another piece, in at least nine of ten."""
    same = other = 0
    for seed in SEEDS:
        plan = plan_of(style_id, seed)
        before = measure(played(role, style_id, seed), plan)
        after = measure(played(role, style_id, seed, **{name: amount}), plan)
        elsewhere = measure(played(role, style_id, seed, OTHER, **{name: amount}), plan)
        same += (after - before) * amount > 0
        other += (elsewhere - before) * amount > 0
    assert same == len(SEEDS)
    assert other >= 9


@pytest.mark.parametrize("role", PITCHED)
@pytest.mark.parametrize("style_id", STYLES)
def test_density_changes_the_number_of_notes_by_two_fifths(style_id: str, role: Role) -> None:
    for seed in SEEDS:
        sparse, busy = (len(played(role, style_id, seed, density=d)) for d in (-0.5, 0.5))
        assert busy >= 1.4 * sparse


@pytest.mark.parametrize("role", PITCHED)
@pytest.mark.parametrize("style_id", STYLES)
def test_busier_is_the_same_music_with_more_in_it(style_id: str, role: Role) -> None:
    """Of the onsets at least nine in ten stay, for each seed: no other idea, only more of it."""
    for seed in SEEDS:
        before, after = (
            {n.start_ticks for n in score}
            for score in (played(role, style_id, seed), played(role, style_id, seed, density=0.5))
        )
        assert len(before & after) >= 0.9 * len(before)
        assert len(after) >= len(before)


@pytest.mark.parametrize("role", PITCHED)
@pytest.mark.parametrize("style_id", STYLES)
def test_energy_and_space(style_id: str, role: Role) -> None:
    """Energy is louder and not sparser; space has fewer notes, and they are longer."""
    for seed in range(4):
        plan = plan_of(style_id, seed)
        usual, lively, wide = (
            play(role, plan, seed, asked) for asked in (Attributes(), Attributes(energy=0.5), Attributes(space=1.0))
        )
        assert velocity(lively, plan) > velocity(usual, plan)
        assert len(lively) >= len(usual) > len(wide)
        assert length(wide, plan) > length(usual, plan)


@pytest.mark.parametrize("role", PITCHED)
@pytest.mark.parametrize("style_id", STYLES)
def test_half_and_double_time(style_id: str, role: Role) -> None:
    """Half as many onsets, or twice as many, within a third (a chord must still be stated where it begins)."""
    plan = plan_of(style_id, 2)
    onsets = {feel: len({n.start_ticks for n in play(role, plan, 2, feel=feel)}) for feel in Feel}
    assert onsets[Feel.HALF_TIME] < onsets[Feel.NORMAL] < onsets[Feel.DOUBLE_TIME]


@pytest.mark.parametrize("semitones", [-12, -5, 5, 7, 12])
@pytest.mark.parametrize("role", PITCHED)
@pytest.mark.parametrize("style_id", STYLES)
def test_transposing_a_track_moves_its_register_and_keeps_its_tones(style_id: str, role: Role, semitones: int) -> None:
    plan = plan_of(style_id, 3)
    before, after = play(role, plan, 3), play(role, plan, 3, transpose_semitones=semitones)
    assert pitch(after, plan) - pitch(before, plan) == pytest.approx(semitones, abs=4)  # half of an octave's inversions
    if plan.style.diatonic:
        assert all(note.pitch in plan.key for note in after)
    if abs(semitones) == 12 and role is Role.MELODY:
        assert [n.pitch for n in after] == [n.pitch + semitones for n in before]


@pytest.mark.parametrize("role", PITCHED)
def test_swing_delays_the_offbeats(role: Role) -> None:
    """Without drums that bind it, house swings its sixteenths as far as asked: at 1 by 72 % of a triplet's 40 ticks."""
    plan = plan_of("house", 1)

    def latest(swing: float) -> int:
        score = play(role, plan, 1, Attributes(swing=swing, density=0.5))
        return max(note.start_ticks % 240 - 120 for note in score if 100 <= note.start_ticks % 240 < 200)

    assert latest(-1.0) <= 4 < latest(0.0) < latest(1.0)
    assert latest(1.0) >= 28
