"""Bass from a style's patterns: it meets (or avoids) the kick that sounds with it, and follows the plan's chords.

Rhythm first, then pitch: a bar's onsets come from a pattern, the kick and the chord changes; each then takes a tone
over the chord that sounds. Durations reach towards the next onset, across the bar line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from resonantgen.generators.base import Request
from resonantgen.generators.bass_pitch import BRIGHTEST, DARKEST, HIGHEST, LOWEST, Register
from resonantgen.generators.dice import Dice
from resonantgen.generators.form import PHRASE_BARS, Form, motif_name
from resonantgen.generators.grammars.bass import BassGrammar, BassPattern, KickRelation
from resonantgen.generators.grammars.patterns import Pattern, Presence, parse_pattern
from resonantgen.generators.groove import EIGHTH, Groove, groove_for, straight_onsets
from resonantgen.generators.metre import Placed, bar_strokes
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.theory import Chord, ChordSpan
from resonantgen.music.time import TICKS_PER_QUARTER

LOUDEST = 108  # the velocity of an accent at neutral attributes
GLIDE_TICKS = 40  # how long a tied note overlaps the next
SHORTEST_TICKS = 50
MUCH = 0.3  # the brightness, or darkness, from which a line must be higher, or lower, than it was
GROWS_FROM = 0.1  # the level of busyness from which a line gets more notes than its pattern has


@dataclass(frozen=True, slots=True)
class Onset:
    """Where a note begins, before it has a pitch."""

    tick: int  # from the clip's start, on the straight grid
    tone: str
    strength: float
    metric_level: int
    name: str  # of its dice: the same for the same step of the same motif


class BassGenerator:
    """The bass's pattern generator."""

    name = "pattern"

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        """The notes that start in each bar. Never raises for a valid request."""
        part = _BassPart(request)
        for bar in range(request.plan.bars):
            yield part.bar(bar)


def summary(score: Score, request: Request) -> str:
    """What was played, in a few words: "rolling sixteenths between the kicks, A A C G"."""
    plan, part = request.plan, _BassPart(request)
    words = part.patterns[0].name
    if request.feel.value != "normal":
        words += f", {request.feel.value}"
    if part.kicks:
        words += " between the kicks" if part.grammar.kick is KickRelation.BETWEEN else " with the kick"
    starts = range(0, plan.length_ticks, plan.meter.bar_ticks)
    roots = [plan.key.name_of(plan.chords.at(tick).chord.root) for tick in starts]
    period = next(n for n in (1, 2, 4, 8, plan.bars) if roots == (roots[:n] * plan.bars)[: plan.bars])
    return f"{words}, {' '.join(roots[: min(period, 8)])}" if len(score) else "silent"


