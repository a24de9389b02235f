import numpy as np
import pytest

from rendered import RATE
from resonantgen.audio.loop import close_loop, crossfade, seam_jump

TIME = np.arange(RATE) / RATE


def tone(hertz, level=0.3):
    return level * np.sin(2 * np.pi * hertz * TIME)[:, None] * np.ones((1, 2))


def test_a_cut_tone_clicks_and_a_closed_one_does_not():
    piece = tone(100.3) + tone(333.1)
    start, frames = 10_000, 20_011
    assert seam_jump(piece[start : start + frames]) > 5
    assert seam_jump(close_loop(piece, start, frames, 1_000)) < 1.2


@pytest.mark.parametrize(("start", "spare"), [(5_000, 0), (0, 5_000), (5_000, 5_000)], ids=["before", "after", "both"])
def test_a_loop_is_closed_with_what_there_is(start, spare):
    piece = tone(100.3)[: start + 20_011 + spare]
    assert seam_jump(close_loop(piece, start, 20_011, 1_000)) < 1.2


def test_the_start_is_left_as_it_is_where_something_comes_before_it():
    piece = np.random.default_rng(2).standard_normal((5_000, 2))
    loop = close_loop(piece, 1_000, 3_000, 400)
    assert np.array_equal(loop[:2_600], piece[1_000:3_600])
    assert np.abs(loop[-1] - piece[999]).max() < 0.02  # the frame before the start leads to it


def test_a_loop_of_a_whole_piece_is_that_piece():
    piece = tone(440)
    assert np.array_equal(close_loop(piece, 0, len(piece), 1_000), piece)


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_a_crossfade_keeps_the_power(alike):
    random = np.random.default_rng(3)
    first, other = random.standard_normal((2, 200_000, 1))
    second = alike * first + np.sqrt(1 - alike**2) * other
    mixed = crossfade(first, second)
    powers = (mixed**2).reshape(10, -1).mean(axis=1)
    assert np.abs(10 * np.log10(powers)).max() < 0.15


def test_silence_has_no_seam():
    assert seam_jump(np.zeros((1_000, 2))) == 0
