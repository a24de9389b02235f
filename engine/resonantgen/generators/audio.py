"""The AudioGenerator contract: a request, a pure value, goes in; sound comes out, with what was heard in it.

An audio generator writes sound rather than notes. What it writes is fitted to the request's bars: exactly as many
frames, its beats on the grid, a loop without a click. Notes are what an ear finds in it, so that other tracks have
something to play to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from resonantgen.generators.base import Request
from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Role, Score


@dataclass(frozen=True, slots=True)
class AudioRequest:
    """All that a track's sound depends on. The same request gives the same samples on the same machine."""

    request: Request  # role, plan (tempo, meter, key, bars, chords), seed, attributes, the scores of its context
    words: str  # what the user asked for: "dark techno"
    sample_rate: int
    loudness_lufs: float  # what the stem should have
    context: Mapping[Role, Samples] = field(default_factory=lambda: MappingProxyType({}))
    # [frames, 2] of the tracks that sound with it, at the plan's tempo and this sample rate


@dataclass(frozen=True, slots=True)
class Fit:
    """How generated sound was brought onto the grid: what was measured, and what was done."""

    model: str  # "musicgen-small"
    weights_sha256: str
    prompt: str  # what the model was told
    seed: int  # of the attempt that was kept
    attempts: int  # from 1
    heard_tempo_bpm: float | None  # None: no beat was found in it
    stretch: float  # its length after over before; 1.0: left as it was
    beat_error_ms: float | None  # root mean square distance of what is heard from the grid, afterwards
    aligned: bool  # whether its beats are on the grid. False: none was found, or none close enough in any attempt

    def __str__(self) -> str:
        """For people: "beat 127.6 bpm, stretched by 0.3%, 4 ms off the grid"; "no beat to align in 4 attempts"."""
        tried = f" in {self.attempts} attempts" if self.attempts > 1 else ""
        if self.heard_tempo_bpm is None:
            return f"no beat to align{tried}"
        moved = f"stretched by {abs(self.stretch - 1):.1%}" if self.stretch != 1.0 else "not stretched"
        off = "" if self.beat_error_ms is None else f", {self.beat_error_ms:.0f} ms off the grid"
        if self.aligned:
            found = f", best of {self.attempts} attempts" if self.attempts > 1 else ""
            return f"beat {self.heard_tempo_bpm:.1f} bpm, {moved}{off}{found}"
        loose = f", not aligned{tried}: too far from the tempo, or its beats too uneven"
        return f"beat {self.heard_tempo_bpm:.1f} bpm, {moved}{off}{loose}"


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """What an audio generator has played."""

    samples: Samples  # [frames, 2] at the request's sample rate: exactly the plan's bars, and a loop
    score: Score  # what is heard in it
    fit: Fit


class AudioGenerator(Protocol):
    """Plays one track. It may keep a model in memory; what it plays depends on the request alone."""

    name: str  # "musicgen-small"

    def perform(self, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        """Play it. `on_bar` is told how many bars have been made, never more than the plan has, and may be told
        again from the first where another attempt is made; what it raises ends the work, within a few frames of the
        model.

        Raises ModelError.
        """
        ...
