"""What the player plays: a track's loop as samples and notes, at one tempo and sample rate. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resonantgen.music.notes import Note, Role
from resonantgen.music.time import TempoMap

Frames: TypeAlias = NDArray[np.float32]  # [frames, 2]; 24-bit samples are exact in it


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A track's sound for a whole loop, or for some bars of it while the rest is still being rendered.

    `samples` are frames `first_frame` to `first_frame + len(samples)` of the loop. Outside of them there is nothing to
    play: before that, the player falls back to what the track played, or goes on with one that `extends` this one.

    What a partial one has before the first bar that it covers is a run-up, heard only while it is faded in;
    `first_frame` is negative where that lies before the loop's start.
    """

    name: str  # the take's id, with "~" behind it while it is partial
    samples: Frames
    notes: tuple[Note, ...] = ()  # of the whole loop, sorted by start: for MIDI
    first_frame: int = 0
    partial: bool = False
    gain_db: float = 0.0  # of a partial one, from its stem's level: `preview.preview` with it gives the same samples
    stream: int = 0  # of a partial one: a longer one with the same number begins with the same samples; 0 is none

    def extends(self, other: Material) -> bool:
        """Whether it is another one with more of it at the end."""
        return (
            0 != self.stream == other.stream
            and (self.name, self.first_frame) == (other.name, other.first_frame)
            and len(self.samples) >= len(other.samples)
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """The loop that all tracks share: `bars` bars at a tempo."""

    tempo: TempoMap
    bars: int

    @property
    def frames(self) -> int:
        return self.tempo.frames(self.bars)

    def bar_at(self, frame: int) -> int:
        """The bar (from 0) of the loop that a frame of it belongs to."""
        return self.tempo.tick_at(frame) // self.tempo.meter.bar_ticks


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """New sound for some tracks, together, from one bar line on.

    Tracks that it does not name go on as they are; None silences one. With a `grid` other than the one that plays, the
    tracks that it does not name fall silent.
    """

    grid: Grid
    materials: Mapping[Role, Material | None] = field(default_factory=lambda: MappingProxyType({}))


def frames_of_wav(data: bytes) -> Frames:
    """The samples of a take's WAV file, exactly. Slow enough to do beside the loop; any thread may."""
    import soundfile  # imported here: whoever only plays does not need it

    samples: Frames = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)[0]
    return samples


def frames_of_bytes(data: bytes) -> Frames:
    """What `tobytes` of samples [frames, 2] gave, read-only and without a copy."""
    return np.frombuffer(data, np.float32).reshape(-1, 2)
