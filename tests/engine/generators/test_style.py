"""Reading styles: what is wrong is said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from resonantgen.errors import BadValue, PresetError
from resonantgen.generators.style import load_style, read_style
from resonantgen.presets import presets_folder

TECHNO = (presets_folder() / "styles" / "techno.toml").read_text(encoding="utf-8")


def changed(folder: Path, old: str, new: str) -> tuple[Path, int]:
    """A copy of the techno style with one line changed, and that line's number."""
    lines = TECHNO.splitlines()
    number = next(i for i, line in enumerate(lines) if line.startswith(old))
    lines[number] = new
    path = folder / "changed.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path, number + 1


@pytest.mark.parametrize(
    ("old", "new", "about"),
    [
        ("diatonic =", "diatonik = true", "diatonik"),
        ("swing =", "swing = 1.5", "swing"),
        ("title =", "title = 7", "title"),
        ("tempo =", "tempo = { low = 150, usual = 132, high = 142 }", "low <= usual <= high"),
        ("meters =", 'meters = ["4/5"]', "4/5"),
        ("modes =", 'modes = ["dorian"]', "no progression for mode dorian"),
        ("modes =", 'modes = ["locrian"]', "locrian"),
        ("tonics =", 'tonics = ["H"]', '"H" is no note name'),
        ("chords =", 'chords = ["i", "Q"]', '"Q" is no roman numeral'),
        ("bars_each =", "bars_each = 0", "bars_each"),
        ("moods =", "moods = 3", "moods"),
        ("turnaround =", "turnaround = -0.1", "turnaround"),
        ("rhythm =", 'rhythm = "C..z .... .... ...."', '"z" means nothing'),
        ("rhythm =", 'rhythm = "C..."', "whole bars of 16 steps"),
        ("rhythm =", 'rhythm = ".... .... .... ...."', "at least one onset"),
        ("gate =", "gate = 0", "gate must be more than 0"),
        ("forms =", 'forms = ["AXBA"]', "forms"),
        ("phrase_bars =", "phrase_bars = 3", "phrase_bars"),
        ("palette =", 'palette = "octatonic"', "octatonic"),
        ("range_semitones =", "range_semitones = 60", "range_semitones"),
        ("drums =", "drums = []", "drums"),
        ("drums = -", "drums = 3", "drums"),
        ('kind = "pump"', 'kind = "sidechain"', "sidechain"),
        ("depth =", "depth = 2", "depth"),
        ("depth =", "deep = 0.5", "deep"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, about: str) -> None:
    path, line = changed(tmp_path, old, new)
    with pytest.raises(PresetError) as caught:
        read_style(path)
    message = str(caught.value)
    file, found, _ = message.split(":", 2)
    assert file == str(path)
    assert about in message
    # A fault that only shows in a whole table (a range, a rhythm) is reported where that table begins.
    assert int(found) == line or table_line(path, line) == int(found)
    assert "\n" not in message


def table_line(path: Path, line: int) -> int:
    """The line of the header of the table that a line is in: 1 above the first header."""
    above = path.read_text(encoding="utf-8").splitlines()[:line]
    return next((i for i in range(line, 0, -1) if above[i - 1].startswith("[")), 1)


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "headless.toml"
    path.write_text(TECHNO.replace('title = "Techno"\n', ""), encoding="utf-8")
    with pytest.raises(PresetError, match=r"headless\.toml:1: .*title"):
        read_style(path)


def test_a_style_takes_its_id_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "minimal.toml"
    path.write_text(TECHNO, encoding="utf-8")
    assert read_style(path).id == "minimal"


def test_an_unknown_style_is_named_and_the_known_ones_are_listed() -> None:
    with pytest.raises(BadValue, match=r'"polka" is no style\. .*techno'):
        load_style("polka")
