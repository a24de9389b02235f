"""The structure of a patch file, presets/instruments/<role>/<id>.toml: checked ranges, unknown keys are errors.

Times are in seconds; a decay or release is the time in which the level falls by 60 dB. A patch may use any of the sound
sources together: oscillators, operators (FM), a plucked string, a bank of modes, noise.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from resonantgen.errors import BadValue, PresetError
from resonantgen.instruments.effects.inserts import Inserts
from resonantgen.music.notes import Role
from resonantgen.presets import line_of, load_preset, presets_folder

Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Bipolar = Annotated[float, Meta(ge=-1.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0, le=20.0)]
Hertz = Annotated[float, Meta(ge=0.0, le=20_000.0)]
Semitones = Annotated[float, Meta(ge=-48.0, le=48.0)]
Cents = Annotated[float, Meta(ge=-100.0, le=100.0)]
Decibels = Annotated[float, Meta(ge=-60.0, le=60.0)]
Octaves = Annotated[float, Meta(ge=-8.0, le=8.0)]
Ratio = Annotated[float, Meta(ge=0.0, le=32.0)]


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """Attack, decay, sustain, release, all exponential."""

    attack_s: Annotated[float, Meta(ge=0.0005, le=10.0)] = 0.002
    decay_s: Annotated[float, Meta(ge=0.005, le=30.0)] = 1.0
    sustain: Unit = 1.0
    release_s: Annotated[float, Meta(ge=0.01, le=20.0)] = 0.15


class Shape(Struct, frozen=True, forbid_unknown_fields=True):
    """Attack, decay and sustain of one operator; the amplitude's release ends it with the note."""

    attack_s: Annotated[float, Meta(ge=0.0005, le=10.0)] = 0.001
    decay_s: Annotated[float, Meta(ge=0.005, le=30.0)] = 1.0
    sustain: Unit = 1.0


class Oscillator(Struct, frozen=True, forbid_unknown_fields=True):
    """A wave, once or in unison."""

    wave: Literal["sine", "triangle", "saw", "square", "pulse", "harmonics"] = "saw"
    harmonics: list[float] = []  # amplitudes from the first, for the wave "harmonics"
    level: Unit = 1.0
    semitones: Semitones = 0.0
    cents: Cents = 0.0
    unison: Annotated[int, Meta(ge=1, le=9)] = 1
    detune_cents: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.0  # of the outermost, each way
    spread: Unit = 0.0  # of the unison in the stereo field
    phase: Literal["random", "start"] = "random"  # where in the wave a note begins


class Operator(Struct, frozen=True, forbid_unknown_fields=True):
    """A sine in an FM patch. Operators are numbered from 0; `to` names an earlier one, or -1 for the output."""

    ratio: Ratio = 1.0
    offset_hz: Annotated[float, Meta(ge=-50.0, le=50.0)] = 0.0
    level: Annotated[float, Meta(ge=0.0, le=20.0)] = 1.0  # of the output, or the modulation index in radians
    to: Annotated[int, Meta(ge=-1, le=4)] = -1
    feedback: Annotated[float, Meta(ge=0.0, le=3.0)] = 0.0  # radians
    velocity: Unit = 0.0  # how much of the level hangs on velocity
    key_scaling: Annotated[float, Meta(ge=0.0, le=3.0)] = 0.0  # of a modulator: halves it an octave up at 1
    envelope: Shape = Shape()


class String(Struct, frozen=True, forbid_unknown_fields=True):
    """A plucked string."""

    decay_s: Annotated[float, Meta(ge=0.05, le=30.0)] = 4.0  # of the fundamental at middle C; longer below
    treble_s: Annotated[float, Meta(ge=0.02, le=30.0)] = 1.0  # of 4 kHz
    hardness_hz: Annotated[float, Meta(ge=200.0, le=20_000.0)] = (
        5000.0  # up to where the pluck reaches, at velocity 0.8
    )
    position: Annotated[float, Meta(ge=0.02, le=0.5)] = 0.15
    noise: Unit = 0.2
    level: Unit = 1.0


