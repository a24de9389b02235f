"""Voicings: how a chord is laid out, near a register and near the chord before."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from resonantgen.music.theory import QUALITIES, Chord, Progression, voicings

LOWEST, HIGHEST = 48, 79  # the range of harmony without a transposition
REACH = 12  # semitones from the center within which a voicing lies


def is_ambiguous(chord: Chord) -> bool:
    """Whether the same tones have another name on another root (Am7 and C6), so that the lowest note decides."""
    tones = set(chord.pitch_classes)
    return any(
        {(root + step) % 12 for step in steps} == tones for root in tones - {chord.root} for steps in QUALITIES.values()
    )


@lru_cache(maxsize=8192)
def voice(
    chord: Chord, previous: tuple[int, ...] | None, center: float, size: int, low: int = LOWEST, high: int = HIGHEST
) -> tuple[int, ...]:
    """All tones of a chord in `size` voices, or as many as it has tones or the range has room for; lowest first.

    The cost of a voicing: semitones moved by its voices, its distance from the center, and wide, clustered or muddy
    spacing; ties go to the lower one. The root lies lowest where the chord's name depends on it, and mostly in power
    chords.
    """
    size = max(size, len(chord.pitch_classes))
    rooted = is_ambiguous(chord)
    choices: list[tuple[int, ...]] = []
    for reach in (REACH, REACH + 5, 24):
        within = max(low, round(center) - reach), min(high, round(center) + reach)
        found = voicings(chord, *within, size) if within[1] - within[0] >= REACH else []
        choices = [v for v in found if not rooted or v[0] % 12 == chord.root]
        if choices:
            break
    else:
        if size > len(chord.pitch_classes):
            return voice(chord, previous, center, size - 1, low, high)
        return voice(chord, previous, center, size, low - REACH, high + REACH)

    def cost(voicing: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        movement = 0.0
        if previous and len(previous) == len(voicing):
            movement = float(sum(abs(a - b) for a, b in zip(previous, voicing, strict=True)))
        elif previous:
            movement = float(sum(min(abs(p - q) for q in previous) for p in voicing))
        off_center = abs(sum(voicing) / size - center)
        inverted = 4.0 * size * (chord.quality == "5" and voicing[0] % 12 != chord.root)
        return movement + size * (off_center + 0.1 * off_center**2) + inverted + _spacing(voicing), voicing

    return min(choices, key=cost)


def _spacing(voicing: tuple[int, ...]) -> float:
    """The cost of gaps: wide ones (more so above the lowest), clusters of seconds, and muddy thirds below E3."""
    cost = 0.0
    for index, (below, above) in enumerate(pairwise(voicing)):
        gap = above - below
        cost += 0.8 * max(0, gap - (5 if index else 9)) + (2.0 if gap == 1 else 0.7 if gap == 2 else 0.0)
        if gap < 5 and below < 52:
            cost += 5 - gap
    return cost


def voice_all(chords: Progression, center: float, size: int, low: int, high: int) -> list[tuple[int, ...]]:
    """A voicing for each span of a progression, each led from the one before."""
    led: list[tuple[int, ...]] = []
    for span in chords.spans:
        led.append(voice(span.chord, led[-1] if led else None, center, size, low, high))
    return led
