"""Words through T5: the reference's vectors, cached, offline; what is missing or damaged is said in a line."""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import types
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, T5Config, T5EncoderModel

import tiny_musicgen
from resonantgen.errors import ModelDamaged, ModelUnusable
from resonantgen.generators.musicgen import text
from resonantgen.generators.musicgen.files import Tensors
from resonantgen.generators.musicgen.layout import TextSettings, read_settings
from resonantgen.generators.musicgen.text import MOST_TOKENS, REMEMBERED, TextEncoder
from tiny_musicgen import Checkpoint, Kind


def encoder_of(folder: Path) -> TextEncoder:
    return TextEncoder(Tensors.read(folder), read_settings(folder)[1]["text_encoder"])


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[nn.Module]]:
    """Each T5 that is loaded."""
    loaded: list[weakref.ref[nn.Module]] = []
    load = text.load_t5

    def counting(*args: Any) -> nn.Module:
        encoder = load(*args)
        loaded.append(weakref.ref(encoder))
        return encoder

    monkeypatch.setattr(text, "load_t5", counting)
    return loaded


@pytest.mark.parametrize("words", ["dark techno, 120 bpm", "Ünïcödé, 日本", "a" * 300, "LOOP only\n drums"])
def test_vectors_are_the_references(checkpoints: dict[Kind, Checkpoint], words: str) -> None:
    checkpoint = checkpoints["mono"]
    tokens = AutoTokenizer.from_pretrained(checkpoint.folder)(words, return_tensors="pt")
    with torch.inference_mode():
        theirs = checkpoint.reference.text_encoder(**tokens).last_hidden_state[0]
    ours = encoder_of(checkpoint.folder).encode(words)
    assert ours.shape == theirs.shape == (tokens.input_ids.shape[1], 24)
    assert (ours - theirs).abs().max() < 1e-5


def test_a_prompt_has_an_end(checkpoints: dict[Kind, Checkpoint]) -> None:
    assert encoder_of(checkpoints["mono"].folder).encode("techno " * 600).shape == (MOST_TOKENS, 24)


def test_a_prompt_is_encoded_once(
    checkpoints: dict[Kind, Checkpoint], loads: list[weakref.ref[nn.Module]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "REMEMBERED", 2)
    assert REMEMBERED > 2
    encoder = encoder_of(checkpoints["mono"].folder)
    first = encoder.encode("techno")
    assert encoder.encode("techno") is first
    assert not torch.equal(encoder.encode("jazz"), first)
    assert len(loads) == 2
    encoder.encode("techno")  # is now the one that was asked for last
    encoder.encode("house")  # jazz is forgotten
    assert encoder.encode("techno") is first
    assert len(loads) == 3
    encoder.encode("jazz")
    assert len(loads) == 4


def test_t5_does_not_stay_in_memory(checkpoints: dict[Kind, Checkpoint], loads: list[weakref.ref[nn.Module]]) -> None:
    encoder_of(checkpoints["mono"].folder).encode("techno")
    gc.collect()
    assert [loaded() for loaded in loads] == [None]


def test_the_network_is_not_asked(checkpoints: dict[Kind, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert encoder_of(checkpoints["mono"].folder).encode("techno").shape == (2, 24)


def test_without_transformers(checkpoints: dict[Kind, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    encoder = encoder_of(checkpoints["mono"].folder)
    with pytest.raises(ModelUnusable, match=r'not installed.*pip install "resonantgen\[musicgen\]"') as caught:
        encoder.encode("techno")
    assert "\n" not in str(caught.value)


def test_with_a_transformers_that_is_broken(
    checkpoints: dict[Kind, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("undefined symbol:\n _ZN3c10")

    monkeypatch.setitem(sys.modules, "transformers", Broken("transformers"))
    with pytest.raises(ModelUnusable, match=r"undefined symbol: _ZN3c10.*pip install") as caught:
        encoder_of(checkpoints["mono"].folder).encode("techno")
    assert "\n" not in str(caught.value)


def test_beside_a_torchaudio_that_does_not_fit_torch(checkpoints: dict[Kind, Checkpoint], tmp_path: Path) -> None:
    """`transformers` imports it wherever it is, needed or not."""
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text("raise OSError('libtorchaudio.so: undefined symbol')")
    program = (
        "import sys, pathlib\n"
        "from resonantgen.generators.musicgen.files import Tensors\n"
        "from resonantgen.generators.musicgen.layout import read_settings\n"
        "from resonantgen.generators.musicgen.text import TextEncoder\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "assert 'transformers' not in sys.modules\n"
        "encoder = TextEncoder(Tensors.read(folder), read_settings(folder)[1]['text_encoder'])\n"
        "print(tuple(encoder.encode('techno').shape), 'torchaudio' in sys.modules)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program, checkpoints["mono"].folder],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "(2, 24) False\n", done.stderr


def test_the_tokenizer_is_needed(checkpoints: dict[Kind, Checkpoint], tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(checkpoints["mono"].folder, folder)
    path = folder / "tokenizer.json"
    for damage in ("{}", path.read_text()[:200]):
        path.write_text(damage)
        with pytest.raises(ModelDamaged, match=r"tokenizer\.json .*resonantgen models pull tiny") as caught:
            encoder_of(folder)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(ModelDamaged, match=r"tokenizer\.json"):
        encoder_of(folder)


def test_settings_of_the_tokenizer_file_do_not_count(checkpoints: dict[Kind, Checkpoint], tmp_path: Path) -> None:
    """Published files were saved with a padding or a truncation that `transformers` overrides."""
    folder = tmp_path / "tiny"
    shutil.copytree(checkpoints["mono"].folder, folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {
        "strategy": {"Fixed": 99},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    path.write_text(json.dumps(content))
    words = "dark techno drums"
    assert torch.equal(encoder_of(folder).encode(words), encoder_of(checkpoints["mono"].folder).encode(words))


def test_which_tensors_t5_has_is_known_without_transformers() -> None:
    """At the sizes of the published models, which is t5-base, and at tiny ones."""
    published = T5Config(d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12, vocab_size=32128)
    for config in (published, tiny_musicgen.t5_config()):
        with torch.device("meta"):
            theirs = {name: tuple(tensor.shape) for name, tensor in T5EncoderModel(config).state_dict().items()}
        del theirs["encoder.embed_tokens.weight"]  # shared.weight once more
        names = TextSettings.__struct_fields__
        sizes = TextSettings(**{name: getattr(config, name) for name in names if name != "feed_forward_proj"})
        assert text.t5_shapes(sizes) == theirs
