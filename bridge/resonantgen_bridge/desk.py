"""The mixer and the map of the DAW's tracks: changed at once, saved with the project a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.realtime.player import Player
from resonantgen.session.session import Session
from resonantgen.session.setup import Setup, Strip
from resonantgen_bridge.hub import Hub
from resonantgen_bridge.properties import mixer_properties
from resonantgen_bridge.track_names import role_of_name

SAVE_AFTER_SECONDS = 0.5  # a fader sends a hundred values a second


class Desk:
    """The project's setup as it is now. It belongs to the engine's loop."""

    def __init__(
        self, session: Session, player: Player, hub: Hub, complain: Callable[[ResonantGenError], None]
    ) -> None:
        self._session = session
        self._player = player
        self._hub = hub
        self._complain = complain
        self._names: dict[int, str] = {}
        self._saving: asyncio.TimerHandle | None = None
        self._covered: frozenset[Role] = frozenset()  # played elsewhere
        self.setup: Setup = session.setup
        for role in self.setup.strips:
            self._apply(role)
        hub.update(mixer_properties(self.setup))

    def strip(self, role: Role) -> Strip:
        return self.setup.strips[role]

    def set_strip(self, role: Role, strip: Strip) -> None:
        if strip != self.strip(role):
            self._change(replace(self.setup, strips={**self.setup.strips, role: strip}))
            self._apply(role)
            self._hub.update(mixer_properties(self.setup))

    def cover(self, roles: Collection[Role]) -> None:
        """These tracks, and no others, are played elsewhere: here they are silent, whatever their strips say.

        That is neither saved nor shown: it is nothing that the user did.
        """
        changed = self._covered ^ frozenset(roles)
        self._covered = frozenset(roles)
        for role in changed:
            self._apply(role)

    def map_track(self, daw_track: int, role: Role | None) -> None:
        """Say which of ours a track of the DAW is; None: its name decides again."""
        tracks = {number: other for number, other in self.setup.daw_tracks.items() if number != daw_track}
        if role is not None:
            tracks[daw_track] = role
        self._change(replace(self.setup, daw_tracks=dict(sorted(tracks.items()))))

    def name_track(self, daw_track: int, name: str) -> None:
        self._names[daw_track] = name

    def role_of(self, daw_track: int) -> Role | None:
        if daw_track in self.setup.daw_tracks:
            return self.setup.daw_tracks[daw_track]
        return role_of_name(self._names.get(daw_track, ""))

    def daw_tracks(self) -> dict[Role, int]:
        """Of our tracks, the first one in the DAW that stands for it: of those that were mapped, then by name."""
        mapped = self.setup.daw_tracks
        numbers = sorted({*mapped, *self._names}, key=lambda number: (number not in mapped, number))
        found = {role: number for number in reversed(numbers) if (role := self.role_of(number)) is not None}
        return {role: found[role] for role in Role if role in found}

    def save(self) -> None:
        """Save now what is not saved yet."""
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        if self.setup != self._session.setup:
            try:
                self._session.set_setup(self.setup)
            except ResonantGenError as error:
                self._complain(error)

    def _apply(self, role: Role) -> None:
        strip = self.strip(role)
        self._player.set_strip(role, replace(strip, muted=True) if role in self._covered else strip)

    def _change(self, setup: Setup) -> None:
        self.setup = setup
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(SAVE_AFTER_SECONDS, self._save_later)

    def _save_later(self) -> None:
        self._saving = None
        self.save()
