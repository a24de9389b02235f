"""Writes the surface as a session of Open Stage Control (version 1): JSON.

Places are in per cent, so that it fits any window. What a control shows that is more than its own value is an
expression of Open Stage Control's ("#{OSC{/rg/beat}}"); it sends from where it listens, so it subscribes without a
port, when it is opened and every half minute.
"""

from __future__ import annotations

import json
from typing import Any

from resonantgen_bridge.protocol import OSC_ROOT, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Kind
from resonantgen_bridge.surfaces import layout
from resonantgen_bridge.surfaces.controls import HEIGHT, WIDTH, WORDS, Box, Colour, Control, Look, Page, Shown, Surface

VERSION = "1.30.1"  # of Open Stage Control, whose session format this is
_SUBSCRIBE = f"send('{OSC_ROOT}/subscribe', {{type: 'i', value: 1}})"
_ASK_AGAIN_MS = 30_000
_CENTRED = "position: absolute; inset: 0; display: flex; align-items: center; justify-content: center"


def open_stage_control_session(surface: Surface) -> bytes:
    """The file."""
    box, whole = surface.pages_box, Box(0, 0, WIDTH, HEIGHT)
    pages = {
        "type": "panel",
        "id": "pages",
        **_place(box, whole),
        **_flat(),
        "widgets": [],
        "tabs": [_page(page, surface) for page in surface.pages],
    }
    content = {
        "type": "root",
        "id": "root",
        "colorBg": _css(layout.BACKGROUND),
        "colorText": _css(layout.TEXT),
        "colorWidget": _css(layout.NEUTRAL),
        "padding": 0,
        "scroll": False,
        "onCreate": f"{_SUBSCRIBE}\nsetInterval('subscribe', () => {{ {_SUBSCRIBE} }}, {_ASK_AGAIN_MS})",
        "widgets": [*(_widget(control, whole) for control in surface.header), pages],
        "tabs": [],
    }
    document = {"createdWith": "Open Stage Control", "version": VERSION, "type": "session", "content": content}
    return (json.dumps(document, indent=1) + "\n").encode()


def _page(page: Page, surface: Surface) -> dict[str, Any]:
    inside = Box(0, 0, surface.pages_box.width, surface.pages_box.height - surface.tab_height)
    widgets = [_widget(control, inside) for control in page.controls]
    tab = {"type": "tab", "id": f"page {page.title}", "label": page.title, "colorBg": _css(layout.BACKGROUND)}
    return {**tab, "padding": 0, "scroll": False, "widgets": widgets, "tabs": []}


def _widget(control: Control, within: Box) -> dict[str, Any]:
    return {"id": control.name, **_place(control.box, within), **_MAKERS[control.look](control)}


def _button(control: Control) -> dict[str, Any]:
    constant = control.constants[0] if control.constants else 1
    widget = {
        "type": "button",
        "mode": "tap",
        "label": control.label,
        "on": constant,
        "off": "" if isinstance(constant, str) or constant == 0 else 0,
        "address": control.address,
        "typeTags": "s" if isinstance(constant, str) else "i",
        **_coloured(control),
    }
    if control.sends_words:
        sent = f"{{type: 's', value: String(get('{WORDS}'))}}"
        widget |= {"typeTags": "s", "bypass": True, "onValue": f"if (value === 1) send('{control.address}', {sent})"}
    return widget


def _toggle(control: Control) -> dict[str, Any]:
    label = {"type": "button", "mode": "toggle", "label": control.label, "on": 1, "off": 0}
    return {**label, "address": control.address, "typeTags": "i", **_coloured(control)}


def _fader(control: Control) -> dict[str, Any]:
    return {
        "type": "fader",
        "design": "compact",
        "horizontal": control.box.width > control.box.height,
        "html": f'<div style="{_CENTRED}">{control.label}</div>' if control.label else "",
        **_range(control),
        "decimals": 0 if control.whole else 3,
        "address": control.address,
        "typeTags": "i" if control.whole else "f",
        **_coloured(control),
    }


def _knob(control: Control) -> dict[str, Any]:
    """Sends by itself when it is let go, and not while it moves."""
    sent = f"send('{control.address}', {{type: 'f', value: value}})"
    return {
        "type": "knob",
        **_range(control),
        "decimals": 3,
        "address": control.address,
        "typeTags": "f",
        "bypass": True,
        "onTouch": f"if (event.type === 'stop') {sent}",
        **_coloured(control),
    }


