"""Plans: what all tracks of a session share, chosen by style, mood and seed wherever the user has said nothing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from resonantgen.generators.base import Plan
from resonantgen.generators.dice import Dice
from resonantgen.generators.progressions import choose_progression, diatonic_chord, fitted
from resonantgen.generators.style import Style
from resonantgen.music.notes import Score
from resonantgen.music.theory import Chord, ChordSpan, Key, Mode, Progression, parse_pitch_class
from resonantgen.music.time import Meter, check_bars

DEFAULT_BARS = 8
_BRIGHT = (Mode.MAJOR, Mode.LYDIAN, Mode.MIXOLYDIAN)
_DARK = (Mode.MINOR, Mode.PHRYGIAN, Mode.HARMONIC_MINOR)
# The modes that sound like a mood, the most typical first. Other moods leave the mode to the style.
MOOD_MODES: dict[str, tuple[Mode, ...]] = {
    "dark": _DARK,
    "melancholic": (Mode.MINOR, Mode.DORIAN, Mode.HARMONIC_MINOR),
    "mysterious": (Mode.MINOR, Mode.PHRYGIAN, Mode.HARMONIC_MINOR, Mode.LYDIAN, Mode.DORIAN),
    "tense": _DARK,
    "aggressive": (*_DARK, Mode.DORIAN),
    "happy": _BRIGHT,
    "playful": (*_BRIGHT, Mode.DORIAN),
    "calm": (*_BRIGHT, Mode.DORIAN),
    "funky": (Mode.DORIAN, Mode.MIXOLYDIAN, Mode.MINOR),
}
_FALLING = 0.62  # weight of each listed option against the one before it
_USUAL_TEMPO = 0.5  # how often the tempo is the style's usual one
_BEAT_WEIGHTS = (3.0, 2.0, 1.0)  # of a melody note that starts on a strong beat, a felt beat, elsewhere
_HABIT = 0.12  # what the plan's own chord gains in `harmonise`, as a share of the span's weight


def make_plan(
    style: Style,
    mood: str | None,
    seed: int,
    *,
    tempo_bpm: Fraction | None = None,
    meter: Meter | None = None,
    key: Key | None = None,
    minor: bool | None = None,
    bars: int | None = None,
    chords: Progression | None = None,
) -> Plan:
    """Whatever is given is kept; the rest is chosen, each choice by its own die.

    `minor` asks for a minor or major mode where no key is given. `chords` bind the plan, as those of a locked harmony
    do: they are repeated or cut to its length. Raises BadValue for a number of bars that cannot be made.
    """
    dice = Dice(seed, "plan")
    bars = check_bars(DEFAULT_BARS if bars is None else bars)
    meter = meter or _choose_meter(style, dice)
    key = key or Key(_choose_tonic(style, dice), _choose_mode(style, mood, minor, dice))
    if chords is not None and chords.spans:
        progression = fitted(chords, bars * meter.bar_ticks)
    else:
        progression = choose_progression(style, key, mood, meter, bars, dice.within("chords"))
    return Plan(style, mood, tempo_bpm or _choose_tempo(style, dice), meter, key, bars, progression)


def _falling(count: int) -> list[float]:
    return [_FALLING**index for index in range(count)]


def _choose_meter(style: Style, dice: Dice) -> Meter:
    """The style's usual meter nine times in ten."""
    first, *others = style.meters
    return Meter.parse(dice.choice(others, "meter") if others and dice.roll("usual meter") > 0.9 else first)


def _choose_tonic(style: Style, dice: Dice) -> int:
    return parse_pitch_class(dice.weighted(style.tonics, _falling(len(style.tonics)), "tonic"))


def _choose_mode(style: Style, mood: str | None, minor: bool | None, dice: Dice) -> Mode:
    """One of the style's modes that the mood and `minor` allow, or the most typical mode that they allow."""
    wanted = MOOD_MODES.get(mood or "", tuple(Mode))
    if minor is not None:
        wanted = tuple(m for m in wanted if m.is_minor is minor) or ((Mode.MINOR,) if minor else (Mode.MAJOR,))
    options = [mode for mode in style.modes if mode in wanted] or [wanted[0]]
    return dice.weighted(options, _falling(len(options)), "mode")


def _choose_tempo(style: Style, dice: Dice) -> Fraction:
    """The usual tempo half of the time, otherwise a whole number within the range, more often near the usual one."""
    low, usual, high = style.tempo.low, style.tempo.usual, style.tempo.high
    if dice.roll("usual tempo") < _USUAL_TEMPO:
        return Fraction(usual).limit_denominator(1000)
    away = dice.roll("tempo away") ** 1.5
    target = high if dice.roll("tempo side") < 0.5 else low
    return Fraction(min(int(high), max(round(low + 0.4999), round(usual + (target - usual) * away))))


def harmonise(melody: Score, plan: Plan) -> Progression:
    """Chords that fit a melody, such as a locked one: the plan's own spans, with other chords where those clash.

    For each span the chord wins whose tones carry most of the melody, weighted by the time that its notes sound and by
    the beat on which they start. The plan's own chord is kept unless another is clearly better.
    """
    choices = _chords_at_hand(plan)
    spans = []
    for span in plan.chords.spans:
        weights = _tone_weights(melody, plan.meter, span)
        total = sum(weights)
        scores = [sum(weights[tone] for tone in chord.pitch_classes) for chord in choices]
        # Of two chords that carry as much, the one with fewer other tones: richness alone is no merit.
        gains = [
            score - 0.02 * total * len(chord.pitch_classes) + _HABIT * total * (chord == span.chord)
            for score, chord in zip(scores, choices, strict=True)
        ]
        best = choices[gains.index(max(gains))] if total else span.chord
        spans.append(ChordSpan(best, span.start_ticks, span.duration_ticks))
    return Progression(tuple(spans))


def _chords_at_hand(plan: Plan) -> Sequence[Chord]:
    """The plan's chords in the order in which they come, then the key's own on each degree."""
    color = plan.style.harmony.color
    own = [span.chord for span in plan.chords.spans]
    return list(dict.fromkeys([*own, *(diatonic_chord(plan.key, degree, color) for degree in range(7))]))


def _tone_weights(melody: Score, meter: Meter, span: ChordSpan) -> list[float]:
    """How much of a span each of the twelve pitch classes takes up in a melody."""
    weights = [0.0] * 12
    tolerance = meter.unit_ticks // 4
    for note in melody:
        start, end = max(note.start_ticks, span.start_ticks), min(note.end_ticks, span.end_ticks)
        if start >= end:
            continue
        place = note.start_ticks % meter.bar_ticks
        strong = any(abs(place - tick) <= tolerance for tick in meter.strong_ticks)
        on_beat = any(abs(place - tick) <= tolerance for tick in meter.beats_ticks)
        weights[note.pitch % 12] += (end - start) * _BEAT_WEIGHTS[0 if strong else 1 if on_beat else 2]
    return weights
