"""Edits move what they name: for every style, over ten seeds, in at least nine of them."""

from __future__ import annotations

import functools

import pytest

from lab import Song, style_song
from resonantgen.generators.style import style_ids
from resonantgen.instruments.measure import power_spectrum, spectral_centroid
from resonantgen.music.notes import Role

SEEDS = range(1, 11)
ENOUGH = 9  # of ten seeds


@functools.lru_cache(maxsize=40)
def song(style_id: str, seed: int, audible: bool) -> Song:
    return style_song(style_id, seed, bars=2 if audible else 4, audible=audible)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("style_id", style_ids())
def test_busier_and_sparser_move_the_number_of_notes_of_the_named_track_only(style_id: str, role: Role) -> None:
    more = fewer = 0
    for seed in SEEDS:
        before = song(style_id, seed, False)
        busier, sparser = before.edited(f"busier {role}"), before.edited(f"sparser {role}")
        more += len(busier.score(role)) > len(before.score(role))
        fewer += len(sparser.score(role)) < len(before.score(role))
        for other in set(Role) - {role}:
            assert busier.takes[other] is before.takes[other]
            assert sparser.takes[other] is before.takes[other]
    assert (more >= ENOUGH, fewer >= ENOUGH) == (True, True), f"more {more}/10, fewer {fewer}/10"


@pytest.mark.slow
@pytest.mark.parametrize("style_id", style_ids())
def test_brighter_and_darker_move_the_spectral_centroid_of_every_track(style_id: str) -> None:
    up, down = dict.fromkeys(Role, 0), dict.fromkeys(Role, 0)
    for seed in SEEDS:
        before = song(style_id, seed, True)
        brighter, darker = before.edited("brighter"), before.edited("darker")
        for role in Role:
            rate = before.settings.sample_rate
            centre = spectral_centroid(before.stems[role], rate)
            up[role] += spectral_centroid(brighter.stems[role], rate) > centre
            down[role] += spectral_centroid(darker.stems[role], rate) < centre
    assert min(up.values()) >= ENOUGH and min(down.values()) >= ENOUGH, f"up {up}, down {down}"


def aggression(made: Song, role: Role) -> float:
    """How hard a track is played: notes a bar times mean velocity, and (if it sounds) the power of its overtones."""
    velocities = [note.velocity for note in made.score(role)]
    return sum(velocities) / made.settings.bars


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("style_id", style_ids())
def test_more_aggressive_is_played_harder(style_id: str, role: Role) -> None:
    """Total velocity a bar: more notes, harder notes, or both."""
    harder = sum(
        aggression(song(style_id, seed, False).edited(f"make the {role} more aggressive"), role)
        > aggression(song(style_id, seed, False), role)
        for seed in SEEDS
    )
    assert harder >= ENOUGH, f"{harder}/10"


@pytest.mark.slow
@pytest.mark.parametrize("style_id", style_ids())
def test_a_more_aggressive_bass_has_more_overtones(style_id: str) -> None:
    """Energy above 200 Hz against the energy below: drive adds overtones, also where the same notes are played."""

    def overtones(made: Song) -> float:
        frequencies, power = power_spectrum(made.stems[Role.BASS].sum(axis=1), made.settings.sample_rate)
        return float(power[frequencies > 200].sum() / power[frequencies <= 200].sum())

    more = 0
    for seed in SEEDS:
        before = song(style_id, seed, True)
        more += overtones(before.edited("make the bass more aggressive")) > overtones(before)
    assert more >= ENOUGH, f"{more}/10"
