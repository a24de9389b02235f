"""What the table in `protocol.py` is made of: commands, properties and events, and their fields."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from resonantgen.music.notes import Role


class Kind(StrEnum):
    """What a field holds."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    TEXT = "text"
    TRACK = "track"  # a role, or its number from 1; always given back as the role's name
    TRACKS = "tracks"  # a list of them, or text with commas
    GENERATORS = "generators"  # names by track, or text: "drums=musicgen-small"; always given back by the roles' names


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a command, property or event."""

    name: str
    kind: Kind
    doc: str
    default: object = REQUIRED  # None: left to the engine
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Command:
    """Something that the engine can be told to do.

    `osc` holds its addresses below /rg, with fields in braces ("track/{track}/lock"); fields that an address does not
    hold are its arguments, in order. `trigger` commands are what buttons send: a lone number or boolean is the button,
    of which 0 is its release and does nothing. `generates` marks those that are answered only once takes are made.
    """

    name: str
    doc: str
    fields: tuple[Field, ...] = ()
    result: tuple[Field, ...] = ()
    osc: tuple[str, ...] = ()
    http: str = ""
    trigger: bool = False
    generates: bool = False

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


@dataclass(frozen=True, slots=True)
class Property:
    """A value of the engine's state. Its key is its OSC address below /rg, with the role's name where it is a track's.

    A subscriber is given all of them, then each change.
    """

    name: str  # "tempo", or "track/{track}/gain" for one of each track
    value: Field

    @property
    def per_track(self) -> bool:
        return "{track}" in self.name

    def state_keys(self) -> tuple[str, ...]:
        """The keys of the state that it stands for."""
        return tuple(self.name.format(track=role.value) for role in Role) if self.per_track else (self.name,)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `osc` is its address below /rg, as of a command; empty: not sent by OSC."""

    name: str
    doc: str
    fields: tuple[Field, ...] = ()
    osc: str = ""
