"""From what arrives on a wire to checked calls, by the table of `protocol.py`. What can be wrong with it ends here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from resonantgen.errors import BadValue, UnknownCommand, quoted
from resonantgen.music.notes import Role
from resonantgen_bridge.calls import Call
from resonantgen_bridge.protocol import COMMAND, MAX_TEXT
from resonantgen_bridge.schema import Command, Field, Kind

_ROLES = tuple(role.value for role in Role)
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


def parse_call(name: object, arguments: object) -> Call:
    """A command by name with its arguments by name. Raises UnknownCommand, BadValue."""
    if not isinstance(name, str) or name not in COMMAND:
        raise UnknownCommand(f"There is no command {_shown(name)}. Commands: {', '.join(COMMAND)}.")
    if not isinstance(arguments, Mapping):
        raise BadValue(f"The arguments of {name} are no mapping of names to values.")
    command = COMMAND[name]
    known = [field.name for field in command.fields]
    unknown = [key for key in arguments if key not in known]
    if unknown:
        rest = f"It has: {', '.join(known)}." if known else "It has none."
        raise UnknownCommand(f"{name} has no argument {_shown(unknown[0])}. {rest}")
    return Call(name, {field.name: _argument(command, field, arguments) for field in command.fields})


def parse_positional(command: Command, given: Mapping[str, object], values: Sequence[object]) -> Call:
    """A command whose remaining arguments come in order, as OSC sends them. Raises UnknownCommand, BadValue."""
    free = [field for field in command.fields if field.name not in given]
    if len(values) > len(free):
        names = ", ".join(field.name for field in free) or "none"
        raise BadValue(f"{command.name} was given {len(values)} values, and takes {len(free)}: {names}.")
    return parse_call(
        command.name, {**given, **{field.name: value for field, value in zip(free, values, strict=False)}}
    )


def parse_field(field: Field, value: object) -> Any:
    """A value in its field's type and range. Numbers, booleans and text stand for each other where it makes sense.

    Raises BadValue.
    """
    if isinstance(value, int) and abs(value) >= 1 << 64:
        value = math.inf  # no field is so large; Python does not even show such a number beyond some length
    parsed = _PARSERS[field.kind](field, value)
    if field.choices and parsed not in field.choices:
        raise BadValue(f"{_shown(value)} is no {field.name}. There are: {', '.join(field.choices)}.")
    if isinstance(parsed, (int, float)) and field.kind is not Kind.BOOL:
        low, high = field.low, field.high
        if (low is not None and parsed < low) or (high is not None and parsed > high):
            unit = f" {field.unit}" if field.unit not in ("", field.name) else ""
            name = field.name.replace("_", " ")
            raise BadValue(f"{name} cannot be {parsed:g}{unit}. Use {_bound(low)} to {_bound(high)}{unit}.")
    return parsed


def _argument(command: Command, field: Field, arguments: Mapping[str, object]) -> Any:
    value = arguments.get(field.name)
    if value is not None:
        return parse_field(field, value)
    if field.required:
        raise BadValue(f"{command.name} needs {field.name}: {field.doc}.")
    return field.default


def _int(field: Field, value: object) -> int:
    number: int | float
    if isinstance(value, str) and len(value) <= 40 and value.strip().removeprefix("-").isdecimal():
        number = int(value)  # exactly, as a seed wants it
    elif isinstance(value, int):
        number = int(value)
    else:
        number = _float(field, value)
    if number != int(number):
        raise BadValue(f"{field.name} is a whole number, not {_shown(value)}.")
    return int(number)


def _float(field: Field, value: object) -> float:
    usable = isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 40)
    number = _finite(value) if usable else math.nan
    if not math.isfinite(number):
        raise BadValue(f"{field.name} is a number, not {_shown(value)}.")
    return float(number)


def _finite(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return math.nan


def _bool(field: Field, value: object) -> bool:
    if isinstance(value, (bool, int, float)) and math.isfinite(value):
        return value != 0  # a button's pressure counts as pressed
    if isinstance(value, str) and value.strip().lower() in _TRUE + _FALSE:
        return value.strip().lower() in _TRUE
    raise BadValue(f"{field.name} is 0 or 1, not {_shown(value)}.")


def _text(field: Field, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BadValue(f"{field.name} is text, not {_shown(value)}.")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise BadValue(f"{field.name} is longer than {MAX_TEXT} characters: {quoted(text)}.")
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise BadValue(f"{field.name} holds characters that are no text: {quoted(text)}.")
    return text


def _track(field: Field, value: object) -> str:
    text = str(value).strip().lower() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    if text in _ROLES:
        return text
    numbers = {str(form): role for number, role in enumerate(_ROLES, start=1) for form in (number, float(number))}
    if text in numbers:
        return numbers[text]
    raise BadValue(f"{_shown(value)} is no track. Tracks: {', '.join(_ROLES)}, or 1 to {len(_ROLES)}.")


def _tracks(field: Field, value: object) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not parts:
        raise BadValue(f"{field.name} are names of tracks: {', '.join(_ROLES)}.")
    return list(dict.fromkeys(_track(field, part) for part in parts))


def _generators(field: Field, value: object) -> dict[str, str]:
    """ "drums=musicgen-small,bass=pattern", or a list of such, or a mapping. Whether a track has such a generator, the
    session says."""
    from resonantgen.session.settings import parse_generators  # imported here: it brings styles and what plans music

    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
            raise BadValue(f"{field.name} are tracks and their generators, such as: drums=musicgen-small")
        pairs = [pair for part in parts for pair in parse_generators([part]).items()]
    if not pairs:
        raise BadValue(f"{field.name} names no track and its generator. Such as: drums=musicgen-small")
    found: dict[str, str] = {}
    for track, name in pairs:
        role, generator = _track(field, track), _text(field, name)
        if found.setdefault(role, generator) != generator:
            both = f"{quoted(found[role])} and {quoted(generator)}"
            raise BadValue(f"{role} cannot have two generators: {both}. Name one.")
    return {role: found[role] for role in _ROLES if role in found}


def _shown(value: object) -> str:
    """What was given, for a message. Lists and the like are not shown: they may be nested without end."""
    if value is None or isinstance(value, (str, bool, float)) or (isinstance(value, int) and abs(value) < 1 << 64):
        return quoted(str(value))
    return f"a {type(value).__name__}"


def _bound(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"


_PARSERS = {
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.BOOL: _bool,
    Kind.TEXT: _text,
    Kind.TRACK: _track,
    Kind.TRACKS: _tracks,
    Kind.GENERATORS: _generators,
}
