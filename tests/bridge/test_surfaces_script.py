"""The TouchOSC layout's scripts, run by a real Lua 5.1 against a fake of what TouchOSC offers: other names raise."""

from __future__ import annotations

from typing import Any

import pytest
from lupa import lua51

from resonantgen_bridge.surfaces import TOUCHOSC_FILE
from surface_files import FOLDER, TYPED, properties, touchosc_xml

NODES = {
    properties(node)["name"]: (node, properties(node))
    for node in touchosc_xml((FOLDER / TOUCHOSC_FILE).read_bytes()).iter("node")
}
# What TouchOSC's manual lists, as far as it is used here. A script gets these names and no others.
FAKE = """
local known, now, sent, name = ...
local controls = {}
local get
local function control(name)
  local kept = {values = {x = 0, text = ''}, name = name}
  function kept:findByName(wanted, recursive)
    assert(recursive == true, 'the control is not a child')
    return known(wanted) and get(wanted) or nil
  end
  return setmetatable(kept, {__index = function(_, key) error('no ' .. key) end})
end
function get(name)
  controls[name] = controls[name] or control(name)
  return controls[name]
end
local names = {
  string = string, table = table, math = math, pairs = pairs, ipairs = ipairs, tonumber = tonumber, tostring = tostring,
  type = type, root = get('ResonantGen'), self = get(name), getMillis = now, sendOSC = sent,
}
setmetatable(names, {__index = function(_, key) error('no global ' .. key) end})
return names, get
"""


class TouchOsc:
    """One control's script, as TouchOSC would run it."""

    def __init__(self, name: str) -> None:
        self.now = 1000.0
        self.sent: list[tuple[Any, ...]] = []
        lua = lua51.LuaRuntime(unpack_returned_tuples=True)
        fake = lua.eval(f"function(...) {FAKE} end")
        self._run = lua.eval("function(code, names) setfenv(assert(loadstring(code)), names)() end")
        self._table = lua.table_from
        self._names, self._get = fake(NODES.__contains__, lambda: self.now, self._send, name)
        self.run(NODES[name][1]["script"])

    def _send(self, *message: Any) -> None:
        self.sent.append(message)

    def run(self, code: str) -> None:
        self._run(code, self._names)

    def call(self, function: str, *arguments: Any) -> Any:
        return self._names[function](*arguments)

    def receive(self, address: str, *values: Any) -> Any:
        arguments = self._table([self._table({"tag": "?", "value": value}) for value in values])
        return self.call("onReceiveOSC", self._table([address, arguments]))

    def values(self, name: str) -> Any:
        return self._get(name)["values"]

    def pass_ms(self, milliseconds: float, step: float = 100) -> None:
        end = self.now + milliseconds
        while self.now < end:
            self.now += step
            self.call("update")


@pytest.fixture
def layout() -> TouchOsc:
    started = TouchOsc("ResonantGen")
    started.call("init")
    return started


def test_it_subscribes_when_it_is_opened_until_it_is_answered_and_then_seldom(layout: TouchOsc) -> None:
    assert layout.sent == [("/rg/subscribe", 1, 9011)]
    layout.pass_ms(10_000)
    assert len(layout.sent) == 4
    assert layout.values("connected")["x"] == 0
    layout.receive("/rg/play", 0)
    layout.pass_ms(25_000)
    assert len(layout.sent) == 4
    assert layout.values("connected")["x"] == 1


def test_an_engine_that_has_gone_is_asked_for_again(layout: TouchOsc) -> None:
    layout.receive("/rg/play", 0)
    layout.pass_ms(60_000)
    assert layout.values("connected")["x"] == 0
    asked = len(layout.sent)
    layout.pass_ms(10_000)
    assert len(layout.sent) >= asked + 3


@pytest.mark.parametrize(
    ("address", "values", "name", "written"),
    [
        ("/rg/tempo", (128.0,), "tempo shown", "128 bpm"),
        ("/rg/tempo", (97.46,), "tempo shown", "97.5 bpm"),
        ("/rg/bars", (8,), "bars shown", "8 bars"),
        ("/rg/beat", (3, 2), "beat", "3 : 2"),
        ("/rg/error", ("TrackLocked", "bass is locked: 100 %."), "error", "bass is locked: 100 %."),
        ("/rg/problem", ("DeviceError", "no sound"), "error", "no sound"),
        ("/rg/track/bass/gain", (-3.25,), "bass gain shown", "-3.2 dB"),
        ("/rg/auto", (4,), "auto", "New every 4"),
        ("/rg/error", (), "error", ""),
    ],
)
def test_numbers_and_second_arguments_are_written(
    layout: TouchOsc, address: str, values: tuple[Any, ...], name: str, written: str
) -> None:
    assert layout.receive(address, *values) is False  # the control's own messages come after
    assert layout.values(name)["text"] == written


@pytest.mark.parametrize(("peak", "shown"), [(-60.0, 0), (-30.0, 0.5), (0.0, 1), (-200.0, 0), (3.0, 1)])
def test_levels_move_meters(layout: TouchOsc, peak: float, shown: float) -> None:
    layout.receive("/rg/track/melody/level", peak, -90.0)
    assert layout.values("melody level")["x"] == shown


def test_the_beat_flashes(layout: TouchOsc) -> None:
    layout.receive("/rg/beat", 1, 1)
    assert layout.values("beat light")["x"] == 1
    layout.pass_ms(300, step=16)
    assert layout.values("beat light")["x"] == 0


def test_strange_messages_do_nothing(layout: TouchOsc) -> None:
    for address, values in [("/other", ()), ("/rg/track/bass/level", ()), ("/rg/beat", ("x",)), ("/rg/tempo", (None,))]:
        assert layout.receive(address, *values) is False


@pytest.mark.parametrize(
    ("name", "address"), [("generate", "/rg/prompt"), ("change", "/rg/regenerate"), ("key", "/rg/key")]
)
def test_buttons_send_what_was_typed_when_they_are_pressed(name: str, address: str) -> None:
    button = TouchOsc(name)
    button.values("words")["text"] = TYPED
    for key, x in [("touch", 1), ("x", 0)]:
        button.values(name)["x"] = x
        button.call("onValueChanged", key)
    assert button.sent == []
    button.values(name)["x"] = 1
    button.call("onValueChanged", "x")
    assert button.sent == [(address, TYPED)]


def test_the_fake_raises_for_a_name_that_touchosc_does_not_have(layout: TouchOsc) -> None:
    with pytest.raises(lua51.LuaError, match="no global"):
        layout.run("os.time()")
    with pytest.raises(lua51.LuaError, match="no colour"):
        layout.run("local x = root.colour")
