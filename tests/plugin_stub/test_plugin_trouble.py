"""Engines that are slow, away, killed, or talk nonsense: the plugin is silent, counts, and tries again. Nothing else.

Most run as LV2, which loads fastest: what is tested is the same code in each format.
"""

from __future__ import annotations

import random
import socket
import struct

import numpy as np
import pytest

from engine_process import wait_for
from plugin_hosts import Loaded, loaded, needs_plugin, song
from scripted_engine import (
    EPOCH,
    HELLO,
    MAGIC,
    PCM,
    POSITIONS,
    REFUSED,
    STATE,
    STATUS,
    VERSION,
    WELCOME,
    ScriptedEngine,
    packet,
    scripted_engine,
    sound,
)

pytestmark = needs_plugin

RATE = 48_000
GOOD_WELCOME = packet(WELCOME, struct.pack("<4sHQ", MAGIC, VERSION, 7))
CHUNK_OF_SOUND = bytes(8 * 1024)


def plays(plugin: Loaded, start: int = 0) -> None:
    """It plays what its engine makes, without a gap."""
    plugin.set(Wait_for_engine=1)
    samples = plugin.play(song([512] * 20, RATE, start=start)).samples
    epoch = round(float(samples[0, 1]) * 128)
    assert epoch and np.array_equal(samples, sound(epoch, 1, range(start, start + 20 * 512)))
    plugin.set(Wait_for_engine=0)
    plugin.play(song([512], RATE))  # as LV2, it hears of that with a block


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


NONSENSE = {
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "noise": random.Random(4).randbytes(4096),
    "zeros": bytes(64),
    "no kind": struct.pack("<IB", 1, 0),
    "too large": struct.pack("<IH", (1 << 20) + 1, PCM),
    "largest number": b"\xff" * 8,
    "unknown kind": packet(77),
    "kind of the plugin's": packet(STATUS, bytes(70)),
}
WELCOMES = {
    **NONSENSE,
    "version 2": packet(WELCOME, struct.pack("<4sHQ", MAGIC, 2, 7)),
    "version 0": packet(WELCOME, struct.pack("<4sHQ", MAGIC, 0, 7)),
    "another magic": packet(WELCOME, struct.pack("<4sHQ", b"RGPX", VERSION, 7)),
    "short": packet(WELCOME, struct.pack("<4sH", MAGIC, VERSION)),
    "long": packet(WELCOME, struct.pack("<4sHQB", MAGIC, VERSION, 7, 0)),
    "sound before": packet(PCM, struct.pack("<Iq", 1, 0) + CHUNK_OF_SOUND) + GOOD_WELCOME,
    "HELLO": packet(HELLO, struct.pack("<4sHQ", MAGIC, VERSION, 7)),
    "state before": packet(STATE, bytes(4)) + GOOD_WELCOME,
}
MESSAGES = {
    **NONSENSE,
    "WELCOME again": GOOD_WELCOME,
    "REFUSED": packet(REFUSED, struct.pack("<H", 9) + b"Not now."),
    "EPOCH 0": packet(EPOCH, struct.pack("<IIqII", 0, 1, 0, 480, 0)),
    "short EPOCH": packet(EPOCH, struct.pack("<IIqI", 2, 1, 0, 480)),
    "long EPOCH": packet(EPOCH, struct.pack("<IIqIII", 2, 1, 0, 480, 0, 0)),
    "short STATE": packet(STATE, bytes(3)),
    "PCM between chunks": packet(PCM, struct.pack("<Iq", 1, 5) + CHUNK_OF_SOUND),
    "PCM of no frames": packet(PCM, struct.pack("<Iq", 1, 0)),
    "PCM of half a chunk": packet(PCM, struct.pack("<Iq", 1, 0) + CHUNK_OF_SOUND[:4096]),
    "short PCM": packet(PCM, b"\x01\x00\x00"),
}


@pytest.mark.parametrize("welcome", WELCOMES.values(), ids=WELCOMES.keys())
def test_a_welcome_that_is_none_ends_the_connection_and_it_tries_again(welcome: bytes) -> None:
    with scripted_engine(welcome=welcome) as engine, loaded("lv2", engine.address) as plugin:
        first = engine.connection()
        wait_for("the plugin to hang up", first.over.is_set)
        assert not first.statuses  # nothing passes before WELCOME
        engine.manners.welcome = None
        plays(plugin)
        assert engine.connections[-1].instance == first.instance


def test_nonsense_in_the_middle_ends_the_connection_and_it_plays_on_with_the_next() -> None:
    with scripted_engine() as engine, loaded("lv2", engine.address) as plugin:
        for number, (name, message) in enumerate(MESSAGES.items()):
            plays(plugin, start=number * 3000)
            playing = engine.connections[-1]
            playing.send(message)
            wait_for(f"the plugin to hang up at {name}", playing.over.is_set)
        plays(plugin)


def test_a_connection_that_ends_at_any_byte_harms_nothing() -> None:
    """Within WELCOME, EPOCH, the head of PCM, and the sound."""
    rng = random.Random(11)
    with scripted_engine() as engine, loaded("lv2", engine.address) as plugin:
        for cut in [1, 3, 4, 5, 19, 20, 21, 45, 50, 70, *(rng.randrange(80, 300_000) for _ in range(6))]:
            engine.manners.cut_after = cut
            count = len(engine.connections)
            wait_for("another connection", lambda count=count: len(engine.connections) > count)  # type: ignore[misc]
            plugin.play(song([512] * 4, RATE, start=cut * 100))
            wait_for("its end", engine.connections[count].over.is_set)
        engine.manners.cut_after = None
        wait_for("the next connection", lambda: not engine.connections[-1].over.is_set())
        plays(plugin)


