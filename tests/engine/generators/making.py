"""Makes plans, harmonies and melodies for the tests of the pitched generators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from statistics import fmean

from resonantgen.generators.base import Plan, Request, generate
from resonantgen.generators.harmony import HarmonyGenerator
from resonantgen.generators.melody import MelodyGenerator
from resonantgen.generators.plan import make_plan
from resonantgen.generators.style import load_style
from resonantgen.music.notes import Note, Role, Score
from resonantgen.prompt.intent import Attributes, Feel

GENERATORS = {Role.HARMONY: HarmonyGenerator(), Role.MELODY: MelodyGenerator()}


@lru_cache(maxsize=4096)
def plan_of(style_id: str, seed: int, mood: str | None = None) -> Plan:
    return make_plan(load_style(style_id), mood, seed)


def play(
    role: Role,
    plan: Plan,
    seed: int,
    attributes: Attributes = Attributes(),  # noqa: B008 - a frozen value
    *,
    context: Mapping[Role, Score] | None = None,
    feel: Feel = Feel.NORMAL,
    transpose_semitones: int = 0,
) -> Score:
    request = Request(role, plan, seed, attributes, feel, transpose_semitones, context=context or {})
    return generate(GENERATORS[role], request)


@lru_cache(maxsize=4096)
def harmony_of(style_id: str, seed: int) -> Score:
    return play(Role.HARMONY, plan_of(style_id, seed), seed)


@lru_cache(maxsize=4096)
def melody_of(style_id: str, seed: int) -> Score:
    """The melody of a style over its harmony."""
    return play(Role.MELODY, plan_of(style_id, seed), seed, context={Role.HARMONY: harmony_of(style_id, seed)})


def notes_a_bar(score: Score, plan: Plan) -> float:
    return len(score) / plan.bars


def mean(score: Score, value: Callable[[Note], float]) -> float:
    return fmean(value(note) for note in score)
