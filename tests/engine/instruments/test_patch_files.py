"""Patch files: those that ship, and what is said about those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.instruments.measuring import PATCHES, PITCHED
from resonantgen.errors import BadValue, PresetError
from resonantgen.instruments.catalog import catalog, preset_for_word
from resonantgen.instruments.patch import Patch, check_patch, load_patch
from resonantgen.music.notes import Role
from resonantgen.presets import load_preset

EXPECTED = {
    Role.BASS: "sub analog acid reese wobble fm pluck finger pick slap upright long_808 organ",
    Role.HARMONY: "warm_pad glass_pad saw_stab supersaw rhodes organ piano strings nylon_guitar clean_guitar "
    "distorted_guitar brass dub_chord choir",
    Role.MELODY: "saw_lead square_lead acid_lead supersaw_lead fm_bell pluck flute vibraphone muted_trumpet piano "
    "rhodes nylon_guitar distorted_guitar sine_lead music_box clavinet",
}
GOOD = """title = "Test"
words = ["test"]

[amplitude]
release_s = 0.2

[[oscillators]]
wave = "saw"
level = 0.5
"""


@pytest.mark.parametrize("role", PITCHED)
def test_every_patch_that_styles_may_name_is_there(role: Role) -> None:
    assert set(EXPECTED[role].split()) <= set(catalog(role))


@pytest.mark.parametrize(("role", "name"), PATCHES)
def test_every_patch_loads_and_can_be_asked_for_in_words(role: Role, name: str) -> None:
    patch = load_patch(role, name)
    assert patch is load_patch(role, name)
    assert len(patch.words) >= 6 and all(word == word.lower().strip() for word in patch.words)
    for word in patch.words:
        assert preset_for_word(role, word) == name, f'"{word}" asks for another patch first'


def test_an_unknown_patch_is_named_with_those_there_are() -> None:
    with pytest.raises(BadValue, match=r'no bass instrument "tuba". Known: acid, analog'):
        load_patch(Role.BASS, "tuba")


@pytest.mark.parametrize(
    ("wrong", "right", "line", "says"),
    [
        ("levle = 0.5", "level = 0.5", 9, "levle"),
        ("level = 1.5", "level = 0.5", 9, "<= 1.0"),
        ('wave = "saww"', 'wave = "saw"', 8, "saww"),
        ("release_s = -1.0", "release_s = 0.2", 5, ">= 0.01"),
    ],
)
def test_a_wrong_value_is_an_error_with_file_and_line(
    tmp_path: Path, wrong: str, right: str, line: int, says: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace(right, wrong), encoding="utf-8")
    with pytest.raises(PresetError) as error:
        load_preset(path, Patch)
    message = str(error.value)
    assert "\n" not in message and says in message
    assert message.startswith(f"{path}:{line}:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('title = "T"\nwords = []\n', "needs a sound source"),
        (GOOD + "\n[[operators]]\n\n[[operators]]\nto = 1\n", "operators.1.to"),
        (GOOD + "\n[modes]\nratios = [1.0, 2.0]\nlevels = [1.0]\n", "modes.levels"),
        (GOOD.replace("saw", "harmonics"), "oscillators.0.harmonics"),
        ("mono = true\n" + GOOD + "\n[pitch]\nglide_s = 0.1\n\n[string]\n", "pitch.glide_s"),
    ],
)
def test_parts_that_do_not_fit_together_are_an_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PresetError, match=says):
        check_patch(load_preset(path, Patch), path)
