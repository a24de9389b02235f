"""A live engine without processes or sound: the quick studio in threads, and a ring that nobody reads."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.session.fakes import SHORT, FakeStudio, words
from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.music.time import TempoMap
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.material import Frames, Grid, Material
from resonantgen.realtime.messages import NO_RECORDINGS, Recordings
from resonantgen.realtime.output import OutputStatus
from resonantgen.realtime.ring import DeviceState, Telemetry
from resonantgen.realtime.times import Times
from resonantgen.realtime.worker import Ready
from resonantgen.session.jobs import Order
from resonantgen.session.produce import make_takes
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Take
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.engine import LiveEngine
from resonantgen_bridge.parsing import parse_call


class FakeWorker:
    """As `realtime.worker.Worker`, in threads. `meanings` says what words mean; others mean themselves only.

    `hold()` makes every order wait before it begins, until `release()`.
    """

    def __init__(self, studio: FakeStudio, meanings: Mapping[str, Intent] | None = None) -> None:
        self.studio = studio
        self.meanings = dict(meanings or {})
        self.times = Times()
        self.made: list[Order] = []
        self.rendered: list[tuple[str, ...]] = []
        self.failure: ResonantGenError | None = None
        self.preview_first = False  # whether a partial material comes before the whole
        self.noisy = False  # whether takes sound, in place of silence, as `noise` says
        self._gate: asyncio.Event | None = None
        self.waiting = asyncio.Event()  # an order waits at the gate

    def hold(self) -> None:
        self._gate = asyncio.Event()
        self.waiting.clear()

    def release(self) -> None:
        assert self._gate is not None
        self._gate.set()
        self._gate = None

    async def understand(self, text: str) -> Intent:
        return self.meanings.get(text) or words(text)

    async def make(
        self,
        order: Order,
        preview_bar: Callable[[], int],
        tempo: TempoMap,
        listener: Callable[[Progress | Ready], None],
        recordings: Recordings = NO_RECORDINGS,
    ) -> list[tuple[Take, bytes]]:
        self.made.append(order)
        if self._gate is not None:
            self.waiting.set()
            await self._gate.wait()
        if self.failure is not None:
            raise self.failure
        files: dict[str, bytes] = {}
        lock = threading.Lock()
        loop = asyncio.get_running_loop()

        def add_audio(data: bytes) -> str:
            sha256 = hashlib.sha256(data).hexdigest()
            with lock:
                files[sha256] = data
            return sha256

        def tell(progress: Progress) -> None:
            loop.call_soon_threadsafe(listener, progress)

        def make() -> list[Take]:
            numbers, read_audio = order.numbers, lambda take: recordings[take.audio_sha256]
            return make_takes(order.job, order.standing, self.studio, numbers, add_audio, tell, read_audio=read_audio)

        takes = await asyncio.to_thread(make)
        for take in takes:
            listener(self._ready(take, tempo))
        return [(take, files[take.audio_sha256]) for take in takes]

    async def render(
        self,
        takes: list[Take],
        grid: Grid,
        first_bar: int,
        listener: Callable[[Ready], None],
        recordings: Recordings = NO_RECORDINGS,
    ) -> None:
        assert recordings.keys() == {take.audio_sha256 for take in takes if take.is_sound}
        self.rendered.append(tuple(take.id for take in takes))
        if self._gate is not None:
            self.waiting.set()
            await self._gate.wait()
        if self.failure is not None:
            raise self.failure
        for take in takes:
            listener(self._ready(take, grid.tempo))

    def _ready(self, take: Take, tempo: TempoMap) -> Ready:
        whole = ready(take, tempo)
        if not self.noisy:
            return whole
        return replace(
            whole, material=replace(whole.material, samples=noise(take.id, tempo, take.recipe.settings.bars))
        )


def noise(take: str, tempo: TempoMap, bars: int) -> Frames:
    """How a take sounds: noise, another one for each take and each tempo."""
    seed = hashlib.sha256(repr((take, tempo)).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "little"))
    return rng.uniform(-0.5, 0.5, (tempo.frames(bars), 2)).astype(np.float32)


def ready(take: Take, tempo: TempoMap) -> Ready:
    """A silent whole."""
    samples = np.zeros((tempo.frames(take.recipe.settings.bars), 2), np.float32)
    return Ready(take.role, Material(take.id, samples, take.score.notes), 0.0)


class UnreadRing:
    """A ring that is always full: the player's thread has nothing to do."""

    written_frames = 0

    def free_frames(self) -> int:
        return 0

    def fill_frames(self) -> int:
        return 0

    def write(self, block: object) -> None:
        raise AssertionError("the ring is full")

    def time_of(self, frame: int) -> float | None:
        return None


