"""Checkpoints that are not what they should be: one line that names the file, and nothing in them is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from encodec_checkpoints import (
    SMALL_24KHZ,
    SMALL_32KHZ,
    audiocraft_package,
    save_audiocraft,
    save_encodec,
    save_huggingface,
    save_musicgen,
)
from encodec_reference import package
from resonantgen.codecs.encodec.weights import read_weights
from resonantgen.errors import BadValue, ModelDamaged, ModelError, ModelNotFound, ModelUnusable

WEIGHT = "decoder.model.3.convtr.convtr.weight_v"


def refused(path: Path, kind: type[Exception] = ModelDamaged, about: Path | None = None) -> str:
    """The message of the error that reading raises: one line, which names the file."""
    with pytest.raises(kind) as caught:
        read_weights(path)
    message = str(caught.value)
    assert str(about or path) in message and "\n" not in message, message
    return message


@pytest.fixture(scope="module")
def whole_state() -> dict[str, Tensor]:
    return dict(package(SMALL_24KHZ).state_dict())


@pytest.fixture
def state(whole_state: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(whole_state)


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_huggingface(SMALL_24KHZ, tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def folder(whole_folder: Path, tmp_path: Path) -> Path:
    """A good one of Hugging Face's."""
    return Path(shutil.copytree(whole_folder, tmp_path / "model"))


# -- code -------------------------------------------------------------------------------------------------------------


