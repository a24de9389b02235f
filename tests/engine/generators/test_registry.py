"""Generators are found by role and name, and say what they have played."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resonantgen import packages
from resonantgen.errors import BadValue, ModelNotFound, ModelUnusable
from resonantgen.generators.base import Request
from resonantgen.generators.registry import (
    audio_generator_names,
    check_generator,
    generator_names,
    get_generator,
    require_audio_generator,
    summarise,
)
from resonantgen.models import folder
from resonantgen.music.notes import DrumPiece, Role
from rhythm import SEEDS, STYLES, bass_of, drums_of, plan_of


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_a_pattern_generator(role: Role) -> None:
    assert generator_names(role)[0] == "pattern"
    assert get_generator(role).name == "pattern"


def test_an_unknown_generator_is_refused_in_one_line() -> None:
    with pytest.raises(BadValue, match=r"^\"magic\" writes no notes for bass\. Those that do: pattern\.$"):
        get_generator(Role.BASS, "magic")


@pytest.mark.parametrize("role", list(Role))
def test_models_that_play_are_generators_of_any_role(role: Role) -> None:
    assert generator_names(role) == ["pattern", *audio_generator_names()]
    assert "musicgen-small" in audio_generator_names() and "encodec-24khz" not in audio_generator_names()
    for name in generator_names(role):
        check_generator(role, name)
    with pytest.raises(BadValue, match=rf'^"magic" is no generator for {role}\. Generators: pattern, .*musicgen-small'):
        check_generator(role, "magic")


def test_a_model_that_was_not_fetched_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folder.MODELS_VARIABLE, str(tmp_path))
    with pytest.raises(ModelNotFound, match="Fetch it with: resonantgen models pull musicgen-small"):
        require_audio_generator("musicgen-small")


def test_packages_that_are_not_installed_are_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "installed", lambda name: None)
    require_audio_generator("musicgen-small")
    there = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "transformers" else there(name))
    with pytest.raises(ModelUnusable, match=r"without transformers\..* pip install 'resonantgen\[musicgen\]'") as error:
        require_audio_generator("musicgen-small")
    assert "\n" not in str(error.value)


PROGRAM = """
import sys, resonantgen.generators.registry as registry
assert "resonantgen.generators.drums" not in sys.modules
assert "musicgen-small" in registry.generator_names("drums")
try:
    registry.require_audio_generator("musicgen-small")
except Exception as error:
    assert type(error).__name__ == "ModelNotFound", error
heavy = {"torch", "scipy", "transformers", "python_stretch", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""


def test_nothing_is_imported_before_it_is_asked_for(tmp_path: Path) -> None:
    environment = {**os.environ, folder.MODELS_VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120, env=environment)


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
