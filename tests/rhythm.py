"""Drum and bass parts for tests, made once each, and what is measured in them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from resonantgen.generators.base import Plan, Request, generate
from resonantgen.generators.plan import make_plan
from resonantgen.generators.registry import get_generator
from resonantgen.generators.style import load_style, style_ids
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes

STYLES = tuple(style_ids())
SEEDS = tuple(range(10))
METERS = tuple(f"{count}/{unit}" for unit in (4, 8) for count in range(2, 13))
NEUTRAL = Attributes()
STEP = 120  # ticks of a sixteenth
BRIGHT = {
    DrumPiece.CLOSED_HAT,
    DrumPiece.PEDAL_HAT,
    DrumPiece.OPEN_HAT,
    DrumPiece.CRASH,
    DrumPiece.RIDE,
    DrumPiece.TAMBOURINE,
    DrumPiece.SHAKER,
}


@cache
def plan_of(style_id: str, seed: int = 0, *, bars: int = 8, meter: str = "4/4") -> Plan:
    return make_plan(load_style(style_id), None, seed, bars=bars, meter=Meter.parse(meter))


def play(plan: Plan, role: Role, seed: int = 0, attributes: Attributes = NEUTRAL, **request: object) -> Score:
    """A part over a plan."""
    return generate(get_generator(role), Request(role, plan, seed, attributes, **request))  # type: ignore[arg-type]


@cache
def drums_of(style_id: str, seed: int, attributes: Attributes = NEUTRAL) -> Score:
    return play(plan_of(style_id, seed), Role.DRUMS, seed, attributes)


@cache
def bass_of(style_id: str, seed: int, attributes: Attributes = NEUTRAL, drums_seed: int | None = None) -> Score:
    """A bass over the style's own drums, as those are without attributes."""
    context = {Role.DRUMS: drums_of(style_id, seed if drums_seed is None else drums_seed)}
    return play(plan_of(style_id, seed), Role.BASS, seed, attributes, context=context)


def steps(score: Score, piece: DrumPiece | None = None) -> set[int]:
    """The sixteenths, from the clip's start, on which notes begin."""
    return {round(note.start_ticks / STEP) for note in score if piece is None or note.pitch == piece}


def bar_of_steps(score: Score, piece: DrumPiece, bar: int, meter: Meter = Meter()) -> set[int]:  # noqa: B008 - frozen
    """The sixteenths of a bar on which a piece begins."""
    start = bar * meter.bar_ticks
    notes = score.between(start, start + meter.bar_ticks)
    return {round((note.start_ticks - start) / STEP) for note in notes if note.pitch == piece}


def mean_velocity(score: Score) -> float:
    return sum(note.velocity for note in score) / len(score)


def mean_pitch(score: Score) -> float:
    return sum(note.pitch for note in score) / len(score)


def bright_share(score: Score) -> float:
    return sum(note.pitch in BRIGHT for note in score) / len(score)


def with_moved(score: Score, piece: DrumPiece, places: Mapping[int, int]) -> Score:
    """The score with a piece's notes on other sixteenths (of the whole clip)."""
    notes = []
    for note in score:
        if note.pitch == piece:
            step = round(note.start_ticks / STEP)
            note = Note(places.get(step, step) * STEP, note.pitch, note.duration_ticks, note.velocity)
        notes.append(note)
    return Score.of(notes, score.length_ticks)
