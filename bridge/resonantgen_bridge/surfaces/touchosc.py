"""Writes the surface as a TouchOSC layout: XML, compressed with zlib. Needs py2tosc, which knows what TouchOSC's own
editor writes for each kind of control.

What a message of TouchOSC can show, a control receives by itself; the rest is shown by the layout's script
(`touchosc.lua`), which subscribes as well: when the layout is opened, and again until the engine answers.
Identifiers are made from the controls' names, so that the same surface is always the same file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from resonantgen.errors import EngineError
from resonantgen_bridge.protocol import OSC_ROOT, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Kind
from resonantgen_bridge.surfaces import layout
from resonantgen_bridge.surfaces.controls import HEIGHT, WIDTH, WORDS, Box, Colour, Control, Look, Page, Surface

if TYPE_CHECKING:
    from py2tosc import Control as Node
    from py2tosc import OscMessage, Partial

_SCRIPT = Path(__file__).with_name("touchosc.lua")
_CONNECTIONS = "1" + "0" * 9  # the first of the ten
_CORNERS = 3.0
_RELATIVE, _TEMPO_FACTOR = 1, 25  # per cent of the finger's way
_HORIZONTAL = 1  # "east"


def touchosc_layout(surface: Surface, port: int) -> bytes:
    """The file. Raises EngineError without py2tosc."""
    try:
        import py2tosc
    except ImportError:
        raise EngineError(
            'Another port needs py2tosc, which is not installed: pip install "resonantgen[surfaces]"'
        ) from None
    root = _node(
        "GROUP",
        "ResonantGen",
        Box(0, 0, WIDTH, HEIGHT),
        layout.BACKGROUND,
        script=_script(surface, port),
        outline=False,
        children=[*_nodes(surface.header, ""), _pager(surface)],
    )
    document = py2tosc.Document(root=root)
    problems = [str(issue) for issue in document.validate()]
    assert not problems, problems
    return zlib.compress(document.dumps().encode(), 9)


def _pager(surface: Surface) -> Node:
    inside = Box(
        0, surface.tab_height, surface.pages_box.width, surface.pages_box.height - surface.tab_height
    )  # of the pager
    return _node(
        "PAGER",
        "pages",
        surface.pages_box,
        layout.BACKGROUND,
        outline=False,
        tab_labels=True,
        tabbar=True,
        tabbar_size=surface.tab_height,
        text_size_off=22,
        text_size_on=22,
        children=[_page(page, inside) for page in surface.pages],
    )


def _page(page: Page, box: Box) -> Node:
    return _node(
        "GROUP",
        page.title,
        box,
        layout.BACKGROUND,
        outline=False,
        tab_label=page.title,
        tab_color_off=_rgba(layout.PANEL),
        tab_color_on=_rgba(layout.NEUTRAL),
        text_color_off=_rgba(layout.MUTED),
        text_color_on=_rgba(layout.TEXT),
        children=list(_nodes(page.controls, page.title)),
    )


# -- controls ---------------------------------------------------------------------------------------------------------


def _nodes(controls: tuple[Control, ...], page: str) -> Iterator[Node]:
    """Each control, and its label in front of it: a control of TouchOSC has no words of its own."""
    for control in controls:
        yield _MAKERS[control.look](control)
        if control.label and control.look not in (Look.TEXT, Look.ENTRY):
            yield _label(f"{control.name} label", control.box, layout.TEXT, control.label, control.text_size)


def _button(control: Control) -> Node:
    if control.sends_words:
        script = (
            "function onValueChanged(key)\n"
            "  if key == 'x' and self.values.x == 1 then\n"
            f"    sendOSC('{control.address}', root:findByName('{WORDS}', true).values.text)\n"
            "  end\n"
            "end\n"
        )
        return _node("BUTTON", control.name, control.box, control.colour, script=script)
    constants = [_constant(constant) for constant in control.constants] or [_constant(1)]
    message = _message(control.address, constants, send=True, receive=False, on="RISE")
    return _node("BUTTON", control.name, control.box, control.colour, messages=[message])


def _toggle(control: Control) -> Node:
    message = _message(control.address, [_value("x", "INTEGER")], send=True, receive=True)
    return _node("BUTTON", control.name, control.box, control.colour, button_type=2, messages=[message])


def _light(control: Control) -> Node:
    return _node(
        "BUTTON", control.name, control.box, control.colour, interactive=False, outline=False, messages=_shown(control)
    )


def _fader(control: Control) -> Node:
    conversion = "INTEGER" if control.whole else "FLOAT"
    argument = _value("x", conversion, control.low, control.high)
    return _node(
        "FADER",
        control.name,
        control.box,
        control.colour,
        messages=[_message(control.address, [argument], send=True, receive=True)],
        start=_resting(control),
        orientation=_HORIZONTAL if control.box.width > control.box.height else 0,
        centered=control.low == -control.high,
        response=_RELATIVE,
        response_factor=_TEMPO_FACTOR if control.whole else 100,
        grid=False,
    )


def _knob(control: Control) -> Node:
    argument = _value("x", "FLOAT", control.low, control.high)
    return _node(
        "RADIAL",
        control.name,
        control.box,
        control.colour,
        messages=[_message(control.address, [argument], send=True, receive=True, var="touch", on="FALL")],
        start=_resting(control),
        centered=control.low == -control.high,
        response=_RELATIVE,
        grid=False,
    )


def _meter(control: Control) -> Node:
    return _node("FADER", control.name, control.box, control.colour, interactive=False, cursor=False, grid=False)


def _text(control: Control) -> Node:
    return _label(control.name, control.box, control.colour, control.label, control.text_size, _shown(control))


def _entry(control: Control) -> Node:
    return _node(
        "TEXT",
        control.name,
        control.box,
        layout.NEUTRAL,
        text=control.label,
        text_color=_rgba(control.colour),
        text_size=control.text_size,
        text_wrap=False,
        interactive=True,
    )


def _label(name: str, box: Box, colour: Colour, text: str, size: int, messages: list[OscMessage] | None = None) -> Node:
    wraps = box.height >= 2 * size and messages is not None  # a label of TouchOSC is one line
    return _node(
        "TEXT" if wraps else "LABEL",
        name,
        box,
        layout.BACKGROUND,
        text=text,
        messages=messages,
        background=False,
        outline=False,
        text_color=_rgba(colour),
        text_size=size,
    )


_MAKERS = {
    Look.BUTTON: _button,
    Look.TOGGLE: _toggle,
    Look.FADER: _fader,
    Look.KNOB: _knob,
    Look.TEXT: _text,
    Look.LIGHT: _light,
    Look.METER: _meter,
    Look.ENTRY: _entry,
}


# -- messages ---------------------------------------------------------------------------------------------------------


def by_itself(control: Control) -> bool:
    """Whether messages of TouchOSC show it: one property, as it is."""
    if len(control.shows) != 1 or control.shows[0].template != "{1}":
        return False
    key = control.shows[0].address.removeprefix(f"{OSC_ROOT}/")
    if control.look is Look.TEXT:
        return key in PROPERTY_OF_KEY and PROPERTY_OF_KEY[key].value.kind is Kind.TEXT
    return control.look is not Look.METER and key in PROPERTY_OF_KEY


def _shown(control: Control) -> list[OscMessage]:
    if not by_itself(control):
        return []
    shown = _value("text", "STRING") if control.look is Look.TEXT else _value("x", "INTEGER")
    var = "text" if control.look is Look.TEXT else "x"
    return [_message(control.shows[0].address, [shown], send=False, receive=True, var=var)]


def _script(surface: Surface, port: int) -> str:
    """The layout's script, with what it shows."""
    texts: dict[str, list[str]] = {}
    meters, flashes = [], []
    for control in surface.controls():
        for shown in () if by_itself(control) else control.shows:
            if control.look is Look.TEXT:
                texts.setdefault(shown.address, []).append(
                    f"{{name = '{control.name}', template = '{shown.template}'}}"
                )
            elif control.look is Look.METER:
                limits = f"low = {control.low:g}, high = {control.high:g}"
                meters.append(f"  ['{shown.address}'] = {{name = '{control.name}', {limits}}},")
            elif shown.template == "{1}":
                flashes.append(f"  ['{shown.address}'] = '{control.name}',")
    tables = [
        f"local PORT = {port} -- the receive port of the connection",
        "local TEXTS = {",
        *(f"  ['{address}'] = {{{', '.join(entries)}}}," for address, entries in texts.items()),
        "}",
        "local METERS = {",
        *meters,
        "}",
        "local FLASHES = {",
        *flashes,
        "}",
    ]
    return "\n".join(tables) + "\n\n" + _SCRIPT.read_text(encoding="utf-8")


