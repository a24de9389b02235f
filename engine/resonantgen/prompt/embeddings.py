"""Word embeddings that work offline: what an unknown word or scene is nearest to.

The vectors are those of the `wordllama` package (32,000 tokens, 256 dimensions, distilled from the token embeddings of
large language models; https://github.com/dleemiller/WordLlama). Its two data files are read directly: the package's own
code looks for the tokenizer online and imports what is not needed here. A text's vector is the mean of its tokens'
vectors, of length 1. Nothing is loaded until a prompt has words that the lexicon does not explain.
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

Vectors = NDArray[np.float32]  # [texts, dimensions], each of length 1

_WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
_TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")


class Embedder(Protocol):
    """Texts to vectors."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector of length 1 for each text; zeros for a text without tokens."""
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

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self._vectors.shape[1]), np.float32)
        for row, text in zip(rows, texts, strict=True):
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
            if ids:
                mean = self._vectors[ids].astype(np.float32).mean(axis=0)
                row[:] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return rows

    def is_word(self, word: str) -> bool:
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1


@cache
def load_embedder() -> Embedder:
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

    A label's score is a soft maximum over its examples, `log(sum(weight * exp(sharpness * cosine))) / sharpness`, after
    the mean of all examples, what all of them share, is taken off every vector. An example weighs more where what is
    beside it is known to hold.
    """

    def __init__(
        self, embedder: Embedder, examples: Sequence[Example], sharpness: float = 12.0, beside_weight: float = 8.0
    ) -> None:
        self._embedder = embedder
        self._sharpness = sharpness
        self._beside_weight = beside_weight
        self._labels = tuple(sorted({example.label for example in examples}))
        self._owner = np.array([self._labels.index(example.label) for example in examples])
        self._beside = np.array([example.beside or "" for example in examples])
        vectors = embedder.embed([example.text for example in examples])
        self._mean = vectors.mean(axis=0)
        self._examples = _centred(vectors, self._mean)

    def best(self, text: str, known: str | None = None) -> tuple[str, float]:
        """The nearest label and its score, about 0 to 1; `known` is what is known to go beside it."""
        vector = _centred(self._embedder.embed([text]), self._mean)[0]
        weights = np.where(self._beside == known, self._beside_weight, 1.0) if known else np.ones(len(self._owner))
        terms = weights * np.exp(self._sharpness * (self._examples @ vector))
        scores = np.log(np.bincount(self._owner, terms, minlength=len(self._labels))) / self._sharpness
        place = int(scores.argmax())
        return self._labels[place], float(scores[place])


def _centred(vectors: Vectors, mean: Vectors) -> Vectors:
    centred = vectors - mean
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(lengths, 1e-9), dtype=np.float32)
