"""Where a take's drum fills fall, which they are and how long: decided once, by dice and energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.generators.form import Form
from resonantgen.generators.grammars.fills import FILLS, Fill
from resonantgen.generators.metre import bar_strokes


@dataclass(frozen=True, slots=True)
class PlannedFill:
    """A fill in a bar: it plays from `start_ticks` (within the bar) to the bar's end."""

    fill: Fill
    start_ticks: int
    strokes: Mapping[tuple[int, str], float]  # (tick within the bar, piece) -> strength


def plan_fills(request: Request, form: Form, dice: Dice) -> dict[int, PlannedFill]:
    """The fills of a clip, by bar."""
    grammar, attributes = request.plan.style.drums, request.attributes
    if not grammar.fills:
        return {}
    eager = grammar.fill_chance + 0.4 * attributes.energy + 0.3 * attributes.density - 0.4 * max(0.0, attributes.space)
    fills = {}
    for bar in range(form.bars):
        middle = form.closes_phrase(bar) and form.bars > 1 and dice.roll("fill", bar) < eager
        if form.closes_section(bar) or middle:
            fills[bar] = _plan_fill(request, bar, dice, long=form.closes_section(bar))
    return fills


def _plan_fill(request: Request, bar: int, dice: Dice, *, long: bool) -> PlannedFill:
    grammar, attributes, meter = request.plan.style.drums, request.attributes, request.plan.meter
    fill = FILLS[dice.choice(grammar.fills, "fill", bar, "name")]
    length = (
        dice.roll("fill", bar, "length")
        + 0.3 * attributes.energy
        + 0.2 * attributes.aggression
        + (0.2 if long else -0.2)
    )
    beats = 1 if length < 0.3 else 2 if length < 0.95 else 4
    starts = meter.beats_ticks
    start_ticks = starts[max(len(starts) - beats, min(1, len(starts) - 1))]  # a bar never is all fill
    level = 0.5 * attributes.density + 0.6 * attributes.aggression + 0.3 * attributes.energy
    strokes: dict[tuple[int, str], float] = {}
    for word, pattern in fill.lines:
        for place in bar_strokes(pattern, meter, bar, grammar.backbeat):
            roll = dice.roll("fill", bar, word, place.tick)
            if place.tick >= start_ticks and place.stroke.sounds(level, place.metric_level, roll):
                risen = (place.tick - start_ticks) / (meter.bar_ticks - start_ticks)
                strength = place.stroke.strength * (0.62 + 0.4 * risen if fill.rises else 1.0)
                strokes[place.tick, word] = strength
    return PlannedFill(fill, start_ticks, strokes)
