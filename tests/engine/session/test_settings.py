"""From words and options to settings, parts and sounds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.session.fakes import step, words
from resonantgen.errors import BadValue
from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.base import Macros
from resonantgen.instruments.catalog import catalog
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import ATTRIBUTES, Attributes, Intent, RoleIntent
from resonantgen.session.settings import Options, edited_part, edited_settings, first_part, first_settings
from resonantgen.session.sound import choose_sound, macros_for
from resonantgen.session.values import Part, Settings

NOTHING = Options()


def settled(intent: Intent, options: Options = NOTHING, seed: int = 1, beside: Settings | None = None) -> Settings:
    return first_settings(replace(intent, style=intent.style or "techno"), options, seed, beside)


def test_an_option_outweighs_a_word_and_a_word_the_style() -> None:
    asked = words(tempo_bpm=Fraction(150), key=Key.parse("D dorian"), meter=Meter(7, 8), bars=4)
    by_words = settled(asked)
    assert (by_words.tempo_bpm, by_words.key, by_words.meter, by_words.bars) == (
        150,
        Key.parse("D dorian"),
        Meter(7, 8),
        4,
    )
    options = Options.parse(tempo="97.3", key="F# minor", meter="5/4", bars=2, sample_rate=96_000)
    by_options = settled(asked, options)
    assert (by_options.tempo_bpm, by_options.key) == (Fraction("97.3"), Key.parse("F# minor"))
    assert (by_options.meter, by_options.bars, by_options.sample_rate) == (Meter(5, 4), 2, 96_000)


@pytest.mark.parametrize("style_id", style_ids())
def test_without_words_the_style_decides(style_id: str) -> None:
    style = load_style(style_id)
    for seed in range(10):
        chosen = first_settings(words(style=style_id), NOTHING, seed, None)
        assert style.tempo.low <= chosen.tempo_bpm <= style.tempo.high
        assert chosen.key.mode in style.modes and str(chosen.meter) in style.meters
        assert (chosen.bars, chosen.sample_rate) == (8, 48_000)


def test_what_stays_outweighs_the_style_but_not_words() -> None:
    beside = settled(words(), Options.parse(tempo=140, key="C phrygian", bars=3, meter="3/4", sample_rate=44_100))
    chosen = settled(Intent("jazz", style="jazz"), seed=9, beside=beside)
    assert replace(chosen, style="techno", seed=1) == beside
    assert settled(words(tempo_bpm=Fraction(99)), beside=beside).tempo_bpm == 99
    assert str(settled(words(minor=False), beside=beside).key) == "C major"


@given(st.fractions(20, 400), st.fractions(Fraction(1, 10), 10))
def test_faster_and_slower_stay_within_what_can_be_played(tempo: Fraction, factor: Fraction) -> None:
    before = settled(words(tempo_bpm=tempo))
    after = edited_settings(before, words(tempo_factor=factor), everywhere=True)
    assert 20 <= after.tempo_bpm <= 400
    assert (after.tempo_bpm * 10).denominator == 1
    if 20 <= tempo * factor <= 400:
        assert abs(after.tempo_bpm - tempo * factor) <= Fraction(1, 20)


def test_edits_of_the_key() -> None:
    before = settled(words(key=Key.parse("A dorian")))
    assert str(edited_settings(before, words(transpose_semitones=5), True).key) == "D dorian"
    assert str(edited_settings(before, words(minor=True), True).key) == "A dorian", "it is minor already"
    assert str(edited_settings(before, words(minor=False), True).key) == "A major"
    assert str(edited_settings(before, words(minor=True, mode=Mode.PHRYGIAN), True).key) == "A phrygian"


def test_a_mode_without_a_tonic_leaves_the_tonic_to_the_style() -> None:
    assert settled(words(minor=True, mode=Mode.DORIAN)).key.mode is Mode.DORIAN
    assert settled(words(mode=Mode.DORIAN), Options.parse(key="C major")).key == Key.parse("C major")


def test_only_an_edit_of_everything_changes_style_mood_and_attributes() -> None:
    before = settled(words())
    edit = words(style="jazz", mood="calm", attributes=step(energy=0.5))
    assert edited_settings(before, edit, everywhere=False) == before
    after = edited_settings(before, edit, everywhere=True)
    assert (after.style, after.mood, after.attributes.energy) == ("jazz", "calm", 0.5)


def test_words_for_all_and_words_for_a_role_add_up() -> None:
    intent = words(attributes=step(energy=0.2), by_role={Role.BASS: RoleIntent(step(energy=0.3, space=-0.1))})
    settings = settled(intent)
    assert first_part(Role.BASS, settings, intent).attributes == Attributes(energy=0.5, space=-0.1)
    assert first_part(Role.DRUMS, settings, intent).attributes == Attributes(energy=0.2)
    again = edited_part(Part("techno", attributes=Attributes(energy=0.9)), Role.BASS, intent)
    assert again.attributes.energy == 1.0, "clamped"


def test_an_instrument_word_is_kept_until_the_style_changes() -> None:
    asked = words(by_role={Role.HARMONY: RoleIntent(instrument="rhodes")})
    part = edited_part(Part("techno"), Role.HARMONY, asked)
    assert part.instrument == "rhodes"
    assert edited_part(part, Role.HARMONY, words(attributes=step(energy=0.5))).instrument == "rhodes"
    assert edited_part(part, Role.HARMONY, words(style="jazz")).instrument is None
    with pytest.raises(BadValue, match="no instrument for harmony"):
        edited_part(part, Role.HARMONY, words(by_role={Role.HARMONY: RoleIntent(instrument="kazoo")}))


def test_the_styles_first_instrument_is_the_usual_one() -> None:
    for role in Role:
        style = load_style("techno")
        chosen = Counter(choose_sound(role, Part("techno"), style, seed).preset for seed in range(400))
        usual, *others = style.instruments_for(role)
        assert set(chosen) == {usual, *others}
        # At least three in five of 400 are 240; half of them is four standard deviations away.
        assert chosen[usual] > 200


@pytest.mark.parametrize("style_id", style_ids())
def test_every_style_names_instruments_that_exist(style_id: str) -> None:
    for role in Role:
        assert set(load_style(style_id).instruments_for(role)) <= set(catalog(role))


@given(st.builds(Attributes, **dict.fromkeys(ATTRIBUTES, st.floats(-1, 1))))
def test_any_attributes_give_macros_in_range(attributes: Attributes) -> None:
    macros_for(attributes)  # Macros checks its own range


@pytest.mark.parametrize(
    ("attribute", "macro"), [("brightness", "brightness"), ("aggression", "drive"), ("space", "space")]
)
def test_attributes_move_the_macro_that_is_heard(attribute: str, macro: str) -> None:
    levels = [getattr(macros_for(Attributes(**{attribute: x})), macro) for x in (-1, -0.5, 0, 0.5, 1)]
    assert levels == sorted(levels) and len(set(levels)) == 5
    assert macros_for(Attributes()) == Macros()
