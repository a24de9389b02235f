"""OSC over UDP: control surfaces in, echoes and events out. All of it belongs to the engine's asyncio loop.

Addresses are those of `protocol.py` below /rg, their fields in order as arguments. What is sent back:

    /rg/track/2/lock 1      the new value, to who set it, at the address that it used; and to subscribers at both forms
    /rg/done s ...          a command whose address is no value's, or that has a result, was done: its name, its result
    /rg/error s s           a command was refused, or could not be read: the kind of error, and one line for people
    /rg/subscribe i [i]     (received) 1: tell me everything, then each change; the port, if I listen on another; 0 ends

Messages of a bundle are done in order with nothing in between, at its time: late ones at once. What arrives faster than
it can be done waits in a bounded backlog; of a gain, pan, tempo or attribute only the latest value waits. Nothing that
arrives raises, and sending never waits: what a full socket does not take is dropped.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Sequence
from typing import Any, Protocol, cast

from resonantgen.errors import BadValue, EngineError, ResonantGenError
from resonantgen_bridge.addresses import LOOPBACK, address_taken, cannot_listen
from resonantgen_bridge.calls import Call, Engine, Notice
from resonantgen_bridge.osc_addresses import Route, routes_of
from resonantgen_bridge.osc_backlog import Backlog, Job
from resonantgen_bridge.osc_packets import Bundle, MalformedPacket, Message, encode_together, parse_packet
from resonantgen_bridge.osc_subscribers import Address, Subscribers
from resonantgen_bridge.osc_values import done_message, error_message, notice_messages, state_messages, value_message
from resonantgen_bridge.parsing import parse_positional
from resonantgen_bridge.protocol import OSC_PORT, OSC_ROOT
from resonantgen_bridge.served import holder_of_port

MAX_AHEAD_SECONDS = 60.0  # how far in the future a bundle may lie
MAX_SCHEDULED = 256  # bundles that wait for their time
MAX_RUNNING = 64  # commands at a time, those that generate and those that do not counted apart
MAX_TOGETHER = 1024  # those of one bundle or pattern, which are started without a pause
MAX_COMPLAINTS = 20  # a second, about what nobody can be expected to have meant as a command
_JOBS_AT_ONCE = 32  # then the loop may do other things
_SUBSCRIBE = f"{OSC_ROOT}/subscribe"
_OWN_REPLIES = (f"{OSC_ROOT}/error", f"{OSC_ROOT}/done")

_log = logging.getLogger(__name__)


class ForeignOsc(Protocol):
    """Understands messages outside /rg, such as a DAW's own. Never raises."""

    def received(self, message: Message, at_seconds: float) -> bool:
        """Whether it is one of those that it knows; it arrived at that time (`time.monotonic`)."""
        ...


