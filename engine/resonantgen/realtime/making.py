"""What runs in the worker process: it composes, performs and renders, one request after another, and keeps all it needs
warm, the models that have played included.

Two threads: the main one works; that of `Post` reads the pipe. Work looks at `Post.gave_up` before each bar, and a
model every few frames. What is rendered beside an order that performs has a thread of its own.

Neither torch nor a model is loaded before a track is to be performed.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.music.notes import Role, Score
from resonantgen.music.time import TempoMap
from resonantgen.realtime.making_studio import Experience, MakingStudio, as_stored, gain_key, heard_whole
from resonantgen.realtime.material import Grid
from resonantgen.realtime.messages import Advanced, Done, Heard, Hello, Make, Recorded, Render, Warm, meet_types
from resonantgen.realtime.pace import Runway
from resonantgen.realtime.post import Post, Stopped, answer
from resonantgen.realtime.previews import Previews
from resonantgen.session.produce import make_takes, threads_for
from resonantgen.session.rendition import recipe_at, wav_of
from resonantgen.session.values import Progress, Recipe, Take

if TYPE_CHECKING:
    from resonantgen.instruments.base import Samples, Sound
    from resonantgen.realtime.material import Frames
    from resonantgen.realtime.preview import PreviewStream

NICENESS = 10  # audio and the engine's loop go first
RENDERING_THREADS = 2  # of `Render`


def run(connection: Connection) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which then ends this process
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(NICENESS)
    meet_types()
    experience = Experience()
    post = Post(connection, lambda request: perform(post, request, experience))
    post.start()
    post.send(Hello(0))
    for _ in warm_up(post):
        while not post.requests.empty():
            perform(post, post.requests.get(), experience)
    while True:
        perform(post, post.requests.get(), experience)


def perform(post: Post, request: Make | Render, experience: Experience) -> None:
    """Do what a request asks, and say how it ended."""
    if isinstance(request, Make):
        answer(post, request, _Making(post, request, experience).make)
    else:
        answer(post, request, lambda: render(post, request, experience))


@dataclass(frozen=True)
class _OrderStudio(MakingStudio):
    """It tells an order's making what it does."""

    making: _Making

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        samples = super().render(score, recipe, sound, on_bar)
        self.making.on_rendered(recipe, sound, samples)
        return samples

    def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        self.making.before_performing()
        performance = super().perform(generator, request, on_bar)
        self.making.performed = performance.samples
        return performance


@dataclass
class _Making:
    """A `Make` under way. Its notes come first, each track's followed by a preview; then sound gets the cores.

    A generator of sound takes its time. The tracks before it do not wait for it: their sound gets the cores when it
    begins, and is sent as it comes. What it has played is sent whole, then come the tracks after it as the first did.
    """

    post: Post
    request: Make
    experience: Experience
    drafts: dict[Role, Take] = field(default_factory=dict)  # in order
    recorded: int = 0
    sent: set[Role] = field(default_factory=set)  # those whose whole sound was sent before its file
    performed: Samples | None = None  # last
    may_render: threading.Event = field(default_factory=threading.Event)
    has_performed: bool = False  # or begun to
    stages: list[_Previewing] = field(default_factory=list)  # of tracks that begin together
    open_stage: _Previewing | None = None

    def make(self) -> Done:
        order, recordings = self.request.order, self.request.recordings
        studio = _OrderStudio(self.check, self.experience, self.may_render, self)
        try:
            takes = make_takes(
                order.job,
                order.standing,
                studio,
                order.numbers,
                self.add_audio,
                self.on_progress,
                self.on_draft,
                lambda take: recordings[take.audio_sha256],
            )
        finally:
            self.may_render.set()
            for stage in self.stages:
                stage.close()
        return Done(self.request.id, takes=tuple(takes))

    def check(self) -> None:
        if self.post.gave_up(self.request.id):
            raise Stopped

    def on_progress(self, progress: Progress) -> None:
        self.check()
        self.post.send(Advanced(self.request.id, progress))

    # -- notes, and sound that is performed ---------------------------------------------------------------------------

    def on_draft(self, draft: Take) -> None:
        self.drafts[draft.role] = draft
        self.check()
        if draft.is_sound:
            self._send_performed(draft)
        else:
            self._stage().begin(draft, self.request.preview_bar)
        if len(self.drafts) == len(self.request.order.job.parts):
            self._render_wholes()

    def before_performing(self) -> None:
        self.has_performed = True
        self._render_wholes()

    def _stage(self) -> _Previewing:
        if self.open_stage is None:
            self.may_render.clear()  # first bars first
            grid = Grid(self.request.tempo, self.request.order.job.settings.bars)
            self.open_stage = _Previewing(self.post, self.request.id, grid, self.experience)
            self.stages.append(self.open_stage)
        return self.open_stage

    def _render_wholes(self) -> None:
        """Every track of the stage has its first bar."""
        stage, self.open_stage = self.open_stage, None
        if stage is not None:
            settings = self.request.order.job.settings
            expected = stage.expected_seconds(settings.tempo, threads_for(settings.frames))
            if settings.tempo != self.request.tempo:  # then each is rendered again, in this thread
                expected += stage.expected_seconds(self.request.tempo, 1)
            stage.await_wholes(expected)
        self.may_render.set()

    # -- sound --------------------------------------------------------------------------------------------------------

    def _send_performed(self, draft: Take) -> None:
        """At once, though its file is recorded after those of all tracks before it."""
        assert self.performed is not None
        sample_rate = draft.recipe.settings.sample_rate
        samples, self.performed = self.performed, None
        if draft.recipe.settings.tempo == self.request.tempo:
            self._send_whole(draft, as_stored(samples), 0.0)
        else:
            self._send_at_tempo(draft, wav_of(samples, sample_rate))

    def on_rendered(self, recipe: Recipe, sound: Sound, samples: Samples) -> None:
        """In a thread that renders: beside a model, a track does not wait for its turn to be recorded.

        Or in the request's own: a model hears a track that stays.
        """
        if self.has_performed and recipe.role in self.drafts and recipe.settings.tempo == self.request.tempo:
            gain_db = self.experience.gains[gain_key(recipe, sound)]
            self._send_whole(self.drafts[recipe.role], as_stored(samples), gain_db)

    def add_audio(self, data: bytes) -> str:
        """Send a take's file, and what is to be heard of it. Files come in the order of the drafts."""
        draft, audio_sha256 = list(self.drafts.values())[self.recorded], hashlib.sha256(data).hexdigest()
        self.recorded += 1
        recipe = draft.recipe
        is_new = draft.role not in self.sent
        plays = is_new and recipe.settings.tempo == self.request.tempo
        gain_db = 0.0 if draft.is_sound else self.experience.gains[gain_key(recipe, draft.sound)]
        notes = draft.score.notes
        if plays:
            self._end_preview(draft.role)
        self.post.send(Recorded(self.request.id, recipe.role, draft.id, notes, audio_sha256, data, plays, gain_db))
        if is_new and not plays:
            self._send_at_tempo(draft, data)
        return audio_sha256

    def _send_at_tempo(self, draft: Take, wav: bytes) -> None:
        """Its sound at the tempo and sample rate that play, which are not its own."""
        whole = heard_whole(self.request.id, draft, self.request.tempo, self.experience, self.check, lambda take: wav)
        self._end_preview(draft.role)
        self.sent.add(draft.role)
        self.post.send(whole)

    def _send_whole(self, draft: Take, samples: Frames, gain_db: float) -> None:
        self._end_preview(draft.role)
        self.sent.add(draft.role)
        notes, data = draft.score.notes, samples.tobytes()
        self.post.send(Heard(self.request.id, draft.role, draft.id, notes, 0, False, gain_db, data))

    def _end_preview(self, role: Role) -> None:
        for stage in self.stages:
            if role in stage:
                stage.end(role)


