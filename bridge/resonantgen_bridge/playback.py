"""Keeps the player playing what the session says, and swaps each take's sound in on a bar line.

It belongs to the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.realtime.material import Change, Grid, Material
from resonantgen.realtime.player import Player
from resonantgen.realtime.worker import Ready
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Settings, Take
from resonantgen_bridge.renditions import Renditions

PREVIEW_SECONDS = 0.06  # that a track's first bar may take until it can be played, with the machine busy
PLANNING_SECONDS = 0.04  # and all tracks together, before that


class Playback:
    """What the player plays, as the session has it, at the sample rate of the output."""

    def __init__(
        self,
        session: Session,
        player: Player,
        renditions: Renditions,
        sample_rate: int,
        complain: Callable[[ResonantGenError], None],
    ) -> None:
        """`complain` is told what went wrong where no command waits for it."""
        self._session = session
        self._player = player
        self._renditions = renditions
        self._sample_rate = sample_rate
        self._complain = complain
        self._fetching: asyncio.Task[None] | None = None
        self._fetched_for: tuple[Grid, tuple[str, ...]] | None = None
        self._auditioned: Grid | None = None  # on which takes were played that were on their way, lately

    def grid(self, settings: Settings) -> Grid:
        return Grid(replace(settings.tempo, sample_rate=self._sample_rate), settings.bars)

    def follow(self) -> None:
        """Play what the session says from the next bar line on, once all of it is there. Until then, all stays."""
        settings, playing = self._session.settings, self._session.playing
        self._renditions.keep_what_became_true(playing.values())
        if settings is None:
            if self._auditioned is not None:  # of a first generation that was given up
                self._player.change(Change(self._auditioned, dict.fromkeys(Role)))
            self._auditioned = None
            return
        grid = self.grid(settings)
        found = {role: self._renditions.find(take, grid.tempo) for role, take in playing.items()}
        missing = [playing[role] for role, material in found.items() if material is None]
        if missing:
            self._fetch(missing, grid)
        else:
            self._stop_fetching()
            self._player.change(Change(grid, {role: found.get(role) for role in Role}))

    def audition(self, grid: Grid, materials: Mapping[Role, Material | None]) -> None:
        """Play takes that are on their way: the session has them soon, or `follow` takes them back."""
        self._renditions.audition(materials.values(), grid.tempo)
        self._auditioned = grid
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
            await self._get(takes, grid)
        except ResonantGenError as error:
            self._fetching = self._fetched_for = None
            self._complain(error)
        else:
            self._fetching = self._fetched_for = None
            self.follow()

    async def _get(self, takes: Sequence[Take], grid: Grid) -> None:
        """Those that are rendered at another tempo or rate are played as soon as their next bar is there."""
        early: dict[Role, Material | None] = {}
        roles = {take.role for take in takes if take.recipe.settings.tempo != grid.tempo}

        def listen(ready: Progress | Ready) -> None:
            if isinstance(ready, Progress):
                return
            early[ready.role] = ready.material
            if early.keys() == roles and any(m is not None and m.partial for m in early.values()):
                playing = self._session.playing.items()
                found = {role: self._renditions.find(take, grid.tempo) for role, take in playing}
                self._player.change(Change(grid, {**found, **early}))

        await self._renditions.get(takes, grid, lambda: self.next_bar(grid, len(roles)), listen)
