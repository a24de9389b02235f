"""A print becomes clips: in the right tracks and scene, in the Set's tempo, and never over what is armed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fake_live import Device, World
from prints import NOTES, RATE, leave_print, part
from remote_script import connected


def printed(world: World, folder: Path, scene: int = 0) -> list[tuple[Any, ...]]:
    """What the engine is told of it."""
    with connected(world) as (script, end):
        end.send("/daw/print", str(folder), scene)
        script.update_display()
        told = end.got()
    return [message for message in told if message[0] in ("/daw/printed", "/daw/error")]


def names(world: World) -> list[tuple[str, list[str | None]]]:
    """Of each track, and of the clips in its slots."""
    return [(track.name, [clip and clip.name for clip in track._clips()]) for track in world.tracks]


def test_audio_goes_into_the_tracks_that_are_called_so(tmp_path: Path) -> None:
    world = World(tracks=(("1-Audio", "audio"), ("DRUMS", "audio"), ("bass ", "audio")), scenes=2)
    folder = leave_print(tmp_path / "prints é")
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 2)]
    assert names(world) == [
        ("1-Audio", [None, None]),
        ("DRUMS", ["night drums", None]),
        ("bass ", ["night bass", None]),
    ]
    for track, mode in zip(world.tracks[1:], (0, 1), strict=True):
        clip = track._clips()[0]
        assert clip.file_path == str(folder / clip.name.replace("night ", "")) + ".wav"
        assert (clip.loop_start, clip.loop_end, clip.start_marker, clip.end_marker) == (0, 8, 0, 8)
        assert clip.looping and clip.warping and clip.warp_mode == mode
    assert world.undo_steps == 2  # one, begun and ended


@pytest.mark.parametrize("transients", [[], [(4.0, 8.0)], [(1.0, 2.1), (4.0, 8.0)], [(0.9, 1.0), (2.0, 5.5)]], ids=str)
@pytest.mark.parametrize("guess", [(0.0, 120.0), (0.0, 60.0), (0.0, 119.3), (0.5, 240.0), (0.01, 121.0)], ids=str)
def test_the_whole_file_plays_over_its_bars_whatever_live_took_it_for(
    tmp_path: Path, guess: tuple[float, float], transients: list[tuple[float, float]]
) -> None:
    world = World(tracks=(("drums", "audio"),))
    world.guess = lambda seconds: guess
    world.transients = transients
    folder = leave_print(tmp_path / "p", roles=("drums",))
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 1)]
    clip = world.tracks[0]._clips()[0]
    for seconds in (0.0, 1.0, 3.9, 4.0):
        assert clip.do_sample_to_beat_time(seconds * RATE) == pytest.approx(2 * seconds, abs=1e-6)


def test_other_meters_have_bars_of_their_own_length(tmp_path: Path) -> None:
    world = World(tracks=(("drums", "audio"),))
    printed(world, leave_print(tmp_path / "p", roles=("drums",), meter="7/8", bars=2))
    clip = world.tracks[0]._clips()[0]
    assert (clip.loop_end, clip.signature_numerator, clip.signature_denominator) == (7.0, 7, 8)
    assert clip.do_sample_to_beat_time(4 * RATE) == pytest.approx(7.0)


def test_midi_goes_into_midi_tracks_and_new_ones_are_made(tmp_path: Path) -> None:
    world = World(tracks=(("Drums", "audio"), ("Bass", "midi")), scenes=1)
    folder = leave_print(tmp_path / "p", kind="midi")
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 2)]
    assert names(world) == [("Drums", [None]), ("Bass", ["night bass"]), ("drums", ["night drums"])]
    clip = world.tracks[2]._clips()[0]
    assert clip._notes == [tuple(note) for note in NOTES]
    assert (clip.loop_start, clip.loop_end, clip.looping) == (0.0, 8.0, True)
    assert printed(world, folder) == [("/daw/printed", str(folder), 2, 2)]  # no third track, but a new scene
    assert [len(slots) for _, slots in names(world)] == [2, 2, 2]
    assert len(world.song.scenes) == 2


def test_notes_are_not_put_where_they_would_play_the_plugin(tmp_path: Path) -> None:
    world = World(tracks=(("Drums", "midi"), ("Bass", "midi")))
    for track, device in zip(world.tracks, ("ResonantGen", "Operator"), strict=True):
        track._set("devices", [Device(world, name=device)])
    tracks = [part("drums", daw_track=1), part("bass", daw_track=2)]
    folder = leave_print(tmp_path / "p", kind="midi", tracks=tracks)
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 2)]
    assert [(name, slots[0]) for name, slots in names(world)] == [
        ("Drums", None),
        ("Bass", "night bass"),
        ("drums", "night drums"),
    ]


@pytest.mark.parametrize("version", [(11, 3, 20), (12, 0, 4)], ids=str)
def test_an_older_live_gets_notes_in_place_of_sound(tmp_path: Path, version: tuple[int, int, int]) -> None:
    world = World(version, (("drums", "audio"), ("bass", "midi")))
    folder = leave_print(tmp_path / "p")
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 2)]
    assert [track.has_midi_input for track in world.tracks] == [False, True, True]
    assert [bool(track._clips()[0]) for track in world.tracks] == [False, True, True]


def test_the_track_that_is_asked_for_comes_before_its_name(tmp_path: Path) -> None:
    world = World(tracks=(("drums", "audio"), ("Kick", "audio"), ("Plugin", "midi")))
    tracks = [part("drums", daw_track=2), part("bass", daw_track=3)]  # the plugin's track takes no sound
    folder = leave_print(tmp_path / "p", tracks=tracks)
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 2)]
    assert [name for name, slots in names(world) if slots[0]] == ["Kick", "bass"]
    tracks = [part("drums", daw_track=99)]
    folder = leave_print(tmp_path / "q", tracks=tracks)
    assert printed(world, folder) == [("/daw/printed", str(folder), 1, 1)]
    assert names(world)[0][1][0] == "night drums"


def test_an_armed_track_is_never_touched(tmp_path: Path) -> None:
    world = World(tracks=(("Drums", "audio", True), ("Bass", "audio")), scenes=1)
    folder = leave_print(tmp_path / "p")
    told = printed(world, folder, scene=1)
    assert told == [
        ("/daw/error", 'Not printed: drums. Track "Drums" is armed.'),
        ("/daw/printed", str(folder), 1, 1),
    ]
    before = world.tracks[1]._clips()
    world.arm(world.tracks[1])
    assert printed(world, folder, scene=1)[-1] == ("/daw/printed", str(folder), 0, 0)
    assert [track._clips() for track in world.tracks] == [[None], before]
    assert all(track.arm for track in world.tracks)


def test_the_first_scene_that_is_free_for_all_of_them_is_taken(tmp_path: Path) -> None:
    world = World(tracks=(("drums", "audio"), ("bass", "audio"), ("Other", "audio")), scenes=3)
    one = leave_print(tmp_path / "one", roles=("drums",))
    assert printed(world, one)[0][2] == 1
    assert printed(world, leave_print(tmp_path / "two"))[0][2] == 2
    assert printed(world, leave_print(tmp_path / "three", name="dawn"), scene=1)[0][2] == 1
    assert [slots for _, slots in names(world)][:2] == [
        ["dawn drums", "night drums", None],
        ["dawn bass", "night bass", None],
    ]
    assert printed(world, one)[0][2] == 3
    assert printed(world, one)[0][2] == 4
    assert len(world.song.scenes) == 4


def test_a_frozen_track_and_a_group_take_no_clip(tmp_path: Path) -> None:
    world = World(tracks=(("drums", "audio"), ("bass", "group")))
    world.tracks[0]._set("is_frozen", True)
    folder = leave_print(tmp_path / "p")
    told = printed(world, folder)
    assert told[0] == ("/daw/error", 'Track "drums" is frozen. Unfreeze it to print the drums.')
    assert told[1] == ("/daw/printed", str(folder), 1, 1)
    assert [(name, bool(slots[0])) for name, slots in names(world)] == [
        ("drums", False),
        ("bass", False),
        ("bass", True),
    ]


def test_a_part_without_its_file_keeps_the_clip_that_is_there(tmp_path: Path) -> None:
    world = World(tracks=(("drums", "audio"), ("bass", "audio")))
    folder = leave_print(tmp_path / "p")
    printed(world, folder, scene=1)
    (folder / "drums.wav").unlink()
    old = world.tracks[0]._clips()[0]
    told = printed(world, folder, scene=1)
    assert told[0][0] == "/daw/error" and "drums" in told[0][1]
    assert told[1] == ("/daw/printed", str(folder), 1, 1)
    assert world.tracks[0]._clips()[0] is old


def broken(change: Callable[[dict[str, Any]], object]) -> str:
    index = {
        "version": 1,
        "name": "n",
        "tempo": 120.0,
        "meter": "4/4",
        "bars": 2,
        "kind": "midi",
        "tracks": [part("drums")],
    }
    change(index)
    return json.dumps(index)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="no JSON"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[]", id="a list"),
        pytest.param("\ud800", id="no text"),
        pytest.param(broken(lambda index: index.update(version=2)), id="newer"),
        *(
            pytest.param(broken(lambda index, key=key: index.pop(key)), id=f"no {key}")
            for key in ("name", "bars", "kind")
        ),
        *(
            pytest.param(broken(lambda index, values=values: index.update(values)), id=str(values))
            for values in (
                {"meter": "4"},
                {"meter": 4},
                {"meter": "0/4"},
                {"meter": "4/0"},
                {"meter": "4/3"},
                {"bars": 0},
                {"bars": 1e9},
                {"bars": float("nan")},
                {"bars": "8"},
                {"kind": "video"},
                {"tracks": None},
                {"tracks": [3]},
                {"tracks": [{"role": "drums", "wav": "../../etc/passwd"}]},
                {"tracks": [{"role": "drums", "wav": 3}]},
                {"tracks": [{"role": "drums", "daw_track": 0}]},
                {"tracks": [{"role": "drums", "notes": [[0, 1, 200, 1]]}]},
                {"tracks": [{"role": "drums", "notes": [[0, 1, 60]]}]},
                {"tracks": [{"role": "drums", "notes": [[-1, 1, 60, 1]]}]},
                {"tracks": [{"role": "drums", "notes": [["x", 1, 60, 1]]}]},
            )
        ),
    ],
)
def test_a_print_that_cannot_be_read_changes_nothing(tmp_path: Path, text: str) -> None:
    world = World(tracks=(("drums", "midi"),))
    (tmp_path / "print.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    before = names(world)
    (told,) = printed(world, tmp_path)
    assert told[0] == "/daw/error" and "print.json" in told[1] and "\n" not in told[1]
    assert names(world) == before and world.undo_steps == 0


@pytest.mark.parametrize("scene", [5, -1, 2**31 - 1])
def test_a_scene_that_is_not_there_is_said(tmp_path: Path, scene: int) -> None:
    world = World(tracks=(("drums", "audio"),))
    assert printed(world, leave_print(tmp_path / "p"), scene) == [
        ("/daw/error", f"There is no scene {scene}: the Set has 4.")
    ]


def test_no_print_in_that_folder(tmp_path: Path) -> None:
    ((address, line),) = printed(World(), tmp_path / "none")
    assert address == "/daw/error" and "cannot be read" in line
