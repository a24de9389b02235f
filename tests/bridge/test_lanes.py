"""Lanes: commands of what waits for no answer, one at a time each, whatever becomes of them."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from bridge_fakes import FakeEngine
from resonantgen.errors import BadValue, ResonantGenError
from resonantgen_bridge.calls import Call
from resonantgen_bridge.lanes import Lanes
from resonantgen_bridge.parsing import parse_call


def play(on: bool) -> Call:
    return Call("play", {"on": on})


def test_a_lane_goes_on_after_an_error_that_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        engine, errors = FakeEngine(), list[ResonantGenError]()
        lanes = Lanes(engine, "test", errors.append)
        engine.answers["stop"] = RuntimeError("of ours")
        lanes.send("lane", lambda: Call("stop"), latest=False)
        lanes.send("lane", lambda: play(True), latest=False)
        while lanes._waiting:
            await asyncio.sleep(0)
        await lanes.close()
        assert engine.calls == [Call("stop"), play(True)]
        assert errors == []

    asyncio.run(run())
    assert "of ours" in caplog.text


def test_who_is_named_for_a_command_is_told_that_it_was_refused() -> None:
    async def run() -> None:
        engine, others, own = FakeEngine(), list[ResonantGenError](), list[ResonantGenError]()
        lanes = Lanes(engine, "test", others.append)
        engine.answers["play"] = BadValue("no")
        lanes.send("lane", lambda: play(True), latest=False, refused=own.append)
        lanes.send("lane", partial(parse_call, "tempo", {"tempo": 1e9}), latest=False)
        while lanes._waiting:
            await asyncio.sleep(0)
        await lanes.close()
        assert [str(error) for error in own] == ["no"]
        assert len(others) == 1 and "tempo" in str(others[0])

    asyncio.run(run())
