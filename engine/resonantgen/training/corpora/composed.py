"""What the project composes itself, in all its styles: as much of it as one likes. A name is a style and a seed."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from resonantgen.generators.dice import Dice
from resonantgen.generators.plan import make_plan
from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.base import Sound
from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import ChordSpan, Key
from resonantgen.music.time import MAX_BARS, TICKS_PER_QUARTER
from resonantgen.prompt.intent import ATTRIBUTES, Attributes
from resonantgen.session.produce import compose
from resonantgen.session.settings import DEFAULT_SAMPLE_RATE
from resonantgen.session.studio import Studio
from resonantgen.session.values import Part as AskedPart
from resonantgen.session.values import Recipe, Settings
from resonantgen.training.corpora.piece import Part, Piece, Split, TimedChord, TimedNote

SECONDS = 64.0  # about how long a piece is
SEEDS = 100  # of each style and split
HELD_OUT_FROM = 1_000_000  # seeds of pieces that are held out
WILD = 0.6  # how far an attribute may be from the style's own


class Composed:
    """Pieces by the project's generators: "jazz-17". All four roles; key and chords are known."""

    name = "composed"

    def names(self, split: Split, role: Role) -> tuple[str, ...]:
        first = HELD_OUT_FROM if split is Split.HELD_OUT else 0
        return tuple(f"{style}-{first + seed}" for seed in range(SEEDS) for style in style_ids())

    def piece(self, name: str) -> Piece:
        settings, scores, chords, _ = _compose(name)
        tempo = settings.tempo
        ticks = settings.length_ticks
        return Piece(
            name=name,
            corpus=self.name,
            split=Split.HELD_OUT if settings.seed >= HELD_OUT_FROM else Split.TRAIN,
            licence="own work",
            style=load_style(settings.style).title,
            tempo_bpm=float(settings.tempo_bpm),
            meter=settings.meter,
            beat_seconds=tuple(tempo.seconds(tick) for tick in range(0, ticks, TICKS_PER_QUARTER)),
            downbeat_seconds=tuple(tempo.seconds(tick) for tick in range(0, ticks, settings.meter.bar_ticks)),
            parts=tuple(
                Part(
                    role,
                    tuple(
                        TimedNote(tempo.seconds(n.start_ticks), n.pitch, tempo.seconds(n.duration_ticks), n.velocity)
                        for n in score
                    ),
                )
                for role, score in scores.items()
            ),
            key=settings.key,
            chords=tuple(TimedChord(tempo.seconds(s.start_ticks), tempo.seconds(s.end_ticks), s.chord) for s in chords),
            details={"style": settings.style},
        )

    def sounds(self, name: str) -> dict[Role, Sound]:
        """The kits and patches that the project plays a piece on."""
        return _compose(name)[3]


@lru_cache(maxsize=4)
def _compose(name: str) -> tuple[Settings, dict[Role, Score], tuple[ChordSpan, ...], dict[Role, Sound]]:
    style_id, _, number = name.rpartition("-")
    seed = int(number)
    dice = Dice(seed, "composed", style_id)
    style = load_style(style_id)
    plan = make_plan(style, None, seed)
    tempo_bpm = Fraction(round(dice.between(style.tempo.low, style.tempo.high, "tempo")))
    key = Key(dice.integer("tonic") % 12, plan.key.mode)
    bar_seconds = plan.meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(tempo_bpm)
    bars = min(MAX_BARS, max(1, math.ceil(SECONDS / bar_seconds)))
    attributes = Attributes(**{name: dice.between(-WILD, WILD, name) for name in ATTRIBUTES})
    chords = make_plan(style, None, seed, tempo_bpm=tempo_bpm, meter=plan.meter, key=key, bars=bars).chords
    settings = Settings(style_id, None, tempo_bpm, plan.meter, key, bars, DEFAULT_SAMPLE_RATE, seed, attributes)
    studio = Studio()
    part = AskedPart(style_id, None, attributes)
    scores: dict[Role, Score] = {}
    sounds = {}
    for role in Role:
        recipe = Recipe(role, seed, settings, part, chords, {heard: heard.value for heard in scores})
        scores[role] = compose(recipe, scores, studio)
        sounds[role] = studio.sound(recipe)
    return settings, scores, chords.spans, sounds
