"""Draws a session: piano rolls and waveforms of all tracks on one bar grid.

It knows plain values only (lanes, a tempo map, chord names), nothing of sessions. Every horizontal position is
`left + ticks * width / length`, for notes and for samples alike, so what sounds together stands below each other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resonantgen.errors import BadValue, StorageError, quoted
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.theory import SHARPS, Key
from resonantgen.music.time import TempoMap
from resonantgen.session.canvas import Canvas, Colour, blend, fit_text, plain, text_width
from resonantgen.session.files import storage_errors, write_file

_BACKGROUND: Colour = (13, 16, 22)
_PANEL: Colour = (21, 26, 34)
_BLACK_KEY: Colour = (17, 21, 28)
_WELL: Colour = (15, 18, 25)  # behind a waveform
_BEAT_LINE: Colour = (30, 37, 48)
_BAR_LINE: Colour = (49, 60, 76)
_MUTED: Colour = (125, 138, 156)
_TEXT: Colour = (226, 232, 240)
_WHITE: Colour = (255, 255, 255)
ROLE_COLOURS: dict[Role, Colour] = {
    Role.DRUMS: (255, 180, 84),
    Role.BASS: (255, 107, 122),
    Role.HARMONY: (155, 140, 255),
    Role.MELODY: (74, 214, 190),
}

_NAME = "ResonantGen"
_MARGIN, _GUTTER, _LABELS = 24, 124, 62  # left of the grid: margin, track names, row names
_HEADER, _RULER, _GAP, _PADDING = 104, 26, 12, 8
_DRUM_ROW, _CHORD_STRIP, _WAVE, _WAVE_GAP = 15, 24, 64, 8
_SEMITONE, _LOWEST_ROLL, _HIGHEST_ROLL = 7, 120, 200  # pixels: a row if there is room, and a pitched roll's height
_FEWEST_SEMITONES = 16  # a pitched lane shows at least so many, so that a row is never a slab
_USUAL_PIECES = frozenset({DrumPiece.KICK, DrumPiece.SNARE, DrumPiece.CLOSED_HAT})  # rows that are there even if empty
_PIECE_NAMES = {int(piece): piece.word.replace("_", " ").capitalize() for piece in DrumPiece}
_HIT_TICKS, _WIDEST_HIT = 90, 14  # drums have no length worth showing; ticks, but at most so many pixels
_LABEL_HEIGHT = 12
# Pixels from which beats get lines, each bar gets a number, each beat gets a number.
_NARROWEST_BEAT, _NARROWEST_BAR, _WIDE_BEAT = 7.0, 30.0, 120.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One track as it is drawn. `samples` are `[frames]` or `[frames, channels]`; None leaves the waveform out."""

    role: Role
    score: Score
    samples: NDArray[np.floating] | None = None
    locked: bool = False
    labels: tuple[str, ...] = ()  # lines below its name: "take 3", "909"
    heard: bool = False  # whether its notes are what an ear found in its sound


@dataclass(frozen=True, slots=True)
class Grid:
    """Where time is: ticks to pixels."""

    left: float
    width: float
    length_ticks: int

    def x(self, tick: float) -> float:
        return self.left + tick * self.width / self.length_ticks


@dataclass(frozen=True, slots=True)
class LaneBox:
    """Where a lane is drawn, in pixels from the top. The roll's rows run from `roll_top` to `roll_bottom`."""

    lane: Lane
    rows: tuple[int, ...]  # pitches, the highest first
    top: float
    chords_top: float
    roll_top: float
    roll_bottom: float
    wave_top: float
    bottom: float

    @property
    def row_height(self) -> float:
        return (self.roll_bottom - self.roll_top) / len(self.rows)

    def row_top(self, pitch: int) -> float:
        return self.roll_top + self.rows.index(pitch) * self.row_height


