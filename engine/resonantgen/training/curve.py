"""A picture of a run: the loss over its steps, and below it each part and each held-out figure in its own panel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resonantgen.session.canvas import Canvas, Colour, blend, fit_text, plain
from resonantgen.session.picture import save_picture
from resonantgen.training.history import History

Array = NDArray[np.float64]

CURVE_NAME = "curve.png"

_BACKGROUND: Colour = (13, 16, 22)
_PANEL: Colour = (21, 26, 34)
_LINE: Colour = (49, 60, 76)
_MUTED: Colour = (125, 138, 156)
_TEXT: Colour = (226, 232, 240)
_LEARNED: Colour = (155, 140, 255)
_HELD_OUT: Colour = (74, 214, 190)

_WIDTH, _MARGIN, _GAP, _HEADER = 1200, 24, 12, 68
_LOSS_HEIGHT, _SMALL_HEIGHT, _IN_A_ROW = 300, 150, 3
_TITLE, _SCALE, _FOOT = 26, 56, 20  # of a panel: above, left of and below what is drawn in it
_SMOOTHED = 0.02  # of all steps, over which a curve's line is the mean
_LEFT_OUT = 0.005  # of the values, at each end, that the scale is not made for


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over the steps: learned from each, held out after some, or both."""

    name: str
    learned: Sequence[float] = ()  # of each step
    held_out: Sequence[tuple[int, float]] = ()  # after so many steps


def series_of(history: History) -> list[Series]:
    """The loss first, then its parts, then what only the held-out data has. Figures of one name share a panel."""
    held_out: dict[str, list[tuple[int, float]]] = {}
    for step, figures in history.evaluations:
        for name, value in figures.items():
            held_out.setdefault(name, []).append((step, value))
    learned = {"loss": history.losses, **history.parts}
    return [Series(name, learned.get(name, ()), held_out.get(name, ())) for name in {**learned, **held_out}]


