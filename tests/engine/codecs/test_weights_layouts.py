"""EnCodec's published layouts: the same weights in each give the same model, which codes as the references do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from encodec_checkpoints import (
    SMALL_24KHZ,
    SMALL_32KHZ,
    SMALL_48KHZ,
    audiocraft_package,
    save_audiocraft,
    save_encodec,
    save_huggingface,
    save_musicgen,
)
from encodec_reference import package, sound
from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.encodec.config import EncodecConfig
from resonantgen.codecs.encodec.layouts import from_audiocraft, from_encodec, from_huggingface
from resonantgen.codecs.encodec.weights import Weights, read_weights, to_weights

SAVED = {
    "th": lambda config, folder: save_encodec(config, folder / "encodec_24khz-d7cc33bc.th"),
    "huggingface": lambda config, folder: save_huggingface(config, folder / "model"),
    "huggingface-old-names": lambda config, folder: save_huggingface(config, folder / "model", old_names=True),
    "musicgen": lambda config, folder: save_musicgen(config, folder / "model"),
    "musicgen-shards": lambda config, folder: save_musicgen(config, folder / "model", shards=3),
    "audiocraft": lambda config, folder: save_audiocraft(config, folder / "compression_state_dict.bin"),
}
LAYOUT = {"th": "encodec", "audiocraft": "audiocraft"}
OFFERED = {"audiocraft": (6.0,)}  # it was trained for all of its codebooks


@pytest.mark.parametrize("saved", SAVED)
def test_24khz_in_each_layout_codes_as_the_package_does(saved: str, tmp_path: Path) -> None:
    reference = package(SMALL_24KHZ)
    reference.set_target_bandwidth(6.0)
    x = sound(SMALL_24KHZ, 5_000)
    with torch.inference_mode():
        codes = reference.encode(x)[0][0]
        decoded = reference.decode([(codes, None)])

    weights = read_weights(SAVED[saved](SMALL_24KHZ, tmp_path), "encodec-24khz")
    assert weights.layout == LAYOUT.get(saved, "huggingface")
    assert weights.config == replace(SMALL_24KHZ, bandwidths_kbps=OFFERED.get(saved, (1.5, 3.0, 6.0)))
    codec = weights.codec()
    assert torch.equal(codec.encode(x).indices, codes)
    torch.testing.assert_close(codec.decode(codec.encode(x)), decoded, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "config, others",
    [(SMALL_48KHZ, ("th", "huggingface")), (SMALL_32KHZ, ("audiocraft", "huggingface", "musicgen"))],
    ids=["48khz", "32khz"],
)
def test_the_other_models_are_the_same_in_all_their_layouts(
    config: EncodecConfig, others: tuple[str, ...], tmp_path: Path
) -> None:
    reference = package(config)
    reference.set_target_bandwidth(config.bandwidths_kbps[-1])
    x = sound(config, 70_000)
    with torch.inference_mode():
        coded = reference.encode(x)
    for number, saved in enumerate(others):
        folder = tmp_path / str(number)
        folder.mkdir()
        weights = read_weights(SAVED[saved](config, folder), config.name)
        assert weights.config == config, saved
        codes = weights.codec().encode(x)
        assert torch.equal(codes.indices, torch.cat([indices for indices, _ in coded], dim=-1)), saved
        if config.segment_seconds is not None:
            assert codes.scales is not None
            assert torch.equal(codes.scales, torch.cat([scale for _, scale in coded], dim=-1))


def hashes(folder: Path) -> dict[str, str]:
    found = {}
    for name, save in SAVED.items():
        own = folder / name
        own.mkdir()
        found[name] = read_weights(save(SMALL_24KHZ, own)).sha256
    return found


def test_the_hash_tells_weights_and_not_layouts(tmp_path: Path) -> None:
    found = hashes(tmp_path)
    assert len(set(found.values())) == 1, found
    other = read_weights(save_encodec(SMALL_24KHZ, tmp_path / "other.th", seed=1))
    assert other.sha256 not in found.values()


def test_the_hash_does_not_change_between_versions() -> None:
    """Token files carry it: weights of plain numbers must have the same hash for ever."""
    state = package(SMALL_24KHZ).state_dict()
    plain = {name: torch.arange(value.numel()).reshape(value.shape).float() % 7 - 3 for name, value in state.items()}
    expected = "cc5f750031df3e09b1b6c4929deab56d0a8c2168418b4b4bf1b35493c5c267c8"
    assert to_weights(from_encodec(plain), "plain").sha256 == expected


def test_one_changed_number_changes_the_hash() -> None:
    state = package(SMALL_24KHZ).state_dict()
    before = to_weights(from_encodec(state), "a")
    name = "decoder.model.3.convtr.convtr.bias"
    state[name] = state[name] + 1e-4
    after = to_weights(from_encodec(state), "a")
    assert before.sha256 != after.sha256
    changed = [name for name in before.state if not torch.equal(before.state[name], after.state[name])]
    assert changed == ["decoder_net.layers.3.bias"]


def test_what_only_training_needs_does_not_matter() -> None:
    """The codebooks' moving averages, which some republished files leave out."""
    state = package(SMALL_24KHZ).state_dict()
    lean = {name: value for name, value in state.items() if not name.endswith(("inited", "cluster_size", "embed_avg"))}
    assert len(lean) < len(state)
    assert to_weights(from_encodec(lean), "a").sha256 == to_weights(from_encodec(state), "a").sha256


