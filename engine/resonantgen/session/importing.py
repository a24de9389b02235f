"""A person's own recording as a track: it is listened to, what is heard is said and can be corrected, and it is fitted.

In three steps, of which the first and the last take time and need no session: `listen` measures, `plan_import` decides
what of it is used and how it meets the project, `import_take` makes the take.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from resonantgen.errors import AudioError, ModelError
from resonantgen.generators.style import load_style
from resonantgen.music.notes import Role, Score
from resonantgen.packages import require_packages
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.import_plan import Heard, ImportPlan, has_beside, plan_import, refuse_locked
from resonantgen.session.jobs import Order, Standing, parse_role
from resonantgen.session.rendition import wav_of
from resonantgen.session.source import IMPORTED, clock_text, shown_name, suffix_of
from resonantgen.session.studio import Studio
from resonantgen.session.tokens import reason_of
from resonantgen.session.values import Recipe, Take

PACKAGES = ("scipy",)
SINGLE_VOICES = (Role.BASS, Role.MELODY)  # their chords are found from their notes
LONGEST_SECONDS = 300.0  # that is listened to; 64 bars are no longer at 52 bpm and more
SHORTEST_SECONDS = 0.1
LOWEST_RATE, HIGHEST_RATE = 16_000, 48_000  # at which it is listened to


@dataclass(frozen=True, slots=True)
class Prepared:
    """An import that is made, but for its being recorded; its file is in the project's folder."""

    order: Order
    take: Take
    wav: bytes
    tokens: bytes | None  # their file


OnPlan = Callable[[ImportPlan], None]


def no_plan(plan: ImportPlan) -> None:
    """For those who do not ask what was heard."""


class Keeper(Protocol):
    """Who keeps imported files: see `Store`."""

    def add_import(self, path: Path, suffix: str) -> str: ...
    def import_path(self, file_name: str) -> Path: ...


def prepare_import(
    path: Path,
    role: Role,
    options: ImportOptions,
    standing: Standing,
    number: int,
    keeper: Keeper,
    studio: Studio,
    on_plan: OnPlan = no_plan,
) -> Prepared:
    """All of an import but the recording of it. What is wrong with the file shows before it is copied.

    The copy is what is listened to: the file itself may change or go meanwhile. Raises as `Session.import_audio` does.
    """
    refuse_locked(role, standing)
    check_file(path)
    suffix = suffix_of(path)
    sha256 = keeper.add_import(path, suffix)
    kept = keeper.import_path(f"{sha256}{suffix}")
    try:
        heard = listen(kept, shown_name(path), role, options, standing)
    except AudioError as error:  # it has become another file since it was looked at
        raise AudioError(str(error).replace(str(kept), str(path))) from None
    plan = plan_import(heard, sha256, suffix, role, standing, number)
    on_plan(plan)
    if plan.conflict is not None:
        raise plan.conflict
    return import_take(plan, kept, studio)


def check_file(path: Path) -> None:
    """Raises AudioError for what is no sound file, ModelUnusable where what listens to one is not installed."""
    require_packages(PACKAGES, "neural", "Recordings cannot be imported")
    from resonantgen.audio.sound_file import read_facts

    read_facts(path)


