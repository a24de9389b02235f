"""The styles that ship: they load, and what they refer to exists."""

from __future__ import annotations

import tomllib

import pytest

from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.catalog import catalog
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, roman_chord
from resonantgen.presets import presets_folder

MOOD_TABLES = tomllib.loads((presets_folder() / "lexicon" / "moods.toml").read_text(encoding="utf-8"))["mood"]
MOODS = {table["id"] for table in MOOD_TABLES}


def test_the_promised_styles_are_there() -> None:
    promised = """techno house deep_house trance drum_and_bass dubstep trap boom_bap lo_fi synthwave ambient funk disco
        rock metal pop jazz bossa_nova reggae r_and_b"""
    assert set(promised.split()) <= set(style_ids())


@pytest.mark.parametrize("style_id", style_ids())
def test_instruments_and_moods_exist(style_id: str) -> None:
    style = load_style(style_id)
    for role in Role:
        unknown = set(style.instruments_for(role)) - set(catalog(role))
        assert not unknown, f"{role}: {unknown}"
        assert len(set(style.instruments_for(role))) == len(style.instruments_for(role))
    assert {mood for preset in style.progressions for mood in preset.moods} <= MOODS


@pytest.mark.parametrize("style_id", style_ids())
def test_progressions_suit_their_style(style_id: str) -> None:
    style = load_style(style_id)
    assert len(style.progressions) >= 6
    assert len({(p.mode, *p.chords, p.bars_each) for p in style.progressions}) == len(style.progressions)
    for preset in style.progressions:
        key = Key(0, preset.mode)
        chords = [roman_chord(numeral, key) for numeral in preset.chords]
        assert all(chord.root in key for chord in chords) or not style.diatonic
        if style.diatonic:
            assert all(tone in key for chord in chords for tone in chord.pitch_classes), preset


@pytest.mark.parametrize("style_id", style_ids())
def test_styles_differ_from_each_other_in_rhythm(style_id: str) -> None:
    """No two styles share a comping rhythm or a motif."""
    mine = load_style(style_id)
    for other_id in style_ids():
        if other_id == style_id:
            continue
        other = load_style(other_id)
        comping = {p.steps * 2 if len(p.steps) == 16 else p.steps for p in mine.harmony.patterns}
        assert not comping & {p.steps * 2 if len(p.steps) == 16 else p.steps for p in other.harmony.patterns}, other_id
        shared = {r.replace(" ", "") for r in mine.melody.rhythms} & {r.replace(" ", "") for r in other.melody.rhythms}
        assert len(shared) <= 1, (other_id, shared)
