"""A project whose folder goes away while it is served: that it was saved is not claimed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine_process import engine_process, make_project, needs_linux

pytestmark = needs_linux


@pytest.mark.parametrize("away", ["removed", "renamed"])
def test_the_end_says_that_the_project_is_not_there(tmp_path: Path, away: str) -> None:
    project = make_project(tmp_path / "night.rg")
    with engine_process(project) as engine:
        assert engine.client.ping() == 1
        if away == "removed":
            shutil.rmtree(project)
        else:
            project.rename(tmp_path / "day.rg")
        assert engine.end() == 2
        assert "removed or renamed while it was being served" in engine.errors
        assert len(engine.errors.splitlines()) == 1
        assert not any("saved" in line for line in engine.lines)
