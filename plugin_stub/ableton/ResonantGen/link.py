"""The UDP socket to the engine on this machine. Never waits; what cannot be sent is lost.

The engine is greeted every 2 s, and answers each greeting with a number of its own. A new number is an engine that
knows nothing of this Set yet; none for 7 s, and it has gone.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from .guard import Log
from .osc import decode, encode

if TYPE_CHECKING:
    from .osc import Argument, Message

HOST = "127.0.0.1"
ENGINE_PORT = 9010
PORT_FILE = "ResonantGen.txt"
HELLO_SECONDS = 2.0
GONE_SECONDS = 7.0
MAX_PACKETS = 64  # of one tick: Live draws in between
MAX_BYTES = 65536


def engine_port(log: Log) -> int:
    """9010, or the number in `ResonantGen.txt` beside the script's folder: what is in it is installed anew."""
    path = Path(__file__).resolve().parent.with_name(PORT_FILE)
    if not path.exists():
        return ENGINE_PORT
    try:
        port = int(path.read_text(encoding="utf-8"))
        if not 0 < port < 65536:
            raise ValueError
    except (OSError, ValueError):
        log.say(f"{path} has to hold a port's number; {ENGINE_PORT} is used.")
        return ENGINE_PORT
    return port


class Link:
    def __init__(self, log: Log, version: str) -> None:
        self._log = log
        self._version = version
        self._engine = (HOST, engine_port(log))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((HOST, 0))
        self._greeted: float | None = None  # when, on the clock of `monotonic`
        self._heard = 0.0
        self._number: int | None = None  # of the engine that is there

    @property
    def port(self) -> int:
        """Where answers arrive."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def connected(self) -> bool:
        return self._number is not None

    def greet(self) -> None:
        """Say hello when it is due, and notice that the engine has gone."""
        now = monotonic()
        if self.connected and now - self._heard > GONE_SECONDS:
            self._number = None
            self._log.say("the engine has gone.")
        if self._greeted is None or now - self._greeted >= HELLO_SECONDS:
            self._greeted = now
            self._send("/daw/hello", "live", self._version, self.port)

    def welcomed(self, number: int) -> bool:
        """The engine has answered; whether it is a new one, which has to be told everything."""
        self._heard = monotonic()
        new = number != self._number
        self._number = number
        if new:
            self._log.say(f"connected to the engine at port {self._engine[1]}.")
        return new

    def tell(self, address: str, *arguments: Argument) -> None:
        """Send a message, if the engine is there."""
        if self.connected:
            self._send(address, *arguments)

    def received(self) -> Iterator[Message]:
        """What has come since, in order."""
        for _ in range(MAX_PACKETS):
            try:
                packet, source = self._socket.recvfrom(MAX_BYTES)
            except BlockingIOError:
                return
            except OSError:  # Windows: an earlier message reached nobody
                continue
            if source[0] != HOST:
                continue
            try:
                message = decode(packet)
            except ValueError:
                self._log.once("what is no OSC message came, and was passed over.")
            else:
                yield message

    def close(self) -> None:
        self.tell("/daw/bye")
        self._socket.close()

    def _send(self, address: str, *arguments: Argument) -> None:
        try:
            self._socket.sendto(encode(address, *arguments), self._engine)
        except OSError:
            return  # nobody listens, or not yet
