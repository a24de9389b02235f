"""Makes the takes of a job: track after track, since each hears those before it. Notes are rendered beside that."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from resonantgen.generators.audio import Performance
from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Note, Role, Score
from resonantgen.session.jobs import Job, Standing
from resonantgen.session.rendition import HeardSamples, ReadAudio, made_wav, read_nothing, render_wav, wav_of
from resonantgen.session.source import Source
from resonantgen.session.studio import Studio, audio_request_for, request_for
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
    read_audio: ReadAudio = read_nothing,
) -> list[Take]:
    """Compose, render and store a job's tracks; those with a generator of sound perform.

    `numbers` are those that the new takes get; `add_audio` stores a WAV file and gives its hash; `read_audio` gives the
    WAV file of one of `job.recordings`. `on_draft` is given each take once its notes are final: before it is rendered,
    after it was performed; whole but for `audio_sha256`. All four are called in this thread only, and what they raise
    ends the work: what is being rendered ends at its next bar, what is being performed at its next.

    Raises ModelNotFound, ModelDamaged or ModelUnusable before anything is made, ModelError.
    """
    if not job.parts:
        return []
    studio.require({part.generator for part in job.parts.values() if part.is_sound})
    return _Production(job, standing, studio, numbers, on_progress, on_draft, read_audio).make(add_audio)


@dataclass(frozen=True, slots=True)
class _Production:
    """A job, and what it takes to do it."""

    job: Job
    standing: Standing
    studio: Studio
    numbers: Mapping[Role, int]
    on_progress: OnProgress
    on_draft: OnDraft
    read_audio: ReadAudio

    def make(self, add_audio: Callable[[bytes], str]) -> list[Take]:
        bars = self.job.settings.bars
        takes = []
        with _workers(self.job.settings.frames) as (workers, stop):
            pending = self._make_drafts(workers, stop)
            while pending:
                draft, rendered = pending.popleft()  # and so forget its bytes once they are stored
                takes.append(replace(draft, audio_sha256=add_audio(rendered.result())))
                self.on_progress(Progress(draft.role, "sound", bars, bars))
        return takes

    def _make_drafts(self, workers: ThreadPoolExecutor, stop: threading.Event) -> deque[tuple[Take, Future[bytes]]]:
        """Each track but for its audio, and its WAV file to come."""
        job, studio, tempo = self.job, self.studio, self.job.settings.tempo
        chords = studio.chords(job.settings, job.staying)
        heard = dict(job.staying)
        files: dict[Role, Callable[[], bytes]] = {
            role: partial(made_wav, take, tempo, studio, self.read_audio) for role, take in job.staying.items()
        }
        drafts: deque[tuple[Take, Future[bytes]]] = deque()
        for role in (role for role in Role if role in job.parts):
            ids = {r: take.id for r, take in heard.items()}
            recipe = Recipe(role, job.seeds[role], job.settings, job.parts[role], chords, ids)
            draft, wav = self._draft(recipe, heard, files)
            self.on_draft(draft)
            rendering: Future[bytes] = Future()
            if wav is None:
                rendering = workers.submit(render_wav, draft.score, draft.recipe, draft.sound, studio, stop)
            else:
                rendering.set_result(wav)
            drafts.append((draft, rendering))
            heard[role], files[role] = draft, rendering.result
        return drafts

    def _draft(
        self, recipe: Recipe, heard: Mapping[Role, Take], files: Mapping[Role, Callable[[], bytes]]
    ) -> tuple[Take, bytes | None]:
        """A take but for its audio, and the WAV file of one that was performed.

        Where it comes out as the one that is there, and may not, other seeds are tried.
        """
        draft, wav = self._make_one(recipe, heard, files, self.on_progress)
        current = self.standing.playing.get(recipe.role) if self.job.must_differ else None
        quietly = self.on_progress if recipe.part.is_sound else no_progress  # notes take no time
        for attempt in range(1, OTHER_SEEDS + 1):
            if current is None or not self._is_again(current, draft, wav):
                break
            recipe = replace(recipe, seed=self.standing.new_seed(attempt))
            draft, wav = self._make_one(recipe, heard, files, quietly)
        return draft, wav

    def _make_one(
        self,
        recipe: Recipe,
        heard: Mapping[Role, Take],
        files: Mapping[Role, Callable[[], bytes]],
        on_progress: OnProgress,
    ) -> tuple[Take, bytes | None]:
        context = _scores(heard)
        fit, wav = None, None
        if recipe.part.is_sound:
            performance = _perform(recipe, context, HeardSamples(files), self.studio, on_progress)
            score, fit = performance.score, performance.fit
            summary = f"{fit.model}: {fit}"
            wav = wav_of(performance.samples, recipe.settings.sample_rate)
        else:
            score = _compose(recipe, context, self.studio, on_progress)
            summary = self.studio.summary(score, request_for(recipe, context))
        number = self.numbers[recipe.role]
        draft = Take(
            id=f"{recipe.role.value}-{number}",
            number=number,
            recipe=recipe,
            prompt=self.job.intent.text,
            generator=recipe.part.generator,
            score=score,
            sound=self.studio.sound(recipe),
            frames=recipe.settings.frames,
            audio_sha256="",
            notes_sha256=score.sha256,
            summary=summary,
            fit=fit,
        )
        return draft, wav

    def _is_again(self, take: Take, draft: Take, wav: bytes | None) -> bool:
        """Whether a draft would sound exactly as the take does now, at the session's tempo."""
        if wav is not None:
            return hashlib.sha256(wav).hexdigest() == take.audio_sha256
        before, after = self.standing.settings, self.job.settings
        assert before is not None, "a take plays"
        return (
            not take.is_sound
            and (draft.score, draft.sound) == (take.score, take.sound)
            and take.recipe.part.style == draft.recipe.part.style  # which sets the loudness
            and before.tempo_bpm == after.tempo_bpm
            and before.sample_rate == after.sample_rate
        )


