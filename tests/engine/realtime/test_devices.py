"""Choosing an audio device, and what is said when there is none."""

from __future__ import annotations

import sys

import pytest

from resonantgen.errors import DeviceError
from resonantgen.realtime import devices
from resonantgen.realtime.devices import Device, PortAudio, pick

BUILT_IN = Device(0, "Built-in Output", "ALSA", 2, 44_100, default=False)
STUDIO = Device(3, "Studio 18i20", "ALSA", 20, 48_000, default=False)
SYSTEM = Device(4, "system", "JACK Audio Connection Kit", 2, 48_000, default=True)
STUDIO_JACK = Device(5, "Studio", "JACK Audio Connection Kit", 20, 48_000, default=False)
ALL = (BUILT_IN, STUDIO, SYSTEM, STUDIO_JACK)


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("", SYSTEM),
        ("built", BUILT_IN),
        ("18I20", STUDIO),
        ("3", STUDIO),
        ("studio", STUDIO_JACK),  # the whole name goes before a part of one
        ("jack", SYSTEM),
        (" system ", SYSTEM),
        *((device.label, device) for device in ALL),
    ],
)
def test_a_device_is_found_by_index_name_or_part(name: str, device: Device) -> None:
    assert pick(ALL, name, 2) is device


def test_without_a_default_the_first_is_taken() -> None:
    assert pick((STUDIO, BUILT_IN), "", 2) is STUDIO


@pytest.mark.parametrize(
    ("among", "name", "channels", "message"),
    [
        ((), "", 2, "no audio device has outputs"),
        (ALL, "Babyface", 2, 'no audio device is called "Babyface"; there is "Built-in Output", "Studio 18i20"'),
        (ALL, "2", 2, 'no audio device is called "2"'),
        (ALL, "system", 8, '"system" has 2 outputs, stems need 8'),
    ],
)
def test_what_is_wrong_is_said(among: tuple[Device, ...], name: str, channels: int, message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        pick(among, name, channels)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_missing_portaudio_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(DeviceError, match="apt install libportaudio2"):
        PortAudio()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", "could not be asked: exit code -6"),
        ("raise SystemExit('no good')", "could not be asked: no good"),
        ("import time; time.sleep(60)", "does not answer"),
    ],
)
def test_a_library_that_crashes_or_hangs_does_not_take_the_engine_along(
    program: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = devices.subprocess.run

    def run_program(command: list[str], **options: object) -> object:
        assert command[1:4] == ["-P", "-m", "resonantgen.realtime.devices"]
        return run([sys.executable, "-c", program], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(devices, "ASK_SECONDS", 0.5 if "sleep" in program else 60)
    monkeypatch.setattr(devices.subprocess, "run", run_program)
    with pytest.raises(DeviceError, match=message):
        devices.list_devices()
