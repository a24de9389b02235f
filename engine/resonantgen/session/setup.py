"""How a project is set up around its music: the mixer, and which of the DAW's tracks are ours. History leaves it be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from resonantgen.music.notes import Role

SILENT_GAIN_DB, MAX_GAIN_DB = -60.0, 6.0  # a gain of the lower bound is silence


@dataclass(frozen=True, slots=True)
class Strip:
    """One track of the mixer."""

    gain_db: float = 0.0  # SILENT_GAIN_DB to MAX_GAIN_DB
    pan: float = 0.0  # -1 left to 1 right; a balance: 0 leaves both sides as they are
    muted: bool = False
    soloed: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """What is kept with the project beside its music."""

    strips: Mapping[Role, Strip] = field(default_factory=lambda: MappingProxyType({role: Strip() for role in Role}))
    daw_tracks: Mapping[int, Role] = field(default_factory=lambda: MappingProxyType({}))  # by number from 1
