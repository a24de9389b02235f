"""Makes the takes of a job: notes track after track, since each hears those before it, and sound in parallel."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

from resonantgen.instruments.base import Sound
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.time import TempoMap
from resonantgen.session.jobs import Job, Standing
from resonantgen.session.studio import Studio, request_for
from resonantgen.session.values import Progress, Recipe, Take

FRAMES_AT_A_TIME = 6_000_000  # of all stems that are rendered side by side; rendering takes about 60 bytes a frame
OTHER_SEEDS = 8  # how often another seed is tried when a track comes out as it was

OnProgress = Callable[[Progress], None]
OnDraft = Callable[[Take], None]


def no_progress(progress: Progress) -> None:
    """For those who do not ask how far it is."""


def no_draft(draft: Take) -> None:
    """For those who wait until a take is whole."""


def make_takes(
    job: Job,
    standing: Standing,
    studio: Studio,
    numbers: Mapping[Role, int],
    add_audio: Callable[[bytes], str],
    on_progress: OnProgress = no_progress,
    on_draft: OnDraft = no_draft,
) -> list[Take]:
    """Compose, render and store a job's tracks.

    `numbers` are those that the new takes get; `add_audio` stores a WAV file and gives its hash. `on_draft` is given
    each take once its notes are final, before it is rendered: whole but for `audio_sha256`. All three are called in
    this thread only, and what they raise ends the work: what is being rendered ends at its next bar.
    """
    if not job.parts:
        return []
    return _Production(job, standing, studio, numbers, on_progress, on_draft).make(add_audio)


@dataclass(frozen=True, slots=True)
class _Production:
    """A job, and what it takes to do it."""

    job: Job
    standing: Standing
    studio: Studio
    numbers: Mapping[Role, int]
    on_progress: OnProgress
    on_draft: OnDraft

    def make(self, add_audio: Callable[[bytes], str]) -> list[Take]:
        job = self.job
        chords = self.studio.chords(job.settings, job.staying)
        heard = dict(job.staying)
        takes = []
        with _workers(job.settings.frames) as (workers, stop):
            pending: deque[tuple[Take, Future[bytes]]] = deque()
            for role in (role for role in Role if role in job.parts):
                ids = {r: take.id for r, take in heard.items()}
                draft = self._draft(Recipe(role, job.seeds[role], job.settings, job.parts[role], chords, ids), heard)
                heard[role] = draft
                self.on_draft(draft)
                rendering = workers.submit(render_wav, draft.score, draft.recipe, draft.sound, self.studio, stop)
                pending.append((draft, rendering))
            while pending:
                draft, rendered = pending.popleft()  # and so forget its bytes once they are stored
                takes.append(replace(draft, audio_sha256=add_audio(rendered.result())))
                self.on_progress(Progress(draft.role, "sound", job.settings.bars, job.settings.bars))
        return takes

    def _draft(self, recipe: Recipe, heard: Mapping[Role, Take]) -> Take:
        """A take but for its audio. Where it comes out as the one that is there, and may not, other seeds are tried."""
        context = {role: take.score for role, take in heard.items()}
        score, sound = _compose(recipe, context, self.studio, self.on_progress)
        current = self.standing.playing.get(recipe.role) if self.job.must_differ else None
        for attempt in range(1, OTHER_SEEDS + 1):
            if current is None or not self._is_again(current, recipe, score, sound):
                break
            recipe = replace(recipe, seed=self.standing.new_seed(attempt))
            score, sound = _compose(recipe, context, self.studio, no_progress)
        number = self.numbers[recipe.role]
        return Take(
            id=f"{recipe.role.value}-{number}",
            number=number,
            recipe=recipe,
            prompt=self.job.intent.text,
            generator=self.studio.generator,
            score=score,
            sound=sound,
            frames=recipe.settings.frames,
            audio_sha256="",
            notes_sha256=score.sha256,
            summary=self.studio.summary(score, request_for(recipe, context)),
        )

    def _is_again(self, take: Take, recipe: Recipe, score: Score, sound: Sound) -> bool:
        """Whether a draft would sound exactly as the take does now, at the session's tempo."""
        before, after = self.standing.settings, self.job.settings
        assert before is not None, "a take plays"
        return (
            (score, sound) == (take.score, take.sound)
            and take.recipe.part.style == recipe.part.style  # which sets the loudness
            and before.tempo_bpm == after.tempo_bpm
            and before.sample_rate == after.sample_rate
        )


def render_wav(
    score: Score, recipe: Recipe, sound: Sound, studio: Studio, stop: threading.Event | None = None
) -> bytes:
    """The bytes of a take's WAV file. Raises CancelledError at the next bar once `stop` is set."""
    from resonantgen.instruments.wav import write_wav

    def check() -> None:
        if stop is not None and stop.is_set():
            raise CancelledError

    samples = studio.render(score, recipe, sound, check)
    assert len(samples) == recipe.settings.frames, (len(samples), recipe.settings.frames)
    file = BytesIO()
    write_wav(file, samples, recipe.settings.sample_rate)
    return file.getvalue()


def recipe_at(recipe: Recipe, tempo: TempoMap) -> Recipe:
    """The recipe for the sound of the same notes at another tempo and sample rate, in the same meter."""
    assert tempo.meter == recipe.settings.meter, (tempo, recipe.settings.meter)
    settings = replace(recipe.settings, tempo_bpm=tempo.tempo_bpm, sample_rate=tempo.sample_rate)
    return replace(recipe, settings=settings)


def compose(recipe: Recipe, context: Mapping[Role, Score], studio: Studio) -> Score:
    """The notes of a recipe. `context` holds the scores of the takes that it names."""
    return _compose(recipe, context, studio, no_progress)[0]


def _compose(
    recipe: Recipe, context: Mapping[Role, Score], studio: Studio, on_progress: OnProgress
) -> tuple[Score, Sound]:
    request = request_for(recipe, context)
    notes: list[Note] = []
    for bar, new in enumerate(studio.bars(request), start=1):
        notes.extend(new)
        on_progress(Progress(recipe.role, "notes", bar, recipe.settings.bars))
    return Score.of(notes, request.plan.length_ticks), studio.sound(recipe)


def threads_for(frames: int) -> int:
    """How many stems of so many frames are rendered side by side."""
    return max(1, min(len(Role), os.cpu_count() or 1, FRAMES_AT_A_TIME // frames))


@contextmanager
def _workers(frames: int) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    """Threads that render stems of so many frames, and what tells them to stop; the kernels run without Python's lock.

    After an error, what waits is dropped and what runs ends at its next bar. Nothing waits for that, so that Ctrl-C
    returns at once.
    """
    # Imported before there are threads: Ctrl-C in the midst of an import can leave its lock taken for good.
    import resonantgen.instruments.stem
    import resonantgen.instruments.wav  # noqa: F401

    workers = ThreadPoolExecutor(max_workers=threads_for(frames), thread_name_prefix="render")
    stop = threading.Event()
    try:
        yield workers, stop
    except BaseException:
        stop.set()
        workers.shutdown(wait=False, cancel_futures=True)
        raise
    workers.shutdown()
