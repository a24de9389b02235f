"""An engine for tests of hosts: it knows the DAW's tracks by their names, as the real one does."""

from __future__ import annotations

import asyncio
from typing import Any

from bridge_fakes import FakeEngine
from resonantgen_bridge.track_names import role_of_name


class NamingEngine(FakeEngine):
    def role_of_daw_track(self, daw_track: int) -> str | None:
        role = role_of_name(self.names.get(daw_track, ""))
        return self.map.get(daw_track) or (None if role is None else role.value)


def done(engine: FakeEngine) -> list[tuple[Any, ...]]:
    """The commands that it was given, each with its arguments."""
    return [(call.command, *call.arguments.values()) for call in engine.calls]


async def settled() -> None:
    """Let the loop do what is due."""
    for _ in range(6):
        await asyncio.sleep(0.001)