def draw_session(
    lanes: Sequence[Lane],
    tempo: TempoMap,
    bars: int,
    title: str,
    facts: Sequence[str] = (),
    chords: Sequence[tuple[str, int]] = (),
    key: Key | None = None,
    width_px: int = 1600,
) -> Image.Image:
    """The picture, at least 800 pixels wide and as high as the lanes need.

    `title` is the prompt, `facts` what stands below it ("128 bpm", "A minor"), `chords` are names with the ticks where
    they start; `key` decides how notes are spelled.
    """
    grid, boxes = layout(lanes, tempo, bars, width_px)
    canvas = Canvas(max(width_px, 800), round(boxes[-1].bottom if boxes else _HEADER + _RULER) + _MARGIN, _BACKGROUND)
    _draw_header(canvas, title, facts)
    _draw_ruler(canvas, grid, tempo, bars)
    for box in boxes:
        _draw_panel(canvas, grid, box, tempo, bars, key)
        if box.lane.role is Role.HARMONY and chords:
            _draw_chords(canvas, grid, box, chords)
        for note in box.lane.score:
            _draw_note(canvas, grid, box, note)
        if box.lane.samples is not None:
            _draw_waveform(canvas, grid, box, box.lane.samples)
    return canvas.finish()


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG, whole or not at all, also over an earlier file. A link's target is written, not the link.

    Raises BadValue for a name that is none of a PNG, StorageError for a folder, a device and the like.
    """
    if path.suffix.lower() != ".png":
        raise BadValue(f"{quoted(str(path))} is no name for a picture. Give a file that ends in .png.")
    with storage_errors(path):
        target = Path(os.path.realpath(path))
        if not target.is_file() and (target.exists() or target.is_symlink()):  # a link still: it leads to itself
            raise StorageError(f"{path} is not a file that can be replaced. Choose another name for the picture.")
        data = BytesIO()
        picture.save(data, format="PNG", optimize=True)
        write_file(target, data.getvalue())


def layout(lanes: Sequence[Lane], tempo: TempoMap, bars: int, width_px: int = 1600) -> tuple[Grid, list[LaneBox]]:
    """Where `draw_session` puts everything."""
    left = _MARGIN + _GUTTER + _LABELS
    grid = Grid(left, max(width_px, 800) - left - _MARGIN - _PADDING, bars * tempo.meter.bar_ticks)
    boxes: list[LaneBox] = []
    top: float = _HEADER + _RULER
    for lane in lanes:
        rows = _rows(lane)
        chords_top = top + _PADDING
        roll_top = chords_top + _CHORD_STRIP * (lane.role is Role.HARMONY)
        if lane.role is Role.DRUMS:
            roll_bottom = roll_top + _DRUM_ROW * len(rows)
        else:
            roll_bottom = roll_top + min(max(_SEMITONE * len(rows), _LOWEST_ROLL), _HIGHEST_ROLL)
        wave_top = roll_bottom + _WAVE_GAP
        bottom = wave_top + _WAVE * (lane.samples is not None) + _PADDING
        boxes.append(LaneBox(lane, rows, top, chords_top, roll_top, roll_bottom, wave_top, bottom))
        top = bottom + _GAP
    return grid, boxes


def _rows(lane: Lane) -> tuple[int, ...]:
    pitches = {note.pitch for note in lane.score}
    if lane.role is Role.DRUMS:
        return tuple(sorted(pitches | _USUAL_PIECES, reverse=True))
    low, high = (min(pitches) - 1, max(pitches) + 1) if pitches else (60, 60)
    missing = max(0, _FEWEST_SEMITONES - (high - low + 1))
    return tuple(range(high + missing // 2, low - (missing - missing // 2) - 1, -1))


def _draw_header(canvas: Canvas, title: str, facts: Sequence[str]) -> None:
    name_width = text_width(_NAME, 14) + 24
    canvas.text(canvas.width - _MARGIN, 38, _NAME, 14, _MUTED, "rm")
    title = fit_text(plain(title), 26, canvas.width - 2 * _MARGIN - name_width)
    canvas.text(_MARGIN, 38, title, 26, _TEXT)
    x: float = _MARGIN
    for fact in facts:
        fact = fit_text(plain(fact), 14, 260)
        right = x + text_width(fact, 14) + 24
        if right > canvas.width - _MARGIN:
            break
        canvas.box(x, 64, right, 90, _PANEL, 13)
        canvas.text(x + 12, 77.5, fact, 14, blend(_MUTED, _TEXT, 0.6))
        x = right + 8


def _draw_ruler(canvas: Canvas, grid: Grid, tempo: TempoMap, bars: int) -> None:
    """Bar numbers: with the beats where there is much room, each second, fourth, … only where there is little."""
    meter, bar_width = tempo.meter, grid.width / bars
    step = 2 ** max(0, math.ceil(math.log2(_NARROWEST_BAR / bar_width)))
    beats = meter.beats_ticks if bar_width / len(meter.beats_ticks) >= _WIDE_BEAT else (0,)
    for bar in range(0, bars, step):
        for number, beat in enumerate(beats, 1):
            x = grid.x(bar * meter.bar_ticks + beat)
            canvas.box(x - 0.5, _HEADER + (8 if beat == 0 else 14), x + 0.5, _HEADER + _RULER - 4, _BAR_LINE)
            label = str(bar + 1) if beat == 0 else f"{bar + 1}.{number}"
            canvas.text(x + 5, _HEADER + 14, label, 12, _MUTED if beat == 0 else blend(_BACKGROUND, _MUTED, 0.55))


def _draw_panel(canvas: Canvas, grid: Grid, box: LaneBox, tempo: TempoMap, bars: int, key: Key | None) -> None:
    """A lane without its notes: names on the left, rows and lines on the right."""
    lane, colour = box.lane, ROLE_COLOURS[box.lane.role]
    canvas.box(_MARGIN, box.top, canvas.width - _MARGIN, box.bottom, _PANEL, 10)
    canvas.box(_MARGIN, box.top + 10, _MARGIN + 3, box.bottom - 10, colour, 1.5)
    _draw_names(canvas, box, colour)
    for pitch in box.rows:
        top = box.row_top(pitch)
        dark = box.rows.index(pitch) % 2 if lane.role is Role.DRUMS else len(SHARPS[pitch % 12]) > 1
        if dark:
            canvas.box(grid.left, top, grid.x(grid.length_ticks), top + box.row_height, _BLACK_KEY)
    bottom = box.bottom - _PADDING
    if lane.samples is not None:
        canvas.box(grid.left, box.wave_top, grid.x(grid.length_ticks), bottom, _WELL)
    for tick, is_bar in _lines(grid, tempo, bars):
        x = grid.x(tick)
        canvas.box(x - 0.5, box.roll_top, x + 0.5, bottom, _BAR_LINE if is_bar else _BEAT_LINE)
    for pitch in box.rows:
        if lane.role is not Role.DRUMS and pitch % 12 == 0:
            line = box.row_top(pitch) + box.row_height
            canvas.box(grid.left, line - 0.5, grid.x(grid.length_ticks), line + 0.5, _BAR_LINE)
    for pitch, label in _row_labels(box, key):
        canvas.text(grid.left - 8, box.row_top(pitch) + box.row_height / 2, label, 10.5, _MUTED, "rm")
    if not lane.score.notes:
        x, y = grid.x(grid.length_ticks / 2), (box.roll_top + box.roll_bottom) / 2
        words = "no notes heard" if lane.heard else "no notes"
        half = text_width(words, 13) / 2 + 18
        canvas.box(x - half, y - 13, x + half, y + 13, _PANEL, 13)
        canvas.text(x, y, words, 13, _MUTED, "mm")


def _draw_names(canvas: Canvas, box: LaneBox, colour: Colour) -> None:
    x, y, width = _MARGIN + 16, box.top + 22, _GUTTER - 16
    canvas.text(x, y, box.lane.role.value.capitalize(), 17, colour)
    for label in box.lane.labels:
        y += 18
        canvas.text(x, y, fit_text(plain(label), 12, width), 12, _MUTED)
    if box.lane.locked:
        y += 24
        background = blend(_PANEL, colour, 0.22)
        canvas.box(x, y - 10, x + 68, y + 10, background, 10)
        canvas.padlock(x + 9, y, 12, colour, background)
        canvas.text(x + 25, y, "locked", 11.5, blend(colour, _WHITE, 0.3))


def _lines(grid: Grid, tempo: TempoMap, bars: int) -> Iterator[tuple[int, bool]]:
    """Ticks of the lines to draw, and whether each is a bar's; beats are left out where there is little room."""
    meter = tempo.meter
    bar_width = grid.width / bars
    beats = meter.beats_ticks if bar_width / len(meter.beats_ticks) >= _NARROWEST_BEAT else (0,)
    for bar in range(bars):
        for beat in beats:
            yield bar * meter.bar_ticks + beat, beat == 0
    yield bars * meter.bar_ticks, True


