"""The fake Live is as strict as Live: what its tests would not notice, a user would."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fake_live import World

WRONG: dict[str, Callable[[World], object]] = {
    "unknown name": lambda world: world.song.tempi,
    "unknown name set": lambda world: setattr(world.song, "tempi", 1.0),
    "unknown listener": lambda world: world.song.add_tempi_listener(print),
    "read-only": lambda world: setattr(world.song, "scenes", []),
    "type": lambda world: setattr(world.song, "tempo", "120"),
    "range": lambda world: setattr(world.song, "tempo", 5.0),
    "too few": lambda world: world.song.create_scene(),
    "too many": lambda world: world.song.start_playing(1),
    "group's arm": lambda world: world.tracks[0].arm,
    "group armed": lambda world: setattr(world.tracks[0], "arm", True),
    "group's arm listened to": lambda world: world.tracks[0].add_arm_listener(print),
    "midi in audio": lambda world: world.tracks[1].clip_slots[0].create_clip(4.0),
    "audio in midi": lambda world: world.tracks[2].clip_slots[0].create_audio_clip("/x.wav"),
    "empty deleted": lambda world: world.tracks[2].clip_slots[0].delete_clip(),
    "full": lambda world: [world.tracks[2].clip_slots[0].create_clip(4.0) for _ in range(2)],
    "no such slot": lambda world: world.tracks[2].clip_slots[9],
}


def a_set() -> World:
    return World(tracks=(("G", "group"), ("A", "audio"), ("M", "midi")))


@pytest.mark.parametrize("what", WRONG)
def test_it_raises(what: str) -> None:
    with pytest.raises((AttributeError, RuntimeError, TypeError, IndexError)):
        WRONG[what](a_set())


def test_the_set_cannot_be_changed_inside_a_listener() -> None:
    world = a_set()
    refused = []

    def change() -> None:
        for attempt in (
            lambda: setattr(world.song, "tempo", 100.0),
            lambda: setattr(world.tracks[2], "arm", True),
            lambda: world.song.stop_playing(),
            lambda: world.song.create_scene(-1),
            lambda: world.tracks[2].clip_slots[0].create_clip(1.0),
        ):
            with pytest.raises(RuntimeError, match="notifications"):
                attempt()
            refused.append(attempt)

    world.song.add_is_playing_listener(change)
    world.song.start_playing()
    assert len(refused) == 5 and world.song.tempo == 120.0
    assert len(world.wrong) == 5


def test_a_deleted_track_is_no_more() -> None:
    world = a_set()
    track = world.tracks[1]
    track.add_name_listener(print)
    world.put(*world.tracks[2:])
    for ask in (lambda: track.name, lambda: track.arm, lambda: track.remove_name_listener(print)):
        with pytest.raises(RuntimeError, match="deleted"):
            ask()
    assert world.listeners == 0


def test_an_older_live_has_less() -> None:
    world = World((11, 3, 0), (("A", "audio"),))
    with pytest.raises(AttributeError):
        world.tracks[0].clip_slots[0].create_audio_clip("/x.wav")
    assert not hasattr(world.module().ClipSlot.ClipSlot, "create_audio_clip")
    assert hasattr(World().module().ClipSlot.ClipSlot, "create_audio_clip")
