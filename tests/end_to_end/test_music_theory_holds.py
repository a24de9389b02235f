"""What is generated keeps to its key, plays the chords that are named, and hears what it plays with."""

from __future__ import annotations

import pytest

from lab import style_song
from resonantgen.generators.style import load_style, style_ids
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, scale_share

SEEDS = range(1, 11)
PITCHED = (Role.BASS, Role.HARMONY, Role.MELODY)


@pytest.mark.parametrize("style_id", style_ids())
def test_pitched_notes_keep_to_the_requested_key(style_id: str) -> None:
    """98 % over ten seeds in each of two keys; styles that are not diatonic may colour, but keep to four in five."""
    style = load_style(style_id)
    for key in ("A minor", "F# major"):
        pitches = []
        for seed in SEEDS:
            song = style_song(style_id, seed, key=key)
            assert song.settings.key == Key.parse(key)
            pitches += [note.pitch for role in PITCHED if role in song.takes for note in song.score(role)]
        assert len(pitches) > 100, f"{style_id} plays too little to judge"
        share = scale_share(pitches, Key.parse(key))
        assert share >= (0.98 if style.diatonic else 0.8), f"{style_id} in {key}: {share:.3f}"


@pytest.mark.parametrize("style_id", style_ids())
def test_the_harmony_plays_the_chords_that_are_named(style_id: str) -> None:
    """Within each span every tone of its chord sounds and nothing else does."""
    for seed in SEEDS:
        take = style_song(style_id, seed, bars=8).takes[Role.HARMONY]
        for span in take.recipe.chords.spans:
            heard = {
                note.pitch % 12
                for note in take.score
                if min(note.end_ticks, span.end_ticks) - max(note.start_ticks, span.start_ticks) > 0
                and span.start_ticks - 60 <= note.start_ticks < span.end_ticks - 60
            }
            assert heard == set(span.chord.pitch_classes), f"{style_id} seed {seed} at {span}: {sorted(heard)}"
