"""Notes out: order, ends, cuts. Times are near now, and only what is sent, and in which order, is looked at."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from resonantgen.errors import DeviceError, ResonantGenError
from resonantgen.music.notes import Note, Role
from resonantgen_bridge.midi_out import NoteSender

ALL_NOTES_OFF = [(0xB0 | channel, 123, 0) for channel in (0, 1, 2, 9)]


class Wire:
    """Collects what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, ...]] = []
        self.times: list[float] = []
        self.broken, self.failures = False, 0
        self.problems: list[ResonantGenError] = []
        self._more = threading.Condition()

    def send(self, message: Sequence[int]) -> None:
        with self._more:
            if self.broken:
                self.failures += 1
                self._more.notify_all()
                raise DeviceError("broken")
            self.sent.append(tuple(message))
            self.times.append(time.monotonic())
            self._more.notify_all()

    def wait(self, count: int) -> list[tuple[int, ...]]:
        """The first `count` messages; a long wait means that they never come."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.sent) >= count, timeout=20), self.sent
            return list(self.sent)

    def wait_for_failures(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.failures >= count, timeout=20)


@contextmanager
def sender(wire: Wire) -> Iterator[NoteSender]:
    made = NoteSender(wire.send, wire.problems.append)
    try:
        yield made
    finally:
        made.close()
        made.close()


def at_once(out: NoteSender) -> threading.Condition:
    """While it is held, nothing is sent: what is scheduled meanwhile is seen together."""
    return out._changed


def note(pitch: int, velocity: int = 100) -> Note:
    return Note(0, pitch, 1, velocity)


def test_notes_go_to_their_channels_in_order_and_end() -> None:
    wire = Wire()
    with sender(wire) as out:
        with at_once(out):
            now = time.monotonic() + 0.2
            out.schedule(Role.MELODY, note(72, 90), now + 0.03, 0.01)
            out.schedule(Role.DRUMS, note(36, 127), now, 0.01)
            out.schedule(Role.BASS, note(40, 80), now + 0.02, 0.1)
        sent = wire.wait(6)

    assert sent == [
        *((0x99, 36, 127), (0x89, 36, 0), (0x90, 40, 80), (0x92, 72, 90), (0x82, 72, 0), (0x80, 40, 0)),
    ]
    assert wire.sent[6:] == ALL_NOTES_OFF
    assert wire.times[0] >= now and wire.times[2] >= now + 0.02


def test_a_pitch_that_sounds_is_ended_before_it_is_played_again() -> None:
    wire = Wire()
    with sender(wire) as out:
        with at_once(out):
            now = time.monotonic() + 0.2
            out.schedule(Role.BASS, note(40), now, 0.05)
            out.schedule(Role.BASS, note(40), now + 0.02, 0.05)
        sent = wire.wait(4)

    assert sent == [(0x90, 40, 100), (0x80, 40, 0), (0x90, 40, 100), (0x80, 40, 0)]
    assert wire.sent[4:] == ALL_NOTES_OFF


def test_notes_that_meet_end_first() -> None:
    wire = Wire()
    with sender(wire) as out:
        with at_once(out):
            now = time.monotonic() + 0.2
            for index, pitch in enumerate((40, 40, 41)):
                out.schedule(Role.BASS, note(pitch), now + index * 0.5**6, 0.5**6)
        sent = wire.wait(6)

    assert [message[:2] for message in sent[:6]] == [
        (0x90, 40),
        (0x80, 40),
        (0x90, 40),
        (0x80, 40),
        (0x90, 41),
        (0x80, 41),
    ]


def test_a_swap_cuts_what_sounds_and_not_what_begins_with_it() -> None:
    wire = Wire()
    with sender(wire) as out:
        with at_once(out):
            now = time.monotonic() + 0.2
            out.schedule(Role.HARMONY, note(60), now, 600)
            out.schedule(Role.BASS, note(40), now, 600)
            out.all_off(Role.HARMONY, now + 0.02)
            out.schedule(Role.HARMONY, note(64), now + 0.02 - 1e-6, 600)  # the same frame, as the clock sees it now
        sent = wire.wait(4)

    assert sorted(sent[:2]) == [(0x90, 40, 100), (0x91, 60, 100)]
    assert sorted(sent[2:4]) == [(0x81, 60, 0), (0x91, 64, 100)]
    assert sorted(wire.sent[4:6]) == [(0x80, 40, 0), (0x81, 64, 0)]  # when it was closed


def test_all_off_now_forgets_what_is_scheduled() -> None:
    wire = Wire()
    with sender(wire) as out:
        now = time.monotonic()
        out.schedule(Role.BASS, note(40), now, 600)
        wire.wait(1)
        with at_once(out):
            out.schedule(Role.BASS, note(41), time.monotonic() + 0.1, 600)
            out.schedule(Role.DRUMS, note(36), time.monotonic() + 0.1, 600)
            out.all_off(Role.BASS)
            out.schedule(Role.BASS, note(43), time.monotonic() + 0.1, 600)
        sent = wire.wait(4)

    assert sent[:2] == [(0x90, 40, 100), (0x80, 40, 0)]
    assert sorted(sent[2:]) == [(0x90, 43, 100), (0x99, 36, 100)]


def test_what_has_ended_already_is_left_out_and_what_has_begun_is_played() -> None:
    wire = Wire()
    with sender(wire) as out:
        out.schedule(Role.BASS, note(40), time.monotonic() - 2, 1)
        out.schedule(Role.BASS, note(41), time.monotonic() - 2, 600)
        sent = wire.wait(1)

    assert sent == [(0x90, 41, 100)]


def test_a_broken_port_is_reported_once_and_the_thread_goes_on() -> None:
    wire = Wire()
    with sender(wire) as out:
        wire.broken = True
        for pitch in (40, 41, 42):
            out.schedule(Role.BASS, note(pitch), time.monotonic(), 600)
        wire.wait_for_failures(3)
        wire.broken = False
        out.schedule(Role.BASS, note(44), time.monotonic(), 600)
        wire.wait(1)

    assert len(wire.problems) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_happens_notes_alternate_with_their_ends(seed: int) -> None:
    print(f"seed {seed}")
    wire = Wire()
    with sender(wire) as out:

        def player(dice: random.Random) -> None:
            for _ in range(150):
                role = dice.choice(list(Role))
                at = time.monotonic() + dice.uniform(-0.02, 0.1)
                if dice.random() < 0.02:
                    out.all_off(dice.choice([None, role]), dice.choice([None, at]))
                out.schedule(role, note(dice.randrange(40, 44), dice.randrange(1, 128)), at, dice.uniform(0, 0.1))

        threads = [threading.Thread(target=player, args=(random.Random(seed * 10 + i),)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for pitch in range(50, 80):
            out.schedule(Role.BASS, note(pitch), time.monotonic(), 0.05)
        wire.wait(30)  # some are sent, some are not

    sounding: set[tuple[int, int]] = set()
    for status, pitch, _ in wire.sent[: -len(ALL_NOTES_OFF)]:
        key = (status & 15, pitch)
        if status & 0xF0 == 0x90:
            assert key not in sounding
            sounding.add(key)
        else:
            sounding.remove(key)
    assert not sounding
    assert len(wire.sent) >= 30 + len(ALL_NOTES_OFF)
    assert wire.sent[-len(ALL_NOTES_OFF) :] == ALL_NOTES_OFF
