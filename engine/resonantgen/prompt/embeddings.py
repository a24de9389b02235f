"""Word embeddings that work offline: how alike two texts are, and what an unknown word or scene is nearest to.

The vectors are those of the `wordllama` package (32,000 tokens, 256 dimensions, distilled from the token embeddings of
large language models; https://github.com/dleemiller/WordLlama). Its two data files are read directly: the package's own
code looks for the tokenizer online and imports what is not needed here. Nothing is loaded until a prompt has words that
the lexicon does not explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
_TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")


class TextIndex(Protocol):
    """Texts to compare others with."""

    def similarities(self, text: str) -> Array:
        """How like each of the texts a text is, [texts], at most 1."""
        ...


class Embeddings(Protocol):
    """A model of what words mean."""

    def index(self, texts: Sequence[str]) -> TextIndex:
        """Make texts ready to be compared with; words are parted by spaces."""
        ...

    def is_word(self, word: str) -> bool:
        """Whether a word is one of the vocabulary, whole: a common word and not a misspelling."""
        ...


class WordLlama:
    """The static embeddings of the wordllama package."""

    def __init__(self) -> None:
        from safetensors import safe_open
        from tokenizers import Tokenizer

        spec = find_spec("wordllama")
        assert spec is not None and spec.origin is not None, "wordllama is a dependency of this package"
        folder = Path(spec.origin).parent
        self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        with safe_open(str(folder / _WEIGHTS), framework="numpy") as weights:
            self._vectors: NDArray[np.float16] = weights.get_tensor("embedding.weight")  # [tokens, dimensions]

    def index(self, texts: Sequence[str]) -> TextIndex:
        return AlignedWords(self, texts)

    def is_word(self, word: str) -> bool:
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1

    def word_vectors(self, words: Sequence[str]) -> Array:
        """The mean of each word's tokens, [words, dimensions]."""
        encodings = self._tokenizer.encode_batch(list(words), add_special_tokens=False)
        rows = np.zeros((len(words), self._vectors.shape[1]), np.float32)
        for row, encoding in zip(rows, encodings, strict=True):
            if encoding.ids:
                row[:] = self._vectors[encoding.ids].astype(np.float32).mean(axis=0)
        return rows


class AlignedWords:
    """Compares texts word by word: each word with the one of the other text that is most like it.

    A similarity is the mean of these best cosines, weighted by how rare a word is among the texts (its inverse document
    frequency): of the asking text's words and, at 3 to 7, of the indexed text's. Static vectors compare better this way
    than as the mean of a text's vectors, in which every word dilutes the others. After BERTScore (Zhang et al., 2020).
    """

    _OWN_SHARE = 0.7

    def __init__(self, embeddings: WordLlama, texts: Sequence[str]) -> None:
        self._embeddings = embeddings
        split = [text.split() or [text] for text in texts]
        vocabulary = {word: place for place, word in enumerate(sorted({word for words in split for word in words}))}
        vectors = embeddings.word_vectors(list(vocabulary))
        self._mean = vectors.mean(axis=0)
        self._vocabulary = vocabulary
        self._vectors = self._centred(vectors)
        self._words = np.array([vocabulary[word] for words in split for word in words])  # all texts, one after another
        self._starts = np.cumsum([0, *(len(words) for words in split)])[:-1]
        frequency = np.bincount([vocabulary[word] for words in split for word in set(words)], minlength=len(vocabulary))
        self._rarity = np.log(len(texts) / (1 + frequency)).astype(np.float32)
        self._unseen_rarity = np.float32(np.log(len(texts)))
        self._weights = np.maximum(self._rarity[self._words], 0.1)

    def similarities(self, text: str) -> Array:
        words = text.split() or [text]
        vectors = self._centred(self._embeddings.word_vectors(words))
        rarity = [self._rarity[self._vocabulary[w]] if w in self._vocabulary else self._unseen_rarity for w in words]
        own = np.maximum(np.array(rarity, np.float32), 0.1)
        cosines = (vectors @ self._vectors.T)[:, self._words]  # [asking words, all texts' words]
        best_of_own = np.maximum.reduceat(cosines, self._starts, axis=1)  # [asking words, texts]
        forward = own @ best_of_own / own.sum()
        weighted = np.add.reduceat(cosines.max(axis=0) * self._weights, self._starts)
        backward = weighted / np.add.reduceat(self._weights, self._starts)
        return np.asarray(self._OWN_SHARE * forward + (1 - self._OWN_SHARE) * backward, np.float32)

    def _centred(self, vectors: Array) -> Array:
        """Vectors without what all of them share, of length 1."""
        centred = vectors - self._mean
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.asarray(centred / np.maximum(lengths, 1e-9), np.float32)


@cache
def load_embeddings() -> Embeddings:
    """The embeddings that prompts are understood with, read once."""
    return WordLlama()


@dataclass(frozen=True, slots=True)
class Example:
    """A text that belongs to a label; `beside` is what goes with it, such as the mood of an example of a style."""

    label: str
    text: str
    beside: str | None = None


class Nearest:
    """Tells which of several labels a text is nearest to, each label described by examples.

    A label's score is a soft maximum over its examples, `log(sum(weight * exp(sharpness * similarity))) / sharpness`.
    An example weighs more where what is beside it is known to hold.
    """

    def __init__(
        self, embeddings: Embeddings, examples: Sequence[Example], sharpness: float = 14.0, beside_weight: float = 8.0
    ) -> None:
        self._sharpness = sharpness
        self._beside_weight = beside_weight
        self._labels = tuple(sorted({example.label for example in examples}))
        self._owner = np.array([self._labels.index(example.label) for example in examples])
        self._beside = np.array([example.beside or "" for example in examples])
        self._index = embeddings.index([example.text for example in examples])

    def best(self, text: str, known: str | None = None) -> tuple[str, float]:
        """The nearest label and its score, about 0 to 1; `known` is what is known to go beside it."""
        weights = np.where(self._beside == known, self._beside_weight, 1.0) if known else np.ones(len(self._owner))
        terms = weights * np.exp(self._sharpness * self._index.similarities(text))
        scores = np.log(np.bincount(self._owner, terms, minlength=len(self._labels))) / self._sharpness
        place = int(scores.argmax())
        return self._labels[place], float(scores[place])
