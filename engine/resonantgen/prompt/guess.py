"""What words mean that the lexicon does not have: misspellings, words like known words, and whole scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from resonantgen.prompt.embeddings import Embedder, Nearest, load_embedder
from resonantgen.prompt.lexicon import Descriptor, Lexicon

# Set on tests/engine/prompt/tuning_prompts.txt; docs/decisions/0020 has the figures.
_WORD_THRESHOLD = 0.50  # cosine of an unknown word to the nearest descriptor
_STYLE_THRESHOLD = 0.36
_MOOD_THRESHOLD = 0.36


@dataclass
class Guesser:
    """Guesses with a lexicon and text embeddings, which are loaded by the first question that needs them."""

    lexicon: Lexicon
    given_embedder: Embedder | None = None

    @cached_property
    def embedder(self) -> Embedder:
        return self.given_embedder or load_embedder()

    @cached_property
    def _known_words(self) -> list[str]:
        return [word for word in self.lexicon.single_words() if len(word) >= 5]

    @cached_property
    def _styles(self) -> Nearest:
        examples = {style: [*entry.scenes, *entry.words] for style, entry in self.lexicon.styles.items()}
        for group in self.lexicon.scenes:
            examples[group.style] += group.texts
        return Nearest(self.embedder, examples)

    @cached_property
    def _moods(self) -> Nearest:
        examples = {mood: [*entry.scenes, *entry.words] for mood, entry in self.lexicon.moods.items()}
        for group in self.lexicon.scenes:
            examples[group.mood] += group.texts
        return Nearest(self.embedder, examples)

    @cached_property
    def _descriptors(self) -> tuple[list[Descriptor], Nearest]:
        """The lexicon's descriptors and, by their place in the list, the single words that each has."""
        senses: list[Descriptor] = []
        words: dict[str, list[str]] = {}
        for phrase, sense in self.lexicon.phrases.items():
            if isinstance(sense, Descriptor) and not sense.steps and len(phrase) == 1:
                if sense not in senses:
                    senses.append(sense)
                words.setdefault(str(senses.index(sense)), []).append(phrase[0])
        return senses, Nearest(self.embedder, words, sharpness=60.0)

    def spelled(self, word: str) -> str | None:
        """The word of the lexicon that an unknown word misspells, if it is just one.

        A letter is missing, added or swapped with its neighbour (in a long word two, or a wrong one); in shorter words
        a different letter makes a different word ("sweat" is not "sweet").
        """
        if len(word) < 5 or not word.isascii() or not word.isalpha() or self.embedder.is_word(word):
            return None
        allowed = 1 if len(word) < 9 else 2
        near = [
            known
            for known in self._known_words
            if _distance(word, known, allowed) <= allowed and (len(word) >= 8 or not _one_letter_differs(word, known))
        ]
        return near[0] if len(near) == 1 else None

    def descriptor(self, word: str) -> Descriptor | None:
        """The descriptor that an unknown word is most like, if it is like any."""
        senses, nearest = self._descriptors
        label, score = _best(nearest.scores(word))
        return senses[int(label)] if score >= _WORD_THRESHOLD else None

    def style(self, text: str) -> str | None:
        """The style that a text calls to mind."""
        label, score = _best(self._styles.scores(text))
        return label if score >= _STYLE_THRESHOLD else None

    def mood(self, text: str) -> str | None:
        """The mood that a text calls to mind."""
        label, score = _best(self._moods.scores(text))
        return label if score >= _MOOD_THRESHOLD else None


def _best(scores: Mapping[str, float]) -> tuple[str, float]:
    label = max(scores, key=lambda name: (scores[name], name))
    return label, scores[label]


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
