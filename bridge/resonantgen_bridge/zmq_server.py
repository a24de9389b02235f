"""The engine on ZeroMQ: commands at a ROUTER socket, events at an XPUB socket. `wire.py` says what they carry.

Everything here belongs to the engine's asyncio loop. Each request runs in a task of its own and is answered exactly
once; sending never waits, so a client that does not read loses messages instead of holding up the engine.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

from resonantgen.errors import Cancelled, EngineError, KeysError, ResonantGenError
from resonantgen_bridge import wire
from resonantgen_bridge.addresses import LOOPBACK, address_taken, is_loopback, numeric, tcp
from resonantgen_bridge.async_client import holder_of
from resonantgen_bridge.calls import Engine, Notice
from resonantgen_bridge.keys import ServerKeys
from resonantgen_bridge.parsing import parse_call
from resonantgen_bridge.protocol import ZMQ_COMMANDS_PORT, ZMQ_EVENTS_PORT
from resonantgen_bridge.wire import BadRequest, Request, RequestId

MAX_RUNNING_PER_CLIENT, MAX_RUNNING = 32, 256  # requests
_QUEUED_MESSAGES = 1000  # to one client or subscriber, before it loses some
_LINGER_MS = 200  # for the last answers, when the server closes

_log = logging.getLogger(__name__)


class ZmqServer:
    """Serves an engine from `start` to `close`."""

    def __init__(
        self,
        engine: Engine,
        host: str = LOOPBACK,
        commands_port: int = ZMQ_COMMANDS_PORT,
        events_port: int = ZMQ_EVENTS_PORT,
        keys: ServerKeys | None = None,
    ) -> None:
        """Ports of 0 are any that are free. A host that is not loopback needs keys."""
        self.address, self.events_address = tcp(host, commands_port), tcp(host, events_port)
        self._engine, self._host, self._keys = engine, numeric(host), keys
        self._ports = commands_port, events_port
        self._context: zmq.asyncio.Context | None = None
        self._authenticator: AsyncioAuthenticator | None = None
        self._router: zmq.asyncio.Socket
        self._publisher: zmq.asyncio.Socket
        self._running: dict[tuple[bytes, RequestId], _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._started = 0.0

    async def start(self) -> None:
        """Listen; `address` and `events_address` are then what clients connect to.

        Raises KeysError, AddressTaken, EngineError.
        """
        if self._keys is None and not is_loopback(self._host):
            raise KeysError(
                f"Listening on {self._host} needs keys, or anyone in the network could drive this engine. "
                "Make them with: resonantgen keys new"
            )
        self._context = zmq.asyncio.Context()
        try:
            if self._keys is not None:
                self._authenticator = AsyncioAuthenticator(self._context)
                self._authenticator.start()
                self._authenticator.configure_curve_callback("*", _Known(self._keys))
            self._router, self.address = await self._bind(zmq.ROUTER, self._ports[0], "--zmq-port")
            self._publisher, self.events_address = await self._bind(zmq.XPUB, self._ports[1], "--events-port")
        except BaseException:
            await self.close()
            raise
        self._started = time.monotonic()
        self._unsubscribe = self._engine.subscribe(self._publish)
        works = (self._read_requests, self._show_running, self._read_subscriptions)
        self._tasks = {asyncio.create_task(work()) for work in works}

    async def close(self) -> None:
        """Give up what runs, answer it with Cancelled, and stop listening."""
        if self._context is None:
            return
        if self._unsubscribe is not None:
            self._unsubscribe()
        # Requests are cancelled once nothing adds to them; a task that was cancelled before it began could not answer.
        await _give_up(self._tasks)
        await _give_up({running.task for running in self._running.values()})
        if self._authenticator is not None:
            self._authenticator.stop()
            await asyncio.sleep(0)  # its task ends
        context, self._context = self._context, None
        context.destroy(linger=_LINGER_MS)

    async def _bind(self, kind: int, port: int, option: str) -> tuple[zmq.asyncio.Socket, str]:
        assert self._context is not None
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_REQUEST_BYTES)
        socket.setsockopt(zmq.SNDHWM, _QUEUED_MESSAGES)
        socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        socket.setsockopt(zmq.IPV6, ":" in self._host)
        if kind == zmq.XPUB:
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        if self._keys is not None:
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
        address = tcp(self._host, port)
        try:
            socket.bind(address if port else tcp(self._host, 0).removesuffix("0") + "*")
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                raise address_taken(port, option, await holder_of(address)) from None
            raise EngineError(f"The engine cannot listen at {address}: {error.strerror}. Check --listen.") from None
        return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)

    # -- requests -----------------------------------------------------------------------------------------------------

    async def _read_requests(self) -> None:
        while True:
            frames = await self._router.recv_multipart()
            try:
                self._receive(frames)
            except Exception:  # of ours: whatever a client sends, the others are served on
                _log.exception("A request could not be taken")
            await asyncio.sleep(0)  # receiving does not wait while messages are there, and others have work to do

    def _receive(self, frames: list[bytes]) -> None:
        # A REQ socket puts an empty frame before its request, and takes one message for it: it is sent the answer only.
        plain = len(frames) == 2
        if not plain and not (len(frames) == 3 and frames[1] == b""):
            return
        client = _Client(self._router, frames[0], plain)
        try:
            request = wire.read_request(frames[-1])
        except BadRequest as bad:
            client.answer(bad.id, bad.error)
            return
        if request is None:
            return
        if request.cancel is not None:
            running = self._running.get((client.identity, request.cancel))
            if running is not None:
                running.task.cancel()
            client.answer(request.id, {"cancelled": int(running is not None)})
            return
        try:
            self._admit(client, request)
        except EngineError as error:
            client.answer(request.id, error)
            return
        task = asyncio.create_task(self._run(client, request))
        self._running[client.identity, request.id] = _Running(task, client)

    def _admit(self, client: _Client, request: Request) -> None:
        """Raises EngineError."""
        if (client.identity, request.id) in self._running:
            raise EngineError("A request of this id is still running. Use another id for each.")
        mine = Counter(identity for identity, _ in self._running)[client.identity]
        if mine >= MAX_RUNNING_PER_CLIENT or len(self._running) >= MAX_RUNNING:
            raise EngineError(f"{mine} requests of this client are still running. Wait for one, or cancel it.")

    async def _run(self, client: _Client, request: Request) -> None:
        def progress(notice: Notice) -> None:
            client.send({"id": request.id, "progress": wire.notice_fields(notice)})

        answer: dict[str, Any] | ResonantGenError
        try:
            call = parse_call(request.command, request.arguments)
            answer = await self._engine.execute(call, client.name, progress)
        except ResonantGenError as error:
            answer = error
        except asyncio.CancelledError:
            answer = Cancelled("The command was given up before it was done. Nothing was changed.")
        except Exception as error:
            _log.exception("A command failed")
            answer = EngineError(f"The engine failed at it ({type(error).__name__}). Its log says more.")
        finally:
            del self._running[client.identity, request.id]
        client.answer(request.id, answer)

    async def _show_running(self) -> None:
        while True:
            now = time.monotonic()
            for (_, id), running in self._running.items():
                if now - running.since >= wire.RUNNING_SECONDS:  # most are answered before anyone could wonder
                    running.client.send({"id": id, "running": now - running.since})
            await asyncio.sleep(wire.RUNNING_SECONDS)

    # -- events -------------------------------------------------------------------------------------------------------

    def _publish(self, notice: Notice) -> None:
        try:
            frames = [notice.event.encode(), wire.encode(notice.fields)]
        except (TypeError, ValueError, OverflowError):
            _log.exception("The event %s cannot be sent", notice.event)
            return
        wire.send_now(self._publisher, frames)

    async def _read_subscriptions(self) -> None:
        while True:
            message = await self._publisher.recv()
            if message[:1] == b"\x01" and b"heartbeat".startswith(
                message[1:]
            ):  # one more, so that a new subscriber need not wait to know that it hears us
                self._publish(Notice("heartbeat", {"seconds": time.monotonic() - self._started}))
            await asyncio.sleep(0)


async def _give_up(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Client:
    """Where the answers to a request go."""

    def __init__(self, router: zmq.asyncio.Socket, identity: bytes, plain: bool) -> None:
        self._router, self.identity, self._plain = router, identity, plain
        self.name = f"zmq {identity.hex()[:10]}"

    def answer(self, id: RequestId, answer: dict[str, Any] | ResonantGenError) -> None:
        if isinstance(answer, ResonantGenError):
            payload = wire.encode({"id": id, "error": wire.error_fields(answer)})
        else:
            try:
                payload = wire.encode({"id": id, "result": answer})
            except (TypeError, ValueError, OverflowError):
                _log.exception("A result cannot be sent")
                error = EngineError("It is done, but its result cannot be sent. The engine's log says more.")
                payload = wire.encode({"id": id, "error": wire.error_fields(error)})
        self._send(payload)

    def send(self, message: dict[str, Any]) -> None:
        """Before the answer."""
        if self._plain:
            self._send(wire.encode(message))

    def _send(self, payload: bytes) -> None:
        wire.send_now(self._router, [self.identity, payload] if self._plain else [self.identity, b"", payload])


class _Running:
    """A request that is being done."""

    def __init__(self, task: asyncio.Task[None], client: _Client) -> None:
        self.task, self.client, self.since = task, client, time.monotonic()


class _Known:
    """What pyzmq's authenticator asks about each client."""

    def __init__(self, keys: ServerKeys) -> None:
        self._keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        return key in self._keys.clients
