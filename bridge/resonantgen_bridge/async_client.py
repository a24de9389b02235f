"""A client of a running engine, for asyncio. `client.py` has the one for everything else.

Each command of `protocol.COMMANDS` is a method, with the command's fields as keyword arguments, checked before they are
sent. A method gives what the command answers: nothing, the one value that its result holds, or a dict of several.
`call` takes the command's name and always gives the dict. Both raise the exceptions that the engine raised.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from inspect import Parameter, Signature
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from resonantgen.errors import BadValue, EngineError, EngineNotRunning, KeysError, ResonantGenError
from resonantgen_bridge import wire
from resonantgen_bridge.addresses import ANOTHER_PROGRAM, LOOPBACK, split_tcp, tcp
from resonantgen_bridge.calls import Listener, Notice, ignore
from resonantgen_bridge.keys import ClientKeys
from resonantgen_bridge.parsing import parse_call
from resonantgen_bridge.protocol import COMMAND, EVENT, VERSION, ZMQ_COMMANDS_PORT
from resonantgen_bridge.schema import Command
from resonantgen_bridge.served import holder_of_port

DEFAULT_ADDRESS: Final = tcp(LOOPBACK, ZMQ_COMMANDS_PORT)
DEFAULT_TIMEOUT: Final = 5.0  # seconds without a sign of life from the engine
_ASK_SECONDS = 0.5  # how long an engine has to say who it is
_REFUSED = (zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL, zmq.Event.HANDSHAKE_FAILED_NO_DETAIL)

F = TypeVar("F", bound=Callable[..., Any])


class AsyncClient:
    """A client for asyncio, in one loop. It connects when it is first used, and again when the engine comes back."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        events: str | None = None,
        keys: Path | ClientKeys | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """`events` is where it publishes, by default the next port. `keys`: a folder, see `keys.py`.

        Raises BadValue, KeysError.
        """
        host, port = split_tcp(address)
        self.address, self.events_address = address, events or tcp(host, port + 1)
        split_tcp(self.events_address)
        self.timeout = timeout
        self._keys = ClientKeys.load(keys) if isinstance(keys, Path) else keys
        self._ids = itertools.count(1)
        self._waiting: dict[wire.RequestId, _Waiting] = {}
        self._context: zmq.asyncio.Context | None = None
        self._socket: zmq.asyncio.Socket
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: set[AsyncEvents] = set()
        self._same_version = False
        self._refused = False  # by an engine that runs with other keys, or with none

    async def call(self, command: str, *, on_progress: Listener = ignore, **arguments: Any) -> dict[str, Any]:
        """Have the engine do a command, and give its result. Cancelling the task that waits cancels the command.

        Raises what the engine raises; UnknownCommand and BadValue before anything is sent; EngineNotRunning; KeysError.
        """
        call = parse_call(command, arguments)
        await self._greet()
        return await self._request(
            command, {name: value for name, value in call.arguments.items() if value is not None}, on_progress
        )

    async def events(self, *names: str) -> AsyncEvents:
        """What happens from now on: events of these names, or all of them.

        Raises BadValue, EngineNotRunning, KeysError.
        """
        names = _event_names(names)
        await self._greet()  # which says clearly what is wrong with keys
        events = AsyncEvents(self, self._new_socket(zmq.SUB), names)
        self._subscriptions.add(events)
        try:
            await events.join()
        except BaseException:
            events.close()
            raise
        return events

    def close(self) -> None:
        """Disconnect; calls that wait end with EngineNotRunning, and what they asked for goes on."""
        for events in tuple(self._subscriptions):
            events.close()
        for task in self._tasks:
            task.cancel()
        for waiting in self._waiting.values():
            waiting.settle(_closed())
        if self._context is not None:
            self._socket.disable_monitor()
            self._context.destroy(linger=0)
            self._context, self._tasks, self._same_version = None, [], False

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = self._tasks
        self.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if name not in COMMAND:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}, nor has the engine such a command")
        command = COMMAND[name]

        async def method(*, on_progress: Listener = ignore, **arguments: Any) -> Any:
            return only_value(command, await self.call(command.name, on_progress=on_progress, **arguments))

        return described(method, command)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *COMMAND})

    def _connect(self) -> None:
        if self._context is not None:
            if self._refused:  # ZeroMQ does not try again by itself
                self._refused = False
                with suppress(zmq.ZMQError):  # not even the address may be left
                    self._socket.disconnect(self.address)
                self._socket.connect(self.address)
            return
        self._context = zmq.asyncio.Context()
        self._socket = self._new_socket(zmq.DEALER)
        monitor = self._socket.get_monitor_socket()
        self._socket.connect(self.address)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._watch(monitor))]

    async def _greet(self) -> None:
        """See that an engine of our version is there. Raises EngineError."""
        if self._same_version:
            return
        version = (await self._request("ping", {}, ignore)).get("version")
        if self._context is None:  # closed just after the answer came
            raise _closed()
        if version != VERSION:
            raise EngineError(
                f"The engine at {self.address} speaks version {version} of the protocol, and this client version "
                f"{VERSION}. Use the same version of ResonantGen for both."
            )
        self._same_version = True

    def _new_socket(self, kind: int) -> zmq.asyncio.Socket:
        assert self._context is not None
        socket = self._context.socket(kind)
        # A request is queued only once there is a connection: none is carried out long after its caller gave it up.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, "[" in self.address)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)  # notices a machine that went without closing the connection
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10_000)
        if self._keys is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, self._keys.server)
            socket.setsockopt(zmq.CURVE_PUBLICKEY, self._keys.public)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret)
        return socket

    async def _request(self, command: str, arguments: dict[str, Any], on_progress: Listener) -> dict[str, Any]:
        self._connect()
        id = next(self._ids)
        payload = wire.encode({"id": id, "command": command, "arguments": arguments})
        if len(payload) > wire.MAX_REQUEST_BYTES:
            raise BadValue(f"The arguments of {command} are longer than {wire.MAX_REQUEST_BYTES} bytes.")
        waiting = self._waiting[id] = _Waiting(on_progress)
        try:
            await self._send(waiting, payload)
            return await self._answer(waiting)
        except asyncio.CancelledError:
            if self._context is not None:
                cancel = wire.encode({"id": next(self._ids), "cancel": id})
                wire.send_now(self._socket, [cancel])
            raise
        finally:
            del self._waiting[id]
            waiting.forget()

    async def _send(self, waiting: _Waiting, payload: bytes) -> None:
        """Raises EngineNotRunning, KeysError."""
        sending: asyncio.Future[Any] = asyncio.ensure_future(self._socket.send_multipart([payload]))
        try:
            await asyncio.wait({sending, waiting.answer}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
            if waiting.answer.done():  # closed, or refused
                waiting.answer.result()
            if not sending.done():
                raise self._silence()
        finally:
            sending.cancel()

    async def _answer(self, waiting: _Waiting) -> dict[str, Any]:
        waiting.heard = time.monotonic()
        while not waiting.answer.done():
            patience = waiting.heard + self.timeout - time.monotonic()
            if patience <= 0:
                raise self._silence()
            await asyncio.wait({waiting.answer}, timeout=patience)
        return waiting.answer.result()

    def _silence(self) -> EngineNotRunning:
        return EngineNotRunning(
            f"No engine answers at {self.address}. Start one with: resonantgen serve --project NAME.rg"
        )

    async def _read(self) -> None:
        while True:
            message = wire.decode((await self._socket.recv_multipart())[-1])
            id = message.get("id") if isinstance(message, dict) else None
            waiting = self._waiting.get(id) if wire.is_id(id) else None
            if waiting is not None:
                waiting.hear(message)

    async def _watch(self, monitor: zmq.asyncio.Socket) -> None:
        """Tell those who wait when the engine refuses to talk to us."""
        while True:
            event = await recv_monitor_message(monitor)
            if event["event"] in _REFUSED:
                self._refused = True
                for waiting in self._waiting.values():
                    waiting.settle(self._refusal())

    def _refusal(self) -> KeysError:
        if self._keys is None:
            return KeysError(
                f"What listens at {self.address} does not let us in without keys. Give the folder that holds them."
            )
        return KeysError(
            f"The engine at {self.address} does not accept these keys. It must run with keys itself, its folder "
            "clients must hold the client's public key, and server.pub here must be its own."
        )


class _Waiting:
    """A request that is not answered yet."""

    def __init__(self, on_progress: Listener) -> None:
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.heard = 0.0  # time.monotonic of the last sign of life
        self._on_progress = on_progress

    def hear(self, message: dict[str, Any]) -> None:
        self.heard = time.monotonic()
        if "progress" in message:
            fields = message["progress"]
            notice = wire.notice_from(fields.get("event"), fields) if isinstance(fields, dict) else None
            if notice is not None and not self.answer.done():
                try:
                    self._on_progress(notice)
                except Exception as error:  # for the caller to hear of; it waits no longer
                    self.answer.set_exception(error)
        elif "result" in message and not self.answer.done():
            result = message["result"]
            self.answer.set_result(result if isinstance(result, dict) else {})
        elif "error" in message:
            self.settle(wire.error_from(message["error"]))

    def settle(self, error: ResonantGenError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def forget(self) -> None:
        """Nobody waits any more; an exception that came too late is no news."""
        if not self.answer.cancel() and not self.answer.cancelled():
            self.answer.exception()


class AsyncEvents:
    """Notices as they come: `async for`, `async with`. Raises EngineNotRunning when the engine falls silent.

    It may be iterated on after that: it connects again by itself.
    """

    def __init__(self, client: AsyncClient, socket: zmq.asyncio.Socket, names: tuple[str, ...]) -> None:
        self._client, self._socket, self._names = client, socket, names
        for name in {*names, "heartbeat"}:
            socket.subscribe(name)
        socket.connect(client.events_address)

    async def join(self) -> None:
        """Wait until the engine is heard. Raises EngineNotRunning."""
        while (await self._next()).event != "heartbeat":
            pass

    def close(self) -> None:
        self._socket.close()
        self._client._subscriptions.discard(self)

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Notice:
        while not self._is_closed():
            try:
                notice = await self._next()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and not task.cancelling() and self._is_closed():
                    break  # it was closed meanwhile, which cancels what waits in it
                raise
            if notice.event in self._names:
                return notice
        raise StopAsyncIteration

    async def __aenter__(self) -> AsyncEvents:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_closed(self) -> bool:
        return self._socket.closed

    async def _next(self) -> Notice:
        """The next notice, heartbeats too. Raises EngineNotRunning."""
        while True:
            if not await self._socket.poll(self._client.timeout * 1000):
                raise self._client._silence()
            topic, *rest = await self._socket.recv_multipart()
            notice = wire.notice_from(topic.decode(errors="replace"), wire.decode(rest[-1]) if rest else None)
            if notice is not None:
                return notice


def _event_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in EVENT:
            raise BadValue(f"There is no event {name!r}. Events: {', '.join(EVENT)}.")
    return names or tuple(EVENT)


def _closed() -> EngineNotRunning:
    return EngineNotRunning("The client was closed before the engine answered.")


def only_value(command: Command, result: dict[str, Any]) -> Any:
    """What a command's method gives."""
    if not command.result:
        return None
    return result.get(command.result[0].name) if len(command.result) == 1 else result


def described(method: F, command: Command) -> F:
    """The method with a name, a docstring and a signature that `help` can show."""
    fields = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.required else field.default,
            annotation=field.kind.value,
        )
        for field in command.fields
    ]
    fields.append(Parameter("on_progress", Parameter.KEYWORD_ONLY, default=ignore, annotation="Listener"))
    method.__name__ = method.__qualname__ = command.name
    method.__doc__ = command.doc
    method.__signature__ = Signature(fields)  # type: ignore[attr-defined]
    return method


async def holder_of(address: str) -> str:
    """Who listens at a ZeroMQ address: "another ResonantGen (pid 4242, project night.rg)", or "another program".

    Engines of this user have said so in a file; others are asked.
    """
    known = holder_of_port(split_tcp(address)[1])
    if known != ANOTHER_PROGRAM:
        return known
    try:
        async with AsyncClient(address, timeout=_ASK_SECONDS) as client:
            status = (await client.call("status")).get("status")
    except ResonantGenError:
        return ANOTHER_PROGRAM
    if not isinstance(status, dict) or "pid" not in status:
        return "another ResonantGen"
    return f"another ResonantGen (pid {status['pid']}, project {Path(str(status.get('project'))).name})"
