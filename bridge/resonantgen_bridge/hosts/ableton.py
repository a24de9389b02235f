"""Ableton Live, by AbletonOSC: others' remote script (github.com/ideoforms/AbletonOSC); nothing of ours is installed.

It listens on 11000 and always answers to 11001. Every two seconds it is asked how many tracks there are, which also
tells whether it is there; then for their names and whether they can be armed (groups cannot, and asking for it is an
error). When the answer is new, each track's arm is listened to; the song's tempo, play and time are as soon as Live is
there. All that is asked for again every half minute: a datagram may be lost, and reloading the script loses listeners.

When tracks move, AbletonOSC goes on reporting an old track's arm under its old number, even to the next engine. So a
change of arm is believed only after it has been asked for, which takes one more of Live's ticks (100 ms).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from resonantgen_bridge.addresses import LOOPBACK
from resonantgen_bridge.calls import Engine
from resonantgen_bridge.hosts import MAX_DAW_TRACKS, number_of
from resonantgen_bridge.hosts.osc_host import OscHost
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import Argument, Message
from resonantgen_bridge.osc_subscribers import Address

LIVE_PORT, LISTEN_PORT = 11000, 11001
POLL_SECONDS = 2.0
_SILENT_POLLS = 3  # unanswered, and Live has gone
_RENEW_POLLS = 15
_SONG = ("tempo", "is_playing", "current_song_time")


class AbletonHost(OscHost):
    """Follows Live."""

    def __init__(
        self,
        engine: Engine,
        *,
        live: Address = (LOOPBACK, LIVE_PORT),
        listen: Address = (LOOPBACK, LISTEN_PORT),
        arm: Arm = Arm.LOCK,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__(engine, "live", listen, arm)
        self._live = live
        self._poll_seconds = poll_seconds
        self._unanswered = 0
        self._polls = 0
        self._tracks: list[tuple[str, bool]] | None = None  # name, whether it can be armed
        self._confirming: set[int] = set()

    async def start(self) -> None:
        """Listen, and ask for Live until it answers. Raises AddressTaken."""
        await super().start()
        self._poll()

    # -- asking -------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._poll_seconds, self._poll)
        if self._connected and self._unanswered >= _SILENT_POLLS:
            self._gone()
        self._unanswered += 1
        self._polls += 1
        if self._connected and self._polls % _RENEW_POLLS == 0:
            self._listen_to_song()
            self._listen_to_tracks()
        self._port.send(self._live, "/live/song/get/num_tracks")

    def _gone(self) -> None:
        self._connected = False
        self._tracks = None
        self._confirming.clear()
        self._follower.forget()

    def _listen_to_song(self) -> None:
        for name in _SONG:
            self._port.send(self._live, f"/live/song/start_listen/{name}")

    def _listen_to_tracks(self) -> None:
        for index, (_, can_be_armed) in enumerate(self._tracks or ()):
            if can_be_armed:
                self._port.send(self._live, "/live/track/start_listen/arm", "i", (index,))

    # -- answers ------------------------------------------------------------------------------------------------------

    def received(self, message: Message, at_seconds: float) -> bool:
        """What AbletonOSC sends."""
        if message.address == "/live/startup":
            self._gone()
            self._port.send(self._live, "/live/song/get/num_tracks")
            return True
        arguments = message.arguments
        numbers = [number_of(argument) for argument in arguments]
        first = numbers[0] if numbers else None
        match message.address:
            case "/live/song/get/num_tracks" if first is not None:
                self._counted(int(first))
            case "/live/song/get/track_data":
                self._listed(arguments)
            case "/live/track/get/arm" if len(numbers) == 2 and first is not None and numbers[1] is not None:
                self._armed(int(first), numbers[1] != 0)
            case "/live/song/get/tempo" if first is not None:
                self._follower.tempo(first)
            case "/live/song/get/is_playing" if first is not None:
                self._follower.playing(first != 0)
            case "/live/song/get/current_song_time" if first is not None:
                self._follower.position(first, at_seconds)
        return message.address.startswith("/live/")

    def _counted(self, tracks: int) -> None:
        self._unanswered = 0
        if not self._connected:
            self._connected = True
            self._listen_to_song()
        count = min(tracks, MAX_DAW_TRACKS)
        if count > 0:
            values = (0, count, "track.name", "track.can_be_armed")
            self._port.send(self._live, "/live/song/get/track_data", "iiss", values)

    def _listed(self, values: Sequence[Argument]) -> None:
        tracks = [(str(name), bool(armable)) for name, armable in zip(values[::2], values[1::2], strict=False)]
        if tracks == self._tracks or not self._connected:
            return
        self._tracks = tracks
        self._confirming.clear()
        for number, (name, _) in enumerate(tracks, start=1):
            self._follower.track_named(number, name)
        for number in [number for number in self._follower.names if number > len(tracks)]:
            self._follower.track_named(number, "")
        self._follower.expect([number for number, (_, armable) in enumerate(tracks, start=1) if armable])
        self._listen_to_tracks()

    def _armed(self, index: int, armed: bool) -> None:
        track = index + 1
        known = self._follower.armed.get(track)
        if known is not None and known != armed and track not in self._confirming:
            self._confirming.add(track)
            self._port.send(self._live, "/live/track/get/arm", "i", (index,))
            return
        self._confirming.discard(track)
        self._follower.track_armed(track, armed)
