"""Tiny checkpoints of the three kinds, written once."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_musicgen
from tiny_musicgen import Kind, Reference


class Checkpoint:
    """A folder with a MusicGen in Hugging Face layout, and the same model in `transformers`."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder, self.kind = folder, kind
        self.reference: Reference = tiny_musicgen.write(folder, kind)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Checkpoint]:
    folder = tmp_path_factory.mktemp("musicgen")
    return {kind: Checkpoint(folder / f"tiny-{kind}", kind) for kind in tiny_musicgen.KINDS}
