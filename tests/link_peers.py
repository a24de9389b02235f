"""A Link session of two: ours, on a fake engine, and another program's. Run as a program inside a network of its own.

Prints one JSON document: what each side came to know. The phase is looked at and not judged: it depends on the machine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aalink

from bridge_fakes import FakeEngine
from resonantgen_bridge.link import LinkSync

TIMEOUT_SECONDS = 20.0


async def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(int(TIMEOUT_SECONDS / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(what)


async def main() -> None:
    engine, problems = FakeEngine({"tempo": 100.0}), []
    other = aalink.Link(120)
    other.start_stop_sync_enabled, other.quantum, other.enabled = True, 4, True
    await asyncio.sleep(1.5)  # of two sessions, the older one goes on; within half a second it is chance which that is
    sync = LinkSync(engine, problems.append)
    await until(lambda: sync.peers == 1 and other.num_peers == 1, "they meet")
    await until(lambda: abs(other.tempo - engine.state["tempo"]) < 0.02, "one tempo")
    shared = engine.state["tempo"]

    other.tempo = 140
    await until(lambda: engine.state["tempo"] == 140.0, "the other's tempo is the engine's")
    engine.change({"tempo": 97.3})
    await until(lambda: abs(other.tempo - 97.3) < 0.01, "the engine's tempo is the other's")

    other.playing = True
    await until(lambda: engine.state["play"], "the other starts the engine")
    engine.notify("beat", bar=2, beat=1)
    await until(lambda: bool(engine.aligned), "the engine is aligned")
    quarters, _ = engine.aligned[0]
    apart = (quarters - other.beat + 2) % 4 - 2
    engine.change({"play": False})
    await until(lambda: not other.playing, "the engine stops the other")
    engine.change({"play": True})
    await until(lambda: bool(other.playing), "the engine starts the other")
    other.playing = False
    await until(lambda: not engine.state["play"], "the other stops the engine")

    await sync.close()
    await until(lambda: other.num_peers == 0, "they part")
    other.enabled = False
    calls = [[call.command, dict(call.arguments)] for call in engine.calls if call.command != "tempo"]
    tempos = [call.arguments["tempo"] for call in engine.calls if call.command == "tempo"]
    print(
        json.dumps(
            {
                "shared": shared,
                "calls": calls,
                "tempos": tempos,
                "apart_beats": apart,
                "problems": list(map(str, problems)),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
