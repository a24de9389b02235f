"""What runs in the worker process: it composes and renders, one request after another, and keeps all it needs warm.

Two threads: the main one works; the other reads the pipe, answers `Understand` at once, notes what is given up, and
ends the process when the engine is gone. Work looks at `Post.gave_up` before each bar.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING

from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role, Score
from resonantgen.music.time import TempoMap
from resonantgen.realtime.material import Grid
from resonantgen.realtime.messages import (
    REQUEST,
    Advanced,
    Done,
    Failed,
    GivenUp,
    GiveUp,
    Heard,
    Hello,
    Make,
    Message,
    Recorded,
    Render,
    Understand,
    Warm,
    meet_types,
)
from resonantgen.realtime.pace import Pace, Runway
from resonantgen.realtime.previews import Previews
from resonantgen.session.codec import pack, unpack
from resonantgen.session.produce import make_takes, threads_for
from resonantgen.session.rendition import recipe_at
from resonantgen.session.studio import Studio
from resonantgen.session.values import Progress, Recipe, Take

if TYPE_CHECKING:
    from resonantgen.instruments.base import Samples, Sound
    from resonantgen.realtime.material import Frames
    from resonantgen.realtime.preview import PreviewStream

NICENESS = 10  # audio and the engine's loop go first
RENDERING_THREADS = 2  # of `Render`

Gains = dict[tuple[Role, str, str], float]  # by role, style and preset: the gain of the latest render, in dB


@dataclass(frozen=True, slots=True)
class Experience:
    """What earlier requests taught. All threads add to it."""

    gains: Gains = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)


class Stopped(Exception):
    """The request was given up."""


class Post:
    """The process's end of the pipe. Any thread may `send`; `requests` is what is to be done, in order."""

    def __init__(self, connection: Connection) -> None:
        self.requests: SimpleQueue[Make | Render] = SimpleQueue()
        self._connection = connection
        self._sending = threading.Lock()
        self._given_up = 0  # the id of the request that was given up last

    def start(self) -> None:
        threading.Thread(target=self._read, name="post", daemon=True).start()

    def gave_up(self, request_id: int) -> bool:
        return self._given_up == request_id

    def send(self, message: Message) -> None:
        data = pack(message)
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError:
            os._exit(0)  # the engine is gone

    def _read(self) -> None:
        while True:
            try:
                data = self._connection.recv_bytes()
            except (EOFError, OSError):
                os._exit(0)  # the engine is gone
            request = unpack(data, REQUEST)
            match request:
                case GiveUp():
                    self._given_up = request.id
                case Understand():
                    answer(self, request, partial(_understood, request))
                case _:
                    self.requests.put(request)


def run(connection: Connection) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which then ends this process
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(NICENESS)
    meet_types()
    post, experience = Post(connection), Experience()
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


def answer(post: Post, request: Message, work: Callable[[], Done]) -> None:
    """Do some work, and send its result or why there is none. The process outlives any error in it."""
    try:
        post.send(work())
    except Stopped:
        post.send(GivenUp(request.id))
    except ResonantGenError as error:
        post.send(Failed(request.id, type(error).__name__, str(error)))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        post.send(Failed(request.id, "", " ".join(f"{type(error).__name__}: {error}".split())[:200]))


def _understood(request: Understand) -> Done:
    from resonantgen.prompt import understand

    return Done(request.id, intent=understand(request.text))


@dataclass(frozen=True)
class MakingStudio(Studio):
    """The studio for one request: it renders nothing before `may_render`, stops when asked to, and learns from it."""

    check: Callable[[], None]  # raises Stopped
    experience: Experience
    may_render: threading.Event

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        from resonantgen.generators.style import load_style
        from resonantgen.instruments.stem import render_stem

        def before_bar() -> None:
            self.check()
            if on_bar is not None:
                on_bar()

        self.may_render.wait()
        role, settings, style = recipe.role, recipe.settings, load_style(recipe.part.style)
        lufs, inserts = style.lufs_for(role), style.inserts_for(role)
        begun_at = time.monotonic()
        stem = render_stem(score, role, sound, settings.tempo, settings.bars, lufs, inserts, before_bar)
        self.experience.pace.note(role, time.monotonic() - begun_at, settings.frames / settings.sample_rate)
        self.experience.gains[gain_key(recipe, sound)] = stem.gain_db
        return stem.samples


