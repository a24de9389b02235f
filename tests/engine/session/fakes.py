"""A quick studio: music that depends on everything it should depend on, and sound that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Chord, ChordSpan, Progression
from resonantgen.prompt.intent import ATTRIBUTES, Change, Intent, RoleIntent
from resonantgen.session.sound import macros_for
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe, Settings, Take

# The shortest clip there is: two beats at 400 bpm.
SHORT = {"tempo": 400, "meter": "2/4", "bars": 1, "sample_rate": 44_100}


class FakeStudio(Studio):
    """Notes and samples are hashes of the request, so that a change of anything is seen and nothing else is."""

    def chords(self, settings: Settings, staying: Mapping[Role, Take]) -> Progression:
        for role in (Role.HARMONY, Role.BASS):
            if role in staying:
                return staying[role].recipe.chords
        root = Dice(settings.seed, "root", settings.key).integer() % 12
        return Progression((ChordSpan(Chord(root, "m"), 0, settings.length_ticks),))

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        plan = request.plan
        shown = [f"{name}={getattr(request.attributes, name)}" for name in ATTRIBUTES]
        heard = [request.context[role].sha256 for role in Role if role in request.context]
        dice = Dice(request.seed, request.role, plan.style.id, plan.key, plan.chords, request.feel, *shown, *heard)
        for bar in range(plan.bars):
            start = bar * plan.meter.bar_ticks
            yield tuple(Note(start + 120 * i, 36 + dice.integer(bar, i) % 48, 100, 100) for i in range(4))

    def summary(self, score: Score, request: Request) -> str:
        return f"{len(score)} notes"

    def sound(self, recipe: Recipe) -> Sound:
        return Sound(recipe.part.instrument or "plain", macros_for(recipe.part.attributes))

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        level = Dice(0, score.sha256, sound).roll() - 0.5
        return np.full((recipe.settings.frames, 2), level)

    def mix(self, stems: Sequence[Samples], settings: Settings) -> Samples:
        return np.sum(stems, axis=0) / 4


def words(text: str = "words", **fields: object) -> Intent:
    """An intent as if `text` had been understood so."""
    return Intent(text, **fields)  # type: ignore[arg-type]


def step(**amounts: float) -> dict[str, Change]:
    """Relative changes of attributes: `step(energy=0.5)`."""
    return {name: Change(amount, relative=True) for name, amount in amounts.items()}


def about(role: Role, **amounts: float) -> Intent:
    """An edit that names one role."""
    return words(f"{role} {amounts}", roles=(role,), by_role={role: RoleIntent(step(**amounts))})
