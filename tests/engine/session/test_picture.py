"""What the picture shows is where the music is: checked on its pixels."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from resonantgen.errors import BadValue, StorageError
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session.canvas import fit_text, plain, text_width
from resonantgen.session.picture import (
    ROLE_COLOURS,
    Grid,
    Lane,
    LaneBox,
    draw_session,
    envelope,
    layout,
    note_colour,
    save_picture,
)

TEMPO = TempoMap(Fraction(120), Meter(), 44_100)
Floats = NDArray[np.float64]


def lane(
    role: Role, notes: list[Note], bars: int = 2, samples: Floats | None = None, meter: Meter = TEMPO.meter
) -> Lane:
    return Lane(role, Score.of(notes, bars * meter.bar_ticks), samples)


def draw(lanes: list[Lane], bars: int = 2, tempo: TempoMap = TEMPO) -> tuple[NDArray[np.int64], Grid, list[LaneBox]]:
    """The picture's pixels `[height, width, 3]`, and where things should be."""
    picture = draw_session(lanes, tempo, bars, "a prompt")
    return np.asarray(picture).astype(np.int64), *layout(lanes, tempo, bars)


def close_to(pixels: NDArray[np.int64], colour: tuple[int, int, int], tolerance: int = 40) -> NDArray[np.bool_]:
    return np.abs(pixels - np.array(colour)).max(axis=-1) <= tolerance


def coloured(pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where there is more than the greys of panel, lines and labels: notes and waveforms are saturated."""
    return pixels.max(axis=-1) - pixels.min(axis=-1) > 60


def row(pixels: NDArray[np.int64], box: LaneBox, pitch: int) -> NDArray[np.int64]:
    """The line of pixels through the middle of a pitch's row: `[width, 3]`."""
    return pixels[round(box.row_top(pitch) + box.row_height / 2)]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([Meter(4, 4), Meter(7, 8), Meter(5, 4), Meter(12, 8)]),
    st.sampled_from([1, 2, 8, 64]),
    st.sampled_from([Role.BASS, Role.HARMONY, Role.MELODY]),
    st.integers(20, 100),
    st.floats(0, 0.9),
    st.floats(0.05, 0.5),
)
def test_a_note_is_where_its_ticks_say(
    meter: Meter, bars: int, role: Role, pitch: int, start: float, length: float
) -> None:
    ticks = bars * meter.bar_ticks
    note = Note(round(start * ticks), pitch, round(length * ticks), 100)
    tempo = TempoMap(Fraction("133.7"), meter, 44_100)
    pixels, grid, boxes = draw([lane(role, [note], bars, meter=meter)], bars, tempo)
    found = np.flatnonzero(close_to(row(pixels, boxes[0], pitch)[round(grid.left) :], ROLE_COLOURS[role])) + round(
        grid.left
    )
    first, last = grid.x(note.start_ticks), grid.x(min(note.end_ticks, ticks))
    # An edge may fall within a pixel, and rounded corners and the gap between neighbours take up to two.
    assert abs(found[0] - first) <= 1.5
    assert abs(found[-1] + 1 - last) <= 2
    assert len(found) == found[-1] - found[0] + 1


def test_a_higher_note_is_higher() -> None:
    notes = [Note(0, 60, 480, 100), Note(960, 67, 480, 100)]
    pixels, grid, boxes = draw([lane(Role.MELODY, notes)])
    heights = []
    for note in notes:
        column = pixels[:, round(grid.x(note.start_ticks + 240))]
        heights.append(np.flatnonzero(close_to(column, ROLE_COLOURS[Role.MELODY])).mean())
    # Seven semitones are seven rows.
    assert heights[0] - heights[1] == pytest.approx(7 * boxes[0].row_height, abs=1)


def test_kick_and_bass_stand_below_each_other() -> None:
    kicks = [Note(480 * n, DrumPiece.KICK, 60, 110) for n in range(8)]
    basses = [Note(480 * n, 36, 300, 100) for n in range(8)]
    pixels, grid, boxes = draw([lane(Role.DRUMS, kicks), lane(Role.BASS, basses)])
    starts = []
    for box, pitch in ((boxes[0], DrumPiece.KICK), (boxes[1], 36)):
        marked = coloured(row(pixels, box, pitch)[round(grid.left) - 1 :])
        starts.append(np.flatnonzero(np.diff(marked.astype(int)) == 1))
    assert len(starts[0]) == 8
    assert np.abs(starts[0] - starts[1]).max() <= 1


def test_louder_notes_are_brighter() -> None:
    light = [sum(note_colour(Role.BASS, velocity)) for velocity in (1, 40, 80, 100, 115, 127)]
    assert light == sorted(set(light))
    pixels, grid, boxes = draw([lane(Role.BASS, [Note(0, 40, 960, 30), Note(1920, 40, 960, 120)])])
    soft, loud = (row(pixels, boxes[0], 40)[round(grid.x(tick))].sum() for tick in (480, 2400))
    assert loud > soft + 100