def remake(
    recipe: Recipe,
    context: Mapping[Role, Take],
    studio: Studio,
    read_audio: ReadAudio,
    find_import: Callable[[Source], Path],
) -> tuple[Score, bytes]:
    """A take again from its recipe: its notes and its WAV file. `context` holds the takes that the recipe names.

    `find_import` says where the file is from which an imported take was cut. Raises ModelError where the model that
    performed it is not there, and what `find_import` raises.
    """
    if recipe.source is not None:
        from resonantgen.session.importing import sound_of

        score, wav, _ = sound_of(recipe, find_import(recipe.source))
        return score, wav
    scores = _scores(context)
    if not recipe.part.is_sound:
        score = compose(recipe, scores, studio)
        return score, render_wav(score, recipe, studio.sound(recipe), studio)
    studio.require({recipe.part.generator})
    tempo = recipe.settings.tempo
    files = {role: partial(made_wav, take, tempo, studio, read_audio) for role, take in context.items()}
    performance = _perform(recipe, scores, HeardSamples(files), studio, no_progress)
    return performance.score, wav_of(performance.samples, recipe.settings.sample_rate)


def _scores(takes: Mapping[Role, Take]) -> dict[Role, Score]:
    """In the tracks' order, so that it is the same when a take is made again."""
    return {role: takes[role].score for role in Role if role in takes}


def compose(recipe: Recipe, context: Mapping[Role, Score], studio: Studio) -> Score:
    """The notes of a recipe. `context` holds the scores of the takes that it names."""
    return _compose(recipe, context, studio, no_progress)


def _compose(recipe: Recipe, context: Mapping[Role, Score], studio: Studio, on_progress: OnProgress) -> Score:
    request = request_for(recipe, context)
    notes: list[Note] = []
    for bar, new in enumerate(studio.bars(request), start=1):
        notes.extend(new)
        on_progress(Progress(recipe.role, "notes", bar, recipe.settings.bars))
    return Score.of(notes, request.plan.length_ticks)


def _perform(
    recipe: Recipe,
    context: Mapping[Role, Score],
    samples: Mapping[Role, Samples],
    studio: Studio,
    on_progress: OnProgress,
) -> Performance:
    """The sound of a recipe. Progress is told when another bar is done, however often the generator tells of it."""
    bars, told = recipe.settings.bars, 0

    def on_bar(bar: int) -> None:
        nonlocal told
        assert 0 <= bar <= bars, (bar, bars)
        if bar != told and bar > 0:
            on_progress(Progress(recipe.role, "notes", bar, bars))
        told = bar

    request = audio_request_for(recipe, context, samples)
    performance = studio.perform(recipe.part.generator, request, on_bar)
    assert performance.samples.shape == (recipe.settings.frames, 2), performance.samples.shape
    assert performance.score.length_ticks == recipe.settings.length_ticks, performance.score.length_ticks
    return performance


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
