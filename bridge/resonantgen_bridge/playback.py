"""Keeps the player playing what the session says: finds each take's sound, and swaps it in on a bar line.

It belongs to the engine's loop; files are read and stems rendered elsewhere.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen.realtime.material import Change, Grid, Material
from resonantgen.realtime.player import Player
from resonantgen.realtime.worker import Ready, Worker
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Settings, Take

CACHED_BYTES = 400_000_000  # of sound that does not play now, but may again: what undo brings back
PREVIEW_SECONDS = 0.06  # that a track's first bar may take until it can be played, with the machine busy
PLANNING_SECONDS = 0.04  # and all tracks together, before that


class Playback:
    """What the player plays, as the session has it, at the sample rate of the output."""

    def __init__(
        self,
        session: Session,
        player: Player,
        worker: Worker,
        sample_rate: int,
        complain: Callable[[ResonantGenError], None],
    ) -> None:
        """`complain` is told what went wrong where no command waits for it."""
        self._session = session
        self._player = player
        self._worker = worker
        self._sample_rate = sample_rate
        self._complain = complain
        self._materials: OrderedDict[tuple[str, TempoMap], Material] = OrderedDict()  # of the session's takes
        self._auditioned: dict[tuple[str, TempoMap], Material] = {}  # of takes that it may never have
        self._fetching: asyncio.Task[None] | None = None
        self._fetched_for: tuple[Grid, tuple[str, ...]] | None = None

    def grid(self, settings: Settings) -> Grid:
        return Grid(replace(settings.tempo, sample_rate=self._sample_rate), settings.bars)

    def follow(self) -> None:
        """Play what the session says from the next bar line on, once all of it is there. Until then, all stays."""
        settings = self._session.settings
        if settings is None:
            return
        grid = self.grid(settings)
        playing = self._session.playing
        self._keep_what_became_true(playing.values())
        found = {role: self._find(take, grid) for role, take in playing.items()}
        missing = [playing[role] for role, material in found.items() if material is None]
        if missing:
            self._fetch(missing, grid)
        else:
            self._stop_fetching()
            self._player.change(Change(grid, {role: found.get(role) for role in Role}))

    def audition(self, grid: Grid, materials: Mapping[Role, Material | None]) -> None:
        """Play takes that are on their way: the session has them soon, or `follow` takes them back."""
        for material in materials.values():
            if material is not None and not material.partial:
                self._auditioned[material.name, grid.tempo] = material
        self._player.change(Change(grid, materials))

    def next_bar(self, grid: Grid, tracks: int) -> int:
        """The bar of a loop with which so many new tracks can begin."""
        bar, _ = self._player.next_line(PLANNING_SECONDS + tracks * PREVIEW_SECONDS)
        return bar % grid.bars

    async def close(self) -> None:
        task = self._fetching
        self._stop_fetching()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    # -- finding sound ------------------------------------------------------------------------------------------------

    def _find(self, take: Take, grid: Grid) -> Material | None:
        material = self._materials.get((take.id, grid.tempo))
        if material is not None:
            self._materials.move_to_end((take.id, grid.tempo))
        return material

    def _keep(self, material: Material, tempo: TempoMap) -> None:
        self._materials[material.name, tempo] = material
        while (
            len(self._materials) > len(Role) and sum(m.samples.nbytes for m in self._materials.values()) > CACHED_BYTES
        ):
            self._materials.popitem(last=False)

    def _keep_what_became_true(self, takes: Iterable[Take]) -> None:
        """A take that was given up leaves its id to another one, so its sound must not be found under it."""
        names = {take.id for take in takes}
        for (name, tempo), material in self._auditioned.items():
            if name in names:
                self._keep(material, tempo)
        self._auditioned.clear()

    def _fetch(self, takes: Sequence[Take], grid: Grid) -> None:
        wanted = (grid, tuple(take.id for take in takes))
        if self._fetching is not None and self._fetched_for == wanted:
            return
        self._stop_fetching()
        self._fetched_for = wanted
        self._fetching = asyncio.get_running_loop().create_task(self._fetch_all(takes, grid))

    def _stop_fetching(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
        self._fetching = self._fetched_for = None

    async def _fetch_all(self, takes: Sequence[Take], grid: Grid) -> None:
        try:
            stored = [take for take in takes if take.recipe.settings.tempo == grid.tempo]
            for take in stored:
                self._keep(await asyncio.to_thread(_read, self._session, take), grid.tempo)
            others = [take for take in takes if take not in stored]
            if others:
                await self._render(others, grid)
        except ResonantGenError as error:
            self._fetching = self._fetched_for = None
            self._complain(error)
        else:
            self._fetching = self._fetched_for = None
            self.follow()

    async def _render(self, takes: Sequence[Take], grid: Grid) -> None:
        """Render takes at another tempo or rate. Their next bar is played as soon as it is there."""
        roles = {take.role for take in takes}
        early: dict[Role, Material | None] = {}

        def listen(ready: Progress | Ready) -> None:
            if isinstance(ready, Progress):
                return
            if not ready.material.partial:
                self._keep(ready.material, grid.tempo)
            early[ready.role] = ready.material
            if early.keys() == roles and any(m is not None and m.partial for m in early.values()):
                found = {role: self._find(take, grid) for role, take in self._session.playing.items()}
                self._player.change(Change(grid, {**found, **early}))

        await self._worker.render(takes, grid, self.next_bar(grid, len(takes)), listen)


def _read(session: Session, take: Take) -> Material:
    """Reads a file; runs in another thread."""
    return Material(take.id, session.samples(take).astype(np.float32), take.score.notes)
