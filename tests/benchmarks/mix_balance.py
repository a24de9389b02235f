"""The figures of each style's mix over ten seeds, for docs/benchmarks.md: `python tests/benchmarks/mix_balance.py`.

tests/end_to_end/test_mix_balance.py holds them to the limits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab import style_song
from resonantgen.generators.style import style_ids
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.measure import correlation, crest_factor_db, energy_share_below, spectrum_slope
from resonantgen.music.notes import Role

SEEDS = range(1, 11)
COLUMNS = ("slope, dB/octave", "crest factor, dB", "loudness, LUFS", "correlation", "bass below 300 Hz")


def figures(style_id: str, seed: int) -> list[float]:
    song = style_song(style_id, seed, audible=True)
    rate, mix = song.settings.sample_rate, song.mix
    return [
        spectrum_slope(mix, rate),
        crest_factor_db(mix),
        integrated_loudness(mix, rate),
        correlation(mix),
        energy_share_below(song.stems[Role.BASS], rate, 300),
    ]


def main() -> None:
    print(f"| style | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for style_id in sys.argv[1:] or style_ids():
        rows = np.array([figures(style_id, seed) for seed in SEEDS])
        cells = [f"{column.mean():.2f} ({column.min():.2f} … {column.max():.2f})" for column in rows.T]
        print(f"| {style_id} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
