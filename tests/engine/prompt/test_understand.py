"""Prompts that begin a piece, and what is wrong with prompts that cannot be understood."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resonantgen.errors import BadValue, PromptError, ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter
from resonantgen.prompt import describe, intent_from_dict, intent_to_dict, suggested_style, understand
from resonantgen.prompt.intent import Change, Intent, RoleIntent
from resonantgen.prompt.lexicon import load_lexicon

STYLES = (
    *("techno", "house", "deep_house", "trance", "drum_and_bass", "dubstep", "trap", "boom_bap", "lo_fi", "synthwave"),
    *("ambient", "funk", "disco", "rock", "metal", "pop", "jazz", "bossa_nova", "reggae", "r_and_b"),
)
MOODS = (
    *("dark", "melancholic", "dreamy", "calm", "warm", "happy", "uplifting", "epic", "romantic", "mysterious", "tense"),
    *("aggressive", "playful", "nostalgic", "hypnotic", "funky"),
)


def test_the_first_prompt_of_the_readme() -> None:
    intent = understand("dark techno with driving bass")
    assert (intent.style, intent.mood, intent.roles) == ("techno", "dark", (Role.BASS,))
    assert intent.attributes["energy"] == Change(0.4, relative=False)
    assert intent.attributes["brightness"].amount < 0
    assert intent.by_role[Role.BASS].attributes["density"].amount > 0
    assert intent.not_understood == ()
    assert describe(intent) == ["techno", "dark", "energy +0.4", "bass: driving"]


def test_the_prompt_that_understand_is_shown_with() -> None:
    data = intent_to_dict(understand("gritty warehouse rave, busier hats"))
    assert data["style"] == "techno"
    assert data["roles"] == ["drums"]
    assert data["attributes"]["aggression"] > 0
    assert data["role_attributes"]["drums"]["density"] > 0
    assert data["relative"] == {"drums": ["density"]}
    assert data["inclusions"] == ["closed_hat"]


def test_every_style_and_every_mood_has_words() -> None:
    lexicon = load_lexicon()
    assert set(STYLES) <= set(lexicon.styles)
    assert set(MOODS) == set(lexicon.moods)


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_found_by_its_own_name(style: str) -> None:
    name = "r&b" if style == "r_and_b" else style.replace("_", " ")
    for text in (name, name.upper(), f"a {name} track", f"give me some {name}, please!", name.replace(" ", "-")):
        assert understand(text).style == style, text
        assert "style" not in understand(text).guessed


@pytest.mark.parametrize("mood", MOODS)
def test_a_mood_is_found_by_its_own_name(mood: str) -> None:
    intent = understand(f"{mood} house")
    assert (intent.style, intent.mood, intent.guessed) == ("house", mood, frozenset())
    assert suggested_style(understand(f"something {mood}")) in STYLES


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("acid techno", "techno"),
        ("liquid dnb", "drum_and_bass"),
        ("jungle", "drum_and_bass"),
        ("uk garage", "house"),
        ("trip-hop", "boom_bap"),
        ("g-funk", "boom_bap"),
        ("neo soul", "r_and_b"),
        ("hair metal", "metal"),
        ("ska", "reggae"),
        ("future bass", "dubstep"),
        ("lo-fi house", "deep_house"),
        ("D&B roller", "drum_and_bass"),
        ("R & B", "r_and_b"),
        ("deep house, not too busy", "deep_house"),
        ("techno with jazzy chords", "techno"),
        ("ambient with a touch of techno", "ambient"),
        ("disco rock", "rock"),
        ("techno with a reggae bass", "techno"),
        ("techo", "techno"),
        ("tecno", "techno"),
        ("house at 124", "house"),
        ("house at 124 bpm with a fat bass", "house"),
        ("house in A at 124", "house"),
        ("house in F minor", "house"),
        ("house in a minor key", "house"),
        ("house in 7/8", "house"),
        ("techno drums with a jazz melody", "techno"),
    ],
)
def test_narrower_and_mixed_and_misspelt_styles(text: str, style: str) -> None:
    assert understand(text).style == style


@pytest.mark.parametrize(
    "text",
    [
        "an old warehouse full of dust",
        "my house by the sea",
        "haunted house",
        "rock the crowd",
        "trap door",
        "the soul of a poet",
    ],
)
def test_ordinary_words_do_not_name_a_style(text: str) -> None:
    intent = understand(text)
    assert intent.style is None or "style" in intent.guessed


@pytest.mark.parametrize("where", ["in C", "in F# minor", "in the key of A", "at 124", "at 124 bpm", "in A at 124"])
def test_every_name_of_a_style_is_one_beside_a_key_or_a_tempo(where: str) -> None:
    names = [name for entry in load_lexicon().styles.values() for name in (entry.id.replace("_", " "), *entry.words)]
    lost = [name for name in names if understand(f"{name} {where}").style != understand(f"{name} track {where}").style]
    assert lost == []


def test_of_two_styles_the_second_is_told_to_be_left_out() -> None:
    assert understand("techno drums with a jazz melody").not_understood == ("jazz",)


def test_drum_and_bass_is_a_style_and_drums_and_bass_are_two_roles() -> None:
    assert understand("drum and bass").roles == ()
    assert understand("busier drums and bass").roles == (Role.DRUMS, Role.BASS)
    assert understand("louder bass drum, harder").by_role.keys() == {Role.DRUMS}
    assert understand("bass music").style == "dubstep"
    assert understand("a deep bass").roles == (Role.BASS,)


def test_a_beat_is_the_piece_unless_it_is_told_to_change() -> None:
    assert understand("a chill trap beat").roles == ()
    assert understand("make the beat harder").roles == (Role.DRUMS,)
    assert understand("ambient, no beat").removed_roles == {Role.DRUMS}


@pytest.mark.parametrize(
    ("text", "tempo"),
    [
        ("techno at 128 bpm", "128"),
        ("techno 128bpm", "128"),
        ("97.3bpm", "97.3"),
        ("97,3 bpm", "97.3"),
        ("tempo=128", "128"),
        ("tempo 140", "140"),
        ("tempo: 97.3", "97.3"),
        ("bpm of 90", "90"),
        ("house at 97.3", "97.3"),
        ("120-124 bpm", "122"),
        ("tempo around 105–115 bpm", "110"),
        ("100 to 110 bpm", "105"),
        ("uplifting trance 138", "138"),
        ("133.7 beats per minute", "133.7"),
    ],
)
def test_tempos(text: str, tempo: str) -> None:
    assert understand(text).tempo_bpm == Fraction(tempo)


@pytest.mark.parametrize("text", ["808 kit", "techno at 4am", "8 bars", "disco in 1978", "24/7 techno", "studio 54"])
def test_numbers_that_are_no_tempos(text: str) -> None:
    assert understand(text).tempo_bpm is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("F# minor", Key(6, Mode.MINOR)),
        ("techno in Am", Key(9, Mode.MINOR)),
        ("key of D dorian", Key(2, Mode.DORIAN)),
        ("c sharp minor", Key(1, Mode.MINOR)),
        ("Bb major", Key(10, Mode.MAJOR)),
        ("B♭ Major", Key(10, Mode.MAJOR)),
        ("e flat major", Key(3, Mode.MAJOR)),
        ("jazz in F", Key(5, Mode.MAJOR)),
        ("in the key of A", Key(9, Mode.MAJOR)),
        ("techno in a minor", Key(9, Mode.MINOR)),
        ("A minor techno loop", Key(9, Mode.MINOR)),
        ("128 bpm, C#m", Key(1, Mode.MINOR)),
        ("house, Gm, 120 bpm", Key(7, Mode.MINOR)),
        ("e harmonic minor", Key(4, Mode.HARMONIC_MINOR)),
        ("D lydian", Key(2, Mode.LYDIAN)),
        ("techno, Eb", Key(3, Mode.MAJOR)),
        ("key: Am", Key(9, Mode.MINOR)),
        ("174bpm Fm reese", Key(5, Mode.MINOR)),
    ],
)
def test_keys(text: str, key: Key) -> None:
    assert understand(text).key == key


@pytest.mark.parametrize(
    "text",
    ["a minor change", "in a dark room", "I am tired", "an fm bass", "a major lift", "a sharp sound", "be happy"],
)
def test_words_that_are_no_keys(text: str) -> None:
    assert understand(text).key is None


@pytest.mark.parametrize(
    ("text", "minor", "mode"),
    [
        ("techno in minor", True, Mode.MINOR),
        ("in a minor key", True, Mode.MINOR),
        ("in a major key", False, Mode.MAJOR),
        ("dorian funk", True, Mode.DORIAN),
        ("make it minor", True, Mode.MINOR),
        ("make it major", False, Mode.MAJOR),
        ("turn it into minor", True, Mode.MINOR),
        ("change to major", False, Mode.MAJOR),
        ("a minor change", None, None),
        ("techno", None, None),
    ],
)
def test_modes_without_a_tonic(text: str, minor: bool | None, mode: Mode | None) -> None:
    intent = understand(text)
    assert (intent.minor, intent.mode, intent.key) == (minor, mode, None)


@pytest.mark.parametrize(
    ("text", "meter"),
    [
        ("techno in 7/8", Meter(7, 8)),
        ("in 3/4 time", Meter(3, 4)),
        ("a waltz", Meter(3, 4)),
        ("jazz waltz", Meter(3, 4)),
        ("6/8 feel", Meter(6, 8)),
        ("12 / 8 blues", Meter(12, 8)),
        ("common time", Meter(4, 4)),
        ("in six eight", Meter(6, 8)),
        ("in three four", Meter(3, 4)),
    ],
)
def test_meters(text: str, meter: Meter) -> None:
    intent = understand(text)
    assert intent.meter == meter
    assert "style" not in intent.guessed and not intent.not_understood


@pytest.mark.parametrize(
    ("text", "density"), [("1/4 notes", -0.5), ("1/8 notes", 0.3), ("1/16 note hats", 0.5), ("16th notes", 0.5)]
)
def test_lengths_of_notes_are_no_meters(text: str, density: float) -> None:
    intent = understand(text)
    said = intent.by_role[Role.DRUMS].attributes if "hats" in text else intent.attributes
    assert (intent.meter, intent.not_understood) == (None, ())
    assert said["density"].amount == density


@pytest.mark.parametrize(
    ("text", "bars"),
    [("16 bars", 16), ("an 8-bar loop", 8), ("four-bar loop", 4), ("two measures of funk", 2), ("12 bar blues", 12)],
)
def test_bars(text: str, bars: int) -> None:
    assert understand(text).bars == bars


@pytest.mark.parametrize(
    "text",
    [
        "techno, tempo 900 bpm",
        "tempo 0",
        "5 bpm",
        "meter 4/5",
        "in 13/8",
        "Q minor",
        "key of H",
        "h dorian",
        "0 bars",
        "10000 bars",
        "999999999999999999999999 bars",
        "up nine octaves",
        "up two octaves, up two octaves",
    ],
)
def test_values_that_cannot_be_are_errors_as_on_the_command_line(text: str) -> None:
    with pytest.raises(BadValue) as error:
        understand(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\t",
        "!!!",
        "... , ;",
        '"…"',
        "''",
        "\u200b\u200d",
        "\x00\x07",
        "🔥🔥",
        "+ & -",
        "\udce9",
        "x" * 2_001,
        "techno " * 2_000,
        "no drums, no bass, no chords, no melody",
    ],
)
def test_prompts_that_say_nothing_or_too_much(text: str) -> None:
    with pytest.raises(PromptError) as error:
        understand(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_what_is_not_understood_is_told_in_order_and_as_it_was_said() -> None:
    intent = understand("techno with Zxqvb vocals")
    assert intent.not_understood == ("zxqvb", "vocals")
    assert describe(intent)[-1] == "not understood: zxqvb, vocals"
    nonsense = understand("zxqvb wqqrt")
    assert nonsense.style is None and nonsense.mood is None
    assert nonsense.not_understood == ("zxqvb", "wqqrt")
    assert suggested_style(nonsense) in STYLES


@pytest.mark.parametrize(
    "text",
    ["dark techno with driving bass", "rainy night drive", "make the bass more aggressive", "128 bpm, F# minor"],
)
def test_case_space_and_closing_punctuation_do_not_matter(text: str) -> None:
    plain = intent_to_dict(understand(text)) | {"text": ""}
    for variant in (text.upper(), text.title(), f"  {text}  ", text.replace(" ", "   "), f"{text}.", f"{text}!!"):
        assert intent_to_dict(understand(variant)) | {"text": ""} == plain, variant


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("another bass", (Role.BASS,)),
        ("new melody", (Role.MELODY,)),
        ("different chords", (Role.HARMONY,)),
        ("change the bass", (Role.BASS,)),
        ("surprise me with the bass", (Role.BASS,)),
        ("try something else for the bass", (Role.BASS,)),
        ("a variation of the bass", (Role.BASS,)),
        *((text, ()) for text in ("try again", "again", "another one", "something else", "surprise me", "new idea")),
        *((text, ()) for text in ("random", "roll the dice", "once more", "next", "give me something different")),
    ],
)
def test_another_idea_is_asked_for_by_naming_at_most_a_role(text: str, roles: tuple[Role, ...]) -> None:
    intent = understand(text)
    plain = Intent(text, roles=roles, by_role={role: RoleIntent() for role in roles})
    assert intent_to_dict(intent) == intent_to_dict(plain)


EXAMPLES = [
    "dark techno with driving bass",
    "make the bass more aggressive, 97.3 bpm, F# minor, 7/8, 16 bars",
    "half-time drums with a ride, no hi-hats, melody up an octave, without harmony",
    "something for a rainy night drive with a singer",
    "a bit faster, in minor, up a fourth",
    "funk with slap bass and rhodes, not too busy",
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_intent_survives_json(text: str) -> None:
    intent = understand(text)
    assert intent_from_dict(json.loads(json.dumps(intent_to_dict(intent)))) == intent


@pytest.mark.parametrize("text", EXAMPLES)
def test_understanding_is_repeatable(text: str) -> None:
    assert understand(text) == understand(text)


def test_the_keys_of_the_json() -> None:
    data = intent_to_dict(understand("techno"))
    promised = (
        "style mood attributes tempo_bpm key meter bars roles role_attributes instruments exclusions not_understood"
    )
    assert set(promised.split()) <= set(data)


WORDS = st.sampled_from(
    [
        *("make", "the", "bass", "drums", "more", "less", "not", "too", "no", "without", "up", "down", "a", "an"),
        *("octave", "fourth", "busier", "dark", "techno", "and", ",", ".", "in", "minor", "F#", "128", "bpm", "7/8"),
        *("bars", "only", "keep", "hats", "it", "faster", "half-time", "rhodes", "drop", "enough", "everything"),
        *("instead of", "replace", "to", "with", "just", "don't", "removed", "every", "turn", "fills", "flute", "lead"),
        *("everything but", "house", "at", "4", "the rest", "piano", "harmony", "remove", "darker", "change", "808"),
    ]
)


@settings(max_examples=150)
@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_any_words_give_an_intent_or_a_one_line_error(text: str) -> None:
    check_any(text)


@settings(max_examples=150)
@given(st.text(max_size=200))
def test_any_text_gives_an_intent_or_a_one_line_error(text: str) -> None:
    check_any(text)


@settings(max_examples=150)
@given(st.lists(st.one_of(WORDS, st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=3))))
def test_prompts_that_are_not_valid_unicode(words: list[str]) -> None:
    check_any(" ".join(words)[:500])


def test_an_argument_that_is_not_utf_8() -> None:
    intent = understand(b"caf\xe9 techno".decode("utf-8", "surrogateescape"))
    assert (intent.style, intent.text) == ("techno", "caf\N{REPLACEMENT CHARACTER} techno")


def check_any(text: str) -> None:
    try:
        intent = understand(text)
    except ResonantGenError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 300
        return
    assert " ".join(describe(intent)).encode()
    assert intent.text.encode()
    assert intent_from_dict(json.loads(json.dumps(intent_to_dict(intent)))) == intent
    for changes in (intent.attributes, *(role.attributes for role in intent.by_role.values())):
        assert all(-1 <= change.amount <= 1 for change in changes.values())


@pytest.mark.parametrize(
    "text", ["🔥🔥🔥", "тёмное техно", "暗いテクノ", "\x00\x07techno", "techno\u202e", "a\u0301minor", "²"]
)
def test_other_scripts_emoji_and_control_characters(text: str) -> None:
    check_any(text)