class OscServer(asyncio.DatagramProtocol):
    """Answers on one UDP port. `port` 0 takes a free one; `.address` says which."""

    def __init__(
        self, engine: Engine, *, host: str = LOOPBACK, port: int = OSC_PORT, foreign: Sequence[ForeignOsc] = ()
    ) -> None:
        self._engine = engine
        self._wanted: Address = (host, port)
        self._foreign = foreign
        self._transport: asyncio.DatagramTransport | None = None
        self._subscribers = Subscribers(time.monotonic)
        self._backlog = Backlog()
        self._scheduled: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._generating = 0
        self._drain_is_due = False
        self._complaints = (0, 0)  # the second, and how many in it
        self._received = self._malformed = 0

    async def start(self) -> None:
        """Listen. Raises AddressTaken."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        host, port = self._wanted
        try:
            await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise address_taken(port, "--osc-port", holder_of_port(port)) from error
            raise cannot_listen("OSC", (host, port), "--osc-listen", error) from error
        self._unsubscribe = self._engine.subscribe(self._tell)

    async def close(self) -> None:
        """Stop listening, and give up what has not been done."""
        if self._transport is None:
            return
        self._unsubscribe()
        self._transport.close()
        self._transport = None
        self._backlog.clear()
        for handle in self._scheduled:
            handle.cancel()
        self._scheduled.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next round

    @property
    def address(self) -> Address:
        """Where it listens."""
        assert self._transport is not None, "not started"
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def status(self) -> dict[str, Any]:
        """For `status`: counts since the start."""
        return {
            "subscribers": len(self._subscribers),
            "received": self._received,
            "malformed": self._malformed,
            "dropped": self._backlog.dropped,
            "waiting": len(self._backlog),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    # -- in -----------------------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        source = (addr[0], addr[1])
        self._received += 1
        try:
            packet = parse_packet(data)
        except MalformedPacket as error:
            self._malformed += 1
            self._complain(source, error)
            return
        self._subscribers.heard(source)
        at_seconds = time.monotonic()
        if isinstance(packet, Message):
            self._wait_for([Job(packet, source, at_seconds)])
        else:
            self._open(packet, source, None)

    def error_received(self, exc: Exception) -> None:
        """A surface that we sent to does not listen any more: it is forgotten in time."""

    def _open(self, bundle: Bundle, source: Address, outer_time: float | None) -> None:
        """Do a bundle now or at its time. A bundle inside it is part of it, unless it is for later."""
        ahead = 0.0 if bundle.time is None else max(bundle.time, outer_time or bundle.time) - time.time()
        if ahead > MAX_AHEAD_SECONDS:
            self._refuse(
                source, BadValue(f"A bundle is for {ahead:.0f} s from now. Use up to {MAX_AHEAD_SECONDS:g} s.")
            )
        elif ahead > 0 and len(self._scheduled) >= MAX_SCHEDULED:
            self._refuse(source, EngineError(f"{MAX_SCHEDULED} bundles wait for their time already. Send fewer."))
        elif ahead > 0:

            def due() -> None:
                self._scheduled.discard(handle)
                self._do_together(bundle, source)

            handle = self._loop.call_later(ahead, due)
            self._scheduled.add(handle)
        else:
            self._do_together(bundle, source)

    def _do_together(self, bundle: Bundle, source: Address) -> None:
        jobs: list[Job] = []
        self._gather(bundle, source, jobs, bundle.time)
        if jobs:
            self._wait_for(jobs)

    def _gather(self, bundle: Bundle, source: Address, jobs: list[Job], due_time: float | None) -> None:
        at_seconds = time.monotonic()
        for element in bundle.elements:
            if isinstance(element, Message):
                jobs.append(Job(element, source, at_seconds))
            elif element.time is None or element.time <= max(time.time(), due_time or 0.0):
                self._gather(element, source, jobs, due_time)
            else:
                self._open(element, source, due_time)

    # -- doing --------------------------------------------------------------------------------------------------------

    def _wait_for(self, jobs: list[Job]) -> None:
        if self._backlog.add(jobs):
            self._drain_soon()

    def _drain_soon(self) -> None:
        if not self._drain_is_due and self._transport is not None:
            self._drain_is_due = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_is_due = False
        done = 0
        while done < _JOBS_AT_ONCE and len(self._tasks) - self._generating < MAX_RUNNING:
            jobs = self._backlog.next()
            if not jobs:
                break
            done += len(jobs)
            for job in jobs:
                try:
                    self._do(job)
                except Exception:
                    _log.exception("An OSC message could not be done.")  # and what waits behind it goes on
        if self._backlog and len(self._tasks) - self._generating < MAX_RUNNING:
            self._drain_soon()
        for source, count in self._backlog.dropped_lately():
            self._refuse(source, EngineError(f"{count} messages came faster than they could be done. Send fewer."))

    def _do(self, job: Job) -> None:
        """Start what a message means. Commands that do not generate are done in the order in which they start."""
        message, source = job.message, job.source
        if not message.address.lower().startswith(f"{OSC_ROOT}/"):
            known = [foreign.received(message, job.at_seconds) for foreign in self._foreign]
            if not any(known):
                self._complain(source, BadValue(f"OSC addresses begin with {OSC_ROOT}/."))
            return
        if message.address.lower() in _OWN_REPLIES:
            return  # another engine's: answering it could go on for ever
        try:
            if message.address.lower() == _SUBSCRIBE:
                self._subscribe(source, message)
                return
            routes = routes_of(message.address)
        except ResonantGenError as error:
            self._refuse(source, error)
            return
        for route in routes:
            try:
                self._start(route, message, source)
            except ResonantGenError as error:
                self._refuse(source, error)

    def _start(self, route: Route, message: Message, source: Address) -> None:
        arguments = list(message.arguments)
        if route.command.trigger and len(arguments) == 1 and isinstance(arguments[0], (bool, int, float)):
            if not arguments[0]:
                return  # a button's release
            arguments = []
        call = parse_positional(route.command, route.given, arguments)
        if len(self._tasks) - self._generating >= MAX_TOGETHER:
            raise EngineError(f"{MAX_TOGETHER} commands are being done already. Send fewer at a time.")
        if not route.command.generates:
            self._run(route, call, source)
        elif self._backlog.take_turn(route, call, source):
            if self._generating >= MAX_RUNNING:
                self._backlog.end_turn(route)
                raise EngineError(f"{MAX_RUNNING} commands wait to be generated already. Send fewer, or cancel.")
            self._run(route, call, source)

    def _run(self, route: Route, call: Call, source: Address) -> None:
        self._generating += route.command.generates
        task = self._loop.create_task(self._execute(route, call, source))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, route))

    def _ended(self, task: asyncio.Task[None], route: Route) -> None:
        self._tasks.discard(task)
        self._generating -= route.command.generates
        if route.command.generates:
            following = self._backlog.end_turn(route)
            if following is not None and self._transport is not None:
                self._run(route, *following)
        if self._backlog:
            self._drain_soon()

    async def _execute(self, route: Route, call: Call, source: Address) -> None:
        try:
            result = await self._engine.execute(call, f"osc {source[0]}:{source[1]}")
        except ResonantGenError as error:
            self._refuse(source, error)
        except Exception:
            _log.exception("OSC command %s failed", call.command)
            self._send(self._subscribers.replies_to(source), [error_message("EngineError", f"{call.command} failed.")])
        else:
            replies = []
            if route.key and route.key in self._engine.state:
                replies.append(value_message(route.address, route.key, self._engine.state[route.key]))
            if not route.key or route.command.result:
                replies.append(done_message(route.command, result))
            self._send(self._subscribers.replies_to(source), replies)

    def _subscribe(self, source: Address, message: Message) -> None:
        destination = self._subscribers.change(source, message.arguments)
        if destination is not None:
            self._send([destination], state_messages(self._engine.state))

    # -- out ----------------------------------------------------------------------------------------------------------

    def _tell(self, notice: Notice) -> None:
        if len(self._subscribers) and (messages := notice_messages(notice)):
            self._send(self._subscribers.destinations(), messages)

    def _refuse(self, source: Address, error: ResonantGenError) -> None:
        self._send(self._subscribers.replies_to(source), [error_message(error.code, str(error))])

    def _complain(self, source: Address, error: ResonantGenError) -> None:
        """Refuse what may be noise, or another program's replies: a few a second, so that no two can shout for ever."""
        second, count = int(self._loop.time()), 0
        if self._complaints[0] == second:
            count = self._complaints[1]
        self._complaints = (second, count + 1)
        if count < MAX_COMPLAINTS:
            self._refuse(source, error)

    def _send(self, destinations: Sequence[Address], messages: Sequence[bytes]) -> None:
        for datagram in encode_together(messages):
            for destination in destinations:
                if self._transport is None or self._transport.get_write_buffer_size():  # type: ignore[attr-defined]
                    return
                self._transport.sendto(datagram, destination)
