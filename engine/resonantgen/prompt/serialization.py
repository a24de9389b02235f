"""An Intent as plain data, for `--json`, `session.json` and the store. The round trip is exact."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Change, Feel, Intent, RoleIntent

_WHOLE = "all"  # beside the roles' names, in `relative`


def intent_to_dict(intent: Intent) -> dict[str, Any]:
    """Plain data for JSON.

    `attributes` and `role_attributes` are numbers from -1 to 1. Those that `relative` lists, under "all" or a role, are
    steps from where the attribute is; the others are levels. `exclusions` are drum pieces and whole roles.
    """
    by_role = intent.by_role
    relative = {_WHOLE: _steps(intent.attributes)} | {role.value: _steps(by_role[role].attributes) for role in by_role}
    drums = by_role.get(Role.DRUMS, RoleIntent())
    return {
        "text": intent.text,
        "style": intent.style,
        "mood": intent.mood,
        "attributes": _amounts(intent.attributes),
        "tempo_bpm": None if intent.tempo_bpm is None else _number(intent.tempo_bpm),
        "tempo_factor": None if intent.tempo_factor is None else str(intent.tempo_factor),
        "key": None if intent.key is None else str(intent.key),
        "mode": intent.mode and intent.mode.value,
        "minor": intent.minor,
        "meter": None if intent.meter is None else str(intent.meter),
        "bars": intent.bars,
        "transpose_semitones": intent.transpose_semitones,
        "roles": [role.value for role in intent.roles],
        "role_attributes": {role.value: _amounts(by_role[role].attributes) for role in by_role},
        "role_words": {role.value: list(by_role[role].words) for role in by_role if by_role[role].words},
        "role_transpose_semitones": {
            role.value: by_role[role].transpose_semitones for role in by_role if by_role[role].transpose_semitones
        },
        "relative": {name: steps for name, steps in relative.items() if steps},
        "feel": {role.value: feel.value for role in by_role if (feel := by_role[role].feel) is not None},
        "instruments": {role.value: word for role in by_role if (word := by_role[role].instrument) is not None},
        "exclusions": sorted(drums.exclusions) + [role.value for role in Role if role in intent.removed_roles],
        "inclusions": sorted(drums.inclusions),
        "guessed": sorted(intent.guessed),
        "not_understood": list(intent.not_understood),
    }


def intent_from_dict(data: Mapping[str, Any]) -> Intent:
    """The Intent that `intent_to_dict` wrote. Raises KeyError, ValueError or BadValue for anything else."""
    relative = data["relative"]
    removed = {role for role in Role if role.value in data["exclusions"]}
    pieces = frozenset(data["exclusions"]) - {role.value for role in removed}
    by_role = {}
    for name, amounts in data["role_attributes"].items():
        role = Role(name)
        feel = data["feel"].get(name)
        by_role[role] = RoleIntent(
            attributes=_changes(amounts, relative.get(name, ())),
            instrument=data["instruments"].get(name),
            feel=None if feel is None else Feel(feel),
            transpose_semitones=data["role_transpose_semitones"].get(name, 0),
            exclusions=pieces if role is Role.DRUMS else frozenset(),
            inclusions=frozenset(data["inclusions"]) if role is Role.DRUMS else frozenset(),
            words=tuple(data["role_words"].get(name, ())),
        )
    return Intent(
        text=data["text"],
        style=data["style"],
        mood=data["mood"],
        attributes=_changes(data["attributes"], relative.get(_WHOLE, ())),
        tempo_bpm=None if data["tempo_bpm"] is None else Fraction(str(data["tempo_bpm"])),
        tempo_factor=None if data["tempo_factor"] is None else Fraction(data["tempo_factor"]),
        key=None if data["key"] is None else Key.parse(data["key"]),
        minor=data["minor"],
        mode=None if data["mode"] is None else Mode(data["mode"]),
        transpose_semitones=data["transpose_semitones"],
        meter=None if data["meter"] is None else Meter.parse(data["meter"]),
        bars=data["bars"],
        roles=tuple(Role(name) for name in data["roles"]),
        removed_roles=frozenset(removed),
        by_role=MappingProxyType(by_role),
        not_understood=tuple(data["not_understood"]),
        guessed=frozenset(data["guessed"]),
    )


def _amounts(changes: Mapping[str, Change]) -> dict[str, float]:
    return {name: change.amount for name, change in sorted(changes.items())}


def _steps(changes: Mapping[str, Change]) -> list[str]:
    return sorted(name for name, change in changes.items() if change.relative)


def _changes(amounts: Mapping[str, float], steps: list[str] | tuple[()]) -> Mapping[str, Change]:
    return MappingProxyType({name: Change(amount, name in steps) for name, amount in amounts.items()})


def _number(tempo: Fraction) -> int | float:
    """A tempo as a JSON number that reads back as the same fraction."""
    return tempo.numerator if tempo.denominator == 1 else float(tempo)
