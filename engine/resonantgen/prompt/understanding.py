"""`understand`: words to an Intent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from types import MappingProxyType

from resonantgen.errors import PromptError
from resonantgen.music.notes import Role
from resonantgen.prompt.binding import bind
from resonantgen.prompt.clauses import Clause, read_clause, split
from resonantgen.prompt.guess import Guesser
from resonantgen.prompt.intent import Intent
from resonantgen.prompt.lexicon import (
    Descriptor,
    GrammarSense,
    InstrumentSense,
    Lexicon,
    PieceSense,
    RoleSense,
    StyleSense,
    load_lexicon,
)
from resonantgen.prompt.reading import Reading
from resonantgen.prompt.scan import Item, Unknown, scan
from resonantgen.prompt.tokens import Token, folded, tokenize

MAX_PROMPT_LETTERS = 2_000
_FALLBACK_STYLE = "house"
_DEGREES = ("more", "less", "slight", "strong", "too", "negations")


def understand(text: str, lexicon: Lexicon | None = None) -> Intent:
    """What a prompt means, by a lexicon (the presets' unless given) and, for words it does not have, text embeddings.

    The same text always gives the same Intent. Raises PromptError for a prompt that is empty or too long, and BadValue
    for a tempo, key, meter, bar count or transposition that is clearly meant but impossible.
    """
    return understand_with(_guesser() if lexicon is None else Guesser(lexicon), text)


def understand_with(guesser: Guesser, text: str) -> Intent:
    """`understand` with a guesser's lexicon and text embeddings."""
    if len(text) > MAX_PROMPT_LETTERS:
        raise PromptError(f"The prompt has {len(text):,} letters. Say it in at most {MAX_PROMPT_LETTERS:,}.")
    whole = folded(text)
    tokens = tokenize(whole)
    if all(token.kind == "pause" for token in tokens):
        raise PromptError('The prompt is empty. Say what you want to hear, such as "dark techno with driving bass".')
    items = _like_known_words(scan(tokens, guesser.lexicon, guesser.spelled), guesser)
    clauses = [read_clause(lead, run) for lead, run in split(items)]
    bind(clauses)
    reading = Reading(clauses, guesser.lexicon, replacing=any(_is_grammar(item, ("replace",)) for item in items))
    return _intent(text, whole, tokens, items, clauses, reading, guesser)


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


def _intent(
    text: str,
    whole: str,
    tokens: Sequence[Token],
    items: Sequence[Item],
    clauses: Sequence[Clause],
    reading: Reading,
    guesser: Guesser,
) -> Intent:
    told = any(clause.told for clause in clauses)
    style, losers = _named_style(reading)
    mood = _named_mood(reading, style, told)
    reading.nonsense = [item for item in reading.unknown if not guesser.means_something(item.text)]
    reading.unknown = [item for item in reading.unknown if item not in reading.nonsense]
    guessed: dict[str, str] = {}
    if not told:
        guessed = _guessed(items, reading, style.style if style else None, mood, guesser)
    if not guessed:
        losers += reading.unknown
    mood = mood or guessed.get("mood")
    if mood is not None:
        reading.whole.default(guesser.lexicon.moods[mood].attributes.given())
    if style is not None:
        reading.whole.default(style.attributes, again=True)
    quantities = reading.quantities
    speed = quantities.speed if quantities.tempo_bpm is None else Fraction(1)
    lost = sorted([*losers, *reading.lost, *reading.nonsense], key=lambda item: item.start)
    return Intent(
        text=text,
        style=style.style if style else guessed.get("style"),
        mood=mood,
        attributes=reading.whole.attributes,
        tempo_bpm=quantities.tempo_bpm,
        tempo_factor=None if speed == 1 else speed,
        key=quantities.key,
        minor=quantities.mode.is_minor if quantities.mode else None,
        transpose_semitones=reading.whole.semitones,
        meter=quantities.meter,
        bars=quantities.bars,
        roles=reading.roles,
        removed_roles=frozenset(reading.removed),
        by_role=MappingProxyType({role: reading.by_role[role].intent() for role in Role if role in reading.by_role}),
        not_understood=tuple(whole[tokens[i.start].start : tokens[i.end - 1].end] for i in lost),
        mode=quantities.mode,
        guessed=frozenset(guessed),
    )


def _named_style(reading: Reading) -> tuple[StyleSense | None, list[Item]]:
    """The style that the prompt names, and the names of others, which lead to nothing.

    A style's name right before a role is only then the piece's style if there is no other ("techno with reggae bass").
    Of names side by side the last is the style ("jazz house"), otherwise the first ("techno with a touch of jazz").
    """
    names = [(s, item) for s, item, adjective in reading.styles if not adjective]
    names = names or [(s, item) for s, item, _ in reading.styles]
    if not names:
        return None, []
    chosen = 0
    while chosen + 1 < len(names) and names[chosen + 1][1].start == names[chosen][1].end:
        chosen += 1
    style, _ = names[chosen]
    return style, [item for other, item, _ in reading.styles if other.style != style.style]


def _named_mood(reading: Reading, style: StyleSense | None, told: bool) -> str | None:
    """The mood that is named most often, the first of several; that of a role only where a new piece is described."""
    if reading.moods:
        return reading.moods.most_common(1)[0][0]
    if told and style is None:
        return None
    if reading.role_moods:
        return reading.role_moods.most_common(1)[0][0]
    of_names = [name.mood for name, _, _ in reading.styles if name.mood]
    return reading.hinted_mood or (style.mood if style else None) or next(iter(of_names), None)


def _guessed(
    items: Sequence[Item], reading: Reading, style: str | None, mood: str | None, guesser: Guesser
) -> dict[str, str]:
    """The style and the mood, where no word names them, that the whole prompt calls to mind."""
    guessed: dict[str, str] = {}
    scene = " ".join(item.text for item in items if _describes(item) and item not in reading.nonsense)
    if style is None:
        found = _fitting_style(scene, reading, mood, guesser)
        if found:
            guessed["style"] = found
    if mood is None and reading.unknown:
        rest = [item.text for item in reading.unknown]
        if style is None:
            found = guesser.mood(scene, guessed.get("style"))
        else:
            found = guesser.mood(" ".join(rest), style, clearly=len(rest) == 1)
        if found:
            guessed["mood"] = found
    return guessed


def _fitting_style(scene: str, reading: Reading, mood: str | None, guesser: Guesser) -> str | None:
    """A style for a prompt that names none; None if it says too little of what the music is like."""
    if reading.hinted_style:
        return reading.hinted_style
    found = None
    if reading.unknown or (reading.described and len(scene.split()) > 1):
        found = guesser.style(scene, mood)
    return found or (guesser.lexicon.moods[mood].style if mood else None)


def _describes(item: Item) -> bool:
    """Whether an item says something of what the music is like, rather than how long, how fast or how to put it."""
    if isinstance(item.meaning, Unknown):
        return not item.meaning.ordinary
    if isinstance(item.meaning, RoleSense):
        return item.meaning.sound
    return isinstance(item.meaning, Descriptor | StyleSense | PieceSense | InstrumentSense)