def draw_curve(history: History, title: str, steps: int) -> Image.Image:
    """The picture. `steps` are those that the run will have in the end: the right edge."""
    loss, *others = series_of(history)
    rows = -(-len(others) // _IN_A_ROW)
    canvas = Canvas(_WIDTH, _HEADER + _LOSS_HEIGHT + rows * (_SMALL_HEIGHT + _GAP) + _MARGIN, _BACKGROUND)
    canvas.text(_MARGIN, 36, fit_text(plain(title), 22, _WIDTH - 520), 22, _TEXT)
    canvas.text(_WIDTH - _MARGIN, 36, f"step {history.steps} of {steps}", 14, _MUTED, "rm")
    for x, name, colour in ((_WIDTH - 440, "learned from", _LEARNED), (_WIDTH - 310, "held out", _HELD_OUT)):
        canvas.box(x, 34, x + 18, 38, colour, 2)
        canvas.text(x + 26, 36, name, 14, _MUTED)
    _draw_panel(canvas, loss, (_MARGIN, _HEADER, _WIDTH - _MARGIN, _HEADER + _LOSS_HEIGHT), steps)
    width = (_WIDTH - 2 * _MARGIN - (_IN_A_ROW - 1) * _GAP) / _IN_A_ROW
    for number, series in enumerate(others):
        row, column = divmod(number, _IN_A_ROW)
        left = _MARGIN + column * (width + _GAP)
        top = _HEADER + _LOSS_HEIGHT + _GAP + row * (_SMALL_HEIGHT + _GAP)
        _draw_panel(canvas, series, (left, top, left + width, top + _SMALL_HEIGHT), steps)
    return canvas.finish()


def save_curve(folder: Path, history: History, title: str, steps: int) -> None:
    """Renew the picture in a run's folder. Raises StorageError."""
    save_picture(folder / CURVE_NAME, draw_curve(history, title, steps))


def _draw_panel(canvas: Canvas, series: Series, box: tuple[float, float, float, float], steps: int) -> None:
    left, top, right, bottom = box
    canvas.box(left, top, right, bottom, _PANEL, 10)
    canvas.text(left + 14, top + 17, fit_text(plain(series.name), 14, right - left - 120), 14, _TEXT)
    latest = series.held_out[-1][1] if series.held_out else series.learned[-1] if series.learned else None
    if latest is not None:
        canvas.text(right - 14, top + 17, f"{latest:.4g}", 14, _MUTED, "rm")
    learned = np.asarray(series.learned, np.float64)
    values = np.concatenate([learned, [value for _, value in series.held_out]])
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = (float(v) for v in np.quantile(values, [_LEFT_OUT, 1 - _LEFT_OUT]))
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    area = (left + _SCALE, top + _TITLE + 8, right - 14, bottom - _FOOT)
    for value in (low, (low + high) / 2, high):
        y = _height(value, low, high, area)
        canvas.box(area[0], y - 0.25, area[2], y + 0.25, _LINE)
        canvas.text(area[0] - 8, y, f"{value:.3g}", 10.5, _MUTED, "rm")
    for step in (0, steps // 2, steps):
        canvas.text(area[0] + (area[2] - area[0]) * step / max(steps, 1), bottom - 9, str(step), 10.5, _MUTED, "mm")
    _draw_learned(canvas, learned, low, high, area, steps)
    places = [(area[0] + (area[2] - area[0]) * step / max(steps, 1), value) for step, value in series.held_out]
    points = [(x, _height(value, low, high, area)) for x, value in places if np.isfinite(value)]
    for (x, y), (next_x, next_y) in pairwise(points):
        columns = max(round((next_x - x) * canvas.columns_per_pixel), 1)
        _draw_line(canvas, x, np.linspace(y, next_y, columns + 1), _HELD_OUT)
    for x, y in points:
        canvas.box(x - 2.5, y - 2.5, x + 2.5, y + 2.5, _HELD_OUT, 2.5)


def _draw_learned(
    canvas: Canvas, values: Array, low: float, high: float, area: tuple[float, float, float, float], steps: int
) -> None:
    """What single steps had as a band, their running mean as a line."""
    known = np.flatnonzero(np.isfinite(values))
    columns = round((area[2] - area[0]) * canvas.columns_per_pixel * len(values) / max(steps, 1))
    if not len(known) or not columns:
        return
    filled = np.interp(np.arange(len(values)), known, values[known])
    edges = np.linspace(0, len(values), columns + 1)
    parts = list(_parts(filled, edges))
    heights = [[_height(value, low, high, area) for value in (part.max(), part.min())] for part in parts]
    canvas.columns(area[0], [h[0] for h in heights], [h[1] for h in heights], blend(_PANEL, _LEARNED, 0.3))
    width = max(round(len(values) * _SMOOTHED), 1)
    sums = np.concatenate([[0.0], np.cumsum(filled)])
    at = np.clip(edges[1:].astype(int), 1, len(values))
    first = np.maximum(at - width, 0)
    means = (sums[at] - sums[first]) / (at - first)
    _draw_line(canvas, area[0], np.array([_height(mean, low, high, area) for mean in means]), _LEARNED)


def _parts(values: Array, edges: Array) -> Iterator[Array]:
    """The values of each column: at least one."""
    for start, end in pairwise(edges):
        yield values[int(start) : max(int(end), int(start) + 1)]


def _draw_line(canvas: Canvas, left: float, heights: Array, colour: Colour) -> None:
    """A line through heights at the columns from `left` on, each joined to the one before."""
    before = np.concatenate([heights[:1], heights[:-1]])
    tops, bottoms = np.minimum(heights, before) - 0.8, np.maximum(heights, before) + 0.8
    canvas.columns(left, tops.tolist(), bottoms.tolist(), colour)


def _height(value: float, low: float, high: float, area: tuple[float, float, float, float]) -> float:
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return area[3] - share * (area[3] - area[1])
