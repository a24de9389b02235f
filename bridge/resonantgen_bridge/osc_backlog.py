"""What has arrived by OSC and not been done: bounded, and with only the latest of values that move continuously.

All of it belongs to the server's loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from resonantgen_bridge.calls import Call
from resonantgen_bridge.osc_addresses import Route
from resonantgen_bridge.osc_packets import Message
from resonantgen_bridge.osc_subscribers import Address

MAX_WAITING = 2048  # messages
CONTINUOUS = frozenset({"gain", "pan", "tempo", "adjust"})  # commands that knobs and faders send in streams
_LAST_PARTS = frozenset({"gain", "pan", "tempo"})  # of their addresses; an adjust waits for its turn instead
_MAX_SENDERS = 64  # whose dropped messages are counted apart


@dataclass(frozen=True, slots=True)
class Job:
    """A message to be done, who sent it, and when it arrived (`time.monotonic`)."""

    message: Message
    source: Address
    at_seconds: float


class Backlog:
    """First in, first out. Messages of a bundle stay together.

    A newer value takes the place of one that waits, at the end of the queue: it must not overtake what came between
    them, such as a lock.
    """

    def __init__(self) -> None:
        self.dropped = 0  # since the start
        self._queue: OrderedDict[int, list[Job]] = OrderedDict()  # by number of arrival
        self._arrived = 0
        self._waiting = 0
        self._latest: dict[Hashable, int] = {}  # of each stream, the number of the value that waits
        self._dropped_lately: dict[Address, int] = {}
        self._turns: dict[Hashable, tuple[Call, Address] | None] = {}

    def __len__(self) -> int:
        return self._waiting

    def add(self, jobs: list[Job]) -> bool:
        """Put these at the end; False where there is no room."""
        key = _stream(jobs)
        if key in self._latest:
            del self._queue[self._latest.pop(key)]
            self._waiting -= 1
        if self._waiting + len(jobs) > MAX_WAITING:
            self._drop(jobs)
            return False
        self._arrived += 1
        self._queue[self._arrived] = jobs
        self._waiting += len(jobs)
        if key is not None:
            self._latest[key] = self._arrived
        return True

    def next(self) -> list[Job]:
        """What is to be done together next; nothing where nothing waits."""
        if not self._queue:
            return []
        _, jobs = self._queue.popitem(last=False)
        self._waiting -= len(jobs)
        self._latest.pop(_stream(jobs), None)
        return jobs

    def clear(self) -> None:
        self._queue.clear()
        self._latest.clear()
        self._turns.clear()
        self._waiting = 0

    def dropped_lately(self) -> list[tuple[Address, int]]:
        """Once there is room again: whose messages were dropped, and how many. Empty otherwise."""
        if not self._dropped_lately or self._waiting > MAX_WAITING // 2:
            return []
        counts = list(self._dropped_lately.items())
        self._dropped_lately.clear()
        return counts

    def _drop(self, jobs: list[Job]) -> None:
        self.dropped += len(jobs)
        source = jobs[0].source
        if source in self._dropped_lately or len(self._dropped_lately) < _MAX_SENDERS:
            self._dropped_lately[source] = self._dropped_lately.get(source, 0) + len(jobs)

    # -- knobs that generate ------------------------------------------------------------------------------------------

    def take_turn(self, route: Route, call: Call, source: Address) -> bool:
        """Whether a generating command may start. A knob's next value waits for the one that is being made, if any."""
        if route.command.name not in CONTINUOUS:
            return True
        if route.target in self._turns:
            self._turns[route.target] = (call, source)
            return False
        self._turns[route.target] = None
        return True

    def end_turn(self, route: Route) -> tuple[Call, Address] | None:
        """That command has ended: the value that waits for it, which is to start now."""
        if route.command.name not in CONTINUOUS:
            return None
        following = self._turns.pop(route.target, None)
        if following is not None:
            self._turns[route.target] = None
        return following


def _stream(jobs: list[Job]) -> Hashable:
    """What makes one message take the place of another: the same address from the same sender; None: nothing does."""
    if len(jobs) != 1:
        return None
    address = jobs[0].message.address.lower()
    return (address, jobs[0].source) if address.rpartition("/")[2] in _LAST_PARTS else None
