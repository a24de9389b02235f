"""What words mean that the lexicon does not have: misspellings, words like known words, and whole scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from resonantgen.prompt.embeddings import Embeddings, Example, Nearest, load_embeddings
from resonantgen.prompt.lexicon import Descriptor, Lexicon
from resonantgen.prompt.tokens import words_of

# Set on tests/engine/prompt/tuning_prompts.txt; docs/decisions/0020 has the figures.
_WORD_THRESHOLD = 0.55  # an unknown word beside the nearest words of a descriptor
_STYLE_THRESHOLD = 0.40  # low: words that mean nothing to the embeddings are left out before
_CLEAR_THRESHOLD = 0.75  # the score of a word that an example has, or one that means the same
_MOOD_THRESHOLD = 0.56  # higher: a style must be found, a mood need not


@dataclass
class Guesser:
    """Guesses with a lexicon and text embeddings, which are loaded by the first question that needs them."""

    lexicon: Lexicon
    given_embeddings: Embeddings | None = None

    @cached_property
    def embeddings(self) -> Embeddings:
        return self.given_embeddings or load_embeddings()

    @cached_property
    def _known_words(self) -> list[str]:
        return [word for word in self.lexicon.single_words() if len(word) >= 5]

    @cached_property
    def _styles(self) -> Nearest:
        content = self.lexicon.content
        named = [Example(style, content(t)) for style, e in self.lexicon.styles.items() for t in (*e.scenes, *e.words)]
        told = [Example(group.style, content(t), group.mood) for group in self.lexicon.scenes for t in group.texts]
        return Nearest(self.embeddings, named + told)

    @cached_property
    def _moods(self) -> Nearest:
        content = self.lexicon.content
        named = [Example(mood, content(t)) for mood, e in self.lexicon.moods.items() for t in (*e.scenes, *e.words)]
        told = [Example(group.mood, content(t), group.style) for group in self.lexicon.scenes for t in group.texts]
        return Nearest(self.embeddings, named + told)

    @cached_property
    def _descriptors(self) -> tuple[list[Descriptor], Nearest]:
        """The lexicon's descriptors, and their single words labelled with the place in that list."""
        senses: list[Descriptor] = []
        examples = []
        for phrase, sense in self.lexicon.phrases.items():
            if isinstance(sense, Descriptor) and not sense.steps and len(phrase) == 1:
                if sense not in senses:
                    senses.append(sense)
                examples.append(Example(str(senses.index(sense)), phrase[0]))
        return senses, Nearest(self.embeddings, examples, sharpness=60.0)

    def spelled(self, word: str) -> str | None:
        """The word of the lexicon that an unknown word misspells, if it is just one.

        A letter is missing, added or swapped with its neighbour (in a long word two, or a wrong one); in shorter words
        a different letter makes a different word ("sweat" is not "sweet").
        """
        if len(word) < 5 or not word.isascii() or not word.isalpha() or self.embeddings.is_word(word):
            return None
        allowed = 1 if len(word) < 9 else 2
        possible = [known for known in self._known_words if known[0] == word[0]]
        if len(word) < 8:
            possible = [known for known in possible if not _one_letter_differs(word, known)]
        distances = {known: _distance(word, known, allowed) for known in possible}
        least = min(distances.values(), default=allowed + 1)
        near = [known for known, distance in distances.items() if distance == least]
        return near[0] if least <= allowed and len(near) == 1 else None

    def descriptor(self, word: str) -> Descriptor | None:
        """The descriptor that an unknown word is most like, if it is like any.

        Only for words that the embeddings know whole: of the pieces of others the spelling is all that they see.
        """
        if not self.embeddings.is_word(word):
            return None
        senses, nearest = self._descriptors
        label, score = nearest.best(word)
        return senses[int(label)] if score >= _WORD_THRESHOLD else None

    def means_something(self, word: str) -> bool:
        """Whether the embeddings can say anything of a word but how it is spelled."""
        return word.isalpha() and (self.embeddings.is_word(word) or word in self._scene_words)

    @cached_property
    def _scene_words(self) -> frozenset[str]:
        texts = [text for group in self.lexicon.scenes for text in group.texts]
        texts += [text for entry in self.lexicon.styles.values() for text in entry.scenes]
        texts += [text for entry in self.lexicon.moods.values() for text in entry.scenes]
        words = {word for text in texts for word in words_of(text)}
        return frozenset(words | {word + "s" for word in words})

    def style(self, scene: str, mood: str | None) -> str | None:
        """The style that a scene calls to mind, given the mood if one is known."""
        label, score = self._styles.best(self.lexicon.content(scene), mood)
        return label if score >= _STYLE_THRESHOLD else None

    def mood(self, scene: str, style: str | None, *, clearly: bool = False) -> str | None:
        """The mood that a scene calls to mind, given the style if one is known; `clearly` for a single word."""
        label, score = self._moods.best(self.lexicon.content(scene), style)
        return label if score >= (_CLEAR_THRESHOLD if clearly else _MOOD_THRESHOLD) else None


def _one_letter_differs(a: str, b: str) -> bool:
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) == 1


def _distance(a: str, b: str, limit: int) -> int:
    """The letters to insert, leave out, replace or swap with a neighbour from one word to another; at most limit + 1.

    Damerau's measure in its optimal string alignment form.
    """
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: Sequence[int] = ()
    row: Sequence[int] = range(len(b) + 1)
    for i, letter in enumerate(a, start=1):
        last, before, current = before, row, [i]
        for j, other in enumerate(b, start=1):
            cost = min(before[j] + 1, current[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        row = current
    return row[-1]
