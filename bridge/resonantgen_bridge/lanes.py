"""Commands on behalf of what does not wait for answers (MIDI, Link, a DAW): in order, with floods held back.

Everything here belongs to the engine's asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

from resonantgen.errors import ResonantGenError
from resonantgen_bridge.calls import Call, Engine

MAX_WAITING: Final = 64  # calls of one lane; what comes on top of that is dropped

Report: TypeAlias = Callable[[ResonantGenError], None]  # told of what went wrong; never raises
MakeCall: TypeAlias = Callable[[], "Call | None"]  # asked when the turn has come; None: there is nothing to do

_log = logging.getLogger(__name__)


class Lanes:
    """One lane for each control that a person moves; in a lane, one call runs at a time."""

    def __init__(self, engine: Engine, client: str, report: Report) -> None:
        """`client` names who asks, for the engine's log."""
        self._engine = engine
        self._client = client
        self._report = report
        self._waiting: dict[Hashable, deque[tuple[MakeCall, Report]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, lane: Hashable, make: MakeCall, *, latest: bool, refused: Report | None = None) -> None:
        """Execute it after what runs in that lane. `latest`: in place of what waits there.

        `refused` is told of what went wrong with it, in place of who is told otherwise.
        """
        sent = (make, refused or self._report)
        waiting = self._waiting.get(lane)
        if waiting is None:
            self._waiting[lane] = deque([sent])
            task = asyncio.get_running_loop().create_task(self._run(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if latest:
            waiting.clear()
        if len(waiting) < MAX_WAITING:
            waiting.append(sent)

    async def close(self) -> None:
        """Give up what runs and waits."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.clear()

    async def _run(self, lane: Hashable) -> None:
        waiting = self._waiting[lane]
        try:
            while waiting:
                make, report = waiting.popleft()
                try:
                    call = make()
                    if call is not None:
                        await self._engine.execute(call, self._client)
                except ResonantGenError as error:
                    report(error)
                except Exception:
                    _log.exception("A command of %s failed", self._client)
        finally:
            self._waiting.pop(lane, None)


def seek_call(quarters: float, meter: str, bars: int) -> Call:
    """Go to a song position, in quarter notes; the loop goes around under it."""
    numerator, _, denominator = meter.partition("/")
    units = quarters * int(denominator) / 4  # of the meter
    bar, unit = divmod(units % (max(bars, 1) * int(numerator)), int(numerator))
    return Call("seek", {"bar": int(bar) + 1, "beat": unit + 1})
