"""MIDI ports of this machine: listed, opened, and opened again when they come back.

Ports belong to one thread, but for two things: `receive` is called in a thread of the port's own, and any one thread
sends. What arrives is fetched, not called back: JACK ends a client by cancelling its thread, and if that thread is on
its way into Python just then, it takes Python's lock with it and the whole process stands still.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import rtmidi

from resonantgen.errors import DeviceError, quoted

CLIENT: Final = "ResonantGen"  # what other programs see
DEFAULT_PORT: Final = "default"  # as VIRTUAL_PORT
_POLL_SECONDS: Final = 0.001
_QUEUED_MESSAGES: Final = 4096  # that arrive between two looks
_STALE_SECONDS: Final = 0.05  # times that are further from now than this are not believed
VIRTUAL_PORT: Final = "virtual"  # a port of our own, for others to connect to

Receive: TypeAlias = Callable[[Sequence[int], float], None]  # a message, and time.monotonic() when it came

_OWN = re.compile(rf"{CLIENT}(-\d+)?:")  # JACK numbers clients of the same name
_ALSA_NUMBERS = re.compile(r" \d+:\d+$")  # of client and port; they differ after each start
_SYSTEMS = {
    rtmidi.API_LINUX_ALSA: "ALSA",
    rtmidi.API_UNIX_JACK: "JACK",
    rtmidi.API_MACOSX_CORE: "CoreMIDI",
    rtmidi.API_WINDOWS_MM: "Windows",
}


@dataclass(frozen=True, slots=True)
class MidiPorts:
    """What is there."""

    system: str  # "ALSA", "JACK", "CoreMIDI", "Windows"
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def list_ports() -> MidiPorts:
    """What could be opened now. Raises DeviceError if this machine has no MIDI system that runs."""
    source, sink = _client(rtmidi.MidiIn), _client(rtmidi.MidiOut)
    try:
        system = _SYSTEMS.get(source.get_current_api(), "MIDI")
        return MidiPorts(system, _others(source), _others(sink))
    finally:
        source.delete()
        sink.delete()


class MidiPort:
    """One port, in or out: named, in part or in whole, or our own. Made closed."""

    def __init__(self, name: str = DEFAULT_PORT, receive: Receive | None = None) -> None:
        """With `receive`, an input: it is called with each message, in the port's thread, and must not raise."""
        self._wanted = name
        self._receive = receive
        self._client: Any = None
        self._fetching: threading.Thread | None = None
        self._closing = threading.Event()
        self._using = threading.Lock()  # a client that sends must not be deleted
        self._opened = ""  # the whole name of the other program's port; empty: our own

    @property
    def name(self) -> str:
        """What is open: a port's name, or that of our own; empty if none."""
        return "" if self._client is None else self._opened or CLIENT

    @property
    def virtual(self) -> bool:
        """Whether it is one of our own."""
        return self._wanted in (DEFAULT_PORT, VIRTUAL_PORT)

    def open(self) -> None:
        """Open it; nothing if it is open. Raises DeviceError; `check` will try again."""
        if self._client is not None:
            return
        client = _client(rtmidi.MidiIn if self._receive else rtmidi.MidiOut)
        try:
            if self._receive:
                client.ignore_types(sysex=True, timing=False, active_sense=True)
            self._opened = "" if self.virtual else find_port(self._wanted, client.get_ports())
            if self.virtual:
                client.open_virtual_port("in" if self._receive else "out")
            else:
                client.open_port(client.get_ports().index(self._opened), "in" if self._receive else "out")
        except (rtmidi.RtMidiError, NotImplementedError, ValueError) as error:
            client.delete()
            if self.virtual and sys.platform == "win32":
                raise DeviceError(
                    "Windows has no MIDI ports between programs of its own. Name a port: see resonantgen devices."
                ) from None
            raise DeviceError(f"The MIDI port {quoted(self._wanted)} cannot be opened: {error}") from None
        except DeviceError:
            client.delete()
            raise
        self._client = client
        if self._receive:
            self._closing.clear()
            self._fetching = threading.Thread(target=self._fetch, args=(client,), name="midi in", daemon=True)
            self._fetching.start()

    def send(self, message: Sequence[int]) -> None:
        """Send at once, from any one thread; nothing if it is not open. Raises DeviceError."""
        with self._using:
            if self._client is None:
                return
            try:
                self._client.send_message(message)
            except (rtmidi.RtMidiError, ValueError) as error:
                raise DeviceError(f"MIDI cannot be sent to {quoted(self.name)}: {error}") from None

    def check(self) -> DeviceError | bool:
        """Look after it, every second or so: an error when it has gone, True when it has come back."""
        if self._client is None:
            try:
                self.open()
            except DeviceError:
                return False
            return True
        if self._opened and self._opened not in self._client.get_ports():
            name = self._opened
            self.close()
            return DeviceError(f"The MIDI port {quoted(name)} has gone. It is used again when it comes back.")
        return False

    def close(self) -> None:
        with self._using:
            client, self._client = self._client, None
        if client is not None:
            self._closing.set()
            if self._fetching is not None:
                self._fetching.join()
                self._fetching = None
            client.close_port()
            client.delete()

    def _fetch(self, client: Any) -> None:
        """In the port's thread. A message brings the time since the one before it, as the MIDI system measured it."""
        assert self._receive is not None
        came = 0.0
        while not self._closing.wait(_POLL_SECONDS):
            while (event := client.get_message()) is not None:
                now = time.monotonic()
                expected = came + event[1]
                came = expected if now - _STALE_SECONDS < expected <= now else now
                self._receive(event[0], came)


def find_port(wanted: str, names: Sequence[str]) -> str:
    """The port that a name, without ALSA's numbers, or a part of it means. Raises DeviceError."""
    bare = _ALSA_NUMBERS.sub("", wanted).lower()
    for fits in (
        [name for name in names if name == wanted],
        [name for name in names if _ALSA_NUMBERS.sub("", name).lower() == bare],
        [name for name in names if bare in name.lower()],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise DeviceError(f"{quoted(wanted)} could be any of these MIDI ports: {', '.join(fits)}. Give more of it.")
    there = f"There are: {', '.join(names)}." if names else "There is none. Connect it, and it is used."
    raise DeviceError(f"There is no MIDI port {quoted(wanted)}. {there}")


def _client(kind: type[Any]) -> Any:
    """A client of the first MIDI system that runs. Raises DeviceError."""
    with _quiet():
        for system in rtmidi.get_compiled_api():
            if system == rtmidi.API_LINUX_ALSA and not Path("/dev/snd/seq").exists():
                continue
            with suppress(rtmidi.RtMidiError):
                return kind(system, CLIENT, _QUEUED_MESSAGES) if kind is rtmidi.MidiIn else kind(system, CLIENT)
    raise DeviceError(
        "No MIDI system runs here. On Linux load ALSA's sequencer (modprobe snd-seq), or start JACK or PipeWire."
        if sys.platform.startswith("linux")
        else "The system's MIDI cannot be used by this program."
    )


def _others(client: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in client.get_ports() if not _OWN.match(name)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what C libraries write to standard error while we only ask whether they are there."""
    try:
        saved = os.dup(2)
    except OSError:
        yield  # there is no standard error
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
