"""Drums from a style's patterns: a kit is chosen by seed, its bars are realised one by one.

Attributes move thresholds of named dice (see `dice.py`), so a busier take contains the strokes of the sparser one. A
bass that sounds already draws the kick to its onsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.generators.drum_fills import PlannedFill, plan_fills
from resonantgen.generators.form import PHRASE_BARS, Form, motif_name
from resonantgen.generators.grammars.bass import KickRelation
from resonantgen.generators.grammars.drums import PIECES, DrumGrammar, DrumLine
from resonantgen.generators.grammars.kit_defaults import DEFAULT_LINES
from resonantgen.generators.grammars.patterns import Pattern, Presence, Stroke, parse_pattern
from resonantgen.generators.groove import EIGHTH, Groove, beat_position, groove_for, straight_onsets
from resonantgen.generators.metre import Placed, bar_strokes
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.prompt.intent import Attributes, clamp

BRIGHT = frozenset({"closed_hat", "pedal_hat", "open_hat", "crash", "ride", "tambourine", "shaker"})
TIMEKEEPERS = frozenset({"closed_hat", "pedal_hat", "ride", "shaker", "tambourine"})
DRIVEN = frozenset({"kick", "snare", "clap", "low_tom", "mid_tom", "high_tom"})  # what aggression plays more of
DURATIONS = {"crash": 960, "ride": 240, "open_hat": 220, "kick": 110, "low_tom": 160, "mid_tom": 140, "high_tom": 120}
USUAL_DURATION = 60
LIGHTER = 0.75  # of the brightness that is asked for: how much more, or fewer, cymbals play; their tone does the rest
LOUDEST = 116  # the velocity of an accent at neutral attributes
PROMISED_STRENGTH = 0.75  # of the one stroke in a phrase that a piece asked for plays at least
APART, BY_CHANCE, TOGETHER = 0.1, 0.45, 0.65  # shares of kicks that a bass meets if it avoids, ignores or seeks them
ROLL_SHAPES = ((3, 3), (4, 4), (6, 6), (4, 3))  # strokes of a roll in half a beat; the second for loud attributes


@dataclass(frozen=True, slots=True)
class KitLine:
    """One piece as this take plays it."""

    word: str
    line: DrumLine
    patterns: tuple[Pattern, Pattern]  # for A, and for what answers it
    waits: bool  # for the lift
    level: float  # of busyness

    @property
    def piece(self) -> DrumPiece:
        return PIECES[self.word]


class DrumGenerator:
    """The drums' pattern generator."""

    name = "pattern"

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        """The notes that start in each bar. Never raises for a valid request."""
        part = _DrumPart(request)
        for bar in range(request.plan.bars):
            yield part.bar(bar)


