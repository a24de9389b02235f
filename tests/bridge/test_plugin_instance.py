"""One instance: on which bar line it is told to go over, under which number, and what becomes of one that it missed."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np

from resonantgen.music.notes import Role
from resonantgen_bridge.plugin_instance import Instance, Wish
from resonantgen_bridge.plugin_sources import Source
from resonantgen_bridge.plugin_wire import EpochTold, HostFlag, Message, Status

BAR = 96_000
PLAYING = HostFlag.TIMED | HostFlag.PLAYING
FADE = 240
MARGIN = FADE + 2 * 512 + 2400  # frames, at 48 kHz


def at(frame: int, epoch: int = 0, flags: HostFlag = PLAYING, clock: int = 1, **others: int) -> Status:
    status = Status(clock, frame, 48_000.0, 120.0, frame / 24_000, 4, 4, flags, 1, 0, 0, epoch, 512)
    return replace(status, **others)  # type: ignore[arg-type]


class Told:
    """An instance, and what it was told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.instance = Instance(1, self.messages.append)

    def hear(self, status: Status) -> None:
        self.instance.hear(status, 10.0)
        self.instance.tell_again(10.0)

    def play(self, take: str) -> EpochTold:
        """Tell it to play a take, as soon as it can."""
        clock = self.instance.clock
        assert clock is not None
        source = Source(Fraction(0), Fraction(1000), np.ones((1000, 2), np.float32))
        self.instance.tell(Wish(clock, take), source, self.instance.first_line(10.0))
        return self.last

    @property
    def last(self) -> EpochTold:
        told = self.messages[-1]
        assert isinstance(told, EpochTold)
        return told


def test_the_first_epoch_comes_at_once_and_the_next_on_the_next_bar_line() -> None:
    one = Told()
    one.hear(at(1000))
    assert one.play("drums-1") == EpochTold(1, 1, BAR, FADE, True)
    one.hear(at(2000, epoch=1))
    assert one.play("drums-2") == EpochTold(2, 1, BAR, FADE, False)


def test_a_bar_line_that_is_too_near_is_left_out() -> None:
    for before, line in ((MARGIN, BAR), (MARGIN - 1, 2 * BAR)):
        one = Told()
        one.hear(at(0))
        one.play("drums-1")
        one.hear(at(BAR - before, epoch=1))
        assert one.play("drums-2").from_frame == line


def test_a_host_that_stands_goes_over_at_once() -> None:
    one = Told()
    one.hear(at(0))
    one.play("drums-1")
    one.hear(at(5000, epoch=1, flags=HostFlag.TIMED))
    assert one.play("drums-2").at_once


def test_numbers_keep_what_plays_and_what_comes_apart_by_parity() -> None:
    """Whatever is told and whenever the plugin goes over, even if the two miss each other."""
    rng = random.Random(2)
    one = Told()
    one.hear(at(0))
    one.play("drums-0")
    playing, frame = 1, 0
    for i in range(2000):
        match rng.randrange(3):
            case 0:
                one.play(f"drums-{i}")
            case 1:  # the plugin goes over, and a new one is told before we know
                goes_over_to = one.last.epoch
                one.play(f"drums-{i}")
                playing = goes_over_to
            case _:
                playing = one.last.epoch
        frame += rng.randrange(BAR)
        one.hear(at(frame, epoch=playing))
        assert one.last.epoch == playing or one.last.epoch % 2 != playing % 2
        assert one.last.epoch == playing or one.last.from_frame > frame
        assert one.instance.source(playing) is not None and one.instance.source(one.last.epoch) is not None
    numbers = [told.epoch for told in one.messages if isinstance(told, EpochTold)]
    assert numbers == sorted(numbers) and len(one.instance._epochs) <= 4


def test_one_that_was_missed_is_told_again_with_a_later_bar_line() -> None:
    one = Told()
    one.hear(at(0))
    one.play("drums-1")
    one.hear(at(1000, epoch=1))
    first = one.play("drums-2")
    one.hear(at(BAR - 1, epoch=1))
    assert one.last is first
    one.hear(at(BAR, epoch=1))
    assert one.last == replace(first, from_frame=2 * BAR)
    one.hear(at(2 * BAR + 512, epoch=2))
    assert one.last.from_frame == 2 * BAR


def test_what_neither_plays_nor_was_told_last_is_gone() -> None:
    one = Told()
    one.hear(at(0))
    one.play("drums-1")
    one.hear(at(1000, epoch=1))
    replaced, coming = one.play("drums-2"), one.play("drums-3")
    assert coming.epoch == replaced.epoch + 2
    assert one.instance.source(replaced.epoch) is None
    assert one.instance.source(1) is not None and one.instance.source(coming.epoch) is not None


def test_a_host_that_waits_is_answered_for_where_it_stands() -> None:
    """At once exactly on a bar line, otherwise for the next one whose crossfade can be whole."""
    waiting = PLAYING | HostFlag.WAIT
    for frame, line, at_once in (
        (2 * BAR, 2 * BAR, True),
        (2 * BAR + 1, 3 * BAR, False),
        (3 * BAR - FADE, 3 * BAR, False),
        (3 * BAR - FADE + 1, 4 * BAR, False),
    ):
        one = Told()
        one.hear(at(0, flags=waiting))
        assert one.instance.waits
        one.play("drums-1")
        one.hear(at(frame - 100, epoch=1, flags=waiting))
        assert not one.instance.waits
        one.hear(at(frame, epoch=1, flags=waiting, clock=2))
        assert one.instance.waits
        told = one.play("drums-1")
        assert (told.clock, told.from_frame, told.at_once) == (2, line, at_once)
        assert not one.instance.waits
        one.hear(at(frame, epoch=1, flags=waiting, clock=2))  # it has not heard of it yet
        assert one.last is told


def test_what_is_told_before_its_sound_is_there_is_heard_once_it_is() -> None:
    one = Told()
    one.hear(at(0))
    one.play("drums-1")
    one.hear(at(1000, epoch=1))
    instance, clock = one.instance, one.instance.clock
    assert clock is not None and not instance.lacks
    instance.tell(Wish(clock, "drums-2"), None, BAR)
    early = one.last.epoch
    assert instance.lacks and instance.source(early) is None and instance.source(1) is not None
    source = Source(Fraction(0), Fraction(1000), np.ones((1000, 2), np.float32))
    instance.supply(source)
    assert not instance.lacks and instance.source(early) is source


def test_what_is_replaced_before_its_sound_is_there_is_silent_for_one_that_went_over_meanwhile() -> None:
    """By a jump, say. It waits for it: nobody is to wait for what never comes."""
    one = Told()
    one.hear(at(0))
    one.play("drums-1")
    one.hear(at(1000, epoch=1))
    assert one.instance.clock is not None
    one.instance.tell(Wish(one.instance.clock, "drums-2"), None, BAR)
    early = one.last.epoch
    one.hear(at(50_000, epoch=early))
    one.play("drums-3")
    source = one.instance.source(early)
    assert source is not None and not source.frames(0, 5000).any()


def test_the_track_is_one_of_four() -> None:
    one = Told()
    for track, role in ((1, Role.DRUMS), (4, Role.MELODY), (5, None), (16, None)):
        one.hear(at(0, track=track))
        assert one.instance.role is role
