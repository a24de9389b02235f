"""The lexicon's files are checked when they are read, with file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from resonantgen.errors import PresetError
from resonantgen.generators.style import style_ids
from resonantgen.presets import presets_folder
from resonantgen.prompt.inflection import adverbs, comparatives
from resonantgen.prompt.lexicon import load_lexicon, read_lexicon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(presets_folder() / "lexicon", tmp_path / "lexicon"))


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("styles.toml", 'id = "techno"\nwords', 'id = "techno"\nwurds', "wurds"),
        ("moods.toml", "attributes = { brightness = -0.4 }", "attributes = { brightness = -4.0 }", "brightness"),
        ("moods.toml", "attributes = { brightness = -0.4 }", "attributes = { shininess = -0.4 }", "attributes"),
        ("moods.toml", 'style = "techno"', 'style = "tekno"', '"tekno" is not known here'),
        ("moods.toml", '"sinister"', '"sinister", "sinister"', '"sinister" is in the lexicon already'),
        ("descriptors.toml", '"energetic"', '"dark"', '"dark" is in the lexicon already'),
        ("roles.toml", 'pieces = ["kick"]', 'pieces = ["cake"]', "no drum piece cake"),
        ("roles.toml", "[roles]\ndrums", "[roles]\nviolas", "violas"),
        ("grammar.toml", '"darken" = "darker"', '"darken" = "purpler"', '"purpler" is no comparative'),
        ("grammar.toml", 'meter = "3/4"', 'meter = "3/5"', "3/5"),
        ("scenes.toml", 'mood = "calm"', 'mood = "clam"', '"clam" is not known here'),
    ],
)
def test_a_mistake_is_told_with_file_and_line(folder: Path, file: str, old: str, new: str, says: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(PresetError) as error:
        read_lexicon(folder, {})
    message = str(error.value)
    assert message.startswith(f"{folder / file}:") and says in message
    told = int(message.removeprefix(f"{folder / file}:").partition(":")[0])
    assert abs(told - line) <= 6, message  # the line, or the head of the table around it


def test_every_style_preset_has_words_and_every_word_a_style_preset() -> None:
    assert set(load_lexicon().styles) == set(style_ids())


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("dark", "darker"),
        ("busy", "busier"),
        ("sparse", "sparser"),
        ("big", "bigger"),
        ("dry", "dryer"),
        ("dry", "drier"),
    ],
)
def test_comparatives(word: str, form: str) -> None:
    assert form in comparatives(word)


def test_words_that_take_more_have_no_comparative() -> None:
    assert comparatives("aggressive") == comparatives("driving") == comparatives("laid back") == ()


@pytest.mark.parametrize(("word", "form"), [("dark", "darkly"), ("happy", "happily"), ("gentle", "gently")])
def test_adverbs(word: str, form: str) -> None:
    assert form in adverbs(word)
