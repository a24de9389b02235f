"""The control surfaces are what the protocol's table says, and are complete, in both apps' files."""

from __future__ import annotations

import itertools
import json
import zlib
from pathlib import Path
from typing import Any

import py2tosc
import pytest

from resonantgen.music.notes import Role
from resonantgen_bridge.osc_addresses import routes_of
from resonantgen_bridge.parsing import parse_positional
from resonantgen_bridge.protocol import COMMAND, COMMANDS, EVENTS, OSC_ROOT, PROPERTIES, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Kind
from resonantgen_bridge.surfaces import OPEN_STAGE_CONTROL_FILE, TOUCHOSC_FILE, write_surfaces
from resonantgen_bridge.surfaces.controls import HEIGHT, SURFACE_PORT, WIDTH, Box, Control, Look
from resonantgen_bridge.surfaces.layout import LEFT_OUT_COMMANDS, LEFT_OUT_EVENTS, LEFT_OUT_PROPERTIES, surface
from surface_files import FOLDER, SurfaceFile, open_stage_control, properties, touchosc, touchosc_xml, widgets

TOSC = (FOLDER / TOUCHOSC_FILE).read_bytes()
JSON = (FOLDER / OPEN_STAGE_CONTROL_FILE).read_bytes()
FILES = {"touchosc": touchosc(TOSC), "open_stage_control": open_stage_control(JSON)}
TOUCHED = (Look.BUTTON, Look.TOGGLE, Look.FADER, Look.KNOB, Look.ENTRY)
SUBSCRIBE = f"{OSC_ROOT}/subscribe"
both = pytest.mark.parametrize("file", list(FILES.values()), ids=list(FILES))


def test_the_files_in_the_repository_are_what_the_table_gives(tmp_path: Path) -> None:
    for path in write_surfaces(tmp_path):
        made, kept = path.read_bytes(), (FOLDER / path.name).read_bytes()
        if path.suffix == ".tosc":  # not every zlib compresses alike
            made, kept = zlib.decompress(made), zlib.decompress(kept)
        assert made == kept, f"{path.name} is old: python -m resonantgen_bridge.surfaces"


# -- what is sent -----------------------------------------------------------------------------------------------------


@both
def test_whatever_is_touched_is_a_command_with_arguments_that_it_takes(file: SurfaceFile) -> None:
    assert len(file.sent) > 90
    for sent in file.sent:
        if sent.address == SUBSCRIBE:
            assert [len(sent.types), sent.values[0][0]] == [len(sent.values[0]), 1]
            continue
        (route,) = routes_of(sent.address)
        for values in sent.values:
            if not (route.command.trigger and values == (1,)):
                parse_positional(route.command, route.given, list(values))


@both
def test_each_range_is_the_protocols(file: SurfaceFile) -> None:
    ranges = [sent for sent in file.sent if sent.kind == "range"]
    assert len(ranges) == 2 * len(Role) + 1 + 6 * (1 + len(Role))  # gain and pan, tempo, how it is played
    for sent in ranges:
        (route,) = routes_of(sent.address)
        taken = next(field for field in route.command.fields if field.name not in route.given)
        assert [value for (value,) in sent.values] == [taken.low, taken.high], sent
        shown = PROPERTY_OF_KEY[route.key].value
        assert (shown.low, shown.high) == (taken.low, taken.high)


@both
def test_toggles_set_booleans_and_nothing_else_does(file: SurfaceFile) -> None:
    for sent in file.sent:
        if sent.address != SUBSCRIBE:
            (route,) = routes_of(sent.address)
            free = [field for field in route.command.fields if field.name not in route.given]
            is_switch = bool(free) and free[0].kind is Kind.BOOL
            assert (sent.kind == "toggle") == is_switch, sent


def test_both_apps_send_the_same() -> None:
    def plain(file: SurfaceFile) -> list[tuple[Any, ...]]:
        return sorted((one.name, one.address, one.values) for one in file.sent if one.address != SUBSCRIBE)

    assert plain(FILES["touchosc"]) == plain(FILES["open_stage_control"])
    (connect,) = (sent for sent in FILES["touchosc"].sent if sent.address == SUBSCRIBE)
    assert (connect.types, connect.values) == ("ii", ((1, SURFACE_PORT),))


# -- nothing is missing -----------------------------------------------------------------------------------------------


@both
def test_each_command_is_there_or_left_out_with_a_reason(file: SurfaceFile) -> None:
    there = {routes_of(sent.address)[0].command.name for sent in file.sent if sent.address != SUBSCRIBE}
    assert there | LEFT_OUT_COMMANDS.keys() == {command.name for command in COMMANDS}
    assert not there & LEFT_OUT_COMMANDS.keys()
    for name, reason in LEFT_OUT_COMMANDS.items():
        assert reason
        assert ("no OSC address" in reason) == (not COMMAND[name].osc), name


@both
def test_each_track_and_attribute_has_its_own(file: SurfaceFile) -> None:
    for command in COMMANDS:
        for template in command.osc if command.name not in LEFT_OUT_COMMANDS else ():
            choices = [part for part in template.split("/") if part.startswith("{")]
            values = [
                [role.value for role in Role] if part == "{track}" else command.field(part[1:-1]).choices
                for part in choices
            ]
            for combination in itertools.product(*values):
                names = [part[1:-1] for part in choices]
                address = f"{OSC_ROOT}/{template.format(**dict(zip(names, combination, strict=True)))}"
                assert any(sent.address == address for sent in file.sent), address


