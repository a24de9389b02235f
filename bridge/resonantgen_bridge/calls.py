"""What passes between a transport (ZeroMQ, OSC, MIDI, HTTP) and the engine: calls in, results and notices out.

Transports depend on `Engine` here, which is a protocol, so that their tests can do without the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = Any  # what msgpack and JSON know: None, bool, int, float, str, lists and dicts of them


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its arguments, checked by `parsing.parse_call`: every field is there, in its own type."""

    command: str
    arguments: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Notice:
    """An event of `protocol.EVENTS` that has happened."""

    event: str
    fields: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))


Listener: TypeAlias = Callable[[Notice], None]


def ignore(notice: Notice) -> None:
    """For those who do not listen."""


class Engine(Protocol):
    """The engine as transports see it. All of it belongs to the asyncio loop that it runs in."""

    @property
    def state(self) -> Mapping[str, Value]:
        """The value of every property, by key, as it is now."""
        ...

    async def execute(self, call: Call, client: str, on_progress: Listener = ignore) -> dict[str, Value]:
        """Do it, and give what `Command.result` lists. `client` names who asks, for logs: "osc 127.0.0.1:50312".

        Commands that do not generate are done before the first await inside. Cancelling the task that waits here
        cancels the command. Raises ResonantGenError.
        """
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Be told each notice from now on, in order, in the loop's thread. Gives what ends it.

        Listeners never raise.
        """
        ...

    def align(self, quarters: float, at_seconds: float) -> None:
        """Follow a clock outside: its song position is so many quarter notes at that time (`time.monotonic`).

        The loop's position is that, modulo its length. Small differences are left alone, larger ones are jumped over
        without a click. Tempo, play and stop are commands.
        """
        ...

    def name_daw_track(self, daw_track: int, name: str) -> None:
        """Learn what a track of the DAW is called; its number counts from 1."""
        ...

    def role_of_daw_track(self, daw_track: int) -> str | None:
        """Which of our tracks it is: as `map` says, otherwise by its name; None: none of ours."""
        ...
