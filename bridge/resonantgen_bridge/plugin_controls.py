"""What the plugin's controls do to the session: Lock, Regenerate, notes, and the host's own tempo, meter and transport.

All of it belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from resonantgen.errors import Cancelled, ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.music.time import MAX_TEMPO_BPM, MIN_TEMPO_BPM
from resonantgen_bridge.calls import Call, Engine
from resonantgen_bridge.hosts import Follower
from resonantgen_bridge.lanes import Lanes
from resonantgen_bridge.parsing import parse_call
from resonantgen_bridge.plugin_instance import Instance
from resonantgen_bridge.plugin_wire import HostFlag, Notes, Status

CLIENT: Final = "plugin"
_NOTE_ON: Final = 0x90
_STEP_SECONDS: Final = 0.15  # between two tempos of a ramp
_SAME_PLACE_SECONDS: Final = 0.03  # a STATUS tells where the host is, but not exactly when

_log = logging.getLogger(__name__)


class Controls:
    """Of all instances."""

    def __init__(self, engine: Engine, complain: Callable[[ResonantGenError], None]) -> None:
        self._engine = engine
        self._complain = complain
        self._lanes = Lanes(engine, CLIENT, self._log)
        self._pressed: dict[Instance, int] = {}  # how often, as it said last
        self._held: dict[Instance, Role] = {}  # whose Lock is on, for which track
        self._silent: set[Role] = set()  # held, but refused: there is nothing to lock yet

    def hear(self, instance: Instance) -> None:
        """It has told its status."""
        status = instance.status
        assert status is not None
        before = self._pressed.get(instance, status.regenerations)
        self._pressed[instance] = status.regenerations
        if status.regenerations != before:
            self._regenerate(instance)
        self._hold(instance, instance.role if HostFlag.LOCK in status.flags else None)

    def play(self, instance: Instance, notes: Notes) -> None:
        if any(status & 0xF0 == _NOTE_ON and velocity for status, _, velocity in notes.messages):
            self._regenerate(instance)

    def forget(self, instance: Instance) -> None:
        """It has gone: what it locked stays locked."""
        self._pressed.pop(instance, None)
        self._held.pop(instance, None)

    def music_changed(self) -> None:
        """There may be a take now where there was none to lock."""
        for role in tuple(self._silent):
            if self._engine.state.get(f"track/{role.value}/take"):
                self._silent.discard(role)
                if role in self._held.values():
                    self._lock(role, True)

    async def close(self) -> None:
        await self._lanes.close()

    # -- Lock ---------------------------------------------------------------------------------------------------------

    def _hold(self, instance: Instance, role: Role | None) -> None:
        """Only changes count: a track that was freed elsewhere stays free."""
        before = self._held.get(instance)
        if role is before:
            return
        if before is not None:
            del self._held[instance]
            if before not in self._held.values():
                self._silent.discard(before)
                self._lock(before, False)
        if role is not None:
            self._held[instance] = role
            self._lock(role, True)

    def _lock(self, role: Role, locked: bool) -> None:
        def make() -> Call | None:
            if bool(self._engine.state.get(f"track/{role.value}/lock")) == locked:
                return None
            return parse_call("lock", {"track": role.value, "locked": locked})

        refused = partial(self._lock_refused, role) if locked else None
        self._lanes.send(("lock", role), make, latest=True, refused=refused)

    def _lock_refused(self, role: Role, error: ResonantGenError) -> None:
        self._silent.add(role)
        self._log(error)

    # -- Regenerate ---------------------------------------------------------------------------------------------------

    def _regenerate(self, instance: Instance) -> None:
        role = instance.role
        if role is None:
            return

        def make() -> Call:
            locked = self._engine.state.get(f"track/{role.value}/lock")
            return parse_call("regenerate", {} if locked else {"track": role.value})

        self._lanes.send(("regenerate", role), make, latest=True, refused=self._regenerate_refused)

    def _regenerate_refused(self, error: ResonantGenError) -> None:
        """Somebody pressed a button and hears no change."""
        self._log(error)
        if not isinstance(error, Cancelled):
            self._complain(error)

    def _log(self, error: ResonantGenError) -> None:
        _log.info("%s: %s", CLIENT, error)


class HostFollower:
    """Makes the session follow the host of one instance: of those that know the time, the one connected longest.

    A host's ramp is a new tempo in each block: the session takes a step of it now and then, and the last one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._follower = Follower(engine, CLIENT)
        self._leader: Instance | None = None
        self._place: tuple[float, float] | None = None  # quarter notes, and when: as it was told last
        self._told: tuple[float, str, bool] | None = None
        self._frame: int | None = None  # of its last STATUS
        self._tempo = self._stepped = 0.0  # as it is, and as the session was told
        self._stepping: asyncio.TimerHandle | None = None  # until the next step of a ramp

    def start(self) -> None:
        self._follower.start()

    async def close(self) -> None:
        if self._stepping is not None:
            self._stepping.cancel()
        await self._follower.close()

    def hear(self, instance: Instance, now: float) -> None:
        """It has told its status, at that time of `time.monotonic`."""
        status = instance.status
        if self._leader is None:
            self._leader = instance
        if instance is not self._leader or status is None or HostFlag.TIMED not in status.flags:
            return
        tempo, meter = round(status.tempo_bpm, 3), f"{status.numerator}/{status.denominator}"
        told, self._told = self._told, (tempo, meter, instance.playing)
        if told != self._told:
            self._tempo = tempo
            if self._stepping is None:
                self._step()
            self._follower.meter(meter)
            self._follower.playing(instance.playing)
            self._place = None
        fresh, self._frame = status.frame != self._frame, status.frame
        if not (instance.playing and self._engine.state.get("play")):  # only what plays can be aligned
            self._place = None
        elif (fresh or self._place is None) and self._moved(status, now):
            self._place = status.quarters, now
            self._engine.align(status.quarters, now)

    def lead(self, instance: Instance | None) -> None:
        """From now on this one leads; None: nobody does."""
        if instance is not self._leader:
            self._leader, self._place, self._told = instance, None, None
            self._follower.forget()

    def _step(self) -> None:
        """Tell the tempo, and look again after a while whether it is still that."""
        self._stepping = None
        if self._leader is not None and MIN_TEMPO_BPM <= self._tempo <= MAX_TEMPO_BPM:
            before, self._stepped = self._stepped, self._tempo
            self._follower.tempo(self._tempo)
            if before != self._tempo:
                self._stepping = asyncio.get_running_loop().call_later(_STEP_SECONDS, self._step)

    def _moved(self, status: Status, now: float) -> bool:
        """Whether it is elsewhere than it would be if it had played on since its place was told last.

        A STATUS comes some time after the block that it tells of, so a block is no difference.
        """
        if self._place is None:
            return True
        quarters, at = self._place
        apart = (status.quarters - quarters) * 60 / status.tempo_bpm - (now - at)
        return abs(apart) > _SAME_PLACE_SECONDS + status.block / status.sample_rate