def summary(score: Score, request: Request) -> str:
    """What was played, in a few words: "four to the floor, ride from bar 5, fill in bar 8"."""
    part = _DrumPart(request)
    words = [request.plan.style.drums.feel]
    if request.feel.value != "normal":
        words.append(request.feel.value)
    for word, name in (("ride", "ride"), ("open_hat", "open hats"), ("shaker", "shaker"), ("tambourine", "tambourine")):
        bars = {note.start_ticks // request.plan.meter.bar_ticks for note in score if note.pitch == PIECES[word]}
        if bars and min(bars) >= 2:
            words.append(f"{name} from bar {min(bars) + 1}")
    fills = sorted(part.fills)
    if fills:
        listed = ", ".join(str(bar + 1) for bar in fills[:-1])
        words.append(f"fills in bars {listed} and {fills[-1] + 1}" if listed else f"fill in bar {fills[-1] + 1}")
    return ", ".join(words)


class _DrumPart:
    """One take: everything that is decided once. `bar` realises a bar, in any order."""

    def __init__(self, request: Request) -> None:
        plan, grammar = request.plan, request.plan.style.drums
        self.request = request
        self.meter = plan.meter
        self.grammar: DrumGrammar = grammar
        self.attributes: Attributes = request.attributes
        self.dice = Dice(request.seed, plan.style.id, "drums")
        self.form = Form.of(grammar.forms, plan.bars, self.dice)
        self.groove: Groove = groove_for(request)
        self.kit = self._kit()
        self.fills: Mapping[int, PlannedFill] = plan_fills(request, self.form, self.dice)
        self._motifs: dict[tuple[str, str, int], dict[int, float]] = {}
        self.leader: dict[int, Note] = {}  # what draws the kick, on the straight grid
        self.follow = 0.0
        leader = self._leader()
        if leader:
            self.follow = self._needed_follow(leader)
            self.leader = leader if self.follow else {}

    def _kit(self) -> list[KitLine]:
        request, dice, attributes = self.request, self.dice, self.attributes
        lines: dict[str, DrumLine] = {str(word): line for word, line in self.grammar.lines.items()}
        for word in sorted(request.inclusions):
            lines.setdefault(word, DEFAULT_LINES[word])
        kit = []
        for word, line in lines.items():
            wanted = word in request.inclusions
            push = 0.8 * attributes.density + attributes.energy * 0.3 - max(0.0, attributes.space) * 0.3
            if not line.replaces:
                push += LIGHTER * attributes.brightness if word in BRIGHT else -0.3 * attributes.brightness
            absent = line.chance < 1 and dice.roll(word, "present") >= line.chance + push
            if word in request.exclusions or (absent and not wanted):
                continue
            waits = dice.roll(word, "waits") < line.lift - attributes.energy / 2
            choice = dice.integer(line.same_as or word, "pattern") % len(line.patterns)
            answer = choice
            if dice.roll(line.same_as or word, "answers") < 0.5:
                answer = dice.integer(line.same_as or word, "answer") % len(line.patterns)
            patterns = (parse_pattern(line.patterns[choice]), parse_pattern(line.patterns[answer]))
            level = self._level(word)
            kit.append(
                KitLine(
                    word,
                    line,
                    patterns,
                    waits and self.form.has_lift and not wanted,
                    max(level, 0) if wanted else level,
                )
            )
        return kit

    def _level(self, word: str) -> float:
        """How busy a piece is to be, around 0."""
        a = self.attributes
        level = a.density + 0.3 * a.energy - 0.8 * max(0.0, a.space)
        level += LIGHTER * a.brightness if word in BRIGHT else -0.3 * a.brightness
        if word in DRIVEN:
            level += 0.5 * a.aggression
        return level

    def _leader(self) -> dict[int, Note]:
        """The onsets that draw the kick: the bass's, or without one the chords', on the straight grid."""
        for role in (Role.BASS, Role.HARMONY):
            score = self.request.context.get(role)
            if score is not None and len(score):
                return straight_onsets(score, self.meter, Groove.of_score(score, self.meter))
        return {}

    def _needed_follow(self, leader: Mapping[int, Note]) -> float:
        """How much the kick must move: not at all where it meets the bass anyway, or where that avoids it by itself."""
        line = next((line for line in self.kit if line.word == "kick"), None)
        if line is None:
            return 0.0
        bar_ticks = self.meter.bar_ticks
        kicks = [bar * bar_ticks + tick for bar in range(self.form.bars) for tick in self._line(line, bar)]
        met = sum(tick in leader for tick in kicks) / max(1, len(kicks))
        if self.request.plan.style.bass.kick is KickRelation.BETWEEN and met < APART:
            return 0.0
        return self.grammar.follow_bass * clamp((TOGETHER - met) / (TOGETHER - BY_CHANCE), 0.0, 1.0)

    def bar(self, bar: int) -> tuple[Note, ...]:
        """The notes that start in a bar."""
        strokes: dict[tuple[int, str], float] = {}  # (tick within the bar, piece) -> strength
        playing = [line for line in self.kit if not line.waits or self.form.lifted(bar)]
        replaced = {word for line in playing for word in line.line.replaces}
        for line in playing:
            if line.word not in replaced or line.word in self.request.inclusions:
                strokes.update({(tick, line.word): strength for tick, strength in self._line(line, bar).items()})
        fill = self.fills.get(bar)
        if fill is not None:
            strokes = {
                key: s for key, s in strokes.items() if key[0] < fill.start_ticks or key[1] not in fill.fill.mutes
            }
            strokes.update(fill.strokes)
        if self._crashes(bar):
            strokes[0, "crash"] = 0.95
        for tick, word in sorted(strokes):
            if word == "open_hat":  # one hi-hat cannot be open and closed
                strokes.pop((tick, "closed_hat"), None)
                strokes.pop((tick, "pedal_hat"), None)
        return self._notes(strokes, bar)

    def _crashes(self, bar: int) -> bool:
        if "crash" in self.request.exclusions or self.form.bars == 1:
            return False
        chance = self.grammar.crash + self.attributes.energy * 0.4 + self.attributes.brightness * 0.2
        return self.form.opens_section(bar) and self.dice.roll("crash", bar) < chance

    def _line(self, line: KitLine, bar: int) -> dict[int, float]:
        """What one piece plays in a bar, before fills: tick -> strength. Motifs that come again are remembered."""
        if line.word == "kick" and self.leader:
            return self._make_line(line, bar)
        key = (line.word, self.form.letter(bar), bar % (PHRASE_BARS * max(map(len, line.patterns))))
        if key not in self._motifs:
            self._motifs[key] = self._make_line(line, bar)
        return self._motifs[key]

    def _make_line(self, line: KitLine, bar: int) -> dict[int, float]:
        letter = self.form.letter(bar)
        pattern = line.patterns[0 if letter == "A" else 1]
        keeps_time = line.word in TIMEKEEPERS
        placed = bar_strokes(pattern, self.meter, bar, self.grammar.backbeat, self.request.feel, keeps_time=keeps_time)
        leads = self._leading_ticks(bar) if line.word == "kick" else None
        heard: dict[int, float] = {}
        for place in placed:
            if self._sounds(line, place, letter, leads):
                heard[place.tick] = self._strength(place.stroke, place.metric_level if keeps_time else 0)
        if not heard and line.word in self.request.inclusions and bar % PHRASE_BARS == 0:
            heard[self.meter.beats_ticks[-1]] = PROMISED_STRENGTH
        if leads:
            heard.update(self._kicks_with(leads, heard, line.level))
        if line.line.rolls:
            self._add_rolls(line, letter, heard)
        return heard

    def _sounds(self, line: KitLine, place: Placed, letter: str, leads: Mapping[int, Note] | None) -> bool:
        level = line.level
        if leads:
            level += 0.6 * self.follow if place.tick in leads else -0.5 * self.follow
        name = motif_name(letter, place.tick, self.meter.bar_ticks)
        return place.stroke.sounds(level, place.metric_level, self.dice.roll(line.word, name, place.tick))

    def _strength(self, stroke: Stroke, metric_level: int) -> float:
        strength = stroke.strength
        if stroke.ghost:
            strength += 0.25 * max(0.0, self.attributes.aggression)
        if stroke.presence is not Presence.ALWAYS and metric_level == 2:
            strength *= 0.9
        return strength

    def _leading_ticks(self, bar: int) -> dict[int, Note]:
        start = bar * self.meter.bar_ticks
        return {
            tick - start: note for tick, note in self.leader.items() if start <= tick < start + self.meter.bar_ticks
        }

    def _kicks_with(self, leads: Mapping[int, Note], heard: Mapping[int, float], level: float) -> dict[int, float]:
        """Kicks that join the loudest onsets of the bass, where there is room between those that sound."""
        room = max(0, round(3 * self.follow + 2 * level))
        added: dict[int, float] = {}
        for tick, _ in sorted(leads.items(), key=lambda item: (-item[1].velocity, item[0])):
            if len(added) < room and all(abs(tick - other) >= EIGHTH for other in (*heard, *added)):
                added[tick] = 0.78
        return added

    def _add_rolls(self, line: KitLine, letter: str, heard: dict[int, float]) -> None:
        """Rolls that fill the second half of a beat, louder towards the next."""
        for beat, start in enumerate(self.meter.beats_ticks):
            name = (line.word, "roll", letter, beat)
            if self.dice.roll(*name) >= line.line.rolls + 0.4 * line.level:
                continue
            count = self.dice.choice(ROLL_SHAPES, *name, "shape")[
                self.attributes.energy + self.attributes.density > 0.5
            ]
            middle = start + EIGHTH
            for tick in [t for t in heard if middle <= t < middle + EIGHTH]:
                del heard[tick]
            for index in range(count):
                heard[middle + index * EIGHTH // count] = 0.42 + 0.36 * index / count

    def _notes(self, strokes: Mapping[tuple[int, str], float], bar: int) -> tuple[Note, ...]:
        bar_ticks, start = self.meter.bar_ticks, bar * self.meter.bar_ticks
        levels = {line.word: line.line for line in self.kit}
        notes = []
        for (tick, word), strength in strokes.items():
            if word in self.request.exclusions:
                continue
            line = levels.get(word)
            onset = start + min(max(self._onset(tick, word, line, bar), 0), bar_ticks - 1)
            velocity = self._velocity(strength * (line.velocity if line else 1.0), word, tick, bar)
            notes.append(Note(onset, PIECES[word], DURATIONS.get(word, USUAL_DURATION), velocity))
        return tuple(sorted(notes))

    def _onset(self, tick: int, word: str, line: DrumLine | None, bar: int) -> int:
        """Where a stroke sounds, in ticks within the bar. The kick on the one is always on the grid."""
        onset = self.groove.place(self.meter, tick)
        if word == "kick" and tick == 0:
            return onset
        loose = self.grammar.loose_ticks
        drift = round(self.dice.between(-loose, loose, "drift", word, tick, bar)) if loose else 0
        return onset + (line.push_ticks if line else 0) + drift

    def _velocity(self, strength: float, word: str, tick: int, bar: int) -> int:
        a, loose = self.attributes, self.grammar.loose_velocity
        human = self.dice.between(-loose, loose, "velocity", word, tick, bar) if loose else 0.0
        accent = 2.0 if beat_position(self.meter, tick)[0] == 0 else 0.0
        driven = 20 * a.aggression + 12 * a.energy - 4 * a.space
        return round(min(127.0, max(8.0, LOUDEST * strength + accent + driven + human)))
