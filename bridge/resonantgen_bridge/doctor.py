"""`resonantgen doctor`: looks at everything that an engine needs, and says what to do about what is wrong.

It only looks: ports are tried and given back, nothing is written. Each check stands alone, so that one that fails in an
unforeseen way is reported like any other problem.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from resonantgen import __version__
from resonantgen.errors import ModelDamaged, ResonantGenError
from resonantgen.generators.registry import NEURAL_PACKAGES
from resonantgen.models.catalog import bytes_text, catalog
from resonantgen.models.folder import free_bytes, installed, is_installed, models_folder
from resonantgen.realtime.devices import list_devices
from resonantgen_bridge.addresses import LOOPBACK
from resonantgen_bridge.protocol import OSC_PORT, PLUGIN_PORT, ZMQ_COMMANDS_PORT, ZMQ_EVENTS_PORT
from resonantgen_bridge.served import holder_of_port

OLDEST_PYTHON = (3, 11)
ENOUGH_CORES = 2


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    NOTE = "note"  # good to know, and no reason to do anything
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""  # what to do

    def document(self) -> dict[str, str]:
        return asdict(self)


def examine(project: Path | None = None) -> Iterator[Check]:
    """Look at one thing after the other."""
    looks: list[tuple[str, Callable[[], Check]]] = [
        ("python", _python),
        ("packages", _packages),
        ("processor", _processor),
        ("synthesis", _synthesis),
        ("commands", lambda: _port("commands", ZMQ_COMMANDS_PORT, socket.SOCK_STREAM, "--zmq-port")),
        ("events", lambda: _port("events", ZMQ_EVENTS_PORT, socket.SOCK_STREAM, "--events-port")),
        ("osc", lambda: _port("osc", OSC_PORT, socket.SOCK_DGRAM, "--osc-port")),
        ("plugin", lambda: _port("plugin", PLUGIN_PORT, socket.SOCK_STREAM, "--plugin-port")),
        ("audio", _audio),
        ("midi", _midi),
        ("jack", _jack),
        ("link", _link),
        ("neural", _neural),
        ("models", _models),
        ("settings", _settings),
    ]
    if project is not None:
        looks.append(("project", lambda: _project(project)))
    for name, look in looks:
        try:
            check = look()
        except Exception as error:  # whatever it is, the other checks go on
            check = Check(name, Verdict.PROBLEM, f"{type(error).__name__}: {error}", "Please report this.")
        yield check


def find_devices() -> dict[str, Any]:
    """Audio outputs and MIDI ports; a part that cannot be looked at is empty, and `problems` says why."""
    found: dict[str, Any] = {"audio": [], "midi_in": [], "midi_out": [], "problems": []}
    try:
        found["audio"] = _audio_devices()
    except ResonantGenError as error:
        found["problems"].append(str(error))
    try:
        found["midi_in"], found["midi_out"] = _midi_ports()
    except ResonantGenError as error:
        found["problems"].append(str(error))
    return found


# -- one look each ----------------------------------------------------------------------------------------------------


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", Verdict.PROBLEM, found, "Install Python 3.11 or newer.")
    return Check("python", Verdict.OK, found)


def _packages() -> Check:
    versions, missing = [], []
    for requirement in metadata.requires("resonantgen") or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        advice = "Install again: pip install --upgrade resonantgen"
        return Check("packages", Verdict.PROBLEM, f"missing: {', '.join(missing)}", advice)
    return Check("packages", Verdict.OK, f"resonantgen {__version__}, {', '.join(versions)}")


def _processor() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = "one core" if cores == 1 else f"{cores} cores"
    if cores < ENOUGH_CORES:
        return Check("processor", Verdict.NOTE, found, "If sound breaks up while music is made: serve --latency 300")
    return Check("processor", Verdict.OK, found)


def _synthesis() -> Check:
    from resonantgen.instruments.jit import compiled_before  # imported here: it loads numba

    if compiled_before():
        return Check("synthesis", Verdict.OK, "compiled for this processor")
    return Check("synthesis", Verdict.NOTE, "not compiled yet", "The first sound will take about 20 s longer, once.")


def _port(name: str, port: int, kind: socket.SocketKind, option: str) -> Check:
    with closing(socket.socket(socket.AF_INET, kind)) as trial:
        if kind is socket.SOCK_STREAM and os.name == "posix":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just given back is free
        try:
            trial.bind((LOOPBACK, port))
        except OSError as error:
            holder = holder_of_port(port)
            if holder.startswith("another ResonantGen"):
                return Check(name, Verdict.NOTE, f"port {port} is taken by {holder}", f"To run two: serve {option} 0")
            reason = f"port {port} cannot be had: {error.strerror}"
            return Check(name, Verdict.PROBLEM, reason, f"Stop the program that has it, or use: serve {option} 0")
    return Check(name, Verdict.OK, f"port {port} is free")


def _audio() -> Check:
    try:
        devices = _audio_devices()
    except ResonantGenError as error:
        return Check("audio", Verdict.PROBLEM, str(error), "Without sound: serve --audio none")
    if not devices:
        advice = "Connect one, or start JACK or PipeWire. Without sound: serve --audio none"
        return Check("audio", Verdict.PROBLEM, "no device has outputs", advice)
    default = next((device for device in devices if device["default"]), devices[0])
    found = f"{default['name']} ({default['system']}), {default['sample_rate']} Hz; devices: {len(devices)}"
    return Check("audio", Verdict.OK, found)


def _midi() -> Check:
    try:
        inputs, outputs = _midi_ports()
    except ResonantGenError as error:
        return Check("midi", Verdict.NOTE, str(error), "All else works without MIDI.")
    if not inputs and not outputs:
        return Check("midi", Verdict.NOTE, "no ports", "Connect a keyboard or controller to use one.")
    return Check("midi", Verdict.OK, f"in: {', '.join(inputs) or 'none'}; out: {', '.join(outputs) or 'none'}")


def _jack() -> Check:
    program = next((name for name in ("jackd", "pw-jack") if shutil.which(name)), None)
    return Check("jack", Verdict.OK, f"{program} is installed" if program else "not installed, and not needed")


def _link() -> Check:
    if find_spec("aalink") is None:
        return Check("link", Verdict.OK, "not installed, and only needed for serve --link")
    return Check("link", Verdict.OK, f"aalink {metadata.version('aalink')}")


def _neural() -> Check:
    """What generators of sound run on. torch is not asked: to import it takes seconds."""
    missing = [package for package in NEURAL_PACKAGES if find_spec(package) is None]
    if missing:
        found = f"not installed, and only needed for tracks of sound: {', '.join(missing)}"
        return Check("neural", Verdict.NOTE, found, "To have them: pip install 'resonantgen[musicgen]'")
    asked = os.environ.get("RESONANTGEN_DEVICE") or "auto"
    device = "a GPU if there is one" if asked == "auto" else f"{asked}, as RESONANTGEN_DEVICE says"
    return Check("neural", Verdict.OK, f"torch {metadata.version('torch')}; plays on {device}")


def _models() -> Check:
    """Those that are here, whole, and room for more."""
    root = models_folder()
    there, damaged = [], []
    for name, info in catalog().items():
        try:
            if is_installed(name):
                installed(name)
                there += [] if info.is_shipped else [name]
        except ModelDamaged as error:
            damaged.append(str(error))
    if damaged:
        return Check("models", Verdict.PROBLEM, damaged[0], f"See: resonantgen models verify; they lie in {root}")
    room = f"{bytes_text(free_bytes(nearest_folder(root)))} free in {root}"
    if not there:
        return Check("models", Verdict.NOTE, f"none; {room}", "For tracks of sound: resonantgen models list")
    return Check("models", Verdict.OK, f"{', '.join(there)}; {room}")


def _settings() -> Check:
    folder = Path(click.get_app_dir("resonantgen"))
    there = nearest_folder(folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Check("settings", Verdict.OK, str(folder))
    return Check(
        "settings", Verdict.PROBLEM, f"{folder} cannot be written", f"Make {there} a folder that you may write."
    )


def nearest_folder(path: Path) -> Path:
    """Of a folder that need not be there and those around it, the first that is."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _project(path: Path) -> Check:
    """Whether it can be read, every stem that plays included."""
    from resonantgen.session.session import Session

    try:
        with Session.open(path, readonly=True) as session:
            takes = session.playing.values()
            for take in takes:
                session.wav(take)
            found = f"{path} is whole: tracks: {len(takes)}"
    except ResonantGenError as error:
        return Check("project", Verdict.PROBLEM, str(error))
    return Check("project", Verdict.OK, found)


# -- devices ----------------------------------------------------------------------------------------------------------


def _audio_devices() -> list[dict[str, Any]]:
    """The outputs, as plain values: another process asks PortAudio. Raises DeviceError."""
    return [asdict(device) for device in list_devices()]


def _midi_ports() -> tuple[list[str], list[str]]:
    """Inputs and outputs. Raises DeviceError."""
    from resonantgen_bridge.midi_ports import list_ports  # imported here: it loads RtMidi

    ports = list_ports()
    return list(ports.inputs), list(ports.outputs)
