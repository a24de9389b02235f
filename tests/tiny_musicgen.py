"""MusicGen checkpoints with random weights, in Hugging Face layout: tiny, of the three kinds that are published.

They are made by `transformers`, which is the reference, so a folder from here loads there and, if we read the layout
correctly, here. Their sound is noise. Their sizes are tiny, but for the codec's hop of 640 frames at 32 kHz: what
depends on the frame rate (the look-ahead, the bars) is as in the published models.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

# `transformers` imports these where they are installed, and fails over a torchaudio whose build does not fit torch's
UNNEEDED = [name for name in ("torchaudio", "torchao") if name not in sys.modules]
sys.modules |= dict.fromkeys(UNNEEDED)  # type: ignore[arg-type]

from transformers import (  # noqa: E402
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyForConditionalGeneration,
    T5Config,
)
from transformers import logging as transformers_logging  # noqa: E402
from transformers.models.musicgen_melody.configuration_musicgen_melody import MusicgenMelodyDecoderConfig  # noqa: E402

for name in UNNEEDED:
    del sys.modules[name]
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

Kind: TypeAlias = Literal["mono", "stereo", "melody"]
Reference: TypeAlias = MusicgenForConditionalGeneration | MusicgenMelodyForConditionalGeneration

KINDS: tuple[Kind, ...] = ("mono", "stereo", "melody")
SAMPLE_RATE = 32000
FRAME_SAMPLES = 640
CODES = 64  # tokens of a codebook, apart from the special one
CHROMA_FRAMES = 12  # of the melody model: 235 in the published one


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A MusicGen in Hugging Face layout, and the same model in `transformers`."""

    kind: Kind
    folder: Path
    reference: Reference


PIECES = ("techno", "house", "jazz", "dark", "warm", "drums", "bass", "loop", "bpm", "minor", "major", "in", "only")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.#:-/"


def write(
    folder: Path,
    kind: Kind = "mono",
    *,
    seed: int = 0,
    shards: int = 1,
    published_names: bool = False,
    **decoder: int,
) -> Reference:
    """Write a checkpoint into `folder`; what is returned is the same model, in `transformers`.

    `shards` splits the weights into that many files with an index. `published_names` gives the tensors the names
    that they have in the published files, which are older than this `transformers`: weight norm as weight_g and
    weight_v, and the table of positions. `decoder` replaces sizes of the decoder: num_hidden_layers=24, …
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = build(kind, seed=seed, **decoder)
    model.save_pretrained(folder)
    write_preprocessor(folder, kind)
    write_tokenizer(folder)
    if published_names:
        rename_as_published(folder, model)
    if shards > 1:
        split(folder, shards)
    return model


def build(kind: Kind = "mono", *, seed: int = 0, **decoder: int) -> Reference:
    """A model whose greedy choices vary from step to step and differ clearly from the second best."""
    stereo = kind == "stereo"
    sizes = {
        "vocab_size": CODES,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "num_codebooks": 8 if stereo else 4,
        **decoder,
    }
    special = sizes["vocab_size"]
    tokens = {"pad_token_id": special, "bos_token_id": special, "audio_channels": 2 if stereo else 1}
    text, audio = t5_config(), encodec_config(sizes["vocab_size"])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Reference
        if kind == "melody":
            model = MusicgenMelodyForConditionalGeneration(
                MusicgenMelodyConfig(
                    text_encoder=text,
                    audio_encoder=audio,
                    decoder=MusicgenMelodyDecoderConfig(**sizes, **tokens),
                    chroma_length=CHROMA_FRAMES,
                )
            )
        else:
            model = MusicgenForConditionalGeneration(
                MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=MusicgenDecoderConfig(**sizes, **tokens))
            )
        liven(model)
    settings = model.generation_config
    settings.pad_token_id = settings.bos_token_id = settings.decoder_start_token_id = special
    settings.do_sample, settings.guidance_scale, settings.max_length = True, 3.0, 1500
    return model.eval()


def t5_config() -> T5Config:
    return T5Config(
        vocab_size=len(PIECES) + len(LETTERS) + 4,
        d_model=24,
        d_kv=6,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
    )


def encodec_config(codes: int = CODES) -> EncodecConfig:
    """As facebook/encodec_32khz, but for the widths: its bandwidth asks for 4 codebooks."""
    return EncodecConfig(
        sampling_rate=SAMPLE_RATE,
        audio_channels=1,
        target_bandwidths=[2.2],
        upsampling_ratios=[8, 5, 4, 4],
        num_filters=4,
        hidden_size=16,
        codebook_size=codes,
        codebook_dim=16,
        use_causal_conv=False,
        use_conv_shortcut=False,
        norm_type="weight_norm",
    )


@torch.no_grad()
def liven(model: Reference) -> None:
    """Random weights as large as a trained model's: `transformers` starts so small that nothing would show."""
    for name, weight in model.named_parameters():
        if name.startswith("audio_encoder."):
            if name.endswith("weight.original0"):  # of weight norm: how strong the filters are
                weight.mul_(1.6)
            continue
        if name.endswith(("norm.weight", "norm.bias")):
            torch.nn.init.normal_(weight, mean=float(name.endswith("weight")), std=0.1)
        elif "embed_tokens" in name or "shared" in name:
            torch.nn.init.normal_(weight, std=1.0)
        elif weight.ndim == 2:
            # Words stay the same while they are attended to: if they were all that counted, so would greedy tokens
            gain = 4.0 if ".lm_heads." in name else 0.3 if "encoder_attn.out_proj" in name else 1.0
            torch.nn.init.normal_(weight, std=gain / math.sqrt(weight.shape[1]))
        elif name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.1)
    for name, buffer in model.named_buffers():
        if name.endswith("codebook.embed"):  # zeros otherwise
            torch.nn.init.normal_(buffer, std=1.0)


