"""Small `resonant` codecs with random weights, and a place where one is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resonantgen.codecs.resonant.config import ResonantConfig
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.resonant.weights import FILE, write_weights
from resonantgen.models import folder as models_folder_module
from resonantgen.models.folder import record_shipped

TINY = ResonantConfig(
    dimension=16, cardinality=64, encoder_width=24, encoder_blocks=2, decoder_width=20, decoder_blocks=3
)
# As the shipped one, with fewer entries a codebook.


def random_codec(config: ResonantConfig = TINY, seed: int = 0) -> Resonant:
    """Codebooks of the size that the encoder's vectors have, each finer than the one before."""
    torch.manual_seed(seed)
    codec = Resonant(config)
    for k, codebook in enumerate(codec.quantizer.codebooks):
        codebook.normal_(std=0.7**k)
    return codec.eval().requires_grad_(False)


def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: Resonant) -> Path:
    """Let this be the codec that comes with ResonantGen; its folder."""
    monkeypatch.setattr(models_folder_module, "presets_folder", lambda: tmp_path / "presets")
    folder = tmp_path / "presets" / "models" / "resonant"
    folder.mkdir(parents=True)
    write_weights(codec, folder / FILE)
    record_shipped("resonant")
    return folder