def test_weight_norm_folded_by_somebody_else(tmp_path: Path) -> None:
    """A file without weight norm gives the same model, by another hash: other numbers were published."""
    folder = save_huggingface(SMALL_24KHZ, tmp_path / "model", old_names=True)
    whole = read_weights(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith(".weight_v")]:
        v, g = tensors.pop(name), tensors.pop(name.removesuffix("v") + "g")
        tensors[name.removesuffix("_v")] = v * (g / v.flatten(1).norm(dim=1).reshape(g.shape))
    save_file(tensors, folder / "model.safetensors")
    plain = read_weights(folder)
    assert same(plain, whole) and plain.sha256 != whole.sha256


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    folder = save_huggingface(SMALL_24KHZ, tmp_path / "model")
    whole = read_weights(folder)
    tensors = {name: value.bfloat16() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")
    half = read_weights(folder)
    assert {value.dtype for value in half.state.values()} == {torch.float32}
    assert same(half, whole, atol=0.05)


def same(a: Weights, b: Weights, atol: float = 1e-6) -> bool:
    return a.config == b.config and all(torch.allclose(a.state[name], b.state[name], atol=atol) for name in b.state)


def test_pickles_of_hugging_face(tmp_path: Path) -> None:
    """`pytorch_model.bin`, from before safetensors; where both are there, the safetensors are read."""
    folder = save_huggingface(SMALL_24KHZ, tmp_path / "model", old_names=True)
    expected = read_weights(folder).sha256
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(tmp_path / "aside")
    assert read_weights(folder).sha256 == read_weights(folder / "pytorch_model.bin").sha256 == expected
    (tmp_path / "aside").rename(folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"no weights")
    assert read_weights(folder).sha256 == expected


def test_the_layout_is_read_from_the_content_and_not_from_the_name(tmp_path: Path) -> None:
    for number, save in enumerate((save_encodec, save_audiocraft)):
        path = save(SMALL_24KHZ, tmp_path / f"{number}.safetensors")
        assert read_weights(path).layout == ("encodec", "audiocraft")[number]
    folder = save_huggingface(SMALL_24KHZ, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "weights.th")
    assert read_weights(folder / "weights.th").layout == "huggingface"


def test_old_torch_files(tmp_path: Path) -> None:
    """From before torch's files were ZIP archives."""
    path = tmp_path / "old.th"
    torch.save(package(SMALL_24KHZ).state_dict(), path, _use_new_zipfile_serialization=False)
    assert read_weights(path).layout == "encodec"


def test_a_musicgen_checkpoint_in_memory(tmp_path: Path) -> None:
    """As who has read the whole checkpoint anyway takes its codec out of it."""
    folder = save_musicgen(SMALL_32KHZ, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    config = msgspec.json.decode((folder / "config.json").read_bytes())
    published = from_huggingface(tensors, config["audio_encoder"], prefix="audio_encoder.")
    weights = to_weights(published, "musicgen-small")
    assert weights.sha256 == read_weights(folder).sha256
    assert weights.config == replace(SMALL_32KHZ, name="musicgen-small")


def test_names_of_models_without_one(tmp_path: Path) -> None:
    assert read_weights(save_encodec(SMALL_24KHZ, tmp_path / "encodec_24khz-d7cc33bc.th")).config.name == (
        "encodec_24khz-d7cc33bc"
    )
    folder = save_huggingface(SMALL_24KHZ, tmp_path / "mine")
    assert read_weights(folder).config.name == read_weights(folder / "model.safetensors").config.name == "mine"


def test_the_settings_of_audiocraft() -> None:
    """References to other settings are followed; codebooks dropped in training can be left out."""
    config = replace(SMALL_32KHZ, trim_right=0.5, causal=True, residual_layers=2)
    made = audiocraft_package(config)
    made["xp.cfg"] = made["xp.cfg"].replace("q_dropout: false", "q_dropout: true")
    weights = to_weights(from_audiocraft(made), config.name)
    assert weights.config == replace(config, bandwidths_kbps=(0.55, 1.1, 2.2))
    assert [codebooks_at(weights.config, kbps) for kbps in weights.config.bandwidths_kbps] == [1, 2, 4]


def test_every_number_of_codebooks_has_a_bandwidth() -> None:
    """Bandwidths are floats: none may round down to one codebook fewer."""
    for cardinality in (512, 1024, 2048):
        for count in (1, 3, 7, 8, 16):
            kbps = count * 50 * (cardinality.bit_length() - 1) / 1000
            config = replace(SMALL_32KHZ, cardinality=cardinality, bandwidths_kbps=(kbps,))
            weights = to_weights(from_audiocraft(audiocraft_package(config)), config.name)
            assert weights.config.codebooks == count