def gain_key(recipe: Recipe, sound: Sound) -> tuple[Role, str, str]:
    return recipe.role, recipe.part.style, sound.preset


@dataclass
class _Making:
    """A `Make` under way. Its notes come first, each track's followed by a preview; then sound gets the cores."""

    post: Post
    request: Make
    experience: Experience
    drafts: list[Take] = field(default_factory=list)
    recorded: int = 0
    may_render: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def previews(self) -> _Previewing:
        order, request = self.request.order, self.request
        return _Previewing(self.post, request.id, Grid(request.tempo, order.job.settings.bars), self.experience)

    def make(self) -> Done:
        order = self.request.order
        studio = MakingStudio(self.check, self.experience, self.may_render)
        try:
            takes = make_takes(
                order.job, order.standing, studio, order.numbers, self.add_audio, self.on_progress, self.on_draft
            )
        finally:
            self.may_render.set()
            self.previews.close()
        return Done(self.request.id, takes=tuple(takes))

    def check(self) -> None:
        if self.post.gave_up(self.request.id):
            raise Stopped

    def on_progress(self, progress: Progress) -> None:
        self.check()
        self.post.send(Advanced(self.request.id, progress))

    def on_draft(self, draft: Take) -> None:
        self.drafts.append(draft)
        self.check()
        self.previews.begin(draft, self.request.preview_bar)
        if len(self.drafts) == len(self.request.order.job.parts):
            settings = draft.recipe.settings
            expected = self.previews.expected_seconds(settings.tempo, threads_for(settings.frames))
            if settings.tempo != self.request.tempo:  # then each is rendered again, in this thread
                expected += self.previews.expected_seconds(self.request.tempo, 1)
            self.previews.await_wholes(expected)
            self.may_render.set()

    def add_audio(self, data: bytes) -> str:
        """Send a take's file, and what is to be heard of it. Files come in the order of the drafts."""
        draft, audio_sha256 = self.drafts[self.recorded], hashlib.sha256(data).hexdigest()
        self.recorded += 1
        recipe = draft.recipe
        plays = recipe.settings.tempo == self.request.tempo
        gain_db = self.experience.gains[gain_key(recipe, draft.sound)]
        notes = draft.score.notes
        if plays:
            self.previews.end(draft.role)
        self.post.send(Recorded(self.request.id, recipe.role, draft.id, notes, audio_sha256, data, plays, gain_db))
        if not plays:
            whole = heard_whole(self.request.id, draft, self.request.tempo, self.experience, self.check)
            self.previews.end(draft.role)
            self.post.send(whole)
        return audio_sha256


def render(post: Post, request: Render, experience: Experience) -> Done:
    """Takes again from their notes: first previews of each, then all of each."""

    def check() -> None:
        if post.gave_up(request.id):
            raise Stopped

    tempo = request.grid.tempo
    previews = _Previewing(post, request.id, request.grid, experience)
    try:
        for take in request.takes:
            check()
            previews.begin(take, request.first_bar)
        at_a_time = min(RENDERING_THREADS, os.cpu_count() or 1)
        previews.await_wholes(previews.expected_seconds(tempo, at_a_time))
        with ThreadPoolExecutor(at_a_time, thread_name_prefix="render") as threads:
            for whole in threads.map(
                lambda take: heard_whole(request.id, take, tempo, experience, check), request.takes
            ):
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


def heard_whole(
    request_id: int, take: Take, tempo: TempoMap, experience: Experience, check: Callable[[], None]
) -> Heard:
    """A take at another tempo or sample rate, as its file would have it."""
    import numpy as np

    from resonantgen.instruments.wav import from_pcm24, to_pcm24

    free = threading.Event()
    free.set()
    recipe = recipe_at(take.recipe, tempo)
    samples = MakingStudio(check, experience, free).render(take.score, recipe, take.sound)
    stored = from_pcm24(to_pcm24(samples)).astype(np.float32)
    gain_db = experience.gains[gain_key(recipe, take.sound)]
    return Heard(request_id, take.role, take.id, take.score.notes, 0, False, gain_db, stored.tobytes())


def warm_up(post: Post) -> Iterator[None]:
    """Load, step by step, what requests will need; says `Warm` once every role's kernels are there."""
    from resonantgen.realtime.warming import all_presets, typical

    yield from typical()
    post.send(Warm(0))
    yield from all_presets()
