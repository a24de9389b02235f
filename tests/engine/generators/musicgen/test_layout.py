"""Checkpoints in Hugging Face layout: every published size, old and new names, shards; damage is said in a line."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM
from transformers.models.musicgen_melody.configuration_musicgen_melody import MusicgenMelodyDecoderConfig
from transformers.models.musicgen_melody.modeling_musicgen_melody import MusicgenMelodyForCausalLM

import tiny_musicgen
from resonantgen.errors import ModelDamaged, ModelUnusable
from resonantgen.generators.musicgen import model as model_module
from resonantgen.generators.musicgen.files import Tensors
from resonantgen.generators.musicgen.layout import (
    AudioSettings,
    DecoderSettings,
    Settings,
    TextSettings,
    read_settings,
    transformer_parts,
)
from resonantgen.generators.musicgen.model import MusicGen
from resonantgen.lm.int8 import Int8Linear
from resonantgen.lm.transformer import Transformer
from tiny_musicgen import KINDS, Checkpoint, Kind

# What the published models are: layers, width, heads, feed-forward, codebooks, channels, melody
PUBLISHED: dict[str, tuple[int, int, int, int, int, int, bool]] = {
    "musicgen-small": (24, 1024, 16, 4096, 4, 1, False),
    "musicgen-medium": (48, 1536, 24, 6144, 4, 1, False),
    "musicgen-large": (48, 2048, 32, 8192, 4, 1, False),
    "musicgen-melody": (48, 1536, 24, 6144, 4, 1, True),
    "musicgen-melody-large": (48, 2048, 32, 8192, 4, 1, True),
    "musicgen-stereo-small": (24, 1024, 16, 4096, 8, 2, False),
    "musicgen-stereo-large": (48, 2048, 32, 8192, 8, 2, False),
    "musicgen-stereo-melody": (48, 1536, 24, 6144, 8, 2, True),
}

Damage = Callable[[Path], None]


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_published_size_has_the_tensors_of_the_reference(name: str) -> None:
    layers, width, heads, feedforward, codebooks, channels, melody = PUBLISHED[name]
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "ffn_dim": feedforward,
        "num_codebooks": codebooks,
        "audio_channels": channels,
    }
    with torch.device("meta"):
        theirs = (
            MusicgenMelodyForCausalLM(MusicgenMelodyDecoderConfig(**sizes))
            if melody
            else MusicgenForCausalLM(MusicgenDecoderConfig(**sizes))
        )
    settings = Settings(
        model_type="musicgen_melody" if melody else "musicgen",
        decoder=DecoderSettings(**sizes),
        text_encoder=TextSettings(),
        audio_encoder=AudioSettings(),
    )
    parts = transformer_parts(settings.lm)
    named = {part: shape for weight in parts.values() for part, shape in weight}
    assert named == {f"decoder.{key}": tuple(tensor.shape) for key, tensor in theirs.state_dict().items()}

    with torch.device("meta"):
        ours = Transformer(settings.lm)
    assert parts.keys() == ours.state_dict().keys()
    assert settings.lm.parameters == theirs.num_parameters()


def weights_of(folder: Path) -> dict[str, Tensor]:
    model = MusicGen.load(folder, "cpu", "float32")
    parts = {"transformer": model.transformer, "codec": model.codec}
    return {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}


def check_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_published_names_and_shards(checkpoints: dict[Kind, Checkpoint], tmp_path: Path, kind: Kind) -> None:
    tiny_musicgen.write(tmp_path, kind, published_names=True, shards=3)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    check_same(weights_of(tmp_path), weights_of(checkpoints[kind].folder))
    found, wanted = (
        MusicGen.load(folder, "cpu").condition("techno") for folder in (tmp_path, checkpoints[kind].folder)
    )
    for ours, theirs in ((found.conditioning, wanted.conditioning), (found.null, wanted.null)):
        for vectors, others in ((ours.cross, theirs.cross), (ours.prefix, theirs.prefix)):
            assert (vectors is None) == (others is None)
            assert vectors is None or torch.equal(vectors, others)


def pickle_weights(folder: Path, content: object = None) -> None:
    path = folder / "model.safetensors"
    torch.save(load_file(path) if content is None else content, folder / "pytorch_model.bin")
    path.unlink()


def test_pickled_weights(checkpoints: dict[Kind, Checkpoint], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["mono"].folder, tmp_path / "tiny")
    pickle_weights(folder)
    check_same(weights_of(folder), weights_of(checkpoints["mono"].folder))


@pytest.mark.parametrize("kind", KINDS)
def test_pickled_shards_with_published_names(checkpoints: dict[Kind, Checkpoint], tmp_path: Path, kind: Kind) -> None:
    """As the medium and large models are published: old names, tables of positions, T5's table under both its names."""
    tiny_musicgen.write(tmp_path, kind, published_names=True)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    tensors["text_encoder.encoder.embed_tokens.weight"] = tensors["text_encoder.shared.weight"]
    names, places = sorted(tensors), {}
    for number in (1, 2):
        place = f"pytorch_model-{number:05}-of-00002.bin"
        held = names[number - 1 :: 2]
        places |= dict.fromkeys(held, place)
        torch.save({name: tensors[name] for name in held}, tmp_path / place)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
    check_same(weights_of(tmp_path), weights_of(checkpoints[kind].folder))
    MusicGen.load(tmp_path, "cpu").condition("techno")
    read = Tensors.read(tmp_path)
    assert read.by_name.keys() == tensors.keys()
    if sys.platform == "linux":  # the files are mapped, not read
        mapped = Path("/proc/self/maps").read_text()
        assert all(str(tmp_path / place) in mapped for place in places.values())


