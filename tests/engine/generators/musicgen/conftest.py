"""Tiny checkpoints of the three kinds, written once and not to be changed."""

from __future__ import annotations

import pytest

import tiny_musicgen
from tiny_musicgen import Checkpoint, Kind


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Checkpoint]:
    folder = tmp_path_factory.mktemp("musicgen")
    return {
        kind: Checkpoint(kind, folder / f"tiny-{kind}", tiny_musicgen.write(folder / f"tiny-{kind}", kind))
        for kind in tiny_musicgen.KINDS
    }
