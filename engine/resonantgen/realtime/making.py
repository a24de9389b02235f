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
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING

from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role, Score
from resonantgen.music.time import TempoMap
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
from resonantgen.session.codec import pack, unpack
from resonantgen.session.produce import make_takes, recipe_at
from resonantgen.session.studio import Studio
from resonantgen.session.values import Progress, Recipe, Take

if TYPE_CHECKING:
    from resonantgen.instruments.base import Samples, Sound

NICENESS = 10  # audio and the engine's loop go first
RENDERING_THREADS = 2  # of `Render`

Gains = dict[tuple[Role, str, str], float]  # by role, style and preset: the gain of the latest render, in dB


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
    post, gains = Post(connection), Gains()
    post.start()
    post.send(Hello(0))
    for _ in warm_up(post):
        while not post.requests.empty():
            perform(post, post.requests.get(), gains)
    while True:
        perform(post, post.requests.get(), gains)


def perform(post: Post, request: Make | Render, gains: Gains) -> None:
    """Do what a request asks, and say how it ended."""
    if isinstance(request, Make):
        answer(post, request, _Making(post, request, gains).make)
    else:
        answer(post, request, lambda: render(post, request, gains))


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
    """The studio for one request: it renders nothing before `may_render`, stops when asked to, and notes its gains."""

    check: Callable[[], None]  # raises Stopped
    gains: Gains
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
        stem = render_stem(score, role, sound, settings.tempo, settings.bars, lufs, inserts, before_bar)
        self.gains[gain_key(recipe, sound)] = stem.gain_db
        return stem.samples


def gain_key(recipe: Recipe, sound: Sound) -> tuple[Role, str, str]:
    return recipe.role, recipe.part.style, sound.preset


@dataclass
class _Making:
    """A `Make` under way. Its notes come first, each track's followed by a preview; then sound gets the cores."""

    post: Post
    request: Make
    gains: Gains
    drafts: list[Take] = field(default_factory=list)
    recorded: int = 0
    may_render: threading.Event = field(default_factory=threading.Event)

    def make(self) -> Done:
        order = self.request.order
        studio = MakingStudio(self.check, self.gains, self.may_render)
        try:
            takes = make_takes(
                order.job, order.standing, studio, order.numbers, self.add_audio, self.on_progress, self.on_draft
            )
        finally:
            self.may_render.set()
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
        bar = self.request.preview_bar % draft.recipe.settings.bars
        self.post.send(heard_bar(self.request.id, draft, self.request.tempo, bar, self.gains))
        if len(self.drafts) == len(self.request.order.job.parts):
            self.may_render.set()

    def add_audio(self, data: bytes) -> str:
        """Send a take's file, and what is to be heard of it. Files come in the order of the drafts."""
        draft, audio_sha256 = self.drafts[self.recorded], hashlib.sha256(data).hexdigest()
        self.recorded += 1
        recipe = draft.recipe
        plays = recipe.settings.tempo == self.request.tempo
        gain_db = self.gains[gain_key(recipe, draft.sound)]
        notes = draft.score.notes
        self.post.send(Recorded(self.request.id, recipe.role, draft.id, notes, audio_sha256, data, plays, gain_db))
        if not plays:
            self.post.send(heard_whole(self.request.id, draft, self.request.tempo, self.gains, self.check))
        return audio_sha256


def render(post: Post, request: Render, gains: Gains) -> Done:
    """Takes again from their notes: first one bar of each, then all of each."""

    def check() -> None:
        if post.gave_up(request.id):
            raise Stopped

    tempo = request.grid.tempo
    for take in request.takes:
        check()
        post.send(heard_bar(request.id, take, tempo, request.first_bar % request.grid.bars, gains))
    with ThreadPoolExecutor(min(RENDERING_THREADS, os.cpu_count() or 1), thread_name_prefix="render") as threads:
        for whole in threads.map(lambda take: heard_whole(request.id, take, tempo, gains, check), request.takes):
            post.send(whole)
    return Done(request.id)


def heard_bar(request_id: int, take: Take, tempo: TempoMap, bar: int, gains: Gains) -> Heard:
    """A preview of a bar of a take, at a tempo. Its gain is that of the latest render with the same sound."""
    from resonantgen.realtime.preview import estimated_gain_db, finished, raw_bar

    recipe = recipe_at(take.recipe, tempo)
    raw = raw_bar(take.score, recipe, take.sound, bar)
    gain_db = gains.get(gain_key(recipe, take.sound))
    if gain_db is None:
        gain_db = estimated_gain_db(raw, recipe)
    samples = finished(raw, tempo.sample_rate, gain_db)
    return Heard(
        request_id,
        take.role,
        take.id,
        take.score.notes,
        tempo.bar_sample(bar),
        True,
        gain_db,
        samples.tobytes(),
    )


def heard_whole(request_id: int, take: Take, tempo: TempoMap, gains: Gains, check: Callable[[], None]) -> Heard:
    """A take at another tempo or sample rate, as its file would have it."""
    import numpy as np

    from resonantgen.instruments.wav import from_pcm24, to_pcm24

    free = threading.Event()
    free.set()
    recipe = recipe_at(take.recipe, tempo)
    samples = MakingStudio(check, gains, free).render(take.score, recipe, take.sound)
    stored = from_pcm24(to_pcm24(samples)).astype(np.float32)
    gain_db = gains[gain_key(recipe, take.sound)]
    return Heard(request_id, take.role, take.id, take.score.notes, 0, False, gain_db, stored.tobytes())


def warm_up(post: Post) -> Iterator[None]:
    """Load, step by step, what requests will need; says `Warm` once every role's kernels are there."""
    from resonantgen.realtime.warming import all_presets, typical

    yield from typical()
    post.send(Warm(0))
    yield from all_presets()