class FakeOutput:
    """An output without a device. What is in `next` is what its next check gives."""

    def __init__(self) -> None:
        self.now = OutputStatus(DeviceState.NONE, "no sound", 0, 0, Telemetry(0, 0, 0, 0, 0.0, 0))
        self.next: OutputStatus | None = None

    def check(self) -> OutputStatus | None:
        self.now, changed = self.next or self.now, self.next
        self.next = None
        return changed

    def status(self) -> OutputStatus:
        return self.now

    def lose(self, message: str) -> None:
        self.next = replace(self.now, state=DeviceState.LOST, message=message)


@dataclass
class Live:
    """A live engine and what is behind it."""

    engine: LiveEngine
    session: Session
    worker: FakeWorker
    output: FakeOutput
    notices: list[Notice] = field(default_factory=list)

    async def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        return await self.engine.execute(parse_call(command, arguments), "test")

    def start(self, command: str, **arguments: Any) -> asyncio.Task[dict[str, Any]]:
        return asyncio.get_running_loop().create_task(self.do(command, **arguments))

    def heard(self, event: str) -> list[Mapping[str, Any]]:
        return [notice.fields for notice in self.notices if notice.event == event]

    @property
    def applied(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(fields["command"], fields["arguments"]) for fields in self.heard("applied")]


@asynccontextmanager
async def live(
    path: Path, *, empty: bool = False, meanings: Mapping[str, Intent] | None = None, sample_rate: int = 44_100
) -> AsyncIterator[Live]:
    """A project served: four tracks of one short bar, or `empty`."""
    studio = FakeStudio()
    with Session.open_or_create(path, studio) as session:
        if not empty and session.settings is None:
            session.generate(words(style="techno"), seed=7, **SHORT)
        worker, output = FakeWorker(studio, meanings), FakeOutput()
        engine = LiveEngine(session, worker, output, UnreadRing(), sample_rate, 1024)
        one = Live(engine, session, worker, output)
        engine.subscribe(one.notices.append)
        async with engine:
            yield one


def replay(applied: list[tuple[str, Mapping[str, Any]]], session: Session, meanings: Mapping[str, Intent]) -> None:
    """Do the same commands to a session without an engine, one after the other."""
    for command, arguments in applied:
        values = dict(parse_call(command, arguments).arguments)
        match command:
            case "generate" | "regenerate":
                text = values.pop("prompt")
                intent = (meanings.get(text) or words(text)) if text.strip() else Intent("")
                getattr(session, command)(intent, **values)
            case "adjust":
                session.adjust(values["attribute"], values["value"], track=values["track"])
            case "generator":
                session.regenerate(Intent(""), track=values["track"], generators={values["track"]: values["generator"]})
            case "key":
                session.regenerate(Intent("", key=Key.parse(values["key"])))
            case "lock":
                (session.lock if values["locked"] else session.unlock)(values["track"])
            case "undo" | "redo":
                getattr(session, command)(values["track"])
            case "tempo":
                session.set_tempo(str(round(values["tempo"], 3)))
            case _:
                raise AssertionError(f"{command} is no command that a session has")


def standing(session: Session) -> dict[str, Any]:
    """All that makes two sessions equal."""
    return {
        "settings": session.settings,
        "locked": session.locked,
        "takes": {role.value: (t.id, t.notes_sha256, t.audio_sha256, t.recipe) for role, t in session.playing.items()},
        "ever": {role.value: [take.audio_sha256 for take in session.takes(role)] for role in Role},
    }
