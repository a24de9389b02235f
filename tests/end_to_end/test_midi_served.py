"""A keyboard and a synth at a served engine, through JACK's MIDI: pads and knobs drive it, and its notes come out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import mido
import pytest
import rtmidi

from engine_process import EngineProcess, engine_process, make_project, needs_linux, wait_for
from jack_server import JackServer, needs_jack
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

pytestmark = [
    needs_linux,
    needs_jack,
    pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="the engine would open its ports at ALSA"),
]

CHANNELS = {Role.DRUMS: 10, Role.BASS: 1, Role.HARMONY: 2, Role.MELODY: 3}
PADS = 10  # their channel


class Studio:
    """A served engine with a keyboard that plays to it and a synth that it plays to."""

    def __init__(self, engine: EngineProcess, synth: Any) -> None:
        self.engine = engine
        self._synth = synth
        ports = mido.Backend("mido.backends.rtmidi/UNIX_JACK")
        name = next(name for name in ports.get_output_names() if name.startswith("ResonantGen"))
        self.keyboard = ports.open_output(name)
        self._heard: dict[int, list[tuple[int, int]]] = {channel: [] for channel in CHANNELS.values()}

    def knob(self, number: int, value: int) -> None:
        self.keyboard.send(mido.Message("control_change", control=number, value=value))

    def pad(self, note: int) -> None:
        self.keyboard.send(mido.Message("note_on", channel=PADS - 1, note=note, velocity=100))
        self.keyboard.send(mido.Message("note_off", channel=PADS - 1, note=note))

    def heard(self, role: Role) -> list[tuple[int, int]]:
        """Pitch and velocity of the notes that have begun at the synth, in order."""
        while (event := self._synth.get_message()) is not None:
            status, *data = event[0]
            if status & 0xF0 == 0x90:
                self._heard[(status & 0x0F) + 1].append(tuple(data))
        return self._heard[CHANNELS[role]]

    def take(self, role: Role) -> str:
        return str(self.engine.state[f"track/{role.value}/take"])

    def takes(self) -> dict[Role, str]:
        return {role: self.take(role) for role in Role}

    def written(self, role: Role) -> list[tuple[int, int]]:
        """Pitch and velocity of the notes of the take that plays, in order."""
        with Session.open(self.engine.project, readonly=True) as session:
            return [(note.pitch, note.velocity) for note in session.playing[role].score.notes]

    def wait_until_it_is_heard(self, role: Role) -> None:
        """Until the last two loops' worth of notes on the track's channel is its take, gone round."""
        notes = self.written(role)
        count = 2 * len(notes)
        rounds = [list(islice(cycle(notes), start, start + count)) for start in range(len(notes))]
        wait_for(f"the {role}'s notes", lambda: self.heard(role)[-count:] in rounds)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    project = make_project(tmp_path_factory.mktemp("midi") / "night.rg")
    server = JackServer(waits=False)  # one that waited for slow clients would not survive their end
    with server, pytest.MonkeyPatch.context() as patch:
        server.serve(patch)
        synth = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, "Synth", queue_size_limit=100_000)
        synth.open_virtual_port("in")
        options = ("--midi-in", "default", "--midi-out", "Synth")
        try:
            with engine_process(project, *options, environment=server.environment) as engine:
                studio = Studio(engine, synth)
                with studio.keyboard:

                    def connected() -> bool:  # JACK carries nothing until some time after ports are connected
                        studio.knob(16, 0)
                        return bool(engine.state["track/drums/gain"] == -60)

                    wait_for("the keyboard to be heard", connected)
                    yield studio
                assert engine.end() == 0
                assert engine.errors == ""
        finally:
            synth.close_port()
            synth.delete()


def test_the_notes_of_each_track_come_out_on_its_channel(studio: Studio) -> None:
    for role in Role:
        studio.wait_until_it_is_heard(role)


def test_a_pad_regenerates_the_bass_and_the_synth_plays_it(studio: Studio) -> None:
    before = studio.takes()
    studio.pad(37)
    wait_for("another bass", lambda: studio.take(Role.BASS) != before[Role.BASS])
    assert studio.takes() == {**before, Role.BASS: studio.take(Role.BASS)}
    studio.wait_until_it_is_heard(Role.BASS)


def test_what_a_pad_has_locked_no_pad_changes(studio: Studio) -> None:
    before = studio.takes()
    studio.pad(40)
    wait_for("the lock", lambda: studio.engine.state["track/drums/lock"])
    studio.pad(48)
    wait_for("other tracks", lambda: all(studio.take(role) != before[role] for role in Role if role != Role.DRUMS))
    assert studio.take(Role.DRUMS) == before[Role.DRUMS]
    studio.pad(40)
    wait_for("it to be free", lambda: not studio.engine.state["track/drums/lock"])


def test_knobs_and_programs_change_what_is_made(studio: Studio) -> None:
    studio.knob(21, 127)
    wait_for("a dense bass", lambda: studio.engine.state["track/bass/density"] == 1)
    studio.keyboard.send(mido.Message("program_change", program=0))
    wait_for("another style", lambda: studio.engine.state["style"] == "house")
    studio.wait_until_it_is_heard(Role.BASS)
