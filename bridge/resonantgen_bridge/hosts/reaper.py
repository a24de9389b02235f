"""REAPER, by its stock OSC patterns (Default.ReaperOSC).

In REAPER: Preferences, Control/OSC/web, Add, "OSC (Open Sound Control)", pattern config "Default", device port 9000
(where `ReaperHost` listens; 9010 does as well), local listen port 8000 (`reaper` here: it is then asked for all that it
knows when we start). What is understood:

    /track/3/recarm 1       armed: its track of ours is locked; 0: free
    /track/3/name Bass      tells which of ours it is
    /tempo/raw 97.5         /play 1        /play 0        /stop 1
    /beat/str 5.3.50        where it is: bar, beat, hundredths of a beat; /time in seconds where beats are not sent

Stock patterns report the first 8 tracks ("DEVICE_TRACK_COUNT 8"); plugin_stub/reaper/ResonantGen.ReaperOSC has those of
them that are used, for 64. /samples is not used: REAPER does not say at which rate it counts.
"""

from __future__ import annotations

import re

from resonantgen_bridge.addresses import LOOPBACK
from resonantgen_bridge.calls import Engine, Notice
from resonantgen_bridge.hosts import number_of
from resonantgen_bridge.hosts.osc_host import OscHost
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import Message
from resonantgen_bridge.osc_subscribers import Address
from resonantgen_bridge.protocol import OSC_ROOT

LISTEN_PORT = 9000
_REFRESH_ALL_SURFACES = 41743  # an action of REAPER: it sends everything again
_TIMES_BEFORE_BEATS = 2  # by then beats have come, if they are sent
_TRACK = re.compile(r"/track/([0-9]{1,3})/(recarm|name)")
_BEAT = re.compile(r"([0-9]{1,6})\.([0-9]{1,3})\.([0-9]{1,3})")


class ReaperHost(OscHost):
    """Follows REAPER. Also takes what REAPER sends to another port of ours (`received`).

    `arm_back`: a lock made elsewhere arms the track in REAPER, and freeing it disarms; off, because arming changes what
    REAPER records.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        listen: Address = (LOOPBACK, LISTEN_PORT),
        reaper: Address | None = None,
        arm: Arm = Arm.LOCK,
        arm_back: bool = False,
    ) -> None:
        super().__init__(engine, "reaper", listen, arm)
        self._reaper = reaper
        self._arm_back = arm_back and reaper is not None and arm is Arm.LOCK
        self._times_alone = 0  # that came without beats; -1: beats come

    async def start(self) -> None:
        """Listen, and ask REAPER for everything if its port is known. Raises AddressTaken."""
        await super().start()
        if self._reaper is not None:
            self._port.send(self._reaper, "/action", "i", (_REFRESH_ALL_SURFACES,))

    def received(self, message: Message, at_seconds: float) -> bool:
        """What REAPER sends, from any port: all but our own, our scripts' and Live's addresses are taken for its."""
        address = message.address
        if address.startswith((f"{OSC_ROOT}/", "/daw/", "/live/")):
            return False
        self._connected = True
        if not message.arguments:
            return True
        value = message.arguments[0]
        number = number_of(value)
        if (track := _TRACK.fullmatch(address)) is not None:
            if track[2] == "name" and isinstance(value, str):
                self._follower.track_named(int(track[1]), value)
            elif track[2] == "recarm" and number is not None:
                self._follower.track_armed(int(track[1]), number != 0)
        elif address == "/beat/str" and isinstance(value, str):
            self._beat(value, at_seconds)
        elif number is not None:
            self._number(address, number, at_seconds)
        return True

    def _number(self, address: str, number: float, at_seconds: float) -> None:
        if address == "/tempo/raw":
            self._follower.tempo(number)
        elif address == "/play":
            self._follower.playing(number != 0)
        elif address == "/stop" and number != 0:
            self._follower.playing(False)
        elif address == "/time" and self._times_alone >= 0:
            self._times_alone += 1
            if self._times_alone > _TIMES_BEFORE_BEATS:
                self._follower.position(number * float(self._engine.state["tempo"]) / 60, at_seconds)

    def _beat(self, text: str, at_seconds: float) -> None:
        """Bars count from 1; those before the first, and other ways to show time, are passed over."""
        found = _BEAT.fullmatch(text.strip())
        if found is None:
            return
        quarters = self._quarters_at(int(found[1]), int(found[2]) - 1 + int(found[3]) / 100)
        if quarters is not None:
            self._times_alone = -1
            self._follower.position(quarters, at_seconds)

    def noticed(self, notice: Notice) -> None:
        if self._arm_back and notice.event == "changed" and self._reaper is not None:
            for track, armed in self._follower.to_be_armed(notice.fields["state"]):
                self._port.send(self._reaper, f"/track/{track}/recarm", "f", (float(armed),))
