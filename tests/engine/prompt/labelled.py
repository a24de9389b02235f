"""Prompts with the styles and moods that are right for them, from the text files beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelledPrompt:
    """A prompt; the styles and the moods that count as right (None: none)."""

    text: str
    styles: frozenset[str | None]
    moods: frozenset[str | None]


def read_prompts(name: str) -> list[LabelledPrompt]:
    """The prompts of a file: `prompt | style,style | mood,mood`, with "-" for none; lines with # are comments."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.strip() and not line.startswith("#")]
    return [LabelledPrompt(text.strip(), _labels(styles), _labels(moods)) for text, styles, moods in rows]


def _labels(text: str) -> frozenset[str | None]:
    return frozenset(None if label.strip() == "-" else label.strip() for label in text.split(","))
