"""Configurations: the three published ones are what `transformers` takes them to be; others are refused in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import encodec_reference as reference
from resonantgen.codecs.encodec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, MUSICGEN_32KHZ, EncodecConfig
from resonantgen.errors import ModelUnusable


@pytest.mark.parametrize("config", [ENCODEC_24KHZ, ENCODEC_48KHZ, MUSICGEN_32KHZ], ids=lambda config: config.name)
def test_configurations_of_transformers(config: EncodecConfig) -> None:
    theirs = reference.huggingface(replace(config, filters=2)).config
    read = EncodecConfig.from_huggingface(theirs.to_dict(), config.name)
    assert read == replace(config, filters=2)
    assert read.codebooks == theirs.num_quantizers
    assert read.frame_rate == theirs.frame_rate
    assert read.frame_samples == theirs.hop_length
    assert (read.segment_samples, read.segment_stride) == (theirs.chunk_length, theirs.chunk_stride)


def test_what_is_left_out_is_as_transformers_has_it() -> None:
    assert EncodecConfig.from_huggingface({}, ENCODEC_24KHZ.name) == ENCODEC_24KHZ


@pytest.mark.parametrize(
    "values",
    [
        {"norm_type": "layer_norm"},
        {"pad_mode": "circular"},
        {"upsampling_ratios": 8},
        {"upsampling_ratios": [8, 0]},
        {"target_bandwidths": []},
        {"codebook_size": 1000},
        {"codebook_dim": 64},
        {"num_filters": "many"},
        {"sampling_rate": -1},
        {"use_causal_conv": "yes"},
        {"chunk_length_s": 0},
        {"overlap": 1.5},
    ],
    ids=lambda values: next(iter(values)),
)
def test_others_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ModelUnusable, match="configuration is not one of an EnCodec model"):
        EncodecConfig.from_huggingface(values, "mine")
