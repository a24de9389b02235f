"""Random EnCodec models, small ones, saved as the published ones are: each layout's own reference gives the names.

audiocraft is not installed. Its names are those of the `encodec` package, its settings YAML as OmegaConf writes it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from encodec_reference import huggingface, package
from resonantgen.codecs.encodec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, MUSICGEN_32KHZ, EncodecConfig

# The published models with fewer channels and codebooks: quick, and their rates are as they were.
_SMALL: dict[str, Any] = {"dimension": 8, "filters": 2}
SMALL_24KHZ = replace(ENCODEC_24KHZ, **_SMALL, bandwidths_kbps=(1.5, 3.0, 6.0))
SMALL_48KHZ = replace(ENCODEC_48KHZ, **_SMALL, bandwidths_kbps=(3.0, 6.0))
SMALL_32KHZ = replace(MUSICGEN_32KHZ, **_SMALL)


def save_encodec(config: EncodecConfig, path: Path, seed: int = 0) -> Path:
    """The `encodec` package's `.th`."""
    torch.save(package(config, seed).state_dict(), path)
    return path


def save_huggingface(config: EncodecConfig, folder: Path, seed: int = 0, old_names: bool = False) -> Path:
    """A folder as `save_pretrained` makes it. `old_names`: weight norm as published before torch renamed it."""
    model = huggingface(config, seed)
    with_weights_of(model, package(config, seed))
    model.save_pretrained(folder)
    if old_names:
        save_file(old_weight_norm(model.state_dict()), folder / "model.safetensors", {"format": "pt"})
    return folder


def save_musicgen(config: EncodecConfig, folder: Path, seed: int = 0, shards: int = 1) -> Path:
    """The codec inside a MusicGen checkpoint, with something of the other parts."""
    folder.mkdir()
    model = huggingface(config, seed)
    with_weights_of(model, package(config, seed))
    tensors = {f"audio_encoder.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    tensors |= {"decoder.lm_heads.0.weight": torch.zeros(3, 3), "text_encoder.shared.weight": torch.zeros(3, 3)}
    names = sorted(tensors)
    for number in range(shards):
        own = {name: tensors[name] for name in names[number::shards]}
        file = "model.safetensors" if shards == 1 else f"model-{number + 1:05}-of-{shards:05}.safetensors"
        save_file(own, folder / file, {"format": "pt"})
    document = {"model_type": "musicgen", "audio_encoder": model.config.to_dict(), "decoder": {}, "text_encoder": {}}
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def save_audiocraft(config: EncodecConfig, path: Path, seed: int = 0) -> Path:
    """audiocraft's exported `compression_state_dict.bin`."""
    torch.save(audiocraft_package(config, seed), path)
    return path


def audiocraft_package(config: EncodecConfig, seed: int = 0) -> dict[str, Any]:
    """What audiocraft's export gives to `torch.save`."""
    return {
        "best_state": OrderedDict(package(config, seed).state_dict()),
        "xp.cfg": audiocraft_yaml(config),
        "version": "1.0.0",
        "exported": True,
    }


def audiocraft_yaml(config: EncodecConfig) -> str:
    """The part of a training run's settings that is about the model, with OmegaConf's references."""
    return f"""
device: cuda
sample_rate: {config.sample_rate}
channels: {config.channels}
solver: compression
compression_model: encodec
encodec:
  autoencoder: seanet
  quantizer: rvq
  sample_rate: ${{sample_rate}}
  channels: ${{channels}}
  causal: {str(config.causal).lower()}
  renormalize: {str(config.normalize).lower()}
seanet:
  dimension: {config.dimension}
  channels: ${{channels}}
  causal: ${{encodec.causal}}
  n_filters: {config.filters}
  n_residual_layers: {config.residual_layers}
  ratios:
{chr(10).join(f"  - {ratio}" for ratio in config.ratios)}
  activation: ELU
  activation_params:
    alpha: 1.0
  norm: weight_norm
  norm_params: {{}}
  kernel_size: {config.kernel_size}
  residual_kernel_size: {config.residual_kernel_size}
  last_kernel_size: {config.last_kernel_size}
  dilation_base: {config.dilation_growth}
  pad_mode: {config.padding.value}
  true_skip: {str(not config.conv_shortcut).lower()}
  compress: {config.compress}
  lstm: {config.lstm_layers}
  disable_norm_outer_blocks: 0
  decoder:
    trim_right_ratio: {config.trim_right}
    final_activation: null
    final_activation_params: null
  encoder: {{}}
rvq:
  n_q: {config.codebooks}
  q_dropout: false
  bins: {config.cardinality}
  decay: 0.99
"""


def with_weights_of(model: nn.Module, source: nn.Module) -> None:
    """Give one reference's model the other's weights: within each part, both list them in the same order."""
    state: dict[str, Tensor] = {}
    for part in ("encoder.", "decoder.", "quantizer."):
        own = [name for name in model.state_dict() if name.startswith(part)]
        theirs = [tensor for name, tensor in source.state_dict().items() if name.startswith(part)]
        state |= dict(zip(own, theirs, strict=True))
    model.load_state_dict(state)


def old_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names that torch's first weight norm gave."""
    renamed = {
        name.replace(".parametrizations.weight.original0", ".weight_g").replace(
            ".parametrizations.weight.original1", ".weight_v"
        ): tensor.clone()
        for name, tensor in state.items()
    }
    assert any(name.endswith("weight_g") for name in renamed)
    return renamed
