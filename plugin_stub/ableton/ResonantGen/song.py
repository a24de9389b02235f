"""Live's song: tempo, meter, key, transport and position, told as they change; tempo and transport set as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .guard import Listeners, Log
from .link import Link

if TYPE_CHECKING:
    from Live.Song import Song

TEMPO_STEP_BPM = 0.001  # less is rounding: OSC's floats have 24 bits


class SongWatch:
    def __init__(self, song: Song, link: Link, log: Log) -> None:
        self._song = song
        self._link = link
        self._log = log
        self._listeners = Listeners(log)
        self._tempo: float | None = None  # as told last
        self._playing: bool | None = None
        for what, call in (
            ("tempo", self._tell_tempo),
            ("signature_numerator", self._tell_meter),
            ("signature_denominator", self._tell_meter),
            ("root_note", self._tell_key),
            ("scale_name", self._tell_key),
            ("is_playing", self._tell_playing),
            ("current_song_time", self._tell_position),
        ):
            self._listeners.add(song, what, call)

    def close(self) -> None:
        self._listeners.remove_all()

    # -- told, also inside Live's listeners: nothing here changes the Set ---------------------------------------------

    def tell_all(self) -> None:
        """Everything, to an engine that knows nothing yet."""
        self._tempo = self._playing = None
        for tell in (self._tell_tempo, self._tell_meter, self._tell_key, self._tell_position, self._tell_playing):
            self._log.guarded(tell)()

    def _tell_tempo(self) -> None:
        tempo = float(self._song.tempo)
        if self._tempo is None or abs(tempo - self._tempo) >= TEMPO_STEP_BPM:
            self._tempo = tempo
            self._link.tell("/daw/tempo", tempo)

    def _tell_meter(self) -> None:
        self._link.tell("/daw/meter", self._song.signature_numerator, self._song.signature_denominator)

    def _tell_key(self) -> None:
        self._link.tell("/daw/key", self._song.root_note, self._song.scale_name)

    def _tell_playing(self) -> None:
        playing = bool(self._song.is_playing)
        if playing != self._playing:
            self._playing = playing
            self._link.tell("/daw/playing", playing)

    def _tell_position(self) -> None:
        self._link.tell("/daw/position", float(self._song.current_song_time))

    # -- set, on Live's tick only -------------------------------------------------------------------------------------

    def set_tempo(self, tempo: float) -> None:
        """The engine is told what came of it, whatever that is."""
        self._tempo = None
        try:
            if abs(tempo - float(self._song.tempo)) >= TEMPO_STEP_BPM:
                self._song.tempo = tempo
        finally:
            self._tell_tempo()

    def set_playing(self, on: bool) -> None:
        """The engine is told what came of it."""
        self._playing = None
        try:
            if on and not self._song.is_playing:
                self._song.start_playing()
            elif not on and self._song.is_playing:
                self._song.stop_playing()
        finally:
            self._tell_playing()
