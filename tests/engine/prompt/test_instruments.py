"""Instrument words come from the catalog, whatever it has."""

from __future__ import annotations

import pytest

from resonantgen.instruments.catalog import preset_for_word
from resonantgen.music.notes import Role
from resonantgen.presets import presets_folder
from resonantgen.prompt import understand
from resonantgen.prompt.lexicon import Lexicon, load_lexicon, read_lexicon

DRUMS, BASS, HARMONY, MELODY = Role

CATALOG = {
    DRUMS: ["808", "808 kit", "funk"],
    BASS: ["808", "acid", "acid bass", "upright bass", "organ"],
    HARMONY: ["rhodes", "organ", "nylon guitar", "hurdy gurdy"],
    MELODY: ["rhodes", "flute", "nylon guitar"],
}


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return read_lexicon(presets_folder() / "lexicon", CATALOG)


@pytest.mark.parametrize(
    ("text", "role", "word"),
    [
        ("techno with a rhodes", HARMONY, "rhodes"),
        ("techno with a rhodes melody", MELODY, "rhodes"),
        ("a hurdy-gurdy, please", HARMONY, "hurdy gurdy"),
        ("house with an 808 kit", DRUMS, "808 kit"),
        ("808 drums", DRUMS, "808"),
        ("house with an 808", BASS, "808"),
        ("trap with 808s", BASS, "808"),
        ("acid bass", BASS, "acid bass"),
        ("organ bass", BASS, "organ"),
        ("reggae with an organ", HARMONY, "organ"),
        ("swap the flute for a nylon guitar lead", MELODY, "nylon guitar"),
        ("use a rhodes instead of the organ", HARMONY, "rhodes"),
        ("organ instead of rhodes", HARMONY, "organ"),
        ("instead of the organ use a rhodes", HARMONY, "rhodes"),
        ("a rhodes instead of the melody", MELODY, "rhodes"),
        ("replace the organ with a rhodes", HARMONY, "rhodes"),
        ("replace the melody with a soft flute", MELODY, "flute"),
        ("turn the organ into a rhodes", HARMONY, "rhodes"),
        ("change the melody to a rhodes", MELODY, "rhodes"),
        ("make the lead a flute", MELODY, "flute"),
        ("change the bass to an 808", BASS, "808"),
        ("jazz with upright bass", BASS, "upright bass"),
        ("acid techno", BASS, "acid"),
    ],
)
def test_an_instrument_and_its_role(lexicon: Lexicon, text: str, role: Role, word: str) -> None:
    assert understand(text, lexicon).by_role[role].instrument == word


@pytest.mark.parametrize(
    ("text", "role", "word"),
    [
        ("use a rhodes instead of the piano", HARMONY, "rhodes"),
        ("piano instead of pad", HARMONY, "piano"),
        ("replace the piano with a rhodes", HARMONY, "rhodes"),
        ("change the lead to a flute", MELODY, "flute"),
        ("swap the flute for a nylon guitar lead", MELODY, "nylon guitar"),
        ("make the lead darker", MELODY, None),
    ],
)
def test_a_sound_that_replaces_another_changes_its_role_alone(text: str, role: Role, word: str | None) -> None:
    intent = understand(text)
    assert (intent.roles, intent.not_understood) == ((role,), ())
    assert intent.by_role[role].instrument == word


def test_a_role_cannot_have_the_sounds_of_another() -> None:
    intent = understand("change the bass to a flute")
    assert (intent.roles, intent.by_role[BASS].instrument, intent.not_understood) == ((BASS,), None, ("flute",))


def test_an_instrument_names_its_role_but_a_style_that_brings_one_does_not(lexicon: Lexicon) -> None:
    assert understand("with a flute", lexicon).roles == (MELODY,)
    assert understand("acid techno", lexicon).roles == ()


def test_a_style_keeps_its_name(lexicon: Lexicon) -> None:
    intent = understand("funk", lexicon)
    assert (intent.style, intent.roles) == ("funk", ())


@pytest.mark.parametrize(
    "text", ["techno with rhodes", "808 kit", "acid techno", "jazz with upright bass and vibraphone"]
)
def test_every_word_that_is_found_is_one_of_the_catalog(text: str) -> None:
    for role, said in understand(text).by_role.items():
        if said.instrument is not None:
            assert preset_for_word(role, said.instrument)


def test_the_instruments_that_styles_bring_are_in_the_catalog() -> None:
    lexicon = load_lexicon()
    wanted = [
        (style, role, word)
        for style, entry in lexicon.styles.items()
        for variant in entry.variants
        for role, word in variant.instruments.items()
    ]
    assert wanted
    assert [entry for entry in wanted if not lexicon.has_instrument(entry[1], entry[2])] == []
