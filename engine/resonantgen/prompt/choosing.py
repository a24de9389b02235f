"""Decides on a prompt's style and mood: named by a word, suggested by others, or guessed from the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resonantgen.prompt.guess import Guesser
from resonantgen.prompt.lexicon import Descriptor, InstrumentSense, PieceSense, RoleSense, StyleSense
from resonantgen.prompt.reading import Reading
from resonantgen.prompt.scan import Item, Unknown


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt's style and mood, which of them are guesses, and the items that led to nothing."""

    style: str | None
    mood: str | None
    name: StyleSense | None  # the style's name, if it has one
    guessed: frozenset[str]  # of "style" and "mood"
    lost: tuple[Item, ...]


def choose(items: Sequence[Item], reading: Reading, guesser: Guesser, *, told: bool) -> Choice:
    """The style and the mood of a prompt. One that is `told` to change something is given none by guessing."""
    name, others = _named_style(reading)
    mood = _named_mood(reading, name, told)
    nonsense = [item for item in reading.unknown if not guesser.means_something(item.text)]
    unknown = [item for item in reading.unknown if item not in nonsense]
    guessed: dict[str, str] = {}
    if not told:
        scene = [item.text for item in items if _describes(item) and item not in nonsense]
        guessed = _guessed(scene, unknown, reading, name.style if name else None, mood, guesser)
    return Choice(
        style=name.style if name else guessed.get("style"),
        mood=mood or guessed.get("mood"),
        name=name,
        guessed=frozenset(guessed),
        lost=(*others, *nonsense, *(() if guessed else unknown)),
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
    scene: Sequence[str],
    unknown: Sequence[Item],
    reading: Reading,
    style: str | None,
    mood: str | None,
    guesser: Guesser,
) -> dict[str, str]:
    """The style and the mood, where no word names them, that the whole prompt calls to mind."""
    guessed: dict[str, str] = {}
    if style is None:
        found = _fitting_style(scene, bool(unknown), reading, mood, guesser)
        if found:
            guessed["style"] = found
    if mood is None and unknown:
        if style is None:
            found = guesser.mood(" ".join(scene), guessed.get("style"))
        else:
            found = guesser.mood(" ".join(item.text for item in unknown), style, clearly=len(unknown) == 1)
        if found:
            guessed["mood"] = found
    return guessed


def _fitting_style(
    scene: Sequence[str], has_unknown: bool, reading: Reading, mood: str | None, guesser: Guesser
) -> str | None:
    """A style for a prompt that names none; None if it says too little of what the music is like."""
    if reading.hinted_style:
        return reading.hinted_style
    found = None
    if has_unknown or (reading.described and len(scene) > 1):
        found = guesser.style(" ".join(scene), mood)
    return found or (guesser.lexicon.moods[mood].style if mood else None)


def _describes(item: Item) -> bool:
    """Whether an item says something of what the music is like, rather than how long, how fast or how to put it."""
    if isinstance(item.meaning, Unknown):
        return not item.meaning.ordinary
    if isinstance(item.meaning, RoleSense):
        return item.meaning.sound
    return isinstance(item.meaning, Descriptor | StyleSense | PieceSense | InstrumentSense)
