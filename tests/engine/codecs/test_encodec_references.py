"""EnCodec against both reference implementations, with random weights: the same codes, and sound within 1e-5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import encodec_reference as reference
from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.base import Codes
from resonantgen.codecs.convolution import Padding
from resonantgen.codecs.encodec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, MUSICGEN_32KHZ, EncodecConfig
from resonantgen.codecs.encodec.model import Encodec

OF_24, OF_32, OF_48 = (replace(config, filters=4) for config in (ENCODEC_24KHZ, MUSICGEN_32KHZ, ENCODEC_48KHZ))
ODD = replace(
    OF_24,
    name="odd",
    filters=4,
    dimension=12,
    ratios=(3, 2),
    residual_layers=2,
    kernel_size=5,
    last_kernel_size=3,
    lstm_layers=1,
    trim_right=0.4,
    conv_shortcut=False,
    cardinality=64,
    bandwidths_kbps=(24.0, 96.0),
)
CONFIGS = {
    "24khz": OF_24,
    "32khz": OF_32,
    "48khz": OF_48,
    "odd": ODD,
    "odd-ahead": replace(ODD, causal=False, trim_right=1.0, padding=Padding.ZERO),
    "odd-replicate": replace(ODD, padding=Padding.REPLICATE),
    "24khz-real-size": ENCODEC_24KHZ,
}
SAMPLES = (1, 319, 2 * 640, 7_345)


@torch.inference_mode()
def of_huggingface(model: Any, x: Tensor, bandwidth: float) -> tuple[Codes, Tensor]:
    encoded = model.encode(x, bandwidth=bandwidth)
    frames = list(encoded.audio_codes)
    if encoded.last_frame_pad_length:
        frames[-1] = frames[-1][..., : -encoded.last_frame_pad_length]
    scales = None if encoded.audio_scales[0] is None else torch.cat(encoded.audio_scales, dim=1)
    (sound,) = model.decode(
        encoded.audio_codes,
        encoded.audio_scales,
        last_frame_pad_length=encoded.last_frame_pad_length,
        return_dict=False,
    )
    return Codes(torch.cat(frames, dim=-1), scales), sound


@torch.inference_mode()
def of_package(model: Any, x: Tensor, bandwidth: float) -> tuple[Codes, Tensor]:
    model.set_target_bandwidth(bandwidth)
    frames = model.encode(x)
    scales = None if frames[0][1] is None else torch.cat([scale for _, scale in frames], dim=1)
    return Codes(torch.cat([codes for codes, _ in frames], dim=-1), scales), model.decode(frames)


REFERENCES = {"transformers": (reference.huggingface, of_huggingface), "encodec": (reference.package, of_package)}


def check(mine: Encodec, theirs: Any, run: Any, samples: int, bandwidth: float) -> None:
    config = mine.config
    x = reference.sound(config, samples, seed=samples, batch=2)
    expected, sound = run(theirs, x, bandwidth)
    codes = mine.encode(x, codebooks_at(config, bandwidth))
    assert torch.equal(codes.indices, expected.indices)
    if expected.scales is None:
        assert codes.scales is None
    else:
        torch.testing.assert_close(codes.scales, expected.scales, rtol=1e-6, atol=0)
    torch.testing.assert_close(mine.decode(codes), sound, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", REFERENCES)
def test_codes_are_the_same_and_sound_is(name: str, config: EncodecConfig) -> None:
    make, run = REFERENCES[name]
    theirs = make(config)
    mine = reference.same_weights(theirs, config)
    for samples in SAMPLES if config is not ENCODEC_24KHZ else (9_999,):
        check(mine, theirs, run, samples, config.bandwidths_kbps[-1 if samples > 319 else 0])


@pytest.mark.parametrize("name", REFERENCES)
def test_segments_overlap_as_theirs(name: str) -> None:
    """48 kHz: an end in the overlap, where the last segment but one has 149 frames, and elsewhere."""
    make, run = REFERENCES[name]
    config = replace(OF_48, filters=2)
    theirs = make(config)
    mine = reference.same_weights(theirs, config)
    for samples in (47_520, 47_521, 47_680, 47_520 + 400, 48_000, 2 * 48_000 + 777):
        check(mine, theirs, run, samples, 6.0)


@pytest.mark.parametrize("name", REFERENCES)
def test_silence_and_clipped_sound(name: str) -> None:
    make, run = REFERENCES[name]
    theirs = make(OF_24)
    mine = reference.same_weights(theirs, OF_24)
    loud = (reference.sound(OF_24, 5000) * 50).clamp(-1, 1)
    for x in (torch.zeros(1, 1, 5000), loud, torch.ones(1, 1, 5000), loud * 100):
        expected, sound = run(theirs, x, 6.0)
        codes = mine.encode(x, 8)
        assert torch.equal(codes.indices, expected.indices)
        torch.testing.assert_close(mine.decode(codes), sound, rtol=0, atol=1e-5)


def test_codebooks_matter() -> None:
    """The references' random codebooks are worth comparing with: many entries are used, in each codebook."""
    mine = reference.same_weights(reference.huggingface(OF_24), OF_24)
    indices = mine.encode(reference.sound(OF_24, 24_000)).indices
    assert all(len(indices[0, k].unique()) > 20 for k in range(32))
