"""Words move what is measured in the bass: in every style, for at least nine of ten seeds."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import pytest

from resonantgen.music.notes import Score
from resonantgen.prompt.intent import Attributes
from rhythm import SEEDS, STYLES, bass_of, mean_pitch, mean_velocity

BUSIER, SPARSER = Attributes(density=0.5), Attributes(density=-0.5)
AGGRESSIVE = Attributes(aggression=0.5)


def mean_sounding(score: Score) -> float:
    return sum(note.duration_ticks for note in score) / score.length_ticks


CASES = {
    "more aggressive: harder": (AGGRESSIVE, mean_velocity, 1),
    "more aggressive: busier": (AGGRESSIVE, len, 1),
    "busier": (BUSIER, len, 1),
    "sparser": (SPARSER, len, -1),
    "darker": (Attributes(brightness=-0.5), mean_pitch, -1),
    "brighter": (Attributes(brightness=0.5), mean_pitch, 1),
    "more energy": (Attributes(energy=0.5), mean_velocity, 1),
    "more space": (Attributes(space=0.5), mean_sounding, -1),
}


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize("style_id", STYLES)
def test_words_move_the_part_in_nine_of_ten_seeds(style_id: str, words: str) -> None:
    attributes, measure, direction = CASES[words]
    measured: Callable[[Score], float] = measure
    moved = [
        (measured(bass_of(style_id, seed, attributes)) - measured(bass_of(style_id, seed))) * direction > 0
        for seed in SEEDS
    ]
    assert sum(moved) >= 9


@pytest.mark.parametrize("style_id", STYLES)
def test_density_reaches_further_than_the_difference_between_seeds(style_id: str) -> None:
    # At least 40 % more notes from -0.5 to +0.5, even if the seeds are others.
    sparse = fmean(len(bass_of(style_id, seed, SPARSER)) for seed in SEEDS[:5])
    busy = fmean(len(bass_of(style_id, seed, BUSIER)) for seed in SEEDS[5:])
    assert busy > 1.4 * sparse
