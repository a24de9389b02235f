"""What `resonantgen serve` was asked to do, as one value. Nothing here opens anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from resonantgen_bridge.addresses import LOOPBACK
from resonantgen_bridge.protocol import OSC_PORT, PLUGIN_PORT, ZMQ_COMMANDS_PORT, ZMQ_EVENTS_PORT

DEFAULT_DEVICE: Final = "default"  # the engine's choice, such as the system's default output
NO_DEVICE: Final = "none"


class Arm(StrEnum):
    """What arming a DAW's track for recording does to ours."""

    LOCK = "lock"  # arming freezes it, disarming frees it
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Peer:
    """Where another program listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve a project. A port of 0 is any free one.

    Devices and MIDI ports are names, or parts of them, or DEFAULT_DEVICE or NO_DEVICE.
    """

    project: Path  # made if it is not there
    prompt: str = ""  # generated if the project holds no music yet
    # -- sound --
    audio: str = DEFAULT_DEVICE
    stems: bool = False  # two channels for each track instead of one mix
    sample_rate: int | None = None  # None: the project's, or that of a new one
    block_frames: int = 0  # 0: the device's choice
    latency_ms: float | None = None  # how far ahead of the sound is mixed; None: the engine's choice
    play: bool = True  # start playing
    auto_bars: int = 0  # regenerate the unlocked tracks every so many bars; 0: never
    # -- addresses --
    zmq_port: int = ZMQ_COMMANDS_PORT
    events_port: int = ZMQ_EVENTS_PORT
    osc_port: int = OSC_PORT
    osc_listen: str = LOOPBACK  # the address that OSC is received at; "0.0.0.0": from every network
    plugin_port: int = PLUGIN_PORT  # for the plugin in DAWs, on loopback
    listen: str = LOOPBACK  # the same for ZeroMQ; others than loopback need `keys`
    keys: Path | None = None  # the folder with the server's CURVE keys
    # -- what it works with --
    midi_in: str = DEFAULT_DEVICE
    midi_out: str = NO_DEVICE  # where the tracks' notes go
    midi_map: Path | None = None  # None: the mapping that comes with ResonantGen, and what was learned
    midi_clock: bool = False  # follow the clock that arrives at midi_in
    link: bool = False  # Ableton Link
    reaper: Peer | None = None  # where REAPER's OSC device listens
    ableton: bool = False  # talk to AbletonOSC on its own ports
    ardour: Peer | None = None  # where Ardour's OSC surface listens
    follow: bool = True  # the plugin's host sets tempo, meter, play and position
    arm: Arm = Arm.LOCK
    arm_back: bool = False  # a lock that was made elsewhere arms the track in REAPER, Live (by our script) or Ardour
    # -- what it keeps --
    journal: Path | None = None  # a file for every command that was applied, one JSON document a line
