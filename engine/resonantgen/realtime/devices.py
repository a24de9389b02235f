"""Audio output devices: listing them and choosing one.

PortAudio sees the devices that there were when it was initialised, opens a JACK client for as long as it lives, and may
hang when a sound server dies. So the engine never loads it: `list_devices`, `choose_device` and `supported_rate` ask a
process that ends again (any thread may call them; each takes some tenths of a second). The audio process itself, and
that short-lived one, use `PortAudio` directly.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from resonantgen.errors import DeviceError, quoted

CLIENT_NAME = b"resonantgen"  # what JACK shows; PortAudio keeps the pointer, so this must live as long as the process
ASK_SECONDS = 20
COMMON_RATES = (48_000, 44_100, 96_000, 88_200, 192_000)


@dataclass(frozen=True, slots=True)
class Device:
    """An audio device that has outputs."""

    index: int  # of PortAudio; may change when devices come and go
    name: str
    system: str  # PortAudio's host API: "ALSA", "JACK Audio Connection Kit", "Core Audio", …
    channels: int
    sample_rate: int  # what it runs at if it is not asked for another
    default: bool

    @property
    def label(self) -> str:
        """Names it among all devices, also after others came and went: `pick` understands it."""
        return f"{self.name}, {self.system}"


def list_devices() -> tuple[Device, ...]:
    """All audio devices with outputs, as of now. DeviceError if PortAudio is not there or does not answer."""
    return tuple(Device(**entry) for entry in _ask("list"))


def choose_device(name: str = "", channels: int = 2) -> Device:
    """The device of that name (see `pick`). DeviceError says why there is none, or that it has too few outputs."""
    return pick(list_devices(), name, channels)


def supported_rate(device: Device, wanted: int, channels: int = 2) -> int:
    """`wanted` if the device can run at that sample rate, else the one that it does run at. Raises DeviceError.

    JACK, for one, runs at its own rate only.
    """
    rate: int = _ask("rate", device.label, str(wanted), str(channels))
    return rate


def pick(devices: Sequence[Device], name: str, channels: int) -> Device:
    """The default device for "", else by index, by name or by a part of it, in any case. Raises DeviceError."""
    if not devices:
        raise DeviceError("no audio device has outputs; connect one, start JACK or PipeWire, or use --audio none")
    device = _find(devices, name.strip())
    if device is None:
        names = ", ".join(quoted(each.name) for each in devices[:8])
        raise DeviceError(f"no audio device is called {quoted(name)}; there is {names}")
    if device.channels < channels:
        need = "stems need" if channels > 2 else "playing needs"
        outputs = "1 output" if device.channels == 1 else f"{device.channels} outputs"
        raise DeviceError(f"{quoted(device.name)} has {outputs}, {need} {channels}")
    return device


def _find(devices: Sequence[Device], name: str) -> Device | None:
    if not name:
        return next((device for device in devices if device.default), devices[0])
    if name.isdecimal():
        return next((device for device in devices if device.index == int(name)), None)
    wanted = name.casefold()
    exact = (device for device in devices if wanted in (device.name.casefold(), device.label.casefold()))
    parts = (device for device in devices if wanted in device.label.casefold())
    return next(exact, None) or next(parts, None)


class PortAudio:
    """PortAudio, initialised anew so that it sees what is there now. For processes that may die of it."""

    def __init__(self) -> None:
        """DeviceError if it is not installed or does not start."""
        try:
            import sounddevice
        except OSError as error:
            raise DeviceError("PortAudio is not installed: apt install libportaudio2") from error
        self.module: Any = sounddevice
        library = ctypes.CDLL(sounddevice._libname)
        try:
            sounddevice._terminate()
            with contextlib.suppress(AttributeError):  # built without JACK
                library.PaJack_SetClientName(CLIENT_NAME)
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise DeviceError(f"PortAudio does not start: {error}") from error

    def devices(self) -> list[Device]:
        """All devices with outputs. The default is JACK's where a JACK server runs, else PortAudio's own."""
        systems = self.module.query_hostapis()
        jack = [system["default_output_device"] for system in systems if system["name"].startswith("JACK")]
        default = next((index for index in jack if index >= 0), int(self.module.default.device[1]))
        return [
            Device(
                index=entry["index"],
                name=" ".join(entry["name"].split()),
                system=systems[entry["hostapi"]]["name"],
                channels=entry["max_output_channels"],
                sample_rate=round(entry["default_samplerate"]),
                default=entry["index"] == default,
            )
            for entry in self.module.query_devices()
            if entry["max_output_channels"] > 0
        ]

    def rate(self, device: Device, wanted: int, channels: int) -> int:
        """See `supported_rate`."""
        for rate in dict.fromkeys((wanted, device.sample_rate, *COMMON_RATES)):
            with contextlib.suppress(self.module.PortAudioError):
                self.module.check_output_settings(device.index, channels, "float32", samplerate=rate)
                return rate
        raise DeviceError(f"{quoted(device.name)} takes no sample rate that ResonantGen knows; is it in use?")


def answer(question: str, *arguments: str) -> object:
    """What the short-lived process answers: plain values."""
    portaudio = PortAudio()
    devices = portaudio.devices()
    if question == "list":
        return [asdict(device) for device in devices]
    label, wanted, channels = arguments
    return portaudio.rate(pick(devices, label, int(channels)), int(wanted), int(channels))


def _ask(*arguments: str) -> Any:
    """What a fresh process says. DeviceError with its message, or if it crashes or hangs."""
    command = [sys.executable, "-P", "-m", "resonantgen.realtime.devices", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_SECONDS, check=False, text=True
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError("PortAudio does not answer; is a sound server hanging?") from error
    try:
        reply = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"PortAudio could not be asked: {last}") from error
    if "error" in reply:
        raise DeviceError(reply["error"])
    return reply["answer"]


def main(arguments: Sequence[str]) -> None:
    """Print the answer to a question as a line of JSON."""
    try:
        reply = {"answer": answer(*arguments)}
    except DeviceError as error:
        reply = {"error": str(error)}
    print(json.dumps(reply))


if __name__ == "__main__":
    main(sys.argv[1:])
