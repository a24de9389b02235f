"""Preset files: every error names the file and the line that sets the value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from resonantgen.errors import PresetError
from resonantgen.presets import line_of, load_preset, presets_folder

Unit = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Voice(msgspec.Struct, forbid_unknown_fields=True):
    level: Unit
    notes: list[Annotated[int, msgspec.Meta(ge=0, le=127)]] = []


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    voice: Voice
    layers: list[Voice] = []
    named: dict[str, Voice] = {}


GOOD = """\
title = "Bell"    # what is shown

[voice]
level = 0.5
notes = [
    60,
    64,
]

[[layers]]
level = 0.1

[[layers]]
level = 0.2
notes = [1, 2]

[named."closed hat"]
level = 1
"""


def load(tmp_path: Path, text: str) -> Patch:
    path = tmp_path / "bell.toml"
    path.write_text(text)
    return load_preset(path, Patch)


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    patch = load(tmp_path, GOOD)
    assert patch.layers[1].notes == [1, 2]
    assert patch.named["closed hat"].level == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "named"),
    [
        ("level = 0.5", "level = 5", 4, "voice.level"),
        ("level = 0.5", 'level = "loud"', 4, "voice.level"),
        ("level = 0.5", "loudness = 0.5", 4, "loudness"),
        ("level = 0.2", "level = -1", 14, "layers.1.level"),
        ("notes = [1, 2]", "notes = [1, 200]", 15, "layers.1.notes"),
        ("level = 0.1", "level = 0.1\nlevle = 1", 12, "levle"),
        ('title = "Bell"', "title = 3", 1, "title"),
        ("[voice]\nlevel = 0.5", "[voice]", 3, "level"),
        ("    64,\n]", "    64,", 9, ""),
        ("level = 0.5", "level = = 0.5", 4, ""),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, old: str, new: str, line: int, named: str) -> None:
    assert old in GOOD
    with pytest.raises(PresetError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    found = re.match(r"(.*bell\.toml):(\d+): ", message)
    assert found is not None, message
    assert int(found[2]) == line, message
    assert named in message
    assert "\n" not in message


def test_a_file_that_is_no_text_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "bell.toml"
    path.write_bytes(b"\xff\xfe\x00title")
    with pytest.raises(PresetError, match=r"bell\.toml:1: "):
        load_preset(path, Patch)


def test_line_of_an_absent_key_is_its_table() -> None:
    assert line_of(GOOD, ["layers", 1, "gain"]) == 13


def test_the_checkouts_presets_are_used() -> None:
    assert presets_folder() == Path(__file__).parents[2] / "presets"
