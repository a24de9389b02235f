"""What a control surface is made of, whatever the app: each control takes its address and range from `protocol.py`.

A control sends a command, shows a property or an event, or both. Places are in pixels of a screen of `WIDTH` by
`HEIGHT`, which the apps scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from resonantgen_bridge.protocol import COMMAND, EVENT, OSC_ROOT, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Command, Event, Field, Kind

WIDTH, HEIGHT = 1280, 800
SURFACE_PORT = 9011  # where a surface listens, unless it is told otherwise
WORDS = "words"  # the name of the control that is typed into
Colour = tuple[int, int, int]


class Look(StrEnum):
    """What a control looks like, and how it is touched."""

    BUTTON = "button"  # sends when it is pressed
    TOGGLE = "toggle"  # sends 1 and 0
    FADER = "fader"  # sends while it moves
    KNOB = "knob"  # sends once, when it is let go: each value that it sends makes music
    TEXT = "text"  # only shows
    LIGHT = "light"  # only shows: 1 is on
    METER = "meter"  # only shows: a level
    ENTRY = "entry"  # is typed into; buttons send what it holds


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the screen or on a page, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What a control shows: an address, and how its arguments are written: {1} is the first."""

    address: str
    template: str = "{1}"


@dataclass(frozen=True, slots=True)
class Control:
    """One control. `field` is what it sends, with its range; `constants` are what a BUTTON sends instead of 1."""

    name: str
    look: Look
    box: Box
    colour: Colour
    label: str = ""
    address: str = ""  # where it sends; nowhere, if empty
    field: Field | None = None
    constants: tuple[int | str, ...] = ()
    sends_words: bool = False  # a BUTTON that sends what was typed
    shows: tuple[Shown, ...] = ()
    low: float = 0.0  # of what it sends or shows
    high: float = 1.0
    whole: bool = False  # whether it sends whole numbers only
    text_size: int = 16


@dataclass(frozen=True, slots=True)
class Page:
    """Controls that are seen together; their places are relative to the page's."""

    title: str
    controls: tuple[Control, ...]


@dataclass(frozen=True, slots=True)
class Surface:
    """A header that is always seen, and pages below it, one at a time."""

    header: tuple[Control, ...]
    pages: tuple[Page, ...]
    pages_box: Box  # of all of it; the tabs take the upper `tab_height` of it
    tab_height: int

    def controls(self) -> tuple[Control, ...]:
        return self.header + tuple(control for page in self.pages for control in page.controls)


def command_address(name: str, **parts: str) -> str:
    """Where a command is sent: the one of its addresses that holds exactly these fields."""
    command: Command = COMMAND[name]
    for template in command.osc:
        if {part[1:-1] for part in template.split("/") if part.startswith("{")} == parts.keys():
            return f"{OSC_ROOT}/{template.format(**parts)}"
    raise AssertionError(f"{name} has no address with {sorted(parts)}")


def argument_of(name: str, **parts: str) -> Field:
    """What a command takes first, beside what its address holds."""
    return next(field for field in COMMAND[name].fields if field.name not in parts)


def property_address(key: str) -> str:
    """Where a property is shown."""
    assert key in PROPERTY_OF_KEY, key
    return f"{OSC_ROOT}/{key}"


def event_address(name: str, **parts: str) -> str:
    """Where an event is shown."""
    event: Event = EVENT[name]
    assert event.osc, name
    return f"{OSC_ROOT}/{event.osc.format(**parts)}"


def button(
    command: str,
    box: Box,
    colour: Colour,
    label: str,
    *,
    name: str = "",
    constants: Sequence[int | str] = (),
    sends_words: bool = False,
    text_size: int = 18,
    parts: Mapping[str, str] | None = None,
) -> Control:
    """Sends a command: as a button, or with an argument that is always the same, or with what was typed."""
    parts = parts or {}
    taken = bool(constants) or sends_words
    assert taken or COMMAND[command].trigger, f"{command} is not what a button sends"
    return Control(
        name=name or _name(command, parts),
        look=Look.BUTTON,
        box=box,
        colour=colour,
        label=label,
        address=command_address(command, **parts),
        field=argument_of(command, **parts) if taken else None,
        constants=tuple(constants),
        sends_words=sends_words,
        text_size=text_size,
    )


def value(
    command: str,
    look: Look,
    box: Box,
    colour: Colour,
    label: str = "",
    *,
    name: str = "",
    whole: bool = False,
    text_size: int = 18,
    parts: Mapping[str, str] | None = None,
) -> Control:
    """Sets a property and shows it, between its lowest and its highest value."""
    parts = parts or {}
    address, field = command_address(command, **parts), argument_of(command, **parts)
    shown = PROPERTY_OF_KEY[address.removeprefix(f"{OSC_ROOT}/")].value
    if field.kind is Kind.BOOL:
        low, high = 0.0, 1.0
    else:
        assert field.low is not None and field.high is not None, f"{command} has no range"
        assert (field.low, field.high) == (shown.low, shown.high), f"{address} shows another range than it takes"
        low, high = field.low, field.high
    return Control(
        name=name or _name(command, parts),
        look=look,
        box=box,
        colour=colour,
        label=label,
        address=address,
        field=field,
        shows=(Shown(address),),
        low=low,
        high=high,
        whole=whole,
        text_size=text_size,
    )


def text(name: str, box: Box, colour: Colour, *shows: Shown, label: str = "", text_size: int = 16) -> Control:
    """Shows properties or events as words, or nothing but its label."""
    return Control(name, Look.TEXT, box, colour, label, shows=shows, text_size=text_size)


def light(name: str, box: Box, colour: Colour, *shows: Shown) -> Control:
    """Is on while a property or the first argument of an event is not 0."""
    return Control(name, Look.LIGHT, box, colour, shows=shows)


def _name(command: str, parts: Mapping[str, str]) -> str:
    return " ".join([*parts.values(), command])
