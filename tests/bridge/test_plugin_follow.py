"""What of a host's place and tempo reaches the session: changes, and not its repetitions or a thread's lateness."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bridge_fakes import FakeEngine
from hosts_fakes import done, settled
from resonantgen_bridge.calls import Call
from resonantgen_bridge.plugin_controls import HostFollower
from resonantgen_bridge.plugin_instance import Instance
from resonantgen_bridge.plugin_wire import HostFlag, Message, Status

RATE = 48_000


def ignore(message: Message) -> None:
    """For what instances are told."""


def run(scenario: Callable[[FakeEngine, HostFollower], Awaitable[None]]) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        follower = HostFollower(engine)
        follower.start()
        await scenario(engine, follower)
        await follower.close()

    asyncio.run(whole())


def status(frame: int, block: int = 512, tempo: float = 120.0) -> Status:
    timed = HostFlag.TIMED | HostFlag.PLAYING
    return Status(1, frame, float(RATE), tempo, frame * tempo / 60 / RATE, 4, 4, timed, 1, 0, 0, 0, block)


def heard(follower: HostFollower, instance: Instance, told: Status, now: float) -> None:
    instance.hear(told, now)
    follower.hear(instance, now)


def test_a_host_that_plays_on_is_aligned_with_once_however_large_its_blocks() -> None:
    """Each STATUS comes up to 20 ms after its block, and again until the next block."""

    async def scenario(engine: FakeEngine, follower: HostFollower) -> None:
        rng = random.Random(1)
        await engine.execute(Call("play", {"on": True}), "test")
        for block in (16, 512, 8192):
            instance = Instance(1, ignore)
            follower.lead(instance)
            engine.aligned.clear()
            for i in range(500):
                for late in (rng.uniform(0, 0.02), 0.02 + rng.uniform(0, 0.1)):
                    heard(follower, instance, status((i + 1) * block, block), 100 + i * block / RATE + late)
            assert len(engine.aligned) == 1, block

    run(scenario)


def test_a_jump_and_a_start_are_followed() -> None:
    async def scenario(engine: FakeEngine, follower: HostFollower) -> None:
        instance = Instance(1, ignore)
        heard(follower, instance, status(0), 9.99)
        await settled()
        assert engine.state["play"] and engine.aligned == []  # it could not be aligned before it plays
        heard(follower, instance, status(512), 10.0)
        heard(follower, instance, status(96_000), 10.01)
        assert [quarters for quarters, _ in engine.aligned] == [512 / 24_000, 4.0]
        standing = replace(status(96_000), flags=HostFlag.TIMED)
        heard(follower, instance, standing, 10.02)
        await settled()
        assert not engine.state["play"]
        heard(follower, instance, status(96_000), 50.0)
        await settled()
        heard(follower, instance, status(96_000), 50.02)
        assert engine.aligned[-1] == (4.0, 50.02)  # though it is where it was last
        assert [call for call in done(engine) if call[0] == "play"] == [("play", on) for on in (True, False, True)]

    run(scenario)


def test_one_host_leads_and_the_next_one_follows_it() -> None:
    async def scenario(engine: FakeEngine, follower: HostFollower) -> None:
        first, second = Instance(1, ignore), Instance(2, ignore)
        heard(follower, first, status(0, tempo=100.0), 1.0)
        heard(follower, second, status(0, tempo=90.0), 1.0)
        await settled()
        assert ("tempo", 100.0) in done(engine) and ("tempo", 90.0) not in done(engine)
        follower.lead(second)
        heard(follower, second, status(512, tempo=90.0), 1.1)
        await asyncio.sleep(0.3)  # a step of tempo
        assert done(engine)[-1] == ("tempo", 90.0)

    run(scenario)
