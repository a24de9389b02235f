"""Makes the takes of a job: notes track after track, since each hears those before it, and sound in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

from resonantgen.instruments.base import Sound
from resonantgen.music.notes import Note, Role, Score
from resonantgen.session.jobs import Job, Standing
from resonantgen.session.studio import Studio, request_for
from resonantgen.session.values import Progress, Recipe, Take

OTHER_SEEDS = 8  # how often another seed is tried when a track comes out as it was

OnProgress = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """For those who do not ask how far it is."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A take before it is rendered."""

    id: str
    number: int
    recipe: Recipe
    score: Score
    sound: Sound
    summary: str


def make_takes(
    job: Job,
    standing: Standing,
    studio: Studio,
    numbers: Mapping[Role, int],
    add_audio: Callable[[bytes], str],
    on_progress: OnProgress,
) -> list[Take]:
    """Compose, render and store a job's tracks. `numbers` are those of the new takes; `add_audio` gives a file's hash.

    `on_progress` and `add_audio` are called in this thread only.
    """
    chords = studio.chords(job.settings, job.staying)
    ids = {role: take.id for role, take in job.staying.items()}
    scores = {role: take.score for role, take in job.staying.items()}
    takes = []
    with _workers() as workers:
        pending: list[tuple[Draft, Future[bytes]]] = []
        for role, part in job.parts.items():
            recipe = Recipe(role, job.seeds[role], job.settings, part, chords, dict(ids))
            current = standing.playing.get(role) if job.must_differ else None
            draft = _draft(recipe, numbers[role], dict(scores), current, standing, studio, on_progress)
            ids[role], scores[role] = draft.id, draft.score
            pending.append((draft, workers.submit(render_wav, draft.score, draft.recipe, draft.sound, studio)))
        for draft, rendered in pending:
            audio_sha256 = add_audio(rendered.result())
            takes.append(_take(draft, job.intent.text, studio.generator, audio_sha256))
            bars = job.settings.bars
            on_progress(Progress(draft.recipe.role, "sound", bars, bars))
    return takes


def render_wav(score: Score, recipe: Recipe, sound: Sound, studio: Studio) -> bytes:
    """The bytes of a take's WAV file."""
    from resonantgen.instruments.wav import write_wav

    samples = studio.render(score, recipe, sound)
    assert len(samples) == recipe.settings.frames, (len(samples), recipe.settings.frames)
    file = BytesIO()
    write_wav(file, samples, recipe.settings.sample_rate)
    return file.getvalue()


def compose(recipe: Recipe, context: Mapping[Role, Score], studio: Studio) -> Score:
    """The notes of a recipe. `context` holds the scores of the takes that it names."""
    return _compose(recipe, context, studio, no_progress)[0]


def _draft(
    recipe: Recipe,
    number: int,
    context: Mapping[Role, Score],
    current: Take | None,
    standing: Standing,
    studio: Studio,
    on_progress: OnProgress,
) -> Draft:
    """A track's notes and sound. Where they come out as in the `current` take, other seeds are tried."""
    score, sound = _compose(recipe, context, studio, on_progress)
    for attempt in range(1, OTHER_SEEDS + 1):
        if current is None or not _is_again(current, recipe, score, sound):
            break
        recipe = replace(recipe, seed=standing.new_seed(attempt))
        score, sound = _compose(recipe, context, studio, no_progress)
    summary = studio.summary(score, request_for(recipe, context))
    return Draft(f"{recipe.role.value}-{number}", number, recipe, score, sound, summary)


def _compose(
    recipe: Recipe, context: Mapping[Role, Score], studio: Studio, on_progress: OnProgress
) -> tuple[Score, Sound]:
    request = request_for(recipe, context)
    notes: list[Note] = []
    for bar, new in enumerate(studio.bars(request), start=1):
        notes.extend(new)
        on_progress(Progress(recipe.role, "notes", bar, recipe.settings.bars))
    return Score.of(notes, request.plan.length_ticks), studio.sound(recipe)


def _is_again(take: Take, recipe: Recipe, score: Score, sound: Sound) -> bool:
    """Whether a draft would sound exactly as the take does."""
    before, after = take.recipe, recipe
    return (
        (score, sound) == (take.score, take.sound)
        and before.part.style == after.part.style  # which sets the loudness
        and before.settings.tempo_bpm == after.settings.tempo_bpm
        and before.settings.sample_rate == after.settings.sample_rate
    )


def _take(draft: Draft, prompt: str, generator: str, audio_sha256: str) -> Take:
    return Take(
        id=draft.id,
        number=draft.number,
        recipe=draft.recipe,
        prompt=prompt,
        generator=generator,
        score=draft.score,
        sound=draft.sound,
        frames=draft.recipe.settings.frames,
        audio_sha256=audio_sha256,
        notes_sha256=draft.score.sha256,
        summary=draft.summary,
    )


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Threads that render; the kernels run without Python's global lock. After an error, what waits is dropped."""
    workers = ThreadPoolExecutor(max_workers=min(len(Role), os.cpu_count() or 1), thread_name_prefix="render")
    try:
        yield workers
    except BaseException:
        workers.shutdown(cancel_futures=True)
        raise
    workers.shutdown()
