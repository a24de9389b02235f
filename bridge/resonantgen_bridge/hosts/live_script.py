"""Ableton Live, by our own Remote Script (plugin_stub/ableton): it and the engine tell each other what has changed.

This is the reference of what passes between the two, on loopback only. The script sends to the engine's OSC port:

    /daw/hello s s i        "live", the version of Live, the port where the script is answered; every 2 s
    /daw/bye                the script ends: the Set is closed, or Live
    /daw/tempo f            beats a minute
    /daw/meter i i          numerator, denominator
    /daw/key i s            root note (0 is C), the scale as Live calls it: "Minor", "Dorian"
    /daw/playing i          1: it plays
    /daw/position f         the song position in quarter notes, many times a second while it plays
    /daw/tracks i           so many tracks follow, all anew: some have come, gone or moved
    /daw/track i s i i      number from 1, name, whether it can be armed, whether it is: each of them, and what changes
    /daw/printed s i i      the folder of a print is in the Set: the scene, from 1, and how many clips; 0 0: none
    /daw/error s            something could not be done: one line for people

and is sent, at its port:

    /daw/welcome i          to each hello: a number that is another one when the engine knows nothing of the Set; the
                            script then sends everything
    /daw/tempo f            play at that tempo
    /daw/play i             1: play; 0: stop
    /daw/arm i i            arm a track, from 1, or not (only with `arm_back`)
    /daw/print s i          put a folder's print into clips: the scene from 1, or 0: the first that is free

The script confirms `tempo`, `play` and `arm` by telling what Live has then, and the engine never tells Live what it has
from Live. So when both change something at once, what Live has in the end is what both have. All of it belongs to the
engine's asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from resonantgen.errors import EngineError, ResonantGenError
from resonantgen.music.theory import Key, Mode
from resonantgen_bridge.addresses import LOOPBACK
from resonantgen_bridge.calls import Engine, Notice
from resonantgen_bridge.hosts import MAX_DAW_TRACKS, Follower, number_of
from resonantgen_bridge.hosts.osc_host import HostPort
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import Argument, Message

GONE_SECONDS = 7.0  # without a hello
_ARM_SETTLES_SECONDS = 0.1  # Live's tick: a lock that Live's own arm has made is reported as such by then
_MAX_ON_THEIR_WAY = 32  # values, each way
_SAME = 1e-3

_log = logging.getLogger(__name__)


class _Shared:
    """A number that both Live and the engine change: what is on its way between them."""

    def __init__(self) -> None:
        self._told: list[float] = []  # by Live, and not taken by the engine yet, in order
        self._sent: list[float] = []  # to Live, and not confirmed yet

    def told(self, value: float) -> bool:
        """Live has told it. Whether it is to be followed: not while something newer is on its way to Live."""
        confirmed = _drop_through(self._sent, value)
        if confirmed and self._sent:
            return False
        self._told = [*self._told[1 - _MAX_ON_THEIR_WAY :], value]
        return True

    def changed(self, value: float) -> bool:
        """The engine has it now. Whether Live has to be told: it is not what Live told."""
        if _drop_through(self._told, value):
            return False
        self._told.clear()
        self._sent = [*self._sent[1 - _MAX_ON_THEIR_WAY :], value]
        return True


def _drop_through(values: list[float], value: float) -> bool:
    """Take away the first one that is the same and those before it; whether there was one."""
    for index, each in enumerate(values):
        if abs(each - value) < _SAME:
            del values[: index + 1]
            return True
    return False


class LiveScriptHost:
    """Follows Live as the script reports it, and has it follow the engine: tempo, play, and what was printed.

    `arm_back`: a lock made elsewhere arms the track in Live, and freeing it disarms; off, because arming changes what
    Live records. `complain` is told what Live could not do.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        arm: Arm = Arm.LOCK,
        arm_back: bool = False,
        complain: Callable[[ResonantGenError], None] | None = None,
        gone_seconds: float = GONE_SECONDS,
    ) -> None:
        self._engine = engine
        self._arm_back = arm_back and arm is Arm.LOCK
        self._complain = complain
        self._gone_seconds = gone_seconds
        self._follower = Follower(engine, "live script", arm)
        self._port = HostPort(lambda message, at_seconds: None)  # only sends
        self._script_port: int | None = None  # None: no script is there
        self._number = 0  # of this connection
        self._version = ""
        self._leaving: asyncio.TimerHandle | None = None
        self._listed = 0  # how many tracks the Set has
        self._tracks: dict[int, tuple[str, bool, bool]] = {}  # name, can be armed, is armed: as they come
        self._tempo, self._play = _Shared(), _Shared()
        self._bars = 0
        self._relocked: set[str] = set()  # keys of locks that have changed
        self._arming: asyncio.TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Raises AddressTaken: there is no socket to send from."""
        await self._port.open((LOOPBACK, 0))
        self._follower.start()
        self._bars = int(self._engine.state.get("bars") or 0)
        self._unsubscribe = self._engine.subscribe(self._noticed)

    async def close(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._gone()
        await self._follower.close()
        await self._port.close()

    def status(self) -> dict[str, Any]:
        return {
            "host": "live",
            "connected": self._script_port is not None,
            "version": self._version,
            "tracks": dict(self._follower.names),
        }

    # -- what the script reports --------------------------------------------------------------------------------------

    def received(self, message: Message, at_seconds: float) -> bool:
        """What came at the engine's OSC port. Never raises; what is not as above is passed over."""
        if not message.address.startswith("/daw/"):
            return False
        match message.address, message.arguments:
            case "/daw/hello", ("live", str(version), int(port)) if 0 < port < 65536:
                self._greeted(version, port)
            case _ if self._script_port is None:
                pass  # it greets first, and tells everything then
            case "/daw/bye", ():
                self._gone()
            case "/daw/tracks", (int(count),) if count >= 0:
                self._listed = min(count, MAX_DAW_TRACKS)
                self._tracks.clear()
            case "/daw/track", (int(number), str(name), can_be_armed, armed) if 1 <= number <= self._listed:
                self._track(number, (name, bool(can_be_armed), bool(armed)))
            case "/daw/error", (str(line),):
                self._failed(line)
            case "/daw/printed", (str(folder), int(scene), int(clips)):
                _log.info("Live has %d clips of %s in scene %d", clips, folder, scene)
            case address, arguments:
                self._song(address, arguments, at_seconds)
        return True

    def _song(self, address: str, arguments: Iterable[Argument], at_seconds: float) -> None:
        match address, tuple(arguments):
            case "/daw/tempo", (value,) if (tempo := number_of(value)) is not None:
                if self._tempo.told(tempo):
                    self._follower.tempo(tempo)
            case "/daw/meter", (int(numerator), int(denominator)):
                self._follower.meter(f"{numerator}/{denominator}")
            case "/daw/key", (int(root), str(scale)) if 0 <= root < 12 and scale.lower() in set(Mode):
                self._follower.key(str(Key(root, Mode(scale.lower()))))
            case "/daw/playing", (value,) if (on := number_of(value)) is not None:
                if self._play.told(float(on != 0)):
                    self._follower.playing(on != 0)
            case "/daw/position", (value,) if (quarters := number_of(value)) is not None:
                self._follower.position(quarters, at_seconds)

    def _greeted(self, version: str, port: int) -> None:
        """Another script, chosen twice or in another Live, is not answered until this one has gone."""
        if self._script_port not in (None, port):
            return
        self._script_port, self._version = port, version[:40]
        if not self._listed or len(self._tracks) < self._listed:  # new, or something was lost: everything again
            self._number = secrets.randbits(31)
        loop = asyncio.get_running_loop()
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = loop.call_later(self._gone_seconds, self._gone)
        self._send("/daw/welcome", "i", self._number)

    def _gone(self) -> None:
        """What was armed stays locked: Live was closed, nobody disarmed it."""
        for timer in (self._leaving, self._arming):
            if timer is not None:
                timer.cancel()
        self._leaving = self._arming = self._script_port = None
        self._version = ""
        self._listed = 0
        self._tracks.clear()
        self._relocked.clear()
        self._tempo, self._play = _Shared(), _Shared()
        self._follower.forget()

    def _track(self, number: int, track: tuple[str, bool, bool]) -> None:
        """One of a list, or one that has changed."""
        complete = len(self._tracks) == self._listed
        self._tracks[number] = track
        if complete:
            self._follow(number, track)
        elif len(self._tracks) == self._listed:
            for gone in [known for known in self._follower.names if known > self._listed]:
                self._follower.track_named(gone, "")
            self._follower.expect([each for each, (_, can_be_armed, _) in self._tracks.items() if can_be_armed])
            for each, told in sorted(self._tracks.items()):
                self._follow(each, told)

    def _follow(self, number: int, track: tuple[str, bool, bool]) -> None:
        name, can_be_armed, armed = track
        self._follower.track_named(number, name)
        if can_be_armed:
            self._follower.track_armed(number, armed)

    def _failed(self, line: str) -> None:
        error = EngineError(f"Live: {line[:500]}")
        _log.info("%s", error)
        if self._complain is not None:
            self._complain(error)

    # -- what it is told ----------------------------------------------------------------------------------------------

    def _send(self, address: str, types: str, *values: int | float | str) -> None:
        if self._script_port is not None:
            self._port.send((LOOPBACK, self._script_port), address, types, values)

    def _noticed(self, notice: Notice) -> None:
        if notice.event == "printed":
            self._send("/daw/print", "si", str(notice.fields["folder"]), int(notice.fields["scene"]))
        if notice.event != "changed":
            return
        state = notice.fields["state"]
        bars = int(state.get("bars", self._bars) or 0)
        first_music, self._bars = bool(bars and not self._bars), bars
        if self._script_port is None:
            return
        if "tempo" in state and not first_music and self._tempo.changed(float(state["tempo"])):
            self._send("/daw/tempo", "f", float(state["tempo"]))  # the first music takes Live's tempo instead
            self._follower.tempo(float(state["tempo"]))  # which Live has now
        if "play" in state and self._play.changed(float(bool(state["play"]))):
            self._send("/daw/play", "i", int(bool(state["play"])))
            self._follower.playing(bool(state["play"]))
        if self._arm_back:
            self._lock_moved(state)

    def _lock_moved(self, keys: Iterable[str]) -> None:
        self._relocked |= {key for key in keys if key.endswith("/lock")}
        if self._relocked and self._arming is None:
            self._arming = asyncio.get_running_loop().call_later(_ARM_SETTLES_SECONDS, self._arm_as_locked)

    def _arm_as_locked(self) -> None:
        self._arming = None
        state, self._relocked = {key: self._engine.state[key] for key in self._relocked}, set()
        for track, armed in self._follower.to_be_armed(
            state, lambda track: track in self._tracks and self._tracks[track][1]
        ):
            self._send("/daw/arm", "ii", track, int(armed))
