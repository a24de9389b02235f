"""From words to what all tracks share (`Settings`) and what is asked of each (`Part`).

An option ("--tempo 128") outweighs a word ("128 bpm"), a word outweighs what is there already, and that outweighs what
the style would choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Final, TypeAlias

from resonantgen.errors import BadValue, TrackLocked, quoted
from resonantgen.generators.plan import make_plan
from resonantgen.generators.registry import check_generator, generator_name
from resonantgen.generators.style import load_style
from resonantgen.instruments.catalog import preset_for_word
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import MAX_TEMPO_BPM, MIN_TEMPO_BPM, Meter, check_bars, check_sample_rate, parse_tempo
from resonantgen.prompt.intent import Attributes, Intent, RoleIntent
from resonantgen.session.values import Part, Settings, Take

DEFAULT_SAMPLE_RATE = 48_000
MAX_TRANSPOSE_SEMITONES = 24
MOST_WORDS = 300  # characters that a generator of sound is told: the latest count

Generators: TypeAlias = Mapping[Role, str]  # the names of those that tracks are asked to have
NO_GENERATORS: Final[Generators] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for beside the words. None: left to the words."""

    tempo_bpm: Fraction | None = None
    key: Key | None = None
    meter: Meter | None = None
    bars: int | None = None
    sample_rate: int | None = None

    @classmethod
    def parse(
        cls,
        tempo: str | float | Fraction | None = None,
        key: str | Key | None = None,
        meter: str | Meter | None = None,
        bars: int | None = None,
        sample_rate: int | None = None,
    ) -> Options:
        """Raises BadValue."""
        return cls(
            None if tempo is None else parse_tempo(tempo),
            Key.parse(key) if isinstance(key, str) else key,
            Meter.parse(meter) if isinstance(meter, str) else meter,
            None if bars is None else check_bars(bars),
            None if sample_rate is None else check_sample_rate(sample_rate),
        )


def first_settings(intent: Intent, options: Options, seed: int, beside: Settings | None) -> Settings:
    """What a generation starts from. `beside` are the settings of tracks that stay and that it has to go with.

    Raises BadValue for a number of bars that cannot be made.
    """
    from resonantgen.prompt.understanding import suggested_style  # imported here: it loads the lexicon

    style_id = intent.style or (beside.style if beside else suggested_style(intent))
    plan = make_plan(
        load_style(style_id),
        intent.mood,
        seed,
        tempo_bpm=options.tempo_bpm or intent.tempo_bpm or (beside.tempo_bpm if beside else None),
        meter=options.meter or intent.meter or (beside.meter if beside else None),
        key=options.key or intent.key or (beside.key if beside else None),
        minor=intent.minor,
        bars=options.bars or intent.bars or (beside.bars if beside else None),
    )
    return Settings(
        style=style_id,
        mood=intent.mood,
        tempo_bpm=options.tempo_bpm or _scaled(plan.tempo_bpm, intent.tempo_factor),
        meter=plan.meter,
        key=options.key or _asked_key(plan.key, intent),
        bars=plan.bars,
        sample_rate=options.sample_rate or (beside.sample_rate if beside else DEFAULT_SAMPLE_RATE),
        seed=seed,
        attributes=Attributes().changed(intent.attributes),
    )


def edited_settings(settings: Settings, intent: Intent, everywhere: bool) -> Settings:
    """What an edit makes of the settings. Style, mood and attributes change only if it reaches every track."""
    settings = replace(
        settings,
        tempo_bpm=_scaled(intent.tempo_bpm or settings.tempo_bpm, intent.tempo_factor),
        meter=intent.meter or settings.meter,
        key=_asked_key(settings.key, intent),
        bars=check_bars(intent.bars or settings.bars),
    )
    if not everywhere:
        return settings
    return replace(
        settings,
        style=intent.style or settings.style,
        mood=intent.mood or settings.mood,
        attributes=settings.attributes.changed(intent.attributes),
    )


def parse_generators(asked: Iterable[str]) -> dict[str, str]:
    """ "drums=musicgen-small", as people type it, as a track's name and a generator's. Raises BadValue."""
    generators: dict[str, str] = {}
    for text in asked:
        track, equals, name = (piece.strip() for piece in text.partition("="))
        track, name = track.lower(), generator_name(name)
        if not (track and equals and name):
            raise BadValue(f"{quoted(text)} names no track and its generator. Such as: drums=musicgen-small")
        if generators.setdefault(track, name) != name:
            raise BadValue(f"{quoted(track)} cannot have two generators: {generators[track]} and {name}. Name one.")
    return generators


def checked_generators(asked: Mapping[Role, str]) -> dict[Role, str]:
    """The same, in the tracks' order. Raises BadValue for a name that is no generator."""
    for role, name in asked.items():
        check_generator(role, name)
    return {role: asked[role] for role in Role if role in asked}