def wave(frames: int, bursts: list[tuple[float, float]]) -> Floats:
    """Stereo noise between each pair of shares of the length, silence elsewhere."""
    samples = np.zeros((frames, 2))
    for start, end in bursts:
        part = slice(round(start * frames), round(end * frames))
        samples[part] = np.random.default_rng(1).uniform(-0.5, 0.5, samples[part].shape)
    return samples


def wave_area(pixels: NDArray[np.int64], grid: Grid, box: LaneBox) -> NDArray[np.bool_]:
    area = pixels[round(box.wave_top) : round(box.bottom) - 8, round(grid.left) : round(grid.left + grid.width)]
    return coloured(area)


def test_a_silent_lane_draws_no_waveform() -> None:
    frames = TEMPO.frames(2)
    pixels, grid, boxes = draw(
        [lane(Role.BASS, [], 2, np.zeros((frames, 2))), lane(Role.MELODY, [], 2, wave(frames, [(0, 1)]))]
    )
    assert not wave_area(pixels, grid, boxes[0]).any()
    assert wave_area(pixels, grid, boxes[1]).any(axis=0).mean() > 0.98


def test_sound_is_drawn_where_it_sounds() -> None:
    frames = TEMPO.frames(2)
    pixels, grid, boxes = draw([lane(Role.HARMONY, [], 2, wave(frames, [(0.25, 0.375), (0.75, 1.0)]))])
    columns = wave_area(pixels, grid, boxes[0]).any(axis=0)
    edges = np.flatnonzero(np.diff(columns.astype(int))) + 1
    # 2 bars are 3840 ticks: a quarter of them is beat 3 of the first bar.
    expected = [grid.x(tick) - grid.left for tick in (960, 1440, 2880)]
    assert np.abs(edges - expected).max() <= 1.5


def test_a_waveform_fills_its_height_whatever_its_level() -> None:
    frames = TEMPO.frames(2)
    heights = []
    for level in (1.0, 0.01):
        pixels, grid, boxes = draw([lane(Role.DRUMS, [], 2, level * wave(frames, [(0, 1)]))])
        heights.append(np.flatnonzero(wave_area(pixels, grid, boxes[0]).any(axis=1)).size)
    assert heights[0] == heights[1] > 50


