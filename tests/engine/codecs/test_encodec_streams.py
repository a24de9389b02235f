"""EnCodec as a stream: pieces of any size give what the whole gives, and what cannot be coded is said in one line."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

import encodec_reference as reference
from resonantgen.codecs import network
from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.base import Codec, Codes
from resonantgen.codecs.encodec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, MUSICGEN_32KHZ
from resonantgen.codecs.encodec.model import Encodec
from resonantgen.errors import AudioError, BadValue
from streaming_contract import SIZES, pieces, verify

OF_24, OF_32 = replace(ENCODEC_24KHZ, filters=4), replace(MUSICGEN_32KHZ, filters=2)
OF_48 = replace(ENCODEC_48KHZ, filters=2, bandwidths_kbps=(3.0, 6.0), segment_seconds=0.1)
CONFIGS = {"24khz": OF_24, "32khz": OF_32, "48khz": OF_48}


@cache
def codec(name: str) -> Encodec:
    return reference.same_weights(reference.huggingface(CONFIGS[name]), CONFIGS[name])


def encoded(name: str, x: Tensor, size: int | None) -> list[Codes]:
    stream = codec(name).encoder(batch=x.shape[0])
    samples = codec(name).frame_samples - 3  # they need not come in frames
    cuts = [slice(cut.start * samples, cut.stop * samples) for cut in pieces(x.shape[2] // samples + 1, size)]
    return [*(stream.push(x[..., cut]) for cut in cuts), stream.finish()]


def decoded(name: str, codes: Codes, size: int | None) -> list[Tensor]:
    """Each segment's scale comes with its first frame."""
    stream, segments, done = codec(name).decoder(batch=codes.indices.shape[0]), codec(name).segments, []
    starts: list[int] = []
    if segments is not None and codes.scales is not None:
        lengths = segments.split(codes.indices.shape[2], codes.scales.shape[1])
        starts = [sum(lengths[:number]) for number in range(len(lengths))]
    for cut in pieces(codes.indices.shape[2], size):
        begun = [number for number, start in enumerate(starts) if cut.start <= start < cut.stop]
        scales = None if codes.scales is None else codes.scales[:, begun]
        done.append(stream.push(Codes(codes.indices[..., cut], scales)))
    return [*done, stream.finish()]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CONFIGS)
