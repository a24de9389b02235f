"""Live's tracks: their names and whether they are armed, numbered from 1 as they stand; returns and Main are none.

Groups cannot be armed, and to ask for it is an error. When tracks come, go or move, every listener is set anew on
Live's next tick, and until then no number is told, since it may be another track's by now.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .guard import Listeners, Log
from .link import Link

if TYPE_CHECKING:
    from Live.Song import Song
    from Live.Track import Track

MAX_TRACKS = 999


class TrackWatch:
    def __init__(self, song: Song, link: Link, log: Log) -> None:
        self._song = song
        self._link = link
        self._log = log
        self._of_song = Listeners(log)
        self._of_tracks = Listeners(log)
        self._moved = True
        self._of_song.add(song, "tracks", self._tracks_moved)

    def close(self) -> None:
        self._of_song.remove_all()
        self._of_tracks.remove_all()

    def tick(self) -> None:
        """List the tracks again if they have moved."""
        if not self._moved:
            return
        self._moved = False
        self._of_tracks.remove_all()
        tracks: list[Track] = list(self._song.tracks)
        for number, track in enumerate(tracks[:MAX_TRACKS], start=1):
            self._of_tracks.add(track, "name", partial(self._changed, number))
            if track.can_be_armed:
                self._of_tracks.add(track, "arm", partial(self._changed, number))
        self.tell_all()

    def tell_all(self) -> None:
        if self._moved:
            return  # the next tick tells
        count = min(len(self._song.tracks), MAX_TRACKS)
        self._link.tell("/daw/tracks", count)
        for number in range(1, count + 1):
            self._log.guarded(self._tell)(number)

    def arm(self, number: int, on: bool) -> None:
        """Arm a track or not, unless tracks have moved: the engine does not know yet. On Live's tick only."""
        if self._moved or not 1 <= number <= len(self._song.tracks):
            return
        track: Track = self._song.tracks[number - 1]
        if track.can_be_armed and bool(track.arm) != on:
            track.arm = on

    def _tracks_moved(self) -> None:
        self._moved = True

    def _changed(self, number: int) -> None:
        if not self._moved:
            self._tell(number)

    def _tell(self, number: int) -> None:
        track: Track = self._song.tracks[number - 1]
        can_be_armed = bool(track.can_be_armed)
        armed = can_be_armed and bool(track.arm)
        self._link.tell("/daw/track", number, track.name, can_be_armed, armed)
