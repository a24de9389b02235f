"""What the person who started the engine reads while it runs."""

from __future__ import annotations

from typing import Any

import pytest

from bridge_fakes import FakeEngine, default_state
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.event_lines import EventLines, opening_lines
from resonantgen_bridge.protocol import EVENTS

TOLD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("changed", {"state": {"track/drums/lock": True}}, ["  drums       locked"]),
    ("changed", {"state": {"track/drums/lock": False}}, ["  drums       unlocked"]),
    (
        "changed",
        {"state": {"track/bass/take": "bass-2", "track/bass/summary": "Reese bass: rolling"}},
        ["  bass        bass-2: Reese bass: rolling"],
    ),
    ("changed", {"state": {"track/bass/take": "bass-1"}}, ["  bass        bass-1"]),
    ("changed", {"state": {"track/melody/take": ""}}, ["  melody      removed"]),
    ("changed", {"state": {"tempo": 97.5, "track/bass/gain": -3.0}}, ["  tempo       97.5 bpm"]),
    ("changed", {"state": {"prompt": "busier\nbass"}}, ['  "busier bass"']),
    ("changed", {"state": {"play": False}}, ["  transport   stopped"]),
    ("changed", {"state": {"auto": 1}}, ["  auto        new ideas every 1 bar"]),
    ("changed", {"state": {"auto": 0}}, ["  auto        off"]),
    ("changed", {"state": {"audio": "no sound: the device has gone"}}, ["  audio       no sound: the device has gone"]),
    ("changed", {"state": {"track/bass/mute": True, "track/bass/pan": 1.0}}, ["  bass        muted"]),
    ("changed", {"state": {"density": 0.5, "busy": True, "track/bass/density": 0.5}}, []),
    (
        "swap",
        {"track": "bass", "material": "bass-2", "bar": 5, "frame": 9},
        ["  bass        bass-2 plays from bar 5"],
    ),
    ("swap", {"track": "bass", "material": "bass-2~", "bar": 5, "frame": 9}, []),
    ("problem", {"code": "DeviceError", "message": "Port 9010 is taken."}, ["  Port 9010 is taken."]),
    ("beat", {"bar": 1, "beat": 1}, []),
    ("level", {"track": "bass", "peak": -3.0, "rms": -9.0}, []),
    ("heartbeat", {"seconds": 1.0}, []),
]


@pytest.mark.parametrize(("event", "fields", "lines"), TOLD)
def test_each_thing_that_happens_is_a_line(event: str, fields: dict[str, Any], lines: list[str]) -> None:
    heard: list[str] = []
    fake = FakeEngine()
    fake.subscribe(EventLines(heard.append))
    fake.notify(event, **fields)
    assert heard == lines


def test_every_property_can_change_without_harm() -> None:
    heard: list[str] = []
    EventLines(heard.append)(Notice("changed", {"state": default_state()}))
    assert all(len(line) < 200 and "\n" not in line for line in heard)


def test_only_known_events_are_spoken_of() -> None:
    assert {event for event, _, _ in TOLD} <= {event.name for event in EVENTS}


def test_the_opening_says_what_plays_and_where_it_answers() -> None:
    state = default_state() | {
        "project": "/home/ann/night.rg",
        "track/bass/take": "bass-2",
        "track/bass/lock": True,
        "track/bass/summary": "Reese bass: rolling",
        "audio": "system, 48000 Hz",
    }
    text = "\n".join(opening_lines(state, {"zmq": "tcp://127.0.0.1:5570", "osc": "127.0.0.1:9010"}))
    for words in ("serving night.rg", "120 bpm · 4/4 · A minor · 8 bars", "bass-2 locked   Reese bass: rolling"):
        assert words in text
    for words in ("  audio       system, 48000 Hz", "  zmq         tcp://127.0.0.1:5570", "Ctrl-C"):
        assert words in text


def test_an_empty_project_says_how_to_begin() -> None:
    assert any("resonantgen generate" in line for line in opening_lines(default_state() | {"bars": 0}, {}))
