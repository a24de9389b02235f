"""Writes a print into clip slots of the Session View. On Live's tick only; one step of Live's undo.

Which track: the one with the number that the print gives, else the first of the right kind that is called as the part,
else a new one. A track of the wrong kind, such as the MIDI track that the plugin is on, is left alone. So is an armed
one: it is frozen; what is to be written there is passed over, and that is said. New tracks and scenes are put last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import Live

from .prints import Part, Print, PrintError, read_print

if TYPE_CHECKING:
    from Live.Clip import Clip
    from Live.ClipSlot import ClipSlot
    from Live.Device import Device
    from Live.Song import Song
    from Live.Track import Track

__all__ = ["ClipWriter", "PrintError", "Printed"]

PLUGIN = "ResonantGen"  # as Live shows it
_EXACT_QUARTERS = 1e-3  # a clip that is off by less is in time
# Modes of warping that change nothing at the clip's own tempo, as Complex would.
_WARP_MODES = {"drums": "beats", "bass": "tones", "melody": "tones", "harmony": "texture"}


class Printed(NamedTuple):
    scene: int  # from 1; 0: nothing was written
    clips: int
    problems: list[str]  # a line for each part that was not written


class _Place(NamedTuple):
    part: Part
    track: Track
    audio: bool


class ClipWriter:
    def __init__(self, song: Song) -> None:
        self._song = song

    def write(self, folder: str, scene: int) -> Printed:
        """Put a print into a scene (from 1), or 0: the first where all its slots are empty. Raises PrintError."""
        whole = read_print(folder)
        if not 0 <= scene <= len(self._song.scenes):
            raise PrintError(f"There is no scene {scene}: the Set has {len(self._song.scenes)}.")
        self._song.begin_undo_step()
        try:
            return self._write(whole, scene)
        finally:
            self._song.end_undo_step()

    def _write(self, whole: Print, scene: int) -> Printed:
        problems: list[str] = []
        places: list[_Place] = []
        for part in whole.parts:
            try:
                places.append(self._place(part, whole.kind == "audio"))
            except PrintError as error:
                problems.append(str(error))
        if not places:
            return Printed(0, 0, problems)
        index = scene - 1 if scene else self._empty_scene(places)
        clips = 0
        for place in places:
            try:
                _fill(_slot(place, index), place, whole)
                clips += 1
            except Exception as error:  # of Live's own: the other parts are written
                problems.append(f"The {place.part.role} cannot be put into a clip: {error}")
        return Printed(index + 1, clips, problems)

    def _place(self, part: Part, audio: bool) -> _Place:
        """Where a part goes, with a track made if need be. Raises PrintError."""
        if audio and (part.wav is None or not part.wav.is_file()):
            raise PrintError(f"The print holds no sound of the {part.role}. Print again.")
        audio = audio and self._has_audio_clips()
        track = self._track_of(part, audio)
        if track is None:
            try:
                track = self._song.create_audio_track(-1) if audio else self._song.create_midi_track(-1)
            except Exception as error:  # an edition of Live that is limited to eight
                raise PrintError(f"No track can be made for the {part.role}: {error}") from None
            track.name = part.role
            if track.can_be_armed and track.arm:
                track.arm = False  # a preference of Live's arms what is new
        elif track.can_be_armed and track.arm:
            raise PrintError(f"Not printed: {part.role}. Track {_quoted(track)} is armed.")
        elif track.is_frozen:
            raise PrintError(f"Track {_quoted(track)} is frozen. Unfreeze it to print the {part.role}.")
        return _Place(part, track, audio)

    def _track_of(self, part: Part, audio: bool) -> Track | None:
        tracks: list[Track] = list(self._song.tracks)
        if part.daw_track is not None and part.daw_track <= len(tracks):
            asked = tracks[part.daw_track - 1]
            if _suits(asked, audio):
                return asked
        for track in tracks:
            if track.name.strip().lower() == part.role.lower() and _suits(track, audio):
                return track
        return None

    def _has_audio_clips(self) -> bool:
        """Live 12.0.5 and later put a sound file into a slot."""
        return hasattr(Live.ClipSlot.ClipSlot, "create_audio_clip")

    def _empty_scene(self, places: list[_Place]) -> int:
        """From 0; a new one if there is none."""
        for index in range(len(self._song.scenes)):
            if not any(_slot(place, index).has_clip for place in places):
                return index
        self._song.create_scene(-1)
        return len(self._song.scenes) - 1


def _slot(place: _Place, scene: int) -> ClipSlot:
    slot: ClipSlot = place.track.clip_slots[scene]
    return slot


def _suits(track: Track, audio: bool) -> bool:
    """Groups take neither. Notes on a track with our plugin would play it, not what they are printed for."""
    if track.is_foldable or not (track.has_audio_input if audio else track.has_midi_input):
        return False
    devices: list[Device] = list(track.devices)
    return audio or all(device.name != PLUGIN for device in devices)


def _quoted(track: Track) -> str:
    return f'"{track.name}"'


def _fill(slot: ClipSlot, place: _Place, whole: Print) -> None:
    """Put the clip there, in place of what is there. Raises what Live does."""
    if slot.has_clip:
        slot.delete_clip()
    if place.audio:
        clip = slot.create_audio_clip(str(place.part.wav))
        _warp(clip, place.part, whole.quarters)
    else:
        clip = slot.create_clip(whole.quarters)
        clip.add_new_notes(
            tuple(
                Live.Clip.MidiNoteSpecification(
                    pitch=note.pitch, start_time=note.start, duration=note.length, velocity=float(note.velocity)
                )
                for note in place.part.notes
            )
        )
    clip.name = f"{whole.name} {place.part.role}"
    clip.signature_numerator, clip.signature_denominator = whole.numerator, whole.denominator
    clip.looping = True
    clip.loop_start, clip.loop_end = 0.0, whole.quarters
    clip.start_marker, clip.end_marker = 0.0, whole.quarters


def _warp(clip: Clip, part: Part, quarters: float) -> None:
    """Stretch the whole file over its bars, so that it plays in the Set's tempo, whatever Live took it for."""
    clip.warping = True
    mode: Any = getattr(Live.Clip.WarpMode, _WARP_MODES.get(part.role, "texture"))
    if mode in clip.available_warp_modes:
        clip.warp_mode = mode
    if _off(clip, quarters) < _EXACT_QUARTERS:
        return
    seconds = clip.sample_length / clip.sample_rate
    markers: list[Live.Clip.WarpMarker] = list(clip.warp_markers)
    for marker in markers[1:-1]:  # the last one is Live's own and cannot be taken off
        clip.remove_warp_marker(marker.beat_time)
    first = markers[0]
    distance = first.sample_time * quarters / seconds - first.beat_time
    if distance:
        clip.move_warp_marker(first.beat_time, distance)
    clip.add_warp_marker(Live.Clip.WarpMarker(seconds, quarters))
    if _off(clip, quarters) >= _EXACT_QUARTERS:
        raise ValueError(f"Live warps it {_off(clip, quarters):.3f} beats off; set the clip's tempo by hand")


def _off(clip: Clip, quarters: float) -> float:
    """How far the file's two ends, and the markers between them, are from where they belong, in quarter notes."""
    begin, end = clip.sample_to_beat_time(0.0), clip.sample_to_beat_time(float(clip.sample_length))
    beats_a_second = quarters * clip.sample_rate / clip.sample_length
    markers: list[Live.Clip.WarpMarker] = list(clip.warp_markers)
    between = [abs(marker.beat_time - marker.sample_time * beats_a_second) for marker in markers]
    return max(abs(begin), abs(end - quarters), *between)
