"""A strict Ableton Live for tests: what its objects have, and how it is called, is read from ableton-live-stubs.

As in Live: an unknown name, a wrong number of arguments, a read-only property that is set, a group's arm, whatever is
asked of a deleted track, and any change of the Set inside a listener raise. What raised is also kept in `World.wrong`,
since scripts may catch it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import soundfile

from live_surface import LiveObject, Vector, constants, surface

SHADOW_BEATS = 1 / 32  # Live's last warp marker is so far behind the last one that is seen


class World:
    """A Set that is open in Live, and what the script does to it."""

    def __init__(
        self, version: tuple[int, int, int] = (12, 1, 0), tracks: tuple[Any, ...] = (), scenes: int = 4
    ) -> None:
        self.objects: list[LiveObject] = []
        self.wrong: list[str] = []  # what would have raised in Live
        self.changed: list[str] = []  # by the script
        self.logged: list[str] = []
        self.notifying = 0  # how many listeners are being called now
        self.undo_steps = 0
        self.version = version
        self.missing: dict[str, tuple[str, ...]] = {} if version >= (12, 0, 5) else {"ClipSlot": ("create_audio_clip",)}
        self.guess: Callable[[float], tuple[float, float]] = lambda seconds: (0.0, 120.0)  # where beat 0 is, and BPM
        self.transients: list[tuple[float, float]] = []  # more markers that it sets: seconds, beats
        self.song = Song(
            self,
            tempo=120.0,
            signature_numerator=4,
            signature_denominator=4,
            root_note=0,
            scale_name="Major",
            is_playing=False,
            current_song_time=0.0,
            tracks=[],
            scenes=[],
            return_tracks=[],
        )
        self.song._values["scenes"] = [Scene(self, name="") for _ in range(scenes)]
        self.song._values["tracks"] = [self.make(*each) for each in tracks]
        self.song._values["return_tracks"] = [self.make("A-Reverb", "return")]

    def make(self, name: str, kind: str = "midi", arm: bool = False) -> Track:
        """A track of the kind "midi", "audio", "group" or "return", which is nowhere yet."""
        track = Track(
            self,
            name=name,
            arm=arm,
            can_be_armed=kind in ("midi", "audio"),
            is_foldable=kind == "group",
            is_frozen=False,
            has_audio_input=kind in ("audio", "group"),
            has_midi_input=kind == "midi",
            clip_slots=[],
            devices=[],
        )
        track._values["clip_slots"] = [Slot(self, track) for _ in self.song.scenes]
        return track

    # -- what the user does -------------------------------------------------------------------------------------------

    @property
    def tracks(self) -> list[Track]:
        return list(self.song._values["tracks"])

    def put(self, *tracks: Track) -> None:
        """These are the Set's tracks now, in this order; others are deleted."""
        for gone in [track for track in self.tracks if track not in tracks]:
            gone._delete()
        self.song._set("tracks", list(tracks))

    def arm(self, track: Track, on: bool = True, *, exclusive: bool = False) -> None:
        for other in self.tracks if exclusive and on else ():
            if other is not track and other._values["can_be_armed"]:
                other._set("arm", False)
        track._set("arm", on)

    # -- what is noticed ----------------------------------------------------------------------------------------------

    @property
    def listeners(self) -> int:
        """How many are on any object."""
        return sum(len(listeners) for each in self.objects for listeners in each._listeners.values())

    def fails(self, error: Exception, *, expected: bool = False) -> Exception:
        if not expected:
            self.wrong.append(str(error))
        return error

    def changes(self, what: str) -> None:
        """The script changes the Set."""
        if self.notifying:
            raise self.fails(RuntimeError(f"{what}: Changes cannot be triggered by notifications."))
        self.changed.append(what)

    def module(self) -> ModuleType:
        """What scripts import as `Live`."""
        application = SimpleNamespace(
            get_major_version=lambda: self.version[0],
            get_minor_version=lambda: self.version[1],
            get_bugfix_version=lambda: self.version[2],
        )
        assert vars(application).keys() <= surface("Application").names
        slot = dict.fromkeys(surface("ClipSlot").names - set(self.missing.get("ClipSlot", ())))
        live: Any = ModuleType("Live")
        live.Application = SimpleNamespace(get_application=lambda: application)
        live.ClipSlot = SimpleNamespace(ClipSlot=type("ClipSlot", (), slot))
        live.Clip = SimpleNamespace(
            WarpMarker=Marker,
            MidiNoteSpecification=NoteSpecification,
            WarpMode=SimpleNamespace(**constants("Clip", "WarpMode")),
        )
        return live  # type: ignore[no-any-return]


