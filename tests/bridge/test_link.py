"""Link, with a fake session; the real one is met in tests/end_to_end/test_link.py."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bridge_fakes import FakeEngine
from resonantgen.errors import BadValue, DeviceError, ResonantGenError
from resonantgen_bridge import link
from resonantgen_bridge.calls import Call
from resonantgen_bridge.link import LinkSync


class FakeLink:
    """A session whose other peers are the test."""

    def __init__(self, tempo: float) -> None:
        self.tempo, self.playing, self.enabled, self.beat, self.num_peers = tempo, False, False, 0.0, 1
        self.quantum = 0.0
        self.start_stop_sync_enabled = False
        self.tell_tempo: Callable[[float], None] = print
        self.tell_playing: Callable[[bool], None] = print

    def set_tempo_callback(self, callback: Callable[[float], None]) -> None:
        self.tell_tempo = callback

    def set_start_stop_callback(self, callback: Callable[[bool], None]) -> None:
        self.tell_playing = callback


class Rig:
    def __init__(self, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = FakeEngine(state)
        self.problems: list[ResonantGenError] = []
        monkeypatch.setattr(link, "_new_link", FakeLink)
        self.sync = LinkSync(self.engine, self.problems.append)
        self.session: FakeLink = self.sync._link


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def play(monkeypatch: pytest.MonkeyPatch, case: Callable[[Rig], Awaitable[None]], **state: Any) -> None:
    async def main() -> None:
        rig = Rig(state, monkeypatch)
        await case(rig)
        await rig.sync.close()
        assert not rig.session.enabled and rig.engine.listeners == 0

    asyncio.run(main())


def test_it_joins_with_the_engines_tempo_bar_and_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        session = rig.session
        assert (session.tempo, session.quantum, session.playing, session.enabled) == (97.0, 3.5, True, True)
        assert session.start_stop_sync_enabled and rig.sync.peers == 1

    play(monkeypatch, case, tempo=97.0, meter="7/8", play=True)


def test_tempo_goes_both_ways_and_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        rig.session.tempo = 140.00014
        rig.session.tell_tempo(140.00014)
        await settle()
        assert rig.engine.calls == [Call("tempo", {"tempo": 140.0})]
        assert rig.session.tempo == 140.00014  # the engine's echo changes nothing

        rig.engine.change({"tempo": 90.0})
        assert rig.session.tempo == 90.0
        rig.session.tell_tempo(90.0)  # as Link does for a tempo that we set
        await settle()
        assert len(rig.engine.calls) == 1

    play(monkeypatch, case)


def test_a_tempo_that_cannot_be_played_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        rig.session.tell_tempo(999.0)
        await settle()
        assert [type(problem) for problem in rig.problems] == [BadValue] and rig.engine.calls == []

    play(monkeypatch, case)


def test_start_and_stop_go_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        for on in (True, False):
            rig.session.playing = on
            rig.session.tell_playing(on)
            await settle()
        assert rig.engine.calls == [Call("play", {"on": True}), Call("play", {"on": False})]
        rig.engine.change({"play": True})
        assert rig.session.playing
        rig.session.tell_playing(True)
        await settle()
        assert len(rig.engine.calls) == 2

    play(monkeypatch, case)


@pytest.mark.parametrize(
    ("meter", "bar", "beat", "session", "quarters"),
    [
        ("4/4", 3, 1, 101.25, 9.25),  # the session is a quarter of a beat ahead
        ("4/4", 3, 1, 99.75, 7.75),
        ("4/4", 1, 1, 15.9, -0.1),  # just before the loop's beginning; the engine goes around
        ("4/4", 2, 4, 7.1, 7.1),
        ("6/8", 2, 2, 4.6, 4.6),  # the second felt beat of six eighths
        ("6/8", 2, 2, 307.6, 4.6),
    ],
)
def test_the_engine_is_moved_within_its_bar(
    monkeypatch: pytest.MonkeyPatch, meter: str, bar: int, beat: int, session: float, quarters: float
) -> None:
    async def case(rig: Rig) -> None:
        rig.session.beat = session
        before = time.monotonic()
        rig.engine.notify("beat", bar=bar, beat=beat)
        assert rig.engine.aligned == []  # not from inside the listener
        await settle()
        ((position, at_seconds),) = rig.engine.aligned
        assert position == pytest.approx(quarters)
        assert before <= at_seconds <= time.monotonic()

    play(monkeypatch, case, meter=meter, play=True)


def test_alone_or_stopped_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        rig.session.num_peers = 0
        rig.engine.notify("beat", bar=1, beat=1)
        await settle()
        rig.session.num_peers = 1
        rig.engine.state["play"] = False
        rig.engine.notify("beat", bar=1, beat=1)
        await settle()
        assert rig.engine.aligned == []

    play(monkeypatch, case, play=True)


def test_a_new_meter_is_a_new_quantum(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(rig: Rig) -> None:
        rig.engine.change({"meter": "3/4"})
        assert rig.session.quantum == 3

    play(monkeypatch, case)


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aalink", None)

    async def main() -> None:
        with pytest.raises(DeviceError, match=r"pip install 'resonantgen\[link\]'"):
            LinkSync(FakeEngine(), print)

    asyncio.run(main())


def test_aalink_is_not_imported_until_it_is_asked_for() -> None:
    assert "aalink" not in link.__dict__
