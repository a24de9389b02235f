"""A resonant model on disk: what is written is read, what is not whole is refused in one line, and one is shipped."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from encodec_checkpoints import SMALL_24KHZ, save_huggingface
from resonant_models import TINY, random_codec, ship
from resonantgen import models
from resonantgen.cli import main
from resonantgen.codecs.loading import load_codec
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.resonant.weights import FILE, is_resonant, read_weights, write_weights
from resonantgen.codecs.token_file import read_header
from resonantgen.errors import ModelDamaged, ModelError, ModelNotFound, ModelUnusable, StorageError

SOUND = torch.randn(1, 1, 3_000, generator=torch.Generator().manual_seed(3)) * 0.2


def rounded(codec: Resonant) -> Resonant:
    """As 16-bit floats hold it."""
    codec.load_state_dict({name: tensor.half().float() for name, tensor in codec.state_dict().items()})
    return codec


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    """Of a safetensors file, and what follows it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_card(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change what a file says of itself."""
    said, tensors = header(path)
    card = json.loads(said["__metadata__"]["resonantgen-codec"])
    change(card)
    said["__metadata__"]["resonantgen-codec"] = json.dumps(card)
    text = json.dumps(said).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)
    return path


def with_tensors(path: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """Change what is in a file, and not what it says of itself."""
    said, tensors = header(path)[0], load_file(path)
    change(tensors)
    save_file(tensors, path, said["__metadata__"])
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    write_weights(random_codec(), tmp_path / "mine" / FILE)
    return tmp_path / "mine" / FILE


def refused(path: Path, kind: type[ModelError] = ModelDamaged) -> str:
    with pytest.raises(kind) as caught:
        read_weights(path)
    assert len(str(caught.value).splitlines()) == 1 and str(path) in str(caught.value)
    return str(caught.value)


# -- there and back ---------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """16 bits of each weight are the model; it computes with 32."""
    codec = random_codec()
    written = write_weights(codec, tmp_path / FILE, {"steps": 40, "data": ["a", "b"]})
    weights = read_weights(tmp_path / FILE, "mine")
    assert weights.sha256 == written and weights.about == {"steps": 40, "data": ["a", "b"]}
    assert weights.config == replace(TINY, name="mine")
    model, expected = weights.codec(), rounded(codec)
    assert not model.training and not any(weight.requires_grad for weight in model.parameters())
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, expected.state_dict()[name]), name
    codes = model.encode(SOUND)
    assert torch.equal(codes.indices, expected.encode(SOUND).indices)
    assert torch.equal(model.decode(codes), expected.decode(codes))
    assert (tmp_path / FILE).stat().st_size < 2.2 * sum(
        tensor.numel() for tensor in model.state_dict().values()
    ) + 9_000


def test_the_hash_is_of_the_model_alone(tmp_path: Path) -> None:
    """Neither its name, nor what is said about it, nor bits that are rounded away; each weight and setting."""
    codec = random_codec()
    expected = write_weights(codec, tmp_path / FILE)
    assert write_weights(rounded(random_codec()), tmp_path / FILE, {"steps": 1}) == expected
    assert write_weights(random_codec(replace(TINY, name="other")), tmp_path / FILE) == expected
    assert write_weights(read_weights(tmp_path / FILE).codec(), tmp_path / FILE) == expected
    assert write_weights(random_codec(replace(TINY, sample_rate=48_000)), tmp_path / FILE) != expected
    codec.quantizer.codebooks[0, 0, 0] += 0.01
    assert write_weights(codec, tmp_path / FILE) != expected


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_weights(random_codec(), tmp_path / name, {"z": 1, "a": 2, "m": 3})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_it_is_called_as_its_folder(file: Path) -> None:
    assert read_weights(file).config.name == read_weights(file.parent).config.name == "mine"
    assert load_codec(str(file.parent)).codec.name == "mine"
    renamed = file.rename(file.with_name("best.safetensors"))
    assert is_resonant(renamed) and load_codec(str(renamed)).weights_sha256 == read_weights(renamed).sha256


def test_loading_leaves_chance_alone(file: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    read_weights(file).codec()
    assert torch.equal(torch.rand(3), expected)


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_files_that_are_cut_off_or_none(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(file)
    for content in (b"no weights at all", b"PK\x03\x04 and more", bytes(1000), whole + b"more"):
        file.write_bytes(content)
        refused(file)
    assert "no file" in refused(tmp_path / "nothing", ModelNotFound)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound):
        read_weights(tmp_path / "empty")


def test_any_bit_that_changed_is_seen(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    for place in range(start, len(whole), (len(whole) - start) // 20):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert "checksum" in refused(file) or "NaN" in refused(file)


def test_weights_that_do_not_fit(file: Path) -> None:
    whole = file.read_bytes()
    name = "decoder_net.layers.1.widen.weight"
    cases: list[tuple[Callable[[dict[str, Tensor]], object], str]] = [
        (lambda t: t.pop(name), f"lacks {name}"),
        (lambda t: t.update({"more": torch.zeros(1)}), "has more, which it does not have"),
        (lambda t: t.update({name: t[name][:, :-1].contiguous()}), "60x19, and 60x20"),
        (lambda t: t[name].view(-1)[7].fill_(torch.nan), "NaN"),
        (lambda t: t[name].view(-1)[7].fill_(torch.inf), "infinity"),
        (lambda t: t.update({name: t[name].to(torch.int32)}), "int32"),
        (lambda t: t[name].mul_(2), "checksum"),
        (lambda t: t.clear(), "lacks"),
    ]
    for change, words in cases:
        file.write_bytes(whole)
        assert words in refused(with_tensors(file, change))


def test_what_it_says_of_itself(file: Path) -> None:
    whole = file.read_bytes()
    cases: list[tuple[Callable[[dict[str, Any]], object], type[ModelError], str]] = [
        (lambda card: card.update(layout=2), ModelUnusable, "pip install -U resonantgen"),
        (lambda card: card.update(layout=2, novelty=[1]), ModelUnusable, "layout 2"),
        (lambda card: card.update(layout="new"), ModelDamaged, "damaged"),
        (lambda card: card.pop("layout"), ModelDamaged, "damaged"),
        (lambda card: card.pop("settings"), ModelDamaged, "damaged"),
        (lambda card: card.update(novelty=1), ModelDamaged, "damaged"),
        (lambda card: card.update(sha256="0" * 64), ModelDamaged, "checksum"),
        (lambda card: card["settings"].pop("codebooks"), ModelUnusable, "settings"),
        (lambda card: card["settings"].update(cardinality=63), ModelUnusable, "settings"),
        (lambda card: card["settings"].update(sample_rate=48_000), ModelDamaged, "checksum"),
        (lambda card: card["settings"].update(decoder_blocks=4), ModelDamaged, "lacks"),
        (lambda card: card["settings"].update(decoder_width=1 << 20), ModelDamaged, "by its settings"),
    ]
    for change, kind, words in cases:
        file.write_bytes(whole)
        assert words in refused(with_card(file, change), kind)


def test_other_models_are_none_of_ours(tmp_path: Path) -> None:
    path = save_huggingface(SMALL_24KHZ, tmp_path / "theirs") / "model.safetensors"
    assert not is_resonant(path) and not is_resonant(path.parent)
    assert "no resonant codec" in refused(path)


def test_weights_that_cannot_be_written(tmp_path: Path) -> None:
    for wrong in (torch.nan, torch.inf):
        codec = random_codec()
        codec.quantizer.codebooks[1, 2, 3] = wrong
        with pytest.raises(ModelUnusable, match="codebooks"):
            write_weights(codec, tmp_path / FILE)
    codec = random_codec()
    codec.decoder_net.layers[0].get_parameter("bias")[0] = 1e6
    with pytest.raises(ModelUnusable, match=r"decoder_net.layers.0.bias has weights .* too large"):
        write_weights(codec, tmp_path / FILE)
    with pytest.raises(StorageError):
        write_weights(random_codec(), tmp_path / "nowhere" / FILE)
    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_if_writing_fails(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="full"):
        write_weights(random_codec(seed=1), file)
    assert file.read_bytes() == before and [path.name for path in file.parent.iterdir()] == [FILE]


# -- the one that is shipped ------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder; the working folder is an empty one."""
    folder = ship(tmp_path, monkeypatch, random_codec(replace(TINY, cardinality=1024)))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("RESONANTGEN_MODELS", str(tmp_path / "fetched"))
    monkeypatch.setenv("RESONANTGEN_DEVICE", "cpu")
    return folder


def test_it_is_the_default(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is fetched, and tokens say whose they are."""
    assert load_codec().codec.name == "resonant"
    assert load_codec().weights_sha256 == load_codec("resonant").weights_sha256 == read_weights(shipped).sha256
    soundfile.write("in.wav", SOUND[0, 0].numpy(), 24_000)
    for bandwidth, codebooks in ((None, 8), ("6", 8), ("3", 4), ("1.5", 2)):
        asked = [] if bandwidth is None else ["--bandwidth", bandwidth]
        assert main(["codec", "encode", "in.wav", "out.rgt", *asked]) == 0
        found = read_header(Path("out.rgt"))
        assert (found.model, found.codebooks, found.frames) == ("resonant", codebooks, 10)
        assert main(["codec", "decode", "out.rgt", "out.wav"]) == 0
        assert soundfile.info("out.wav").frames == SOUND.shape[2]
    capsys.readouterr()
    assert main(["codec", "encode", "in.wav", "out.rgt", "--bandwidth", "12"]) == 2
    assert "choose one of 1.5, 3, 6" in capsys.readouterr().err


def test_a_codec_of_ones_own(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `train codec` writes it, found by its folder; its tokens are not the shipped one's."""
    Path("my-codec").mkdir()
    write_weights(random_codec(seed=9), Path("my-codec") / FILE)
    soundfile.write("in.wav", SOUND[0, 0].numpy(), 24_000)
    assert main(["codec", "encode", "in.wav", "out.rgt", "--model", "./my-codec"]) == 0
    assert read_header(Path("out.rgt")).model == "my-codec"
    assert main(["codec", "decode", "out.rgt", "out.wav", "--model", "./my-codec"]) == 0
    capsys.readouterr()
    assert main(["codec", "decode", "out.rgt", "out.wav", "--model", "resonant"]) == 2
    assert "encoded with the weights" in capsys.readouterr().err


def test_a_codec_says_where_it_comes_from(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("my-codec").mkdir()
    sha256 = write_weights(random_codec(), Path("my-codec") / FILE, {"steps": 40, "begun_with": "nothing"})
    assert main(["codec", "info", "--model", "./my-codec"]) == 0
    said = capsys.readouterr().out
    assert "my-codec" in said and sha256[:12] in said and "begun with: nothing" in said and "steps: 40" in said
    assert main(["codec", "info", "--model", "./my-codec", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["about"] == {"steps": 40, "begun_with": "nothing"} and document["weights_sha256"] == sha256
    assert main(["codec", "info", "--model", "resonant"]) == 0
    assert "trained" not in capsys.readouterr().out
    for words in ([], ["x.rgt", "--model", "./my-codec"]):
        assert main(["codec", "info", *words]) == 2
        assert "one of both" in capsys.readouterr().err


def test_models_know_it(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed as shipped, verified, and neither fetched nor removed."""

    def said(*words: str, code: int = 0) -> str:
        assert main(["models", *words]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    row = next(line for line in said("list").splitlines() if line.split()[:1] == ["resonant"])
    assert row.endswith("[shipped]")
    rows = json.loads(said("list", "--json"))["models"]
    assert {row["name"]: row["state"] for row in rows}["resonant"] == "shipped"
    assert "resonant: every file is as it was shipped." in said("verify", "resonant")
    assert said("verify") == said("verify", "resonant"), "of all that are here"
    assert "on this machine" in said("pull", "resonant")
    assert "it stays" in said("remove", "resonant", code=2)
    assert (shipped / FILE).is_file()


def test_one_that_is_damaged_or_missing(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((shipped / FILE).read_bytes())
    content[-1] ^= 1
    (shipped / FILE).write_bytes(content)
    again = "pip install --force-reinstall resonantgen"
    assert main(["models", "verify", "resonant"]) == 1
    assert again in capsys.readouterr().out
    assert main(["models", "pull", "resonant"]) == 2
    assert again in capsys.readouterr().err
    with pytest.raises(ModelDamaged, match="checksum"):
        load_codec()
    (shipped / FILE).write_bytes(content[:-5])
    with pytest.raises(ModelDamaged, match=again):
        models.installed("resonant")
    for file in shipped.iterdir():
        file.unlink()
    for run in (load_codec, lambda: models.installed("resonant")):
        with pytest.raises(ModelNotFound, match="comes with ResonantGen, is missing") as caught:
            run()
        assert again in str(caught.value)
    assert main(["models", "verify", "resonant"]) == 2
    rows = [row for row in msgspec.json.decode(_listed(capsys))["models"] if row["name"] == "resonant"]
    assert rows[0]["state"] == "damaged"


def _listed(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    return capsys.readouterr().out


# -- how large its vectors are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0, 10, 20, 40])
def test_vectors_of_any_size_are_written_and_the_codec_stays_the_same(tmp_path: Path, power: int) -> None:
    codec = rounded(random_codec(seed=7))
    expected = codec.encode(SOUND)
    narrow, widen = codec.encoder_net.layers[-1], codec.decoder_net.layers[0]
    with torch.no_grad():
        for tensor in (codec.quantizer.codebooks, *narrow.parameters()):
            tensor.mul_(2.0**power)
        widen.get_parameter("weight").mul_(2.0**-power)
    write_weights(codec, tmp_path / FILE)
    read = read_weights(tmp_path).codec()
    assert float(read.quantizer.codebooks.abs().max()) <= 2**13
    assert torch.equal(read.encode(SOUND).indices, expected.indices)
    sound = codec.decode(expected)  # but for the roundings of what was made so small
    torch.testing.assert_close(read.decode(expected), sound, rtol=0, atol=float(sound.abs().max()) * 1e-2)
