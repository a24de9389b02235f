"""What passes between the engine and a worker process: frozen values, packed with `session.codec`.

Every request has an id that is never used again, and ends in exactly one `Done`, `Failed` or `GivenUp` with that id.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import msgspec

from resonantgen.music.notes import Note, Role
from resonantgen.music.time import TempoMap
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.material import Grid
from resonantgen.session.codec import pack, unpack
from resonantgen.session.jobs import Order
from resonantgen.session.values import Progress, Take

Recordings: TypeAlias = Mapping[str, bytes]  # the WAV files of takes that are sound, by hash
NO_RECORDINGS: Final[Recordings] = MappingProxyType({})


class Message(msgspec.Struct, frozen=True, tag=True):
    """What all of them have: the id of the request that they are about; 0 is none."""

    id: int


class Understand(Message, frozen=True):
    """What do these words mean? Answered beside whatever else is being done."""

    text: str


class Make(Message, frozen=True):
    """Make an order's takes. `tempo` is what plays, and so what `Heard` is to be at."""

    order: Order
    preview_bar: int  # from 0
    tempo: TempoMap
    recordings: Recordings = NO_RECORDINGS  # of `order.job.recordings`

    @property
    def performs(self) -> bool:
        """Whether a generator of sound is to play, which can take minutes."""
        return any(part.is_sound for part in self.order.job.parts.values())


class Render(Message, frozen=True):
    """Takes at the grid's tempo and sample rate: notes are rendered again, sound is stretched."""

    takes: tuple[Take, ...]
    grid: Grid
    first_bar: int  # from 0: what is wanted first
    recordings: Recordings = NO_RECORDINGS  # of those that are sound


class GiveUp(Message, frozen=True):
    """Stop working on a request."""


Request: TypeAlias = Understand | Make | Render | GiveUp
REQUEST = cast(type[Request], Request)  # for `unpack`


class Hello(Message, frozen=True):
    """The process answers."""


class Warm(Message, frozen=True):
    """The kernels that the four roles need are loaded."""


class Advanced(Message, frozen=True):
    """How far it is."""

    progress: Progress


class Heard(Message, frozen=True):
    """Sound to play, and to be forgotten when better comes."""

    role: Role
    take: str
    notes: tuple[Note, ...]  # of the whole loop
    first_frame: int
    partial: bool
    gain_db: float
    samples: bytes  # float32 [frames, 2], in the machine's byte order


class Recorded(Message, frozen=True):
    """A take's WAV file. It is sound to play, too, if it is at the tempo that plays."""

    role: Role
    take: str
    notes: tuple[Note, ...]
    audio_sha256: str
    wav: bytes
    plays: bool
    gain_db: float


class Done(Message, frozen=True):
    """The end of a request that went well."""

    takes: tuple[Take, ...] = ()  # of Make
    intent: Intent | None = None  # of Understand


class Failed(Message, frozen=True):
    """The end of a request that could not be done. `error` names a class of `errors`; "" is none of them."""

    error: str
    text: str


class GivenUp(Message, frozen=True):
    """The end of a request that was given up."""


Reply: TypeAlias = Hello | Warm | Advanced | Heard | Recorded | Done | Failed | GivenUp
REPLY = cast(type[Reply], Reply)


def meet_types() -> None:
    """Let msgspec look at all types here: 0.22 crashes when two threads make it look at one for the first time."""
    unpack(pack(GiveUp(0)), REQUEST)
    unpack(pack(Hello(0)), REPLY)
