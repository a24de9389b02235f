"""Where a recipe becomes notes and notes become sound, or sound at once: the session's one door to generators and
instruments.

The session asks a Studio for everything that it cannot do itself, so tests can give it a quicker one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.generators.base import Plan, Request
from resonantgen.generators.plan import harmonise, make_plan
from resonantgen.generators.registry import get_audio_generator, get_generator, require_audio_generator, summarise
from resonantgen.generators.style import load_style
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.chord_reading import read_chords
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Progression
from resonantgen.session.sound import choose_sound
from resonantgen.session.source import Tokens
from resonantgen.session.tokens import tokens_of
from resonantgen.session.values import Recipe, Settings, Take


class Studio:
    """The generators and instruments that come with ResonantGen. It holds no state; its methods are pure functions."""

    def chords(self, settings: Settings, staying: Mapping[Role, Take]) -> Progression:
        """The chords that new tracks play to.

        Those that the harmony plays, if it stays and can be heard; otherwise those that a staying bass was written to;
        otherwise chords that suit a staying melody; otherwise a progression of the style's own. Of a recording, those
        that were heard in it, or said of it.
        """
        bound: Progression | None = None
        recorded = [role for role in (Role.HARMONY, Role.BASS, Role.MELODY) if role in staying]
        if recorded and staying[recorded[0]].is_imported:
            bound = staying[recorded[0]].recipe.chords
        elif Role.HARMONY in staying and staying[Role.HARMONY].score.notes:
            bound = read_chords(staying[Role.HARMONY].score, settings.meter, settings.key)
        elif Role.BASS in staying:
            bound = staying[Role.BASS].recipe.chords
        plan = make_plan(
            load_style(settings.style),
            settings.mood,
            settings.seed,
            tempo_bpm=settings.tempo_bpm,
            meter=settings.meter,
            key=settings.key,
            bars=settings.bars,
            chords=bound,
        )
        if bound is None and Role.MELODY in staying:
            return harmonise(staying[Role.MELODY].score, plan)
        return plan.chords

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        """A track's notes, bar after bar."""
        return get_generator(request.role).bars(request)

    def summary(self, score: Score, request: Request) -> str:
        """What the track plays, in a few words."""
        return summarise(score, request)

    def require(self, generators: Collection[str]) -> None:
        """Raises ModelNotFound or ModelUnusable unless these generators of sound can play here."""
        for name in generators:
            require_audio_generator(name)

    def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        """A track's sound, and what is heard in it. `on_bar` is told of each bar; what it raises ends the work.

        Raises ModelError.
        """
        return get_audio_generator(generator).perform(request, on_bar)

    def sound(self, recipe: Recipe) -> Sound:
        return choose_sound(recipe.role, recipe.part, load_style(recipe.part.style), recipe.seed)

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        """The track's stem, [frames, 2], exactly `settings.frames` long. Several threads may call this at a time.

        `on_bar` is called before each bar; what it raises ends the work.
        """
        from resonantgen.instruments.stem import render_stem  # imported here: it brings the compiler

        role, settings, style = recipe.role, recipe.settings, load_style(recipe.part.style)
        lufs, inserts = style.lufs_for(role), style.inserts_for(role)
        return render_stem(score, role, sound, settings.tempo, settings.bars, lufs, inserts, on_bar).samples

    def tokens(self, wav: bytes) -> tuple[Tokens, bytes]:
        """A WAV file's tokens, and their file. Raises ModelError where our codec or torch is not here."""
        return tokens_of(wav)

    def mix(self, stems: Sequence[Samples], settings: Settings) -> Samples:
        """All stems together, [frames, 2]."""
        from resonantgen.instruments.mix import mix_stems

        return mix_stems(stems, settings.sample_rate)


def audio_request_for(recipe: Recipe, context: Mapping[Role, Score], samples: Mapping[Role, Samples]) -> AudioRequest:
    """What a generator of sound is asked for: `context` and `samples` are the same takes, as notes and as sound."""
    settings, part = recipe.settings, recipe.part
    return AudioRequest(
        request=request_for(recipe, context),
        words=part.words,
        sample_rate=settings.sample_rate,
        loudness_lufs=load_style(part.style).lufs_for(recipe.role),
        context=samples,
    )


def request_for(recipe: Recipe, context: Mapping[Role, Score]) -> Request:
    """What a generator is asked for. `context` holds the scores of the takes that the recipe names."""
    settings, part = recipe.settings, recipe.part
    plan = Plan(
        style=load_style(part.style),
        mood=part.mood,
        tempo_bpm=settings.tempo_bpm,
        meter=settings.meter,
        key=settings.key,
        bars=settings.bars,
        chords=recipe.chords,
    )
    return Request(
        role=recipe.role,
        plan=plan,
        seed=recipe.seed,
        attributes=part.attributes,
        feel=part.feel,
        transpose_semitones=part.transpose_semitones,
        exclusions=part.exclusions,
        inclusions=part.inclusions,
        context=context,
    )
