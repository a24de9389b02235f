"""Bandwidth in kbit/s as a number of codebooks: fewer of them are the first ones of more."""

from __future__ import annotations

import math
from typing import Protocol

from resonantgen.errors import BadValue


class Offer(Protocol):
    """What a codec's configuration says of its bandwidths."""

    @property
    def name(self) -> str: ...
    @property
    def bandwidths_kbps(self) -> tuple[float, ...]: ...
    @property
    def bits(self) -> int:
        """Of an index."""
        ...

    @property
    def frame_rate(self) -> float: ...


def codebooks_at(offer: Offer, bandwidth_kbps: float) -> int:
    """How many codebooks fit into a bandwidth, from 1. Raises BadValue where the model does not have it."""
    near = [kbps for kbps in offer.bandwidths_kbps if abs(kbps - bandwidth_kbps) < 1e-6]
    if not near:
        known = ", ".join(f"{kbps:g}" for kbps in offer.bandwidths_kbps)
        raise BadValue(f"{offer.name} has no bandwidth of {bandwidth_kbps:g} kbit/s; choose one of {known}.")
    return max(1, math.floor(near[0] * 1000 / (offer.bits * offer.frame_rate) + 1e-9))
