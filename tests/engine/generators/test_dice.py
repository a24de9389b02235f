"""Named dice: a pure function of seed and name, evenly spread, independent of the order of rolls."""

from __future__ import annotations

import pytest

from resonantgen.generators.dice import Dice


def test_a_roll_depends_on_seed_and_name_only() -> None:
    first, second = Dice(7, "drums"), Dice(7, "drums")
    first.roll("something", "else")
    assert first.roll("kick", 3) == second.roll("kick", 3)
    assert Dice(8, "drums").roll("kick", 3) != first.roll("kick", 3)
    assert Dice(7, "bass").roll("kick", 3) != first.roll("kick", 3)


def test_rolls_are_pinned_so_that_takes_replay_with_later_versions() -> None:
    assert Dice(7, "drums").integer("kick", 0, 4) == 9854037962405367140


def test_parts_are_not_confused() -> None:
    dice = Dice(1)
    assert dice.roll("a", "bc") != dice.roll("ab", "c")
    assert dice.within("a").roll("b") != dice.roll("a", "b")


def test_rolls_are_uniform() -> None:
    """10,000 rolls in ten bins: each within 5 standard deviations (30) of 1,000."""
    dice = Dice(123)
    bins = [0] * 10
    for i in range(10_000):
        bins[int(dice.roll(i) * 10)] += 1
    assert all(abs(count - 1000) < 150 for count in bins), bins


def test_weighted_follows_the_weights() -> None:
    dice = Dice(5)
    counts = {"a": 0, "b": 0, "never": 0}
    for i in range(4000):
        counts[dice.weighted(["a", "b", "never"], [3, 1, 0], i)] += 1
    assert counts["never"] == 0
    assert counts["a"] / 4000 == pytest.approx(0.75, abs=0.035)  # 5 standard deviations


def test_choice_reaches_every_option() -> None:
    dice = Dice(9)
    assert {dice.choice("abcd", i) for i in range(100)} == set("abcd")
