"""Words to vectors: the T5 encoder that lies in a MusicGen checkpoint, run by `transformers`.

It is needed once for each new prompt, takes half a gigabyte and a moment: so it is loaded when a prompt is new and
dropped right after, and the vectors of the last prompts are kept. It runs on the CPU in float32 whatever the device
of the transformer, so a prompt means the same everywhere. Nothing here can reach the network: a tokenizer and weights
are read from the folder, and nothing is looked up by name.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from resonantgen.errors import ModelDamaged, ModelUnusable
from resonantgen.generators.musicgen.files import Shape, Tensors, fetch_again
from resonantgen.generators.musicgen.layout import TextSettings

PREFIX = "text_encoder."
REMEMBERED = 64  # prompts
MOST_TOKENS = 512  # of a prompt: what T5 was trained on. What is beyond is not heard
UNNEEDED = ("torchaudio", "torchao")  # `transformers` imports them where they are, and fails if one does not fit torch


class TextEncoder:
    """The T5 encoder of one checkpoint. Any thread may call `encode`."""

    def __init__(self, tensors: Tensors, config: Mapping[str, Any]) -> None:
        """`config` is `text_encoder` of the checkpoint's config.json. Raises ModelDamaged."""
        self._tensors = tensors
        self._config = dict(config)
        self._tokenizer = read_tokenizer(tensors.folder)
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, words: str) -> Tensor:
        """[S, d_model] float32, one vector for each piece of the words and one for their end.

        Raises ModelUnusable without `transformers`, and ModelDamaged.
        """
        with self._lock:
            if words not in self._known:
                self._known[words] = self._encode(words)
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            self._known.move_to_end(words)
            return self._known[words]

    def _encode(self, words: str) -> Tensor:
        tokens = self._tokenizer.encode(words).ids
        encoder = load_t5(self._tensors, self._config)
        with torch.inference_mode():
            vectors: Tensor = encoder(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        return vectors.clone()


def read_tokenizer(folder: Path) -> Tokenizer:
    """The checkpoint's tokenizer, which ends each text with </s>. Raises ModelDamaged."""
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the package raises nothing more precise than Exception
        raise ModelDamaged(f"{path} is no tokenizer ({error}). {fetch_again(folder)}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


def load_t5(tensors: Tensors, config: Mapping[str, Any]) -> nn.Module:
    """The encoder, its weights views of the files where they are saved as float32.

    Raises ModelUnusable without `transformers`, and ModelDamaged.
    """
    transformers = import_transformers()
    with torch.device("meta"):
        encoder: nn.Module = transformers.T5EncoderModel(transformers.T5Config(**config))
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    weights = {name: tensors.numbers(PREFIX + saved_name(name), shape).float() for name, shape in shapes.items()}
    encoder.load_state_dict(weights, assign=True)
    return encoder.eval()


def saved_name(name: str) -> str:
    """Where a weight of T5 is saved: its two tables of tokens are one.

    >>> saved_name("encoder.embed_tokens.weight")
    'shared.weight'
    """
    return "shared.weight" if name == "encoder.embed_tokens.weight" else name


def t5_shapes(sizes: TextSettings) -> dict[str, Shape]:
    """The tensors that an encoder of these sizes has, without `transformers`: {name: shape}, without PREFIX."""
    width, inner, hidden = sizes.d_model, sizes.num_heads * sizes.d_kv, sizes.d_ff
    shapes: dict[str, Shape] = {
        "shared.weight": (sizes.vocab_size, width),
        "encoder.final_layer_norm.weight": (width,),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (
            sizes.relative_attention_num_buckets,
            sizes.num_heads,
        ),
    }
    for block in range(sizes.num_layers):
        attention, feedforward = f"encoder.block.{block}.layer.0.", f"encoder.block.{block}.layer.1."
        shapes |= {f"{attention}SelfAttention.{part}.weight": (inner, width) for part in "qkv"}
        shapes[f"{attention}SelfAttention.o.weight"] = (width, inner)
        shapes[f"{feedforward}DenseReluDense.wi.weight"] = (hidden, width)
        shapes[f"{feedforward}DenseReluDense.wo.weight"] = (width, hidden)
        shapes |= {f"{layer}layer_norm.weight": (width,) for layer in (attention, feedforward)}
    return shapes


def import_transformers() -> Any:
    """The package, which takes seconds to import. Raises ModelUnusable."""
    try:
        with _hidden(UNNEEDED):
            transformers = importlib.import_module("transformers")
            _ = transformers.T5EncoderModel  # what it needs is imported by asking for it
    except Exception as error:  # whatever is wrong with it, it is of no use
        if isinstance(error, ModuleNotFoundError) and error.name == "transformers":
            reason = "transformers is not installed"
        else:
            reason = f"transformers cannot be imported ({' '.join(str(error).split())[:200]})"
        raise ModelUnusable(
            f'MusicGen reads its prompt with T5, and {reason}: pip install "resonantgen[musicgen]"'
        ) from None
    return transformers


@contextmanager
def _hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """As if these were not installed, unless they are in use."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]  # None: the import system's word for "not there"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
