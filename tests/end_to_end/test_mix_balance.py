"""The mix of each style, measured over ten seeds, and what each stem keeps to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from lab import Song, style_song
from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.measure import (
    correlation,
    crest_factor_db,
    energy_share_below,
    seam_roughness,
    side_share_below,
    spectrum_slope,
    true_peak_db,
)
from resonantgen.music.notes import Role

SEEDS = range(1, 11)

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class TenSongs:
    """Ten seeds of one style."""

    style_id: str
    songs: list[Song]


@pytest.fixture(scope="module", params=style_ids())
def ten(request: pytest.FixtureRequest) -> TenSongs:
    """Each style's songs are rendered once: pytest runs all tests of one before it goes on to the next."""
    return TenSongs(request.param, [style_song(request.param, seed, audible=True) for seed in SEEDS])


def test_the_mix_is_balanced(ten: TenSongs) -> None:
    """Mean over seeds within the issue's figures; the level, the peak and mono compatibility for each seed."""
    rate = 48_000
    mixes = [song.mix for song in ten.songs]
    slopes = [spectrum_slope(mix, rate) for mix in mixes]
    crests = [crest_factor_db(mix) for mix in mixes]
    loudness = [integrated_loudness(mix, rate) for mix in mixes]
    assert -6 <= np.mean(slopes) <= -3, f"slopes {np.round(slopes, 2)}"
    assert 8 <= np.mean(crests) <= 18, f"crest factors {np.round(crests, 1)}"
    assert max(abs(value + 14) for value in loudness) <= 1.5, f"loudness {np.round(loudness, 2)}"
    assert max(true_peak_db(mix, loop=True) for mix in mixes) <= -1 + 0.1  # the interpolators differ by so much
    assert min(correlation(mix) for mix in mixes) > 0.2
    assert max(side_share_below(mix, rate) for mix in mixes) < 0.01  # 20 dB below the middle


def test_stems_keep_to_their_range_and_loudness(ten: TenSongs) -> None:
    style = load_style(ten.style_id)
    for song in ten.songs:
        for role, stem in song.stems.items():
            assert len(stem) == song.settings.frames
            if not stem.any():
                continue
            assert abs(integrated_loudness(np.tile(stem, (3, 1)), 48_000) - style.lufs_for(role)) < 1.0, role
            assert abs(stem.mean(axis=0)).max() < 1e-3, f"{role} has a DC offset"
            assert seam_roughness(stem) <= 1.0, f"{role} clicks at the seam"
        assert energy_share_below(song.stems[Role.BASS], 48_000, 300) > 0.8
        for role in (Role.HARMONY, Role.MELODY):
            assert energy_share_below(song.stems[role], 48_000, 120) < 0.05, f"{role} is not high-passed"
