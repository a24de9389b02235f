"""Fits the model by which chords are found for a voice, and says how well: `tests/benchmarks/fit_harmony.py DATA`.

DATA is the folder with `pop909.tar.xz`. Chords and what is sung and played over them are counted in the songs of POP909
that are not held out, half bar by half bar; what is rare is filled up from what is alike: other roots, the key. With
`--write` all of them are counted, and `harmony_weights.json` is written into `resonantgen.music`; without, a fifth of
them is left out, and excerpts of eight bars of that fifth are harmonised from their notes alone. `--held-out` does so
with the songs that nothing is fitted to.

Told is how often the root of the chord that is found is a tone of the true chord on strong beats, which is what a bass
plays; how often the true root is found; and whether the key is right.
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import resonantgen.music
from resonantgen.errors import ResonantGenError
from resonantgen.music import harmonising
from resonantgen.music.harmonising import (
    CHORDS,
    PLACES,
    Model,
    infer_harmony,
    read_models,
    strong_edges,
    tone_weights,
)
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Chord, Key, Mode
from resonantgen.music.time import TICKS_PER_QUARTER, Meter
from resonantgen.training.corpora.piece import Piece, Split
from resonantgen.training.corpora.pop909 import Pop909

Floats = NDArray[np.float64]

ROLES = (Role.MELODY, Role.BASS)
METER = Meter(4, 4)
FEWEST_BARS = 8
USUAL = 0.004  # of all half bars in a mode: a chord that is rarer is no state
ALIKE, FREQUENT = 20.0, 3.0  # notes, and changes, by which what is alike counts
SOURCE = {
    "source": "POP909 (Wang et al., ISMIR 2020), the songs whose number's CRC-32 is not divisible by ten",
    "licence": "MIT",
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bars of a song that have four beats each, with the true chord on each strong beat."""

    name: str
    key: Key
    voices: dict[Role, Score]
    chords: tuple[Chord | None, ...]


def stretches(piece: Piece) -> Iterator[Stretch]:
    """The parts of a song in 4/4 that are long enough."""
    beats = np.array(piece.beat_seconds)
    downs = [int(np.argmin(np.abs(beats - at))) for at in piece.downbeat_seconds]
    first = 0
    for place in range(1, len(downs)):
        if downs[place] - downs[place - 1] != METER.numerator or place == len(downs) - 1:
            last = place if downs[place] - downs[place - 1] == METER.numerator else place - 1
            if last - first >= FEWEST_BARS and piece.key is not None:
                yield stretch(piece, piece.key, beats, downs[first], downs[last])
            first = place


