"""What all tests share: in CI a skipped test is a failure, unless tests/allowed_skips.txt names it with a reason."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Tests run side by side, one a core. Threads of torch's that wait for each other there turn seconds into minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# `encodec` brings torchaudio, of which no build fits torch's on every machine: whatever looks for it finds none.
sys.modules["torchaudio"] = None  # type: ignore[assignment]

ALLOWED_SKIPS = Path(__file__).parent / "allowed_skips.txt"

# Machines differ in speed: no example has a deadline. Examples are derived from the test itself, so a run repeats.
settings.register_profile("resonantgen", deadline=None, derandomize=True)
settings.load_profile("resonantgen")


def allowed_skips() -> set[str]:
    """Node ids that may be skipped in CI: the lines of the list, up to ` # reason`."""
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    return {line.partition(" # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if (
        report.skipped
        and os.environ.get("CI")
        and not hasattr(report, "wasxfail")
        and item.nodeid not in allowed_skips()
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI and is not in {ALLOWED_SKIPS.name}: {report.longrepr}"
