"""DAWs that are followed by OSC: their own, with nothing of ours installed in them, or that of our script in Live.

`Follower` is what they share: what a DAW reports becomes commands, and only changes do, since DAWs repeat themselves.
`osc_host.py` has the port that a DAW's messages arrive at. All of it belongs to the engine's asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen_bridge.calls import Call, Engine, Notice
from resonantgen_bridge.lanes import Lanes, Report
from resonantgen_bridge.options import Arm
from resonantgen_bridge.osc_packets import Argument
from resonantgen_bridge.parsing import parse_call

MAX_DAW_TRACKS = 999
MAX_NAME = 200  # characters that are kept
_NAMES_SETTLE_SECONDS = 0.1  # a DAW whose tracks move tells them one by one
_TEMPO_STEP_BPM = 1e-3  # smaller differences are rounding

_log = logging.getLogger(__name__)


def number_of(argument: Argument) -> float | None:
    """A finite number; None: it is none."""
    return float(argument) if isinstance(argument, (bool, int, float)) and math.isfinite(argument) else None


class Follower:
    """Makes the engine follow one DAW.

    A track of ours is locked while any of the DAW's tracks that stand for it is armed. The first report of a track
    that is not armed frees nothing: the lock may be the user's own. What cannot be locked because it is silent is
    locked once it has a take.
    """

    def __init__(self, engine: Engine, client: str, arm: Arm = Arm.LOCK) -> None:
        self._engine = engine
        self._client = client
        self._arm = arm
        self.names: dict[int, str] = {}  # of the DAW's tracks, by number from 1
        self.armed: dict[int, bool] = {}
        self._awaited: set[int] = set()  # tracks whose arm has to be reported before anything is concluded
        self._wanted: dict[str, bool] = {}  # of our tracks: whether the DAW wants it locked
        self._unlockable: set[str] = set()  # wanted locked, but refused: silent as yet
        self._tempo_bpm: float | None = None
        self._meter = self._key = ""  # as last reported
        self._playing: bool | None = None
        self._quarters: float | None = None
        self._bars = 0  # of the music when it was last looked at
        self._lanes = Lanes(engine, client, self._refused)
        self._settling: asyncio.TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._bars = int(self._engine.state.get("bars") or 0)
        self._unsubscribe = self._engine.subscribe(self._noticed)

    async def close(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._settling is not None:
            self._settling.cancel()
        await self._lanes.close()

    # -- what the DAW reports -----------------------------------------------------------------------------------------

    def forget(self) -> None:
        """The DAW has gone: what it reports next is a first report again. Nothing is freed, stopped or changed."""
        self.armed.clear()
        self._awaited.clear()
        self._wanted.clear()
        self._unlockable.clear()
        self._tempo_bpm = self._playing = self._quarters = None
        self._meter = self._key = ""

    def expect(self, tracks: Collection[int]) -> None:
        """The DAW's tracks are other ones now: it will say of each of these whether it is armed."""
        self.armed.clear()
        self._awaited = set(tracks)
        self._settle_soon(0.0)

    def track_armed(self, track: int, armed: bool) -> None:
        if self._arm is Arm.IGNORE or not 1 <= track <= MAX_DAW_TRACKS:
            return
        self._awaited.discard(track)
        self.armed[track] = armed
        self._settle_soon(0.0)

    def track_named(self, track: int, name: str) -> None:
        name = name[:MAX_NAME]
        if 1 <= track <= MAX_DAW_TRACKS and self.names.get(track) != name:
            self.names[track] = name
            self._engine.name_daw_track(track, name)
            self._settle_soon(_NAMES_SETTLE_SECONDS)

    def tempo(self, tempo_bpm: float) -> None:
        if self._tempo_bpm is not None and abs(tempo_bpm - self._tempo_bpm) < _TEMPO_STEP_BPM:
            return
        self._tempo_bpm = tempo_bpm
        self._send_tempo(tempo_bpm)

    def meter(self, meter: str) -> None:
        """As "7/8". What it is at first makes no music anew that is there already; a change of it does."""
        first, changed = not self._meter, meter != self._meter
        self._meter = meter
        if changed and not first:
            self._send_meter(meter)

    def key(self, key: str) -> None:
        """As "A minor". Only a change counts: what a DAW starts with, few people have chosen."""
        first, changed = not self._key, key != self._key
        self._key = key
        if changed and not first and self._engine.state.get("bars") and key != self._engine.state.get("key"):
            self._send("key", "key", {"key": key})

    def playing(self, on: bool) -> None:
        """It plays or stands. That it stands when it is met first stops nothing."""
        first, changed = self._playing is None, self._playing != on
        self._playing = on
        if changed and (on or not first):
            self._send("transport", "play", {"on": on}, needed=lambda: bool(self._engine.state.get("play")) != on)

    def position(self, quarters: float, at_seconds: float) -> None:
        """Its song position, in quarter notes from its beginning, at a time of `time.monotonic`."""
        if quarters != self._quarters and math.isfinite(quarters):
            self._quarters = quarters
            self._engine.align(quarters, at_seconds)

    def tracks_of(self, role: str) -> list[int]:
        """The DAW's tracks that stand for ours."""
        return [track for track in sorted({*self.names, *self.armed}) if self._engine.role_of_daw_track(track) == role]

    def to_be_armed(
        self, state: Mapping[str, Any], can_be: Callable[[int], bool] = lambda track: True
    ) -> Iterator[tuple[int, bool]]:
        """The DAW's tracks that are to be armed or disarmed, since these locks have changed: the first that `can_be` of
        a locked track's own, if none is; all of a free one's.
        """
        for role in Role:
            locked = state.get(f"track/{role.value}/lock")
            if locked is None:
                continue
            tracks = [track for track in self.tracks_of(role.value) if can_be(track)]
            armed = [track for track in tracks if self.armed.get(track)]
            for track in armed if not locked else tracks[:1] if not armed else ():
                yield track, bool(locked)

    # -- what becomes of it -------------------------------------------------------------------------------------------

    def _settle_soon(self, seconds: float) -> None:
        """Conclude what is to be locked once the DAW has said all it has to say; names give it longer."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._settling is not None:
            if self._settling.when() >= due:
                return
            self._settling.cancel()
        self._settling = loop.call_at(due, self._settle)

    def _settle(self) -> None:
        self._settling = None
        if self._awaited:
            return
        roles = [self._engine.role_of_daw_track(track) for track, armed in self.armed.items() if armed]
        for role in Role:
            wanted = role.value in roles
            if wanted != self._wanted.get(role.value, False):
                self._wanted[role.value] = wanted
                self._unlockable.discard(role.value)
                self._lock(role.value, wanted)

    def _noticed(self, notice: Notice) -> None:
        if notice.event == "heartbeat":
            self._settle_soon(0.0)  # the user may have said by hand which track is which
        if notice.event != "changed":
            return
        if "bars" in notice.fields["state"]:
            self._music_came(notice.fields["state"]["bars"])
        for role in sorted(self._unlockable):
            if notice.fields["state"].get(f"track/{role}/take"):
                self._unlockable.discard(role)
                self._lock(role, True)

    def _music_came(self, bars: int) -> None:
        """The first music of a project has a tempo and a meter of its own, and the DAW has had its own before."""
        if bars and not self._bars:
            if self._tempo_bpm is not None:
                self._send_tempo(self._tempo_bpm)
            self._send_meter(self._meter)
        self._bars = bars

    def _send_tempo(self, tempo_bpm: float) -> None:
        def needed() -> bool:
            return abs(tempo_bpm - float(self._engine.state.get("tempo", 0.0))) >= _TEMPO_STEP_BPM

        self._send("tempo", "tempo", {"tempo": round(tempo_bpm, 3)}, needed=needed)

    def _send_meter(self, meter: str) -> None:
        if meter and self._engine.state.get("bars") and meter != self._engine.state.get("meter"):
            self._send("meter", "meter", {"meter": meter})

    def _lock(self, role: str, locked: bool) -> None:
        refused = partial(self._lock_refused, role) if locked else None
        self._send(f"lock {role}", "lock", {"track": role, "locked": locked}, refused)

    def _lock_refused(self, role: str, error: ResonantGenError) -> None:
        if self._wanted.get(role):
            self._unlockable.add(role)
        self._refused(error)

    def _refused(self, error: ResonantGenError) -> None:
        """A DAW is not told; it repeats itself, so nobody else is, either."""
        _log.info("%s: %s", self._client, error)

    def _send(
        self,
        lane: str,
        command: str,
        arguments: Mapping[str, Any],
        refused: Report | None = None,
        needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Do a command if it is needed when its turn comes; while another of its lane runs, the latest waits."""

        def make() -> Call | None:
            return parse_call(command, arguments) if needed() else None

        self._lanes.send(lane, make, latest=True, refused=refused)
