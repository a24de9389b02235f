"""The pattern generator for melody: motifs that repeat and develop over the plan's chords.

A phrase gets its main notes first: chord tones along a contour, mostly in steps, leaps turning back. Then what lies
between them is filled: passing and neighbour notes of the style's palette that lead from one to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from resonantgen.generators.base import Request
from resonantgen.generators.expression import gate_factor, lateness, register_shift, velocity
from resonantgen.generators.grammars.melody import MelodyGrammar, Palette
from resonantgen.generators.phrases import Development, Onset, Phrase, Phrasing, shape
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Key
from resonantgen.music.time import TICKS_PER_QUARTER
from resonantgen.prompt.intent import clamp

LOWEST, HIGHEST = 60, 88  # the range of melodies without a transposition
_MINOR_PENTATONIC, _MAJOR_PENTATONIC = (0, 2, 3, 4, 6), (0, 1, 2, 4, 5)  # scale degrees
_ARPEGGIO = 4  # semitones by which broken chords swing around the way from one main note to the next
_HOME = 7.0  # what it costs a clip not to end on the root; half as much for a phrase to end otherwise than it should
_LEAP = 5  # semitones from which an interval is a leap, to be recovered by a step back


class MelodyGenerator:
    """Plays a line over the plan's chords as the style's motifs and contours say."""

    name = "pattern"

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        """See Generator."""
        singer = _Singer(request)
        bar_ticks, length = request.plan.meter.bar_ticks, request.plan.style.melody.phrase_bars
        notes: list[Note] = []
        for bar in range(request.plan.bars):
            if bar % length == 0:
                notes = singer.sing(bar // length)
            start = bar * bar_ticks
            last = (bar + 1) % length == 0 or bar + 1 == request.plan.bars
            yield tuple(n for n in notes if start <= n.start_ticks and (last or n.start_ticks < start + bar_ticks))


def summary(score: Score, request: Request) -> str:
    """One line for people: how much it plays, and how."""
    if not len(score):
        return "silent"
    per_quarter = len(score) * TICKS_PER_QUARTER / score.length_ticks
    amount = "sparse, " if per_quarter < 0.55 else "busy, " if per_quarter > 2.2 else ""
    return amount + request.plan.style.melody.summary


@dataclass(frozen=True, slots=True)
class _Tone:
    """An onset with its pitch."""

    onset: Onset
    pitch: int


class _Singer:
    """Sings one phrase after the other; what it remembers between them is the last main note."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.plan = request.plan
        self.grammar: MelodyGrammar = request.plan.style.melody
        self.phrasing = Phrasing(request)
        self.dice = self.phrasing.dice
        self.bass = request.context.get(Role.BASS) or Score((), 0)
        shift = register_shift(request)
        low, high = LOWEST + request.transpose_semitones, HIGHEST + request.transpose_semitones
        half = self.grammar.range_semitones / 2
        self.center = clamp(self.grammar.center + shift, low + half / 2, high - half / 2)
        self.low = max(low, round(self.center - half), 12)
        self.high = min(high, round(self.center + half), 115)
        self.memory: tuple[int, ...] = ()

    def sing(self, index: int) -> list[Note]:
        """The notes of a phrase, in order."""
        phrase = self.phrasing.phrase(index)
        pillars = self._pillars(phrase)
        tones = self._filled(phrase, pillars)
        return self._notes(phrase, self._resolved(tones))

    def _pillars(self, phrase: Phrase) -> list[_Tone]:
        """The main notes: chord tones that carry the phrase's contour, the same however busy the playing is."""
        onsets = _main_onsets(phrase.main)
        height = self._heights(phrase, onsets)
        pillars: list[_Tone] = []
        for onset in onsets:
            before = [*self.memory, *(tone.pitch for tone in pillars)][-2:]
            options = self._chord_tones(onset.tick)
            last = onset is onsets[-1]
            pitch = min(
                options, key=lambda p: (self._cost(p, onset, height[onset], before, phrase if last else None), p)
            )
            pillars.append(_Tone(onset, pitch))
        self.memory = tuple(tone.pitch for tone in pillars)[-1:]
        return pillars

    def _heights(self, phrase: Phrase, onsets: Sequence[Onset]) -> Mapping[Onset, float]:
        """Where the contour would have each onset, in semitones, on average in the middle of the register."""
        length = phrase.end_ticks - phrase.start_ticks
        upside = -1.0 if phrase.development is Development.INVERSION else 1.0
        reach = 0.4 * self.grammar.range_semitones
        heights = []
        for onset in onsets:
            curve = shape(phrase.contour, (onset.tick - phrase.start_ticks) / length)
            wobble = self.dice.between(-2.5, 2.5, "height", phrase.letter, *onset.name)
            heights.append(upside * (reach * curve + wobble))
        moved = self.dice.choice((-4.0, 4.0), "sequence", phrase.index)
        offset = moved if phrase.development is Development.SEQUENCE else 0.0
        middle = self.center + offset - sum(heights) / len(heights)
        return {onset: middle + height for onset, height in zip(onsets, heights, strict=True)}

    def _cost(self, pitch: int, onset: Onset, height: float, before: Sequence[int], ending: Phrase | None) -> float:
        """What speaks against a main note: distance from the contour, leaps, clashes with the bass, a wrong ending."""
        cost = abs(pitch - height)
        if before:
            interval = abs(pitch - before[-1])
            cost += (1 - self.grammar.leap) * max(0, interval - 4)
            cost += 2.5 * (1 - 2 * self.grammar.repeat) * (interval == 0)
        if len(before) == 2 and abs(before[1] - before[0]) >= _LEAP:
            onward = (pitch - before[1]) * (before[1] - before[0]) > 0
            cost += 3.0 * (onward or abs(pitch - before[1]) > _LEAP)
        cost += self._clash(pitch, onset.tick)
        if ending is not None:
            is_root = pitch % 12 == self.plan.chords.at(onset.tick).chord.root
            is_last = ending.end_ticks == self.plan.length_ticks
            cost += (_HOME if is_last else _HOME / 2) * (is_root is not ending.closes)
        return cost

    def _clash(self, pitch: int, tick: int) -> float:
        """How badly a note meets the bass: a semitone apart is harsh, the same note adds nothing."""
        sounding = [
            n.pitch for n in self.bass.notes if n.start_ticks <= tick + 20 < n.end_ticks + 20 and n.end_ticks > tick
        ]
        intervals = {(pitch - bass) % 12 for bass in sounding}
        return 4.0 * bool(intervals & {1, 11}) + 1.5 * (0 in intervals)

    def _chord_tones(self, tick: int) -> list[int]:
        chord = self.plan.chords.at(tick).chord
        return [p for p in range(self.low, self.high + 1) if p in chord] or [self.plan.key.nearest(round(self.center))]

    def _palette(self, tick: int) -> list[int]:
        """The pitches that may lead from one main note to the next over the chord of a moment."""
        chord, key = self.plan.chords.at(tick).chord, self.plan.key
        allowed = set(_palette_classes(self.grammar.palette, key, self.plan.style.diatonic))
        # A chord tone from outside the key takes the place of the scale's tone next to it.
        foreign = {tone for tone in chord.pitch_classes if tone not in key}
        allowed = {tone for tone in allowed if not {(tone + 1) % 12, (tone - 1) % 12} & foreign}
        if self.grammar.palette is Palette.CHORD:
            allowed = set()
        allowed |= set(chord.pitch_classes)
        return [p for p in range(self.low - 2, self.high + 3) if p % 12 in allowed]

    def _filled(self, phrase: Phrase, pillars: Sequence[_Tone]) -> list[_Tone]:
        """The notes that are played: the main ones among them, and between those ways from one to the next."""
        played = set(phrase.played)
        fixed = {tone.onset.tick: tone for tone in pillars}
        between: dict[int, list[Onset]] = {}
        for onset in phrase.played:
            if onset.tick not in fixed:
                between.setdefault(sum(tick < onset.tick for tick in fixed), []).append(onset)
        tones = [tone for tone in pillars if tone.onset in played]
        for gap, onsets in between.items():
            before = pillars[gap - 1].pitch if gap else None
            after = pillars[gap].pitch if gap < len(pillars) else None
            tones += self._way(phrase, before, after, onsets)
        return sorted(tones, key=lambda tone: tone.onset.tick)

    def _way(self, phrase: Phrase, before: int | None, after: int | None, onsets: Sequence[Onset]) -> list[_Tone]:
        """Notes that lead from one main note to the next: a scale where they lie close, otherwise a broken chord."""
        count = len(onsets)
        side = 1 if self.dice.roll("side", phrase.letter, *onsets[0].name) < 0.5 else -1
        start = before if before is not None else (after or 0) + 2 * side * (count + 1)
        end = after if after is not None else start - 2 * side * (count % 2)
        repeat = clamp(self.grammar.repeat + 0.25 * self.request.attributes.aggression, 0.0, 0.9)
        tones: list[_Tone] = []
        previous = start
        for number, onset in enumerate(onsets, start=1):
            wish = start + (end - start) * number / (count + 1)
            if self.grammar.palette is Palette.CHORD:
                wish += _ARPEGGIO * side * (1 if number % 2 else -1)
            strong = onset.level == 0 or (onset.level == 1 and self.dice.roll("on beat", onset.tick) < 0.7)
            options = self._chord_tones(onset.tick) if strong else self._palette(onset.tick)
            again = self.dice.roll("repeat", phrase.letter, *onset.name) < repeat
            fresh = [p for p in options if p != previous] or options
            pitch = min(options if again else fresh, key=lambda p: (abs(p - wish), (p - previous) * side, p))
            tones.append(_Tone(onset, pitch))
            previous = pitch
        if (
            after is not None
            and count >= 2
            and self.dice.roll("enclosure", phrase.index, *onsets[0].name) < self.grammar.enclosure
        ):
            tones[-2:] = self._enclosure(tones[-2:], after)
        return tones

    def _enclosure(self, tones: Sequence[_Tone], target: int) -> list[_Tone]:
        """The last two notes before a main one: the scale's tone above it, then the one below (a semitone, in jazz)."""
        key = self.plan.key
        above = next(p for p in range(target + 1, target + 4) if p in key)
        below = (
            target - 1
            if not self.plan.style.diatonic
            else next(p for p in range(target - 1, target - 4, -1) if p in key)
        )
        pitches = (above, below)
        return [
            _Tone(tone.onset, pitch) if tone.onset.level > 0 else tone
            for tone, pitch in zip(tones, pitches, strict=True)
        ]

    def _resolved(self, tones: Sequence[_Tone]) -> list[_Tone]:
        """The notes with those changed to chord tones that are foreign to the chord and lead nowhere."""
        resolved: list[_Tone] = []
        following = [*tones[1:], None]
        for tone, after in zip(tones, following, strict=True):
            foreign = tone.pitch not in self.plan.chords.at(tone.onset.tick).chord
            leads = (
                after is not None
                and abs(after.pitch - tone.pitch) <= 2
                and after.onset.tick - tone.onset.tick <= TICKS_PER_QUARTER
            )
            if foreign and not leads:
                options = self._chord_tones(tone.onset.tick)
                tone = _Tone(tone.onset, min(options, key=lambda p: (abs(p - tone.pitch), p)))
            resolved.append(tone)
        return resolved

    def _notes(self, phrase: Phrase, tones: Sequence[_Tone]) -> list[Note]:
        """Tones in time: in the groove, none sounding into a chord that it is foreign to."""
        attributes, grammar, meter = self.request.attributes, self.grammar, self.plan.meter
        starts = [
            self.phrasing.groove.place(meter, tone.onset.tick) + lateness(grammar.humanize, self.dice, tone.onset.tick)
            for tone in tones
        ]
        longest = grammar.longest_beats * TICKS_PER_QUARTER * gate_factor(attributes)
        gate = min(1.0, grammar.gate * gate_factor(attributes))
        notes = []
        for tone, (start, following) in zip(tones, pairwise([*starts, phrase.end_ticks]), strict=True):
            end = min(following, self._consonant_until(tone))
            duration = max(1, min(round((end - start) * gate), round(longest)))
            accent = tone.onset.force + 4 * (tone.onset.level == 0)
            loud = velocity(grammar.velocity, accent, attributes, grammar.humanize, self.dice, tone.onset.tick)
            notes.append(Note(start, tone.pitch, duration, loud))
        return notes

    def _consonant_until(self, tone: _Tone) -> int:
        """Where a held tone meets the first chord that it is foreign to."""
        spans = self.plan.chords.between(tone.onset.tick, self.plan.length_ticks)
        return next((s.start_ticks for s in spans[1:] if tone.pitch not in s.chord), self.plan.length_ticks)


def _main_onsets(onsets: Sequence[Onset]) -> list[Onset]:
    """The onsets that carry a phrase: on beats, accented, long, the first and the last."""
    ends = [*(onset.tick for onset in onsets[1:]), onsets[-1].tick + 2 * TICKS_PER_QUARTER]
    return [
        onset
        for place, (onset, end) in enumerate(zip(onsets, ends, strict=True))
        if onset.level <= 1 or onset.force > 0 or end - onset.tick >= TICKS_PER_QUARTER or place == 0
    ]


def _palette_classes(palette: Palette, key: Key, diatonic: bool) -> tuple[int, ...]:
    """The pitch classes of a palette in a key."""
    if palette is Palette.SCALE or palette is Palette.CHORD:
        return key.pitch_classes
    degrees = _MINOR_PENTATONIC if key.mode.is_minor else _MAJOR_PENTATONIC
    tones = tuple(key.pitch_classes[degree] for degree in degrees)
    if palette is Palette.BLUES and not diatonic:
        return (*tones, (key.tonic + (6 if key.mode.is_minor else 3)) % 12)
    return tones