def stretch(piece: Piece, key: Key, beats: Floats, first: int, last: int) -> Stretch:
    length = (last - first) * TICKS_PER_QUARTER
    grid = TICKS_PER_QUARTER // 12

    def tick(seconds: float) -> int:
        beat = float(np.interp(seconds, beats, np.arange(len(beats)))) - first
        return round(beat * TICKS_PER_QUARTER / grid) * grid

    voices = {}
    for role in ROLES:
        (part, *_) = piece.of_role(role) or (None,)
        timed = [(tick(n.start_seconds), tick(n.end_seconds), n) for n in (part.notes if part else ())]
        notes = [Note(max(a, 0), n.pitch, max(b - max(a, 0), grid), n.velocity) for a, b, n in timed if b > 0]
        voices[role] = Score.of(notes, length)
    starts = [span.start_seconds for span in piece.chords]
    chords = []
    for edge in strong_edges(METER, length)[:-1]:
        at = beats[first + edge // TICKS_PER_QUARTER] + 0.1
        place = bisect_right(starts, at) - 1
        known = place >= 0 and at < piece.chords[place].end_seconds
        chords.append(piece.chords[place].chord if known else None)
    return Stretch(piece.name, key, voices, tuple(chords))


def place_of(chord: Chord, tonic: int = 0) -> int:
    """In CHORDS: the triad of a chord, moved to the key of C."""
    minor = chord.quality in ("m", "m6", "m7", "madd9", "m9")
    quality = "m" if minor else "dim" if chord.quality in ("dim", "dim7", "m7b5") else ""
    return CHORDS.index(Chord((chord.root - tonic) % 12, quality))


def fit(songs: Sequence[Stretch]) -> dict[str, object]:
    """What `harmony_weights.json` holds."""
    modes = {mode: [s for s in songs if s.key.mode.is_minor == mode.is_minor] for mode in (Mode.MAJOR, Mode.MINOR)}
    total = sum(len(song.chords) for song in songs)
    return {
        **SOURCE,
        **{
            str(mode): {"share": round(sum(len(s.chords) for s in own) / total, 4), **fit_mode(own)}
            for mode, own in modes.items()
        },
    }


def fit_mode(songs: Sequence[Stretch]) -> dict[str, object]:
    """One mode's chords, their changes, and what is played over them."""
    first, changes = np.zeros(len(CHORDS)), np.zeros((2, len(CHORDS), len(CHORDS)))
    tones = {role: np.zeros((PLACES, len(CHORDS), 12)) for role in ROLES}
    edges = strong_edges(METER, max(len(s.chords) for s in songs) // len(METER.strong_ticks) * METER.bar_ticks)
    for song in songs:
        places = [None if chord is None else place_of(chord, song.key.tonic) for chord in song.chords]
        for place in places:
            if place is not None:
                first[place] += 1
        for index, (before, after) in enumerate(pairwise(places), 1):
            if before is not None and after is not None:
                changes[int(edges[index] % METER.bar_ticks == 0), before, after] += 1
        for role in ROLES:
            weights = tone_weights(song.voices[role], METER, edges[: len(places) + 1])
            for place, row in zip(places, np.roll(weights, -song.key.tonic, axis=2), strict=True):
                if place is not None:
                    tones[role][:, place] += row
    known = np.flatnonzero(first >= USUAL * first.sum())
    initial = first[known] / first[known].sum()
    among = changes[:, known][:, :, known] + FREQUENT * initial
    return {
        "chords": [CHORDS[place].symbol(Key(0, Mode.MAJOR)) for place in known],
        "initial": rounded(initial),
        "changes": rounded(among / among.sum(axis=2, keepdims=True)),
        "tones": {role.value: rounded(smoothed(counts)[:, known]) for role, counts in tones.items()},
    }


def smoothed(counts: Floats) -> Floats:
    """Shares of the pitch classes over each chord, `[PLACES, CHORDS, 12]`.

    Filled up from how much more often than elsewhere a tone comes over chords of this quality, so far above their root.
    """
    shares = np.zeros(counts.shape)
    for place, rows in enumerate(counts):
        key = (rows.sum(axis=0) + 1) / (rows.sum() + 12)
        for quality in range(0, len(CHORDS), 12):
            own = rows[quality : quality + 12]
            heard = sum(np.roll(row, -root) for root, row in enumerate(own)) + np.ones(12)
            usual = sum(np.roll(key * row.sum(), -root) for root, row in enumerate(own)) + np.ones(12)
            for root, row in enumerate(own):
                alike = key * np.roll(heard / usual, root)
                filled = row + ALIKE * alike / alike.sum()
                shares[place, quality + root] = filled / filled.sum()
    return shares


def rounded(values: Floats) -> object:
    return np.maximum(np.round(values, 5), 1e-5).tolist()


def excerpts(songs: Sequence[Stretch], role: Role, count: int, seed: int) -> Iterator[tuple[Stretch, Score, int]]:
    """Eight bars somewhere in a song in which the voice is not silent, and their first strong beat."""
    dice = random.Random(seed)
    while count:
        song = dice.choice(songs)
        length = FEWEST_BARS * METER.bar_ticks
        start = METER.bar_ticks * dice.randrange(song.voices[role].length_ticks // METER.bar_ticks - FEWEST_BARS + 1)
        notes = song.voices[role].between(start, start + length)
        if len(notes) >= 2 * FEWEST_BARS:
            count -= 1
            moved = [Note(n.start_ticks - start, n.pitch, n.duration_ticks, n.velocity) for n in notes]
            yield song, Score.of(moved, length), start // METER.bar_ticks * len(METER.strong_ticks)


def is_same(found: Key, meant: Key) -> bool:
    return (found.tonic, found.mode.is_minor) == (meant.tonic, meant.mode.is_minor)


def is_near(found: Key, meant: Key) -> bool:
    """Whether it is the relative key, or a fifth away in the same mode."""
    up = (found.tonic - meant.tonic) % 12
    if found.mode.is_minor == meant.mode.is_minor:
        return up in (5, 7)
    return up == (9 if found.mode.is_minor else 3)


def told(songs: Sequence[Stretch], role: Role, count: int, models: Sequence[Model] | None) -> str:
    tones, others, roots, of, keys, near = 0, 0, 0, 0, 0, 0
    shown = list(excerpts(songs, role, count, 1))
    for index, (song, score, first) in enumerate(shown):
        harmony = infer_harmony(score, METER, role, models=models)
        keys += is_same(harmony.key, song.key)
        near += is_near(harmony.key, song.key)
        stranger, _, elsewhere = shown[index - 1]
        for place, edge in enumerate(strong_edges(METER, score.length_ticks)[:-1]):
            meant, other = song.chords[first + place], stranger.chords[elsewhere + place]
            if meant is not None and other is not None:
                root = harmony.chords.at(edge).chord.root
                tones, others = tones + (root in meant), others + (root in other)
                roots, of = roots + (root == meant.root), of + 1
    shares = f"root in the true chord {tones / of:.1%}, in another song's {others / of:.1%}, true root {roots / of:.1%}"
    right = f"key {keys / count:.0%}, relative or dominant {near / count:.0%}"
    return f"{role.value}: {count} excerpts, {of} strong beats: {shares}, {right}"


def load(data: Path, split: Split) -> list[Stretch]:
    corpus = Pop909(data)
    found: list[Stretch] = []
    for name in corpus.names(split, Role.MELODY):
        try:
            found += stretches(corpus.piece(name))
        except ResonantGenError as error:
            print(f"{name}: {error}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--excerpts", type=int, default=300)
    arguments = parser.parse_args()
    target = Path(resonantgen.music.__file__).parent / harmonising.WEIGHTS
    models = None
    if arguments.held_out:
        songs = load(arguments.data, Split.HELD_OUT)
    else:
        songs = load(arguments.data, Split.TRAIN)
        left_out = [s for s in songs if not arguments.write and zlib.crc32(f"fold {s.name}".encode()) % 5 == 0]
        weights = json.dumps(fit([s for s in songs if s not in left_out]))
        if arguments.write:
            target.write_text(weights + "\n")
            return
        songs, models = left_out, read_models(weights)
    for role in ROLES:
        print(told(songs, role, arguments.excerpts, models))


if __name__ == "__main__":
    main()