def listen(path: Path, name: str, role: Role, options: ImportOptions, standing: Standing) -> Heard:
    """Measure a file; memory does not grow with its length. Raises AudioError, ModelUnusable."""
    require_packages(PACKAGES, "neural", "Recordings cannot be imported")
    from resonantgen.audio.analysis import analyze
    from resonantgen.audio.hearing import hear_voice
    from resonantgen.audio.sound_file import read_facts, read_window

    facts = read_facts(path)
    start = options.offset_seconds or 0.0
    if start > facts.seconds:  # said here by the name that the user gave: it is a copy that is listened to
        raise AudioError(f"{name} ends before {start:.2f} seconds. Use a smaller --offset.")
    rate = min(max(facts.sample_rate, LOWEST_RATE), HIGHEST_RATE)
    window = read_window(path, start, LONGEST_SECONDS, rate)
    if window.seconds < SHORTEST_SECONDS:
        after = f" after {start:g} seconds" if start else ""
        raise AudioError(f"{name} holds {window.seconds:.2f} seconds of sound{after}, which is too little to import.")
    tempo = None if options.tempo_bpm is None else float(options.tempo_bpm)
    meter = options.meter or (standing.settings.meter if has_beside(standing, role) and standing.settings else None)
    samples = window.samples - window.samples.mean(axis=0)
    analysis = analyze(samples, window.sample_rate, tempo_bpm=tempo, meter=meter, role=role)
    if math.isinf(analysis.loudness_lufs):
        raise AudioError(f"{name} is silent, so there is nothing to import. Look at it, or use another --offset.")
    remarks = list(window.remarks)
    if facts.seconds > window.start_seconds + window.seconds + 1.0:
        remarks.append(
            f"{clock_text(facts.seconds)} long: {clock_text(window.start_seconds)} to "
            f"{clock_text(window.start_seconds + window.seconds)} was listened to; --offset says where else to begin"
        )
    shift = window.start_seconds
    voice = hear_voice(samples, window.sample_rate, role) if role in SINGLE_VOICES else []
    moved = replace(
        analysis,
        downbeat_seconds=analysis.downbeat_seconds + shift,
        chords=tuple(
            replace(c, start_seconds=c.start_seconds + shift, end_seconds=c.end_seconds + shift)
            for c in analysis.chords
        ),
        onsets_seconds=tuple(t + shift for t in analysis.onsets_seconds),
    )
    moved_voice = tuple(replace(note, start_seconds=note.start_seconds + shift) for note in voice)
    return Heard(name, facts, moved, shift + window.seconds, options, tuple(remarks), moved_voice)


def listen_only(path: Path, track: str, options: ImportOptions, standing: Standing | None) -> ImportPlan:
    """What an import would do, without a project or beside where it stands. Raises as `plan_import` and `listen` do."""
    role = parse_role(track)
    standing = standing or Standing(None, {}, frozenset(), 0, 0)
    refuse_locked(role, standing)
    check_file(path)
    return plan_import(
        listen(path, shown_name(path), role, options, standing), "0" * 64, suffix_of(path), role, standing, 1
    )


def import_take(plan: ImportPlan, path: Path, studio: Studio) -> Prepared:
    """The take, its WAV file and its tokens, from the recording's file. Raises AudioError, ModelUnusable."""
    order, role = plan.order, plan.role
    settings = order.job.settings
    heard = {r: take.id for r, take in order.job.staying.items()}
    recipe = Recipe(role, order.job.seeds[role], settings, order.job.parts[role], plan.chords, heard, plan.source)
    score, wav, gain_db = sound_of(recipe, path)
    tokens, told, data = None, "", None
    try:
        tokens, data = studio.tokens(wav)
        told = str(tokens)
    except ModelError as error:
        told = f"no tokens: {reason_of(error)}"
    stretch = float(plan.source.tempo_bpm / settings.tempo_bpm)
    imported = replace(plan.imported, stretch=stretch, gain_db=gain_db, tokens=tokens)
    number = order.numbers[role]
    take = Take(
        id=f"{role.value}-{number}",
        number=number,
        recipe=recipe,
        prompt="",
        generator=IMPORTED,
        score=score,
        sound=studio.sound(recipe),
        frames=settings.frames,
        audio_sha256=hashlib.sha256(wav).hexdigest(),
        notes_sha256=score.sha256,
        summary=f"{plan.source.name}: {imported}, {told}",
        imported=imported,
    )
    return Prepared(order, take, wav, data)


def sound_of(recipe: Recipe, path: Path) -> tuple[Score, bytes, float]:
    """What is heard in an imported take, its WAV file and its gain in dB, from its recipe and the recording's file.

    The same recipe gives the same on the same machine. Raises AudioError, ModelUnusable.
    """
    require_packages(PACKAGES, "neural", "Recordings cannot be imported")
    from resonantgen.audio.hearing import hear
    from resonantgen.audio.recording import Cut, loop_of

    source, settings = recipe.source, recipe.settings
    assert source is not None
    lufs = load_style(recipe.part.style).lufs_for(recipe.role)
    cut = Cut(source.start_seconds, source.tempo_bpm, source.bars)
    stem = loop_of(path, cut, settings.tempo, settings.bars, lufs)
    score = hear(stem.samples, settings.tempo, settings.bars, recipe.role, recipe.chords)
    return score, wav_of(stem.samples, settings.sample_rate), stem.gain_db
