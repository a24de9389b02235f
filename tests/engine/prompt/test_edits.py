"""Prompts that change what is there: which role, which way, by how much."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest

from resonantgen.music.notes import DrumPiece, Role
from resonantgen.prompt import describe, understand
from resonantgen.prompt.intent import Attributes, Change, Feel

DRUMS, BASS, HARMONY, MELODY = Role


def steps(changes: Mapping[str, Change]) -> dict[str, float]:
    return {name: change.amount for name, change in changes.items() if change.relative}


def test_make_the_bass_more_aggressive() -> None:
    intent = understand("make the bass more aggressive")
    assert intent.roles == (BASS,)
    assert steps(intent.by_role[BASS].attributes) == {"aggression": 0.5}
    assert (intent.style, intent.mood, dict(intent.attributes)) == (None, None, {})
    assert describe(intent) == ["bass: aggression +0.5"]


@pytest.mark.parametrize(
    ("text", "attribute", "amount"),
    [
        ("a bit darker", "brightness", -0.2),
        ("darker", "brightness", -0.4),
        ("much brighter", "brightness", 0.64),
        ("way more aggressive", "aggression", 0.8),
        ("less aggressive", "aggression", -0.5),
        ("slightly busier", "density", 0.25),
        ("busier", "density", 0.5),
        ("sparser", "density", -0.5),
        ("simpler, please", "density", -0.5),
        ("more minimal", "density", -0.5),
        ("less busy", "density", -0.5),
        ("it is too busy", "density", -0.5),
        ("way too busy", "density", -0.8),
        ("not dark enough", "brightness", -0.4),
        ("more energy", "energy", 0.5),
        ("add some swing", "swing", 0.25),
        ("more swinging", "swing", 0.5),
        ("straighter", "swing", -0.5),
        ("tighter", "swing", -0.5),
        ("looser", "swing", 0.3),
        ("drier", "space", -0.5),
        ("roomier", "space", 0.5),
        ("less reverb", "space", -0.5),
        ("more spacious", "space", 0.5),
        ("softer", "aggression", -0.5),
        ("harder", "aggression", 0.4),
        ("punchier", "aggression", 0.4),
        ("grittier", "aggression", 0.5),
        ("brighten it up", "brightness", 0.4),
        ("strip it back", "density", -0.5),
        ("make it more ferocious", "aggression", 0.5),
        ("bring the energy down", "energy", -0.5),
        ("lower the energy", "energy", -0.5),
    ],
)
def test_steps_of_the_whole_piece(text: str, attribute: str, amount: float) -> None:
    intent = understand(text)
    assert steps(intent.attributes)[attribute] == pytest.approx(amount)
    assert (intent.roles, intent.style, intent.mood, intent.not_understood) == ((), None, None, ())


@pytest.mark.parametrize(
    ("text", "attribute", "sign"),
    [
        ("dark techno", "brightness", -1),
        ("driving techno", "energy", 1),
        ("minimal house", "density", -1),
        ("swinging jazz", "swing", 1),
        ("straight funk", "swing", -1),
        ("roomy rock", "space", 1),
        ("dry funk", "space", -1),
        ("gritty techno", "aggression", 1),
        ("laid-back funk", "energy", -1),
        ("techno, not too busy", "density", -1),
        ("techno without reverb", "space", -1),
        ("house with no swing", "swing", -1),
        ("not so bright techno", "brightness", -1),
    ],
)
def test_levels(text: str, attribute: str, sign: int) -> None:
    change = understand(text).attributes[attribute]
    assert change.amount * sign > 0
    assert change.relative == ("not so" in text)


def test_a_level_is_reached_and_a_step_is_taken() -> None:
    now = Attributes(density=0.6)
    assert now.changed(understand("busy techno").attributes).density == pytest.approx(0.6)
    assert now.changed(understand("busier").attributes).density == pytest.approx(1.0)
    assert now.changed(understand("less busy").attributes).density == pytest.approx(0.1)


def test_stronger_words_take_longer_steps() -> None:
    amounts = [understand(text).attributes["density"].amount for text in ("a bit busier", "busier", "much busier")]
    assert amounts == sorted(set(amounts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jazzier chords and a busier bass", {HARMONY: ("swing", 1), BASS: ("density", 1)}),
        ("darker and busier drums", {DRUMS: ("brightness", -1)}),
        ("darker and busier drums", {DRUMS: ("density", 1)}),
        ("make the bass and the drums more aggressive", {BASS: ("aggression", 1), DRUMS: ("aggression", 1)}),
        ("busier drums and bass", {BASS: ("density", 1), DRUMS: ("density", 1)}),
        ("make the bass darker and busier", {BASS: ("density", 1)}),
        ("make the melody brighter, less busy", {MELODY: ("density", -1)}),
        ("make the drums busier and the bass darker", {DRUMS: ("density", 1), BASS: ("brightness", -1)}),
        ("more reverb on the pads", {HARMONY: ("space", 1)}),
        ("the hats should be busier", {DRUMS: ("density", 1)}),
        ("faster hats", {DRUMS: ("density", 1)}),
        ("more bass", {BASS: ("energy", 1)}),
        ("less drums", {DRUMS: ("density", -1)}),
        ("make the snare pop", {DRUMS: ("aggression", 1)}),
        ("simpler melody", {MELODY: ("density", -1)}),
        ("tune: brighter", {MELODY: ("brightness", 1)}),
        ("a much softer low end", {BASS: ("aggression", -1)}),
        ("punchier kick", {DRUMS: ("aggression", 1)}),
        ("brighter arps", {MELODY: ("brightness", 1)}),
        ("bass: darker, melody: brighter", {BASS: ("brightness", -1), MELODY: ("brightness", 1)}),
        ("make the bass darker and make it busier", {BASS: ("density", 1)}),
        ("raise the energy of the drums", {DRUMS: ("energy", 1)}),
        ("make only the bass darker", {BASS: ("brightness", -1)}),
    ],
)
def test_steps_of_roles(text: str, expected: dict[Role, tuple[str, int]]) -> None:
    intent = understand(text)
    for role, (attribute, sign) in expected.items():
        assert intent.by_role[role].attributes[attribute].amount * sign > 0
        assert intent.by_role[role].attributes[attribute].relative
        assert role in intent.roles
    assert intent.style is None


def test_two_descriptions_of_two_roles_do_not_mix() -> None:
    intent = understand("jazzier chords and a busier bass")
    assert intent.roles == (BASS, HARMONY)
    assert set(intent.by_role[BASS].attributes) == {"density"}
    assert not intent.attributes


def test_what_is_said_of_everything_is_said_of_everything() -> None:
    intent = understand("make everything darker and the bass busier")
    assert intent.roles == ()
    assert steps(intent.attributes) == {"brightness": -0.4}
    assert steps(intent.by_role[BASS].attributes) == {"density": 0.5}


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("don't touch the drums", (BASS, HARMONY, MELODY)),
        ("keep the drums and the bass", (HARMONY, MELODY)),
        ("make everything but the drums darker", (BASS, HARMONY, MELODY)),
        ("keep the drums, make the bass darker", (BASS,)),
        ("everything except the melody: busier", (DRUMS, BASS, HARMONY)),
        ("only change the bass", (BASS,)),
        ("lock the drums", (BASS, HARMONY, MELODY)),
    ],
)
def test_roles_that_are_to_stay(text: str, roles: tuple[Role, ...]) -> None:
    assert understand(text).roles == roles


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ("without melody", {MELODY}),
        ("no drums", {DRUMS}),
        ("remove the bass and the chords", {BASS, HARMONY}),
        ("dark techno, no melody, driving bass", {MELODY}),
        ("drums only", {BASS, HARMONY, MELODY}),
        ("only drums and bass", {HARMONY, MELODY}),
        ("drop the melody", {MELODY}),
        ("drums and bass only", {HARMONY, MELODY}),
        ("bass and drums only", {HARMONY, MELODY}),
        ("harmony and melody only", {DRUMS, BASS}),
        ("techno, drums, bass and melody only", {HARMONY}),
        ("keep drums and bass only", {HARMONY, MELODY}),
        ("just drums", {BASS, HARMONY, MELODY}),
        ("just drums and bass", {HARMONY, MELODY}),
        ("just the bass", {DRUMS, HARMONY, MELODY}),
        ("just make the bass darker", set()),
        ("just the drums darker", set()),
        ("don't remove the drums", set()),
        ("ambient, drumless", {DRUMS}),
    ],
)
def test_roles_that_are_not_wanted(text: str, removed: set[Role]) -> None:
    intent = understand(text)
    assert intent.removed_roles == removed
    assert removed <= set(intent.roles)


@pytest.mark.parametrize(
    ("text", "spared"),
    [
        ("remove everything but the drums", {DRUMS}),
        ("everything except the drums removed", {DRUMS}),
        ("remove everything except the drums and the bass", {DRUMS, BASS}),
        ("keep the drums, remove everything else", {DRUMS}),
    ],
)
def test_roles_that_are_to_stay_alone(text: str, spared: set[Role]) -> None:
    intent = understand(text)
    assert intent.removed_roles == set(intent.roles) == set(Role) - spared


@pytest.mark.parametrize(
    ("text", "role", "word"),
    [
        ("don't make it darker", None, "darker"),
        ("no darker", None, "darker"),
        ("not any busier, please", None, "busier"),
        ("don't make the bass darker", BASS, "darker"),
        ("no faster", None, "faster"),
        ("it doesn't get darker", None, "darker"),
    ],
)
def test_what_must_not_become_more_stays_as_it_is(text: str, role: Role | None, word: str) -> None:
    intent = understand(text)
    assert (intent.attributes, intent.tempo_factor, intent.not_understood) == ({}, None, (word,))
    assert intent.roles == ((role,) if role else ())
    assert not any(said.attributes for said in intent.by_role.values())


@pytest.mark.parametrize(
    ("text", "excluded", "allowed"),
    [
        ("no hi-hats", "closed_hat open_hat", "snare kick"),
        ("without snare", "snare", "kick clap"),
        ("drop the cymbals", "crash ride", "closed_hat"),
        ("no hats or snare", "closed_hat open_hat snare", "kick"),
        ("techno without kick, busier hats", "kick", "closed_hat"),
        ("kick only", "snare closed_hat crash", "kick"),
        ("kick and snare only", "closed_hat crash", "kick snare"),
        ("just kick and snare", "closed_hat crash", "kick snare"),
        ("lose the claps and the rim", "clap rim", "snare"),
    ],
)
def test_pieces_that_must_not_sound(text: str, excluded: str, allowed: str) -> None:
    intent = understand(text)
    exclusions = intent.by_role[DRUMS].exclusions
    assert set(excluded.split()) <= exclusions
    assert not set(allowed.split()) & exclusions
    assert exclusions <= {piece.word for piece in DrumPiece}
    assert DRUMS in intent.roles and DRUMS not in intent.removed_roles


@pytest.mark.parametrize(
    ("text", "amount", "not_understood"),
    [
        ("no fills", -0.3, ()),
        ("fewer fills", -0.3, ()),
        ("more fills", 0.3, ()),
        ("a fill every 4 bars", 0.3, ("every 4 bars",)),
        ("add a drum fill every four measures", 0.3, ("every four measures",)),
    ],
)
def test_fills_are_the_drums(text: str, amount: float, not_understood: tuple[str, ...]) -> None:
    intent = understand(text)
    assert (intent.roles, intent.bars, intent.style, dict(intent.attributes)) == ((DRUMS,), None, None, {})
    assert {name: change.amount for name, change in intent.by_role[DRUMS].attributes.items()} == {"density": amount}
    assert intent.not_understood == not_understood


@pytest.mark.parametrize(
    ("text", "role", "not_understood"),
    [
        ("louder", None, ("louder",)),
        ("make it quieter", None, ("quieter",)),
        ("turn it down", None, ("turn", "down")),
        ("turn down the bass", BASS, ("turn down",)),
        ("turn up the drums", DRUMS, ("turn up",)),
        ("turn the melody up", MELODY, ("turn", "up")),
        ("the chords are too loud", HARMONY, ("too loud",)),
        ("crank up the bass", BASS, ("crank up",)),
    ],
)
def test_volume_is_not_understood(text: str, role: Role | None, not_understood: tuple[str, ...]) -> None:
    intent = understand(text)
    assert (intent.roles, intent.not_understood) == ((role,) if role else (), not_understood)
    assert not intent.attributes and not any(said.attributes for said in intent.by_role.values())


def test_turning_an_attribute_or_a_pitch_is_understood() -> None:
    assert steps(understand("turn down the reverb").attributes) == {"space": -0.5}
    assert steps(understand("turn the energy up").attributes) == {"energy": 0.5}
    assert understand("turn the melody down an octave").by_role[MELODY].transpose_semitones == -12
    both = understand("turn down the drums and make the bass darker")
    assert (both.by_role[DRUMS].attributes, steps(both.by_role[BASS].attributes)) == ({}, {"brightness": -0.4})


def test_pieces_that_must_sound() -> None:
    assert understand("add a ride").by_role[DRUMS].inclusions == {"ride"}
    assert understand("techno with congas and a cowbell").by_role[DRUMS].inclusions == {"high_conga", "cowbell"}


def test_not_wanting_one_sound_is_not_wanting_the_role() -> None:
    intent = understand("house, no strings")
    assert not intent.removed_roles
    assert intent.not_understood == ("strings",)


@pytest.mark.parametrize(
    ("text", "semitones"),
    [
        ("up a fourth", 5),
        ("down an octave", -12),
        ("a semitone higher", 1),
        ("an octave lower", -12),
        ("up 3 semitones", 3),
        ("up two octaves", 24),
        ("transpose by a fifth", 7),
        ("down a minor third", -3),
        ("+5 semitones", 5),
        ("-2 semitones", -2),
        ("pitch it down a whole tone", -2),
    ],
)
def test_transposing_everything(text: str, semitones: int) -> None:
    intent = understand(text)
    assert (intent.transpose_semitones, intent.roles) == (semitones, ())


@pytest.mark.parametrize(
    ("text", "role", "semitones"),
    [
        ("melody up an octave", MELODY, 12),
        ("raise the melody an octave", MELODY, 12),
        ("drop the bass an octave", BASS, -12),
        ("lower the chords by a fifth", HARMONY, -7),
        ("move the bass up a fourth", BASS, 5),
        ("play the melody higher", MELODY, 12),
        ("the melody is too high", MELODY, -12),
    ],
)
def test_transposing_one_role(text: str, role: Role, semitones: int) -> None:
    intent = understand(text)
    assert intent.by_role[role].transpose_semitones == semitones
    assert (intent.roles, intent.transpose_semitones, intent.removed_roles) == ((role,), 0, frozenset())


def test_a_number_of_something_is_no_interval() -> None:
    assert understand("add a second bass").transpose_semitones == 0
    assert understand("a fourth chord").by_role[HARMONY].transpose_semitones == 0


@pytest.mark.parametrize(
    ("text", "role", "feel"),
    [
        ("half-time drums", DRUMS, Feel.HALF_TIME),
        ("halftime", DRUMS, Feel.HALF_TIME),
        ("double time hats", DRUMS, Feel.DOUBLE_TIME),
        ("half time bass", BASS, Feel.HALF_TIME),
        ("drums back to normal time", DRUMS, Feel.NORMAL),
    ],
)
def test_feels(text: str, role: Role, feel: Feel) -> None:
    intent = understand(text)
    assert intent.by_role[role].feel is feel
    assert intent.roles == (role,)
    assert intent.style is None


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("faster", Fraction(11, 10)),
        ("a bit faster", Fraction(21, 20)),
        ("slower", Fraction(9, 10)),
        ("much faster", Fraction(29, 25)),
        ("half the tempo", Fraction(1, 2)),
        ("double the speed", Fraction(2)),
        ("not so fast", Fraction(9, 10)),
        ("speed it up", Fraction(11, 10)),
        ("raise the tempo", Fraction(11, 10)),
    ],
)
def test_relative_tempos(text: str, factor: Fraction) -> None:
    assert understand(text).tempo_factor == factor


def test_a_tempo_in_numbers_outdoes_one_in_words() -> None:
    intent = understand("fast techno at 150 bpm")
    assert (intent.tempo_bpm, intent.tempo_factor) == (150, None)


def test_tempo_and_key_alone_change_no_role() -> None:
    intent = understand("128 bpm, F# minor")
    assert (intent.tempo_bpm, str(intent.key), intent.roles, intent.style) == (128, "F# minor", (), None)
    assert describe(intent) == ["128 bpm", "F# minor"]
