"""`resonantgen serve`: opens the project, starts the engine and everything that drives it, and ends it all again.

What cannot be opened (a port that is taken, a device that is not there) is said in one line, and the engine runs on
with what there is.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from multiprocessing.resource_tracker import ensure_running
from typing import TextIO

from resonantgen.errors import DeviceError, ProjectError, ResonantGenError, StorageError
from resonantgen.instruments.jit import compiled_before
from resonantgen.music.notes import Role
from resonantgen.realtime.devices import choose_device, supported_rate
from resonantgen.realtime.output import AudioOutput
from resonantgen.realtime.ring import Ring
from resonantgen.realtime.worker import Worker
from resonantgen.session.session import Session
from resonantgen.session.settings import DEFAULT_SAMPLE_RATE
from resonantgen_bridge.drivers import Drivers
from resonantgen_bridge.engine import LiveEngine
from resonantgen_bridge.narrator import Narrator
from resonantgen_bridge.options import DEFAULT_DEVICE, NO_DEVICE, ServeOptions
from resonantgen_bridge.parsing import parse_call
from resonantgen_bridge.served import Served, announce, withdraw

OnLine = Callable[[str], None]

RING_SECONDS = 2.0
LATENCY_MS = 80.0  # how far ahead of the sound is mixed, if nothing else is asked for


def serve(options: ServeOptions, on_line: OnLine) -> None:
    """Serve a project until SIGINT or SIGTERM. `on_line` is given what a person wants to read.

    Raises what opening the project raises, StorageError for a journal that cannot be written, and at the end
    ProjectError for a project that is not where it was.
    """
    with _interrupts_for_us_alone():
        asyncio.run(_serve(options, on_line))
    if not options.project.exists():
        raise ProjectError(
            f"{options.project} was removed or renamed while it was being served. "
            "If it was renamed, what was done since is in it; if it was removed, that is gone."
        )


async def _serve(options: ServeOptions, on_line: OnLine) -> None:
    stop = _stop_signals()
    async with AsyncExitStack() as stack:
        session = stack.enter_context(Session.open_or_create(options.project))
        journal = stack.enter_context(_journal(options))
        channels = 2 * len(Role) if options.stems else 2
        device, sample_rate = _device_and_rate(options, session, channels, on_line)
        worker = Worker()
        stack.callback(worker.close)
        starting = asyncio.get_running_loop().create_task(worker.start())
        starting.add_done_callback(lambda task: task.cancelled() or task.exception())  # its commands say it
        depth_frames = round((options.latency_ms or LATENCY_MS) / 1000 * sample_rate)
        ring = Ring.create(channels, max(round(RING_SECONDS * sample_rate), 2 * depth_frames), sample_rate)
        stack.callback(ring.close)
        output = AudioOutput(ring, device, options.block_frames)
        output.start()
        stack.callback(output.close)
        engine = LiveEngine(session, worker, output, ring, sample_rate, depth_frames, options.stems, journal)
        await stack.enter_async_context(engine)
        drivers = await stack.enter_async_context(Drivers(engine, options, on_line))
        stack.enter_context(_announced(session, engine, drivers, options))
        await _until_ready(starting, stop)
        narrator = Narrator(engine.state, on_line)
        narrator.begin(engine.addresses, options.prompt)
        stack.callback(engine.subscribe(narrator.hear))
        playing = asyncio.get_running_loop().create_task(_begin(engine, options, worker, on_line))
        stack.callback(playing.cancel)
        await stop.wait()


def _stop_signals() -> asyncio.Event:
    """Set by Ctrl-C and by SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


@contextmanager
def _interrupts_for_us_alone() -> Iterator[None]:
    """A terminal's Ctrl-C goes to all of its processes. Ours end when this one ends them: those that are started in
    this context inherit that it does not reach them, so that none is interrupted before it can see to that itself.

    Signals go to any thread that lets them in, and Python handles them in the main thread: the one here lets them in.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # multiprocessing's own helper: starting it later would let the signal in again
    ended = threading.Event()
    doorman = threading.Thread(target=ended.wait, name="signals", daemon=True)
    doorman.start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ended.set()
        doorman.join()


async def _until_ready(starting: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Until the worker answers, or there is no need any more."""
    stopping = asyncio.get_running_loop().create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


async def _begin(engine: LiveEngine, options: ServeOptions, worker: Worker, on_line: OnLine) -> None:
    """What was asked for at the start: music where there is none, then play."""
    try:
        if worker.warming and not compiled_before():
            on_line("  Getting ready. The first time on a machine this takes some twenty seconds.")
        if options.prompt.strip() and not engine.state["bars"]:
            await engine.execute(parse_call("generate", {"prompt": options.prompt}), "serve")
        await engine.execute(parse_call("auto", {"every": options.auto_bars}), "serve")
        if options.play:
            await engine.execute(parse_call("play", {}), "serve")
    except ResonantGenError as error:
        on_line(str(error))


@contextmanager
def _announced(session: Session, engine: LiveEngine, drivers: Drivers, options: ServeOptions) -> Iterator[None]:
    """Commands find the engine by the project while this lasts."""
    if drivers.zmq is None:
        yield
        return
    public_key = "" if options.keys is None else str(options.keys.resolve() / "server.pub")
    served = Served(
        project=str(session.path.resolve()),
        pid=os.getpid(),
        zmq=drivers.zmq.address,
        events=drivers.zmq.events_address,
        osc=engine.addresses.get("osc", ""),
        plugin=engine.addresses.get("plugin", ""),
        public_key=public_key,
    )
    announce(session.path, served)
    try:
        yield
    finally:
        withdraw(session.path)


@contextmanager
def _journal(options: ServeOptions) -> Iterator[TextIO | None]:
    if options.journal is None:
        yield None
        return
    try:
        file = options.journal.open("a", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{options.journal} cannot be written: {error.strerror}. Choose another --journal."
        ) from None
    try:
        yield file
    finally:
        with suppress(OSError):  # what a full disk did not take has been complained of
            file.close()


def _device_and_rate(options: ServeOptions, session: Session, channels: int, on_line: OnLine) -> tuple[str | None, int]:
    """The device (None: none), and the sample rate to run at: what was asked for, as far as the device can."""
    settings = session.settings
    wanted = options.sample_rate or (settings.sample_rate if settings else DEFAULT_SAMPLE_RATE)
    if options.audio == NO_DEVICE:
        return None, wanted
    device = "" if options.audio == DEFAULT_DEVICE else options.audio
    try:
        chosen = choose_device(device, channels)
        sample_rate = supported_rate(chosen, wanted, channels)
    except DeviceError as error:
        on_line(str(error))
        return device, wanted
    if options.sample_rate not in (None, sample_rate):
        on_line(f"{chosen.name} does not play at {wanted} Hz, so it plays at {sample_rate} Hz.")
    return device, sample_rate
