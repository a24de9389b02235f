"""The player's thread: it keeps the ring filled, takes commands from any thread, and never ends by an error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from playing import FADE, LATENCY, RATE, FakeRing, Stepped, around, four, grid, material, part_of, total
from resonantgen.music.notes import Role
from resonantgen.realtime.heard import BarLine, Heard, Problem
from resonantgen.realtime.material import Change
from resonantgen.realtime.player import Player
from resonantgen.session.setup import Strip

LOOP = grid("120", "4/4", 2)


@contextmanager
def running(ring: FakeRing, listener: Callable[[Heard], None], depth_frames: int = 4096) -> Iterator[Player]:
    player = Player(ring, RATE, depth_frames=depth_frames, listener=listener)
    player.start()
    try:
        yield player
    finally:
        player.close()


def until(done: Callable[[], bool]) -> None:
    """Wait; the limit only catches hangs."""
    for _ in range(6000):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it hangs")


def full(ring: FakeRing) -> bool:
    return ring.fill_frames() > 4096 - 64


def test_the_ring_is_kept_filled_and_no_fuller() -> None:
    ring, heard = FakeRing(), list[Heard]()
    materials = four(LOOP)
    before = sys.getswitchinterval()
    with running(ring, heard.append) as player:
        player.change(Change(LOOP, materials))
        player.play(True)
        for _ in range(40):
            until(lambda: full(ring))
            assert ring.fill_frames() <= player.depth_frames
            ring.take(2500)
        until(lambda: full(ring))
    assert sys.getswitchinterval() == before
    sound = ring.sound
    start = next(event.frame for event in heard if isinstance(event, BarLine))
    assert len(sound) > 100_000 and start % 1 == 0
    assert np.array_equal(sound[start:], around(total(list(materials.values())), 0, len(sound) - start))


def test_an_error_is_told_once_gives_silence_and_sound_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ring, heard = FakeRing(), list[Heard]()
    materials = four(LOOP)
    with running(ring, heard.append) as player:
        player.change(Change(LOOP, materials))
        player.play(True)
        until(lambda: full(ring))
        broken, add = threading.Event(), player._mixer.add
        broken.set()

        def fail(*arguments: object) -> None:
            if broken.is_set():
                raise RuntimeError("no such luck")
            add(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(player._mixer, "add", fail)
        written = ring.written_frames
        for _ in range(5):
            ring.take(3000)
            until(lambda: full(ring))
        broken_to = ring.written_frames
        broken.clear()
        for _ in range(60):
            ring.take(3000)
            until(lambda: full(ring))
    problems = [event for event in heard if isinstance(event, Problem)]
    assert [problem.frame for problem in problems] == [written]
    assert "RuntimeError: no such luck" in problems[0].message
    sound = ring.sound
    assert not sound[written:broken_to].any()
    line = next(event for event in heard if isinstance(event, BarLine) and event.frame > broken_to + 1000)
    after = sound[line.frame :]  # frames and events agree again
    mix = total(list(materials.values()))
    assert len(after) > 5000 and np.array_equal(after, around(mix, line.bar * 96_000, len(after)))


def test_a_listener_that_fails_does_not_stop_the_sound() -> None:
    ring, calls = FakeRing(), list[Heard]()

    def listener(heard: Heard) -> None:
        calls.append(heard)
        raise ValueError("not today")

    with running(ring, listener) as player:
        player.change(Change(LOOP, four(LOOP)))
        player.play(True)
        for _ in range(20):
            until(lambda: full(ring))
            ring.take(3000)
        until(lambda: full(ring))
    assert len([call for call in calls if isinstance(call, Problem)]) == 1
    assert ring.sound[-4000:].any()
    assert len(calls) > 10


def test_close_without_start_and_twice_is_quiet() -> None:
    player = Player(FakeRing(), RATE)
    player.close()
    player.start()
    player.close()
    player.close()


def test_frames_count_from_where_the_ring_stands() -> None:
    ring = FakeRing(capacity_frames=1 << 30)
    ring.write(np.zeros((1234, 2), np.float32))
    heard: list[Heard] = []
    player = Player(ring, RATE, listener=heard.append)
    player.change(Change(LOOP, four(LOOP)))
    player.play(True)
    ring.write(player.mix_block(1000))
    assert next(event for event in heard if isinstance(event, BarLine)).frame == 1234 + FADE
    assert player.position().frame == ring.written_frames + LATENCY


@pytest.mark.parametrize("seed", [1, 2])
def test_four_threads_may_command_while_it_mixes(seed: int) -> None:
    stepped = Stepped(seed=seed)
    materials, wholes, other = four(LOOP), four(LOOP, 2), grid("140", "3/4", 2)
    elsewhere = four(other, 3)
    stepped.player.change(Change(LOOP, materials))
    stepped.player.play(True)
    errors: list[BaseException] = []

    def hammer(number: int) -> None:
        dice, player = np.random.default_rng([seed, number]), stepped.player
        try:
            for turn in range(150):
                role = list(Role)[int(dice.integers(4))]
                deed = int(dice.integers(9))
                if deed == 0:
                    player.change(Change(LOOP, {role: wholes[role]}))
                elif deed == 1:
                    player.change(Change(LOOP, {role: part_of(wholes[role], LOOP, 1, 2)}))
                elif deed == 2 and turn % 10 == 0:
                    player.change(Change(other, elsewhere))
                elif deed == 3:
                    player.play(bool(dice.random() < 0.7))
                elif deed == 4:
                    player.seek(int(dice.integers(4)), int(dice.integers(1000)))
                elif deed == 5:
                    player.set_loop(bool(dice.random() < 0.8), int(dice.integers(2)), int(dice.integers(2)))
                elif deed == 6:
                    player.set_strip(role, Strip(gain_db=float(dice.uniform(-60, 6)), muted=bool(dice.random() < 0.3)))
                elif deed == 7:
                    player.align(float(dice.random() * 8), float(dice.random()))
                bar, seconds = player.next_line(float(dice.random()))
                assert 0 <= bar < 2 and seconds >= 0 and 0 <= player.position().bar0 < 2
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        stepped.step(2_000)
    for thread in threads:
        thread.join()
    assert not errors, seed
    for role in Role:
        stepped.player.set_strip(role, Strip())
    stepped.player.set_loop(True)
    stepped.player.play(False)
    stepped.step(10_000)
    assert not stepped.player.position().playing
    final = four(LOOP, 4)
    stepped.player.change(Change(LOOP, final))
    stepped.player.seek(0)
    stepped.step(10)
    start = stepped.frame
    stepped.player.play(True)
    stepped.step(LOOP.frames)
    sound = stepped.sound[start + FADE :]
    assert np.array_equal(sound, total(list(final.values()))[: len(sound)]), seed


def test_whole_material_is_read_only_and_shared_safely() -> None:
    """Samples as they come from other processes: without a copy, and not writable."""
    each = material(LOOP, 3)
    each.samples.setflags(write=False)
    stepped = Stepped()
    stepped.player.change(Change(LOOP, {Role.BASS: each}))
    stepped.player.set_strip(Role.BASS, Strip(gain_db=-6))
    stepped.player.play(True)
    stepped.step(5_000)
    assert stepped.sound.any()
