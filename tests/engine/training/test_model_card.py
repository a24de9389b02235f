"""A codec's model card, and how a codec comes to be the shipped one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resonant_models import random_codec, ship
from resonantgen import models
from resonantgen.codecs.loading import load_codec
from resonantgen.codecs.resonant.weights import FILE, write_weights
from resonantgen.errors import BadValue
from resonantgen.models.folder import verify
from resonantgen.training import model_card

LINES = [
    {"role": "drums", "split": "train", "seconds": 5_400, "piece": "groove:a", "licence": "CC BY 4.0",
     "instrument": "samples:1", "instrument_licence": "CC0"},
    {"role": "drums", "split": "held_out", "seconds": 720, "piece": "groove:b", "licence": "CC BY 4.0",
     "instrument": "TimGM6mb:kit", "instrument_licence": "GPL-2.0"},
    {"role": "bass", "split": "train", "seconds": 3_600, "piece": "pop909:1", "licence": "MIT",
     "instrument": "own:sub", "instrument_licence": "own work", "notes": 8},
]  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Path]:
    """A codec's folder, and the stems'."""
    (tmp_path / "my-codec").mkdir()
    (tmp_path / "stems").mkdir()
    write_weights(random_codec(seed=3), tmp_path / "my-codec" / FILE, {"steps": 7})
    (tmp_path / "stems" / "stems.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return tmp_path / "my-codec", tmp_path / "stems"


def test_it_says_what_a_codec_is_and_learned_from(trained: tuple[Path, Path]) -> None:
    codec, stems = trained
    data = model_card.Data.of(stems)
    text = model_card.write_card(codec, data, "train codec --seed 3", {"table": "| bass | 11.0 |\n"}).read_text()
    assert (codec / "README.md").read_text() == text and text.startswith("# my-codec\n")
    assert load_codec(str(codec)).weights_sha256 in text and "`train codec --seed 3`" in text
    assert "| drums | 1.5 h | 0.2 h |" in text and "| bass | 1.0 h | 0.0 h |" in text
    assert "- steps: 7" in text and "| bass | 11.0 |" in text
    learned, held_out = text.split("Held out, notes and sounds")
    assert "Groove MIDI Dataset" in learned and "CC BY 4.0" in learned and "POP909" in learned
    assert "TimGM6mb" in held_out and "TimGM6mb" not in learned


def test_a_folder_that_says_nothing(trained: tuple[Path, Path]) -> None:
    codec, stems = trained
    (stems / "stems.jsonl").unlink()
    assert "user's own" in model_card.write_card(codec, model_card.Data.of(stems), "x").read_text()
    (stems / "stems.jsonl").write_text('{"role": "bass", "seconds": 3600}\n\n{"role": 3}\n')
    with pytest.raises(BadValue, match=r"stems\.jsonl:3: "):
        model_card.Data.of(stems)


def test_a_codec_is_shipped(trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its card and checksums, in place of the one before."""
    before = ship(tmp_path, monkeypatch, random_codec())
    expected = load_codec(str(trained[0])).weights_sha256
    assert load_codec().weights_sha256 != expected
    codec, stems = trained
    assert model_card.ship(codec, model_card.Data.of(stems), "train codec", None) == before
    assert (load_codec().weights_sha256, load_codec().codec.name) == (expected, "resonant")
    assert [(verdict.file, verdict.trouble) for verdict in verify("resonant")] == [("README.md", ""), (FILE, "")]
    assert models.installed("resonant").weights == (before / FILE,)
    assert (before / "README.md").read_text().startswith("# resonant\n")
