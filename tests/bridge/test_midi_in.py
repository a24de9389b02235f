"""Messages become commands: presses, knobs, programs, learning, the clock, floods and garbage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge_fakes import FakeEngine
from resonantgen.errors import BadValue, Cancelled, DeviceError, PresetError, ResonantGenError, StorageError
from resonantgen_bridge import midi_in
from resonantgen_bridge.calls import Call
from resonantgen_bridge.midi_in import MidiIn
from resonantgen_bridge.midi_map import MidiMap, Source, Trigger, load_learned, load_named_map

PAD = 0x99  # a note on channel 10
KNOB = 0xB0  # a controller on channel 1
PROGRAM = 0xC0


class FakePort:
    """A port that is open and to which nothing is connected."""

    def __init__(self, name: str, receive: object) -> None:
        self.name = "FakePort"
        self.outcome: DeviceError | bool = False

    def open(self) -> None:
        pass

    def check(self) -> DeviceError | bool:
        return self.outcome

    def close(self) -> None:
        self.name = ""


class Rig:
    """MIDI in on a fake engine, without any MIDI system."""

    def __init__(self, learned: Path | None = None, mapping: MidiMap | None = None, clock: bool = False) -> None:
        self.engine = FakeEngine()
        self.problems: list[ResonantGenError] = []
        self.midi = MidiIn(
            self.engine, mapping or load_named_map(), self.problems.append, learned=learned, follow_clock=clock
        )

    async def send_one(self, message: list[int]) -> list[Call]:
        """As `send`, in fewer turns of the loop."""
        before = len(self.engine.calls)
        self.midi.handle(message, 0.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.engine.calls[before:]

    async def send(self, *messages: list[int]) -> list[Call]:
        """Handle them, and give the calls that came of it."""
        before = len(self.engine.calls)
        for message in messages:
            self.midi.handle(message, 0.0)
        await settle()
        return self.engine.calls[before:]


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def rig(
    monkeypatch: pytest.MonkeyPatch, learned: Path | None = None, mapping: MidiMap | None = None, clock: bool = False
) -> AsyncIterator[Rig]:
    monkeypatch.setattr(midi_in, "MidiPort", FakePort)
    made = Rig(learned, mapping, clock)
    made.midi.open()
    try:
        yield made
    finally:
        await made.midi.close()


Case = Callable[[Rig], Awaitable[None]]


def play(monkeypatch: pytest.MonkeyPatch, case: Case, **options: object) -> None:
    async def main() -> None:
        async with rig(monkeypatch, **options) as made:  # type: ignore[arg-type]
            await case(made)

    asyncio.run(main())


def test_pads_regenerate_and_toggle_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        arguments = {"prompt": "", "track": "bass", "seed": None, "generators": None}
        assert await r.send([PAD, 37, 100]) == [Call("regenerate", arguments)]
        assert await r.send([PAD, 40, 1]) == [Call("lock", {"track": "drums", "locked": True})]
        assert await r.send([PAD, 40, 1]) == [Call("lock", {"track": "drums", "locked": False})]
        assert r.engine.clients == ["midi"] * 3

    play(monkeypatch, case)


def test_two_quick_presses_toggle_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        calls = await r.send([PAD, 40, 100], [PAD, 40, 100], [PAD, 40, 100])
        assert [call.arguments["locked"] for call in calls] == [True, False, True]

    play(monkeypatch, case)


def test_releases_and_unbound_messages_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        assert (
            await r.send([PAD, 37, 0], [0x89, 37, 64], [0x90, 37, 100], [PAD, 127, 9], [0xE0, 1, 2], [0xB0, 7, 3]) == []
        )

    play(monkeypatch, case)


def test_knobs_move_attributes_and_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        assert await r.send([KNOB, 71, 127]) == [Call("adjust", {"attribute": "density", "value": 1.0, "track": None})]
        assert await r.send([KNOB + 5, 21, 64]) == [
            Call("adjust", {"attribute": "density", "value": 0.0, "track": "bass"})
        ]
        assert await r.send([KNOB, 17, 100]) == [Call("gain", {"track": "bass", "gain": 0.0})]

    play(monkeypatch, case)


def test_programs_pick_styles_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        assert await r.send([PROGRAM, 1]) == [Call("style", {"style": "techno"})]
        assert await r.send([PROGRAM + 3, 0]) == [Call("style", {"style": "house"})]
        assert await r.send([PROGRAM, 99]) == []

    play(monkeypatch, case)


def test_of_a_flood_the_latest_value_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        r.engine.hold("adjust")
        assert len(await r.send([KNOB, 71, 0])) == 1
        assert await r.send(*([KNOB, 71, value] for value in range(128))) == []
        assert len(await r.send([KNOB, 17, 100])) == 1  # another knob does not wait
        r.engine.release("adjust")
        await settle()
        assert [c.arguments["value"] for c in r.engine.calls if c.command == "adjust"] == [-1.0, 1.0]

    play(monkeypatch, case)


def test_buttons_act_when_pressed_and_latching_ones_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(
        '[[control]]\ncontrol = 1\naction = "lock bass"\n'
        '[[control]]\ncontrol = 2\naction = "lock bass"\nlatching = true\n'
        '[[control]]\ncontrol = 3\naction = "undo"\n'
    )

    async def case(r: Rig) -> None:
        calls = await r.send(*([KNOB, 1, value] for value in (127, 127, 0, 127, 64, 63, 0)))
        assert [call.arguments["locked"] for call in calls] == [True, False]
        for value, on in ((127, True), (0, False)):
            assert await r.send([KNOB, 2, value]) == [Call("lock", {"track": "bass", "locked": on})]
        assert await r.send([KNOB, 3, 127], [KNOB, 3, 0]) == [Call("undo", {"track": None})]

    play(monkeypatch, case, mapping=load_named_map(path))


def test_errors_of_commands_are_reported_and_nothing_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        error = BadValue("no")
        r.engine.answers["lock"] = error
        await r.send([PAD, 40, 100])
        assert r.problems == [error]
        assert len(await r.send([PAD, 40, 100])) == 1

    play(monkeypatch, case)


def test_the_next_message_is_bound_kept_and_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "midi.toml"

    async def case(r: Rig) -> None:
        learning = asyncio.create_task(r.midi.learn("mute melody", 60))
        await settle()
        assert await r.send([PAD, 36, 100]) == []
        assert await learning == 'note 36 on channel 10, instead of "regenerate drums"'
        assert await r.send([PAD, 36, 100]) == [Call("mute", {"track": "melody", "on": True})]
        assert list(load_learned(path).bindings) == [Trigger(Source.NOTE, 36, 10)]

        learning = asyncio.create_task(r.midi.learn("undo", 60))
        await settle()
        await r.send([PAD, 36, 100])
        assert await learning == 'note 36 on channel 10, instead of "mute melody"'

    play(monkeypatch, case, learned=path)

    async def later(r: Rig) -> None:
        assert await r.send([PAD, 36, 100]) == [Call("undo", {"track": None})]

    play(monkeypatch, later, learned=path)


def test_only_knobs_are_learned_for_what_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        learning = asyncio.create_task(r.midi.learn("density bass", 60))
        await settle()
        assert len(await r.send([PAD, 40, 100])) == 1  # does what it did
        assert await r.send([KNOB + 2, 99, 1]) == []
        assert await learning == "control 99 on channel 3"
        assert len(await r.send([KNOB + 2, 99, 64], [KNOB, 99, 64])) == 1

    play(monkeypatch, case)


def test_any_program_chooses_a_style_once_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        learning = asyncio.create_task(r.midi.learn("style", 60))
        await settle()
        await r.send([PROGRAM + 1, 7])
        assert await learning == "program change on channel 2"
        assert await r.send([PROGRAM + 1, 2]) == [Call("style", {"style": "trance"})]

    play(monkeypatch, case)


def test_learning_ends_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        with pytest.raises(Cancelled, match="controller"):
            await r.midi.learn("gain 1", 0.01)
        with pytest.raises(BadValue):
            await r.midi.learn("dance", 60)
        first = asyncio.create_task(r.midi.learn("undo", 60))
        await settle()
        second = asyncio.create_task(r.midi.learn("redo", 60))
        await settle()
        with pytest.raises(Cancelled, match="instead"):
            await first
        await r.midi.close()
        with pytest.raises(Cancelled, match="closed"):
            await second
        with pytest.raises(DeviceError):
            await r.midi.learn("undo", 60)
        assert await r.send([PAD, 40, 0]) == []

    play(monkeypatch, case)


def test_what_cannot_be_kept_is_said_and_bound_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def case(r: Rig) -> None:
        learning = asyncio.create_task(r.midi.learn("undo", 60))
        await settle()
        await r.send([PAD, 99, 100])
        with pytest.raises(StorageError):
            await learning
        assert await r.send([PAD, 99, 100]) == [Call("undo", {"track": None})]

    play(monkeypatch, case, learned=tmp_path / "file" / "midi.toml")


def test_a_damaged_file_is_reported_and_the_mapping_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "midi.toml"
    path.write_text("]")

    async def case(r: Rig) -> None:
        assert [type(problem) for problem in r.problems] == [PresetError]
        assert len(await r.send([PAD, 40, 100])) == 1

    play(monkeypatch, case, learned=path)


def test_a_port_that_goes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        port = r.midi._port
        assert isinstance(port, FakePort)
        assert not r.midi.check() and r.problems == []
        port.outcome = DeviceError("gone")
        assert not r.midi.check() and r.problems == [port.outcome]
        port.outcome = True
        assert r.midi.check() and len(r.problems) == 1

    play(monkeypatch, case)


def test_the_clock_drives_tempo_transport_and_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        for index in range(60):
            r.midi.handle([0xF8], index * 60 / (24 * 140))
        await settle()
        assert r.engine.calls == [Call("tempo", {"tempo": 140.0})]
        assert r.midi.clock_bpm == 140

        assert await r.send([0xF2, 22, 0], [0xFB]) == [
            Call("seek", {"bar": 2, "beat": 2.5}),
            Call("play", {"on": True}),
        ]
        assert await r.send([0xF2, 0, 1], [0xFC]) == [
            Call("seek", {"bar": 1, "beat": 1.0}),
            Call("play", {"on": False}),
        ]
        assert await r.send([0xFA]) == [Call("seek", {"bar": 1, "beat": 1.0}), Call("play", {"on": True})]
        at = 60 * 60 / (24 * 140)
        r.midi.handle([0xF8], at)
        assert r.engine.aligned == [(0.0, pytest.approx(at, abs=1e-6))]

    play(monkeypatch, case, clock=True)


def test_without_being_asked_the_clock_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(r: Rig) -> None:
        assert await r.send(*[[0xF8]] * 200, [0xFA], [0xFC], [0xF2, 1, 1], [0xFB]) == []
        assert r.engine.aligned == []

    play(monkeypatch, case)


def bound(message: list[int]) -> bool:
    """Whether a message, by the letter of MIDI, is one that the default mapping binds."""
    if len(message) not in (2, 3) or any(byte > 127 for byte in message[1:]):
        return False
    status, channel = message[0] >> 4, message[0] & 15
    if status == 0x9 and len(message) == 3:
        return channel == 9 and 36 <= message[1] <= 51 and message[2] > 0
    if status == 0xB and len(message) == 3:
        return 70 <= message[1] <= 75 or 16 <= message[1] <= 23
    return status == 0xC and len(message) == 2 and message[1] < 20


@pytest.mark.parametrize("seed", [1, 2])
def test_garbage_does_nothing_but_what_is_bound(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    print(f"seed {seed}")
    dice = random.Random(seed)
    statuses = [0x80, 0x89, 0x90, 0x99, 0xA0, 0xB0, 0xBF, 0xC0, 0xD0, 0xE0, *range(0xF0, 0x100), 0, 127, 128]

    def garbage() -> list[int]:
        head = dice.choice([[dice.choice(statuses)], [dice.choice(statuses)], [dice.randrange(256)], []])
        highest = dice.choice([52, 80, 128, 128, 256])
        return head + [dice.randrange(highest) for _ in range(dice.choice([0, 1, 2, 2, 2, 3, 9]))]

    async def case(r: Rig) -> None:
        executed = 0
        for _ in range(20_000):
            message = garbage()
            calls = await r.send_one(message)
            assert len(calls) == int(bound(message)), message
            executed += len(calls)
        assert executed > 50
        assert r.problems == []
        assert r.engine.aligned == []

    play(monkeypatch, case)