def test_pieces_give_what_the_whole_gives(name: str, size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS[name]
    monkeypatch.setattr(network, "TILE_FRAMES", 13)
    for frames in (1, 6, 9, 2 * network.TILE_FRAMES + 3):
        x = reference.sound(config, frames * config.frame_samples - 77, seed=frames, batch=2)
        whole = codec(name).encode(x)
        parts = encoded(name, x, size)
        assert torch.equal(torch.cat([part.indices for part in parts], dim=2), whole.indices)
        if whole.scales is not None:
            scales = [part.scales for part in parts if part.scales is not None]
            torch.testing.assert_close(torch.cat(scales, dim=1), whole.scales, rtol=0, atol=0)
        sound = codec(name).decode(whole)
        assert sound.shape[2] >= x.shape[2]
        torch.testing.assert_close(torch.cat(decoded(name, whole, size), dim=2), sound, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["24khz", "32khz"])
def test_whole_networks_hold_the_layers_contract(name: str) -> None:
    x = reference.sound(CONFIGS[name], 400, batch=2).mT
    # The encoder's vectors are sums of many more terms than a sample is, and about 2 rather than 1.
    verify(codec(name).encoder_net, x, tolerance=4e-6)
    frames = torch.arange(23)
    vectors = codec(name).quantizer.decode(torch.stack([frames * 7, frames * 5 + 3])[:, None])
    verify(codec(name).decoder_net, vectors)


def test_first_chunks() -> None:
    """24 kHz: nothing before frame 7, then a frame for a frame. 32 kHz: 3.75 frames of look-ahead."""
    x = reference.sound(OF_24, 12 * 320)
    codes = codec("24khz").encode(x)
    assert [y.shape[2] for y in decoded("24khz", codes, 1)] == [0] * 6 + [7 * 320] + [320] * 5 + [0]
    codes = codec("32khz").encode(reference.sound(OF_32, 12 * 640))
    given = [y.shape[2] for y in decoded("32khz", codes, 1)]
    assert given[:4] == [0, 0, 0, 158] and given[4:-1] == [640] * 8
    assert given[-1] == 4 * 640 - 158, "3.75 frames of its look-ahead, and what reflects at the end"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_gives_what_each_gives_alone(name: str) -> None:
    """Two channels of a stereo MusicGen are a batch of two."""
    x = reference.sound(CONFIGS[name], (network.TILE_FRAMES + 1) * codec(name).frame_samples, batch=3)
    codes = codec(name).encode(x)
    sound = codec(name).decode(codes)
    for row in range(3):
        alone = codec(name).encode(x[row : row + 1])
        assert torch.equal(alone.indices[0], codes.indices[row])
        torch.testing.assert_close(codec(name).decode(alone)[0], sound[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_no_samples(name: str) -> None:
    nothing = torch.empty(2, codec(name).channels, 0)
    codes = codec(name).encode(nothing)
    assert codes.indices.shape == (2, codec(name).codebooks, 0)
    assert codec(name).decode(codes).shape == nothing.shape
    assert encoded(name, nothing, 1)[-1].indices.shape == codes.indices.shape
    assert decoded(name, codes, 1)[-1].shape == nothing.shape


def test_segments_split_as_they_were_laid() -> None:
    """How many frames each segment has follows from all frames and the scales, wherever sound ends."""
    segments = replace(OF_48, segment_seconds=1.0)
    where = Encodec(segments).segments
    assert where is not None and where.frames == 150
    for samples in range(1, 3 * 48_000, 53):
        begins = range(0, samples, where.stride)
        lengths = [-(-min(where.samples, samples - begin) // 320) for begin in begins]
        assert where.split(sum(lengths), len(lengths)) == lengths, samples
    for frames, count in ((0, 1), (151, 1), (3, 2), (1, 0), (1000, 3)):
        with pytest.raises(BadValue, match="segments"):
            where.split(frames, count)


def test_sound_that_ends_where_the_reference_fails() -> None:
    """Up to a frame after the overlap's third, the last segment is shorter than what the one before has decoded."""
    x = reference.sound(OF_48, 4752 + 250, batch=1)
    sound = codec("48khz").decode(codec("48khz").encode(x))
    assert x.shape[2] <= sound.shape[2] and bool(sound.isfinite().all())


def test_what_is_pushed_may_be_overwritten() -> None:
    x = reference.sound(OF_24, 6400)
    whole, stream, buffer, parts = codec("24khz").encode(x), codec("24khz").encoder(), torch.empty(1, 1, 320), []
    for begin in range(0, 6400, 320):
        buffer.copy_(x[..., begin : begin + 320])
        parts.append(stream.push(buffer).indices)
    buffer.fill_(7.0)
    assert torch.equal(torch.cat([*parts, stream.finish().indices], dim=2), whole.indices)


def test_refusals() -> None:
    mono: Codec = codec("24khz")
    for x in (torch.zeros(1, 2, 100), torch.zeros(100), torch.zeros(1, 100)):
        with pytest.raises(AudioError, match="channel"):
            mono.encode(x)
    for codebooks in (0, 33):
        with pytest.raises(BadValue, match="1 to 32 codebooks"):
            mono.encode(torch.zeros(1, 1, 100), codebooks)
    for indices in (torch.zeros(1, 33, 2), torch.zeros(1, 0, 2), torch.zeros(4)):
        with pytest.raises(BadValue, match="codebooks"):
            mono.decode(Codes(indices.long()))
    for index in (-1, 1024):
        with pytest.raises(BadValue, match="0 to 1023"):
            mono.decode(Codes(torch.full((1, 2, 3), index)))
    stream = mono.decoder()
    stream.push(Codes(torch.zeros(1, 4, 1, dtype=torch.int64)))
    with pytest.raises(BadValue, match="4 codebooks so far"):
        stream.push(Codes(torch.zeros(1, 5, 1, dtype=torch.int64)))


def test_its_numbers() -> None:
    assert [Encodec(config).codebooks for config in CONFIGS.values()] == [32, 4, 4]
    assert [(c.frame_samples, c.frame_rate) for c in map(codec, CONFIGS)] == [(320, 75.0), (640, 50.0), (320, 150.0)]
    assert [codebooks_at(ENCODEC_24KHZ, kbps) for kbps in ENCODEC_24KHZ.bandwidths_kbps] == [2, 4, 8, 16, 32]
    assert [codebooks_at(ENCODEC_48KHZ, kbps) for kbps in ENCODEC_48KHZ.bandwidths_kbps] == [2, 4, 8, 16]
    assert codebooks_at(MUSICGEN_32KHZ, 2.2) == 4
    with pytest.raises(BadValue, match=r"choose one of 1\.5, 3, 6, 12, 24"):
        codebooks_at(ENCODEC_24KHZ, 5)
