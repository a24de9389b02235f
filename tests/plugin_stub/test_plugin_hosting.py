"""What a host sees of the plugin, and what the engine hears of the host: parameters, state, notes, many instances."""

from __future__ import annotations

import math

import pytest

from engine_process import wait_for
from plugin_host import Block
from plugin_hosts import FORMATS, HostProcess, loaded, needs_plugin, song
from scripted_engine import LOCK, REFUSED, VERSION, WAIT, packet, scripted_engine

pytestmark = needs_plugin

RATE = 48_000
INPUTS = ["Regenerate", "Track", "Gain", "Lock", "Wait for engine"]
OUTPUTS = ["Connected", "Underruns"]


@pytest.mark.parametrize("kind", FORMATS)
def test_parameters_have_their_names_and_defaults(kind: str) -> None:
    with scripted_engine() as engine, loaded(kind, engine.address) as plugin:
        assert plugin.names() == INPUTS + (OUTPUTS if kind != "lv2" else [])  # JUCE hides outputs of LV2
        defaults = {name: plugin.get(name) for name in INPUTS}
        assert defaults == pytest.approx(
            {"Track": 1, "Gain": 0, "Lock": 0, "Regenerate": 0, "Wait for engine": 0}, abs=1e-5
        )


@pytest.mark.parametrize("kind", ["vst3", "clap"])
def test_it_shows_whether_it_is_connected(kind: str) -> None:
    with scripted_engine(accepts=False) as engine, loaded(kind, engine.address) as plugin:
        plugin.play(song([512] * 4, RATE))
        assert plugin.get("Connected") == 0
        engine.manners.accepts = True
        engine.connection().wait_for_more(1)
        plugin.play(song([512] * 4, RATE))
        assert plugin.get("Connected") == 1


def test_it_sounds_without_notes_so_hosts_must_not_put_it_to_sleep() -> None:
    with scripted_engine() as engine, loaded("vst3", engine.address) as plugin:
        assert plugin.tail_seconds() == math.inf


def test_parameters_that_come_without_frames_count() -> None:
    """As from a host that stands."""
    with scripted_engine() as engine, loaded("vst3", engine.address) as plugin:
        plugin.play(song([64], RATE))
        connection = engine.connection()
        for track in (16, 3):
            plugin.set(Track=track, Lock=track > 8)
            plugin.play([Block(64, 0, 0.0, 120.0, playing=False)])
            connection.wait_for_status(
                "them", lambda status, track=track: (status.track, bool(status.flags & LOCK)) == (track, track > 8)
            )


@pytest.mark.parametrize("kind", FORMATS)
def test_the_engine_hears_what_the_host_and_the_parameters_say(kind: str) -> None:
    with scripted_engine() as engine, loaded(kind, engine.address, 44_100) as plugin:
        plugin.set(Track=16, Lock=1, Wait_for_engine=1)
        plugin.play([Block(at * 256, 256, 0.5 + at * 256 * 99.5 / (60 * 44_100), 99.5, 7, 8) for at in range(4)])
        if kind == "lv2":  # minihost tells bars by frames there
            plugin.play(song([256] * 4, 44_100, tempo=99.5, meter=(7, 8)))
        connection = engine.connection()
        said = connection.wait_for_status("the last block's end", lambda status: status.frame_of(0) or status.block)
        connection.wait_for_more(2)
        said = connection.statuses[-1]
        assert (said.track, said.flags & (LOCK | WAIT)) == (16, LOCK | WAIT)
        assert (said.sample_rate, said.numerator, said.denominator, said.block) == (44_100, 7, 8, 256)
        assert said.tempo == pytest.approx(99.5) and said.playing
        expected = 1024 * 99.5 / (60 * 44_100) + (0.5 if kind != "lv2" else 0.0)
        assert said.quarters == pytest.approx(expected, abs=1e-3)
        plugin.play([block._replace(playing=False) for block in song([256] * 2, 44_100, start=1024)])
        connection.wait_for_status("a stop", lambda status: not status.playing)