class Payload:
    """Unpickling it runs a command that leaves a file behind."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self._witness}",)


def poisoned_state(path: Path, payload: Payload) -> None:
    torch.save({**package(SMALL_24KHZ).state_dict(), "extra": payload}, path)


def poisoned_old_state(path: Path, payload: Payload) -> None:
    torch.save({**package(SMALL_24KHZ).state_dict(), "extra": payload}, path, _use_new_zipfile_serialization=False)


def poisoned_audiocraft(path: Path, payload: Payload) -> None:
    torch.save({**audiocraft_package(SMALL_24KHZ), "xp.cfg": payload}, path)


def poisoned_pickle(path: Path, payload: Payload) -> None:
    path.write_bytes(pickle.dumps(payload))


def poisoned_old_pickle(path: Path, payload: Payload) -> None:
    path.write_bytes(pickle.dumps(payload, protocol=2))


def poisoned_archive(path: Path, payload: Payload) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(payload, protocol=2))
        archive.writestr("archive/version", "3\n")


POISONED = [
    poisoned_state,
    poisoned_old_state,
    poisoned_audiocraft,
    poisoned_pickle,
    poisoned_old_pickle,
    poisoned_archive,
]


@pytest.mark.parametrize("poison", POISONED, ids=lambda poison: poison.__name__)
def test_a_pickle_that_wants_to_run_code_is_refused(poison: Callable[[Path, Payload], None], tmp_path: Path) -> None:
    path, witness = tmp_path / "model.th", tmp_path / "it-ran"
    poison(path, Payload(witness))
    message = refused(path)
    assert "run" in message
    assert not witness.exists(), "the payload was run"


def test_the_payload_of_these_tests_does_run(tmp_path: Path) -> None:
    """Otherwise they would prove nothing."""
    witness = tmp_path / "it-ran"
    assert pickle.loads(pickle.dumps(Payload(witness))) == 0
    assert witness.exists()


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["th", "old-th", "safetensors", "audiocraft"])
def test_a_truncated_file(layout: str, tmp_path: Path) -> None:
    path = saved(layout, tmp_path)
    read_weights(path)
    whole = path.read_bytes()
    for share in (0.0, 0.001, 0.3, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path)


def saved(layout: str, folder: Path) -> Path:
    """A good file of a layout."""
    if layout == "safetensors":
        return save_huggingface(SMALL_24KHZ, folder / "model") / "model.safetensors"
    if layout == "audiocraft":
        return save_audiocraft(SMALL_24KHZ, folder / "compression_state_dict.bin")
    if layout == "old-th":
        torch.save(package(SMALL_24KHZ).state_dict(), folder / "old.th", _use_new_zipfile_serialization=False)
        return folder / "old.th"
    return save_encodec(SMALL_24KHZ, folder / "model.th")


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x10\0\0\0\0\0\0\0{"], ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_random_bytes(start: bytes, seed: int, tmp_path: Path) -> None:
    path = tmp_path / "model.th"
    path.write_bytes(
        start + torch.randint(256, (3000,), generator=torch.Generator().manual_seed(seed)).numpy().tobytes()
    )
    refused(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.th", ModelNotFound)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", ModelNotFound)
    (tmp_path / "model.th").mkdir()
    refused(tmp_path / "model.th", ModelNotFound)  # a folder by that name, with nothing in it


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_encodec(SMALL_24KHZ, tmp_path / "model.th")

    opened = Path.open

    def denied(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refused(path)


def test_a_folder_with_several_models(tmp_path: Path) -> None:
    for name in ("encodec_24khz.th", "encodec_48khz.th"):
        save_encodec(SMALL_24KHZ, tmp_path / name)
    message = refused(tmp_path, BadValue)
    assert "encodec_24khz.th, encodec_48khz.th" in message
    save_audiocraft(SMALL_24KHZ, tmp_path / "compression_state_dict.bin")  # beside audiocraft's transformer
    assert read_weights(tmp_path).layout == "audiocraft"


# -- tensors ----------------------------------------------------------------------------------------------------------


def changed(state: dict[str, Tensor], folder: Path, changes: dict[str, Tensor | None]) -> Path:
    """A file of a state with some tensors replaced, added or, by None, left out."""
    kept = {name: value for name, value in {**state, **changes}.items() if value is not None}
    torch.save(kept, folder / "model.th")
    return folder / "model.th"


def test_the_unchanged_state_is_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    read_weights(changed(state, tmp_path, {}))


@pytest.mark.parametrize(
    "name, published",
    [
        ("decoder.model.3.convtr.convtr.bias", "decoder.layers.3.conv.bias"),
        ("encoder.model.13.lstm.weight_hh_l1", "encoder.layers.13.lstm.weight_hh_l1"),
        ("encoder.model.1.shortcut.conv.conv.bias", "encoder.layers.1.shortcut.conv.bias"),
    ],
)
def test_a_tensor_is_missing(name: str, published: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert f"lacks {published}" in refused(changed(state, tmp_path, {name: None}))


def test_half_of_weight_norm_is_missing(state: dict[str, Tensor], tmp_path: Path) -> None:
    refused(changed(state, tmp_path, {WEIGHT: None}))
    assert "norm" in refused(changed(state, tmp_path, {WEIGHT.removesuffix("v") + "g": None}))
    assert "norm" in refused(changed(state, tmp_path, {WEIGHT.removesuffix("v") + "g": torch.ones(3)}))


def test_a_codebook_is_missing(state: dict[str, Tensor], tmp_path: Path) -> None:
    refused(changed(state, tmp_path, {"quantizer.vq.layers.3._codebook.embed": None}))


def test_a_tensor_too_many(state: dict[str, Tensor], tmp_path: Path) -> None:
    assert "has decoder.layers.99.conv.bias" in refused(
        changed(state, tmp_path, {"decoder.model.99.conv.conv.bias": torch.zeros(2)})
    )


@pytest.mark.parametrize("name", ["decoder.model.15.conv.conv.bias", "quantizer.vq.layers.2._codebook.embed", WEIGHT])
def test_another_shape(name: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    shape = [size + 1 for size in state[name].shape]
    if name == WEIGHT:
        shape[0] -= 1
    refused(changed(state, tmp_path, {name: torch.randn(shape)}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "name", ["encoder.model.0.conv.conv.bias", WEIGHT, "quantizer.vq.layers.7._codebook.embed"], ids=str
)
def test_weights_that_are_no_numbers(name: str, number: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    weight = state[name].clone()
    weight.view(-1)[-1] = number
    assert "NaN or infinity" in refused(changed(state, tmp_path, {name: weight}))


def test_a_norm_of_zero(state: dict[str, Tensor], tmp_path: Path) -> None:
    """Finite itself, but the folded weight is 0 / 0."""
    assert "NaN" in refused(changed(state, tmp_path, {WEIGHT: torch.zeros_like(state[WEIGHT])}))


def test_integers_are_no_weights(state: dict[str, Tensor], tmp_path: Path) -> None:
    name = "encoder.model.0.conv.conv.bias"
    assert "int64" in refused(changed(state, tmp_path, {name: torch.zeros(2, dtype=torch.int64)}))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"weight": torch.zeros(3)},
        {"encoder.model.0.conv.conv.bias": torch.zeros(3)},
        {"encoder.layers.0.conv.bias": torch.zeros(3)},
        {"model": {"a": torch.zeros(3)}},
        [torch.zeros(3)],
        torch.zeros(3),
        {3: torch.zeros(3)},
        {"xp.cfg": "a: 1"},
        {"best_state": {}, "xp.cfg": "a: 1"},
    ],
    ids=[
        "nothing",
        "other",
        "a-little",
        "hf-a-little",
        "nested",
        "list",
        "tensor",
        "numbered",
        "no-state",
        "no-weights",
    ],
)
def test_other_contents(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.th")
    refused(tmp_path / "model.th")


# -- settings ---------------------------------------------------------------------------------------------------------


def test_hugging_face_without_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "config.json" in refused(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"num_filters": "many"}', '{"num_filters": 0}', "\xff"])
def test_a_damaged_config(text: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"num_filters": 4},
        {"num_filters": 1 << 12},
        {"num_filters": 1 << 62},
        {"upsampling_ratios": [8, 5, 4]},
        {"upsampling_ratios": []},
        {"upsampling_ratios": [8, 5, 4, 0]},
        {"codebook_size": 512},
        {"codebook_size": 1000},
        {"target_bandwidths": [24.0]},
        {"target_bandwidths": []},
        {"target_bandwidths": [0]},
        {"target_bandwidths": [float("nan")]},
        {"norm_type": "time_group_norm"},
        {"norm_type": "none"},
        {"use_conv_shortcut": False},
        {"num_residual_layers": 2},
        {"num_lstm_layers": 1},
        {"audio_channels": 2},
        {"audio_channels": 6},
        {"normalize": True},
        {"chunk_length_s": 1.0},
        {"sampling_rate": 0},
        {"pad_mode": "sideways"},
        {"codebook_dim": 4},
    ],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items()),
)
def test_a_config_of_another_model(change: dict[str, Any], folder: Path) -> None:
    document = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(ModelError) as caught:
        read_weights(folder)
    assert str(folder) in str(caught.value)


def test_a_musicgen_checkpoint_without_its_codec(tmp_path: Path) -> None:
    folder = save_musicgen(SMALL_32KHZ, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: t for name, t in tensors.items() if name.startswith("decoder.")}, folder / "model.safetensors")
    refused(folder)


@pytest.mark.parametrize(
    "old, new, kind",
    [
        ("compression_model: encodec", "compression_model: dac", ModelUnusable),
        ("activation: ELU", "activation: GELU", ModelUnusable),
        ("alpha: 1.0", "alpha: 0.5", ModelUnusable),
        ("final_activation: null", "final_activation: Tanh", ModelUnusable),
        ("encoder: {}", "encoder: {n_filters: 64}", ModelUnusable),
        ("renormalize: false", "renormalize: true", ModelUnusable),
        ("sample_rate: ${sample_rate}", "sample_rate: ${nowhere}", ModelDamaged),
        ("sample_rate: ${sample_rate}", "sample_rate: ${encodec.sample_rate}", ModelDamaged),
        ("n_q: 4", "n_q: four", ModelDamaged),
        ("n_q: 4", "n_q: 5", ModelDamaged),
        ("bins: 2048", "bins: -1", ModelDamaged),
        ("dimension: 8", "dimension: null", ModelDamaged),
        ("dimension: 8\n", "", ModelDamaged),
        ("seanet:", "seanet: [", ModelDamaged),
        ("device: cuda", "device: !!python/object/apply:os.system ['touch it-ran']", ModelDamaged),
    ],
)
def test_settings_of_audiocraft_that_do_not_fit(
    old: str, new: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = audiocraft_package(SMALL_32KHZ)
    assert old in content["xp.cfg"]
    content["xp.cfg"] = content["xp.cfg"].replace(old, new)
    torch.save(content, tmp_path / "compression_state_dict.bin")
    refused(tmp_path / "compression_state_dict.bin", kind)
    assert not (tmp_path / "it-ran").exists()


def test_audiocraft_that_points_elsewhere(tmp_path: Path) -> None:
    """Stereo MusicGens come with the name of a codec instead of one."""
    torch.save({"pretrained": "facebook/encodec_32khz", "exported": True}, tmp_path / "compression_state_dict.bin")
    assert "facebook/encodec_32khz" in refused(tmp_path / "compression_state_dict.bin", ModelUnusable)
