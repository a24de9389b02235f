"""Ardour 7 and 8, by their own OSC; nothing of ours is installed.

In Ardour: Preferences, Control Surfaces, "Open Sound Control (OSC)"; it listens on 3819. It says nothing until it is
told by `/set_surface` what to send: that is asked for until it answers, and again when its heartbeat has stopped (it
was closed, or another session was opened). What is understood:

    /strip/name 2 Bass        tells which of ours it is; strips are numbered from 1, tracks only
    /strip/recenable 2 1      armed: its track of ours is locked; 0: free
    /transport_play 1         it plays; 0: it stands
    /position/bbt 002|01|0184 where it is: bar, beat, and ticks of a beat, ten times a second while it plays
    /strip/list               tracks were added, removed or hidden, and have other numbers now
    /session_name             the last of an answer to `/set_surface`: these are all the tracks
    /heartbeat                once a second

When another surface on this machine names a port of its own, Ardour drops ours: first it tells blank names, and that
nothing is armed or plays. That is no news of the session: nothing is freed, and it is asked again.

Ardour tells its tempo and its meter to no surface. The plugin does (docs/plugin-link.md); without it both are set here.
"""

from __future__ import annotations

import asyncio
import re

from resonantgen_bridge.addresses import LOOPBACK
from resonantgen_bridge.calls import Engine, Notice
from resonantgen_bridge.hosts import MAX_DAW_TRACKS, number_of
from resonantgen_bridge.hosts.osc_host import OscHost
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import Message
from resonantgen_bridge.osc_subscribers import Address

POLL_SECONDS = 1.0
_SILENT_POLLS = 4  # without a heartbeat, and Ardour has gone
_RENEW_POLLS = 30  # a datagram may be lost
_MOVE_SECONDS = 0.1  # in which tracks that move have been told, one by one
_NO_BANKS = 0
_TRACKS = 1 | 2  # strip types: audio, MIDI
_FEEDBACK = 1 | 8 | 16 | 32  # buttons, heartbeat, transport, bars and beats
_GAIN_IN_DB = 0  # with faders, names of strips are overwritten by their gain for a while
_PORT_OF_SENDER = 0  # a number would be taken for all surfaces on this machine
_BBT = re.compile(r"([0-9]{1,6})\|([0-9]{1,3})\|([0-9]{1,4})")
_TICKS_PER_QUARTER = 1920


class ArdourHost(OscHost):
    """Follows Ardour.

    `arm_back`: a lock made elsewhere arms the track in Ardour, and freeing it disarms; off, because arming changes what
    Ardour records.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        ardour: Address,
        listen: Address = (LOOPBACK, 0),
        arm: Arm = Arm.LOCK,
        arm_back: bool = False,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__(engine, "ardour", listen, arm)
        self._ardour = ardour
        self._arm_back = arm_back and arm is Arm.LOCK
        self._poll_seconds = poll_seconds
        self._moving: asyncio.TimerHandle | None = None  # runs while tracks are told anew
        self._silent_polls = 0
        self._polls = 0
        self._dropped = False  # by Ardour, as another surface came; until it answers again
        self._names: dict[int, str] = {}  # of the strips that have been told anew, and are not concluded from yet
        self._armed: dict[int, bool] = {}

    async def start(self) -> None:
        """Listen, and ask for Ardour until it answers. Raises AddressTaken."""
        await super().start()
        self._poll()

    async def close(self) -> None:
        self._stand_still()
        await super().close()

    # -- asking -------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._poll_seconds, self._poll)
        self._polls += 1
        self._silent_polls += 1
        if self._connected and self._silent_polls > _SILENT_POLLS:
            self._connected = False
            self._stand_still()
            self._follower.forget()
        if not self._connected or self._dropped or self._polls % _RENEW_POLLS == 0:
            self._ask()

    def _ask(self) -> None:
        """Have everything sent, then changes."""
        values = (_NO_BANKS, _TRACKS, _FEEDBACK, _GAIN_IN_DB, 0, 0, _PORT_OF_SENDER)
        self._port.send(self._ardour, "/set_surface", "iiiiiii", values)

    # -- answers ------------------------------------------------------------------------------------------------------

    def received(self, message: Message, at_seconds: float) -> bool:
        """What Ardour sends."""
        self._silent_polls = 0
        self._connected = True
        arguments = message.arguments
        match message.address, arguments:
            case "/strip/name", (_, str(name)) if not name.strip():
                self._drop()
            case "/strip/name", (strip, str(name)):
                self._named(number_of(strip), name)
            case "/strip/recenable", (strip, armed):
                self._rec_enabled(number_of(strip), number_of(armed))
            case "/strip/list", ():
                self._ask()
            case "/session_name", (str(name),) if name.strip():
                self._dropped = False
                self._listed()
            case "/transport_play", (playing,) if (on := number_of(playing)) is not None:
                self._follower.playing(on != 0)
            case "/position/bbt", (str(text),):
                self._position(text, at_seconds)
        return True

    def _named(self, strip: float | None, name: str) -> None:
        """One name may have been changed; or it is the first of many tracks that have moved."""
        if strip is None or not 1 <= strip <= MAX_DAW_TRACKS:
            return
        if strip == 1:  # a list begins
            self._forget_strips()
        self._names[int(strip)] = name
        if self._follower.names.get(int(strip)) != name and self._moving is None:
            self._moving = asyncio.get_running_loop().call_later(_MOVE_SECONDS, self._conclude)

    def _rec_enabled(self, strip: float | None, armed: float | None) -> None:
        if strip is None or armed is None or not 1 <= strip <= MAX_DAW_TRACKS:
            return
        self._armed[int(strip)] = armed != 0
        if self._moving is None:
            self._follower.track_armed(int(strip), armed != 0)

    def _listed(self) -> None:
        """The strips that have been told are all that there are."""
        for track in [track for track in self._follower.names if track not in self._names]:
            self._follower.track_named(track, "")
        if self._follower.armed.keys() != self._armed.keys():
            self._follower.expect(self._armed)
        self._conclude()

    def _conclude(self) -> None:
        for track, name in self._names.items():
            self._follower.track_named(track, name)
        for track, armed in self._armed.items():
            self._follower.track_armed(track, armed)
        self._forget_strips()
        self._stand_still()

    def _drop(self) -> None:
        self._dropped = True
        self._forget_strips()
        self._stand_still()
        self._follower.forget()

    def _forget_strips(self) -> None:
        self._names.clear()
        self._armed.clear()

    def _stand_still(self) -> None:
        if self._moving is not None:
            self._moving.cancel()
            self._moving = None

    def _position(self, text: str, at_seconds: float) -> None:
        """Bars count from 1; those before the first are passed over."""
        found = _BBT.fullmatch(text.strip())
        if found is None:
            return
        quarters = self._quarters_at(int(found[1]), int(found[2]) - 1)
        if quarters is not None:
            self._follower.position(quarters + int(found[3]) / _TICKS_PER_QUARTER, at_seconds)

    def noticed(self, notice: Notice) -> None:
        if self._arm_back and notice.event == "changed":
            for track, armed in self._follower.to_be_armed(notice.fields["state"]):
                self._port.send(self._ardour, "/strip/recenable", "ii", (track, int(armed)))
