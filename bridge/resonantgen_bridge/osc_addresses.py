"""Which commands an OSC address means: the addresses of `protocol.COMMANDS`, and OSC 1.0's patterns of them.

A track is its role or its number, in any case of letters. A pattern never means the same command for the same track
twice, though both forms of the track's address match it.

Patterns are matched part by part ("/" is never matched by them), each by following all ways through it at once: the
time is at most the length of the pattern times that of the name, whatever the pattern.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from resonantgen.errors import BadValue, UnknownCommand, quoted
from resonantgen.music.notes import Role
from resonantgen_bridge.protocol import COMMANDS, OSC_ROOT, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Command, Kind

MAX_PATTERN = 120  # characters
_SPECIAL = frozenset("?*[]{}")


@dataclass(frozen=True, slots=True)
class Route:
    """What one address means: a command, and those of its fields that the address holds."""

    address: str
    command: Command
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    key: str = ""  # of the state's property that it sets, if it is one's address

    @property
    def target(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The same for all addresses that mean the same."""
        return self.command.name, tuple(sorted(self.given.items()))


@lru_cache(maxsize=1024)
def routes_of(address: str) -> tuple[Route, ...]:
    """What an address, or a pattern of addresses, means: at least one. Raises UnknownCommand, BadValue."""
    lowered = address.lower()
    if not _SPECIAL.intersection(lowered):
        if lowered in _ROUTES:
            return (_ROUTES[lowered],)
        raise UnknownCommand(f"There is no OSC address {quoted(address)}. docs/protocol.md lists those that there are.")
    if len(lowered) > MAX_PATTERN:
        raise BadValue(f"The OSC pattern {quoted(address)} is longer than {MAX_PATTERN} characters.")
    parts = [compile_part(part) for part in lowered.split("/")]
    found: dict[object, Route] = {}
    for route in _walk(_TREE, parts):
        found.setdefault(route.target, route)
    if not found:
        raise UnknownCommand(f"No OSC address matches {quoted(address)}. docs/protocol.md lists those that there are.")
    return tuple(found.values())


def addresses_of_key(key: str) -> tuple[str, ...]:
    """The addresses of a property's value, or of any template filled with a role: by role, and by number."""
    parts = key.split("/")
    address = f"{OSC_ROOT}/{key}"
    if len(parts) > 2 and parts[0] == "track" and parts[1] in _NUMBER_OF_ROLE:
        return address, "/".join([OSC_ROOT, "track", _NUMBER_OF_ROLE[parts[1]], *parts[2:]])
    return (address,)


# -- patterns ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Star:
    """Any characters, or none."""


@dataclass(frozen=True, slots=True)
class _One:
    """One character: of these, or other than these."""

    characters: frozenset[str] = frozenset()
    other: bool = True  # no characters, negated: any one

    def ends(self, name: str, start: int) -> tuple[int, ...]:
        return (start + 1,) if start < len(name) and (name[start] in self.characters) != self.other else ()


@dataclass(frozen=True, slots=True)
class _Words:
    """One of some words; plain text is one word."""

    words: tuple[str, ...]

    def ends(self, name: str, start: int) -> tuple[int, ...]:
        return tuple(start + len(word) for word in self.words if name.startswith(word, start))


_Element: TypeAlias = _Star | _One | _Words
Part: TypeAlias = tuple[_Element, ...]


def compile_part(text: str) -> Part:
    """A pattern of what stands between two slashes. Raises BadValue."""
    elements: list[_Element] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "*":
            elements.append(_Star())
        elif character == "?":
            elements.append(_One())
        elif character in "[{":
            stop = text.find("]" if character == "[" else "}", at)
            if stop < 0:
                raise BadValue(f"In the OSC pattern {quoted(text)}, a {character} is not closed.")
            inside = text[at + 1 : stop]
            elements.append(_character_set(inside) if character == "[" else _Words(tuple(inside.split(","))))
            at = stop
        else:
            elements.append(_Words((character,)))
        at += 1
    return tuple(elements)


def part_matches(part: Part, name: str) -> bool:
    """Whether the whole name is matched."""
    ends = {0}
    for element in part:
        if isinstance(element, _Star):
            ends = set(range(min(ends), len(name) + 1))
        else:
            ends = {end for start in ends for end in element.ends(name, start)}
        if not ends:
            return False
    return len(name) in ends


def _character_set(inside: str) -> _One:
    other = inside.startswith("!")
    rest = inside[1:] if other else inside
    characters: set[str] = set()
    at = 0
    while at < len(rest):
        if rest[at + 1 : at + 2] == "-" and at + 2 < len(rest):
            low, high = ord(rest[at]), min(ord(rest[at + 2]), 0x7F)  # addresses are ASCII
            characters.update(chr(code) for code in range(low, high + 1))
            at += 3
        else:
            characters.add(rest[at])
            at += 1
    return _One(frozenset(characters), other)


# -- the addresses that there are -------------------------------------------------------------------------------------

_NUMBER_OF_ROLE = {role.value: str(number) for number, role in enumerate(Role, start=1)}


@dataclass(slots=True)
class _Node:
    """A part of the addresses: those that go on, and what ends here."""

    children: dict[str, _Node] = field(default_factory=dict)
    route: Route | None = None


def _walk(node: _Node, parts: list[Part]) -> Iterator[Route]:
    if not parts:
        if node.route is not None:
            yield node.route
        return
    for name, child in node.children.items():
        if part_matches(parts[0], name):
            yield from _walk(child, parts[1:])


def _forms(command: Command, name: str) -> list[tuple[str, str]]:
    """How a field's value is written in an address, and the value."""
    described = command.field(name)
    if described.kind is Kind.TRACK:
        roles = [role.value for role in Role]
        return [(role, role) for role in roles] + [(_NUMBER_OF_ROLE[role], role) for role in roles]
    assert described.choices, f"{command.name}: {name} cannot stand in an OSC address"
    return [(choice, choice) for choice in described.choices]


def _routes_of_template(command: Command, template: str) -> Iterator[Route]:
    names = [part[1:-1] for part in template.split("/") if part.startswith("{")]
    for forms in itertools.product(*(_forms(command, name) for name in names)):
        written = {name: form for name, (form, _) in zip(names, forms, strict=True)}
        given = {name: value for name, (_, value) in zip(names, forms, strict=True)}
        key = template.format(**given)
        address = f"{OSC_ROOT}/{template.format(**written)}"
        yield Route(address, command, MappingProxyType(given), key if key in PROPERTY_OF_KEY else "")


def _all_routes() -> dict[str, Route]:
    routes: dict[str, Route] = {}
    for command in COMMANDS:
        for template in command.osc:
            for route in _routes_of_template(command, template):
                assert route.address not in routes, f"{route.address} means two commands"
                routes[route.address] = route
    return routes


def _tree(routes: Mapping[str, Route]) -> _Node:
    root = _Node()
    for address, route in routes.items():
        node = root
        for part in address.split("/"):
            node = node.children.setdefault(part, _Node())
        node.route = route
    return root


_ROUTES = _all_routes()
_TREE = _tree(_ROUTES)
