"""Edits move what they name: for every style, over ten seeds, in at least nine of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lab import Song, style_song
from resonantgen.generators.style import style_ids
from resonantgen.instruments.measure import power_spectrum, spectral_centroid
from resonantgen.music.notes import Role

SEEDS = range(1, 11)
ENOUGH = 9  # of ten seeds


@dataclass(frozen=True)
class TenSongs:
    """Ten seeds of one style, before any edit."""

    style_id: str
    songs: list[Song]


# Each style's songs are made once: pytest runs all tests of one style before it goes on to the next.
@pytest.fixture(scope="module", params=style_ids())
def composed(request: pytest.FixtureRequest) -> TenSongs:
    return TenSongs(request.param, [style_song(request.param, seed) for seed in SEEDS])


@pytest.fixture(scope="module", params=style_ids())
def rendered(request: pytest.FixtureRequest) -> TenSongs:
    return TenSongs(request.param, [style_song(request.param, seed, bars=2, audible=True) for seed in SEEDS])


@pytest.mark.parametrize("role", Role)
def test_busier_and_sparser_move_the_number_of_notes_of_the_named_track_only(composed: TenSongs, role: Role) -> None:
    more = fewer = 0
    for before in composed.songs:
        busier, sparser = before.edited(f"busier {role}"), before.edited(f"sparser {role}")
        more += len(busier.score(role)) > len(before.score(role))
        fewer += len(sparser.score(role)) < len(before.score(role))
        for other in set(Role) - {role}:
            assert busier.takes[other] is before.takes[other]
            assert sparser.takes[other] is before.takes[other]
    assert (more >= ENOUGH, fewer >= ENOUGH) == (True, True), f"more {more}/10, fewer {fewer}/10"


@pytest.mark.slow
def test_brighter_and_darker_move_the_spectral_centroid_of_every_track(rendered: TenSongs) -> None:
    up, down = dict.fromkeys(Role, 0), dict.fromkeys(Role, 0)
    for before in rendered.songs:
        brighter, darker = before.edited("brighter"), before.edited("darker")
        for role in Role:
            rate = before.settings.sample_rate
            centre = spectral_centroid(before.stems[role], rate)
            up[role] += spectral_centroid(brighter.stems[role], rate) > centre
            down[role] += spectral_centroid(darker.stems[role], rate) < centre
    assert min(up.values()) >= ENOUGH and min(down.values()) >= ENOUGH, f"up {up}, down {down}"


def aggression(made: Song, role: Role) -> float:
    """How hard a track is played: notes a bar times mean velocity."""
    velocities = [note.velocity for note in made.score(role)]
    return sum(velocities) / made.settings.bars


@pytest.mark.parametrize("role", Role)
def test_more_aggressive_is_played_harder(composed: TenSongs, role: Role) -> None:
    """Total velocity a bar: more notes, harder notes, or both."""
    words = f"make the {role} more aggressive"
    harder = sum(aggression(before.edited(words), role) > aggression(before, role) for before in composed.songs)
    assert harder >= ENOUGH, f"{harder}/10"


@pytest.mark.slow
def test_a_more_aggressive_bass_has_more_overtones(rendered: TenSongs) -> None:
    """Energy above 200 Hz against the energy below: drive adds overtones, also where the same notes are played."""

    def overtones(made: Song) -> float:
        frequencies, power = power_spectrum(made.stems[Role.BASS].sum(axis=1), made.settings.sample_rate)
        return float(power[frequencies > 200].sum() / power[frequencies <= 200].sum())

    more = 0
    for before in rendered.songs:
        more += overtones(before.edited("make the bass more aggressive")) > overtones(before)
    assert more >= ENOUGH, f"{more}/10"
