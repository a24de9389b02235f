"""An OSC peer for tests: a real UDP socket on the loop, with python-osc's own reading and writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pythonosc.osc_message_builder import build_msg
from pythonosc.osc_packet import OscPacket

from bridge_fakes import FakeEngine
from resonantgen_bridge.osc_server import OscServer

HANG_SECONDS = 20.0


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; a hang fails."""
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


class Peer(asyncio.DatagramProtocol):
    """What has come, in order, as (address, arguments...)."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, ...]] = []
        self.datagrams = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.datagrams += 1
        self.got.extend((message.message.address, *message.message.params) for message in OscPacket(data).messages)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, to: tuple[str, int], address: str, *values: Any) -> None:
        self.transport.sendto(build_msg(address, list(values)).dgram, to)

    def send_raw(self, to: tuple[str, int], data: bytes) -> None:
        self.transport.sendto(data, to)

    def of(self, address: str) -> list[tuple[Any, ...]]:
        """The arguments of each message that came at an address."""
        return [rest for at, *rest in ((m[0], *m[1:]) for m in self.got) if at == address]

    async def wait_for(self, address: str, count: int = 1) -> tuple[Any, ...]:
        await until(lambda: len(self.of(address)) >= count)
        return tuple(self.of(address)[count - 1])


@asynccontextmanager
async def peer(port: int = 0) -> AsyncIterator[Peer]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Peer, local_addr=("127.0.0.1", port)
    )
    try:
        yield protocol
    finally:
        transport.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(engine: FakeEngine, **options: Any) -> AsyncIterator[OscServer]:
    server = OscServer(engine, port=0, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()
