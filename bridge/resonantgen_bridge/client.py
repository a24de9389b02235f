"""A client of a running engine for scripts: each call waits for its answer.

>>> with Client() as engine:
...     engine.lock(track="drums")
...     engine.regenerate(prompt="make the bass more aggressive")

Commands are methods, as `async_client.py` describes. Several threads may use one `Client`: it runs an AsyncClient in a
thread of its own. Callbacks are called in that thread, and must not call the client: they would wait for themselves.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from resonantgen.errors import EngineNotRunning
from resonantgen_bridge.async_client import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT,
    AsyncClient,
    AsyncEvents,
    described,
    only_value,
)
from resonantgen_bridge.calls import Listener, Notice, ignore
from resonantgen_bridge.keys import ClientKeys
from resonantgen_bridge.protocol import COMMAND

_END_SECONDS = 1.0  # for what still runs in the client's thread when it is closed

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Client:
    """A client that connects when it is first used, and again by itself when the engine comes back."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        events: str | None = None,
        keys: Path | ClientKeys | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """`events` is where it publishes, by default the next port. `keys`: a folder, see `keys.py`.

        `timeout` is how many seconds the engine may be silent; commands that take longer are no silence.
        Raises BadValue, KeysError.
        """
        self._client = AsyncClient(address, events=events, keys=keys, timeout=timeout)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def address(self) -> str:
        return self._client.address

    def call(self, command: str, *, on_progress: Listener = ignore, **arguments: Any) -> dict[str, Any]:
        """Have the engine do a command, wait, and give its result. Ctrl-C cancels the command.

        Raises what the engine raises; UnknownCommand and BadValue before anything is sent; EngineNotRunning; KeysError.
        """
        return self._wait(self._client.call(command, on_progress=on_progress, **arguments))

    def submit(self, command: str, *, on_progress: Listener = ignore, **arguments: Any) -> Future[dict[str, Any]]:
        """As `call`, but without waiting. Cancelling the future cancels the command."""
        return self._submit(self._client.call(command, on_progress=on_progress, **arguments))

    def events(self, *names: str) -> Events:
        """What happens from now on: events of these names, or all of them. Raises EngineNotRunning, BadValue."""
        return Events(self, self._wait(self._client.events(*names)))

    def listen(self, callback: Listener, *names: str) -> Callable[[], None]:
        """Call back for each event from now on, in the client's thread. Gives what ends it.

        If the engine stops, it listens on for when it comes back. Raises EngineNotRunning, BadValue.
        """
        events = self._wait(self._client.events(*names))
        listening = self._submit(_listen(events, callback))

        def end() -> None:
            listening.cancel()

        return end

    def close(self) -> None:
        """Disconnect; calls that wait in other threads end with EngineNotRunning. It connects again if it is used."""
        self._refuse_callbacks()
        with self._starting:  # who uses it meanwhile waits, and then connects again
            if self._loop is None or self._thread is None:
                return
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in COMMAND:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}, nor has the engine such a command")
        command = COMMAND[name]

        def method(*, on_progress: Listener = ignore, **arguments: Any) -> Any:
            return only_value(command, self.call(command.name, on_progress=on_progress, **arguments))

        return described(method, command)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *COMMAND})

    async def _end(self) -> None:
        self._client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:  # calls that wait are told, and end
            _, others = await asyncio.wait(others, timeout=_END_SECONDS)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _refuse_callbacks(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback of a client called it, and would wait for itself")

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            self._refuse_callbacks()
        except RuntimeError:
            work.close()
            raise
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="resonantgen-client", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._submit(work)
        try:
            return future.result()
        finally:
            future.cancel()  # Ctrl-C


class Events(Iterator[Notice]):
    """Notices as they come: iterate, or `next`. Raises EngineNotRunning when the engine falls silent.

    It may be iterated on after that: it connects again by itself.
    """

    def __init__(self, client: Client, events: AsyncEvents) -> None:
        self._client, self._events = client, events

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> Notice:
        notice = self._client._wait(_next(self._events))
        if notice is None:
            raise StopIteration
        return notice

    def close(self) -> None:
        self._client._wait(_close(self._events))

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(events: AsyncEvents) -> Notice | None:
    """The next notice; None when it was closed."""
    try:
        return await anext(events)
    except StopAsyncIteration:
        return None


async def _close(events: AsyncEvents) -> None:
    events.close()


async def _listen(events: AsyncEvents, callback: Listener) -> None:
    async with events:
        while True:
            try:
                notice = await _next(events)
            except EngineNotRunning:
                continue
            if notice is None:
                return
            try:
                callback(notice)
            except Exception:
                _log.exception("A listener failed")
