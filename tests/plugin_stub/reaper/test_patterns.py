"""ResonantGen.ReaperOSC: REAPER would accept it, and our REAPER host understands all that REAPER sends by it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hosts_fakes import NamingEngine, done, settled
from osc_peer import peer, until
from resonantgen_bridge.hosts.reaper import ReaperHost
from resonantgen_bridge.osc_packets import Message

FILE = Path(__file__).parents[3] / "plugin_stub" / "reaper" / "ResonantGen.ReaperOSC"

# Of REAPER's control surface SDK (csurf_osc.cpp): the keys of Default.ReaperOSC that concern us, with its patterns, and
# what its reader accepts as settings.
STOCK = {
    "TRACK_NAME": {"s/track/name", "s/track/@/name"},
    "TRACK_REC_ARM": {"b/track/recarm", "b/track/@/recarm"},
    "PLAY": {"t/play"},
    "STOP": {"t/stop"},
    "TEMPO": {"n/tempo", "f/tempo/raw", "r/tempo/rotary", "s/tempo/str"},
    "BEAT": {"s/beat/str"},
    "TIME": {"f/time", "s/time/str"},
    "ACTION": {"i/action", "t/action/@"},
}
COUNTS = {
    "DEVICE_TRACK_COUNT",
    "DEVICE_SEND_COUNT",
    "DEVICE_RECEIVE_COUNT",
    "DEVICE_FX_COUNT",
    "DEVICE_FX_PARAM_COUNT",
    "DEVICE_FX_INST_PARAM_COUNT",
}
FOLLOWS = {
    "REAPER_TRACK_FOLLOWS": {"REAPER", "DEVICE"},
    "DEVICE_TRACK_FOLLOWS": {"DEVICE", "LAST_TOUCHED"},
    "DEVICE_TRACK_BANK_FOLLOWS": {"DEVICE", "MIXER"},
    "DEVICE_FX_FOLLOWS": {"DEVICE", "LAST_TOUCHED", "FOCUSED"},
}
FLAGS = "nfbtrsi"


@dataclass(frozen=True)
class Config:
    settings: dict[str, str]
    patterns: dict[str, list[tuple[str, str]]]  # of an action: flag and address


def parse(text: str) -> Config:
    """As REAPER reads it, but with AssertionError where it would pass over a line or the file."""
    settings: dict[str, str] = {}
    patterns: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        key, *values = line.split() or ["#"]
        if key.startswith("#"):
            continue
        assert values, f"{key} has no pattern"
        if key in COUNTS | FOLLOWS.keys():
            assert len(values) == 1 and key not in settings, line
            assert values[0].isdecimal() if key in COUNTS else values[0] in FOLLOWS[key], line
            settings[key] = values[0]
            continue
        assert key in STOCK, f"REAPER knows no action {key}"
        for value in values:
            assert value[0] in FLAGS, f"{value} begins with no flag"
            assert re.fullmatch(r"(/([a-z]+|@))+", value[1:]), f"{value} is no pattern"
            assert value in STOCK[key], f"{value} is not what Default.ReaperOSC has for {key}"
            patterns.setdefault(key, []).append((value[0], value[1:]))
    return Config(settings, patterns)


CONFIG = parse(FILE.read_text(encoding="ascii"))

# What REAPER sends by each action, and what our engine is then told.
SENT: dict[str, tuple[Any, Any]] = {
    "TRACK_NAME": ("Bass DI", None),
    "TRACK_REC_ARM": (1.0, ("lock", "bass", True)),
    "PLAY": (1.0, ("play", True)),
    "STOP": (1.0, ("play", False)),
    "TEMPO": (97.5, ("tempo", 97.5)),
    "BEAT": ("5.3.50", None),
}


@pytest.mark.parametrize(
    "line",
    [
        "TRACK_ARM b/track/@/recarm",
        "PLAY",
        "PLAY /play",
        "PLAY x/play",
        "PLAY tplay",
        "BEAT s/beats",
        "DEVICE_TRACK_COUNT many",
        "DEVICE_TRACK_FOLLOWS MIXER",
    ],
)
def test_the_parser_refuses_what_reaper_would(line: str) -> None:
    with pytest.raises(AssertionError):
        parse(line)


def test_it_reports_more_tracks_than_stock_and_keeps_their_numbers() -> None:
    assert CONFIG.settings["DEVICE_TRACK_COUNT"] == "64"
    assert CONFIG.settings["REAPER_TRACK_FOLLOWS"] == "REAPER"  # nothing that is selected here selects anything there
    assert CONFIG.settings["DEVICE_TRACK_BANK_FOLLOWS"] == "DEVICE"


def test_it_has_what_the_host_uses_and_nothing_else() -> None:
    assert CONFIG.patterns.keys() == {*SENT, "ACTION"}


@pytest.mark.parametrize("action", SENT)
def test_the_host_understands_what_reaper_sends_by_each_pattern(action: str) -> None:
    sent, told = SENT[action]

    async def test() -> None:
        engine = NamingEngine({"play": action == "STOP"})
        host = ReaperHost(engine, listen=("127.0.0.1", 0))
        await host.start()
        try:
            host.received(Message("/track/64/name", ("Bass",)), 0.0)
            host.received(Message("/play", (float(action == "STOP"),)), 0.0)
            await settled()
            engine.calls.clear()
            for flag, address in CONFIG.patterns[action]:
                assert (flag == "s") == isinstance(sent, str)
                assert host.received(Message(address.replace("@", "64"), (sent,)), 1.0)
            await until(lambda: len(engine.calls) == (told is not None))
            await settled()
            assert done(engine) == ([told] if told else [])
            if action == "TRACK_NAME":
                assert engine.names == {64: "Bass DI"}
            if action == "BEAT":
                assert engine.aligned == [(18.5, 1.0)]
        finally:
            await host.close()

    asyncio.run(test())


def test_reaper_understands_what_the_host_sends() -> None:
    """An action when it starts, and with `--arm-back` the arming of tracks."""

    async def test() -> None:
        engine = NamingEngine({})
        async with peer() as reaper:
            host = ReaperHost(engine, listen=("127.0.0.1", 0), reaper=("127.0.0.1", reaper.port), arm_back=True)
            await host.start()
            try:
                host.received(Message("/track/64/name", ("Bass",)), 0.0)
                engine.change({"track/bass/lock": True})
                await until(lambda: len(reaper.got) == 2)
            finally:
                await host.close()
            known = {(address.replace("@", "64"), flag) for rows in CONFIG.patterns.values() for flag, address in rows}
            assert ("/action", "i") in known and ("/track/64/recarm", "b") in known
            assert [message[0] for message in reaper.got] == ["/action", "/track/64/recarm"]

    asyncio.run(test())
