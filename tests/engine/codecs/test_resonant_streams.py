"""The resonant codec as a stream: pieces give what the whole gives, two frames of delay, and no sound upsets it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resonant_models import TINY, random_codec
from resonantgen.codecs import network
from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.base import Codec, Codes
from resonantgen.codecs.resonant.config import ResonantConfig
from resonantgen.codecs.resonant.convnext import ConvNext, Norm
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.resonant.net import Compress, Expand, compress, expand
from resonantgen.codecs.streaming import Layer
from resonantgen.errors import AudioError, BadValue, ModelUnusable
from streaming_contract import SIZES, pieces, verify

N = TINY.frame_samples


@cache
def codec() -> Resonant:
    return random_codec()


def sound(samples: int, batch: int = 1, seed: int = 0) -> Tensor:
    """[batch, 1, samples] of a few partials and noise, up to about 0.7."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / 24_000
    hertz = 80 * 40 ** torch.rand(batch, 4, 1, generator=generator)
    partials = (0.15 * torch.sin(2 * math.pi * hertz * time)).sum(dim=1, keepdim=True)
    return partials + 0.03 * torch.randn(batch, 1, samples, generator=generator)


def encoded(x: Tensor, size: int | None, samples: int) -> list[Tensor]:
    """Indices of each step; pieces are multiples of `samples`, which need not be a frame."""
    stream = codec().encoder(batch=x.shape[0])
    cuts = [slice(cut.start * samples, cut.stop * samples) for cut in pieces(x.shape[2] // samples + 1, size)]
    return [*(stream.push(x[..., cut]).indices for cut in cuts), stream.finish().indices]


def decoded(indices: Tensor, size: int | None) -> list[Tensor]:
    stream = codec().decoder(batch=indices.shape[0])
    cuts = pieces(indices.shape[2], size)
    return [*(stream.push(Codes(indices[..., cut])) for cut in cuts), stream.finish()]


# -- layers -----------------------------------------------------------------------------------------------------------


def shaken(layer: nn.Module) -> Any:
    """With weights that matter, all of them."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


LAYERS: dict[str, Callable[[], Layer[Any]]] = {
    "block": lambda: shaken(ConvNext(6, 7, 3)),
    "block of one frame": lambda: shaken(ConvNext(6, 1, 2)),
    "norm": lambda: shaken(Norm(6)),
    "compress": lambda: Compress(replace(TINY, frame_samples=6)),
    "expand": lambda: Expand(replace(TINY, frame_samples=6)),
}


@pytest.mark.parametrize("frames", [0, 1, 3, 7, 60])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_hold_the_contract(name: str, frames: int) -> None:
    torch.manual_seed(1)
    x = torch.randn(2, frames, 6, generator=torch.Generator().manual_seed(frames))
    assert verify(LAYERS[name](), x).shape == x.shape


@torch.inference_mode()
def test_a_block_is_what_it_says() -> None:
    """Written out with torch's layers: padded with silence at its start, and added."""
    torch.manual_seed(2)
    layer: ConvNext = shaken(ConvNext(6, 7, 3))
    x = torch.randn(2, 20, 6)
    over_time = layer.over_time(nn.functional.pad(x.mT, (6, 0))).mT
    expected = x + layer.scale * layer.narrow(nn.functional.gelu(layer.widen(layer.norm(over_time))))
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-6)


def test_expand_undoes_compress() -> None:
    x = torch.tensor([0.0, 1e-9, -1e-6, 1e-4, -1e-2, 0.5, -1.0, 30.0])
    torch.testing.assert_close(expand(compress(x)), x, rtol=1e-4, atol=1e-7)
    assert float(compress(torch.tensor(0.01)) / compress(torch.tensor(1.0))) > 0.09, "soft ones count"


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_whole_networks_hold_it(frames: int) -> None:
    x = sound(frames * N - 33, batch=2).mT
    # Vectors are sums of many more terms than a sample is: that is the rounding of 32 bits.
    vectors = verify(codec().encoder_net, x, tolerance=2e-5)
    verify(codec().decoder_net, vectors)


# -- the codec --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_pieces_give_what_the_whole_gives(size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "TILE_FRAMES", 13)
    for frames in (1, 2, 9, 2 * network.TILE_FRAMES + 3):
        x = sound(frames * N - 77, batch=2, seed=frames)
        whole = codec().encode(x).indices
        assert whole.shape == (2, 8, frames) and whole.dtype == torch.int64
        for samples in (N, N - 3, 50):
            assert torch.equal(torch.cat(encoded(x, size, samples), dim=2), whole)
        made = codec().decode(Codes(whole))
        assert made.shape == (2, 1, frames * N)
        torch.testing.assert_close(torch.cat(decoded(whole, size), dim=2), made, rtol=0, atol=1e-6)


def test_of_any_number_of_codebooks_the_first_is_the_same() -> None:
    x = sound(20 * N)
    whole = codec().encode(x)
    for count in range(1, 9):
        codes = codec().encode(x, count)
        assert codes.indices.shape == (1, count, 20) and torch.equal(codes.indices[:, :1], whole.indices[:, :1])
        made = torch.cat(decoded(codes.indices, 3), dim=2)
        torch.testing.assert_close(made, codec().decode(codes), rtol=0, atol=1e-6)


def test_its_delay_is_two_frames() -> None:
    """Half a frame of sound until a frame's codes are certain, one and a half of codes until its sound is."""
    codes = codec().encode(sound(12 * N))
    given = torch.tensor([y.shape[2] for y in decoded(codes.indices, 1)])
    assert given.tolist() == [0, N // 2, *[N] * 10, 3 * N // 2]
    stream, seen = codec().encoder(), []
    for chunk in sound(12 * N).split(N // 2, dim=2):
        seen.append(stream.push(chunk).indices.shape[2])
    assert seen == [0, 0, *[1, 0] * 11], "frame f comes with the first half of frame f + 1"
    assert stream.finish().indices.shape[2] == 1


@torch.inference_mode()
@pytest.mark.parametrize("frame", [4, 5, 9])
def test_what_a_frame_of_codes_is_heard_in(frame: int) -> None:
    """Codes of frame f change nothing that is earlier than a frame and a half before it, and something there."""
    indices = codec().encode(sound(14 * N)).indices
    changed = indices.clone()
    changed[:, 0, frame] = (changed[:, 0, frame] + 17) % TINY.cardinality
    differs = (codec().decode(Codes(changed)) - codec().decode(Codes(indices)))[0, 0].abs() > 0
    first = int(differs.nonzero()[0])
    assert (frame - 1.5) * N <= first < (frame - 1) * N


@torch.inference_mode()
@pytest.mark.parametrize("frame", [3, 6])
def test_which_samples_a_frame_of_codes_knows(frame: int) -> None:
    """None from the middle of the next frame on; the one before that it does."""
    x = sound(12 * N)
    before = codec().encoder_net(x.mT)[0]
    for sample, first in (((frame + 3 / 2) * N, frame + 1), ((frame + 3 / 2) * N - 1, frame)):
        other = x.clone()
        other[..., int(sample)] += 0.9
        differs = (codec().encoder_net(other.mT)[0] - before).abs().amax(dim=1) > 0
        assert int(differs.nonzero()[0]) == first


def test_a_batch_gives_what_each_gives_alone() -> None:
    x = sound((network.TILE_FRAMES + 1) * N, batch=3)
    codes = codec().encode(x)
    made = codec().decode(codes)
    for row in range(3):
        alone = codec().encode(x[row : row + 1])
        assert torch.equal(alone.indices[0], codes.indices[row])
        torch.testing.assert_close(codec().decode(alone)[0], made[row], rtol=0, atol=1e-6)


def test_no_samples() -> None:
    nothing = torch.empty(2, 1, 0)
    codes = codec().encode(nothing)
    assert codes.indices.shape == (2, 8, 0)
    assert codec().decode(codes).shape == nothing.shape


def test_what_is_pushed_may_be_overwritten() -> None:
    x = sound(20 * N)
    whole, stream, buffer, parts = codec().encode(x).indices, codec().encoder(), torch.empty(1, 1, N), []
    for chunk in x.split(N, dim=2):
        parts.append(stream.push(buffer.copy_(chunk)).indices)
    buffer.fill_(7.0)
    assert torch.equal(torch.cat([*parts, stream.finish().indices], dim=2), whole)


EXTREMES = {
    "silence": torch.zeros(1, 1, 10 * N),
    "full scale": torch.sign(torch.sin(torch.arange(10.0 * N) / 9))[None, None],
    "far too loud": 100 * torch.sign(torch.sin(torch.arange(10.0 * N) / 9))[None, None],
    "DC": torch.ones(1, 1, 10 * N),
    "one sample": torch.nn.functional.pad(torch.ones(1, 1, 1), (5 * N, 5 * N)),
    "all but silent": torch.full((1, 1, 10 * N), 1e-30),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_no_sound_upsets_it(name: str) -> None:
    codes = codec().encode(EXTREMES[name])
    assert 0 <= int(codes.indices.min()) <= int(codes.indices.max()) < TINY.cardinality
    assert bool(codec().decode(codes).isfinite().all())


def test_refusals() -> None:
    ours: Codec = codec()
    for x in (torch.zeros(1, 2, 100), torch.zeros(100), torch.zeros(1, 100)):
        with pytest.raises(AudioError, match="channel"):
            ours.encode(x)
    for count in (0, 9):
        with pytest.raises(BadValue, match="1 to 8 codebooks"):
            ours.encode(torch.zeros(1, 1, 100), count)
    for indices in (torch.zeros(1, 9, 2), torch.zeros(1, 0, 2), torch.zeros(4)):
        with pytest.raises(BadValue, match="codebooks"):
            ours.decode(Codes(indices.long()))
    for index in (-1, 64):
        with pytest.raises(BadValue, match="0 to 63"):
            ours.decode(Codes(torch.full((1, 2, 3), index)))


def test_in_double_precision_it_is_the_same_codec() -> None:
    """It runs in the type that it was moved to; what comes in is brought to it."""
    x = sound(30 * N)
    double = random_codec().double()
    codes = double.encode(x)
    made = double.decode(codes)
    assert made.dtype == torch.float64
    torch.testing.assert_close(made.float(), codec().decode(codes), rtol=0, atol=1e-4)
    same = codes.indices == codec().encode(x).indices
    assert float(same[:, 0].float().mean()) > 0.95


def test_on_another_device() -> None:
    """Nothing in it lies where it was made: shapes come through on the device without memory, too."""
    with torch.device("meta"):
        x = torch.zeros(2, 5 * N, 1)
    there = random_codec().to("meta")
    vectors = there.encoder_net(x)
    made = there.decoder_net(vectors)
    assert (vectors.device.type, made.device.type) == ("meta", "meta")
    assert (vectors.shape, made.shape) == ((2, 5, TINY.dimension), (2, 5 * N, 1))


def test_training_computes_what_inference_does() -> None:
    """The same layers, with gradients, and every weight has one."""
    model = random_codec(seed=4).requires_grad_(True).train()
    x = sound(40 * N, batch=2)
    vectors = model.encoder_net(x.mT)
    search = model.quantizer.search(8, model.beam)
    assert torch.equal(search.encode(vectors.detach()), model.encode(x).indices)
    quantized = model.quantizer.decode(search.encode(vectors.detach()))
    made = model.decoder_net(vectors + (quantized - vectors).detach())
    expected = model.decode(model.encode(x))
    torch.testing.assert_close(made.detach().mT, expected, rtol=0, atol=1e-5)
    (made.mT - x).square().mean().backward()
    assert all(weight.grad is not None and bool(weight.grad.abs().sum() > 0) for weight in model.parameters())


# -- its settings -----------------------------------------------------------------------------------------------------


def test_its_numbers() -> None:
    config = ResonantConfig()
    assert (config.frame_rate, config.bits, config.bandwidths_kbps) == (75.0, 10, (1.5, 3.0, 6.0))
    assert [codebooks_at(config, kbps) for kbps in config.bandwidths_kbps] == [2, 4, 8]
    assert [codebooks_at(replace(config, codebooks=6), kbps) for kbps in (1.5, 3.0, 4.5)] == [2, 4, 6]
    for wrong in (0.75, 12, math.nan):
        with pytest.raises(BadValue, match=r"choose one of 1\.5, 3, 6"):
            codebooks_at(config, wrong)
    ours = codec()
    assert (ours.sample_rate, ours.channels, ours.frame_samples, ours.frame_rate) == (24_000, 1, 320, 75.0)


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate": 0},
        {"channels": 2},
        {"frame_samples": 321},
        {"cardinality": 1000},
        {"codebooks": "8"},
        {"kernel_size": 7.0},
        {"expansion": True},
        {"colour": 3},
    ],
    ids=str,
)
def test_settings_that_are_none(change: dict[str, Any]) -> None:
    config = ResonantConfig()
    assert ResonantConfig.from_json(config.as_json()) == config
    with pytest.raises(ModelUnusable, match="settings"):
        ResonantConfig.from_json(config.as_json() | change)


def test_a_setting_that_is_missing() -> None:
    values = ResonantConfig().as_json()
    del values["dimension"]
    with pytest.raises(ModelUnusable, match="settings"):
        ResonantConfig.from_json(values)
