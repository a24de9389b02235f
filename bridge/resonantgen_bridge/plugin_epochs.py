"""Decides what every instance of the plugin plays: finds each track's sound at its host's clock, and tells its epoch.

Instances whose hosts have the same tempo and sample rate change together: what is new begins once all of it is there,
on the same bar line where their hosts are near enough to one another. All of it belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from typing import Final, Protocol, TypeAlias

import numpy as np

from resonantgen.errors import BadValue, ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.music.time import TICKS_PER_QUARTER, TempoMap
from resonantgen.realtime.material import Frames, Grid
from resonantgen.session.values import Settings, Take
from resonantgen_bridge.plugin_instance import Instance, Wish
from resonantgen_bridge.plugin_sources import Source
from resonantgen_bridge.renditions import Renditions

_SETTLE_SECONDS: Final = 0.01  # so that what several instances of a host say within a block is answered together
_RETRY_SECONDS: Final = 2.0

_Key: TypeAlias = tuple[str, TempoMap]

_log = logging.getLogger(__name__)


class Music(Protocol):
    """What there is to play."""

    @property
    def settings(self) -> Settings | None: ...

    @property
    def takes(self) -> Mapping[Role, Take]:
        """Those that play."""
        ...

    @property
    def renditions(self) -> Renditions: ...

    def complain(self, error: ResonantGenError) -> None: ...


class Epochs:
    """The epochs of all instances. `instances` gives them, those that were connected first first."""

    def __init__(self, music: Music, instances: Callable[[], Collection[Instance]]) -> None:
        self._music = music
        self._instances = instances
        self._sounds: dict[_Key, Frames] = {}  # that instances are to play now
        self._fetching: dict[_Key, asyncio.Task[None]] = {}
        self._failed: dict[_Key | None, tuple[int, float]] = {}  # how often, and when they can be tried again
        self._complained: set[str] = set()
        self._refreshing: asyncio.TimerHandle | None = None

    def refresh_soon(self) -> None:
        """Something has changed: of the music, or of an instance's track or clock."""
        if self._refreshing is None:
            seconds = 0.0 if any(instance.waits for instance in self._instances()) else _SETTLE_SECONDS
            self._refreshing = asyncio.get_running_loop().call_later(seconds, self.refresh)

    def refresh(self) -> None:
        """Tell instances of what is new to them, as far as its sound is there, and see to it that it comes."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._refreshing = None
        wishes = {each: wish for each in self._instances() if (wish := self._wish(each)) is not None}
        self._forget_all_but({_key(wish) for wish in wishes.values()})
        groups: dict[tuple[Fraction, int], list[Instance]] = {}
        for instance, wish in wishes.items():
            if wish != instance.wish or instance.lacks:
                groups.setdefault((wish.clock.tempo_bpm, wish.clock.sample_rate), []).append(instance)
        for due in groups.values():
            self._serve(due, wishes)

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        tasks = set(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- what is wished -----------------------------------------------------------------------------------------------

    def _wish(self, instance: Instance) -> Wish | None:
        clock, settings = instance.clock, self._music.settings
        if clock is None:
            return None
        take = self._music.takes.get(instance.role) if instance.role is not None else None
        if settings is None or take is None:
            return Wish(clock)
        try:
            tempo = TempoMap(clock.tempo_bpm, settings.meter, clock.sample_rate)
        except BadValue as error:
            self._complain(BadValue(f"The plugin's host cannot be followed, and the plugin is silent: {error}"))
            return Wish(clock)
        wish = Wish(clock, take.id, tempo, Fraction(settings.length_ticks, TICKS_PER_QUARTER))
        failures, _ = self._failed.get(_key(wish), (0, 0.0))
        stuck = failures > 1 and (instance.waits or instance.lacks)  # each of its blocks would wait
        return Wish(clock) if stuck else wish

    def _serve(self, due: Sequence[Instance], wishes: Mapping[Instance, Wish]) -> None:
        """Tell those of one tempo.

        A host that waits is not kept waiting for the sound of others, nor for its own before the bar line where that
        begins: in a ramp of tempos, what is replaced before then is never rendered.
        """
        now = time.monotonic()
        ready = [each for each in due if self._sound(wishes[each]) is not None]
        missing = [wishes[each] for each in due if each not in ready]
        missing = [wish for wish in missing if self._failed.get(_key(wish), (0, 0.0))[1] <= now]
        if missing:
            self._fetch(missing)
            ready = [each for each in ready if each.waits or each.lacks]
        early = [each for each in due if each.waits and each not in ready and not each.at_once(each.first_line(now))]
        lines = {each: each.first_line(now) for each in (*ready, *early)}
        for instance in lines:
            wish = wishes[instance]
            source = self._source(wish)
            if wish != instance.wish:
                instance.tell(wish, source, _shared_line(instance, lines))
            elif source is not None:
                instance.supply(source)

    def _source(self, wish: Wish) -> Source | None:
        sound = self._sound(wish)
        if sound is None:
            return None
        pass_frames = wish.loop_quarters * wish.clock.frames_per_quarter
        return Source(wish.clock.origin, pass_frames, sound if wish.take else None)

    def _sound(self, wish: Wish) -> Frames | None:
        """None: it is not there yet."""
        if wish.tempo is None:
            return _SILENCE
        key = (wish.take, wish.tempo)
        if key not in self._sounds:
            take = next(take for take in self._music.takes.values() if take.id == wish.take)
            material = self._music.renditions.find(take, wish.tempo)
            if material is None:
                return None
            self._sounds[key] = material.samples
        return self._sounds[key]

    # -- finding sound ------------------------------------------------------------------------------------------------

    def _fetch(self, wishes: Sequence[Wish]) -> None:
        settings = self._music.settings
        names = {wish.take for wish in wishes if _key(wish) not in self._fetching}
        takes = [take for take in self._music.takes.values() if take.id in names]
        tempo = wishes[0].tempo
        if not takes or settings is None or tempo is None:
            return
        task = asyncio.get_running_loop().create_task(self._find(takes, Grid(tempo, settings.bars)))
        self._fetching |= {(take.id, tempo): task for take in takes}

    async def _find(self, takes: Sequence[Take], grid: Grid) -> None:
        keys = [(take.id, grid.tempo) for take in takes]
        try:
            found = await self._music.renditions.get(takes, grid)
            self._sounds |= {(name, grid.tempo): material.samples for name, material in found.items()}
            self._complained.clear()
        except ResonantGenError as error:
            self._complain(error)
        except Exception:
            _log.exception("The sound of %s could not be found", keys)
        for key in keys:
            if key not in self._sounds:
                self._failed[key] = (self._failed.get(key, (0, 0.0))[0] + 1, time.monotonic() + _RETRY_SECONDS)
            if self._fetching.get(key) is asyncio.current_task():
                del self._fetching[key]
        self.refresh()

    def _forget_all_but(self, keys: set[_Key | None]) -> None:
        wanted = {task for key, task in self._fetching.items() if key in keys}
        for task in set(self._fetching.values()) - wanted:
            task.cancel()
        self._fetching = {key: task for key, task in self._fetching.items() if task in wanted}
        self._sounds = {key: sound for key, sound in self._sounds.items() if key in keys}
        self._failed = {key: at for key, at in self._failed.items() if key in keys}

    def _complain(self, error: ResonantGenError) -> None:
        """Once, until something goes well."""
        _log.info("%s", error)
        if str(error) not in self._complained:
            self._complained.add(str(error))
            self._music.complain(error)


def _key(wish: Wish) -> _Key | None:
    return None if wish.tempo is None else (wish.take, wish.tempo)


def _shared_line(instance: Instance, lines: Mapping[Instance, int]) -> int:
    """The bar line that it shares with the others whose hosts are about where its own is."""
    own, clock = lines[instance], instance.clock
    assert clock is not None
    if instance.waits or not instance.playing:
        return own
    bar_frames = clock.bar_quarters * clock.frames_per_quarter
    near = [
        line
        for other, line in lines.items()
        if other.clock is not None
        and other.clock.lines == clock.lines
        and other.playing
        and not other.waits
        and abs(line - own) <= bar_frames + 1
    ]
    return max(near)


_SILENCE: Final = np.zeros((0, 2), np.float32)
