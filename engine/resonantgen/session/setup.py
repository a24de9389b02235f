"""How a project is set up around its music: the mixer, and which of the DAW's tracks are ours. History leaves it be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from resonantgen.errors import BadValue
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


def checked_setup(setup: Setup) -> Setup:
    """The same setup, with a strip for every track, in its own types. Raises BadValue."""
    strips = {role: _checked_strip(role, setup.strips.get(role, Strip())) for role in Role}
    for number in setup.daw_tracks:
        if number < 1:
            raise BadValue(f"The DAW has no track {number}: its tracks count from 1.")
    return Setup(strips, {number: Role(role) for number, role in sorted(setup.daw_tracks.items())})


def _checked_strip(role: Role, strip: Strip) -> Strip:
    if not SILENT_GAIN_DB <= strip.gain_db <= MAX_GAIN_DB:  # nor NaN
        raise BadValue(
            f"The gain of {role.value} cannot be {strip.gain_db} dB. "
            f"Use {SILENT_GAIN_DB:g} (silence) to {MAX_GAIN_DB:g}."
        )
    if not -1.0 <= strip.pan <= 1.0:
        raise BadValue(f"The pan of {role.value} cannot be {strip.pan}. Use -1 (left) to 1 (right).")
    return Strip(float(strip.gain_db), float(strip.pan), strip.muted, strip.soloed)