def _row_labels(box: LaneBox, key: Key | None) -> Iterator[tuple[int, str]]:
    """Drums: every row. Pitched tracks: each C, and the lowest and highest note where there is room (C4 is 60)."""
    if box.lane.role is Role.DRUMS:
        yield from ((pitch, _PIECE_NAMES.get(pitch, f"Key {pitch}")) for pitch in box.rows)
        return
    labelled = [pitch for pitch in box.rows if pitch % 12 == 0]
    pitches = [note.pitch for note in box.lane.score]
    for pitch in (min(pitches), max(pitches)) if pitches else ():
        if all(abs(pitch - other) * box.row_height >= _LABEL_HEIGHT for other in labelled):
            labelled.append(pitch)
    for pitch in labelled:
        name = key.name_of(pitch) if key else SHARPS[pitch % 12]
        octave = (pitch + {"B#": -1, "Cb": 1}.get(name, 0)) // 12 - 1
        yield pitch, f"{name}{octave}"


def note_colour(role: Role, velocity: int) -> Colour:
    """A role's colour, from dim at velocity 1 to full at 100 and towards white above."""
    colour = ROLE_COLOURS[role]
    if velocity <= 100:
        return blend(_PANEL, colour, 0.3 + 0.7 * velocity / 100)
    return blend(colour, _WHITE, 0.5 * (velocity - 100) / 27)


