"""What the attributes of a request mean for the notes of pitched tracks."""

from __future__ import annotations

import math

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.prompt.intent import Attributes, Feel, clamp

HUMAN_TICKS = 12  # how late a note may be at full humanity
FIFTH = 7


def onset_factor(request: Request) -> float:
    """How many times as many notes as the style has: density above all; 1.6 at +0.5, and half of that again at +1."""
    a = request.attributes
    level = clamp(a.density + 0.25 * a.energy + 0.15 * a.aggression - 0.5 * max(0.0, a.space), -1.4, 1.4)
    feel = {Feel.NORMAL: 1.0, Feel.HALF_TIME: 0.5, Feel.DOUBLE_TIME: 2.0}[request.feel]
    return float(feel * 2.0 ** (1.4 * level))


def register_shift(request: Request) -> float:
    """Semitones that a track lies above the style's register: a fifth at full brightness, and what was asked for.

    Half of the brightness moves it by a fourth already: less would often change no inversion of a chord.
    """
    bright = request.attributes.brightness
    return math.copysign(FIFTH * math.sqrt(abs(bright)), bright) + request.transpose_semitones


def gate_factor(attributes: Attributes) -> float:
    """How much longer than the style's its notes sound: aggression cuts them, space lets them ring."""
    return (1 - 0.4 * attributes.aggression) * (1 + 0.5 * attributes.space)


def velocity(base: float, accent: float, attributes: Attributes, humanize: float, dice: Dice, *name: object) -> int:
    """A velocity: `accent` (velocity steps) stands out further as the playing gets more aggressive."""
    played = base + accent * (1 + 0.3 * attributes.aggression) + 18 * attributes.aggression + 12 * attributes.energy
    return round(clamp(played + 16 * humanize * (dice.roll("velocity", *name) - 0.5), 1, 127))


def lateness(humanize: float, dice: Dice, *name: object) -> int:
    """Ticks by which a human hand is behind: never ahead, so that a chord never begins before its bar."""
    return int((HUMAN_TICKS + 1) * humanize * dice.roll("late", *name))
