"""Takes as sound, at any tempo and sample rate: as they were recorded where that fits, otherwise made again in the
worker: notes are rendered, what is sound is stretched.

What was found is kept, the latest first, as far as memory goes. Whoever asks for what is being found already waits with
those who asked before. All of it belongs to the engine's loop; files are read and stems rendered elsewhere.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from resonantgen.realtime.material import Grid, Material
from resonantgen.realtime.messages import NO_RECORDINGS, Recordings
from resonantgen.realtime.worker import Listener, Ready, Worker, ignore
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Take

CACHED_BYTES: Final = 400_000_000  # of sound that does not play now, but may again: what undo brings back

_Key: TypeAlias = tuple[str, TempoMap]  # a take's id, and how it sounds


class Renditions:
    """The sound of a session's takes."""

    def __init__(self, session: Session, worker: Worker) -> None:
        self._session = session
        self._worker = worker
        self._materials: OrderedDict[_Key, Material] = OrderedDict()  # of the session's takes
        self._auditioned: dict[_Key, Material] = {}  # of takes that it may never have
        self._searches: dict[_Key, _Search] = {}  # under way

    def find(self, take: Take, tempo: TempoMap) -> Material | None:
        """What is there."""
        key = (take.id, tempo)
        material = self._materials.get(key)
        if material is not None:
            self._materials.move_to_end(key)
        return material

    async def get(
        self,
        takes: Sequence[Take],
        grid: Grid,
        first_bar: Callable[[], int] = lambda: 0,
        listener: Listener = ignore,
    ) -> dict[str, Material]:
        """The takes' sound, whole, by their ids.

        The listener is told as of `Worker.render` for those that nobody else waits for yet; `first_bar` is asked when
        that begins. Cancelling gives up what nobody else waits for. Raises ResonantGenError.
        """
        materials = {take.id: material for take in takes if (material := self.find(take, grid.tempo)) is not None}
        searches = {self._searches.get((take.id, grid.tempo)) for take in takes if take.id not in materials}
        unsought = [take for take in takes if take.id not in materials and (take.id, grid.tempo) not in self._searches]
        if unsought:
            searches.add(self._search(unsought, grid, first_bar, listener))
        for search in searches - {None}:
            assert search is not None
            found = await search.wait()
            materials |= {take.id: found[take.id] for take in takes if take.id in found}
        return materials

    def audition(self, materials: Iterable[Material | None], tempo: TempoMap) -> None:
        """Takes that are on their way: the session may have them soon."""
        for material in materials:
            if material is not None and not material.partial:
                self._auditioned[material.name, tempo] = material

    def keep_what_became_true(self, takes: Iterable[Take]) -> None:
        """Of what was auditioned, keep what the session has now.

        A take that was given up leaves its id to another one, so its sound must not be found under it.
        """
        names = {take.id for take in takes}
        for (name, tempo), material in self._auditioned.items():
            if name in names:
                self._keep(material, tempo)
        self._auditioned.clear()

    def _keep(self, material: Material, tempo: TempoMap) -> None:
        self._materials[material.name, tempo] = material
        while (
            len(self._materials) > len(Role) and sum(m.samples.nbytes for m in self._materials.values()) > CACHED_BYTES
        ):
            self._materials.popitem(last=False)

    def _search(self, takes: Sequence[Take], grid: Grid, first_bar: Callable[[], int], listener: Listener) -> _Search:
        search = _Search(self._find_all(takes, grid, first_bar, listener))
        keys = [(take.id, grid.tempo) for take in takes]
        self._searches |= dict.fromkeys(keys, search)

        def forget(_: object = None) -> None:
            for key in keys:
                if self._searches.get(key) is search:
                    del self._searches[key]

        search.task.add_done_callback(forget)
        search.given_up = forget
        return search

    async def _find_all(
        self, takes: Sequence[Take], grid: Grid, first_bar: Callable[[], int], listener: Listener
    ) -> Mapping[str, Material]:
        found: dict[str, Material] = {}
        for take in takes:
            if take.recipe.settings.tempo == grid.tempo:
                found[take.id] = await asyncio.to_thread(_read, self._session, take)
                self._keep(found[take.id], grid.tempo)

        def listen(ready: Progress | Ready) -> None:
            if isinstance(ready, Ready) and not ready.material.partial:
                found[ready.material.name] = ready.material
                self._keep(ready.material, grid.tempo)
            listener(ready)

        others = [take for take in takes if take.id not in found]
        if others:
            recordings = await recordings_of(self._session, [take for take in others if take.is_sound])
            await self._worker.render(others, grid, first_bar(), listen, recordings)
        return found


class _Search:
    """Sound that is being found, for everyone who waits for it."""

    def __init__(self, finding: Coroutine[object, object, Mapping[str, Material]]) -> None:
        self.task = asyncio.get_running_loop().create_task(finding)
        self.given_up: Callable[[], None] = lambda: None
        self._waiting = 0

    async def wait(self) -> Mapping[str, Material]:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self.task.done():
                self.task.cancel()
                self.given_up()


async def recordings_of(session: Session, takes: Sequence[Take]) -> Recordings:
    """The files of takes that are sound, read in another thread. Raises ProjectDamaged."""
    return await asyncio.to_thread(session.recordings, takes) if takes else NO_RECORDINGS


def _read(session: Session, take: Take) -> Material:
    """Reads a file; runs in another thread."""
    return Material(take.id, session.samples(take).astype(np.float32), take.score.notes)
