"""The two reference implementations of EnCodec with random weights, and ours with the same.

`encodec` imports torchaudio, which has no build for this machine: a stand-in is enough, for only its file functions
use it. The seed decides the weights. Codebooks are scaled to the vectors that the encoder makes of `sound`, and the
later ones are finer, so that every codebook has a say.
"""

from __future__ import annotations

import math
import sys
import warnings
from itertools import chain
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

there = sys.modules.get("torchaudio")
sys.modules["torchaudio"] = ModuleType("torchaudio")
import encodec  # noqa: E402
from encodec.modules import SEANetDecoder, SEANetEncoder  # noqa: E402
from encodec.quantization import ResidualVectorQuantizer  # noqa: E402

sys.modules["torchaudio"] = there  # type: ignore[assignment]  # None: transformers, which looks for it, finds none
from transformers import EncodecConfig as HuggingFaceConfig  # noqa: E402
from transformers import EncodecModel as HuggingFaceModel  # noqa: E402

from resonantgen.codecs.encodec import config as ours  # noqa: E402
from resonantgen.codecs.encodec.config import EncodecConfig  # noqa: E402
from resonantgen.codecs.encodec.model import Encodec  # noqa: E402

Model = TypeVar("Model", bound=nn.Module)


def huggingface(config: EncodecConfig, seed: int = 0) -> HuggingFaceModel:
    """The `transformers` model of a configuration."""
    theirs = {theirs: getattr(config, name) for name, theirs in ours._HUGGINGFACE.items()}
    norm = "time_group_norm" if config.time_group_norm else "weight_norm"
    model = HuggingFaceModel(HuggingFaceConfig(**theirs, codebook_dim=config.dimension, norm_type=norm)).eval()
    return randomize(model, config, seed)


def package(config: EncodecConfig, seed: int = 0) -> encodec.EncodecModel:
    """The `encodec` package's model of a configuration."""
    shape: dict[str, Any] = {
        "channels": config.channels,
        "dimension": config.dimension,
        "n_filters": config.filters,
        "n_residual_layers": config.residual_layers,
        "ratios": list(config.ratios),
        "norm": "time_group_norm" if config.time_group_norm else "weight_norm",
        "kernel_size": config.kernel_size,
        "last_kernel_size": config.last_kernel_size,
        "residual_kernel_size": config.residual_kernel_size,
        "dilation_base": config.dilation_growth,
        "causal": config.causal,
        "pad_mode": config.padding.value,
        "true_skip": not config.conv_shortcut,
        "compress": config.compress,
        "lstm": config.lstm_layers,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch, on the weight normalisation that it uses
        model = encodec.EncodecModel(
            SEANetEncoder(**shape),
            SEANetDecoder(**shape, trim_right_ratio=config.trim_right),
            ResidualVectorQuantizer(dimension=config.dimension, n_q=config.codebooks, bins=config.cardinality),
            list(config.bandwidths_kbps),
            config.sample_rate,
            config.channels,
            normalize=config.normalize,
            segment=config.segment_seconds,
            overlap=config.overlap,
        ).eval()
    return randomize(model, config, seed)


def randomize(model: Model, config: EncodecConfig, seed: int) -> Model:
    """Weights that keep signals at about their size through the layers, and codebooks that fit."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=random)
        if name.endswith(("weight_g", "original0", "norm.weight")):
            parameter.data = 1.0 + 0.1 * noise
        elif name.endswith(("weight_v", "original1")):
            parameter.data = noise
        elif "lstm" in name:
            parameter.data = noise / math.sqrt(parameter.shape[-1])
        elif "bias" in name:
            parameter.data = 0.1 * noise
        else:
            parameter.data = noise / math.sqrt(math.prod(parameter.shape[1:]))
    with torch.no_grad():
        vectors = model.encoder(sound(config, config.sample_rate // 2, seed))
        deviation, middle = vectors.std(), vectors.mean(dim=(0, 2))
        for number, codebook in enumerate(codebooks_of(model)):
            noise = torch.randn(codebook.shape, generator=random)
            codebook.copy_(noise * deviation * 0.85**number + (middle if number == 0 else 0))
    return model


def sound(config: EncodecConfig, samples: int, seed: int = 0, batch: int = 1) -> Tensor:
    """Chords with noise, [batch, C, samples], between -1 and 1."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / config.sample_rate
    pitches = 55 * 2 ** (torch.rand(batch, config.channels, 5, generator=random) * 5)
    tones = torch.sin(2 * math.pi * pitches[..., None] * time).mean(dim=2)
    return 0.6 * tones + 0.1 * torch.randn(batch, config.channels, samples, generator=random).clamp(-4, 4)


def same_weights(reference: nn.Module, config: EncodecConfig) -> Encodec:
    """Our model with a reference's weights: layers are paired in the order in which they come."""
    model = Encodec(config)
    with torch.no_grad():
        for mine, theirs in zip(weighted(model), weighted(reference), strict=True):
            for name, weight in weights_of(theirs).items():
                mine.get_parameter(name).copy_(weight)
            assert len(list(mine.parameters(recurse=False))) == len(weights_of(theirs))
        model.quantizer.codebooks.copy_(torch.stack(codebooks_of(reference)))
    return model.eval()


def weighted(model: nn.Module) -> list[nn.Module]:
    """Its convolutions, norms and LSTMs, in order."""
    nets = (model.encoder_net, model.decoder_net) if isinstance(model, Encodec) else (model.encoder, model.decoder)
    kinds = (
        "Conv1d",
        "ConvTranspose1d",
        "GroupNorm",
        "LSTM",
        "Lstm",
        "ParametrizedConv1d",
        "ParametrizedConvTranspose1d",
    )
    return [module for module in chain(*(net.modules() for net in nets)) if type(module).__name__ in kinds]


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Its parameters by name, with weight normalisation folded in."""
    weights = dict(module.named_parameters(recurse=False))
    if "weight_g" in weights:
        direction = weights.pop("weight_v")
        weights["weight"] = direction * (weights.pop("weight_g") / direction.norm(dim=(1, 2), keepdim=True))
    elif hasattr(module, "parametrizations"):
        weights["weight"] = module.weight
    return weights


def codebooks_of(reference: nn.Module) -> list[Tensor]:
    """The vectors of each codebook, [N, C]."""
    layers = reference.quantizer.vq.layers if hasattr(reference.quantizer, "vq") else reference.quantizer.layers
    return [getattr(layer, "_codebook", layer.codebook).embed for layer in layers]
