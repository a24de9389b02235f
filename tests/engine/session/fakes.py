"""A quick studio: music that depends on everything it should depend on, and sound that costs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from resonantgen.errors import ModelNotFound
from resonantgen.generators.audio import AudioRequest, Fit, Performance
from resonantgen.generators.base import Request
from resonantgen.generators.dice import Dice
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Chord, ChordSpan, Progression
from resonantgen.music.time import TempoMap
from resonantgen.prompt.intent import ATTRIBUTES, Change, Intent, RoleIntent
from resonantgen.session.sound import macros_for
from resonantgen.session.source import Tokens
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe, Settings, Take

# The shortest clip there is: two beats at 400 bpm.
SHORT = {"tempo": 400, "meter": "2/4", "bars": 1, "sample_rate": 44_100}
SMALL, MELODY = "musicgen-small", "musicgen-melody"  # of the fakes, only the second listens to the sound of others


class FakeStudio(Studio):
    """Notes and samples are hashes of the request, so that a change of anything is seen and nothing else is."""

    installed: Collection[str] = (SMALL, MELODY)
    has_codec = True

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

    def tokens(self, wav: bytes) -> tuple[Tokens, bytes]:
        if not self.has_codec:
            raise ModelNotFound("The codec of this test is not installed. Install it.")
        data = b"tokens of " + hashlib.sha256(wav).digest()
        return Tokens.of(data, "fake", len(wav) // 1000, 6.0), data

    def sound(self, recipe: Recipe) -> Sound:
        return Sound(recipe.part.instrument or "plain", macros_for(recipe.part.attributes))

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        level = Dice(0, score.sha256, sound).roll() - 0.5
        return np.full((recipe.settings.frames, 2), level)

    def require(self, generators: Collection[str]) -> None:
        for name in generators:
            if name not in self.installed:
                raise ModelNotFound(f"{name} is not on this machine. Fetch it with: resonantgen models pull {name}")

    def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        asked, plan = request.request, request.request.plan
        tempo = TempoMap(plan.tempo_bpm, plan.meter, request.sample_rate)
        shown = [f"{name}={getattr(asked.attributes, name)}" for name in ATTRIBUTES]
        heard = [asked.context[role].sha256 for role in Role if role in asked.context]
        if generator == MELODY:
            assert all(len(samples) == tempo.frames(plan.bars) for samples in request.context.values())
            heard += [hashlib.sha256(request.context[role]).hexdigest() for role in Role if role in request.context]
        told = (generator, request.words, str(plan.tempo_bpm), request.sample_rate, request.loudness_lufs)
        dice = Dice(asked.seed, asked.role, *told, plan.style.id, plan.key, plan.chords, *shown, *heard)
        notes = []
        for bar in range(plan.bars):
            on_bar(bar + 1)
            start = bar * plan.meter.bar_ticks
            notes += [Note(start + 120 * i, 36 + dice.integer(bar, i) % 48, 100, 100) for i in range(4)]
        level, phase = dice.roll("level") / 2, np.arange(tempo.frames(plan.bars)) / tempo.frames(plan.bars)
        wave = level * np.sin(2 * np.pi * 40 * plan.bars * phase)
        fit = Fit(generator, "0" * 64, request.words, asked.seed, 1, float(plan.tempo_bpm) - 0.25, 1.003, 4.0, True)
        return Performance(np.stack([wave, wave], axis=1), Score.of(notes, plan.length_ticks), fit)

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
