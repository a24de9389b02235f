"""The three layouts that EnCodec's weights are published in, brought into one.

Each function here takes what a file holds and gives a `Published`: the tensors under the names of Hugging Face's
`EncodecModel`, weight norm still apart (`…weight_g`, `…weight_v`), and the settings under the names of its
config.json. What only training needs (the codebooks' moving averages) is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from torch import Tensor

from resonantgen.codecs.tensor_checks import Tensors
from resonantgen.errors import ModelDamaged, ModelUnusable

Layout = Literal["encodec", "huggingface", "audiocraft"]

Width = Annotated[int, msgspec.Meta(ge=1, le=1 << 12)]
Bandwidth = Annotated[float, msgspec.Meta(gt=0, le=1000)]
Few = Annotated[int, msgspec.Meta(ge=1, le=16)]

_TRAINING_ONLY = re.compile(r"quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_REFERENCE_DEPTH = 8


class PublishedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of Hugging Face's config.json that matter, with its defaults: those of the 24 kHz model."""

    target_bandwidths: Annotated[tuple[Bandwidth, ...], msgspec.Meta(min_length=1)] = (1.5, 3.0, 6.0, 12.0, 24.0)
    sampling_rate: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 24_000
    audio_channels: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    normalize: bool = False
    chunk_length_s: float | None = None
    overlap: float | None = None
    hidden_size: Width = 128
    num_filters: Width = 32
    num_residual_layers: Few = 1
    upsampling_ratios: Annotated[tuple[Width, ...], msgspec.Meta(min_length=1, max_length=8)] = (8, 5, 4, 2)
    norm_type: Literal["weight_norm", "time_group_norm"] = "weight_norm"
    kernel_size: Width = 7
    last_kernel_size: Width = 7
    residual_kernel_size: Width = 3
    dilation_growth_rate: Width = 2
    use_causal_conv: bool = True
    pad_mode: Literal["reflect", "constant", "replicate"] = "reflect"
    compress: Width = 2
    num_lstm_layers: Annotated[int, msgspec.Meta(ge=0, le=16)] = 2
    trim_right_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    codebook_size: Annotated[int, msgspec.Meta(ge=2, le=1 << 16)] = 1024
    codebook_dim: Width | None = None
    use_conv_shortcut: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """Weights and settings of a checkpoint, whatever layout it came in."""

    layout: Layout
    config: PublishedConfig
    tensors: Tensors


# -- Hugging Face -----------------------------------------------------------------------------------------------------


