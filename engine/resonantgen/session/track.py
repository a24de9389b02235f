"""One of a session's tracks, as a person deals with it: `session.tracks["drums"].lock()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resonantgen.music.notes import Role
from resonantgen.session.values import Take

if TYPE_CHECKING:
    from resonantgen.session.session import Session


class Track:
    """One of the four tracks of a session. It shows where the session stands now."""

    def __init__(self, session: Session, role: Role) -> None:
        self._session = session
        self.role = role

    def __repr__(self) -> str:
        return f"<Track {self.role.value}: {self.take.id if self.take else 'silent'}{', locked' * self.locked}>"

    @property
    def take(self) -> Take | None:
        """What the track plays; None if it does not play."""
        return self._session.playing.get(self.role)

    @property
    def takes(self) -> tuple[Take, ...]:
        """Every take that the track ever had, oldest first, also those that were undone."""
        return self._session.takes(self.role)

    @property
    def locked(self) -> bool:
        return self.role in self._session.locked

    def lock(self) -> None:
        """Freeze the track: until it is unlocked, nothing changes its notes or its sound. Raises BadValue if silent."""
        self._session.lock(self.role)

    def unlock(self) -> None:
        self._session.unlock(self.role)
