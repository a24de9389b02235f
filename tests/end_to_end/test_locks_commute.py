"""A thousand random commands by three clients on three transports: locks hold, and the log tells the whole story.

Commands come by ZeroMQ, OSC and MIDI, without waiting for each other. Locked takes are never touched, and the session
ends where the commands of the `applied` events lead, done one after the other to a project without an engine.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pythonosc.osc_message_builder import OscMessageBuilder

from engine.session.fakes import SHORT, FakeStudio, about, step, words
from live_fakes import Live, live, replay, standing
from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen_bridge.async_client import AsyncClient
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.midi_in import MidiIn
from resonantgen_bridge.midi_map import load_named_map
from resonantgen_bridge.osc_server import OscServer
from resonantgen_bridge.zmq_server import ZmqServer

SEED = 20261122
COMMANDS = 1000
MEANINGS = {
    "busier": words("busier", attributes=step(density=0.25)),
    "darker bass": about(Role.BASS, brightness=-0.25),
    "house": words("house", style="house"),
    "no melody": words("no melody", roles=(Role.MELODY,), removed_roles=frozenset({Role.MELODY})),
}
ROLES = [role.value for role in Role]


def test_locks_commute_with_everything_from_everywhere(tmp_path: Path) -> None:
    print("seed", SEED)

    async def run() -> tuple[dict[str, Any], list[Any]]:
        async with live(tmp_path / "live.rg", meanings=MEANINGS) as one:
            watch = LockWatch(one)
            zmq, osc = ZmqServer(one.engine, commands_port=0, events_port=0), OscServer(one.engine, port=0)
            midi = MidiIn(one.engine, load_named_map(), one.engine.complain)
            await zmq.start()
            await osc.start()
            try:
                await asyncio.gather(
                    by_zmq(zmq.address, zmq.events_address, random.Random(SEED)),
                    by_osc(osc.address, random.Random(SEED + 1)),
                    by_midi(midi, random.Random(SEED + 2)),
                )
                await settled(one)
            finally:
                await midi.close()
                await osc.close()
                await zmq.close()
            watch.look()
            assert watch.looks > 100
            return standing(one.session), one.applied

    after, applied = asyncio.run(run())
    commands = [command for command, _ in applied]
    assert {"lock", "regenerate", "adjust", "undo", "tempo"} <= set(commands)
    assert len(commands) > 100
    with Session.create(tmp_path / "replayed.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        replay(applied, session, MEANINGS)
        assert standing(session) == after


class LockWatch:
    """Looks at every locked track whenever anything is told: its take and its file must be those that were locked."""

    def __init__(self, one: Live) -> None:
        self._session = one.session
        self._held: dict[Role, tuple[str, bytes]] = {}
        self.looks = 0
        one.engine.subscribe(self._told)

    def _told(self, notice: Notice) -> None:
        if notice.event in ("applied", "changed", "take"):
            self.look()

    def look(self) -> None:
        session, self.looks = self._session, self.looks + 1
        self._held = {role: held for role, held in self._held.items() if role in session.locked}
        for role in session.locked:
            take = session.playing[role]
            held = self._held.setdefault(role, (take.id, session.wav(take)))
            assert held == (take.id, session.wav(take)), f"{role} changed while it was locked"


async def settled(one: Live) -> None:
    """Until nothing is under way and nothing more comes."""
    quiet = 0
    while quiet < 20:
        before = len(one.heard("changed"))
        await asyncio.sleep(0.05)
        quiet = 0 if one.engine.state["busy"] or len(one.heard("changed")) != before else quiet + 1


def random_commands(dice: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    makers: list[Callable[[], tuple[str, dict[str, Any]]]] = [
        *[lambda: ("lock", {"track": dice.choice(ROLES), "locked": dice.random() < 0.6})] * 8,
        *[lambda: ("regenerate", {"track": dice.choice(ROLES)})] * 4,
        lambda: ("regenerate", {}),
        lambda: ("regenerate", {"prompt": dice.choice([*MEANINGS])}),
        *[lambda: ("adjust", {"attribute": "density", "value": dice.uniform(-1, 1), "track": dice.choice(ROLES)})] * 2,
        lambda: ("generate", {"prompt": "house", "tracks": dice.sample(ROLES, 2)}),
        *[lambda: (dice.choice(["undo", "redo"]), {"track": dice.choice([*ROLES, None])})] * 3,
        *[lambda: (dice.choice(["undo", "redo"]), {})] * 2,
        lambda: ("tempo", {"tempo": dice.choice([380, 390.5, 400])}),
        lambda: ("key", {"key": dice.choice(["A minor", "E minor", "C major"])}),
        lambda: ("gain", {"track": dice.choice(ROLES), "gain": dice.uniform(-60, 6)}),
        lambda: ("cancel", {}),
        lambda: ("play", {"on": dice.random() < 0.5}),
    ]
    for _ in range(COMMANDS // 3 + 1):
        yield dice.choice(makers)()


async def by_zmq(address: str, events: str, dice: random.Random) -> None:
    """Some wait for their answer, some do not, some are given up."""
    tasks: set[asyncio.Task[object]] = set()
    async with AsyncClient(address, events=events, timeout=60) as client:

        async def call(name: str, arguments: dict[str, Any]) -> None:
            try:
                await client.call(name, **{k: v for k, v in arguments.items() if v is not None})
            except ResonantGenError:
                return  # locked, nothing to undo, given up: the point is what becomes of the session

        for name, arguments in random_commands(dice):
            task = asyncio.create_task(call(name, arguments))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            chance = dice.random()
            if chance < 0.3 or len(tasks) > 20:
                await asyncio.wait({task})
            elif chance < 0.35:
                await asyncio.sleep(0.002)
                task.cancel()
            else:
                await asyncio.sleep(dice.choice([0, 0.001, 0.005]))
        await asyncio.gather(*tasks, return_exceptions=True)


async def by_osc(address: tuple[str, int], dice: random.Random) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for name, arguments in random_commands(dice):
            sender.sendto(datagram(name, arguments), address)
            await asyncio.sleep(dice.choice([0, 0.002, 0.01]))


def datagram(name: str, arguments: dict[str, Any]) -> bytes:
    track = arguments.get("track")
    if name == "adjust":
        path, values = f"track/{track}/{arguments['attribute']}", [arguments["value"]]
    elif name == "generate":
        path, values = "prompt", [arguments["prompt"]]
    elif track is not None:
        rest = [value for key, value in arguments.items() if key != "track"]
        path, values = f"track/{track}/{name}", rest
    else:
        path, values = name, [value for value in arguments.values() if value is not None]
    builder = OscMessageBuilder(address=f"/rg/{path}")
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


async def by_midi(midi: MidiIn, dice: random.Random) -> None:
    """Every note and controller that there is; those of the map do something."""
    for _ in range(COMMANDS // 3 + 1):
        if dice.random() < 0.6:
            message = [0x90 | dice.choice([0, 9]), dice.randrange(128), 100]
        else:
            message = [0xB0, dice.randrange(128), dice.randrange(128)]
        midi.handle(message, 0.0)
        await asyncio.sleep(dice.choice([0, 0.001, 0.005]))
