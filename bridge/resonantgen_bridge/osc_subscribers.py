"""Who is told the engine's values and events by OSC. All of it belongs to the server's loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from resonantgen.errors import BadValue, EngineError
from resonantgen_bridge.osc_packets import Argument
from resonantgen_bridge.parsing import parse_field
from resonantgen_bridge.schema import Field, Kind

Address: TypeAlias = tuple[str, int]

MAX_SUBSCRIBERS = 32
KEPT_SECONDS = 3600.0  # without a message from it

_ON = Field("on", Kind.BOOL, "0 ends it")
_PORT = Field("port", Kind.INT, "where it listens", low=1, high=65535)


class TooManySubscribers(EngineError):
    """As many surfaces as can be served are told of changes already."""


@dataclass(slots=True)
class _Subscriber:
    source: Address  # where it sends from
    own_port: bool  # whether it named the port where it listens
    until: float  # in the loop's time


class Subscribers:
    """Where each surface listens. UDP does not tell that one has gone, so silent ones are forgotten after an hour."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._by_destination: dict[Address, _Subscriber] = {}

    def __len__(self) -> int:
        return len(self._by_destination)

    def change(self, source: Address, arguments: Sequence[Argument]) -> Address | None:
        """Do what a subscribe message says. Gives who is to be sent everything, if anyone.

        Raises BadValue, TooManySubscribers.
        """
        if not 1 <= len(arguments) <= 2:
            raise BadValue("subscribe takes 1 or 0, and the port where you listen if you do not listen where you send.")
        on = parse_field(_ON, arguments[0])
        destination = (source[0], parse_field(_PORT, arguments[1])) if len(arguments) == 2 else source
        if not on:
            self._end(source, destination)
            return None
        self._forget_silent()
        if destination not in self._by_destination and len(self._by_destination) >= MAX_SUBSCRIBERS:
            raise TooManySubscribers(
                f"{MAX_SUBSCRIBERS} surfaces have subscribed. Send /rg/subscribe 0 from one of them."
            )
        self._by_destination[destination] = _Subscriber(source, len(arguments) == 2, self._time() + KEPT_SECONDS)
        return destination

    def heard(self, source: Address) -> None:
        """A message came from there: it still exists."""
        for destination, subscriber in self._by_destination.items():
            if source in (subscriber.source, destination):
                subscriber.until = self._time() + KEPT_SECONDS

    def destinations(self) -> list[Address]:
        """Who is to be told of changes."""
        self._forget_silent()
        return list(self._by_destination)

    def replies_to(self, source: Address) -> list[Address]:
        """Where one who sends from there listens: where it said, or where it sends from.

        A sender that has not subscribed may be a surface that sends from a new port each time: its answers go to the
        ports that were named on its machine, too.
        """
        own = [at for at, who in self._by_destination.items() if source in (who.source, at)]
        if own:
            return own
        return [source, *(at for at, who in self._by_destination.items() if who.own_port and at[0] == source[0])]

    def _end(self, source: Address, destination: Address) -> None:
        for at, subscriber in list(self._by_destination.items()):
            if at == destination or (destination == source == subscriber.source):
                del self._by_destination[at]

    def _forget_silent(self) -> None:
        now = self._time()
        for at, subscriber in list(self._by_destination.items()):
            if subscriber.until < now:
                del self._by_destination[at]
