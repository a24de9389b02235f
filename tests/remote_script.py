"""ResonantGen's Remote Script, run in a fake Live; and an engine's end of it that is only a socket."""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pythonosc.osc_message_builder import build_msg
from pythonosc.osc_packet import OscPacket

from fake_live import Control, World

FOLDER = Path(__file__).parents[1] / "plugin_stub" / "ableton"
PACKAGE = FOLDER / "ResonantGen"
HANG_SECONDS = 20.0


@contextmanager
def loaded(world: World) -> Iterator[ModuleType]:
    """The package, imported as Live does, with `Live` as it is in this world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "Live", world.module())
        patch.syspath_prepend(str(FOLDER))
        try:
            yield importlib.import_module("ResonantGen")
        finally:
            for name in [name for name in sys.modules if name.split(".")[0] == "ResonantGen"]:
                del sys.modules[name]


@contextmanager
def running(world: World, port: int, *, hello: float = 0.02, gone: float = 60.0) -> Iterator[Any]:
    """The script, chosen as a control surface; at the end it has done nothing that Live forbids, and left nothing."""
    with loaded(world) as package, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ResonantGen.link.ENGINE_PORT", port)
        patch.setattr("ResonantGen.link.HELLO_SECONDS", hello)
        patch.setattr("ResonantGen.link.GONE_SECONDS", gone)
        script = package.create_instance(Control(world))
        try:
            yield script
        finally:
            script.disconnect()
    assert world.listeners == 0
    assert world.wrong == []


class EngineEnd:
    """A socket in the engine's place. `got` is what came, as (address, arguments...)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.script = 0  # its port

    def got(self) -> list[tuple[Any, ...]]:
        """What has come since, but hellos. A datagram on loopback is there once it is sent."""
        messages = []
        self._socket.setblocking(False)
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return [message for message in messages if message[0] != "/daw/hello"]
            messages += [(each.message.address, *each.message.params) for each in OscPacket(data).messages]

    def greeted(self) -> tuple[Any, ...]:
        """Wait for what comes first, which is a hello."""
        self._socket.settimeout(HANG_SECONDS)
        (each,) = OscPacket(self._socket.recv(65536)).messages
        assert each.message.address == "/daw/hello"
        self.script = each.message.params[2]
        return tuple(each.message.params)

    def send(self, address: str, *values: Any) -> None:
        self.send_raw(build_msg(address, list(values)).dgram)

    def send_raw(self, data: bytes) -> None:
        self._socket.sendto(data, ("127.0.0.1", self.script))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def connected(world: World, **options: Any) -> Iterator[tuple[Any, EngineEnd]]:
    """The script and an engine that has welcomed it; what it was told first has been read."""
    end = EngineEnd()
    try:
        with running(world, end.port, **options) as script:
            script.update_display()
            end.greeted()
            end.send("/daw/welcome", 1)
            script.update_display()
            end.got()
            world.changed.clear()
            yield script, end
    finally:
        end.close()
