"""What Live calls. Messages from the engine are taken on Live's tick, since a listener must not change the Set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import Live

from .clips import ClipWriter, PrintError
from .guard import Log
from .link import Link
from .song import SongWatch
from .tracks import TrackWatch

if TYPE_CHECKING:
    from .osc import Argument


class ResonantGen:
    def __init__(self, c_instance: Any) -> None:
        self._log = Log(c_instance)
        song = c_instance.song()
        application = Live.Application.get_application()
        numbers = application.get_major_version(), application.get_minor_version(), application.get_bugfix_version()
        self._link = Link(self._log, ".".join(str(number) for number in numbers))
        self._song = SongWatch(song, self._link, self._log)
        self._tracks = TrackWatch(song, self._link, self._log)
        self._clips = ClipWriter(song)
        self._tick = self._log.guarded(self._do_tick)
        self._do_safely = self._log.guarded(self._do)
        self._closed = False

    # -- called by Live -----------------------------------------------------------------------------------------------

    def update_display(self) -> None:
        """Live's tick, about every 100 ms."""
        if not self._closed:
            self._tick()

    def disconnect(self) -> None:
        """The script is taken out, or the Set is closed."""
        if self._closed:
            return
        self._closed = True
        for close in (self._song.close, self._tracks.close, self._link.close):
            self._log.guarded(close)()

    def refresh_state(self) -> None:
        """Nothing to be drawn."""

    def build_midi_map(self, midi_map_handle: Any) -> None:
        """No MIDI is taken."""

    def receive_midi(self, midi_bytes: Any) -> None:
        """None is asked for."""

    def receive_midi_chunk(self, midi_chunk: Any) -> None:
        """None is asked for."""

    def connect_script_instances(self, instanciated_scripts: Any) -> None:
        """Other scripts are not spoken to."""

    def port_settings_changed(self) -> None:
        """No MIDI port is used."""

    def can_lock_to_devices(self) -> bool:
        return False

    def supports_pad_translation(self) -> bool:
        return False

    def suggest_input_port(self) -> str:
        return ""

    def suggest_output_port(self) -> str:
        return ""

    def suggest_map_mode(self, cc_no: int, channel: int) -> int:
        return -1  # as Live likes

    def suggest_needs_takeover(self, cc_no: int, channel: int) -> bool:
        return True

    # -- done ---------------------------------------------------------------------------------------------------------

    def _do_tick(self) -> None:
        for address, arguments in self._link.received():
            self._do_safely(address, arguments)
        self._tracks.tick()
        self._link.greet()

    def _do(self, address: str, arguments: list[Argument]) -> None:
        """One message of the engine's. Raises whatever its arguments lead to."""
        if address == "/daw/welcome":
            if self._link.welcomed(_whole(arguments[0])):
                self._song.tell_all()
                self._tracks.tell_all()
        elif not self._link.connected:
            return  # it greets first
        elif address == "/daw/tempo":
            self._song.set_tempo(float(arguments[0]))
        elif address == "/daw/play":
            self._song.set_playing(_whole(arguments[0]) != 0)
        elif address == "/daw/arm":
            self._tracks.arm(_whole(arguments[0]), _whole(arguments[1]) != 0)
        elif address == "/daw/print":
            self._print(str(arguments[0]), _whole(arguments[1]))
        else:
            raise ValueError(f"the engine sent {address}, which this script is too old for")

    def _print(self, folder: str, scene: int) -> None:
        try:
            printed = self._clips.write(folder, scene)
        except PrintError as error:
            self._link.tell("/daw/error", str(error))
            return
        for problem in printed.problems:
            self._link.tell("/daw/error", problem)
        self._link.tell("/daw/printed", folder, printed.scene, printed.clips)


def _whole(value: Argument) -> int:
    """Raises ValueError: it is no whole number."""
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value