@pytest.mark.parametrize("welcome", [b"", GOOD_WELCOME[:9], GOOD_WELCOME], ids=["nothing", "half a packet", "WELCOME"])
def test_an_engine_that_says_no_more_is_left_after_three_seconds(welcome: bytes) -> None:
    with (
        scripted_engine(welcome=welcome, states=False, announces=False) as engine,
        loaded("lv2", engine.address) as plugin,
    ):
        first = engine.connection()
        wait_for("the plugin to hang up", first.over.is_set)
        engine.manners.welcome, engine.manners.states, engine.manners.announces = None, True, True
        plays(plugin)


def test_sound_that_nobody_asked_for_takes_no_place() -> None:
    with scripted_engine() as engine, loaded("lv2", engine.address) as plugin:
        plays(plugin)
        connection = engine.connection()
        plugin.play(song([512], RATE, start=20 * 512))
        connection.wait_until_it_is_heard()
        for aliased in range(1, 9):  # of other places, epochs and parities, which share its slots
            for epoch in (1, 2, 3, 77):
                frame = aliased * (1 << 18) if epoch == 1 else 0
                connection.send_pcm(epoch, frame, np.full((64 * 1024, 2), 0.99, np.float32))
        connection.wait_until_it_is_heard()
        before = connection.underruns()
        samples = plugin.play(song([512] * 40, RATE, start=21 * 512)).samples
        assert np.array_equal(samples, sound(1, 1, range(21 * 512, 61 * 512)))
        assert connection.underruns() == before


def test_what_does_not_come_is_silent_counted_and_pulled_again() -> None:
    with scripted_engine() as engine, loaded("vst3", engine.address) as plugin:
        plays(plugin)
        connection = engine.connection()
        before = connection.underruns()
        engine.manners.answers = False
        start = 1 << 19  # nothing of it is there
        samples = plugin.play(song([512] * 10, RATE, start=start)).samples
        assert not samples.any()
        assert connection.underruns() == before + 10
        assert round(plugin.get("Underruns")) in (before + 9, before + 10)  # it is shown with the block after
        pulled = connection.pulls[-1]
        wait_for("the same pull again", lambda: connection.pulls.count(pulled) > 1)
        engine.manners.answers = True
        plugin.play(song([512], RATE, start=start))
        wait_for(
            "the answer", lambda: connection.pulls[-1][1] >= start and connection.answered == len(connection.pulls)
        )
        connection.wait_for_more(30)  # more than 200 ms
        connection.wait_until_it_is_heard()
        samples = plugin.play(song([512] * 20, RATE, start=start)).samples
        assert np.array_equal(samples, sound(1, 1, range(start, start + 20 * 512)))


def test_a_slow_engine_is_waited_for_if_that_is_wanted() -> None:
    with scripted_engine(delay=0.1) as engine, loaded("lv2", engine.address) as plugin:
        plugin.set(Wait_for_engine=1)
        blocks = song([8192] * 20, RATE)
        assert np.array_equal(plugin.play(blocks).samples, sound(1, 1, range(20 * 8192)))


@pytest.mark.parametrize("kind", ["vst3", "lv2", "clap"])
@pytest.mark.parametrize("engine_is", ["there", "slow", "away"])
def test_the_audio_thread_never_waits_unless_it_is_to(kind: str, engine_is: str) -> None:
    """It never gives the processor up: not in a lock, not in a sleep, not in a socket."""
    with scripted_engine(delay=0.05 if engine_is == "slow" else 0.0) as engine:
        address = f"127.0.0.1:{closed_port()}" if engine_is == "away" else engine.address
        with loaded(kind, address) as plugin:
            plugin.play(song([512] * 8, RATE))  # the first ones may be the host's own
            played = plugin.play([*song([512] * 400, RATE), *song([64] * 100, RATE, start=1 << 20)])
            assert not played.waits.any()


def test_without_an_engine_it_waits_for_two_seconds_once() -> None:
    port = closed_port()
    with loaded("lv2", f"127.0.0.1:{port}") as plugin:
        plugin.set(Wait_for_engine=1)
        played = plugin.play(song([512] * 100, RATE))
        assert not played.samples.any()
        assert played.waits[0] > 100  # steps of a millisecond
        assert not played.waits[1:].any()
        with ScriptedEngine(port) as engine:
            engine.connection()
            plays(plugin)


@pytest.mark.parametrize("kind", ["vst3", "lv2", "clap"])
def test_an_engine_killed_and_started_again_while_the_host_plays(kind: str) -> None:
    """Silence, then the music again, at its place; the host plays on all the while."""
    first = ScriptedEngine()
    with loaded(kind, first.address) as plugin:
        plays(plugin)
        frame = 512

        def next_quarter_second() -> str:
            """What is heard of it: the music, silence, or both."""
            nonlocal frame
            played = plugin.play(song([512] * 24, RATE, start=frame), paced=True)
            places = np.arange(frame, frame + len(played.samples))
            frame += len(played.samples)
            assert frame < POSITIONS and not played.waits.any()
            right = (played.samples == sound(1, 1, places)).all(axis=1)
            silent = ~played.samples.any(axis=1)
            assert (right | silent).all()
            return "music" if right.all() else "silence" if silent.all() else "both"

        wait_for("music", lambda: next_quarter_second() == "music")
        instance = first.connection().instance
        first.stop()
        wait_for("silence", lambda: next_quarter_second() == "silence")
        with ScriptedEngine(first.port, number=2) as second:
            wait_for("music again", lambda: next_quarter_second() == "music")
            assert second.connection().instance == instance
