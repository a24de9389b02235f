"""Generators are found by role and name, and say what they have played."""

from __future__ import annotations

import subprocess
import sys

import pytest

from resonantgen.errors import BadValue
from resonantgen.generators.base import Request
from resonantgen.generators.registry import generator_names, get_generator, summarise
from resonantgen.music.notes import DrumPiece, Role
from rhythm import SEEDS, STYLES, bass_of, drums_of, plan_of


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_a_pattern_generator(role: Role) -> None:
    assert generator_names(role)[0] == "pattern"
    assert get_generator(role).name == "pattern"


def test_an_unknown_generator_is_refused_in_one_line() -> None:
    with pytest.raises(BadValue, match=r"^\"magic\" is no generator for bass\. Generators: pattern\.$"):
        get_generator(Role.BASS, "magic")


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, resonantgen.generators.registry; print('resonantgen.generators.drums' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("style_id", STYLES)
def test_drum_summaries_are_true(style_id: str) -> None:
    for seed in SEEDS:
        plan, score = plan_of(style_id, seed), drums_of(style_id, seed)
        text = summarise(score, Request(Role.DRUMS, plan, seed))
        assert text.startswith(plan.style.drums.feel)
        assert "8" in text.rsplit("fill", 1)[1]
        rides = [n.start_ticks // plan.meter.bar_ticks for n in score if n.pitch == DrumPiece.RIDE]
        assert ("ride from bar" in text) == (bool(rides) and min(rides) >= 2)
        if "ride from bar" in text:
            assert f"ride from bar {min(rides) + 1}" in text


def test_bass_summaries_name_the_line_the_kick_and_the_roots() -> None:
    plan, drums = plan_of("techno", 1), drums_of("techno", 1)
    request = Request(Role.BASS, plan, 1, context={Role.DRUMS: drums})
    text = summarise(bass_of("techno", 1), request)
    line, roots = text.rsplit(", ", 1)
    assert line.removesuffix(" between the kicks") in [p.name for p in plan.style.bass.patterns]
    starts = range(0, plan.length_ticks, plan.meter.bar_ticks)
    played = [plan.key.name_of(plan.chords.at(tick).chord.root) for tick in starts]
    assert roots.split() == played[: len(roots.split())]
