"""The previews of the tracks that are being rendered: they run on until the wholes are there.

First one bar of each track is sent. Then each is made as long as the wholes are expected to take, and longer again
whenever half of it may have been played: by a thread beside those that render, in steps that are small at first, so
that the next bars never wait for those far away. What is sent is always the preview from its start.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

from resonantgen.music.notes import Role
from resonantgen.realtime.material import Frames
from resonantgen.realtime.pace import Runway


class Stream(Protocol):
    """What gives a preview bar by bar."""

    def next_bar(self) -> Frames: ...


Send: TypeAlias = Callable[[Role, Frames], None]


class Previews:
    """Belongs to one request. `begin`, `extend` and `watch` are for its thread; any may `end` a track."""

    def __init__(
        self, runway: Runway, send: Send, given_up: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Once it is `given_up`, no further bar is rendered."""
        self._runway = runway
        self._send = send
        self._given_up = given_up
        self._clock = clock
        self._streams: dict[Role, Stream] = {}
        self._bars: dict[Role, list[Frames]] = {}
        self._ended: set[Role] = set()
        self._sending = threading.Lock()  # so that nothing is sent of a track once it has ended
        self._all_ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, role: Role, stream: Stream) -> None:
        """A track's first bar."""
        self._streams[role], self._bars[role] = stream, [stream.next_bar()]
        self._send(role, self._bars[role][0])

    def await_wholes(self, expected_seconds: float) -> None:
        """Every track has begun, and rendering wholes can: it should take so long."""
        self._runway.begin(self._clock(), expected_seconds)
        self.extend()

    def extend(self) -> None:
        """Make previews as long as they should be by now."""
        while (reach := self._runway.next_reach(self._clock())) > self._runway.reach:
            for role in self._streams:
                self._extend_one(role, reach)
            self._runway.reach = reach

    @property
    def due_in_seconds(self) -> float:
        """When to `extend` again."""
        return max(self._runway.due_at - self._clock(), 0.0)

    def end(self, role: Role) -> None:
        """The whole track is about to be sent."""
        with self._sending:
            self._ended.add(role)
        if self._ended >= self._streams.keys():
            self._all_ended.set()

    # -- beside the rendering -----------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Extend in a thread whenever it is due, until every track has ended or `close`."""
        self._thread = threading.Thread(target=self._keep_extending, name="previews", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, at its next bar. Nothing is sent after this."""
        self._all_ended.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_extending(self) -> None:
        try:
            while not self._all_ended.wait(min(self.due_in_seconds, threading.TIMEOUT_MAX)):
                self.extend()
        except Exception:  # the wholes come all the same
            traceback.print_exc(file=sys.stderr)

    def _extend_one(self, role: Role, reach: int) -> None:
        bars = self._bars[role]
        while len(bars) < reach:
            if role in self._ended or self._all_ended.is_set() or self._given_up():
                return
            bars.append(self._streams[role].next_bar())
        with self._sending:
            if role not in self._ended:
                self._send(role, np.concatenate(bars))