def test_the_envelope_keeps_every_extreme() -> None:
    samples = wave(10_007, [(0, 1)])
    samples[5_000, 1], samples[7_001, 0] = 0.9, -0.8
    low, high, rms = envelope(samples, 300)
    assert (low.min(), high.max()) == (-0.8, 0.9)
    assert np.argmax(high) == 5_000 * 300 // 10_007
    assert np.all(rms <= np.maximum(high, -low)) and np.all(low <= high)
    assert np.sqrt(np.mean(rms**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=0.01)


@pytest.mark.parametrize("frames", [0, 1, 10, 299, 300])
def test_an_envelope_of_few_samples(frames: int) -> None:
    low, high, rms = envelope(np.full(frames, 0.5), 300)
    assert len(low) == len(high) == len(rms) == 300
    assert high.max(initial=0) == (0.5 if frames else 0)


def test_only_the_tracks_there_are_get_a_lane() -> None:
    one = [lane(Role.MELODY, [Note(0, 60, 480, 100)])]
    pixels, _, boxes = draw(one)
    assert [box.lane.role for box in boxes] == [Role.MELODY]
    for role in (Role.DRUMS, Role.BASS, Role.HARMONY):
        assert not close_to(pixels, ROLE_COLOURS[role], 20).any()
    assert draw([], 2)[0].shape[1] == 1600


def test_a_lock_is_drawn_for_locked_tracks_only() -> None:
    free = lane(Role.BASS, [])
    plain_pixels, grid, boxes = draw([free])
    locked_pixels = draw([replace(free, locked=True)])[0]
    changed = np.argwhere((plain_pixels != locked_pixels).any(axis=-1))
    assert len(changed) > 200
    assert changed[:, 1].max() < grid.left and changed[:, 0].min() > boxes[0].top


def test_four_lines_of_labels_and_a_lock_fit_beside_the_lowest_lane() -> None:
    kicks = lane(Role.DRUMS, [Note(0, 36, 120, 100)], samples=np.zeros(100))
    bare, _, boxes = draw([replace(kicks, locked=True)])
    labelled = draw([replace(kicks, locked=True, labels=("take 1", "musicgen", "stereo-medium", "notes as heard"))])[0]
    changed = np.argwhere((bare != labelled).any(axis=-1))
    assert len(changed) > 200
    assert boxes[0].top < changed[:, 0].min() and changed[:, 0].max() < boxes[0].bottom - 4


def test_a_lane_without_notes_says_whether_they_were_heard() -> None:
    bare = lane(Role.BASS, [])
    plain_pixels, grid, _ = draw([bare])
    changed = np.argwhere((plain_pixels != draw([replace(bare, heard=True)])[0]).any(axis=-1))
    assert len(changed) > 50 and changed[:, 1].min() > grid.left
    with_note = lane(Role.BASS, [Note(0, 40, 480, 100)])
    assert np.array_equal(draw([with_note])[0], draw([replace(with_note, heard=True)])[0])


def test_chords_stand_above_the_harmony_where_they_start() -> None:
    lanes = [lane(Role.HARMONY, [Note(0, 60, 3840, 90)])]
    grid, boxes = layout(lanes, TEMPO, 2)
    without = np.asarray(draw_session(lanes, TEMPO, 2, "x")).astype(int)
    chords = [("Am7", 0), ("F", 1920), ("F", 2880)]
    with_chords = np.asarray(draw_session(lanes, TEMPO, 2, "x", chords=chords)).astype(int)
    changed = np.argwhere((without != with_chords).any(axis=-1))
    assert boxes[0].chords_top <= changed[:, 0].min() and changed[:, 0].max() < boxes[0].roll_top
    columns = np.unique(changed[:, 1])
    assert abs(columns[0] - grid.x(0)) <= 1
    # Names: "Am7" then "F"; the repeated F is not written again.
    assert np.abs(columns - grid.x(1920)).min() <= 1
    assert columns.max() < grid.x(2880)


EXTREMES = [
    (1, Meter(2, 8), Fraction(400)),
    (1, Meter(12, 4), Fraction(20)),
    (64, Meter(7, 8), Fraction("97.3")),
    (64, Meter(12, 8), Fraction(400)),
]


@pytest.mark.parametrize(("bars", "meter", "tempo_bpm"), EXTREMES)
def test_every_size_of_session_can_be_drawn(bars: int, meter: Meter, tempo_bpm: Fraction) -> None:
    tempo = TempoMap(tempo_bpm, meter, 44_100)
    length = bars * meter.bar_ticks
    frames = min(tempo.frames(bars), 200_000)
    lanes = []
    for role in Role:
        pitches = (36, 42) if role is Role.DRUMS else (0, 127)
        notes = [Note(tick, pitch, 100, 90) for tick in range(0, length, 480) for pitch in pitches]
        lanes.append(
            Lane(
                role, Score.of(notes, length), wave(frames, [(0, 1)]), True, "take 1000", "a very long instrument name"
            )
        )
    chords = [("C#m7b5", tick) for tick in range(0, length, 480)]
    facts = ["fact " * 20] * 20
    picture = draw_session(lanes, tempo, bars, "words " * 2_000, facts, chords, Key(1, Mode.MINOR))
    assert picture.width == 1600 and 600 < picture.height < 1400
    pixels = np.asarray(picture)
    assert (pixels[:, :20] == pixels[0, 0]).all() and (pixels[:, -20:] == pixels[0, 0]).all(), "the margins are free"


def test_drum_keys_outside_the_kit_get_a_row() -> None:
    _, _, boxes = draw([lane(Role.DRUMS, [Note(0, 81, 100, 90)])])
    assert boxes[0].rows == (81, DrumPiece.CLOSED_HAT, DrumPiece.SNARE, DrumPiece.KICK)


def test_the_same_session_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_picture(tmp_path / name, draw_session([lane(Role.BASS, [Note(0, 40, 480, 90)])], TEMPO, 2, "x"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] == 1600


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        save_picture(tmp_path / "nowhere" / "a.png", Image.new("RGB", (8, 8)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Bässe – naïve\nF♯", "Basse - naive F#"), ("日本", "??"), ("½ “x”…", "1/2 “x”..."), ("a\tb \x00", "a b ?")],
)
def test_text_is_reduced_to_what_the_font_has(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_long_text_is_shortened_to_fit() -> None:
    text = "a dark and driving piece of techno"
    assert fit_text(text, 14, 1_000) == text
    short = fit_text(text, 14, 100)
    assert short.endswith("…") and text.startswith(short[:-1]) and text_width(short, 14) <= 100


PIXEL = Image.new("RGB", (1, 1))


@pytest.mark.parametrize("name", ["", ".", "night", "night.wav", "night.png.txt"])
def test_a_picture_is_only_written_to_a_png(name: str) -> None:
    with pytest.raises(BadValue, match=r"ends in \.png"):
        save_picture(Path(name), PIXEL)


def test_a_picture_replaces_nothing_but_files(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    obstacles = [tmp_path / "folder.png"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "link.png").symlink_to("/dev/null")
        (tmp_path / "loop.png").symlink_to("loop.png")
        obstacles += [tmp_path / "pipe.png", tmp_path / "link.png", tmp_path / "loop.png"]
    for path in obstacles:
        before = path.lstat()
        with pytest.raises(StorageError, match="not a file that can be replaced"):
            save_picture(path, PIXEL)
        assert path.lstat() == before


def test_a_picture_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"earlier")
    (tmp_path / "link.png").symlink_to("real.png")
    save_picture(tmp_path / "link.png", PIXEL)
    assert (tmp_path / "link.png").is_symlink()
    with Image.open(tmp_path / "real.png") as picture:
        assert picture.size == (1, 1)