def _text(control: Control) -> dict[str, Any]:
    widget: dict[str, Any] = {
        "type": "text",
        "wrap": "soft",
        "default": control.label,
        "bypass": True,
        "colorText": _css(control.colour),
        **_flat(),
        "css": _font(control),
    }
    if len(control.shows) == 1 and control.shows[0].template == "{1}" and _is_text(control.shows[0]):
        return {**widget, "address": control.shows[0].address}
    if control.shows:
        widget["value"] = _newest([(shown.address, _written(shown)) for shown in control.shows])
    return widget


def _light(control: Control) -> dict[str, Any]:
    widget: dict[str, Any] = {"type": "led", "bypass": True, "colorWidget": _css(control.colour), **_flat()}
    (shown,) = control.shows
    if shown.template == "1":  # anything that came
        return {**widget, "value": f"#{{OSC{{{shown.address}}} === undefined ? 0 : 1}}"}
    if shown.address.removeprefix(f"{OSC_ROOT}/") in PROPERTY_OF_KEY:
        return {**widget, "address": shown.address}
    return {**widget, "value": f"#{{[].concat(OSC{{{shown.address}}}).pop() % 2 || 0}}"}  # each second beat


def _meter(control: Control) -> dict[str, Any]:
    return {
        "type": "fader",
        "design": "compact",
        "interaction": False,
        "bypass": True,
        **_range(control),
        "value": f"#{{[].concat(OSC{{{control.shows[0].address}}}, {control.low:g}).find(v => v !== undefined)}}",
        **_coloured(control),
    }


def _entry(control: Control) -> dict[str, Any]:
    widget = {"type": "input", "default": control.label, "bypass": True, "typeTags": "s", "asYouType": True}
    return {**widget, "colorText": _css(control.colour), "css": _font(control)}


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


# -- expressions ------------------------------------------------------------------------------------------------------


def _is_text(shown: Shown) -> bool:
    key = shown.address.removeprefix(f"{OSC_ROOT}/")
    return key in PROPERTY_OF_KEY and PROPERTY_OF_KEY[key].value.kind is Kind.TEXT


def _written(shown: Shown) -> str:
    """The template with the arguments of `a` in it, as an expression of JavaScript."""
    rest, written = shown.template, []
    while rest:
        before, brace, after = rest.partition("{")
        if before:
            written.append(json.dumps(before))
        number, _, rest = after.partition("}") if brace else ("", "", "")
        if number:
            at = int(number) - 1
            written.append(f"(typeof a[{at}] === 'number' ? Math.round(a[{at}] * 10) / 10 : a[{at}])")
    return " + ".join(['""', *written])


def _newest(sources: list[tuple[str, str]]) -> str:
    """What came last at one of some addresses, written; nothing before anything came."""
    lines = ["JS{{"]
    for number, (address, written) in enumerate(sources):
        lines += [
            f"var m{number} = OSC{{{address}}}",  # undefined until something came
            f"if (m{number} !== locals.m{number}) {{",
            f"  locals.m{number} = m{number}",
            f"  var a = [].concat(m{number})",
            f"  locals.text = {written}",
            "}",
        ]
    return "\n".join([*lines, "return locals.text || ''", "}}"])


# -- properties -------------------------------------------------------------------------------------------------------


def _range(control: Control) -> dict[str, Any]:
    properties: dict[str, Any] = {"range": {"min": control.low, "max": control.high}}
    if control.low == -control.high:
        properties |= {"origin": 0, "default": 0}
    return properties


def _place(box: Box, within: Box) -> dict[str, str]:
    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:.3f}%"

    return {
        "left": share(box.x, within.width),
        "top": share(box.y, within.height),
        "width": share(box.width, within.width),
        "height": share(box.height, within.height),
    }


def _coloured(control: Control) -> dict[str, Any]:
    return {"colorWidget": _css(control.colour), "css": _font(control)}


def _font(control: Control) -> str:
    return f"font-size: {control.text_size}rem"  # a rem is a pixel there


def _flat() -> dict[str, Any]:
    return {"alphaStroke": 0, "alphaFillOff": 0, "padding": 0}


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