def test_half_precision_on_disk(checkpoints: dict[Kind, Checkpoint], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["mono"].folder, tmp_path / "tiny")
    change_tensors(folder, lambda tensors: tensors | {name: tensor.half() for name, tensor in tensors.items()})
    for name, tensor in weights_of(folder).items():
        assert tensor.dtype in (torch.float32, torch.int64), name
    assert MusicGen.load(folder, "cpu", "float32").condition("techno").conditioning.cross is not None


def test_quantised_layer_by_layer(checkpoints: dict[Kind, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    """At no time are the float weights of more than one layer in memory."""
    held: list[int] = []
    quantize, made = model_module.quantize, []
    start = Transformer.__init__

    def remembering(self: Transformer, *args: Any) -> None:
        start(self, *args)
        made.append(self)

    def watching(module: nn.Module) -> None:
        linears = [part for part in made[0].modules() if isinstance(part, nn.Linear)]
        held.append(sum(part.weight.numel() for part in linears if not part.weight.is_meta))
        quantize(module)

    monkeypatch.setattr(Transformer, "__init__", remembering)
    monkeypatch.setattr(model_module, "quantize", watching)
    model = MusicGen.load(checkpoints["mono"].folder, "cpu", "int8")
    config = model.transformer.config
    layer = 8 * config.width**2 + 2 * config.width * config.feedforward
    assert held == [layer, layer, sum(config.vocabularies) * config.width]
    assert not [part for part in model.transformer.modules() if isinstance(part, nn.Linear)]
    assert sum(isinstance(part, Int8Linear) for part in model.transformer.modules()) == 7 * config.layers + 1


def test_what_is_kept_of_a_pickle_is_t5(
    checkpoints: dict[Kind, Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle is read into memory: the decoder's float weights must not stay there."""
    folder = shutil.copytree(checkpoints["mono"].folder, tmp_path / "tiny")
    pickle_weights(folder)
    weights: dict[str, weakref.ref[Tensor]] = {}
    read = Tensors.read

    def watching(folder: Path) -> Tensors:
        tensors = read(folder)
        weights.update((name, weakref.ref(tensor)) for name, tensor in tensors.by_name.items())
        return tensors

    monkeypatch.setattr(Tensors, "read", watching)
    model = MusicGen.load(folder, "cpu", "int8")
    gc.collect()
    kept = [name for name, weight in weights.items() if weight() is not None]
    assert [name for name in kept if name.startswith("decoder.")] == []
    assert len(kept) > 10
    assert model.condition("techno").conditioning.cross_length == 2


# -- damage -----------------------------------------------------------------------------------------------------------


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def without(name: str) -> Damage:
    return lambda folder: change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if k != name})


def replaced(name: str, tensor: Callable[[Tensor], Tensor]) -> Damage:
    return lambda folder: change_tensors(folder, lambda tensors: tensors | {name: tensor(tensors[name]).contiguous()})


def added(name: str) -> Damage:
    return lambda folder: change_tensors(folder, lambda tensors: tensors | {name: torch.zeros(2)})


def spoiled(value: float) -> Callable[[Tensor], Tensor]:
    def spoil(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[-1] = value
        return tensor

    return spoil


def configured(part: str, **fields: object) -> Damage:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        content = json.loads(path.read_text())
        (content[part] if part else content).update(fields)
        path.write_text(json.dumps(content))

    return change


def written(name: str, content: str) -> Damage:
    return lambda folder: (folder / name).write_text(content) and None


def cut(share: float) -> Damage:
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return change


class Program:
    """Wants to run when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, ("__import__('pathlib').Path('ran').touch()",)


LAYER = "decoder.model.decoder.layers.1."
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json cannot be read"),
    "config is no JSON": (written("config.json", "{"), "config.json is not JSON"),
    "config is a list": (written("config.json", "[]"), "config.json is not of a MusicGen"),
    "config of another model": (configured("", model_type="t5"), "model_type"),
    "config without a decoder": (configured("", decoder=None), "decoder"),
    "width is a word": (configured("decoder", hidden_size="wide"), "hidden_size"),
    "width is negative": (configured("decoder", hidden_size=-1), "hidden_size"),
    "width is huge": (configured("decoder", hidden_size=10**12), "hidden_size"),
    "another width": (configured("decoder", hidden_size=64), "should be"),
    "heads that do not share the width": (configured("decoder", num_attention_heads=5), "heads"),
    "fewer layers": (configured("decoder", num_hidden_layers=1), "which MusicGen has not"),
    "more layers": (configured("decoder", num_hidden_layers=3), "lack decoder.model.decoder.layers.2"),
    "another activation": (configured("decoder", activation_function="relu"), "activation_function"),
    "three codebooks for two channels": (configured("decoder", audio_channels=2, num_codebooks=3), "codebooks"),
    "tokens that the codec has not": (configured("audio_encoder", codebook_size=32), "tokens"),
    "another codec": (configured("audio_encoder", model_type="dac"), "model_type"),
    "another text encoder": (configured("text_encoder", feed_forward_proj="gated-gelu"), "feed_forward_proj"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
    "empty file": (written("model.safetensors", ""), "empty"),
    "no safetensors": (written("model.safetensors", "<html>not found</html>"), "neither a safetensors"),
    "cut in the header": (cut(0.01), "damaged"),
    "cut in the weights": (cut(0.9), "damaged"),
    "a weight is missing": (without(f"{LAYER}fc1.weight"), "lack decoder.model.decoder.layers.1.fc1.weight"),
    "a weight of T5 is missing": (without("text_encoder.shared.weight"), "lack text_encoder.shared.weight"),
    "a weight of the codec is missing": (without("audio_encoder.decoder.layers.0.conv.bias"), "lacks"),
    "a weight too many": (added("decoder.adapter.weight"), "have decoder.adapter.weight, which MusicGen has not"),
    "a weight too many in the codec": (added("audio_encoder.adapter.weight"), "adapter.weight"),
    "a transposed weight": (replaced(f"{LAYER}fc1.weight", lambda w: w.T), "should be"),
    "a weight of integers": (replaced(f"{LAYER}fc1.weight", lambda w: w.to(torch.int32)), "int32"),
    "NaN in the decoder": (replaced(f"{LAYER}fc2.weight", spoiled(float("nan"))), "no number"),
    "infinity in the heads": (replaced("decoder.lm_heads.3.weight", spoiled(float("-inf"))), "no number"),
    "NaN in a projection": (replaced("enc_to_dec_proj.bias", spoiled(float("nan"))), "no number"),
    "NaN in the codec": (replaced("audio_encoder.decoder.layers.0.conv.bias", spoiled(float("nan"))), "no numbers"),
    "a pickle that runs": (lambda folder: pickle_weights(folder, {"weight": Program()}), "code"),
    "a pickle of a list": (lambda folder: pickle_weights(folder, [torch.zeros(1)]), "something else than tensors"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_said_in_a_line(checkpoints: dict[Kind, Checkpoint], tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(checkpoints["mono"].folder, tmp_path / "musicgen-tiny")
    damage, told = DAMAGES[name]
    damage(folder)
    with pytest.raises(ModelDamaged) as caught:
        MusicGen.load(folder, "cpu")
    message = str(caught.value)
    assert told in message
    assert "\n" not in message and "musicgen-tiny" in message
    assert not Path("ran").exists()


def test_nan_in_t5_is_found_when_words_are_read(checkpoints: dict[Kind, Checkpoint], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["mono"].folder, tmp_path / "tiny")
    replaced("text_encoder.encoder.final_layer_norm.weight", spoiled(float("nan")))(folder)
    model = MusicGen.load(folder, "cpu")
    with pytest.raises(ModelDamaged, match=r"text_encoder\.encoder\.final_layer_norm\.weight .* no number"):
        model.condition("techno")


def index_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model.safetensors.index.json").read_text())  # type: ignore[no-any-return]


SHARDS: dict[str, tuple[Callable[[Path, dict[str, Any]], None], str]] = {
    "a shard is missing": (lambda folder, _: (folder / "model-00002-of-00003.safetensors").unlink(), "is missing"),
    "points out of the folder": (
        lambda _, index: index["weight_map"].update(x="../x.safetensors"),
        "out of its folder",
    ),
    "names what no shard holds": (
        lambda _, index: index["weight_map"].update(x="model-00001-of-00003.safetensors"),
        "does not hold x",
    ),
    "forgets a shard": (
        lambda _, index: index.update(weight_map={k: v for k, v in index["weight_map"].items() if "00003-of" not in v}),
        "lack",
    ),
    "says nothing": (lambda _, index: index.pop("weight_map"), "does not say"),
}


@pytest.mark.parametrize("name", SHARDS)
def test_an_index_that_does_not_fit(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "musicgen-tiny"
    tiny_musicgen.write(folder, shards=3)
    change, told = SHARDS[name]
    index = index_of(folder)
    change(folder, index)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelDamaged) as caught:
        MusicGen.load(folder, "cpu")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"config\.json cannot be read"):
        read_settings(tmp_path / "nowhere")


def test_a_device_that_is_not_there(checkpoints: dict[Kind, Checkpoint]) -> None:
    with pytest.raises(ModelUnusable, match="cuda:77"):
        MusicGen.load(checkpoints["mono"].folder, "cuda:77")
