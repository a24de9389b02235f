"""`understand`: words to an Intent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from types import MappingProxyType

from resonantgen.errors import PromptError
from resonantgen.music.notes import Role
from resonantgen.prompt.binding import bind
from resonantgen.prompt.choosing import Choice, choose
from resonantgen.prompt.clauses import read_clause, split
from resonantgen.prompt.guess import Guesser
from resonantgen.prompt.intent import Intent
from resonantgen.prompt.lexicon import GrammarSense, InstrumentSense, Lexicon, PieceSense, RoleSense, load_lexicon
from resonantgen.prompt.reading import Reading
from resonantgen.prompt.scan import Item, Unknown, scan
from resonantgen.prompt.tokens import folded, tokenize

MAX_PROMPT_LETTERS = 2_000
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")  # as Python reads arguments that are not UTF-8
_FALLBACK_STYLE = "house"
_DEGREES = ("more", "less", "slight", "strong", "too", "negations")


def understand(text: str, lexicon: Lexicon | None = None) -> Intent:
    """What a prompt means, by a lexicon (the presets' unless given) and, for words it does not have, text embeddings.

    The same text always gives the same Intent. Raises PromptError for a prompt without words or too long, and BadValue
    for a tempo, key, meter, bar count or transposition that is clearly meant but impossible.
    """
    return understand_with(_guesser() if lexicon is None else Guesser(lexicon), text)


def understand_with(guesser: Guesser, text: str) -> Intent:
    """`understand` with a guesser's lexicon and text embeddings."""
    text = _LONE_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    if len(text) > MAX_PROMPT_LETTERS:
        raise PromptError(f"The prompt has {len(text):,} letters. Say it in at most {MAX_PROMPT_LETTERS:,}.")
    whole = folded(text)
    tokens = tokenize(whole)
    if all(token.kind in ("pause", "sign", "other") for token in tokens):
        problem = "has no words" if text.strip() else "is empty"
        raise PromptError(f'The prompt {problem}. Say what you want to hear, such as "dark techno with driving bass".')
    items = _like_known_words(scan(tokens, guesser.lexicon, guesser.spelled), guesser)
    clauses = [read_clause(lead, run) for lead, run in split(items)]
    bind(clauses)
    reading = Reading(clauses, guesser.lexicon, replacing=any(_is_grammar(item, ("replace",)) for item in items))
    choice = choose(items, reading, guesser, told=any(clause.told for clause in clauses))
    lost = sorted([*choice.lost, *reading.lost], key=lambda item: item.start)
    said = tuple(whole[tokens[item.start].start : tokens[item.end - 1].end] for item in lost)
    return _intent(text, reading, choice, guesser.lexicon, said)


def suggested_style(intent: Intent) -> str:
    """The style to begin a new piece with: the intent's own, otherwise the one that its mood calls for."""
    if intent.style is not None:
        return intent.style
    return load_lexicon().moods[intent.mood].style if intent.mood else _FALLBACK_STYLE


@cache
def _guesser() -> Guesser:
    """One for all prompts: what it has loaded stays loaded."""
    return Guesser(load_lexicon())


def _is_grammar(item: Item, kinds: Sequence[str]) -> bool:
    return isinstance(item.meaning, GrammarSense) and item.meaning.kind in kinds


def _like_known_words(items: Sequence[Item], guesser: Guesser) -> list[Item]:
    """The items with those unknown words explained that describe a role or have a degree: "more ferocious"."""
    explained = list(items)
    for index, item in enumerate(items):
        if not isinstance(item.meaning, Unknown) or not item.text.isalpha():
            continue
        following = items[index + 1].meaning if index + 1 < len(items) else None
        has_degree = index > 0 and _is_grammar(items[index - 1], _DEGREES)
        if has_degree or isinstance(following, RoleSense | PieceSense | InstrumentSense):
            sense = guesser.descriptor(item.text)
            if sense is not None:
                explained[index] = replace(item, meaning=sense)
    return explained


def _intent(text: str, reading: Reading, choice: Choice, lexicon: Lexicon, not_understood: tuple[str, ...]) -> Intent:
    """All that was read, as a value."""
    if choice.mood is not None:
        reading.whole.default(lexicon.moods[choice.mood].attributes.given())
    if choice.name is not None:
        reading.whole.default(choice.name.attributes, again=True)
    quantities = reading.quantities
    speed = quantities.speed if quantities.tempo_bpm is None else Fraction(1)
    return Intent(
        text=text,
        style=choice.style,
        mood=choice.mood,
        attributes=reading.whole.attributes,
        tempo_bpm=quantities.tempo_bpm,
        tempo_factor=None if speed == 1 else speed,
        key=quantities.key,
        minor=quantities.mode.is_minor if quantities.mode else None,
        mode=quantities.mode,
        transpose_semitones=reading.whole.semitones,
        meter=quantities.meter,
        bars=quantities.bars,
        roles=reading.roles,
        removed_roles=frozenset(reading.removed),
        by_role=MappingProxyType({role: reading.by_role[role].intent() for role in Role if role in reading.by_role}),
        not_understood=not_understood,
        guessed=choice.guessed,
    )
