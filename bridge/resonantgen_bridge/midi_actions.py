"""Actions that a MIDI message can be bound to, as short texts: "regenerate bass", "lock drums", "density bass".

The first word is a command of `protocol.COMMANDS`, or an attribute. Then comes a track, by name or number, where the
command has one, and what remains goes to its other fields in order: "style techno", "tempo 120", "regenerate bass more
notes". One field that is left over is *driven*: a controller sets it ("density bass", "gain 2"), a pad toggles it if it
is on or off ("lock drums", "play"), a program change chooses it ("style").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from resonantgen.errors import BadValue, quoted
from resonantgen.prompt.intent import ATTRIBUTES
from resonantgen_bridge.calls import Call
from resonantgen_bridge.parsing import parse_call, parse_field
from resonantgen_bridge.protocol import COMMAND, COMMANDS, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Command, Field, Kind

LARGEST: Final = 127  # of a MIDI value
_MIDDLE: Final = 64
_UNITY_GAIN: Final = 100  # the controller value of 0 dB: what General MIDI powers up with

# What control surfaces can send; others ("export", "status") answer with something to read.
_MAPPABLE = {command.name: command for command in COMMANDS if command.osc}


@dataclass(frozen=True, slots=True)
class Action:
    """A command with all of its arguments but the driven one."""

    text: str
    command: str
    given: Mapping[str, Any]
    driven: Field | None = None

    @property
    def toggles(self) -> bool:
        """Whether a press turns something on or off."""
        return self.driven is not None and self.driven.kind is Kind.BOOL

    @property
    def chooses(self) -> bool:
        """Whether it takes one of the mapping's styles."""
        return self.driven is not None and self.driven.kind is Kind.TEXT

    @property
    def continuous(self) -> bool:
        """Whether it needs a controller's value."""
        return self.driven is not None and self.driven.kind in (Kind.INT, Kind.FLOAT)

    def call(self, value: object = None) -> Call:
        """The command, with the driven field's value if it has one. Raises BadValue."""
        arguments = {**self.given, self.driven.name: value} if self.driven else self.given
        return parse_call(self.command, arguments)

    def is_on(self, state: Mapping[str, Any]) -> bool:
        """Whether what it toggles is on now, by the engine's state."""
        keys = (address.format(**self.given) for address in COMMAND[self.command].osc)
        return any(bool(state.get(key)) for key in keys if key in PROPERTY_OF_KEY)


def parse_action(text: str) -> Action:
    """Read an action. Raises BadValue."""
    words = text.split()
    if not words or any(not word.isprintable() for word in words):
        raise BadValue(f'{quoted(text)} is no action. Actions look like: "regenerate bass", "lock drums", "gain 2".')
    head, words = words[0].lower(), words[1:]
    if head == "adjust" and words:
        head, words = words[0].lower(), words[1:]
    given: dict[str, Any] = {}
    if head in ATTRIBUTES:
        command, given["attribute"] = COMMAND["adjust"], head
    elif head in _MAPPABLE and head != "adjust":
        command = _MAPPABLE[head]
    else:
        names = ", ".join([*(name for name in _MAPPABLE if name != "adjust"), *ATTRIBUTES])
        raise BadValue(f"{quoted(text)} is no action: it starts with none of {names}.")
    _take_track(command, given, words)
    _take_rest(command, given, words, text)
    return Action(" ".join(text.split()), command.name, given, _driven(command, given, text))


def scaled(field: Field, value: int) -> int | float:
    """A controller's value (0 to 127) in a field's range.

    64 is the middle of a range that goes as far below 0 as above it; decibels go by General MIDI's curve for volume.
    """
    low, high = float(field.low or 0), float(field.high or 0)
    if field.unit == "dB":
        result = _decibels(value, low, high)
    elif low == -high:
        result = high * ((value - _MIDDLE) / (_MIDDLE if value < _MIDDLE else LARGEST - _MIDDLE))
    else:
        result = low + (high - low) * value / LARGEST
    return round(result) if field.kind is Kind.INT else round(result, 4)


def chosen(styles: Sequence[str], value: int, *, spread: bool) -> str | None:
    """The style of a program's number, or, `spread` over all values, of a controller's; None: there is none."""
    index = value * len(styles) // (LARGEST + 1) if spread else value
    return styles[index] if index < len(styles) else None


def _decibels(value: int, low: float, high: float) -> float:
    """40 log10 up to unity, so that half way is about -8 dB; then straight up to the highest gain."""
    if value <= _UNITY_GAIN:
        return max(low, 40 * math.log10(value / _UNITY_GAIN)) if value else low
    return high * (value - _UNITY_GAIN) / (LARGEST - _UNITY_GAIN)


def _take_track(command: Command, given: dict[str, Any], words: list[str]) -> None:
    """Move the first word to the command's track, if it has one and the word is one."""
    field = next((field for field in command.fields if field.kind is Kind.TRACK), None)
    if field is None:
        return
    try:
        given[field.name] = parse_field(field, words[0]) if words else None
    except BadValue:
        given[field.name] = None
    if given[field.name] is not None:
        del words[0]
    elif field.required:
        raise BadValue(f'"{command.name}" needs a track: {command.name} drums, or {command.name} 1.')
    else:
        del given[field.name]


def _take_rest(command: Command, given: dict[str, Any], words: list[str], text: str) -> None:
    """Give the remaining words to the command's other fields: text takes all that is left, others a word each."""
    for field in command.fields:
        if not words or field.name in given or field.kind in (Kind.TRACK, Kind.TRACKS, Kind.GENERATORS):
            continue
        part = " ".join(words) if field.kind is Kind.TEXT else words[0]
        given[field.name] = parse_field(field, part)
        del words[: len(words) if field.kind is Kind.TEXT else 1]
    if words:
        raise BadValue(f"{quoted(text)} is no action: {command.name} takes no {quoted(words[0])}.")


def _driven(command: Command, given: Mapping[str, Any], text: str) -> Field | None:
    """The field that the message's value sets, if one is left."""
    free = [field for field in command.fields if field.name not in given]
    needed = [field for field in free if field.required]
    if not needed:
        # An optional switch is driven ("play" is play and stop); other defaults, such as a seed, stay.
        return next((field for field in free if field.kind is Kind.BOOL), None)
    if len(needed) > 1 or (needed[0].kind is Kind.TEXT and needed[0].name != "style"):
        raise BadValue(f"{quoted(text)} is not the whole action: it needs {needed[0].name}: {needed[0].doc}.")
    return needed[0]