class _BassPart:
    """One take: everything that is decided once. Bars are realised in order, since a line remembers where it was."""

    def __init__(self, request: Request) -> None:
        plan, grammar = request.plan, request.plan.style.bass
        dice = Dice(request.seed, plan.style.id, "bass")
        self.request, self.plan, self.meter, self.dice = request, plan, plan.meter, dice
        self.grammar: BassGrammar = grammar
        self.form = Form.of(grammar.forms, plan.bars, dice)
        first = dice.integer("pattern") % len(grammar.patterns)
        other = (first + 1 + dice.integer("other") % (len(grammar.patterns) - 1)) % len(grammar.patterns)
        answer = other if dice.roll("answers") < 0.4 else first
        self.patterns: tuple[BassPattern, BassPattern] = (grammar.patterns[first], grammar.patterns[answer])
        self.parsed: tuple[Pattern, ...] = tuple(parse_pattern(p.rhythm, p.tones) for p in self.patterns)
        a = request.attributes
        self.level = a.density + 0.8 * a.aggression + 0.25 * a.energy - 0.6 * max(0.0, a.space)
        self.groove: Groove = groove_for(request)
        self.kicks = self._kicks()
        low = min(max(grammar.low + self._rise() + self._transposition(), LOWEST), HIGHEST - 12)
        high = min(HIGHEST + max(0, round(8 * a.brightness)), BRIGHTEST)
        self.register = Register(plan.key, plan.style.diatonic, low, high)
        self.previous = self.register.root(plan.chords.spans[0].chord)
        self.above = [score for role, score in request.context.items() if role in (Role.HARMONY, Role.MELODY)]
        self._ends = [span.end_ticks for span in plan.chords.spans]
        self._ready: dict[int, list[Onset]] = {}

    def _rise(self) -> int:
        """Semitones that brightness lifts the octave of the roots: enough, if it is much, for one of them to go up."""
        bright, low = self.request.attributes.brightness, self.grammar.low
        rise = round(8 * bright)
        if bright < MUCH:
            return rise
        return max(rise, 1 + min((span.chord.root - low) % 12 for span in self.plan.chords.spans))

    def _transposition(self) -> int:
        """Semitones that the register moves: from a fourth on whole octaves, so that roots stay roots."""
        asked = self.request.transpose_semitones
        if abs(asked) < 5:
            return asked
        octaves = max(1, round(abs(asked) / 12))
        return 12 * octaves if asked > 0 else -12 * octaves

    def _kicks(self) -> dict[int, Note]:
        """The kicks that sound with the bass, by their place on the straight grid."""
        drums = self.request.context.get(Role.DRUMS)
        return straight_onsets(drums, self.meter, self.groove, DrumPiece.KICK) if drums is not None else {}

    # Rhythm

    def onsets(self, bar: int) -> list[Onset]:
        """The onsets of a bar, in order."""
        if bar not in self._ready:
            self._ready = {b: o for b, o in self._ready.items() if b >= bar - 1}
            self._ready[bar] = self._make_onsets(bar)
        return self._ready[bar]

    def _make_onsets(self, bar: int) -> list[Onset]:
        start, letter = bar * self.meter.bar_ticks, self.form.letter(bar)
        backbeat = self.plan.style.drums.backbeat
        pattern = self.parsed[0 if letter == "A" else 1]
        kicks = {tick - start for tick in self.kicks if start <= tick < start + self.meter.bar_ticks}
        found: dict[int, Onset] = {}
        for place in bar_strokes(pattern, self.meter, bar, backbeat, self.request.feel):
            name = f"{motif_name(letter, place.tick, self.meter.bar_ticks)}/{place.tick}"
            if self._sounds(place, kicks, name):
                stroke = place.stroke
                found[place.tick] = Onset(start + place.tick, stroke.tone, stroke.strength, place.metric_level, name)
        self._grow(found, kicks, start, letter)
        self._meet_kicks(found, kicks, start, letter)
        if self.form.closes_phrase(bar) and self.form.bars > 1:
            self._turn_around(found, kicks, start, bar)
        self._meet_chords(found, kicks, start)
        if not found and bar % PHRASE_BARS == 0:  # however sparse, a phrase is not silent
            tick = next((t for t in range(EIGHTH, self.meter.bar_ticks, EIGHTH) if t not in kicks), 0)
            found[tick] = Onset(start + tick, "R", 0.8, 1, f"phrase/{tick}")
        return [found[tick] for tick in sorted(found)]

    def _sounds(self, place: Placed, kicks: set[int], name: str) -> bool:
        level, follow = self.level, self.grammar.follow
        if self.grammar.kick is KickRelation.BETWEEN:
            if place.tick in kicks and self.dice.roll("avoid", name) < follow:
                return False
        elif kicks:
            if place.tick in kicks:
                level += 0.5 * follow
            elif place.stroke.presence is Presence.PERHAPS or place.metric_level == 2:
                level -= 0.3 * follow
        return place.stroke.sounds(level, place.metric_level, self.dice.roll("step", name))

    def _grow(self, found: dict[int, Onset], kicks: set[int], start: int, letter: str) -> None:
        """More notes, in the gaps that the pattern leaves, when the music gets busier than the style is by itself."""
        avoid = kicks if self.grammar.kick is KickRelation.BETWEEN else set()
        if self.level <= GROWS_FROM:
            return
        step = 4 * TICKS_PER_QUARTER // self.grammar.grows_on
        for tick in range(0, self.meter.bar_ticks, step):
            name = f"{motif_name(letter, tick, self.meter.bar_ticks)}/{tick}"
            if tick not in found and tick not in avoid and self.dice.roll("grow", name) < self.level - GROWS_FROM:
                tone = self.dice.choice("RR58", "grow", name, "tone")
                found[tick] = Onset(start + tick, tone, 0.76, min(1, tick % TICKS_PER_QUARTER), name)

    def _meet_kicks(self, found: dict[int, Onset], kicks: set[int], start: int, letter: str) -> None:
        """Roots under those kicks that the pattern does not meet."""
        if self.grammar.kick is KickRelation.BETWEEN:
            return
        for tick in sorted(kicks - set(found)):
            name = f"{motif_name(letter, tick, self.meter.bar_ticks)}/{tick}"
            if self.dice.roll("join", name) < self.grammar.follow + 1.2 * self.level:
                found[tick] = Onset(start + tick, "R", 0.85, 2 if tick % EIGHTH else 1, name)

    def _turn_around(self, found: dict[int, Onset], kicks: set[int], start: int, bar: int) -> None:
        """The last beat of a phrase leads to the next."""
        dice = self.dice.within("turn", bar)
        if dice.roll("at all") >= self.grammar.turnaround + 0.3 * self.request.attributes.energy:
            return
        last = self.meter.bar_ticks - EIGHTH
        avoid = kicks if self.grammar.kick is KickRelation.BETWEEN else set()
        for tick, chance in ((last - EIGHTH, 0.3), (last, 0.8)):
            if tick > 0 and tick not in found and tick not in avoid and dice.roll(tick) < chance + self.level:
                found[tick] = Onset(start + tick, "A", 0.75, 1, f"turn/{tick}")
        ending = [tick for tick in found if tick >= last - EIGHTH and tick > 0]
        for tick in ending:
            found[tick] = replace(found[tick], tone="A" if tick == max(ending) else "W")

    def _meet_chords(self, found: dict[int, Onset], kicks: set[int], start: int) -> None:
        """The first note over each chord is its root; where the bass goes with the kick it comes with the chord."""
        for span in self.plan.chords.between(start, start + self.meter.bar_ticks):
            tick = span.start_ticks - start
            if tick < 0:
                continue
            later = [t for t in found if tick <= t < span.end_ticks - start]
            with_kick = self.grammar.kick is KickRelation.WITH
            if with_kick and (not later or min(later) > tick + EIGHTH):
                found[tick] = Onset(span.start_ticks, "R", 0.8, 0, f"chord/{tick}")
            elif later:
                found[min(later)] = replace(found[min(later)], tone="R")

    # Pitch

    def bar(self, bar: int) -> tuple[Note, ...]:
        """The notes that start in a bar."""
        onsets = self.onsets(bar)
        following = self.onsets(bar + 1) if bar + 1 < self.plan.bars else []
        ends = [
            *(onset.tick for onset in onsets[1:]),
            following[0].tick if following else (bar + 1) * self.meter.bar_ticks,
        ]
        pattern = self.patterns[0 if self.form.letter(bar) == "A" else 1]
        notes = []
        for index, onset in enumerate(onsets):
            later = onsets[index + 1 :]
            pitch = self._pitch(onset, [other for other in later if other.tone in "WA"], last=not later)
            notes.append(self._note(onset, pitch, ends[index], pattern, bar))
        return tuple(sorted(notes))

    def _pitch(self, onset: Onset, walking: list[Onset], *, last: bool) -> int:
        register = self.register
        span = self._span(onset.tick)
        chord, following = span.chord, self._span(span.end_ticks % self.plan.length_ticks).chord
        first = self._is_first(onset, span.start_ticks)
        tone = self._tone(onset, chord, first=first)
        dice = self.dice.within("pitch", onset.name)
        left = sum(other.tick < span.end_ticks for other in walking)
        if tone == "A" or (tone == "W" and left == 0 and span.end_ticks - onset.tick <= TICKS_PER_QUARTER):
            pitch = register.approach(chord, following, self.previous, dice)
        elif tone == "W":
            pitch = register.walk(chord, following, self.previous, max(left, 1), onset.metric_level == 0, dice)
        else:
            pitch = register.tone(tone, chord)
        strong = onset.tick % self.meter.bar_ticks in self.meter.strong_ticks
        if strong and pitch not in chord:
            pitch = min((p for p in register.scale(chord) if p in chord), key=lambda p: (abs(p - pitch), p))
        self.previous = pitch
        return self._below(self._darkened(pitch, onset, chord, first=first, last=last), onset, chord, first=first)

    def _span(self, tick: int) -> ChordSpan:
        """The chord that sounds at a tick."""
        return self.plan.chords.spans[min(bisect_right(self._ends, tick), len(self._ends) - 1)]

    def _is_first(self, onset: Onset, span_start: int) -> bool:
        """Whether no note sounds over this chord earlier."""
        first_bar = max(span_start // self.meter.bar_ticks, onset.tick // self.meter.bar_ticks - 1)
        bars = range(first_bar, onset.tick // self.meter.bar_ticks + 1)
        return not any(span_start <= other.tick < onset.tick for bar in bars for other in self.onsets(bar))

    def _tone(self, onset: Onset, chord: Chord, *, first: bool) -> str:
        """The pattern's tone, or another of the chord where the style likes color and brightness height."""
        if first or onset.tone not in "RL":
            return "R" if first else onset.tone
        height = self.request.attributes.brightness * (0.6 if onset.metric_level == 0 else 0.9)
        if self.dice.roll("bright", onset.name) < height:
            return "8"
        if onset.metric_level > 0 and self.dice.roll("color", onset.name) < self.grammar.color:
            return self.dice.choice("58L5", "color", onset.name, "tone")
        return onset.tone

    def _darkened(self, pitch: int, onset: Onset, chord: Chord, *, first: bool, last: bool) -> int:
        """Darkness lets notes fall, off-beats first: by an octave, or at times from the root to the fifth below."""
        dark = -self.request.attributes.brightness
        if dark <= 0:
            return pitch
        roll = self.dice.roll("dark", onset.name)
        if pitch - 12 >= DARKEST:
            return pitch - 12 if roll < dark * (1.0, 1.6, 2.0)[onset.metric_level] else pitch
        falls = roll < 0.6 * dark or (last and dark >= MUCH)
        return self.register.fifth_below(pitch, chord) if falls and not first else pitch

    def _below(self, pitch: int, onset: Onset, chord: Chord, *, first: bool) -> int:
        """The same, or the nearest lower tone of the chord if a chord or tune that sounds with it is not above it.

        A root that must be heard goes an octave down.
        """
        ceiling = min(
            (n.pitch for score in self.above for n in score if n.start_ticks <= onset.tick < n.end_ticks), default=128
        )
        if pitch < ceiling:
            return pitch
        if first:
            return pitch - 12 if pitch - 12 >= LOWEST else pitch
        return max((p for p in range(LOWEST, ceiling) if p in chord), default=pitch)

    def _note(self, onset: Onset, pitch: int, end: int, pattern: BassPattern, bar: int) -> Note:
        bar_start, bar_end = bar * self.meter.bar_ticks, (bar + 1) * self.meter.bar_ticks
        kick = self.kicks.get(onset.tick)
        if kick is not None:
            start = kick.start_ticks
        else:
            late = self.grammar.push_ticks if onset.tick != bar_start else 0
            start = self.groove.place(self.meter, onset.tick) + late
        start = min(max(start, bar_start), bar_end - 1)
        end = min(end, self._span(onset.tick).end_ticks)
        gap = self.groove.place(self.meter, end) - start
        a = self.request.attributes
        gate = pattern.gate * (1 - 0.45 * max(0.0, a.space)) * (1 + 0.15 * max(0.0, -a.space))
        duration = min(gap * gate, pattern.longest_beats * TICKS_PER_QUARTER)
        if gap <= 2 * EIGHTH and self.dice.roll("glide", onset.name) < self.grammar.glide:
            duration = gap + GLIDE_TICKS
        return Note(start, pitch, max(SHORTEST_TICKS, round(duration)), self._velocity(onset))

    def _velocity(self, onset: Onset) -> int:
        a, loose = self.request.attributes, self.grammar.loose_velocity
        human = self.dice.between(-loose, loose, "velocity", onset.tick) if loose else 0.0
        driven = 26 * a.aggression + 10 * a.energy - 4 * a.space
        return round(min(127.0, max(10.0, LOUDEST * onset.strength * self.grammar.velocity + driven + human)))
