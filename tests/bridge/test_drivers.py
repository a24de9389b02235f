"""What drives the engine is opened as the options say, or it is said why not."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from live_fakes import live
from resonantgen_bridge.drivers import Drivers
from resonantgen_bridge.options import NO_DEVICE, Peer, ServeOptions


def opened(path: Path, **options: object) -> tuple[list[str], dict[str, str], dict[str, object]]:
    """What is said, the addresses, and what status says of each driver."""

    async def run() -> tuple[list[str], dict[str, str], dict[str, object]]:
        said: list[str] = []
        async with live(path / "night.rg", empty=True) as one:
            asked = ServeOptions(
                path,
                zmq_port=0,
                events_port=0,
                osc_port=0,
                midi_in=NO_DEVICE,
                **{"plugin_port": 0, **options},  # type: ignore[arg-type]
            )
            async with Drivers(one.engine, asked, said.append):
                status = (await one.do("status"))["status"]
        return said, status["addresses"], status["drivers"]

    return asyncio.run(run())


def test_reaper_is_followed_and_status_says_whether_it_was_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resonantgen_bridge.drivers.LISTEN_PORT", 0)
    said, addresses, drivers = opened(tmp_path, reaper=Peer("localhost", 8000))
    assert said == [] and addresses["reaper"].rpartition(":")[0] == "127.0.0.1"
    assert drivers["reaper"] == {"host": "reaper", "connected": False, "tracks": {}}
    assert drivers["osc"]["received"] == 0  # type: ignore[index]


def test_reaper_on_another_machine_needs_a_way_back(tmp_path: Path) -> None:
    said, addresses, _ = opened(tmp_path, reaper=Peer("192.0.2.7", 8000))
    assert len(said) == 1 and "--osc-listen" in said[0]
    assert "reaper" not in addresses and "osc" in addresses


def test_reaper_on_no_machine_is_said(tmp_path: Path) -> None:
    said, addresses, _ = opened(tmp_path, reaper=Peer("no such machine", 8000))
    assert len(said) == 1 and "no such machine" in said[0]
    assert "osc" in addresses


def test_plugins_are_served_and_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    said, addresses, drivers = opened(tmp_path)
    assert said == [] and addresses["plugin"].startswith("127.0.0.1:")
    assert drivers["plugin"] == {"instances": [], "silent_here": [], "dropped": 0}
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        said, addresses, drivers = opened(tmp_path, plugin_port=port)
    assert said == [f"Port {port} is taken by another program. Stop it, or use --plugin-port."]
    assert "plugin" not in addresses and "plugin" not in drivers and "osc" in addresses
