"""Checkpoints: what is saved comes back, and what is damaged is said to be, in one line."""

import json
import re
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from resonantgen.errors import ModelDamaged, ModelError, ModelNotFound, StorageError
from resonantgen.lm.checkpoint import LAYOUT, assemble, load, load_all, save
from resonantgen.lm.config import LMConfig
from tiny_lm import TINY, TINY_ODD, TINY_PREFIX, tiny_model

CARD = {"name": "tiny", "licence": "CC0-1.0", "training_data": "nothing: random weights\nin two lines"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save(path, tiny_model(TINY_ODD), **CARD)
    return path


def assert_damaged(path: Path, says: str | None = None) -> None:
    with pytest.raises(ModelDamaged, match=says) as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def rewritten(saved: Path, tmp_path: Path, tensors: dict[str, Tensor], **card: Any) -> Path:
    """The checkpoint with other tensors and another card."""
    with saved.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    metadata = header["__metadata__"]
    metadata["card"] = json.dumps(json.loads(metadata["card"]) | card)
    save_file(tensors, tmp_path / "other.safetensors", metadata)
    return tmp_path / "other.safetensors"


@pytest.mark.parametrize("config", [TINY, TINY_ODD, TINY_PREFIX], ids=["tiny", "odd", "prefix"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_model_comes_back_as_it_was_saved(config: LMConfig, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny_model(config, dtype=dtype)
    card = save(tmp_path / "m.safetensors", model, **CARD)
    again, read = load(tmp_path / "m.safetensors", dtype=dtype)
    assert read == card and again.config == config and not again.training
    assert (card.name, card.parameters, card.config) == ("tiny", config.parameters, config)
    weights, loaded = model.state_dict(), again.state_dict()
    assert weights.keys() == loaded.keys()
    assert all(torch.equal(weights[name], loaded[name]) for name in weights)
    assert all(buffer.device.type == "cpu" for buffer in again.buffers())
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_model_may_be_loaded_in_another_type(saved: Path) -> None:
    model, _ = load(saved, dtype=torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert torch.equal(model.heads.weight, tiny_model(TINY_ODD).heads.weight.bfloat16())


def test_the_hash_tells_models_apart(saved: Path, tmp_path: Path) -> None:
    def sha256(model: Any, **card: str) -> str:
        return save(tmp_path / "m.safetensors", model, **CARD | card).sha256

    _, card = load(saved)
    assert sha256(tiny_model(TINY_ODD)) == sha256(tiny_model(TINY_ODD), name="another name") == card.sha256
    one_bit = tiny_model(TINY_ODD)
    with torch.no_grad():
        one_bit.heads.weight[3, 4].nextafter_(torch.tensor(9.0))
    other_delays = tiny_model(TINY_ODD)
    other_delays.config = LMConfig(**asdict(TINY_ODD) | {"delays": (0, 1, 2)})
    hashes = {card.sha256, *map(sha256, [one_bit, other_delays, tiny_model(TINY_ODD, seed=1)])}
    assert len(hashes) == 4


def test_weights_are_not_copied(saved: Path) -> None:
    tensors = load_file(saved)
    model = assemble(TINY_ODD, tensors, "memory")
    assert all(weight.data_ptr() == tensors[name].data_ptr() for name, weight in model.state_dict().items())


def test_what_is_not_there(tmp_path: Path) -> None:
    for path in [tmp_path / "none.safetensors", tmp_path]:
        with pytest.raises(ModelNotFound, match=re.escape(str(path))):
            load(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\3\4 a zip", b"\x80\x04K\x01.", b"\xff" * 64], ids=repr)
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert_damaged(tmp_path / "x", "cannot be read")


def test_what_is_another_models_checkpoint(tmp_path: Path) -> None:
    for metadata in [None, {"format": "pt"}]:
        save_file({"weight": torch.ones(3)}, tmp_path / "x", metadata)
        assert_damaged(tmp_path / "x", "not a language model")


def test_another_layout_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(saved.read_bytes().replace(LAYOUT.encode(), LAYOUT[:-1].encode() + b"2"))
    assert_damaged(path, "resonantgen-lm-2")


def test_a_truncated_file_wherever_it_was_cut(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    for length in [*range(0, 40, 7), *range(100, len(whole), len(whole) // 23), len(whole) - 1]:
        (tmp_path / "x").write_bytes(whole[:length])
        assert_damaged(tmp_path / "x")


@given(data=st.data())
def test_any_changed_byte_is_found_or_harmless(data: st.DataObject, saved: Path) -> None:
    """In the header it may fall on a blank or a name; in the weights it is always found."""
    content = bytearray(saved.read_bytes())
    header = 8 + struct.unpack("<Q", content[:8])[0]
    place = data.draw(st.one_of(st.integers(0, header - 1), st.integers(header, len(content) - 1)))
    content[place] ^= data.draw(st.integers(1, 255))
    path = saved.with_name("changed.safetensors")
    path.write_bytes(content)
    try:
        model, _ = load(path)
    except ModelError as error:
        assert isinstance(error, ModelDamaged) and "\n" not in str(error)
    else:
        assert place < header
        expected = tiny_model(TINY_ODD).state_dict()
        assert all(torch.equal(weight, expected[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_that_are_no_numbers(number: float, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny_model(TINY_ODD, dtype=dtype)
    with torch.no_grad():
        model.layers[1].up.weight[5, 6] = number
    save(tmp_path / "x", model, **CARD)
    assert_damaged(tmp_path / "x", "not numbers .in layers.1.up.weight")


def test_weights_that_do_not_fit(saved: Path, tmp_path: Path) -> None:
    tensors = load_file(saved)
    heads = tensors["heads.weight"]
    without = {name: tensor for name, tensor in tensors.items() if name != "heads.weight"}
    for changed, says in [
        (without, "lacks the weights heads.weight"),
        (without | {"heads.weight": heads[:-1]}, r"shape \(24, 32\), which should be \(25, 32\)"),
        (without | {"heads.weight": heads.T.contiguous()}, "shape"),
        (without | {"heads.weight": heads.to(torch.int8)}, "int8"),
        (tensors | {"evil\nname": torch.ones(1)}, "does not have"),
        (tensors | {"heads.weight": heads + 1e-3}, "checksum"),
    ]:
        assert_damaged(rewritten(saved, tmp_path, changed), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sha256": "0"}, "checksum"),
        ({"parameters": 7}, "7 parameters"),
        ({"licence": 5}, "card"),
        ({"flavour": "sweet"}, "card"),
        ({"config": {}}, "card"),
        ({"config": asdict(TINY_ODD) | {"layers": 0}}, "card"),
        ({"config": asdict(TINY_ODD) | {"layers": 10**9}}, "card"),
        ({"config": asdict(TINY_ODD) | {"layers": 4}}, "parameters"),
        ({"config": asdict(TINY_ODD) | {"delays": [0, 1, 2]}}, "checksum"),
        ({"config": asdict(TINY_ODD) | {"context": 17}}, "checksum"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "-".join(value),
)
def test_a_card_that_is_not_right(change: dict[str, Any], says: str, saved: Path, tmp_path: Path) -> None:
    assert_damaged(rewritten(saved, tmp_path, load_file(saved), **change), says)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="parent folder"):
        save(tmp_path / "none" / "m.safetensors", tiny_model(), **CARD)


def test_a_failed_save_leaves_the_old_file(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(saved.read_bytes())

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StorageError, match="disk is full"):
        save(path, tiny_model(seed=3), **CARD)
    assert path.read_bytes() == saved.read_bytes()
    assert [left.name for left in tmp_path.iterdir()] == ["m.safetensors"]


def test_what_is_beside_the_transformer_comes_back_and_is_checked(tmp_path: Path) -> None:
    beside = {"conditions.weight": torch.arange(6.0).view(2, 3)}
    about = {"role": "drums", "steps": 3}
    path = tmp_path / "model.safetensors"
    plain = save(tmp_path / "plain.safetensors", tiny_model(), name="a", licence="b", training_data="c")
    card = save(path, tiny_model(), name="a", licence="b", training_data="c", beside=beside, about=about)
    whole = load_all(path)
    assert whole.card.about == about and whole.beside.keys() == beside.keys()
    assert torch.equal(whole.beside["conditions.weight"], beside["conditions.weight"])
    assert card.sha256 != plain.sha256
    start = path.read_bytes()
    spoilt = {name: tensor + 1 if name.startswith("beside.") else tensor for name, tensor in load_file(path).items()}
    (length,) = struct.unpack("<Q", start[:8])
    metadata = json.loads(start[8 : 8 + length])["__metadata__"]
    save_file(spoilt, path, metadata)
    with pytest.raises(ModelDamaged, match="checksum"):
        load_all(path)
