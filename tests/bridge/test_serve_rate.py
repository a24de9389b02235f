"""The sample rate that an engine runs at: what was asked for, as far as the device can."""

from __future__ import annotations

from pathlib import Path

import pytest

from resonantgen.realtime.devices import Device
from resonantgen.session.session import Session
from resonantgen_bridge import serve
from resonantgen_bridge.options import ServeOptions


@pytest.mark.parametrize(("asked", "lines"), [(None, 0), (48_000, 0), (96_000, 1)])
def test_a_rate_that_was_asked_for_and_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int | None, lines: int
) -> None:
    def device(name: str, channels: int) -> Device:
        return Device(0, "system", "JACK", 2, 48_000, True)

    monkeypatch.setattr(serve, "choose_device", device)
    monkeypatch.setattr(serve, "supported_rate", lambda device, wanted, channels: 48_000)
    said: list[str] = []
    with Session.open_or_create(tmp_path / "night.rg") as session:
        options = ServeOptions(session.path, sample_rate=asked)
        assert serve._device_and_rate(options, session, 2, said.append) == ("", 48_000)
    assert said == ["system does not play at 96000 Hz, so it plays at 48000 Hz."] * lines
