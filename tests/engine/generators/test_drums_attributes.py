"""Words move what is measured in drums: in every style, for at least nine of ten seeds."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import pytest

from resonantgen.music.notes import Score
from resonantgen.prompt.intent import Attributes
from rhythm import SEEDS, STYLES, bright_share, drums_of, mean_velocity

BUSIER, SPARSER = Attributes(density=0.5), Attributes(density=-0.5)


def total_velocity(score: Score) -> int:
    return sum(note.velocity for note in score)


CASES = {
    "more aggressive": (Attributes(aggression=0.5), mean_velocity, 1),
    "calmer": (Attributes(aggression=-0.5), mean_velocity, -1),
    "busier": (BUSIER, len, 1),
    "sparser": (SPARSER, len, -1),
    "darker": (Attributes(brightness=-0.5), bright_share, -1),
    "brighter": (Attributes(brightness=0.5), bright_share, 1),
    "more energy": (Attributes(energy=0.5), total_velocity, 1),
    "more space": (Attributes(space=0.5), len, -1),
}


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize("style_id", STYLES)
def test_words_move_the_part_in_nine_of_ten_seeds(style_id: str, words: str) -> None:
    attributes, measure, direction = CASES[words]
    measured: Callable[[Score], float] = measure
    moved = [
        (measured(drums_of(style_id, seed, attributes)) - measured(drums_of(style_id, seed))) * direction > 0
        for seed in SEEDS
    ]
    assert sum(moved) >= 9


@pytest.mark.parametrize("style_id", STYLES)
def test_density_reaches_further_than_the_difference_between_seeds(style_id: str) -> None:
    # At least 40 % more notes from -0.5 to +0.5, even if the seeds are others.
    sparse = fmean(len(drums_of(style_id, seed, SPARSER)) for seed in SEEDS[:5])
    busy = fmean(len(drums_of(style_id, seed, BUSIER)) for seed in SEEDS[5:])
    assert busy > 1.4 * sparse


@pytest.mark.parametrize("style_id", STYLES)
def test_more_density_never_takes_notes_away(style_id: str) -> None:
    for seed in SEEDS[:3]:
        counts = [len(drums_of(style_id, seed, Attributes(density=d))) for d in (-1.0, -0.5, 0.0, 0.5, 1.0)]
        assert counts == sorted(counts)
        assert counts[0] < counts[-1]
