"""Turns the tokens of a prompt into items: what each word, phrase or quantity means on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resonantgen.prompt.lexicon import GrammarSense, Lexicon, PieceSense, RoleSense, Sense, StyleSense
from resonantgen.prompt.quantities import Quantity, bare_tempo, read_quantity, repetition, sets_the_music
from resonantgen.prompt.tokens import PAUSE, Token


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word without a meaning here."""

    ordinary: bool = False  # elsewhere it would be a style's name, as "house" is


@dataclass(frozen=True, slots=True)
class Pause:
    """Punctuation."""


@dataclass(frozen=True, slots=True)
class Item:
    """A meaning and the words that have it, as `tokenize` gave them."""

    meaning: Sense | Quantity | Unknown | Pause
    text: str
    start: int  # the place of its first token
    end: int  # the place after its last token


Spell = Callable[[str], str | None]  # an unknown word to the known word that it misspells, or None


def scan(tokens: Sequence[Token], lexicon: Lexicon, spell: Spell) -> list[Item]:
    """The items of a prompt, in order. Raises BadValue for an impossible tempo, key, meter, bar count or interval."""
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        meaning, length = _meaning(tokens, at, lexicon, items, spell)
        text = " ".join(token.text for token in tokens[at : at + length])
        items.append(Item(meaning, text, at, at + length))
        at += length
    return items


def _meaning(
    tokens: Sequence[Token], at: int, lexicon: Lexicon, before: Sequence[Item], spell: Spell
) -> tuple[Sense | Quantity | Unknown | Pause, int]:
    """What starts at a position, and its length in tokens."""
    if tokens[at].kind == "pause":
        return Pause(), 1
    if repeated := repetition(tokens, at):
        return GrammarSense("unsupported"), repeated
    words = [token.text for token in tokens[at : at + lexicon.longest]]
    words = words[: words.index(PAUSE)] if PAUSE in words else words
    found = lexicon.find(words)
    quantity = read_quantity(tokens, at)
    if quantity is not None and (found is None or found[1] <= quantity[1]):
        return quantity
    if found is not None:
        sense, length = found
        if length > 1 or words[0] not in lexicon.unless:
            return sense, length
        return _in_context(tokens, at, lexicon, before, sense), 1
    tempo = bare_tempo(tokens, at)
    if tempo is not None:
        return tempo, 1
    known = spell(words[0]) if tokens[at].kind == "word" else None
    corrected = lexicon.find([known]) if known else None
    return (corrected[0], 1) if corrected else (Unknown(), 1)


def _in_context(
    tokens: Sequence[Token], at: int, lexicon: Lexicon, before: Sequence[Item], sense: Sense
) -> Sense | Unknown:
    """What a word means that can also be an ordinary one: "house" in "my house", "pop" in "make the snare pop"."""
    rule = lexicon.unless[tokens[at].text]
    previous = tokens[at - 1].text if at else PAUSE
    following = tokens[at + 1].text if at + 1 < len(tokens) else PAUSE
    if rule.verb and before and isinstance(before[-1].meaning, RoleSense | PieceSense) and _is_told(before):
        return lexicon.phrases[(rule.verb,)]
    if sets_the_music(tokens, at + 1):
        return sense
    beside = lexicon.find([following])
    if following in lexicon.nouns or (beside and isinstance(beside[0], RoleSense | PieceSense | StyleSense)):
        return sense
    return Unknown(ordinary=True) if previous in rule.after or following in rule.before else sense


def _is_told(items: Sequence[Item]) -> bool:
    """Whether the words so far tell something to change: "make the snare …"."""
    return any(isinstance(item.meaning, GrammarSense) and item.meaning.kind == "edit_verbs" for item in items)
