"""Drums keep their contracts in every style and meter, and each style is what a producer expects."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.generators.drums import DrumGenerator
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes, Feel
from rhythm import METERS, SEEDS, STEP, STYLES, bar_of_steps, drums_of, plan_of, play, steps

LEVELS = st.sampled_from((-1.0, -0.5, 0.0, 0.5, 1.0))
ATTRIBUTES = st.builds(Attributes, *[LEVELS] * 6)
WORDS = frozenset(piece.word for piece in DrumPiece)
SKELETON = (DrumPiece.KICK, DrumPiece.SNARE, DrumPiece.CLAP, DrumPiece.RIM)


@settings(max_examples=80, deadline=None)
@given(
    style_id=st.sampled_from(STYLES),
    meter=st.sampled_from(METERS),
    bars=st.sampled_from((1, 2, 3, 4, 5, 8, 13)),
    seed=st.integers(0, 2**40),
    attributes=ATTRIBUTES,
    feel=st.sampled_from(list(Feel)),
    excluded=st.frozensets(st.sampled_from(sorted(WORDS - {"kick"})), max_size=4),
    included=st.frozensets(st.sampled_from(sorted(WORDS)), max_size=2),
)
def test_any_request_yields_each_bar_with_its_own_notes(
    style_id: str,
    meter: str,
    bars: int,
    seed: int,
    attributes: Attributes,
    feel: Feel,
    excluded: frozenset[str],
    included: frozenset[str],
) -> None:
    plan = plan_of(style_id, 0, bars=bars, meter=meter)
    request = Request(Role.DRUMS, plan, seed, attributes, feel, exclusions=excluded, inclusions=included - excluded)
    made = list(DrumGenerator().bars(request))
    assert len(made) == bars
    for bar, notes in enumerate(made):
        for note in notes:
            assert bar * plan.meter.bar_ticks <= note.start_ticks < (bar + 1) * plan.meter.bar_ticks
    sounding = {DrumPiece(note.pitch).word for notes in made for note in notes}
    assert not sounding & excluded
    assert included - excluded - {"closed_hat", "pedal_hat"} <= sounding  # an open hat may stand for those
    assert list(DrumGenerator().bars(request)) == made


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("style_id", STYLES)
def test_every_meter_has_a_groove(style_id: str, meter: str) -> None:
    parsed = Meter.parse(meter)
    score = play(plan_of(style_id, meter=meter), Role.DRUMS)
    bars_with_notes = {note.start_ticks // parsed.bar_ticks for note in score}
    quarters_a_bar = parsed.bar_ticks / 480
    assert len(bars_with_notes) >= 6
    assert len(score) / 8 <= 16 * quarters_a_bar
    # The whole bar is used: something sounds in the last felt beat of most bars, except where a style is hardly there.
    last_beat = parsed.beats_ticks[-1]
    ends = {note.start_ticks // parsed.bar_ticks for note in score if note.start_ticks % parsed.bar_ticks >= last_beat}
    assert len(ends) >= (2 if style_id == "ambient" else 6)


@pytest.mark.parametrize("style_id", ["rock", "techno", "funk", "jazz"])
@pytest.mark.parametrize("meter", ["3/4", "5/4", "7/8", "12/8"])
def test_a_backbeat_answers_the_downbeat_in_other_meters(style_id: str, meter: str) -> None:
    parsed = Meter.parse(meter)
    score = play(plan_of(style_id, 1, meter=meter), Role.DRUMS, 1)
    answer = DrumPiece.PEDAL_HAT if style_id == "jazz" else None
    pieces = {answer} if answer else {DrumPiece.SNARE, DrumPiece.CLAP, DrumPiece.RIM}
    loud = [note.start_ticks % parsed.bar_ticks for note in score if note.pitch in pieces and note.velocity > 60]
    assert {round(tick / STEP) * STEP for tick in loud} & set(parsed.beats_ticks[1:])


@pytest.mark.parametrize("style_id", STYLES)
def test_the_kick_on_the_one_is_always_on_the_grid(style_id: str) -> None:
    for seed in SEEDS[:4]:
        plan = plan_of(style_id, seed)
        near = [
            note.start_ticks % plan.meter.bar_ticks
            for note in drums_of(style_id, seed)
            if note.pitch == DrumPiece.KICK and note.start_ticks % plan.meter.bar_ticks < STEP // 2
        ]
        assert set(near) <= {0}


@pytest.mark.parametrize("style_id", ["techno", "trance", "synthwave", "pop", "metal", "drum_and_bass"])
def test_machine_styles_sit_on_the_grid(style_id: str) -> None:
    # Sixteenths, rolls of 32nds and triplets: nothing in between.
    for seed in SEEDS[:3]:
        assert all(note.start_ticks % 60 == 0 or note.start_ticks % 80 == 0 for note in drums_of(style_id, seed))


def test_swing_delays_off_beats_and_the_attribute_moves_it() -> None:
    plan = plan_of("lo_fi", 1)
    late = {}
    for swing in (-1.0, 0.0, 0.5):
        score = play(plan, Role.DRUMS, 1, Attributes(swing=swing, density=1.0))
        hats = [n.start_ticks % 240 - STEP for n in score if n.pitch == DrumPiece.CLOSED_HAT]
        off_beats = sorted(offset for offset in hats if abs(offset) < 60)
        late[swing] = off_beats[len(off_beats) // 2]
    assert late[-1.0] < late[0.0] < late[0.5]


def test_jazz_swings_its_eighths_to_triplets() -> None:
    score = drums_of("jazz", 1)
    skips = [n.start_ticks % 480 for n in score if n.pitch == DrumPiece.RIDE and 200 < n.start_ticks % 480 < 440]
    assert skips
    assert all(abs(skip - 320) <= 20 for skip in skips)  # 0.9 of triplet swing, and the drummer's own looseness


def test_motifs_repeat_and_the_last_bar_turns() -> None:
    for style_id in STYLES:
        plan = plan_of(style_id, 2)
        score = drums_of(style_id, 2)
        bars = [
            frozenset(
                (round(n.start_ticks / 60) - 32 * bar, n.pitch) for n in score.between(1920 * bar, 1920 * (bar + 1))
            )
            for bar in range(plan.bars)
        ]
        assert len(set(bars)) <= 7, style_id  # something comes again
        assert len(set(bars)) >= 2, style_id  # and something changes
        assert bars[7] not in bars[:3], style_id


@pytest.mark.parametrize("style_id", STYLES)
def test_ten_seeds_are_ten_pieces(style_id: str) -> None:
    def idea(score: Score) -> frozenset[tuple[int, int]]:
        return frozenset((round(note.start_ticks / 60), note.pitch) for note in score)

    ideas = {idea(play(plan_of(style_id), Role.DRUMS, seed)) for seed in SEEDS}
    assert len(ideas) == 10


@pytest.mark.parametrize("style_id", STYLES)
def test_busier_drums_keep_the_skeleton(style_id: str) -> None:
    plain, busy = drums_of(style_id, 3), drums_of(style_id, 3, Attributes(density=0.5))
    for bar in (0, 1, 4):  # no fills there
        for piece in SKELETON:
            assert bar_of_steps(plain, piece, bar) <= bar_of_steps(busy, piece, bar)


def test_half_time_moves_the_backbeat_to_three_and_keeps_the_hats() -> None:
    plan = plan_of("rock", 4)
    normal = play(plan, Role.DRUMS, 4)
    half = play(plan, Role.DRUMS, 4, feel=Feel.HALF_TIME)
    assert {4, 12} <= bar_of_steps(normal, DrumPiece.SNARE, 0)
    assert 8 in bar_of_steps(half, DrumPiece.SNARE, 0)
    assert not {4, 12} & bar_of_steps(half, DrumPiece.SNARE, 0)
    hats = bar_of_steps(half, DrumPiece.CLOSED_HAT, 0) | bar_of_steps(half, DrumPiece.OPEN_HAT, 0)
    assert bar_of_steps(normal, DrumPiece.CLOSED_HAT, 0) <= hats


def test_double_time_doubles_the_backbeat() -> None:
    double = play(plan_of("rock", 4), Role.DRUMS, 4, feel=Feel.DOUBLE_TIME)
    assert {2, 6, 10, 14} <= bar_of_steps(double, DrumPiece.SNARE, 0)


@pytest.mark.parametrize("style_id", STYLES)
def test_an_open_and_a_closed_hat_never_sound_together(style_id: str) -> None:
    for seed in SEEDS[:4]:
        score = drums_of(style_id, seed)
        opened = {n.start_ticks for n in score if n.pitch == DrumPiece.OPEN_HAT}
        assert not opened & {n.start_ticks for n in score if n.pitch == DrumPiece.CLOSED_HAT}


def _in_all_bars(piece: DrumPiece, expected: set[int]) -> Callable[[Score], bool]:
    """Whether a piece has strokes on these sixteenths in every bar without a fill."""
    return lambda score: all(expected <= bar_of_steps(score, piece, bar) for bar in (0, 1, 2, 4, 5, 6))


def _never(piece: DrumPiece, steps_of_bar: set[int]) -> Callable[[Score], bool]:
    return lambda score: not any(steps_of_bar & bar_of_steps(score, piece, bar) for bar in (0, 1, 2, 4, 5, 6))


FLOOR = {0, 4, 8, 12}
SIGNATURES = [
    *((style, "four to the floor", _in_all_bars(DrumPiece.KICK, FLOOR)) for style in ("techno", "house", "deep_house")),
    *((style, "four to the floor", _in_all_bars(DrumPiece.KICK, FLOOR)) for style in ("trance", "disco")),
    *(
        (style, "open hats off the beat", _in_all_bars(DrumPiece.OPEN_HAT, {2, 6, 10, 14}))
        for style in ("trance", "disco")
    ),
    ("techno", "open hats off the beat", _in_all_bars(DrumPiece.OPEN_HAT, {2, 6, 10, 14})),
    ("house", "claps on two and four", _in_all_bars(DrumPiece.CLAP, {4, 12})),
    *(
        (style, "snare on two and four", _in_all_bars(DrumPiece.SNARE, {4, 12}))
        for style in ("rock", "boom_bap", "disco")
    ),
    *(
        (style, "snare on two and four", _in_all_bars(DrumPiece.SNARE, {4, 12}))
        for style in ("pop", "synthwave", "lo_fi")
    ),
    ("drum_and_bass", "snare on two", _in_all_bars(DrumPiece.SNARE, {4})),
    ("drum_and_bass", "not four to the floor", _never(DrumPiece.KICK, {4, 12})),
    ("dubstep", "snare on three", _in_all_bars(DrumPiece.SNARE, {8})),
    ("dubstep", "and not on two and four", _never(DrumPiece.SNARE, {4, 12})),
    ("trap", "clap on three", _in_all_bars(DrumPiece.CLAP, {8})),
    ("reggae", "the drop", _in_all_bars(DrumPiece.KICK, {4, 12})),
    ("reggae", "nothing on the one", _never(DrumPiece.KICK, {0})),
    ("jazz", "hi-hat on two and four", _in_all_bars(DrumPiece.PEDAL_HAT, {4, 12})),
    ("jazz", "ride on all beats", _in_all_bars(DrumPiece.RIDE, {0, 4, 8, 12})),
    ("bossa_nova", "kick on one and three, and before them", _in_all_bars(DrumPiece.KICK, {0, 6, 8, 14})),
]


@pytest.mark.parametrize(
    ("style_id", "what", "holds"), SIGNATURES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_styles_have_their_signature(style_id: str, what: str, holds: Callable[[Score], bool]) -> None:
    assert all(holds(drums_of(style_id, seed)) for seed in SEEDS)


def test_bossa_nova_plays_the_clave_over_two_bars() -> None:
    clave = {0, 6, 12, 20, 26}
    for seed in SEEDS:
        rim = {step % 32 for step in steps(drums_of("bossa_nova", seed), DrumPiece.RIM) if step < 96}
        assert clave <= rim or {(step + 16) % 32 for step in clave} <= rim


def test_trap_rolls_its_hats_faster_than_sixteenths() -> None:
    rolling = [
        any(0 < b.start_ticks - a.start_ticks < STEP for a, b in pairwise(hats))
        for hats in ([n for n in drums_of("trap", seed) if n.pitch == DrumPiece.CLOSED_HAT] for seed in SEEDS)
    ]
    assert sum(rolling) >= 7


def test_funk_plays_ghost_notes() -> None:
    for seed in SEEDS:
        assert any(n.pitch == DrumPiece.SNARE and n.velocity < 60 for n in drums_of("funk", seed))


def test_metal_has_double_kicks() -> None:
    for seed in SEEDS:
        kicks = sorted(steps(drums_of("metal", seed), DrumPiece.KICK))
        assert sum(b - a == 1 for a, b in pairwise(kicks)) >= 12


def test_ambient_is_sparse_and_soft() -> None:
    for seed in SEEDS:
        score = drums_of("ambient", seed)
        assert len(score) <= 13 * 8
        assert max(note.velocity for note in score) < 80


def test_velocities_are_played_not_typed() -> None:
    for style_id in STYLES:
        assert len({note.velocity for note in drums_of(style_id, 5)}) >= 8, style_id


@pytest.mark.parametrize("style_id", STYLES)
def test_the_kick_follows_a_bass_that_is_there(style_id: str) -> None:
    """A bass of random onsets draws the kick to it: more than it meets another bass by chance."""

    def bass(seed: int) -> Score:
        onsets = [
            bar * 1920 + STEP * step
            for bar in range(8)
            for step in sorted(range(16), key=lambda step: Dice(seed, "onsets").roll(bar, step))[:5]
        ]
        return Score.of([Note(tick, 40, 100, 100) for tick in onsets], 8 * 1920)

    met, by_chance = 0, 0
    for seed in SEEDS:
        mine, other = bass(seed), bass(seed + 100)
        kicks = steps(play(plan_of(style_id, seed), Role.DRUMS, seed, context={Role.BASS: mine}), DrumPiece.KICK)
        met += len(kicks & steps(mine))
        by_chance += len(kicks & steps(other))
    assert met > 1.25 * by_chance
