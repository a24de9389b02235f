"""What is guessed of words that the lexicon does not have."""

from __future__ import annotations

import pytest

from resonantgen.prompt import describe, understand
from resonantgen.prompt.embeddings import Example, Nearest, load_embeddings
from resonantgen.prompt.guess import Guesser
from resonantgen.prompt.lexicon import load_lexicon
from resonantgen.prompt.understanding import understand_with


@pytest.fixture(scope="module")
def guesser() -> Guesser:
    return Guesser(load_lexicon())


def test_a_text_is_most_like_itself_and_unlike_what_has_nothing_to_do_with_it() -> None:
    texts = ["haunted castle", "summer beach", "racing car"]
    index = load_embeddings().index(texts)
    for place, text in enumerate(texts):
        similarities = index.similarities(text)
        assert similarities[place] == pytest.approx(1.0, abs=1e-3)
        assert int(similarities.argmax()) == place
    assert load_embeddings().index(texts).similarities("sand and sea").argmax() == 1


def test_what_is_known_beside_a_label_decides_between_two_that_are_as_near() -> None:
    examples = [Example("slow", "winter", "sad"), Example("fast", "winter", "happy"), Example("other", "cheese")]
    nearest = Nearest(load_embeddings(), examples)
    assert nearest.best("winter", "sad")[0] == "slow"
    assert nearest.best("winter", "happy")[0] == "fast"


@pytest.mark.parametrize(
    ("word", "known"),
    [("techo", "techno"), ("melancolic", "melancholic"), ("agressive", "aggressive"), ("hypnotc", "hypnotic")],
)
def test_misspellings(guesser: Guesser, word: str, known: str) -> None:
    assert guesser.spelled(word) == known


@pytest.mark.parametrize("word", ["mouse", "sweat", "horse", "zxqvb", "day", "naïve", "808s"])
def test_other_words_are_no_misspellings(guesser: Guesser, word: str) -> None:
    assert guesser.spelled(word) is None


@pytest.mark.parametrize(
    ("text", "styles"),
    [
        ("something for a rainy night drive", {"synthwave", "lo_fi"}),
        ("beach party at sunset", {"house", "disco", "reggae", "deep_house"}),
        ("boss fight", {"metal", "dubstep", "drum_and_bass", "techno"}),
        ("coffee shop", {"jazz", "lo_fi", "bossa_nova"}),
    ],
)
def test_a_scene_has_a_style_and_a_mood_and_both_are_told_to_be_guesses(text: str, styles: set[str]) -> None:
    intent = understand(text)
    assert intent.style in styles and intent.mood is not None
    assert "style" in intent.guessed
    assert f"{str(intent.style).replace('_', ' ')} (nearest style)" in describe(intent)


@pytest.mark.parametrize(
    "text",
    ["make the bass quirkily unusual", "no hi-hats", "half-time drums", "keep the drums", "up a fourth", "kick only"],
)
def test_an_edit_guesses_no_style_and_no_mood(text: str) -> None:
    intent = understand(text)
    assert (intent.style, intent.mood, intent.guessed) == (None, None, frozenset())


def test_known_words_load_no_embeddings() -> None:
    guesser = Guesser(load_lexicon())
    assert understand_with(guesser, "dark techno with driving bass, 128 bpm").style == "techno"
    assert "embeddings" not in vars(guesser)
