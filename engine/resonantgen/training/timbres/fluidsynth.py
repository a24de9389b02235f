"""Stems on a soundfont: FluidSynth, run as a program of its own, turns a MIDI file into a sound file."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import mido
import numpy as np
import soundfile

from resonantgen.errors import AudioError, ModelUnusable
from resonantgen.music.midi import DRUM_CHANNEL
from resonantgen.training.corpora.piece import TimedNote
from resonantgen.training.timbres.base import RENDER_RATE, Mono
from resonantgen.training.timbres.general_midi import KITS, PROGRAMS, plain_key

FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts")
TICKS_PER_SECOND = 1920  # 960 a quarter at 120 bpm
LONGEST_RUN_SECONDS = 300.0
VOLUME, REVERB, CHORUS = 7, 91, 93  # MIDI controllers
LEVELS = (100, 70)  # of the first program and the second
GAIN = 0.3  # low enough that a full chord does not clip; the level is set afterwards


@dataclass(frozen=True, slots=True)
class Soundfont:
    """A General MIDI soundfont as Debian packages it."""

    file: str
    package: str
    licence: str

    @property
    def path(self) -> Path:
        """Raises ModelUnusable where it is not installed."""
        for folder in FOLDERS:
            path = Path(folder) / self.file
            if path.is_file():
                return path
        raise ModelUnusable(f"The soundfont {self.file} is not installed. Install it with: apt install {self.package}")


FLUID_R3 = Soundfont("FluidR3_GM.sf2", "fluid-soundfont-gm", "MIT")
MUSESCORE = Soundfont("MuseScore_General.sf3", "musescore-general-soundfont", "MIT")
TIM_GM = Soundfont("TimGM6mb.sf2", "timgm6mb-soundfont", "GPL-2.0")


@cache
def fluidsynth_program() -> str:
    """Raises ModelUnusable where it is not installed."""
    found = shutil.which("fluidsynth")
    if found is None:
        raise ModelUnusable("FluidSynth is not installed. Install it with: apt install fluidsynth")
    return found


@dataclass(frozen=True, slots=True)
class FluidTimbre:
    """One or two programs of a soundfont, the second softer, or a drum kit; with reverb and chorus, 0 to 127."""

    soundfont: Soundfont
    programs: tuple[int, ...]  # of drums: one, the kit
    drums: bool = False
    reverb: int = 0
    chorus: int = 0
    room: float = 0.4  # 0 to 1

    @property
    def name(self) -> str:
        bank = "drums" if self.drums else "program"
        return f"{Path(self.soundfont.file).stem}:{bank} {'+'.join(map(str, self.programs))}"

    @property
    def text(self) -> str:
        names = KITS if self.drums else PROGRAMS
        return " and ".join(names.get(program, "instrument") for program in self.programs)

    @property
    def licence(self) -> str:
        return self.soundfont.licence

    def render(self, notes: Sequence[TimedNote], seconds: float, tempo_bpm: float) -> Mono:
        """Raises ModelUnusable, and AudioError where FluidSynth fails."""
        with tempfile.TemporaryDirectory(prefix="resonantgen-") as folder:
            midi, sound = Path(folder) / "notes.mid", Path(folder) / "sound.wav"
            self._midi(notes, seconds).save(midi)
            options = {
                "synth.cpu-cores": 1,
                "synth.dynamic-sample-loading": 1,  # of a large soundfont only what is played
                "synth.polyphony": 256,
                "synth.reverb.active": int(self.reverb > 0),
                "synth.reverb.room-size": self.room,
                "synth.chorus.active": int(self.chorus > 0),
                "audio.file.type": "wav",
                "audio.file.format": "float",
            }
            command = [fluidsynth_program(), "-ni", "-q", "-g", str(GAIN), "-r", str(RENDER_RATE)]
            command += [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
            command += ["-F", str(sound), str(self.soundfont.path), str(midi)]
            try:
                run = subprocess.run(command, capture_output=True, timeout=LONGEST_RUN_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise AudioError("FluidSynth does not come to an end. Try again, or with another seed.") from None
            said = run.stderr.decode(errors="replace").splitlines()
            errors = [line for line in said if "error:" in line]  # it exits with 0 where a soundfont cannot be read
            if run.returncode != 0 or errors or not sound.is_file():
                what = errors[0].partition("error:")[2].strip() if errors else f"exit code {run.returncode}"
                raise AudioError(f"FluidSynth cannot play on {self.soundfont.path} ({what}).")
            samples = soundfile.read(sound, dtype="float64", always_2d=True)[0].mean(axis=1)
        frames = round(seconds * RENDER_RATE)
        return np.pad(samples[:frames], (0, max(0, frames - len(samples))))

    def _midi(self, notes: Sequence[TimedNote], seconds: float) -> mido.MidiFile:
        file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_SECOND // 2)
        track = mido.MidiTrack()
        file.tracks.append(track)
        for index, program in enumerate(self.programs):
            channel = DRUM_CHANNEL if self.drums else index
            track.append(mido.Message("program_change", channel=channel, program=program))
            for control, value in ((VOLUME, LEVELS[index]), (REVERB, self.reverb), (CHORUS, self.chorus)):
                track.append(mido.Message("control_change", channel=channel, control=control, value=value))
        at = 0
        for tick, starts, channel, key, velocity in sorted(self._events(notes)):
            kind = "note_on" if starts else "note_off"
            track.append(mido.Message(kind, channel=channel, note=key, velocity=velocity, time=tick - at))
            at = tick
        track.append(mido.MetaMessage("end_of_track", time=max(0, round(seconds * TICKS_PER_SECOND) - at)))
        return file

    def _events(self, notes: Sequence[TimedNote]) -> list[tuple[int, bool, int, int, int]]:
        """Tick, whether it starts a note, channel, key and velocity. No key is started again while it sounds."""
        events = []
        for note in _without_overlaps(notes):
            start = round(note.start_seconds * TICKS_PER_SECOND)
            end = max(start + 1, round(note.end_seconds * TICKS_PER_SECOND))
            key = plain_key(note.pitch) if self.drums else note.pitch
            for index in range(len(self.programs)):
                channel = DRUM_CHANNEL if self.drums else index
                events += [(start, True, channel, key, note.velocity), (end, False, channel, key, 64)]
        return events


def _without_overlaps(notes: Sequence[TimedNote]) -> list[TimedNote]:
    """A note ends where the next on its key starts."""
    kept: list[TimedNote] = []
    latest: dict[int, int] = {}
    for note in notes:
        before = latest.get(note.pitch)
        if before is not None and kept[before].end_seconds > note.start_seconds:
            shorter = max(note.start_seconds - kept[before].start_seconds, 1 / TICKS_PER_SECOND)
            kept[before] = replace(kept[before], duration_seconds=shorter)
        latest[note.pitch] = len(kept)
        kept.append(note)
    return kept
