"""Engines served by ZeroMQ on free ports, and a peer that speaks to them frame by frame."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import msgspec
import zmq
import zmq.asyncio

from resonantgen.errors import AddressTaken
from resonantgen_bridge.calls import Engine
from resonantgen_bridge.keys import ServerKeys
from resonantgen_bridge.zmq_server import ZmqServer

HANG_SECONDS = 30  # only a hang takes so long

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], seconds: float = 2 * HANG_SECONDS) -> T:
    """Run a test's coroutine, and fail it if it hangs."""

    async def limited() -> T:
        return await asyncio.wait_for(work, seconds)

    return asyncio.run(limited())


@asynccontextmanager
async def serving(
    engine: Engine, commands_port: int = 0, events_port: int = 0, keys: ServerKeys | None = None
) -> AsyncIterator[ZmqServer]:
    """On ports that were another server's until just now, too: ZeroMQ closes sockets a little after it is told to."""
    server = ZmqServer(engine, commands_port=commands_port, events_port=events_port, keys=keys)
    while True:
        try:
            await server.start()
            break
        except AddressTaken:
            await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        await server.close()


@contextmanager
def serving_in_thread(engine: Engine) -> Iterator[ZmqServer]:
    """For tests of what blocks its thread."""
    started: Any = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(engine) as server:
            started.append(server)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(HANG_SECONDS)
        yield started[0]
    finally:
        done.set()
        thread.join()


class Peer:
    """A socket that sends what it is told to, msgpack or not."""

    def __init__(self, address: str, kind: int = zmq.DEALER) -> None:
        self._context = zmq.asyncio.Context()
        self.socket = self._context.socket(kind)
        self.socket.linger = 0
        self.socket.connect(address)

    async def send(self, *frames: bytes) -> None:
        await self.socket.send_multipart(list(frames))

    async def ask(self, **message: Any) -> None:
        await self.send(msgspec.msgpack.encode(message))

    async def answer(self) -> Any:
        """The next message."""
        frames = await asyncio.wait_for(self.socket.recv_multipart(), HANG_SECONDS)
        return msgspec.msgpack.decode(frames[-1])

    async def final_answer(self) -> Any:
        """The next message that is a result or an error."""
        while True:
            answer = await self.answer()
            if "result" in answer or "error" in answer:
                return answer

    async def __aenter__(self) -> Peer:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._context.destroy(linger=0)


async def until(condition: Any) -> None:
    """Wait for it; fail if it never comes."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(poll(), HANG_SECONDS)
