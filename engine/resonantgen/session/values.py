"""What a session is made of, as frozen values: settings, parts, recipes, takes, tracks' histories and revisions.

A take is a pure function of its recipe and of the takes in the recipe's context. Most are notes, from which their sound
can be rendered at any tempo. A take with a `fit` is sound: what is stored is the original, and its notes are what was
heard in it. So is an imported one, whose original is a file that the project keeps as it came. Nothing here touches the
disk; `store.py` keeps these values and `session.py` changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from resonantgen.generators.audio import Fit
from resonantgen.generators.registry import PATTERN
from resonantgen.instruments.base import Sound
from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import Key, Progression
from resonantgen.music.time import Meter, TempoMap
from resonantgen.prompt.intent import Attributes, Feel, Intent
from resonantgen.session.source import Imported, Source


@dataclass(frozen=True, slots=True)
class Settings:
    """What all tracks share, and what a track starts from when it is first made."""

    style: str  # the id of a preset in presets/styles
    mood: str | None
    tempo_bpm: Fraction
    meter: Meter
    key: Key
    bars: int
    sample_rate: int
    seed: int  # of the chord progression
    attributes: Attributes = Attributes()  # noqa: RUF009 - a frozen value

    @property
    def tempo(self) -> TempoMap:
        return TempoMap(self.tempo_bpm, self.meter, self.sample_rate)

    @property
    def length_ticks(self) -> int:
        return self.bars * self.meter.bar_ticks

    @property
    def frames(self) -> int:
        """Exact length of every stem."""
        return self.tempo.frames(self.bars)


@dataclass(frozen=True, slots=True)
class Part:
    """What was asked of one track."""

    style: str
    mood: str | None = None
    attributes: Attributes = Attributes()  # noqa: RUF009 - a frozen value
    instrument: str | None = None  # the id of a kit or patch that words asked for; None: the style chooses
    feel: Feel = Feel.NORMAL
    transpose_semitones: int = 0
    exclusions: frozenset[str] = frozenset()
    inclusions: frozenset[str] = frozenset()
    generator: str = PATTERN  # who plays it: "musicgen-small"; edits keep it until another is asked for
    words: str = ""  # what a generator of sound is told beside all this; those of notes read no words

    @property
    def is_sound(self) -> bool:
        """Whether its generator makes sound rather than notes."""
        return self.generator != PATTERN


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a take depends on. The same recipe gives the same notes and the same sound on the same machine."""

    role: Role
    seed: int
    settings: Settings
    part: Part
    chords: Progression  # the chords that the track plays to
    context: Mapping[Role, str] = field(default_factory=lambda: MappingProxyType({}))  # ids of the takes that it heard
    source: Source | None = None  # the recording that it is cut from; None: its generator makes it


@dataclass(frozen=True, slots=True)
class Take:
    """One recording of one track. It never changes once it is committed."""

    id: str  # "bass-3"
    number: int  # counted per role from 1
    recipe: Recipe
    prompt: str  # the words that led to it
    generator: str  # "pattern", "musicgen-small"
    score: Score  # of sound: what is heard in it
    sound: Sound  # what its notes are played on; of sound: what they would be
    frames: int
    audio_sha256: str  # of the WAV file's bytes
    notes_sha256: str
    summary: str  # one line for people
    fit: Fit | None = None  # of sound that a generator made: how it was brought onto the grid
    imported: Imported | None = None  # of a recording: what was heard in it, and what was done to it

    @property
    def role(self) -> Role:
        return self.recipe.role

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def is_sound(self) -> bool:
        """Whether its stored sound is the original, which no notes can give again."""
        return self.fit is not None or self.is_imported

    @property
    def is_imported(self) -> bool:
        """Whether it is somebody's own recording, whose file the project keeps."""
        return self.recipe.source is not None


@dataclass(frozen=True, slots=True)
class TrackState:
    """The take that a track plays (None: it does not play) and what its own undo and redo would bring back."""

    take: str | None = None
    past: tuple[str | None, ...] = ()  # oldest first
    future: tuple[str | None, ...] = ()  # next first

    def moved_to(self, take: str | None) -> TrackState:
        """New work: the present becomes the past."""
        if self == TrackState():
            return TrackState(take)
        return TrackState(take, (*self.past, self.take))

    def undone(self) -> TrackState:
        assert self.past
        return TrackState(self.past[-1], self.past[:-1], (self.take, *self.future))

    def redone(self) -> TrackState:
        assert self.future
        return TrackState(self.future[0], (*self.past, self.take), self.future[1:])


@dataclass(frozen=True, slots=True)
class TrackChange:
    """What a revision did to one track."""

    before: TrackState
    after: TrackState


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the session's history. Undoing it puts every unlocked track back to `before`."""

    number: int  # from 1
    command: str  # "generate", "regenerate", "adjust", "undo bass", "redo bass"
    intent: Intent | None  # None where no words were given
    settings_before: Settings | None
    settings_after: Settings
    changes: Mapping[Role, TrackChange]


@dataclass(frozen=True, slots=True)
class Project:
    """Where a session stands: all of it that changes."""

    seed: int | None = None  # of the first generation; further seeds derive from it
    settings: Settings | None = None  # None until something was generated
    tracks: Mapping[Role, TrackState] = field(
        default_factory=lambda: MappingProxyType({role: TrackState() for role in Role})
    )
    locked: frozenset[Role] = frozenset()
    revision: int = 0  # the number of the last revision that is in effect


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request is. Per track: stage "notes" for each bar in order, then "sound" once it is rendered.

    A generator of sound may count its bars again from the first, where it tries again.
    """

    role: Role
    stage: str
    bar: int  # bars that are done
    bars: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did, for people to be told."""

    intent: Intent | None = None
    changed: Mapping[Role, Take | None] = field(default_factory=lambda: MappingProxyType({}))  # None: removed
    locked: tuple[Role, ...] = ()  # tracks that the lock kept from changing
    kept: tuple[Role, ...] = ()  # tracks that were not locked, and left alone
