"""Chord progressions: a style's roman numerals as chords that fill a clip, in modes that it does not mention too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from resonantgen.generators.dice import Dice
from resonantgen.generators.grammars.harmony import Color
from resonantgen.generators.style import Style
from resonantgen.music.theory import QUALITIES, Chord, ChordSpan, Key, Mode, Progression, roman_chord
from resonantgen.music.time import Meter

# Loops of scale degrees (0 is the tonic) that are idiomatic in a mode, the vamps of two chords first.
_LOOPS: dict[Mode, tuple[tuple[int, ...], ...]] = {
    Mode.MAJOR: ((0, 3), (0, 5), (0, 4, 5, 3), (0, 5, 3, 4), (3, 0, 4, 5), (1, 4, 0, 5)),
    Mode.MINOR: ((0, 5), (0, 3), (0, 5, 2, 6), (0, 3, 5, 4), (5, 6, 0, 0), (0, 6, 5, 6)),
    Mode.DORIAN: ((0, 3), (0, 1), (0, 3, 0, 6), (0, 2, 3, 0), (0, 6, 3, 0)),
    Mode.PHRYGIAN: ((0, 1), (0, 6), (0, 1, 2, 1), (0, 0, 1, 6), (0, 5, 1, 0)),
    Mode.LYDIAN: ((0, 1), (0, 4), (0, 1, 2, 1), (0, 1, 4, 0), (0, 5, 1, 4)),
    Mode.MIXOLYDIAN: ((0, 6), (0, 3), (0, 6, 3, 0), (0, 4, 3, 0), (0, 0, 6, 3)),
    Mode.HARMONIC_MINOR: ((0, 4), (0, 5), (0, 5, 3, 4), (0, 3, 4, 0), (0, 0, 5, 4)),
}
# Degrees that lead back to the tonic, the most typical first.
_LEADING: dict[Mode, tuple[int, ...]] = {
    Mode.MAJOR: (4, 3),
    Mode.MINOR: (6, 4, 3),
    Mode.DORIAN: (3, 6),
    Mode.PHRYGIAN: (1, 6),
    Mode.LYDIAN: (1, 4),
    Mode.MIXOLYDIAN: (6, 3),
    Mode.HARMONIC_MINOR: (4,),
}
_PLAIN = ("", "m", "dim", "aug")
_QUALITIES: dict[Color, tuple[str, ...]] = {
    Color.POWER: ("5", *_PLAIN),
    Color.TRIADS: _PLAIN,
    Color.ADDED: ("add9", "madd9", *_PLAIN),
    Color.SEVENTHS: ("maj7", "m7", "7", "m7b5", "dim7", *_PLAIN),
    Color.NINTHS: ("maj9", "m9", "9", "maj7", "m7", "7", "m7b5", "dim7", *_PLAIN),
}


@dataclass(frozen=True, slots=True)
class Loop:
    """Chords that repeat, each `bars_each` bars long."""

    chords: tuple[Chord, ...]
    bars_each: float


def diatonic_chord(key: Key, degree: int, color: Color) -> Chord:
    """The richest chord of a color on a degree (0 is the tonic) whose tones all lie in the key."""
    root = key.pitch_classes[degree % 7]
    fits = (q for q in _QUALITIES[color] if all(root + step in key for step in QUALITIES[q]))
    return Chord(root, next(fits))


def loops(style: Style, key: Key, mood: str | None) -> list[Loop]:
    """What may be played in a key: the style's own for the mood, else for the mode, else what the mode suggests."""
    own = [p for p in style.progressions if p.mode is key.mode]
    chosen = [p for p in own if mood in p.moods] or own
    if chosen:
        return [Loop(tuple(roman_chord(n, key) for n in p.chords), p.bars_each) for p in chosen]
    typical = style.progressions[0]
    color = style.harmony.color
    degrees = _LOOPS[key.mode][:2] if len(set(typical.chords)) <= 2 else _LOOPS[key.mode][2:]
    return [Loop(tuple(diatonic_chord(key, d, color) for d in loop), typical.bars_each) for loop in degrees]


def fill(loop: Loop, meter: Meter, bars: int) -> Progression:
    """The loop repeated over exactly so many bars."""
    spans: list[ChordSpan] = []
    end = bars * meter.bar_ticks
    each = Fraction(loop.bars_each).limit_denominator(12)
    index = 0
    start = 0
    while start < end:
        stop = min(end, split_tick((index + 1) * each, meter))
        if stop > start:
            spans.append(ChordSpan(loop.chords[index % len(loop.chords)], start, stop - start))
            start = stop
        index += 1
    return Progression(tuple(spans))