def from_huggingface(tensors: Tensors, config: Mapping[str, Any], prefix: str = "", source: str = "it") -> Published:
    """`EncodecModel`: the tensors whose names begin with `prefix`, and config.json.

    In a MusicGen checkpoint the prefix is "audio_encoder." and the settings are `config["audio_encoder"]`. Weight norm
    comes as `weight_g` and `weight_v`, as its successor's `parametrizations.weight.original0` and `original1`, or
    folded already. Raises ModelDamaged, about `source`.
    """
    own = {_plain_name(name[len(prefix) :]): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return Published("huggingface", read_config(config, source), _needed(own))


def read_config(fields: Mapping[str, Any], source: str) -> PublishedConfig:
    """Raises ModelDamaged for settings that are missing, of the wrong type or impossible."""
    try:
        return msgspec.convert(dict(fields), PublishedConfig)
    except msgspec.ValidationError as error:
        raise ModelDamaged(f"The settings of {source} are not EnCodec's: {error}.") from None


# -- the `encodec` package --------------------------------------------------------------------------------------------


def from_encodec(tensors: Tensors, source: str = "it") -> Published:
    """The `encodec` package's `.th`, which has no settings: sizes are read from the tensors' shapes.

    The package has two models: a causal one with weight norm (24 kHz), and one with group norm that normalises segments
    of a second (48 kHz, stereo). Raises ModelDamaged, about `source`.
    """
    own = _needed({_encodec_name(name): tensor for name, tensor in tensors.items()})
    try:
        sizes = _sizes(own)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        raise ModelDamaged(f"{source} is no EnCodec model: its tensors have other names or shapes.") from None
    if any(".norm." in name for name in own):
        model: dict[str, Any] = {
            "sampling_rate": 48_000,
            "use_causal_conv": False,
            "norm_type": "time_group_norm",
            "normalize": True,
            "chunk_length_s": 1.0,
            "overlap": 0.01,
        }
        offered = [3.0, 6.0, 12.0, 24.0]
    else:
        model, offered = {"sampling_rate": 24_000}, [1.5, 3.0, 6.0, 12.0, 24.0]
    codebook_kbps = _codebook_kbps(model["sampling_rate"], sizes["upsampling_ratios"], sizes["codebook_size"])
    whole = _codebooks(own) * codebook_kbps
    bandwidths = [kbps for kbps in offered if codebook_kbps <= kbps <= whole + 1e-9]
    if not bandwidths or abs(bandwidths[-1] - whole) >= codebook_kbps:
        bandwidths.append(whole)
    return Published("encodec", read_config({**model, **sizes, "target_bandwidths": bandwidths}, source), own)


def _sizes(tensors: Tensors) -> dict[str, Any]:
    """The settings that show in shapes; tensors have Hugging Face's names."""
    convolutions = {name: tensor for name, tensor in tensors.items() if name.endswith((".weight", ".weight_v"))}
    encoder = [
        tensor
        for name, tensor in sorted(convolutions.items(), key=lambda item: _place(item[0]))
        if re.fullmatch(r"encoder\.layers\.\d+\.conv\.weight(_v)?", name)
    ]
    first, *downsampling, last = encoder
    blocks = {
        name: tensor for name, tensor in convolutions.items() if name.startswith("encoder.") and ".block.1.conv" in name
    }
    inner = min(blocks.items(), key=lambda item: _place(item[0]))[1]
    codebook = tensors["quantizer.layers.0.codebook.embed"]
    layers = {
        name.rpartition("_l")[2] for name in tensors if name.startswith("encoder.") and ".lstm.weight_ih_l" in name
    }
    return {
        "audio_channels": first.shape[1],
        "num_filters": first.shape[0],
        "kernel_size": first.shape[2],
        "upsampling_ratios": [tensor.shape[2] // 2 for tensor in reversed(downsampling)],
        "hidden_size": last.shape[0],
        "last_kernel_size": last.shape[2],
        "num_residual_layers": len(blocks) // len(downsampling),
        "residual_kernel_size": inner.shape[2],
        "compress": inner.shape[1] // inner.shape[0],
        "num_lstm_layers": len(layers),
        "use_conv_shortcut": any(".shortcut." in name for name in tensors),
        "codebook_size": codebook.shape[0],
        "codebook_dim": codebook.shape[1],
    }


def _place(name: str) -> int:
    """The number of a layer: 13 of "encoder.layers.13.conv.weight_v"."""
    return int(name.split(".")[2])


# -- audiocraft -------------------------------------------------------------------------------------------------------


def is_audiocraft(content: object) -> bool:
    """Whether it is one of audiocraft's exported checkpoints."""
    return isinstance(content, Mapping) and ("xp.cfg" in content or "pretrained" in content)


def from_audiocraft(package: Mapping[str, Any], source: str = "it") -> Published:
    """audiocraft's `compression_state_dict.bin`: the state under "best_state", the settings as YAML under "xp.cfg".

    Raises ModelDamaged, and ModelUnusable for settings that no published model has.
    """
    if "pretrained" in package:
        raise ModelUnusable(
            f"{source} holds no weights: it only says that they are those of {package['pretrained']}. Use those."
        )
    state = package.get("best_state")
    if not isinstance(state, Mapping) or not is_state(state):
        raise ModelDamaged(f"{source} holds no weights (best_state).")
    settings = _Settings(_yaml(package["xp.cfg"], source), source)
    own = _needed({_encodec_name(name): tensor for name, tensor in state.items()})
    return Published("audiocraft", read_config(_audiocraft_fields(settings, source), source), own)


def _audiocraft_fields(settings: _Settings, source: str) -> dict[str, Any]:
    """audiocraft's settings under Hugging Face's names."""
    if settings.get("compression_model", "encodec") != "encodec" or settings.get("encodec.autoencoder") != "seanet":
        raise ModelUnusable(f"{source} is no EnCodec model with SEANet. Use one that is.")
    plain = {"activation": "ELU", "activation_params": {"alpha": 1.0}, "decoder.final_activation": None}
    for name, value in plain.items():
        if settings.get(f"seanet.{name}", value) != value:
            raise ModelUnusable(f"{source} has {name} {settings.get(f'seanet.{name}')}; EnCodec has {value}.")
    for side in ("encoder", "decoder"):
        other = set(settings.get(f"seanet.{side}", None) or {}) - {
            "trim_right_ratio",
            "final_activation",
            "final_activation_params",
        }
        if other:
            raise ModelUnusable(
                f"{source} has settings for its {side} alone ({', '.join(sorted(other))}). EnCodec has none."
            )
    rate, ratios = settings.get("encodec.sample_rate"), settings.get("seanet.ratios")
    codebooks, cardinality = settings.get("rvq.n_q"), settings.get("rvq.bins")
    try:
        codebook_kbps = _codebook_kbps(rate, ratios, cardinality)
        # One that was trained with codebooks dropped can do with fewer of them.
        halves = [1 << n for n in range(codebooks.bit_length()) if 1 << n < codebooks]
        counts = [*(halves if settings.get("rvq.q_dropout", False) else []), codebooks]
        bandwidths = [count * codebook_kbps for count in counts]
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        raise ModelDamaged(f"The settings of {source} are not EnCodec's: rates and sizes are no numbers.") from None
    return {
        "sampling_rate": rate,
        "audio_channels": settings.get("encodec.channels"),
        "normalize": settings.get("encodec.renormalize", False),
        "target_bandwidths": bandwidths,
        "hidden_size": settings.get("seanet.dimension"),
        "num_filters": settings.get("seanet.n_filters"),
        "num_residual_layers": settings.get("seanet.n_residual_layers"),
        "upsampling_ratios": ratios,
        "norm_type": settings.get("seanet.norm"),
        "kernel_size": settings.get("seanet.kernel_size"),
        "last_kernel_size": settings.get("seanet.last_kernel_size"),
        "residual_kernel_size": settings.get("seanet.residual_kernel_size"),
        "dilation_growth_rate": settings.get("seanet.dilation_base"),
        "use_causal_conv": settings.get("encodec.causal"),
        "pad_mode": settings.get("seanet.pad_mode"),
        "compress": settings.get("seanet.compress"),
        "num_lstm_layers": settings.get("seanet.lstm"),
        "trim_right_ratio": settings.get("seanet.decoder.trim_right_ratio", 1.0),
        "codebook_size": cardinality,
        "use_conv_shortcut": not settings.get("seanet.true_skip"),
    }


class _Settings:
    """A tree of settings, in which "${encodec.causal}" stands for the value there, as OmegaConf has it."""

    def __init__(self, tree: Mapping[str, Any], source: str) -> None:
        self._tree, self._source = tree, source

    def get(self, name: str, *default: Any) -> Any:
        """The value at a dotted name. Raises ModelDamaged where there is none, and no default."""
        for _ in range(_REFERENCE_DEPTH):
            value: Any = self._tree
            for part in name.split("."):
                if not isinstance(value, Mapping) or part not in value:
                    if default:
                        return default[0]
                    raise ModelDamaged(f"The settings of {self._source} lack {name}.")
                value = value[part]
            reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
            if reference is None:
                return value
            name = reference[1]
        raise ModelDamaged(f"The settings of {self._source} go in circles at {name}.")


def _yaml(text: object, source: str) -> Mapping[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise ModelUnusable(f"{source} has its settings as YAML. Read them with: pip install pyyaml") from None
    try:
        tree = yaml.safe_load(text) if isinstance(text, str) else None
    except (yaml.YAMLError, RecursionError, ValueError):
        tree = None
    if not isinstance(tree, Mapping):
        raise ModelDamaged(f"The settings of {source} (xp.cfg) cannot be read.")
    return tree


# -- what they share --------------------------------------------------------------------------------------------------


def is_state(content: object) -> bool:
    """Whether it is tensors by name, and nothing else."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
    )


def has_names_of_encodec(names: Iterable[str]) -> bool:
    """Whether tensors are named as the `encodec` package, and audiocraft, name them."""
    return any(name.startswith("encoder.model.") for name in names)


def has_names_of_huggingface(names: Iterable[str], prefix: str = "") -> bool:
    """Whether tensors are named as Hugging Face names them."""
    return any(name.startswith(f"{prefix}encoder.layers.") for name in names)


def _encodec_name(name: str) -> str:
    """Hugging Face's name of a tensor of the `encodec` package or of audiocraft, whose names are the same."""
    name = re.sub(r"^(encoder|decoder)\.model\.", r"\1.layers.", name)
    name = re.sub(r"\.(?:conv|convtr)\.(?:conv|convtr)\.", ".conv.", name)
    name = re.sub(r"\.(?:conv|convtr)\.norm\.", ".norm.", name)
    name = re.sub(r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook.", name)
    return _plain_name(name)


def _plain_name(name: str) -> str:
    """Weight norm's two tensors under their older names."""
    name = re.sub(r"\.parametrizations\.weight\.original0$", ".weight_g", name)
    return re.sub(r"\.parametrizations\.weight\.original1$", ".weight_v", name)


def _needed(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not _TRAINING_ONLY.fullmatch(name)}


def _codebooks(tensors: Tensors) -> int:
    return sum(1 for name in tensors if re.fullmatch(r"quantizer\.layers\.\d+\.codebook\.embed", name))


def _codebook_kbps(sample_rate: int, ratios: Iterable[int], cardinality: int) -> float:
    """What one codebook takes, in kbit/s."""
    return math.ceil(sample_rate / math.prod(ratios)) * math.ceil(math.log2(cardinality)) / 1000