class Control:
    """Live's `c_instance`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def song(self) -> Song:
        return self._world.song

    def log_message(self, line: str) -> None:
        assert isinstance(line, str)
        self._world.logged.append(line)


class Song(LiveObject):
    kind = "Song"

    def check_tempo(self, tempo: float) -> None:
        if not 20 <= tempo <= 999:
            raise self._world.fails(RuntimeError("tempo out of range"))

    def do_start_playing(self) -> None:
        self._world.changes("start_playing")
        self._set("is_playing", True)

    def do_stop_playing(self) -> None:
        self._world.changes("stop_playing")
        self._set("is_playing", False)

    def do_begin_undo_step(self) -> None:
        self._world.undo_steps += 1

    def do_end_undo_step(self) -> None:
        assert self._world.undo_steps % 2 == 1, "an end without a beginning"
        self._world.undo_steps += 1

    def do_create_audio_track(self, index: int | None = None) -> Track:
        return self._created("audio", index)

    def do_create_midi_track(self, index: int | None = None) -> Track:
        return self._created("midi", index)

    def _created(self, kind: str, index: int | None) -> Track:
        assert index == -1, "the fake knows the end only"
        self._world.changes(f"create_{kind}_track")
        track = self._world.make(kind, kind)
        self._set("tracks", [*self._values["tracks"], track])
        return track

    def do_create_scene(self, index: int) -> Scene:
        assert index == -1, "the fake knows the end only"
        self._world.changes("create_scene")
        scene = Scene(self._world, name="")
        self._set("scenes", [*self._values["scenes"], scene])
        for track in self._values["tracks"]:
            track._values["clip_slots"].append(Slot(self._world, track))
        return scene


class Scene(LiveObject):
    kind = "Scene"


class Track(LiveObject):
    kind = "Track"

    def _get(self, name: str) -> Any:
        if name == "arm" and not self._values["can_be_armed"]:
            raise self._world.fails(RuntimeError("Main and groups have no arm"))
        return super()._get(name)

    def check_arm(self, _: bool) -> None:
        if not self._values["can_be_armed"]:
            raise self._world.fails(RuntimeError("Main and groups have no arm"))

    def _method(self, name: str) -> Callable[..., Any]:
        if "arm_listener" in name and not self._values["can_be_armed"]:
            raise self._world.fails(RuntimeError("Main and groups have no arm"))
        return super()._method(name)

    def _clips(self) -> list[Clip | None]:
        return [slot._values["clip"] for slot in self._values["clip_slots"]]


class Device(LiveObject):
    kind = "Device"


class Slot(LiveObject):
    kind = "ClipSlot"

    def __init__(self, world: World, track: Track) -> None:
        super().__init__(world, clip=None)
        self.__dict__["_track"] = track

    def _get(self, name: str) -> Any:
        return self._values["clip"] is not None if name == "has_clip" else super()._get(name)

    def do_delete_clip(self) -> None:
        self._may_change("delete_clip", self._values["clip"] is not None)
        self._values["clip"]._delete()
        self._values["clip"] = None

    def do_create_clip(self, length: float) -> Clip:
        self._may_change("create_clip", self._values["clip"] is None and self._track.has_midi_input and length > 0)
        return self._own(Clip(self._world, is_audio_clip=False, loop_end=length, end_marker=length))

    def do_create_audio_clip(self, path: str) -> Clip:
        fits = self._values["clip"] is None and self._track.has_audio_input and Path(path).is_absolute()
        self._may_change("create_audio_clip", fits)
        sound = soundfile.info(path)  # raises, as Live does
        clip = Clip(self._world, is_audio_clip=True, loop_end=1.0, end_marker=1.0, looping=False)
        clip._take(path, sound.frames, sound.samplerate)
        return self._own(clip)

    def _own(self, clip: Clip) -> Clip:
        self._values["clip"] = clip
        return clip

    def _may_change(self, what: str, fits: bool) -> None:
        self._world.changes(what)
        if not fits or self._track._values["is_frozen"] or self._track._values["is_foldable"]:
            raise self._world.fails(RuntimeError(f"{what} does not suit this slot"))


class Marker:
    """As `Live.Clip.WarpMarker`: seconds and beats."""

    def __init__(self, sample_time: float, beat_time: float) -> None:
        self.sample_time = float(sample_time)
        self.beat_time = float(beat_time)


class NoteSpecification:
    """As `Live.Clip.MidiNoteSpecification`."""

    def __init__(self, pitch: int, start_time: float, duration: float, velocity: float = 100.0) -> None:
        assert 0 <= pitch <= 127 and start_time >= 0 and duration > 0 and 1 <= velocity <= 127
        self.note = (start_time, duration, pitch, velocity)


class Clip(LiveObject):
    kind = "Clip"

    def __init__(self, world: World, **values: Any) -> None:
        start = {"name": "", "looping": True, "loop_start": 0.0, "start_marker": 0.0, "signature_numerator": 4}
        super().__init__(world, **(start | {"signature_denominator": 4} | values))
        self.__dict__.update(_notes=[], _markers=[])

    def _take(self, path: str, frames: int, rate: int) -> None:
        """As Live does with a file: warped as it guesses."""
        begin, bpm = self._world.guess(frames / rate)
        self._values.update(
            file_path=path,
            sample_length=frames,
            sample_rate=float(rate),
            warping=True,
            warp_mode=0,
            available_warp_modes=[0, 1, 2, 3, 4, 6],
        )
        self._markers[:] = [Marker(begin, 0.0), Marker(begin + SHADOW_BEATS * 60 / bpm, SHADOW_BEATS)]
        if self._world.transients:
            self._lay([self._markers[0], *(Marker(*each) for each in self._world.transients)])

    def _get(self, name: str) -> Any:
        return Vector(self._markers) if name == "warp_markers" else super()._get(name)

    def check_looping(self, on: bool) -> None:
        if on and self._values["is_audio_clip"] and not self._values["warping"]:
            raise self._world.fails(RuntimeError("only warped clips loop"))

    def check_loop_start(self, beats: float) -> None:
        self._in_order(beats, self._values["loop_end"])

    def check_loop_end(self, beats: float) -> None:
        self._in_order(self._values["loop_start"], beats)

    def check_start_marker(self, beats: float) -> None:
        self._in_order(beats, self._values["end_marker"])

    def check_end_marker(self, beats: float) -> None:
        self._in_order(self._values["start_marker"], beats)

    def _in_order(self, start: float, end: float) -> None:
        if start >= end:
            raise self._world.fails(RuntimeError("a clip cannot end before it starts"))

    def do_add_new_notes(self, notes: Any) -> Vector:
        self._world.changes("add_new_notes")
        self._notes.extend(specification.note for specification in notes)
        return Vector(list(range(len(self._notes))))

    def do_sample_to_beat_time(self, frames: float) -> float:
        if not self._values["warping"]:
            raise self._world.fails(RuntimeError("not warped"))
        seconds = frames / self._values["sample_rate"]
        after = next((i for i, marker in enumerate(self._markers) if marker.sample_time > seconds), len(self._markers))
        first = min(max(after - 1, 0), len(self._markers) - 2)
        one, two = self._markers[first : first + 2]
        slope = (two.beat_time - one.beat_time) / (two.sample_time - one.sample_time)
        return float(one.beat_time + (seconds - one.sample_time) * slope)

    def do_add_warp_marker(self, marker: Marker) -> None:
        self._world.changes("add_warp_marker")
        self._lay([*self._markers[:-1], marker])

    def do_remove_warp_marker(self, beats: float) -> None:
        self._world.changes("remove_warp_marker")
        kept = [marker for marker in self._markers[:-1] if marker.beat_time != beats]
        if not kept or len(kept) == len(self._markers) - 1:
            raise self._world.fails(RuntimeError("that marker cannot be removed"))
        self._lay(kept)

    def do_move_warp_marker(self, beats: float, distance: float) -> None:
        self._world.changes("move_warp_marker")
        if not distance or all(marker.beat_time != beats for marker in self._markers[:-1]):
            raise self._world.fails(RuntimeError("there is nothing to be moved"))
        self._lay(
            [
                Marker(each.sample_time, each.beat_time + distance * (each.beat_time == beats))
                for each in self._markers[:-1]
            ]
        )

    def _lay(self, markers: list[Marker]) -> None:
        """These are the markers that are seen; behind them, Live's own goes on at the same tempo."""
        markers = sorted(markers, key=lambda marker: marker.sample_time)
        if any(a.beat_time >= b.beat_time or a.sample_time >= b.sample_time for a, b in pairwise(markers)):
            raise self._world.fails(RuntimeError("warp markers cannot cross"))
        one, two = markers[-2:] if len(markers) > 1 else self._markers[-2:]
        beat_seconds = (two.sample_time - one.sample_time) / (two.beat_time - one.beat_time)
        last = markers[-1]
        shadow = Marker(last.sample_time + SHADOW_BEATS * beat_seconds, last.beat_time + SHADOW_BEATS)
        self._markers[:] = [*markers, shadow]