def first_part(role: Role, settings: Settings, intent: Intent, generator: str | None = None) -> Part:
    """What is asked of a track that is made anew. Raises BadValue for an instrument that the role does not have."""
    part = Part(intent.style or settings.style, intent.mood or settings.mood, settings.attributes)
    part = _with_role_words(part, role, intent.by_role.get(role))
    return _told(replace(part, generator=generator or part.generator), intent.text)


def edited_part(part: Part, role: Role, intent: Intent, generator: str | None = None, prompt: str = "") -> Part:
    """What an edit makes of it. A new style brings its own instruments. Raises BadValue.

    `prompt` are the words that led to what is there: a generator that is new there and reads words starts from them.
    """
    words = part.words or prompt
    if intent.style is not None and intent.style != part.style:
        part, words = replace(part, style=intent.style, instrument=None), ""
    part = replace(part, generator=generator or part.generator)
    part = replace(part, mood=intent.mood or part.mood, attributes=part.attributes.changed(intent.attributes))
    part = _with_role_words(_moved(part, _register_step(role, intent)), role, intent.by_role.get(role))
    return _told(part, words, intent.text)


def _register_step(role: Role, intent: Intent) -> int:
    """How far a transposition of everything moves a track's register; the key moves with it (see `_asked_key`).

    A bass keeps to its octaves: it follows the key where it lies, and moves by whole octaves only.
    """
    if role in (Role.HARMONY, Role.MELODY):
        return intent.transpose_semitones
    return 12 * int(intent.transpose_semitones / 12) if role is Role.BASS else 0


def _told(part: Part, *texts: str) -> Part:
    """With the words that its generator is told, if it reads any: each text once, the latest last."""
    if not part.is_sound:
        return replace(part, words="")
    words = ""
    for text in texts:
        line = " ".join(text.split())
        if line:
            others = f", {words}, ".replace(f", {line}, ", ", ").strip(", ")
            words = f"{others}, {line}" if others else line
    if len(words) > MOST_WORDS:
        latest = words[-MOST_WORDS:]
        words = latest.partition(" ")[2] or latest  # whole words, if there are any
    return replace(part, words=words)


def _moved(part: Part, semitones: int) -> Part:
    transpose = part.transpose_semitones + semitones
    return replace(part, transpose_semitones=max(-MAX_TRANSPOSE_SEMITONES, min(MAX_TRANSPOSE_SEMITONES, transpose)))


def _with_role_words(part: Part, role: Role, words: RoleIntent | None) -> Part:
    if words is None:
        return part
    return replace(
        _moved(part, words.transpose_semitones),
        attributes=part.attributes.changed(words.attributes),
        instrument=preset_for_word(role, words.instrument) if words.instrument else part.instrument,
        feel=words.feel or part.feel,
        exclusions=(part.exclusions - words.inclusions) | words.exclusions,
        inclusions=(part.inclusions - words.exclusions) | words.inclusions,
    )


def check_shared(before: Settings, after: Settings, staying: Mapping[Role, Take], locked: frozenset[Role]) -> None:
    """Raises if a setting that all tracks share would change while tracks that cannot follow stay as they are.

    TrackLocked where a lock is in the way, otherwise BadValue. Drums have no key, so a new key may leave them alone.
    """
    pitched: Mapping[Role, Take] = {role: take for role, take in staying.items() if role is not Role.DRUMS}
    shared = (
        ("tempo", f"{float(before.tempo_bpm):g} bpm", f"{float(after.tempo_bpm):g} bpm", staying),
        ("meter", str(before.meter), str(after.meter), staying),
        ("length", f"{before.bars} bars", f"{after.bars} bars", staying),
        ("sample rate", f"{before.sample_rate} Hz", f"{after.sample_rate} Hz", staying),
        ("key", str(before.key), str(after.key), pitched),
    )
    for name, old, new, tracks in shared:
        if old == new or not tracks:
            continue
        held = [role.value for role in tracks if role in locked]
        if held:
            raise TrackLocked(
                f"The {name} cannot become {new} while {' and '.join(held)} {'is' if len(held) == 1 else 'are'} locked "
                f"at {old}. Unlock with: resonantgen unlock {held[0]}"
            )
        raise BadValue(
            f"The {name} cannot become {new} for some tracks only: {' and '.join(tracks)} would stay at {old}. "
            "Do it for all tracks at once, without naming any."
        )


def _asked_key(key: Key, intent: Intent) -> Key:
    """The key that the words name, otherwise this one in the mode that they name; moved as far as they say."""
    if intent.key is not None:
        key = intent.key
    elif intent.mode is not None:
        key = Key(key.tonic, intent.mode)
    elif intent.minor is not None and intent.minor != key.mode.is_minor:
        key = Key(key.tonic, Mode.MINOR if intent.minor else Mode.MAJOR)
    return key.transposed(intent.transpose_semitones)


def _scaled(tempo: Fraction, factor: Fraction | None) -> Fraction:
    """Faster or slower by a factor: to a tenth of a bpm, and no further than can be played."""
    if factor is None:
        return tempo
    return max(Fraction(MIN_TEMPO_BPM), min(Fraction(MAX_TEMPO_BPM), Fraction(round(tempo * factor * 10), 10)))