def write_preprocessor(folder: Path, kind: Kind) -> None:
    common = {"sampling_rate": SAMPLE_RATE, "padding_side": "left", "padding_value": 0.0, "return_attention_mask": True}
    if kind == "melody":
        own: dict[str, Any] = {
            "feature_extractor_type": "MusicgenMelodyFeatureExtractor",
            "feature_size": 12,
            "num_chroma": 12,
            "n_fft": 16384,
            "hop_length": 4096,
            "chunk_length": 30,
            "n_samples": 30 * SAMPLE_RATE,
            "stem_indices": [3, 2],
        }
    else:
        own = {
            "feature_extractor_type": "EncodecFeatureExtractor",
            "feature_size": 2 if kind == "stereo" else 1,
            "chunk_length_s": None,
            "overlap": None,
        }
    (folder / "preprocessor_config.json").write_text(json.dumps(common | own, indent=2), encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """A unigram tokenizer like T5's: words begin with "▁", unknown letters are <unk>, and </s> comes last."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in PIECES]
    pieces += [(letter, -5.0) for letter in LETTERS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "extra_ids": 0, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def rename_as_published(folder: Path, model: Reference) -> None:
    path = folder / "model.safetensors"
    tensors = {published_name(name): tensor for name, tensor in load_file(path).items()}
    tensors["decoder.model.decoder.embed_positions.weights"] = (
        model.decoder.model.decoder.embed_positions.weights.clone()
    )
    save_file(tensors, path, metadata={"format": "pt"})


def published_name(name: str) -> str:
    """>>> published_name("audio_encoder.decoder.layers.0.conv.parametrizations.weight.original0")
    'audio_encoder.decoder.layers.0.conv.weight_g'
    """
    match = re.fullmatch(r"(.*)\.parametrizations\.weight\.original([01])", name)
    return f"{match[1]}.weight_{'gv'[int(match[2])]}" if match else name


def split(folder: Path, shards: int) -> None:
    """One model.safetensors becomes `shards` files of about as many tensors, and an index."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    names = sorted(tensors)
    index: dict[str, str] = {}
    for number in range(shards):
        part = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        held = names[number::shards]
        index |= dict.fromkeys(held, part)
        save_file({name: tensors[name] for name in held}, folder / part, metadata={"format": "pt"})
    size = sum(tensor.nbytes for tensor in tensors.values())
    content = {"metadata": {"total_size": size}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