def _draw_note(canvas: Canvas, grid: Grid, box: LaneBox, note: Note) -> None:
    colour = note_colour(box.lane.role, note.velocity)
    top, height = box.row_top(note.pitch), box.row_height
    left = grid.x(note.start_ticks)
    if box.lane.role is Role.DRUMS:
        inset = 1.5 + (0.25 * height) * (1 - note.velocity / 127)  # soft hits are smaller as well
        right = min(grid.x(note.start_ticks + _HIT_TICKS), left + _WIDEST_HIT)
    else:
        inset = 0.5 if height >= 4 else 0.0
        right = grid.x(note.end_ticks) - 0.5
    canvas.box(left, top + inset, right, top + height - inset, colour, 2)


def _draw_chords(canvas: Canvas, grid: Grid, box: LaneBox, chords: Sequence[tuple[str, int]]) -> None:
    """Chord names where the chords change; a name for which there is no room is left out, its line is not."""
    colour = ROLE_COLOURS[Role.HARMONY]
    middle = box.chords_top + _CHORD_STRIP / 2 - 3
    free_from, before = grid.left, ""
    for name, tick in chords:
        if name == before:
            continue
        before = name
        x = grid.x(tick)
        canvas.box(x - 0.5, box.chords_top, x + 0.5, box.roll_top, blend(_PANEL, colour, 0.5))
        if x >= free_from and name:
            canvas.text(x + 5, middle, name, 13.5, blend(colour, _WHITE, 0.45))
            free_from = x + text_width(name, 13.5) + 8


def _draw_waveform(canvas: Canvas, grid: Grid, box: LaneBox, samples: NDArray[np.floating]) -> None:
    """Lowest and highest sample in each column, and brighter inside it the root mean square; scaled to the peak."""
    middle, half = box.wave_top + _WAVE / 2, _WAVE / 2
    right = grid.x(grid.length_ticks)
    canvas.box(grid.left, middle - 0.5, right, middle + 0.5, _BAR_LINE)
    low, high, rms = envelope(samples, round(grid.width * canvas.columns_per_pixel))
    peak = max(-low.min(initial=0.0), high.max(initial=0.0))
    if peak <= 0:
        canvas.text(grid.left - 8, middle, "silent", 10.5, _MUTED, "rm")
        return
    scale = half / peak
    colour = ROLE_COLOURS[box.lane.role]
    canvas.columns(grid.left, list(middle - high * scale), list(middle - low * scale), blend(_PANEL, colour, 0.45))
    canvas.columns(grid.left, list(middle - rms * scale), list(middle + rms * scale), blend(_PANEL, colour, 0.95))
    canvas.text(grid.left - 8, middle, f"{20 * math.log10(peak):.1f} dB", 10.5, _MUTED, "rm")


def envelope(
    samples: NDArray[np.floating], columns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Minimum, maximum and root mean square of each of so many equal stretches, over all channels: each `[columns]`."""
    if not len(samples):
        return np.zeros(columns), np.zeros(columns), np.zeros(columns)
    flat = np.asarray(samples, dtype=np.float64).reshape(len(samples), -1)
    starts = np.minimum(np.arange(columns) * len(flat) // columns, len(flat) - 1)
    low = np.minimum.reduceat(flat.min(axis=1), starts)
    high = np.maximum.reduceat(flat.max(axis=1), starts)
    counts = np.maximum(np.diff(starts, append=len(flat)), 1)
    power = np.add.reduceat((flat**2).mean(axis=1), starts) / counts
    return low, high, np.sqrt(power)