@both
def test_each_property_and_event_is_shown_or_left_out_with_a_reason(file: SurfaceFile) -> None:
    addresses = {f"{OSC_ROOT}/{key}": prop.name for prop in PROPERTIES for key in prop.state_keys()}
    for address, name in addresses.items():
        assert (address in file.shown) != (name in LEFT_OUT_PROPERTIES), address
    assert all(LEFT_OUT_PROPERTIES.values())
    assert LEFT_OUT_PROPERTIES.keys() <= {prop.name for prop in PROPERTIES}
    for event in EVENTS:
        if event.osc:
            shown = {f"{OSC_ROOT}/{event.osc.format(track=role.value)}" for role in Role} <= file.shown.keys()
            assert shown != (event.name in LEFT_OUT_EVENTS), event.name
    assert f"{OSC_ROOT}/error" in file.shown


@both
def test_whatever_is_shown_is_told_by_the_engine(file: SurfaceFile) -> None:
    told = {f"{OSC_ROOT}/{key}" for key in PROPERTY_OF_KEY} | {f"{OSC_ROOT}/error"}
    told |= {f"{OSC_ROOT}/{event.osc.format(track=role.value)}" for event in EVENTS for role in Role if event.osc}
    assert file.shown.keys() <= told


@both
def test_what_sets_a_value_shows_it(file: SurfaceFile) -> None:
    for sent in file.sent:
        if sent.kind in ("toggle", "range"):
            assert sent.name in file.shown[sent.address]


# -- how it looks -----------------------------------------------------------------------------------------------------


def _overlap(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not (beside or one.y + one.height <= other.y or other.y + other.height <= one.y)


def test_nothing_covers_what_is_touched_and_all_of_it_is_on_the_screen() -> None:
    made = surface()
    parts = {"header": (made.header, Box(0, 0, WIDTH, made.pages_box.y))}
    inside = Box(0, 0, made.pages_box.width, made.pages_box.height - made.tab_height)
    parts |= {page.title: (page.controls, inside) for page in made.pages}
    for title, (controls, screen) in parts.items():
        for control in controls:
            box = control.box
            assert min(box.x, box.y) >= 0 and box.width > 0 and box.height > 0, control
            assert box.x + box.width <= screen.width and box.y + box.height <= screen.height, (title, control)
        for one, other in itertools.combinations(controls, 2):
            lit = {one.name, other.name} == {"connect", "connected"}  # a light on a button's edge
            assert lit or not _overlap(one.box, other.box), (title, one.name, other.name)


def test_what_is_touched_is_large_enough_for_a_finger_on_a_phone() -> None:
    scale = 390 / HEIGHT  # points of a phone's short side
    for control in surface().controls():
        if control.look in TOUCHED:
            assert min(control.box.width, control.box.height) * scale >= 29, control
            assert control.label or control.look in (Look.FADER, Look.KNOB), control


def test_names_and_identifiers_are_unique() -> None:
    names = [control.name for control in surface().controls()]
    assert len(set(names)) == len(names)
    identifiers = [node.get("ID") for node in touchosc_xml(TOSC).iter("node")]
    assert len(set(identifiers)) == len(identifiers) > len(names)
    everywhere = [widget["id"] for widget in widgets(json.loads(JSON))]
    assert len(set(everywhere)) == len(everywhere) == len(names) + 1 + len(surface().pages)


# -- the files --------------------------------------------------------------------------------------------------------


def test_the_layout_is_one_that_touchosc_reads() -> None:
    document = py2tosc.loads(TOSC)
    assert document.validate() == []
    assert document.dumps().encode() == zlib.decompress(TOSC)  # nothing was lost in reading it
    root = touchosc_xml(TOSC).find("node")
    assert root is not None and root.get("type") == "GROUP"
    assert properties(root)["frame"] == {"x": 0, "y": 0, "w": WIDTH, "h": HEIGHT}


def test_what_makes_music_is_sent_when_the_finger_leaves() -> None:
    for node in touchosc_xml(TOSC).iter("node"):
        if node.get("type") == "RADIAL":
            (trigger,) = node.findall("messages/osc/triggers/trigger")
            assert [trigger.findtext("var"), trigger.findtext("condition")] == ["touch", "FALL"]
    knobs = [widget for widget in widgets(json.loads(JSON)) if widget["type"] == "knob"]
    assert len(knobs) == 30
    assert all(knob["bypass"] and "event.type === 'stop'" in knob["onTouch"] for knob in knobs)


def test_the_session_is_one_that_open_stage_control_reads() -> None:
    document = json.loads(JSON)
    assert (document["createdWith"], document["type"]) == ("Open Stage Control", "session")
    assert document["content"]["type"] == "root"
    assert "send('/rg/subscribe', {type: 'i', value: 1})" in document["content"]["onCreate"]
    known = {"panel", "tab", "button", "fader", "knob", "text", "led", "input"}
    for widget in widgets(document):
        assert widget["type"] in known
        for key in ("onValue", "onTouch", "value"):
            script = str(widget.get(key, ""))
            assert all(script.count(a) == script.count(b) for a, b in ("()", "{}", "[]")), widget


def test_another_port_is_the_only_difference(tmp_path: Path) -> None:
    layout, session = write_surfaces(tmp_path / "new" / "folder", 9012)
    assert session.read_bytes() == JSON
    xml = zlib.decompress(layout.read_bytes()).decode()
    assert xml.replace("9012", str(SURFACE_PORT)) == zlib.decompress(TOSC).decode()


def control(name: str) -> Control:
    return next(one for one in surface().controls() if one.name == name)


def test_labels_say_what_is_done() -> None:
    assert control("drums lock").label == "Lock"
    assert control("drums lock").address == "/rg/track/drums/lock"
    assert control("generate").label == "New music from these words"
    assert control("style techno").constants == ("techno",)
    assert control("bars 8").constants == (8,)