def _message(
    address: str, arguments: list[Partial], *, send: bool, receive: bool, var: str = "x", on: str = "ANY"
) -> OscMessage:
    from py2tosc import ui

    return ui.osc(
        address, args=arguments, send=send, receive=receive, var=var, on=on, connections=_CONNECTIONS, feedback=False
    )


def _value(key: str, conversion: str, low: float = 0.0, high: float = 1.0) -> Partial:
    from py2tosc import Partial

    return Partial("VALUE", conversion, key, low, high)


def _constant(constant: int | str) -> Partial:
    from py2tosc import Partial

    return Partial("CONSTANT", "STRING" if isinstance(constant, str) else "INTEGER", str(constant))


def _resting(control: Control) -> float:
    """Where it stands before the engine has told: in the middle, or at nothing added."""
    return round(-control.low / (control.high - control.low), 6) if control.low <= 0 <= control.high else 0.0


# -- nodes ------------------------------------------------------------------------------------------------------------


def _node(
    kind: str,
    name: str,
    box: Box,
    colour: Colour,
    *,
    messages: list[OscMessage] | None = None,
    children: list[Node] | None = None,
    text: str | None = None,
    start: float | None = None,
    **properties: Any,
) -> Node:
    from py2tosc import Control as Node

    node = Node(
        kind,
        id=str(uuid5(NAMESPACE_URL, f"resonantgen/surfaces/{kind}/{name}")),
        messages=list(messages or []),
        children=children,
        name=name,
        frame=(box.x, box.y, box.width, box.height),
        color=_rgba(colour),
        corner_radius=_CORNERS,
        **properties,
    )
    for key, default in (("text", text), ("x", start)):
        value = node.value(key)
        if default is not None and value is not None:
            value.default = default
    return node


def _rgba(colour: Colour) -> tuple[float, float, float, float]:
    red, green, blue = (round(part / 255, 4) for part in colour)
    return red, green, blue, 1.0
