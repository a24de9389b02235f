"""What a generated surface would send and show, read from its file as the app reads it, and from nothing else."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "plugin_stub" / "surfaces"
_TYPES = {"INTEGER": "i", "FLOAT": "f", "STRING": "s"}
TYPED = "busier bass"  # what is in the entry when a button sends it


@dataclass(frozen=True)
class Sent:
    """What touching a control sends, by an OSC type letter: at its low end, at its high end, or when it is pressed."""

    name: str
    address: str
    kind: str  # "button", "toggle", "range"
    types: str
    values: tuple[tuple[Any, ...], ...]  # one tuple of arguments for each way to touch it


@dataclass
class SurfaceFile:
    sent: list[Sent] = field(default_factory=list)
    shown: dict[str, list[str]] = field(default_factory=dict)  # by address: the names of the controls

    def shows(self, address: str, name: str) -> None:
        self.shown.setdefault(address, []).append(name)


# -- TouchOSC ---------------------------------------------------------------------------------------------------------


def touchosc_xml(data: bytes) -> ET.Element:
    root = ET.fromstring(zlib.decompress(data))
    assert root.tag == "lexml"
    return root


def properties(node: ET.Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in node.findall("properties/property"):
        value = entry.find("value")
        assert value is not None
        key = entry.findtext("key") or ""
        found[key] = {part.tag: float(part.text or 0) for part in value} if len(value) else value.text or ""
    return found


def touchosc(data: bytes) -> SurfaceFile:
    surface = SurfaceFile()
    for node in touchosc_xml(data).iter("node"):
        _read_node(surface, node)
    return surface


def _read_node(surface: SurfaceFile, node: ET.Element) -> None:
    held = properties(node)
    for message in node.findall("messages/osc"):
        address = "".join(part.findtext("value") or "" for part in message.findall("path/partial"))
        if message.findtext("receive") == "1":
            surface.shows(address, held["name"])
        if message.findtext("send") == "1":
            surface.sent.append(_touched(node.get("type") or "", held, address, message.findall("arguments/partial")))
    for address in re.findall(r"^\s*sendOSC\('([^']+)', root:findByName\('words'", held.get("script", ""), re.M):
        surface.sent.append(Sent(held["name"], address, "button", "s", ((TYPED,),)))
    for address, rest in re.findall(r"^  \['([^']+)'\] = (.*),$", held.get("script", ""), re.M):
        for name in re.findall(r"name = '([^']+)'", rest) or [rest.strip("'")]:
            surface.shows(address, name)


def _touched(kind: str, held: dict[str, Any], address: str, partials: list[ET.Element]) -> Sent:
    types = "".join(
        {"INTEGER": "i", "FLOAT": "f", "STRING": "s"}[part.findtext("conversion") or ""] for part in partials
    )
    if partials[0].findtext("type") == "CONSTANT":
        constants = tuple(_typed(letter, part.findtext("value")) for letter, part in zip(types, partials, strict=True))
        return Sent(held["name"], address, "button", types, (constants,))
    low, high = (_typed(types, partials[0].findtext(end)) for end in ("scaleMin", "scaleMax"))
    return Sent(held["name"], address, "toggle" if kind == "BUTTON" else "range", types, ((low,), (high,)))


def _typed(letter: str, text: str | None) -> Any:
    return {"i": lambda given: int(float(given)), "f": float, "s": str}[letter](text or "0")


# -- Open Stage Control -----------------------------------------------------------------------------------------------


def widgets(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All of them, below the root."""

    def below(widget: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for child in [*widget.get("widgets", []), *widget.get("tabs", [])]:
            yield child
            yield from below(child)

    return below(document["content"])


def open_stage_control(data: bytes) -> SurfaceFile:
    surface = SurfaceFile()
    for widget in widgets(json.loads(data)):
        name, address = widget["id"], widget.get("address", "")
        for listened in re.findall(r"OSC\{(/[^,}]+)", str(widget.get("value", ""))):
            surface.shows(listened, name)
        if address and (widget.get("mode") != "tap"):
            surface.shows(address, name)
        scripts = widget.get("onTouch", "") + widget.get("onValue", "")
        by_script = re.search(r"send\('([^']+)', \{type: '(\w)'", scripts)
        if by_script:
            assert by_script[1] == address and by_script[2] == widget["typeTags"], widget
        elif not address or widget.get("bypass"):
            continue
        surface.sent.append(_sent_by(widget, words="get('words')" in scripts))
    return surface


def _sent_by(widget: dict[str, Any], words: bool) -> Sent:
    name, address, types = widget["id"], widget["address"], widget["typeTags"]
    if words:
        return Sent(name, address, "button", "s", ((TYPED,),))
    if widget["type"] == "button":
        kind = "toggle" if widget["mode"] == "toggle" else "button"
        return Sent(
            name, address, kind, types, ((widget["off"],), (widget["on"],)) if kind == "toggle" else ((widget["on"],),)
        )
    ends = widget["range"]
    return Sent(name, address, "range", types, ((ends["min"],), (ends["max"],)))
