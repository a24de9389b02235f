"""MIDI through a real MIDI system: a private JACK server, with virtual ports as keyboard, clock and synth."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import mido
import pytest
import rtmidi

from bridge_fakes import FakeEngine
from resonantgen.errors import DeviceError, ResonantGenError
from resonantgen.music.notes import Note, Role
from resonantgen_bridge import midi_ports
from resonantgen_bridge.calls import Call
from resonantgen_bridge.midi_in import MidiIn
from resonantgen_bridge.midi_map import load_learned, load_named_map
from resonantgen_bridge.midi_out import MidiOut
from resonantgen_bridge.midi_ports import MidiPort, find_port, list_ports

TIMEOUT_SECONDS = 30.0
BACKEND = "mido.backends.rtmidi/UNIX_JACK"


@pytest.fixture
def jack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A JACK server of this test's own, for this process and its MIDI.

    Not the one of `jack_server.py`: that waits for slow clients, and so for each that goes. A period has room for
    about a hundred messages.
    """
    if shutil.which("jackd") is None:
        pytest.skip("needs jackd (Debian: jackd2)")
    name = f"rg-midi-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    monkeypatch.setattr(rtmidi, "get_compiled_api", lambda: [rtmidi.API_UNIX_JACK])
    command = ["jackd", "-n", name, "-r", "-t", "5000", "-d", "dummy", "-r", "48000", "-p", "512"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while True:
                try:
                    list_ports()
                    break
                except DeviceError:
                    assert time.monotonic() < deadline and server.poll() is None, "jackd does not start"
                    time.sleep(0.1)
            yield
        finally:
            server.terminate()


def own_port(kind: str) -> str:
    """The name under which others see the engine's port."""
    backend = mido.Backend(BACKEND)
    names = backend.get_output_names() if kind == "in" else backend.get_input_names()
    return next(name for name in names if name.startswith("ResonantGen") and name.endswith(f":{kind}"))


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def sent_until(send: Callable[[], None], arrived: Callable[[], bool]) -> None:
    """Send until it arrives: JACK's connections carry nothing until some time after they are made."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not arrived():
        assert time.monotonic() < deadline
        send()
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)  # what was sent once too often arrives


def test_a_keyboard_locks_and_moves_and_teaches(jack: None, tmp_path: Path) -> None:
    async def main() -> None:
        engine, problems = FakeEngine(), []
        midi = MidiIn(engine, load_named_map(), problems.append, learned=tmp_path / "midi.toml")
        midi.open()
        assert midi.port == "ResonantGen"
        with mido.Backend(BACKEND).open_output(own_port("in")) as keyboard:

            def press(note: int) -> None:
                keyboard.send(mido.Message("note_on", channel=9, note=note, velocity=100))
                keyboard.send(mido.Message("note_off", channel=9, note=note))

            knock = mido.Message("control_change", control=75, value=64)
            await sent_until(lambda: keyboard.send(knock), lambda: bool(engine.calls))
            engine.calls.clear()

            press(40)
            await until(lambda: bool(engine.state["track/drums/lock"]))
            press(40)
            await until(lambda: not engine.state["track/drums/lock"])
            keyboard.send(mido.Message("control_change", control=71, value=127))
            await until(lambda: engine.state["density"] == 1.0)
            keyboard.send(mido.Message("program_change", program=1))
            await until(lambda: engine.state["style"] == "techno")
            done = [call.command for call in engine.calls if call.arguments.get("attribute") != "aggression"]
            assert done == ["lock", "lock", "adjust", "style"]

            learning = asyncio.create_task(midi.learn("mute bass", 60))
            await asyncio.sleep(0)
            press(99)
            assert await learning == "note 99 on channel 10"
            press(99)
            await until(lambda: bool(engine.state["track/bass/mute"]))
            assert len(load_learned(tmp_path / "midi.toml").bindings) == 1

            keyboard.send(mido.Message("sysex", data=[1, 2, 3]))
            keyboard.send(mido.Message("pitchwheel", pitch=100))
            for value in [random.Random(1).randrange(128) for _ in range(500)]:
                keyboard.send(mido.Message("control_change", control=73, value=value))
            # JACK drops what a period has no room for, so the last one is sent until it has arrived.
            last = mido.Message("control_change", control=73, value=0)
            await sent_until(lambda: keyboard.send(last), lambda: engine.state["space"] == -1.0)
        assert problems == []
        await midi.close()

    asyncio.run(main())


def test_a_clock_sets_tempo_and_starts_and_stops(jack: None) -> None:
    async def main() -> None:
        engine, problems = FakeEngine(), []
        midi = MidiIn(engine, load_named_map(), problems.append, follow_clock=True)
        midi.open()
        going = threading.Event()
        with mido.Backend(BACKEND).open_output(own_port("in")) as master:

            def ticks() -> None:
                at = time.monotonic()
                while not going.is_set():
                    master.send(mido.Message("clock"))
                    at += 60 / (24 * 150)
                    time.sleep(max(0.0, at - time.monotonic()))

            thread = threading.Thread(target=ticks)
            thread.start()
            try:
                # How exact it is, is for the unit tests: here the master's own timing depends on the machine.
                await until(lambda: abs(engine.state["tempo"] - 150) < 10)
                master.send(mido.Message("start"))
                await until(lambda: bool(engine.state["play"]) and len(engine.aligned) >= 3)
                master.send(mido.Message("stop"))
                await until(lambda: not engine.state["play"])
            finally:
                going.set()
                thread.join()
        others = [call for call in engine.calls if call.command != "tempo"]
        assert others == [
            Call("seek", {"bar": 1, "beat": 1.0}),
            Call("play", {"on": True}),
            Call("play", {"on": False}),
        ]
        assert [quarters for quarters, _ in engine.aligned[:3]] == [0.0, 1.0, 2.0]
        assert problems == []
        await midi.close()

    asyncio.run(main())


class Synth:
    """Collects what arrives at a virtual port."""

    def __init__(self) -> None:
        self._heard: list[tuple[int, ...]] = []
        self.port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, "Synth", queue_size_limit=100_000)

    @property
    def heard(self) -> list[tuple[int, ...]]:
        """All so far. It is fetched: see `midi_ports.py` for why nothing is called back."""
        while (event := self.port.get_message()) is not None:
            self._heard.append(tuple(event[0]))
        return self._heard

    def close(self) -> None:
        self.port.close_port()
        self.port.delete()


def test_notes_arrive_in_order_and_number(jack: None) -> None:
    problems: list[ResonantGenError] = []
    synth = Synth()
    synth.port.open_virtual_port("in")
    out = MidiOut(problems.append, port="synth:IN")
    out.open()
    assert out.port.startswith("Synth")
    knock = Note(0, 20, 1, 1)
    asyncio.run(
        sent_until(
            lambda: out.schedule(Role.BASS, knock, time.monotonic(), 0.001), lambda: (0x80, 20, 0) in synth.heard
        )
    )
    synth.heard.clear()
    start, expected = time.monotonic() + 0.3, []
    for index in range(200):
        role, pitch = list(Role)[index % 4], 36 + index % 40
        at = start + index * 0.004
        out.schedule(role, Note(0, pitch, 1, 1 + index % 127), at, 0.0015)
        channel = {Role.DRUMS: 9, Role.BASS: 0, Role.HARMONY: 1, Role.MELODY: 2}[role]
        expected += [(0x90 | channel, pitch, 1 + index % 127), (0x80 | channel, pitch, 0)]
    asyncio.run(until(lambda: len(synth.heard) >= len(expected)))
    out.close()

    assert synth.heard[: len(expected)] == expected
    assert problems == []
    synth.close()


def test_a_port_that_goes_is_said_and_used_again_when_it_comes_back(jack: None) -> None:
    problems: list[ResonantGenError] = []
    out = MidiOut(problems.append, port="Synth")
    with pytest.raises(DeviceError, match="There is no MIDI port"):
        out.open()
    assert not out.check() and problems == []

    synth = Synth()
    synth.port.open_virtual_port("in")
    assert out.check() and out.port.startswith("Synth")
    assert not out.check()
    synth.close()
    assert not out.check()
    assert not out.check()
    assert [type(problem) for problem in problems] == [DeviceError] and "has gone" in str(problems[0])
    out.schedule(Role.BASS, Note(0, 40, 1, 1), time.monotonic(), 0.001)  # goes nowhere

    synth = Synth()
    synth.port.open_virtual_port("in")
    assert out.check()
    asyncio.run(
        sent_until(
            lambda: out.schedule(Role.BASS, Note(0, 41, 1, 1), time.monotonic(), 0.001), lambda: bool(synth.heard)
        )
    )
    assert (0x90, 41, 1) in synth.heard
    out.close()
    synth.close()


def test_ports_are_listed_without_our_own(jack: None) -> None:
    synth = Synth()
    synth.port.open_virtual_port("in")
    own = MidiPort("virtual")
    own.open()
    ports = list_ports()

    assert ports.system == "JACK"
    assert ports.outputs == ("Synth:in",)
    assert not [name for name in ports.inputs if "ResonantGen" in name]
    own.close()
    synth.close()


def test_without_any_midi_system_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midi_ports.rtmidi, "get_compiled_api", lambda: [rtmidi.API_RTMIDI_DUMMY + 100])

    async def main() -> None:
        engine, problems = FakeEngine(), []
        midi = MidiIn(engine, load_named_map(), problems.append)
        with pytest.raises(DeviceError) as error:
            midi.open()
        assert "\n" not in str(error.value) and "MIDI" in str(error.value)
        assert not midi.check() and midi.port == "" and problems == []
        await midi.close()

    asyncio.run(main())
    with pytest.raises(DeviceError):
        list_ports()


def test_ports_are_found_by_name_or_part() -> None:
    names = ("Launchkey Mini:Launchkey Mini MIDI 1 24:0", "Launchkey Mini:Launchkey Mini MIDI 2 24:1", "Synth:in")

    assert find_port("Synth:in", names) == "Synth:in"
    assert find_port("synth", names) == "Synth:in"
    assert find_port("Launchkey Mini:Launchkey Mini MIDI 1 20:0", names) == names[0]  # ALSA's numbers have changed
    assert find_port("midi 2", names) == names[1]
    with pytest.raises(DeviceError, match="any of these"):
        find_port("launchkey", names)
    with pytest.raises(DeviceError, match="There are: "):
        find_port("moog", names)
    with pytest.raises(DeviceError, match="There is none"):
        find_port("moog", ())
