"""Ctrl-C while an engine starts: a terminal sends it to every process of the engine, and none has anything to say."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine_process import engine_process, needs_linux, wait_for

pytestmark = needs_linux


@pytest.mark.parametrize("children", [1, 2, 3])
def test_nothing_but_the_last_line_is_said(tmp_path: Path, children: int) -> None:
    """As soon as it has so many processes, which are then being loaded."""
    with engine_process(tmp_path / "night.rg", ready=False) as engine:
        wait_for("its processes", lambda: len(engine.children()) >= children)
        assert engine.end(signal.SIGINT, whole_group=True) == 0
        assert engine.errors == ""
        assert engine.lines[-1] == "Stopped. The project is saved."
        engine.wait_until_nothing_is_left()
