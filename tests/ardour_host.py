"""A real Ardour 7, without its window: sessions made by Lua, exported offline, or played in real time through JACK.

A session has a track with the plugin for each of ours. From the plugin to the master bus's output there is nothing but
unity: panners are bypassed, faders and trims stand at 0 dB, and each track has two channels of the master bus for
itself, so one export or recording of that bus holds them all, [frames, 8], every sample as the plugin gave it.

Every Ardour has a home of its own, and ends with its `with` block. Debian: ardour, jackd2.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine_process import OscSocket, wait_for
from jack_server import JackServer, Recording
from resonantgen.music.notes import Role

HANG_SECONDS = 120.0  # nothing takes nearly as long: it only ends a test that hangs
ATTEMPTS, LOADING_SECONDS = 3, 60.0  # of an Ardour to load a session, which takes it a few seconds
NAMES = tuple(role.value for role in Role)
CHANNELS = 2 * len(NAMES)
_SCRIPT = Path(__file__).with_name("ardour_session.lua")
_EFFECT_SECONDS, _AGAIN_SECONDS = 0.05, 0.5
_RECORDED = f"ardour:({'|'.join(NAMES)}|auditioner)/audio_out [12]$"  # it makes the auditioner last
_SUPERCLOCK = 282_240_000  # Ardour's time, a second
_LIBRARIES = Path("/usr/lib/ardour7")
_PLACES = {
    "LD_LIBRARY_PATH": str(_LIBRARIES),
    "ARDOUR_DLL_PATH": str(_LIBRARIES),
    "ARDOUR_DATA_PATH": "/usr/share/ardour7",
    "ARDOUR_CONFIG_PATH": "/etc/ardour7",
}

needs_ardour = pytest.mark.skipif(shutil.which("ardour7-export") is None, reason="needs Ardour 7: apt install ardour")

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """From this bar on (from 1), the song has this tempo and meter."""

    bar: int
    tempo: str
    meter: str = "4/4"


class ArdourSession:
    """A session on disk, and the home of the Ardour that opens it."""

    def __init__(self, folder: Path, plugin: Path, rate: int = 48_000) -> None:
        """`plugin`: its LV2 bundle. `folder` is not there yet."""
        self.rate = rate
        self._folder = folder / "session"
        self._log = self._folder / "hardour.log"
        self._home, bundles = folder / "home", folder / "lv2"
        self._home.mkdir(parents=True)
        bundles.mkdir()
        (bundles / plugin.name).symlink_to(plugin)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "RESONANTGEN_"))}
        self._environment = kept | {"HOME": str(self._home), "LV2_PATH": str(bundles)}

    def link(self, address: str) -> None:
        """Let the plugin connect to an engine there, from now on."""
        path = self._home / ".config" / "resonantgen" / "link"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(address, encoding="ascii")

    def make(self, frames: int, *changes: Change, wait: bool = False) -> None:
        """Make it, that many frames long. `wait`: the plugin waits for the engine."""
        tempos = ";".join(f"{change.bar} {change.tempo} {change.meter}" for change in changes or (Change(1, "120"),))
        path = self._folder / "session.ardour"
        wait_for("a session", lambda: self._make(path, tempos, wait))
        text = path.read_text(encoding="utf-8")
        end = frames * _SUPERCLOCK // self.rate
        extent = f'<Location id="9000" name="session" start="a0" end="a{end}" flags="IsSessionRange" locked="0"/>'
        for old, new in (
            ("<Locations/>", f"<Locations>{extent}</Locations>"),
            ('name="Open Sound Control (OSC)" active="0"', 'name="Open Sound Control (OSC)" active="1"'),
        ):
            assert old in text, f"Ardour wrote a session without {old}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def export(self) -> Sound:
        """The whole session as the master bus gives it, offline, [frames, 8]."""
        path = self._folder / "whole.wav"
        done = self._run("ardour7-export", "-b", "float", "-o", path, self._folder, "session")
        assert done.returncode == 0, f"nothing was exported: {_said(done)}"
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert rate == self.rate
        return np.asarray(sound, np.float32)

    @contextmanager
    def opened(self, server: JackServer) -> Iterator[Ardour]:
        """Open it in real time, its tracks recorded. Its transport stands at the beginning.

        The server may be one that waits for its clients, but no other may come or go while Ardour runs.
        """
        with ExitStack() as stack:
            process, recording = self._loaded(server, stack)
            port = wait_for("Ardour's OSC", lambda: _udp_port(process.pid))
            ardour = Ardour(("127.0.0.1", port), process, recording)
            try:
                ardour.wait_until_at(1)  # without its window it begins to play
                ardour.stop()
                ardour.locate(0)
                yield ardour
            finally:
                ardour.close()

    def _loaded(self, server: JackServer, stack: ExitStack) -> tuple[subprocess.Popen[bytes], Recording]:
        """An Ardour with its tracks, recorded, until `stack` ends. Once in a while one hangs before it has any."""
        for _ in range(ATTEMPTS):
            with ExitStack() as attempt:
                process, recording = attempt.enter_context(self._running(server))
                end = time.monotonic() + LOADING_SECONDS
                while not recording.is_connected() and time.monotonic() < end:
                    assert process.poll() is None, f"Ardour ended: {self._log.read_text(errors='replace')[-2000:]}"
                    time.sleep(0.02)
                if recording.is_connected():
                    stack.enter_context(attempt.pop_all())
                    return process, recording
        raise AssertionError(f"waited in vain for Ardour's tracks: {self._log.read_text(errors='replace')[-2000:]}")

    @contextmanager
    def _running(self, server: JackServer) -> Iterator[tuple[subprocess.Popen[bytes], Recording]]:
        (program,) = _LIBRARIES.glob("hardour-*")
        environment = {**self._environment, **_PLACES, **server.environment}
        with server.recording(CHANNELS + 2, _RECORDED) as recording:
            with self._log.open("wb") as out:
                command = [str(program), str(self._folder), "session"]
                process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
            try:
                yield process, recording
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _make(self, path: Path, tempos: str, wait: bool) -> bool:
        """False: Ardour 7.3 tripped over itself, "Port already exists", as it does once in a while."""
        shutil.rmtree(self._folder, ignore_errors=True)
        done = self._run("ardour7-lua", _SCRIPT, self._folder, path.stem, self.rate, int(wait), ",".join(NAMES), tempos)
        if "Port already exists" in _said(done):
            return False
        assert done.returncode == 0 and "Error:" not in _said(done), f"no session was made: {_said(done)}"
        return True

    def _run(self, *command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )


class Ardour(OscSocket):
    """An Ardour that runs, driven as a control surface drives it.

    Commands may go unheeded: Ardour drops those that come while it fades out before it stands still ("bad transition").
    So each is sent until it has had its effect.
    """

    def __init__(self, address: tuple[str, int], process: subprocess.Popen[bytes], recording: Recording) -> None:
        super().__init__(address)
        self.address = f"{address[0]}:{address[1]}"
        self.process = process
        self.recording = recording  # [frames, 10]: the tracks' own outputs, in pairs; the last pair is silent
        self.frame, self.plays = -1, False  # as last told
        self.armed: dict[int, bool] = {}  # strips

    def heard(self) -> Sound:
        """What its tracks have played, [frames, 8]."""
        return self.recording.samples()[:, :CHANNELS]

    def play(self) -> None:
        self._send_until("it to play", lambda: self.plays and self.frame > 0, "/transport_play")

    def stop(self) -> None:
        self._send_until("it to stand", lambda: not self.plays, "/transport_stop")

    def locate(self, frame: int) -> None:
        """Go there, and stand."""
        self._send_until("it to locate", lambda: self.frame == frame and not self.plays, "/locate", frame, 0)

    def wait_until_at(self, frame: int) -> None:
        """Wait until it has played to there."""
        self._send_until("it to get there", lambda: self.frame >= frame)

    def arm(self, name: str, on: bool = True) -> None:
        """Arm a track for recording, or disarm it; returns when Ardour has done so."""
        number = NAMES.index(name) + 1
        self._send_until("it to arm", lambda: self.armed.get(number) == on, "/strip/recenable", number, int(on))

    def _send_until(self, what: str, done: Callable[[], bool], *command: Any) -> None:
        """Send a command, and again each time that its effect has not been told for a while."""
        due = 0.0
        self._listen(0.0)

        def it_is_done() -> bool:
            nonlocal due
            if time.monotonic() >= due:
                if command:
                    self.send(*command)
                    self._listen(_EFFECT_SECONDS)
                if not done():  # a datagram may be lost
                    self.send("/set_surface", 0, 3, 1 | 16 | 1024, 0, 0, 0, 0)
                due = time.monotonic() + _AGAIN_SECONDS
            self._listen(0.02)
            return done()

        wait_for(what, it_is_done)

    def _listen(self, seconds: float) -> None:
        """Take in what it tells, waiting so long for it."""
        while select.select([self._socket], [], [], seconds)[0]:
            self.got.clear()
            self.receive(lambda message: True)
            for address, *values in self.got:
                match address, values:
                    case "/position/samples", [str(place)] if (
                        place.strip()
                    ):  # while it loads a session, it says nothing
                        self.frame = int(place)
                    case "/transport_play", [float(on)]:
                        self.plays = bool(on)
                    case "/strip/recenable", [int(strip), float(on)]:
                        self.armed[strip] = bool(on)
            seconds = 0.0


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _udp_port(pid: int) -> int:
    """The UDP port that a process listens at; 0: none yet."""
    own = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it has been closed meanwhile
            own |= set(re.findall(r"socket:\[(\d+)\]", str(file.readlink())))
    for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[9] in own:
            return int(fields[1].rpartition(":")[2], 16)
    return 0
