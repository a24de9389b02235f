"""Partial materials that grow while they play, with a player that is stepped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from playing import FADE, around, four, grid, noise, part_of, playing
from resonantgen.music.notes import Note, Role
from resonantgen.realtime.heard import NotesOff, Swapped
from resonantgen.realtime.material import Change, Material

BAR = 96_000  # frames of a bar at 120
LOOP = grid("120", "4/4", 4)
NOTES = tuple(Note(tick, 40, 2000, 90) for tick in range(0, 4 * 1920, 480))


def growing(whole: Material, bars: int, stream: int = 3) -> Material:
    """The preview of a take from bar 1 on."""
    start = BAR
    samples = around(whole.samples, start, bars * BAR)
    return Material(whole.name + "~", samples, NOTES, start, partial=True, stream=stream)


def test_a_longer_one_goes_on_with_a_shorter_one_unnoticed() -> None:
    old, new = four(LOOP, 1), four(LOOP, 2)
    stepped = playing(LOOP, old, stems=True)
    for bars in (1, 2, 4):
        stepped.player.change(Change(LOOP, {Role.DRUMS: growing(new[Role.DRUMS], bars)}))
        stepped.step(BAR)
    stepped.step(3 * BAR)
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound[BAR:, :2], around(new[Role.DRUMS].samples, BAR, len(sound) - BAR))
    assert [(e.name, e.frame - FADE) for e in stepped.told(Swapped)[4:]] == [("drums-2~", BAR)]
    assert [e.role for e in stepped.told(NotesOff)] == [Role.DRUMS]


def test_one_that_comes_while_the_shorter_one_waits_takes_its_place() -> None:
    old, new = four(LOOP, 1), four(LOOP, 2)
    stepped = playing(LOOP, old, stems=True)
    stepped.step(BAR)  # too late for bar 1
    for bars in (1, 2):
        stepped.player.change(Change(LOOP, {Role.BASS: growing(new[Role.BASS], bars)}))
        stepped.step(100)
    stepped.step(BAR)
    assert [(e.name, e.bar) for e in stepped.told(Swapped)[4:]] == [("bass-2~", 2)]


def test_a_name_that_another_take_has_had_is_no_reason_to_go_on() -> None:
    old, new, other = four(LOOP, 1), four(LOOP, 2), noise(LOOP.frames, 77)
    stepped = playing(LOOP, old, stems=True)
    stepped.player.change(Change(LOOP, {Role.DRUMS: growing(new[Role.DRUMS], 1)}))
    stepped.step(BAR)
    again = replace(new[Role.DRUMS], samples=other)
    stepped.player.change(Change(LOOP, {Role.DRUMS: growing(again, 2, stream=4)}))
    stepped.step(2 * BAR)
    sound = stepped.sound[FADE:]
    assert np.array_equal(sound[2 * BAR : 3 * BAR - FADE, :2], other[2 * BAR : 3 * BAR - FADE])
    assert [(e.name, e.frame - FADE) for e in stepped.told(Swapped)[4:6]] == [("drums-2~", BAR), ("drums-2~", 2 * BAR)]


def test_parts_without_a_stream_never_extend_each_other() -> None:
    whole = four(LOOP)[Role.DRUMS]
    short, long = part_of(whole, LOOP, 0, 1), part_of(whole, LOOP, 0, 2)
    assert not long.extends(short)
    short, long = replace(short, stream=1), replace(long, stream=1)
    assert long.extends(short) and not short.extends(long)


def test_what_comes_next_of_one_track_does_not_wait_for_the_others_that_have_begun() -> None:
    """Whoever says what all tracks have by now, again and again, gets each as early as it can be."""
    old, new = four(LOOP, 1), four(LOOP, 2)
    stepped = playing(LOOP, old, stems=True)
    first = {role: growing(each, 1) for role, each in new.items()}
    stepped.player.change(Change(LOOP, first))
    stepped.step(BAR + 1000)
    ready = {**first, Role.DRUMS: new[Role.DRUMS], Role.BASS: growing(new[Role.BASS], 2)}
    stepped.player.change(Change(LOOP, ready))
    stepped.step(2 * BAR - 2000)
    sound = stepped.sound[FADE:]
    for i, role in enumerate((Role.DRUMS, Role.BASS)):
        assert np.array_equal(sound[BAR:, 2 * i : 2 * i + 2], new[role].samples[BAR : len(sound)]), role
    assert [(e.role, e.name) for e in stepped.told(Swapped)[8:]] == [
        (Role.DRUMS, "drums-2"),
        (Role.HARMONY, "harmony-1"),
        (Role.MELODY, "melody-1"),
    ]
