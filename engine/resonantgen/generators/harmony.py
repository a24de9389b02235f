"""The pattern generator for harmony: a style's comping over the plan's chords, voiced near each other.

Within each chord's span it plays that chord's tones, all of them and no others, so the chords of the plan are the ones
that are heard and can be read back from the notes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.generators.expression import gate_factor, lateness, onset_factor, register_shift, velocity
from resonantgen.generators.grammars.harmony import STEPS_PER_PATTERN_BAR, HarmonyGrammar, HarmonyPattern
from resonantgen.generators.groove import Groove, groove_for, straight_onsets
from resonantgen.generators.steps import Step, bar_steps, mean_per_bar, sign_at, take
from resonantgen.generators.voicing import HIGHEST, LOWEST, voice_all
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Chord, ChordSpan, Key, Progression
from resonantgen.music.time import TICKS_PER_QUARTER, Meter
from resonantgen.prompt.intent import clamp

_WEIGHTS = {"C": 4.0, "c": 3.5, "u": 3.0, "b": 2.6}  # of what a pattern writes; a single voice has _VOICE_WEIGHT
_VOICE_WEIGHT = 2.8
_ACCENTS = {"C": 8.0, "c": 0.0, "u": -7.0, "b": -4.0}  # velocity steps; a single voice has _VOICE_ACCENT
_VOICE_ACCENT = -6.0
_SPARED_SHARE, _SPARED = 0.12, 2.2  # the share of what is written that a seed plays last, and what that costs it
_NEW_TONE = 0.5  # what a single voice gains if its tone is new in its bar, so that broken chords are whole
_ON_MELODY = 1.6  # what a step loses that the melody takes
_BELOW_MELODY = 9  # semitones by which harmony likes to lie below the melody
_SHOWN_CHORDS = 8


@dataclass(frozen=True, slots=True)
class _Hit:
    """What begins at a step: `sign` as in HarmonyPattern."""

    tick: int  # from the clip's start, on the straight grid
    sign: str
    span: int
    essential: bool = False  # the hit on which the span's whole chord is heard


class HarmonyGenerator:
    """Plays the plan's chords as the style's patterns say."""

    name = "pattern"

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        """See Generator."""
        player = _Player(request)
        hits = player.hits(0)
        for bar in range(request.plan.bars):
            following = player.hits(bar + 1) if bar + 1 < request.plan.bars else []
            yield player.notes(hits, following)
            hits = following


def summary(score: Score, request: Request) -> str:
    """One line for people: the chords, as far as they do not repeat, and how they are played."""
    chords = chord_line(request.plan.chords, request.plan.key)
    return f"{chords}   {_choose_pattern(request).name}" if len(score) else chords


def chord_line(chords: Progression, key: Key) -> str:
    """The chords by name, once around: "Am · F · Am · G"."""
    names = [span.chord.symbol(key) for span in chords.spans]
    names = names[:1] + [name for before, name in pairwise(names) if name != before]
    period = next(p for p in range(1, len(names) + 1) if all(a == b for a, b in zip(names, names[p:], strict=False)))
    shown = names[:period]
    return " · ".join(shown[:_SHOWN_CHORDS]) + (" …" if len(shown) > _SHOWN_CHORDS else "")


def _choose_pattern(request: Request) -> HarmonyPattern:
    patterns = request.plan.style.harmony.patterns
    return Dice(request.seed, "harmony").weighted(patterns, [p.weight for p in patterns], "pattern")


class _Player:
    """What stays the same over the bars of one request."""

    def __init__(self, request: Request) -> None:
        plan = request.plan
        self.request = request
        self.meter: Meter = plan.meter
        self.spans = plan.chords.spans
        self.starts = [span.start_ticks for span in self.spans]
        self.grammar: HarmonyGrammar = plan.style.harmony
        self.pattern = _choose_pattern(request)
        self.dice = Dice(request.seed, "harmony")
        self.groove: Groove = groove_for(request)
        melody = request.context.get(Role.MELODY)
        self.melody_ticks = frozenset(straight_onsets(melody, self.meter, self.groove)) if melody else frozenset()
        center, low, high = _register(request)
        self.voicings = voice_all(plan.chords, center, self.grammar.voices, low, high)
        self.stated = self._stated()
        self.target = self._target()

    def _target(self) -> float:
        """Notes a bar: what the style's patterns have on average, so that every seed is as busy as the others."""
        voices = self.grammar.voices
        costs = {sign: _cost(sign, voices) for sign in "Ccub123456"}
        mean = mean_per_bar([pattern.steps for pattern in self.grammar.patterns], costs)
        return mean * self.meter.bar_ticks / (4 * TICKS_PER_QUARTER) * onset_factor(self.request)

    def hits(self, bar: int) -> list[_Hit]:
        """What begins in a bar, in order."""
        start = bar * self.meter.bar_ticks
        ranked = self._ranked(bar)
        ranked = [(weight, hit) for weight, hit in ranked if not self._anticipates(hit)]
        essential = [hit for hit in self.stated if start <= hit.tick < start + self.meter.bar_ticks]
        voices = self.grammar.voices
        paid = sum(len(self.spans[hit.span].chord.pitch_classes) for hit in essential)
        places = {hit.tick for hit in essential}
        doublings = [(voices - len(self.spans[h.span].chord.pitch_classes), h) for h in essential]
        others = [(_cost(h.sign, voices), h) for _, h in ranked if h.tick not in places]
        # Where every step is taken, single voices grow to whole chords.
        whole = [(voices - cost, replace(hit, sign="c")) for cost, hit in others if cost < voices]
        rounding = self.dice.between(0.35, 0.65, "count", bar)
        taken = take([d for d in doublings if d[0] > 0] + others + whole, self.target - paid, rounding)
        doubled = {hit.tick for hit in taken}
        hits = {hit.tick: hit for hit in taken}
        for hit in essential:
            full = hit.tick in doubled or len(self.spans[hit.span].chord.pitch_classes) >= voices
            hits[hit.tick] = hit if full else _Hit(hit.tick, hit.sign, hit.span, essential=True)
        return [hits[tick] for tick in sorted(hits)]

    def _weigh(self, step: Step, tick: int) -> tuple[float, str]:
        """How much a step wants an onset, and of what."""
        sign, fill = sign_at(self.pattern.steps, step)
        place = step.source_bar % (len(self.pattern.steps) // STEPS_PER_PATTERN_BAR), step.source
        if sign == ".":
            single = sum(s.isdigit() for s in self.pattern.steps)
            sign = str(1 + self.dice.integer("fill", *place) % 4) if single else "u"
            weight = fill + 0.3 * self.dice.roll("fill weight", *place)
        else:
            weight = _WEIGHTS.get(sign, _VOICE_WEIGHT) + 0.4 * self.dice.roll("weight", *place)
            spared = sign in "cub" and self.dice.roll("spared", *place) < _SPARED_SHARE
            weight -= _SPARED * spared
            weight += _NEW_TONE * self._is_new_tone(sign, step, tick)
        return weight - _ON_MELODY * (tick in self.melody_ticks), sign

    def _is_new_tone(self, sign: str, step: Step, tick: int) -> bool:
        """Whether a single voice has a tone that none before it has in its bar of the pattern."""
        steps = self.pattern.steps
        first = step.source_bar * STEPS_PER_PATTERN_BAR % len(steps)
        voicing = self.voicings[bisect_right(self.starts, tick) - 1]
        before = {voicing[(int(s) - 1) % len(voicing)] % 12 for s in steps[first : first + step.source] if s.isdigit()}
        return sign.isdigit() and voicing[(int(sign) - 1) % len(voicing)] % 12 not in before

    def _stated(self) -> list[_Hit]:
        """For each chord the hit that states it, in its first bar: the pattern's best one, or else its first moment.

        Where a chord's last hit would be heard as an anticipation of the next chord, that is no place to state it.
        """
        stated: list[_Hit] = []
        following = self.request.plan.length_ticks
        for index in reversed(range(len(self.spans))):
            span = self.spans[index]
            own = [(weight, hit) for weight, hit in self._ranked(span.start_ticks // self.meter.bar_ticks)]
            written = [h for weight, h in own if h.span == index and weight >= _WEIGHTS["b"] - _ON_MELODY]
            written = [h for h in written if not self._is_early(h.tick, span.end_ticks, following)]
            hit = written[0] if written else _Hit(span.start_ticks, "c", index)
            stated.append(_Hit(hit.tick, "C" if hit.sign == "C" else "c", index))
            following = hit.tick
        return stated[::-1]

    def _ranked(self, bar: int) -> list[tuple[float, _Hit]]:
        """The places of a bar, those that want an onset most first."""
        start = bar * self.meter.bar_ticks
        ranked: list[tuple[float, _Hit]] = []
        for step in bar_steps(self.meter, bar, self.request.feel):
            tick = start + step.tick
            weight, sign = self._weigh(step, tick)
            ranked.append((weight, _Hit(tick, sign, bisect_right(self.starts, tick) - 1)))
        return sorted(ranked, key=lambda item: (-item[0], item[1].tick))

    def _anticipates(self, hit: _Hit) -> bool:
        """Whether a hit would be heard as the beginning of the next chord, whose tones it does not have."""
        if hit.span + 1 == len(self.spans) or self.spans[hit.span + 1].chord == self.spans[hit.span].chord:
            return False
        return self._is_early(hit.tick, self.spans[hit.span].end_ticks, self.stated[hit.span + 1].tick)

    def _is_early(self, tick: int, line: int, following: int) -> bool:
        """Whether a hit shortly before a line is followed by silence for longer than it comes before the line."""
        early, late = (abs(line - self.groove.place(self.meter, place)) for place in (tick, following))
        return line - tick <= TICKS_PER_QUARTER // 2 and late > early

    def notes(self, hits: list[_Hit], following: list[_Hit]) -> tuple[Note, ...]:
        """The notes of a bar's hits; what follows cuts them short."""
        factor = gate_factor(self.request.attributes)
        gate = min(1.0, self.pattern.gate * factor)
        longest = round(self.pattern.longest_beats * TICKS_PER_QUARTER * factor)
        notes: list[Note] = []
        for position, hit in enumerate(hits):
            span = self.spans[hit.span]
            later = [*hits[position + 1 :], *following]
            begin = self._sounding(hit.tick, span) + lateness(self.grammar.humanize, self.dice, hit.tick)
            for pitch, strum in zip(self._tones(hit), self._strum(hit), strict=True):
                start = min(begin + strum, span.end_ticks - 1)
                end = self._next_onset(pitch, later, span)
                duration = max(1, min(int((end - start) * gate), longest, span.end_ticks - start))
                notes.append(Note(start, pitch, duration, self._velocity(hit, pitch)))
        return tuple(sorted(notes))

    def _tones(self, hit: _Hit) -> tuple[int, ...]:
        """The pitches of a hit, lowest first."""
        voicing = self.voicings[hit.span]
        if hit.essential:
            return _core(voicing, self.spans[hit.span].chord)
        if hit.sign in "Cc":
            return voicing
        if hit.sign == "u":
            return _upper(voicing, self.spans[hit.span].chord)
        if hit.sign == "b":
            return voicing[:1]
        octaves, voice = divmod(int(hit.sign) - 1, len(voicing))
        return (min(voicing[voice] + 12 * octaves, 127),)

    def _next_onset(self, pitch: int, later: list[_Hit], span: ChordSpan) -> int:
        """When a pitch is played again, or the whole chord is, at the latest when its chord ends."""
        for hit in later:
            if hit.tick >= span.end_ticks:
                break
            if hit.sign in "Cc" or pitch in self._tones(hit):
                return self._sounding(hit.tick, span)
        return self._sounding(span.end_ticks, span)

    def _sounding(self, tick: int, span: ChordSpan) -> int:
        """A tick on the grid as it sounds, within the span."""
        return max(span.start_ticks, min(self.groove.place(self.meter, tick), span.end_ticks))

    def _strum(self, hit: _Hit) -> list[int]:
        """How late each voice of a hit is, in ticks: strokes go upward on beats, and downward on off-beats."""
        delays = [self.grammar.strum_ticks * voice for voice in range(len(self._tones(hit)))]
        off_beat = hit.tick % TICKS_PER_QUARTER != 0 and hit.sign != "C"
        return delays[::-1] if off_beat else delays

    def _velocity(self, hit: _Hit, pitch: int) -> int:
        accent = _ACCENTS.get(hit.sign, _VOICE_ACCENT)
        attributes, humanize = self.request.attributes, self.grammar.humanize
        return velocity(self.grammar.velocity, accent, attributes, humanize, self.dice, hit.tick, pitch)


def _cost(sign: str, voices: int) -> float:
    """Notes that a sign stands for in the style's usual voicing."""
    return float(voices if sign in "Cc" else voices - 1 if sign == "u" else 1)


def _core(voicing: tuple[int, ...], chord: Chord) -> tuple[int, ...]:
    """Each tone of the chord once: the lowest of each, so that the bass note stays."""
    tones = {pitch % 12: pitch for pitch in reversed(voicing)}
    assert set(tones) == set(chord.pitch_classes), (voicing, chord)
    return tuple(sorted(tones.values()))


def _upper(voicing: tuple[int, ...], chord: Chord) -> tuple[int, ...]:
    """A lighter chord that keeps its name: without its lowest voice or, where that is needed, without its fifth.

    A minor seventh chord without its root is another chord's triad, a triad without its third a power chord, and that
    has nothing to spare.
    """
    if len(chord.pitch_classes) < 3:
        return voicing
    plain_fifth = (chord.root + 7) % 12
    needed = set(chord.pitch_classes) - {plain_fifth} if len(chord.pitch_classes) > 3 else {chord.third}
    if needed <= {pitch % 12 for pitch in voicing[1:]}:
        return voicing[1:]
    return tuple(pitch for pitch in voicing if pitch % 12 != plain_fifth) or voicing


def _register(request: Request) -> tuple[float, int, int]:
    """Center, lowest and highest pitch: the style's register, around and below a melody's, moved as was asked."""
    center = request.plan.style.harmony.center + Dice(request.seed, "harmony").between(-1.5, 1.5, "register")
    melody = request.context.get(Role.MELODY)
    if melody:
        below = median(note.pitch for note in melody) - _BELOW_MELODY
        center += clamp(0.5 * (below - center), -7, 3)
    asked = request.transpose_semitones
    low, high = max(24, LOWEST + asked), min(108, HIGHEST + asked)
    return clamp(center + register_shift(request), low + 5, high - 5), low, high
