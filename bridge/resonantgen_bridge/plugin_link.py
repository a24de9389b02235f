"""The plugin link: serves sound to the plugin in a DAW's tracks, and is told of its host, as docs/plugin-link.md says.

A connection that says anything else than that page allows, or nothing for 3 s, is dropped; nothing else happens.
Sending never waits: what a plugin does not read is dropped once its queue is full, and it pulls again. Everything here
belongs to the engine's asyncio loop, which is given back after each PULL, so that floods hold nothing else up.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, Protocol

import zmq
import zmq.asyncio

from resonantgen.errors import EngineError
from resonantgen.music.notes import Role
from resonantgen_bridge.addresses import LOOPBACK, address_taken, tcp
from resonantgen_bridge.calls import Engine, Notice
from resonantgen_bridge.plugin_controls import Controls, HostFollower
from resonantgen_bridge.plugin_epochs import Epochs, Music
from resonantgen_bridge.plugin_instance import Instance
from resonantgen_bridge.plugin_wire import (
    CHUNK_FRAMES,
    VERSION,
    Decoder,
    Hello,
    HostFlag,
    Malformed,
    Message,
    Notes,
    Pcm,
    Pull,
    Refused,
    State,
    Status,
    TrackFlag,
    Welcome,
    encode,
)
from resonantgen_bridge.protocol import PLUGIN_PORT
from resonantgen_bridge.served import holder_of_port

SILENCE_SECONDS: Final = 3.0  # after which a connection is dropped
STATE_SECONDS: Final = 0.5  # between two STATEs; the page allows twice as long
MAX_CONNECTIONS: Final = 128
_CHECK_SECONDS: Final = 0.1
_CHUNKS_AT_ONCE: Final = 16  # in one PCM
_END_SECONDS: Final = 1.0  # then ZeroMQ is left to itself: with connections that were cut off, it may never end
_QUEUED_MESSAGES: Final = 128  # to one plugin: 16 MB of sound at most


class PluginEngine(Engine, Music, Protocol):
    """The engine as the plugin link needs it."""

    def cover(self, roles: Collection[Role]) -> None:
        """These tracks, and no others, are played elsewhere: they are silent in what the engine itself plays."""
        ...


_log = logging.getLogger(__name__)


class PluginLink:
    """Serves from `start` to `close`."""

    def __init__(self, engine: PluginEngine, port: int = PLUGIN_PORT, follow: bool = True) -> None:
        """A port of 0 is any free one. `follow`: the plugin's host sets tempo, meter, play and position."""
        self._engine, self._port = engine, port
        self._identity = secrets.randbits(64)
        self._connections: dict[bytes, _Connection] = {}  # by ZeroMQ's name for them, oldest first
        self._closing: set[bytes] = set()  # dropped, but their queues are too full to end them yet
        self._epochs = Epochs(engine, self._instances)
        self._controls = Controls(engine, engine.complain)
        self._follower = HostFollower(engine) if follow else None
        self._context: zmq.asyncio.Context | None = None
        self._socket: zmq.asyncio.Socket
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._dropped = 0  # connections that said what the page does not allow, or nothing
        self.address = ""  # "127.0.0.1:5590"

    async def start(self) -> None:
        """Listen; `address` is then where. Raises AddressTaken, EngineError."""
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.STREAM)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUED_MESSAGES)
        try:
            self._socket.bind(tcp(LOOPBACK, self._port) if self._port else f"tcp://{LOOPBACK}:*")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            self._context = None
            if error.errno == errno.EADDRINUSE:
                raise address_taken(self._port, "--plugin-port", holder_of_port(self._port)) from None
            raise EngineError(f"The plugin cannot reach us at port {self._port}: {error.strerror}.") from None
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://")
        self._unsubscribe = self._engine.subscribe(self._noticed)
        if self._follower is not None:
            self._follower.start()
        self._tasks = {asyncio.create_task(self._read()), asyncio.create_task(self._check())}

    async def close(self) -> None:
        """Drop all connections and stop listening. The engine's own tracks are heard again."""
        if self._context is None:
            return
        if self._unsubscribe is not None:
            self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._follower is not None:
            await self._follower.close()
        await self._controls.close()
        await self._epochs.close()
        self._connections.clear()
        self._cover()
        context, self._context = self._context, None
        self._socket.close(linger=0)
        ending = threading.Thread(target=context.term, name="plugin link's end", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _END_SECONDS)

    def status(self) -> dict[str, Any]:
        """What there is to say of it in `status`; `silent_here` are the tracks that plugins play in our place."""
        instances = [_described(instance) for instance in self._instances() if instance.status is not None]
        return {
            "instances": instances,
            "silent_here": [role.value for role in Role if role in self._played()],
            "dropped": self._dropped,
        }

    # -- connections --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            name, data = await self._socket.recv_multipart()
            try:
                await self._receive(name, data)
            except Malformed as error:
                self._drop(name, str(error))
            except Exception:  # of ours: whatever a plugin sends, the others are served on
                _log.exception("What a plugin sent could not be taken")
                self._drop(name, "an error of ours")
            await asyncio.sleep(0)  # receiving does not wait while messages are there, and others have work to do

    async def _receive(self, name: bytes, data: bytes) -> None:
        connection = self._connections.get(name)
        if name in self._closing:
            if not data:
                self._closing.discard(name)
            return
        if not data:  # a connection begins and ends with that
            if connection is None:
                self._connections[name] = _Connection(time.monotonic())
            else:
                self._forget(name)
            return
        if connection is None:
            return  # dropped just before
        for message in connection.decoder.feed(data):
            connection.heard_at = time.monotonic()
            if connection.instance is None:
                self._greet(name, connection, message)
            else:
                self._hear(name, connection.instance, message)
            if isinstance(message, Pull):
                await asyncio.sleep(0)
            if self._connections.get(name) is not connection:
                return

    def _greet(self, name: bytes, connection: _Connection, message: Message) -> None:
        if not isinstance(message, Hello):
            raise Malformed("no HELLO first")
        reason = ""
        if message.version != VERSION:
            older = "plugin" if message.version < VERSION else "engine"
            reason = f"This engine speaks version {VERSION} of the plugin link. Install the newer {older}."
        elif len(self._connections) > MAX_CONNECTIONS:
            reason = f"{MAX_CONNECTIONS} plugins are connected already."
        if reason:
            self._send(name, Refused(reason))
            self._drop(name, reason)
            return
        connection.instance = Instance(message.instance, partial(self._tell, name))
        self._tell(name, Welcome(self._identity))
        self._tell_state(connection)

    def _hear(self, name: bytes, instance: Instance, message: Message) -> None:
        match message:
            case Status():
                self._hear_status(instance, message)
            case Pull():
                self._answer(name, instance, message)
            case Notes():
                self._controls.play(instance, message)
            case _:
                raise Malformed(f"{type(message).__name__} after HELLO")

    def _hear_status(self, instance: Instance, status: Status) -> None:
        now = time.monotonic()
        before = (instance.clock, instance.role)
        instance.hear(status, now)
        if (instance.clock, instance.role) != before:
            self._cover()
            self._tell_states()
            self._epochs.refresh_soon()
        else:
            instance.tell_again(now)
        self._controls.hear(instance)
        if self._follower is not None and instance.clock is not None:
            self._follower.hear(instance, now)

    def _answer(self, name: bytes, instance: Instance, pull: Pull) -> None:
        source = instance.source(pull.epoch)
        if source is None:
            return
        for first in range(0, pull.chunks, _CHUNKS_AT_ONCE):
            frame = pull.frame + first * CHUNK_FRAMES
            samples = source.frames(frame, min(_CHUNKS_AT_ONCE, pull.chunks - first) * CHUNK_FRAMES)
            if not self._send(name, Pcm(pull.epoch, frame, samples.tobytes())):
                return  # it does not read: what it misses, it pulls again

    def _forget(self, name: bytes) -> None:
        connection = self._connections.pop(name, None)
        if connection is None or connection.instance is None:
            return
        self._controls.forget(connection.instance)
        if self._follower is not None:
            self._follower.lead(next((each for each in self._instances() if each.clock is not None), None))
        self._cover()
        self._epochs.refresh_soon()

    def _drop(self, name: bytes, reason: str) -> None:
        if name in self._connections:
            _log.info("A plugin's connection is dropped: %s", reason)
            self._dropped += 1
            self._forget(name)
            self._closing.add(name)
            self._end_dropped()

    def _end_dropped(self) -> None:
        self._closing = {name for name in self._closing if not self._send_bytes(name, b"")}

    # -- what is sent -------------------------------------------------------------------------------------------------

    def _tell(self, name: bytes, message: Message) -> None:
        """Something that must arrive: a plugin that has no room for it does not read at all."""
        if name in self._connections and not self._send(name, message):
            self._drop(name, "it does not read")

    def _send(self, name: bytes, message: Message) -> bool:
        return self._send_bytes(name, encode(message))

    def _send_bytes(self, name: bytes, data: bytes) -> bool:
        """Send at once or not at all. A STREAM socket says so (EAGAIN, EHOSTUNREACH) where a ROUTER drops silently."""
        sent = self._socket.send_multipart([name, data], flags=zmq.DONTWAIT)
        assert isinstance(sent, asyncio.Future)
        error = sent.exception()
        if error is not None and not isinstance(error, zmq.ZMQError):
            raise error
        return error is None

    def _tell_states(self) -> None:
        for connection in tuple(self._connections.values()):
            self._tell_state(connection)

    def _tell_state(self, connection: _Connection) -> None:
        """If it is another one than before, or if it was told a while ago."""
        if connection.instance is None:
            return
        flags, role = TrackFlag(0), connection.instance.role
        if role is not None:
            flags |= TrackFlag.EXISTS
            if self._engine.state.get(f"track/{role.value}/lock"):
                flags |= TrackFlag.LOCKED
            if role in self._engine.takes:
                flags |= TrackFlag.SOUNDS
        now = time.monotonic()
        if flags != connection.state or now - connection.state_at >= STATE_SECONDS:
            connection.state, connection.state_at = flags, now
            connection.instance.send(State(flags))

    # -- what changes -------------------------------------------------------------------------------------------------

    def _noticed(self, notice: Notice) -> None:
        if notice.event == "changed":
            self._epochs.refresh_soon()
            self._controls.music_changed()
            self._tell_states()

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                self._look_after()
            except Exception:  # of ours: the next look goes on
                _log.exception("The plugins could not be looked after")

    def _look_after(self) -> None:
        """What time brings: silence, a STATE that is due, sound that can be looked for again."""
        now = time.monotonic()
        for name, connection in tuple(self._connections.items()):
            if now - connection.heard_at > SILENCE_SECONDS:
                self._drop(name, "it said nothing")
        self._end_dropped()
        self._tell_states()
        self._epochs.refresh()

    def _instances(self) -> list[Instance]:
        found = (connection.instance for connection in self._connections.values())
        return [instance for instance in found if instance is not None]

    def _played(self) -> set[Role]:
        """The tracks that an instance in a host with a clock stands for."""
        return {each.role for each in self._instances() if each.role is not None and each.clock is not None}

    def _cover(self) -> None:
        self._engine.cover(self._played())


class _Connection:
    """One TCP connection; without an instance until its HELLO."""

    def __init__(self, now: float) -> None:
        self.decoder = Decoder(from_plugin=True)
        self.instance: Instance | None = None
        self.heard_at = now  # when the last whole message came
        self.state: TrackFlag | None = None  # as it was told last
        self.state_at = 0.0


def _described(instance: Instance) -> dict[str, Any]:
    status, clock = instance.status, instance.clock
    assert status is not None
    return {
        "track": status.track,
        "plays": instance.role.value if instance.role is not None else None,
        "sample_rate": round(status.sample_rate),
        "tempo": None if clock is None else float(clock.tempo_bpm),
        "meter": None if clock is None else f"{clock.numerator}/{clock.denominator}",
        "playing": instance.playing,
        "locks": HostFlag.LOCK in status.flags,
        "waits": HostFlag.WAIT in status.flags,
        "epoch": status.epoch,
        "underruns": status.underruns,
    }
