"""A fake engine behind the real ZeroMQ server, in a thread of its own, for tests of what drives engines."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge_fakes import FakeEngine
from bridge_serving import serving
from resonantgen_bridge.keys import ServerKeys
from resonantgen_bridge.served import Served, announce, withdraw
from resonantgen_bridge.zmq_server import ZmqServer

PATIENCE = 60.0  # seconds, to catch a hang


class ServedEngine:
    """`fake` is what answers. It belongs to the server's thread: set it up before, or through `run`."""

    def __init__(self, fake: FakeEngine, loop: asyncio.AbstractEventLoop, server: ZmqServer) -> None:
        self.fake, self._loop = fake, loop
        self.address, self.events_address = server.address, server.events_address

    def run(self, work: Callable[[], Any]) -> Any:
        """Do it in the engine's thread."""

        async def run() -> Any:
            return work()

        return self._wait(run())

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """What it was told so far, but for questions."""
        calls = self.run(lambda: list(self.fake.calls))
        questions = ("ping", "state", "status", "session")
        return [(call.command, dict(call.arguments)) for call in calls if call.command not in questions]

    def wait_until(self, condition: Callable[[FakeEngine], bool]) -> None:
        async def wait() -> None:
            while not condition(self.fake):
                await asyncio.sleep(0.01)

        self._wait(wait())

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


@contextmanager
def served_engine(fake: FakeEngine, project: Path | None = None, keys: Path | None = None) -> Iterator[ServedEngine]:
    """Serve it on free ports; with `project`, announced as the engine that serves that folder."""
    ready: list[ServedEngine] = []
    started, done = threading.Event(), threading.Event()

    async def serve() -> None:
        try:
            async with serving(fake, keys=ServerKeys.load(keys) if keys else None) as server:
                ready.append(ServedEngine(fake, asyncio.get_running_loop(), server))
                started.set()
                await asyncio.to_thread(done.wait)
        finally:
            started.set()

    if project is not None:
        fake.state["project"] = str(project.resolve())
    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE) and ready, "the server did not start"
    engine = ready[0]
    try:
        if project is not None:
            public_key = str((keys / "server.pub").resolve()) if keys else ""
            where = str(project.resolve())
            announce(project, Served(where, os.getpid(), engine.address, engine.events_address, "", public_key))
        yield engine
    finally:
        if project is not None:
            withdraw(project)
        done.set()
        thread.join(PATIENCE)
    assert not thread.is_alive(), "the server did not stop"
