"""The documentation names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from resonantgen.cli import commands
from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.catalog import catalog
from resonantgen.music.notes import Role

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("style_id", style_ids())
def test_the_guide_has_each_style_with_its_tempo_and_modes(style_id: str) -> None:
    style = load_style(style_id)
    modes = ", ".join(mode.value for mode in style.modes)
    kits = ", ".join(catalog(Role.DRUMS)[kit].title for kit in style.instruments.drums)
    row = f"| {style.title} | {style.tempo.low:g}-{style.tempo.high:g} | {', '.join(style.meters)} | {modes} | {kits} |"
    assert row in GUIDE


@pytest.mark.parametrize("role", Role)
def test_the_guide_has_each_instrument(role: Role) -> None:
    for preset_id, entry in catalog(role).items():
        assert f"{entry.title} (`{preset_id}`)" in GUIDE


def test_the_readme_has_each_command() -> None:
    for name in commands.commands:
        assert re.search(rf"\b{name}\b", README), name


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
