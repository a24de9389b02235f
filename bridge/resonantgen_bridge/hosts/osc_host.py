"""A DAW that is followed by its own OSC: the UDP port where its messages arrive, and how following begins and ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, cast

from resonantgen.errors import BadValue
from resonantgen.music.time import Meter
from resonantgen_bridge.addresses import cannot_listen
from resonantgen_bridge.calls import Engine, Notice
from resonantgen_bridge.hosts import Follower
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import Bundle, MalformedPacket, Message, encode_message, parse_packet
from resonantgen_bridge.osc_subscribers import Address

_log = logging.getLogger(__name__)


class OscHost:
    """What a DAW's own host is made from: it takes what arrives (`received`) and what the engine tells (`noticed`)."""

    def __init__(self, engine: Engine, name: str, listen: Address, arm: Arm) -> None:
        self._engine = engine
        self._name = name
        self._listen = listen
        self._follower = Follower(engine, name, arm)
        self._port = HostPort(self.received)
        self._connected = False  # whether the DAW is there
        self._timer: asyncio.TimerHandle | None = None  # until it is asked for again
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Listen. Raises AddressTaken."""
        await self._port.open(self._listen)
        self._follower.start()
        self._unsubscribe = self._engine.subscribe(self.noticed)

    async def close(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._follower.close()
        await self._port.close()

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._port.address

    def status(self) -> dict[str, Any]:
        return {"host": self._name, "connected": self._connected, "tracks": dict(self._follower.names)}

    def received(self, message: Message, at_seconds: float) -> bool:
        """A message that arrived at that time (`time.monotonic`). Whether it is one of the DAW's. Never raises."""
        raise NotImplementedError

    def noticed(self, notice: Notice) -> None:
        """What the engine tells."""

    def _quarters_at(self, bar: int, beats: float) -> float | None:
        """The song position so many beats (from 0) into a bar (from 1), in the session's meter; None: it has none."""
        try:
            meter = Meter.parse(str(self._engine.state["meter"]))
        except BadValue:
            return None
        return ((bar - 1) * meter.numerator + beats) * 4 / meter.denominator


class HostPort(asyncio.DatagramProtocol):
    """A UDP port where one DAW's messages arrive, and from which it is sent some. A bundle's time is not waited for."""

    def __init__(self, receive: Callable[[Message, float], object]) -> None:
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self, address: Address) -> None:
        """Listen there; port 0 takes a free one. Raises AddressTaken."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(lambda: self, local_addr=address)
        except OSError as error:
            raise cannot_listen("The DAW's OSC", address, "--osc-listen", error) from error

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)  # the socket is closed in the loop's next round

    @property
    def address(self) -> Address:
        assert self._transport is not None, "not open"
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def send(self, to: Address, address: str, types: str = "", values: tuple[int | float | str, ...] = ()) -> None:
        """Send a message to an address in numbers (a name would be looked up, which waits).

        What a full socket does not take is dropped.
        """
        if self._transport is not None and not self._transport.get_write_buffer_size():  # type: ignore[attr-defined]
            self._transport.sendto(encode_message(address, types, values), to)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        try:
            packet = parse_packet(data)
        except MalformedPacket as error:
            _log.debug("%s: %s", addr, error)
            return
        self._pass_on(packet, time.monotonic())

    def error_received(self, exc: Exception) -> None:
        """The DAW does not listen, or not yet."""

    def _pass_on(self, packet: Message | Bundle, at_seconds: float) -> None:
        if isinstance(packet, Message):
            self._receive(packet, at_seconds)
            return
        for element in packet.elements:
            self._pass_on(element, at_seconds)