class Modes(Struct, frozen=True, forbid_unknown_fields=True):
    """A bank of decaying partials."""

    ratios: list[Annotated[float, Meta(ge=0.1, le=64.0)]] = []  # none: `count` harmonics, stretched
    levels: list[Unit] = []  # of each ratio
    count: Annotated[int, Meta(ge=1, le=96)] = 32
    stretch: Annotated[float, Meta(ge=0.0, le=0.01)] = 0.0  # inharmonicity of a stiff string at middle C
    decay_s: Annotated[float, Meta(ge=0.02, le=60.0)] = 6.0  # of the fundamental at middle C
    decay_key: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.6  # decay is divided by two to this power an octave up
    decay_slope: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.6  # decay falls with the partial's ratio to this power
    hardness_hz: Annotated[float, Meta(ge=100.0, le=20_000.0)] = 2500.0  # where the hammer's spectrum has fallen to 1/e
    position: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.125  # where it is struck; 0: no comb
    beating_cents: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.0  # detuning of a second, slower-dying set
    level: Unit = 1.0


class Noise(Struct, frozen=True, forbid_unknown_fields=True):
    """Noise through a filter of its own."""

    level: Unit = 0.1
    kind: Literal["lowpass", "bandpass"] = "bandpass"
    hz: Annotated[float, Meta(ge=20.0, le=18_000.0)] = 2000.0  # at middle C
    q: Annotated[float, Meta(ge=0.3, le=50.0)] = 1.0
    key_tracking: Unit = 0.0
    stereo: bool = False
    envelope: Envelope = Envelope(decay_s=0.1, sustain=0.0)


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """The voice's filter."""

    kind: Literal["lowpass12", "lowpass24", "highpass12", "bandpass12", "ladder"] = "lowpass24"
    cutoff_hz: Annotated[float, Meta(ge=20.0, le=20_000.0)] = 2000.0  # at middle C and velocity 0.8
    resonance: Unit = 0.1
    key_tracking: Annotated[float, Meta(ge=0.0, le=1.5)] = 0.3
    envelope_octaves: Octaves = 0.0
    velocity_octaves: Octaves = 1.0  # from silence to full velocity
    envelope: Envelope = Envelope(decay_s=0.6, sustain=0.0, release_s=0.3)


class Pitch(Struct, frozen=True, forbid_unknown_fields=True):
    """Movement of the pitch."""

    semitones: Semitones = 0.0  # transposition
    glide_s: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.0  # between notes that overlap, in mono patches
    sweep_semitones: Semitones = 0.0  # where the pitch starts, relative to the note
    sweep_s: Annotated[float, Meta(ge=0.001, le=2.0)] = 0.05
    vibrato_cents: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.0
    vibrato_hz: Annotated[float, Meta(ge=0.1, le=12.0)] = 5.2
    vibrato_delay_s: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.4
    drift_cents: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0


class Wobble(Struct, frozen=True, forbid_unknown_fields=True):
    """The filter's cutoff moves down and up again in time with the music."""

    beats: Annotated[float, Meta(ge=0.0625, le=64.0)] = 0.5
    octaves: Annotated[float, Meta(ge=0.0, le=8.0)] = 3.0
    shape: Literal["sine", "triangle", "saw"] = "sine"


class Tremolo(Struct, frozen=True, forbid_unknown_fields=True):
    """The level, or the place in the stereo field, swings."""

    hz: Annotated[float, Meta(ge=0.05, le=15.0)] = 5.0
    depth: Unit = 0.0
    pan: Unit = 0.0


class Pulse(Struct, frozen=True, forbid_unknown_fields=True):
    """Width of the pulse waves, in cycles, and how it swings."""

    width: Annotated[float, Meta(ge=0.05, le=0.95)] = 0.5
    depth: Annotated[float, Meta(ge=0.0, le=0.45)] = 0.0
    hz: Annotated[float, Meta(ge=0.02, le=12.0)] = 0.6


class Formant(Struct, frozen=True, forbid_unknown_fields=True):
    """A resonance of a body, a mouth or a loudspeaker."""

    hz: Annotated[float, Meta(ge=40.0, le=16_000.0)]
    q: Annotated[float, Meta(ge=0.3, le=50.0)] = 5.0
    gain_db: Decibels = 0.0