@pytest.mark.parametrize("kind", FORMATS)
def test_regenerate_is_a_press_and_lock_a_state(kind: str) -> None:
    with scripted_engine() as engine, loaded(kind, engine.address) as plugin:
        plugin.play(song([512] * 4, RATE))
        connection = engine.connection()
        for pressed in range(3):
            plugin.set(Regenerate=1)
            plugin.play(song([512] * 2, RATE))
            connection.wait_for_status("a press", lambda status, n=pressed + 1: status.regenerations == n)  # type: ignore[misc]
            plugin.set(Regenerate=0)
            plugin.play(song([512] * 2, RATE))
        connection.wait_for_more(2)
        assert connection.statuses[-1].regenerations == 3
        for lock in (LOCK, 0, LOCK):
            plugin.set(Lock=lock / LOCK)
            plugin.play(song([512] * 2, RATE))
            connection.wait_for_status("lock", lambda status, lock=lock: status.flags & LOCK == lock)  # type: ignore[misc]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_saved_state_keeps_everything_and_presses_nothing(kind: str) -> None:
    with scripted_engine() as engine, HostProcess(engine.address) as host:
        saved = host.load(kind)
        saved.set(Track=11, Gain=-7.5, Lock=1, Wait_for_engine=1, Regenerate=1)
        saved.play(song([512] * 4, RATE))
        engine.connection()
        state = saved.save()
        saved.close()
        plugin = host.load(kind)
        plugin.load(state)
        values = {name: plugin.get(name) for name in ("Track", "Gain", "Lock", "Wait for engine")}
        assert values == pytest.approx({"Track": 11, "Gain": -7.5, "Lock": 1, "Wait for engine": 1}, abs=1e-4)
        plugin.play(song([512] * 4, RATE))
        said = engine.connection(1)
        said.wait_for_more(3)
        status = said.statuses[-1]
        assert (status.track, status.flags & (LOCK | WAIT), status.regenerations) == (11, LOCK | WAIT, 0)
        plugin.load(state)  # as a host does that goes back to it
        plugin.play(song([512] * 4, RATE))
        said.wait_for_more(3)
        plugin.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_notes_are_sent_while_the_host_plays_and_only_then(kind: str) -> None:
    probe, wanted = (0, 0x90, 60, 100), (10, 0x91, 61, 99)
    with scripted_engine() as engine, loaded(kind, engine.address) as plugin:
        still = Block(0, 512, 0.0, playing=False, notes=(probe,))
        plugin.play([still] * 3)
        connection = engine.connection()
        connection.wait_for_more(3)
        plugin.play(song([512] * 2, RATE, start=512))
        plugin.play([song([512], RATE, start=1536)[0]._replace(notes=(wanted,))])
        wait_for("the note", lambda: connection.notes)
        plugin.play([still] * 2)
        connection.wait_for_more(3)
        assert connection.notes == [wanted[1:]]


@pytest.mark.parametrize("kind", FORMATS)
def test_instances_come_and_go_without_a_trace(kind: str) -> None:
    """Eight at once, and fifty after each other: no thread, socket or file is left."""
    with scripted_engine() as engine, HostProcess(engine.address) as host:
        host.load(kind).close()
        before = host.call("resources")
        instances = [host.load(kind) for _ in range(8)]
        for instance in instances:
            instance.play(song([512] * 2, RATE))

        def connected() -> set[int]:
            return {one.instance for one in engine.connections if one.instance and not one.over.is_set()}

        wait_for("all eight", lambda: len(connected()) == 8)
        assert host.call("resources")[0] >= before[0] + 8
        for instance in instances:
            instance.close()
        for number in range(50 - 8):
            instance = host.load(kind)
            if number % 4 == 0:
                instance.play(song([512], RATE))
            instance.close()
        wait_for("nothing to be left", lambda: host.call("resources") <= before)
        wait_for("every connection to end", lambda: all(one.over.is_set() for one in engine.connections))


def test_one_that_is_refused_comes_back_later() -> None:
    """After two seconds, not a quarter of one."""
    refused = packet(REFUSED, VERSION.to_bytes(2, "little") + b"Too many instances.")
    with scripted_engine(welcome=refused) as engine, loaded("lv2", engine.address) as plugin:
        wait_for("the plugin to hang up", engine.connection().over.is_set)
        engine.manners.welcome = None
        ended = engine.connection().ended
        engine.connection(1).wait_for_more(1)
        assert engine.connections[1].began - ended > 1.5
        plugin.play(song([512], RATE))