def split_tick(position_bars: Fraction, meter: Meter) -> int:
    """A position in bars as a tick: half bars fall on the second strong beat, other parts on the nearest felt beat."""
    bar, rest = divmod(position_bars, 1)
    tick = int(bar) * meter.bar_ticks
    if rest == 0:
        return tick
    beats = (*meter.beats_ticks, meter.bar_ticks)
    if rest == Fraction(1, 2):
        if len(meter.strong_ticks) > 1:
            return tick + meter.strong_ticks[1]
        return tick + beats[(len(beats)) // 2]
    return tick + min(beats, key=lambda beat: (abs(beat - rest * meter.bar_ticks), beat))


def fitted(chords: Progression, length_ticks: int) -> Progression:
    """A progression repeated or cut to a length."""
    spans: list[ChordSpan] = []
    while not spans or spans[-1].end_ticks < length_ticks:
        offset = spans[-1].end_ticks if spans else 0
        for span in chords.spans:
            start = offset + span.start_ticks
            if start < length_ticks:
                spans.append(ChordSpan(span.chord, start, min(span.duration_ticks, length_ticks - start)))
    return Progression(tuple(spans))


def with_turnaround(chords: Progression, style: Style, key: Key, meter: Meter) -> Progression:
    """The progression with a chord in (the second half of) its last bar that leads back to the first one."""
    last = chords.spans[-1]
    bar = last.end_ticks - meter.bar_ticks
    split = bar + meter.strong_ticks[-1]
    if split <= last.start_ticks:
        split = last.start_ticks
    color = _color_of(last.chord, style)
    first = chords.spans[0].chord
    leading = [diatonic_chord(key, degree, color) for degree in _LEADING[key.mode]]
    chord = next((c for c in leading if c.root not in (last.chord.root, first.root)), None)
    if chord is None or (not style.diatonic and last.chord.quality in ("7", "9")):
        return chords
    # The last bar states its first chord again, so that the change within it is heard as one.
    edges = sorted({last.start_ticks, max(bar, last.start_ticks), split})
    head = [ChordSpan(last.chord, start, end - start) for start, end in pairwise(edges)]
    return Progression((*chords.spans[:-1], *head, ChordSpan(chord, split, last.end_ticks - split)))


def _color_of(chord: Chord, style: Style) -> Color:
    """The color in which a chord follows another: power chords stay power chords, triads triads."""
    if chord.quality == "5":
        return Color.POWER
    return Color.TRIADS if len(chord.pitch_classes) == 3 else style.harmony.color


def choose_progression(style: Style, key: Key, mood: str | None, meter: Meter, bars: int, dice: Dice) -> Progression:
    """Chords for a clip. From 16 bars on its third quarter is played over another of the style's loops."""
    options = loops(style, key, mood)
    loop = dice.choice(options, "loop")
    chords = fill(loop, meter, bars)
    others = [other for other in loops(style, key, None) if other.chords != loop.chords]
    if bars >= 16 and others:
        chords = _with_bridge(chords, dice.choice(others, "bridge"), meter, bars)
    if bars >= 8 and dice.roll("turnaround") < style.harmony.turnaround:
        chords = with_turnaround(chords, style, key, meter)
    return chords


def _with_bridge(chords: Progression, bridge: Loop, meter: Meter, bars: int) -> Progression:
    """AABA: the third quarter of the clip (in whole groups of four bars) is played over another loop."""
    quarter = bars // 4 // 4 * 4
    start, length = 2 * quarter * meter.bar_ticks, quarter * meter.bar_ticks
    middle = fill(bridge, meter, quarter)
    spans = [
        *_cut(chords.spans, 0, start),
        *(ChordSpan(s.chord, s.start_ticks + start, s.duration_ticks) for s in middle.spans),
        *_cut(chords.spans, start + length, chords.length_ticks),
    ]
    return Progression(tuple(spans))


def _cut(spans: Sequence[ChordSpan], start: int, end: int) -> list[ChordSpan]:
    """The parts of spans that lie in [start, end)."""
    cut = ((s.chord, max(start, s.start_ticks), min(end, s.end_ticks)) for s in spans)
    return [ChordSpan(chord, first, last - first) for chord, first, last in cut if last > first]