class Tone(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to the sum of the voices; 0 Hz switches a filter off."""

    level_db: Decibels = 0.0  # after everything else
    low_cut_hz: Hertz = 0.0
    drive_db: Decibels = -18.0  # into the saturator; -18 is clean
    bias: Unit = 0.15  # asymmetry of the saturator
    dry: Unit = 1.0  # what goes past the formants
    tilt_db: Annotated[float, Meta(ge=-24.0, le=24.0)] = 0.0  # treble up and bass down by half of this each
    pivot_hz: Annotated[float, Meta(ge=50.0, le=5000.0)] = 700.0
    high_cut_hz: Hertz = 0.0
    high_cut_slope: Literal[12, 24] = 12
    width: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    mono_below_hz: Annotated[float, Meta(ge=0.0, le=1000.0)] = 0.0


class MacroRanges(Struct, frozen=True, forbid_unknown_fields=True):
    """How far the macros move this patch, at 1."""

    brightness_octaves: Annotated[float, Meta(ge=0.0, le=4.0)] = 1.5  # of filter, hammer, pluck
    brightness_db: Annotated[float, Meta(ge=0.0, le=24.0)] = 8.0  # of tilt
    drive_db: Annotated[float, Meta(ge=0.0, le=60.0)] = 40.0
    release_factor: Annotated[float, Meta(ge=1.0, le=10.0)] = 3.0
    attack_factor: Annotated[float, Meta(ge=1.0, le=20.0)] = 4.0
    attack_s: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.06  # added at 1


class Patch(Struct, frozen=True, forbid_unknown_fields=True):
    """An instrument, as its file describes it."""

    title: str
    words: list[str]
    level_db: Decibels = (
        0.0  # of the voices: a middle note at velocity 0.8 comes to -18 dBFS RMS, before and after tone
    )
    velocity: Unit = 0.7  # how much loudness follows velocity
    mono: bool = False  # one note at a time; notes that overlap are tied
    pan_spread: Unit = 0.0  # how far notes are strewn over the stereo field
    amplitude: Envelope = Envelope()
    pitch: Pitch = Pitch()
    oscillators: list[Oscillator] = []
    operators: Annotated[list[Operator], Meta(max_length=6)] = []
    string: String | None = None
    modes: Modes | None = None
    noise: Noise | None = None
    pulse: Pulse = Pulse()
    filter: Filter | None = None
    wobble: Wobble | None = None
    tremolo: Tremolo = Tremolo()
    formants: list[Formant] = []
    tone: Tone = Tone()
    macros: MacroRanges = MacroRanges()
    inserts: Inserts = []  # effects after the voices

    @property
    def stereo(self) -> bool:
        """Whether a voice's sources differ between left and right."""
        return any(o.unison > 1 and o.spread > 0.0 for o in self.oscillators) or (
            self.noise is not None and self.noise.stereo
        )


@cache
def load_patch(role: Role, patch_id: str) -> Patch:
    """The patch of a role by its id. Raises BadValue where there is none, PresetError where its file is not valid."""
    folder = presets_folder() / "instruments" / role.value
    path = folder / f"{patch_id}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise BadValue(f'There is no {role.value} instrument "{patch_id[:40]}". Known: {known}.')
    patch = load_preset(path, Patch)
    check_patch(patch, path)
    return patch


def check_patch(patch: Patch, path: Path) -> None:
    """Check what no single value shows. Raises PresetError."""

    def wrong(keys: list[str | int], message: str) -> PresetError:
        line = line_of(path.read_text(encoding="utf-8"), keys)
        return PresetError(f"{path}:{line}: {'.'.join(map(str, keys)) or 'file'}: {message}")

    if not (patch.oscillators or patch.operators or patch.string or patch.modes or patch.noise):
        raise wrong([], "a patch needs a sound source: oscillators, operators, string, modes or noise.")
    for number, oscillator in enumerate(patch.oscillators):
        if (oscillator.wave == "harmonics") != any(oscillator.harmonics):
            raise wrong(
                ["oscillators", number, "harmonics"], 'amplitudes belong to the wave "harmonics", and to it only.'
            )
    for number, operator in enumerate(patch.operators):
        if operator.to >= number:
            raise wrong(["operators", number, "to"], "an operator can only modulate an earlier one, or be heard (-1).")
    if patch.modes and len(patch.modes.levels) != len(patch.modes.ratios):
        raise wrong(["modes", "levels"], "there must be one level for each ratio.")
    if patch.pitch.glide_s > 0.0 and (patch.string or patch.modes):
        raise wrong(["pitch", "glide_s"], "strings and modes have a fixed pitch and cannot glide.")