def render(post: Post, request: Render, experience: Experience) -> Done:
    """Takes as they sound at another tempo: first previews of those of notes, then all of each."""

    def check() -> None:
        if post.gave_up(request.id):
            raise Stopped

    def whole_of(take: Take) -> Heard:
        return heard_whole(
            request.id, take, tempo, experience, check, lambda take: request.recordings[take.audio_sha256]
        )

    tempo = request.grid.tempo
    previews = _Previewing(post, request.id, request.grid, experience)
    try:
        for take in request.takes:
            check()
            if not take.is_sound:
                previews.begin(take, request.first_bar)
        at_a_time = min(RENDERING_THREADS, os.cpu_count() or 1)
        previews.await_wholes(previews.expected_seconds(tempo, at_a_time))
        with ThreadPoolExecutor(at_a_time, thread_name_prefix="render") as threads:
            for whole in threads.map(whole_of, request.takes):
                previews.end(whole.role)
                post.send(whole)
    finally:
        previews.close()
    return Done(request.id)


class _Previewing:
    """The previews of a request's tracks, and what is sent of them. `Previews` says who may call what."""

    def __init__(self, post: Post, request_id: int, grid: Grid, experience: Experience) -> None:
        self._post = post
        self._request_id = request_id
        self._grid = grid
        self._experience = experience
        self._tracks: dict[Role, tuple[Take, PreviewStream]] = {}
        runway = Runway(grid.bars, grid.tempo.seconds(grid.tempo.meter.bar_ticks))
        self._previews = Previews(runway, self._send, lambda: post.gave_up(request_id))
        self.end, self.close = self._previews.end, self._previews.close

    def __contains__(self, role: Role) -> bool:
        return role in self._tracks

    def begin(self, take: Take, bar: int) -> None:
        """A bar of a take. Its gain is that of the latest render with the same sound."""
        from resonantgen.realtime.preview import PreviewStream

        recipe = recipe_at(take.recipe, self._grid.tempo)
        gain_db = self._experience.gains.get(gain_key(recipe, take.sound))
        stream = PreviewStream(take.score, recipe, take.sound, bar % self._grid.bars, gain_db)
        self._tracks[take.role] = take, stream
        self._previews.begin(take.role, stream)

    def expected_seconds(self, tempo: TempoMap, at_a_time: int) -> float:
        """What rendering all of the tracks at a tempo should take."""
        sound_seconds = tempo.frames(self._grid.bars) / tempo.sample_rate
        return self._experience.pace.seconds_for(dict.fromkeys(self._tracks, sound_seconds), at_a_time)

    def await_wholes(self, expected_seconds: float) -> None:
        """Make the previews as long as that, and keep them long enough until every track has ended."""
        self._previews.await_wholes(expected_seconds)
        self._previews.watch()

    def _send(self, role: Role, samples: Frames) -> None:
        take, stream = self._tracks[role]
        notes, gain_db = take.score.notes, stream.gain_db
        assert gain_db is not None, "its first bar was rendered"
        data = samples.tobytes()
        self._post.send(Heard(self._request_id, role, take.id, notes, stream.first_frame, True, gain_db, data))


def warm_up(post: Post) -> Iterator[None]:
    """Load, step by step, what requests will need; says `Warm` once every role's kernels are there."""
    from resonantgen.realtime.warming import all_presets, typical

    yield from typical()
    post.send(Warm(0))
    yield from all_presets()
