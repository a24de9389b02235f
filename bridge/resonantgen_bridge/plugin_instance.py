"""One plugin in one DAW track, as far as it has told of itself, and the epochs that it was told of.

Pure: no sockets and no clock but the times that it is given. It belongs to the engine's loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen.realtime.transport import fade_frames
from resonantgen_bridge.plugin_clock import HostClock
from resonantgen_bridge.plugin_sources import Source
from resonantgen_bridge.plugin_wire import EpochTold, HostFlag, Message, Status

_ROLES: Final = tuple(Role)
_MARGIN_SECONDS: Final = 0.05  # for what is told to arrive, and for its sound to be pulled
_OLDEST_SECONDS: Final = 0.25  # a host that plays has moved on by no more since its last STATUS: they come more often
_EPOCHS_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """What an instance is to play: a take's loop at its host's clock, or silence."""

    clock: HostClock
    take: str = ""  # its id; empty: silence
    tempo: TempoMap | None = None  # at which the take is to be found; None: silence
    loop_quarters: Fraction = Fraction(4)


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """What was told, and what it sounds like."""

    told: EpochTold
    wish: Wish
    source: Source | None  # None: its sound is not there yet


class Instance:
    """What is known of a plugin, and what it is told."""

    def __init__(self, identity: int, send: Callable[[Message], None]) -> None:
        """`identity` is its own number, which it has as long as it lives."""
        self.identity = identity
        self.send = send
        self.status: Status | None = None
        self.clock: HostClock | None = None  # None: the host has told none yet
        self._heard_at = 0.0
        self._number = 0  # of the epoch that was told last
        self._epochs: dict[int, Epoch] = {}  # by number, oldest first

    def hear(self, status: Status, now: float) -> None:
        """`now` is a time of `time.monotonic`."""
        self.status, self._heard_at = status, now
        if HostFlag.TIMED in status.flags and (self.clock is None or self.clock.number != status.clock):
            self.clock = HostClock.of(status)

    # -- how it stands ------------------------------------------------------------------------------------------------

    @property
    def role(self) -> Role | None:
        """Of its track; None: there is no such track."""
        if self.status is None or self.status.track > len(_ROLES):
            return None
        return _ROLES[self.status.track - 1]

    @property
    def playing(self) -> bool:
        return self._has(HostFlag.PLAYING)

    @property
    def wish(self) -> Wish | None:
        """What it was told to play last."""
        return self._epochs[self._number].wish if self._number else None

    @property
    def waits(self) -> bool:
        """Whether its host's audio thread may be waiting for the epoch of its clock."""
        wish = self.wish
        return self.playing and self._has(HostFlag.WAIT) and (wish is None or wish.clock != self.clock)

    @property
    def lacks(self) -> bool:
        """Whether the sound of what it was told last is not there yet."""
        return bool(self._number) and self._epochs[self._number].source is None

    def source(self, epoch: int) -> Source | None:
        """What the epoch sounds like, if it plays or was told last, and its sound is there."""
        playing = self.status.epoch if self.status is not None else 0
        return self._epochs[epoch].source if epoch in self._epochs and epoch in (playing, self._number) else None

    # -- what it is told ----------------------------------------------------------------------------------------------

    def first_line(self, now: float) -> int:
        """The host frame of the first bar line with which something new can begin."""
        status, clock = self.status, self.clock
        assert status is not None and clock is not None
        fade = fade_frames(clock.sample_rate)
        if self.waits:  # nothing moves until it is told, so this is the same in each run
            line = clock.bar_line(status.frame)
            return line if line == status.frame else clock.bar_line(status.frame + fade)
        moved = min(now - self._heard_at, _OLDEST_SECONDS) if self.playing else 0.0
        ahead = fade + 2 * status.block + round((_MARGIN_SECONDS + moved) * clock.sample_rate)
        return clock.bar_line(status.frame + ahead)

    def at_once(self, line: int) -> bool:
        """Whether what is told for that bar line plays now: nothing is heard that it would replace."""
        status = self.status
        assert status is not None
        heard = self.playing and status.epoch in self._epochs
        return not heard or (self.waits and line == status.frame)

    def tell(self, wish: Wish, source: Source | None, line: int) -> None:
        """Go over to this, on that bar line or at once. Without a source, `supply` follows."""
        if self.lacks:
            self.supply(Source.silent())  # nobody is to wait for what is replaced
        fade = fade_frames(wish.clock.sample_rate)
        told = EpochTold(self._next_number(), wish.clock.number, line, fade, self.at_once(line))
        self._tell(Epoch(told, wish, source))

    def supply(self, source: Source) -> None:
        """The sound of what it was told last is there."""
        self._epochs[self._number] = replace(self._epochs[self._number], source=source)

    def tell_again(self, now: float) -> None:
        """If the bar line has gone by without it, name a later one.

        Told while the plugin went over to another one, it may have the parity of the one that plays: then it needs
        another number, too.
        """
        status, told = self.status, self._epochs[self._number].told if self._number else None
        if status is None or told is None or status.epoch == told.epoch or status.epoch not in self._epochs:
            return
        epoch = self._epochs[self._number]
        if status.epoch % 2 == told.epoch % 2:
            told = replace(told, epoch=self._next_number())
        elif told.at_once or not self.playing or status.clock != told.clock or status.frame < told.from_frame:
            return  # nothing was missed; what was told at once may have crossed this STATUS
        self._tell(replace(epoch, told=replace(told, from_frame=self.first_line(now), at_once=not self.playing)))

    def _next_number(self) -> int:
        playing = self.status.epoch if self.status is not None else 0
        return self._number + (2 if (self._number + 1) % 2 == playing % 2 and playing else 1)

    def _tell(self, epoch: Epoch) -> None:
        self._number = epoch.told.epoch
        self._epochs[self._number] = epoch
        playing = self.status.epoch if self.status is not None else 0
        for number in [each for each in self._epochs if each not in (playing, self._number)][: 2 - _EPOCHS_KEPT]:
            del self._epochs[number]
        self.send(epoch.told)

    def _has(self, flag: HostFlag) -> bool:
        return self.status is not None and flag in self.status.flags
