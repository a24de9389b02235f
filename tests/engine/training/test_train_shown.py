"""What a person sees of a run: lines where there is no terminal, a bar where there is, and the curve."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from resonantgen.training.curve import CURVE_NAME, draw_curve, save_curve, series_of
from resonantgen.training.history import History
from resonantgen.training.loop import train
from resonantgen.training.memory import keep_memory
from resonantgen.training.progress import TrainProgress, duration_text, figures_text, recent
from tiny_training import SETTINGS, LineTask


def history_of(steps: int) -> History:
    history = History()
    for step in range(steps):
        history.add(2.0 - step / steps, {"mel": 1.0, "snr": float(step)})
        if step % 10 == 9:
            history.evaluations.append((step + 1, {"mel": 1.5, "drums dB": float(step)}))
    return history


def test_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    text = io.StringIO()
    saved: list[int] = []
    progress = TrainProgress(Console(file=text, width=200), lambda history, folder: saved.append(history.steps))
    train(LineTask(), SETTINGS, tmp_path, progress)
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("  step 1 of 40   loss ") and "squares" in lines[0] and "steps/s" in lines[0]
    assert lines[-2].startswith("  step 40 of 40 ") and lines[-2].endswith(" 0:00 left")
    assert [line.split(":")[0] for line in lines if "held out" in line] == [
        f"  step {step}, held out" for step in (10, 20, 30, 40)
    ]
    assert saved == [40]


def test_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    class Ends(TrainProgress):
        def stepped(self, history: History) -> None:
            if history.steps == 15:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(LineTask(), replace(SETTINGS, save_seconds=0.0), tmp_path, Ends(Console(file=io.StringIO())))
    text = io.StringIO()
    train(LineTask(), SETTINGS, tmp_path, TrainProgress(Console(file=text, width=200)))
    assert text.getvalue().startswith("  Going on after step 14 of 40.")


def test_a_bar_in_a_terminal(tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160, color_system=None)
    train(LineTask(), SETTINGS, tmp_path, TrainProgress(console))
    assert "40/40" in text.getvalue()


def test_figures() -> None:
    history = history_of(100)
    assert recent(history)["snr"] == pytest.approx(np.mean(range(50, 100)))
    assert figures_text({"loss": 2.0, "mel": 0.12345}) == "loss 2   mel 0.1235"
    assert [duration_text(seconds) for seconds in (7, 61.4, 3723)] == ["0:07", "1:01", "1:02:03"]


def test_a_part_that_comes_later_is_not_known_before() -> None:
    history = History()
    history.add(1.0, {"a": 1.0})
    history.add(2.0, {"b": 3.0})
    assert history.parts["a"][0] == 1.0 and math.isnan(history.parts["a"][1])
    assert math.isnan(history.parts["b"][0]) and history.latest()["b"] == 3.0


def test_series_of_one_name_share_a_panel() -> None:
    series = {each.name: each for each in series_of(history_of(20))}
    assert list(series) == ["loss", "mel", "snr", "drums dB"]
    assert len(series["mel"].learned) == 20 and series["mel"].held_out == [(10, 1.5), (20, 1.5)]
    assert not series["drums dB"].learned


def test_the_curve_falls_as_the_loss_does() -> None:
    """The line's brightest pixels, from left to right, go down; and end where the run has come to."""
    picture = np.asarray(draw_curve(history_of(50), "a run", 100)).astype(int)
    panel = picture[100:345, 80:1160]
    is_line = (abs(panel - np.array([155, 140, 255])).sum(axis=2)) < 60
    columns = [np.flatnonzero(is_line[:, x]) for x in range(panel.shape[1])]
    drawn = [x for x, rows in enumerate(columns) if len(rows)]
    assert 0.45 < drawn[-1] / panel.shape[1] < 0.53
    heights = [float(columns[x].mean()) for x in drawn]
    assert heights[-1] > heights[0] + 150
    assert all(later >= earlier - 3 for earlier, later in zip(heights, heights[5:], strict=False))


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_curve_of_next_to_nothing(tmp_path: Path, steps: int) -> None:
    save_curve(tmp_path, history_of(steps), "short", 100)
    with Image.open(tmp_path / CURVE_NAME) as picture:
        picture.load()


def test_memory_is_left_alone_in_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    def restarted(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr("os.execv", restarted)
    monkeypatch.delenv("MALLOC_TOP_PAD_", raising=False)
    monkeypatch.setattr("sys.argv", ["pytest", "tests"])
    keep_memory("train")
