"""Styles: data in presets/styles/*.toml, checked when read. The file's name is the style's id: `drum_and_bass`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from resonantgen.errors import BadValue
from resonantgen.generators.grammars.bass import BassGrammar
from resonantgen.generators.grammars.drums import DrumGrammar
from resonantgen.generators.grammars.harmony import HarmonyGrammar
from resonantgen.generators.grammars.melody import MelodyGrammar
from resonantgen.instruments.effects.inserts import Inserts
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode, parse_pitch_class, roman_chord
from resonantgen.music.time import Meter
from resonantgen.presets import load_preset, presets_folder

Tempo = Annotated[float, msgspec.Meta(ge=20, le=400)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Lufs = Annotated[float, msgspec.Meta(ge=-40, le=-8)]
Ids = Annotated[list[str], msgspec.Meta(min_length=1)]


class TempoRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In quarter notes per minute; `usual` lies within."""

    low: Tempo
    usual: Tempo
    high: Tempo

    def __post_init__(self) -> None:
        if not self.low <= self.usual <= self.high:
            raise ValueError("low <= usual <= high must hold")


class ProgressionPreset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Roman numerals for one mode, each `bars_each` bars long (0.5: two chords a bar), and the moods that they suit."""

    mode: Mode
    chords: Annotated[list[str], msgspec.Meta(min_length=1, max_length=32)]
    bars_each: Annotated[float, msgspec.Meta(ge=0.25, le=8)] = 1.0
    moods: list[str] = []

    def __post_init__(self) -> None:
        for numeral in self.chords:
            try:
                roman_chord(numeral, Key(0, self.mode))
            except BadValue as error:
                raise ValueError(str(error)) from None


class Instruments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ids of presets in presets/instruments/<role>/, the most typical first."""

    drums: Ids
    bass: Ids
    harmony: Ids
    melody: Ids


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loudness of each stem in LUFS."""

    drums: Lufs
    bass: Lufs
    harmony: Lufs
    melody: Lufs


class StyleInserts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Effects that the style puts after whatever instrument a role plays on, such as a `pump` under the kick."""

    drums: Inserts = []
    bass: Inserts = []
    harmony: Inserts = []
    melody: Inserts = []


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A style, whole. `id` is filled in from the file's name."""

    id: str = ""
    title: str  # as shown: "Drum and bass"
    tempo: TempoRange
    meters: Annotated[list[str], msgspec.Meta(min_length=1)]  # the most typical first
    modes: Annotated[list[Mode], msgspec.Meta(min_length=1)]  # the most typical first
    tonics: Annotated[list[str], msgspec.Meta(min_length=1)]  # keys that suit it, the most typical first
    diatonic: bool  # pitched notes keep to the scale (at least 98 %)
    swing: Share  # 0 straight; 1 triplets: delays every second step of the swung grid by up to a third of a step
    swing_grid: Annotated[int, msgspec.Meta(ge=8, le=16)] = 16  # what swings: 8ths or 16ths
    instruments: Instruments
    mix: Mix
    inserts: StyleInserts = StyleInserts()
    progressions: Annotated[list[ProgressionPreset], msgspec.Meta(min_length=1)]
    drums: DrumGrammar
    bass: BassGrammar
    harmony: HarmonyGrammar
    melody: MelodyGrammar

    def __post_init__(self) -> None:
        for text in self.meters:
            try:
                Meter.parse(text)
            except BadValue as error:
                raise ValueError(str(error)) from None
        for text in self.tonics:
            try:
                parse_pitch_class(text)
            except BadValue as error:
                raise ValueError(str(error)) from None
        missing = [mode.value for mode in self.modes if all(p.mode is not mode for p in self.progressions)]
        if missing:
            raise ValueError(f"no progression for mode {', '.join(missing)}")

    def instruments_for(self, role: Role) -> list[str]:
        ids: list[str] = getattr(self.instruments, role.value)
        return ids

    def inserts_for(self, role: Role) -> Inserts:
        made: Inserts = getattr(self.inserts, role.value)
        return made

    def lufs_for(self, role: Role) -> float:
        lufs: float = getattr(self.mix, role.value)
        return lufs


def read_style(path: Path) -> Style:
    """One style file. Raises PresetError with file and line."""
    style = load_preset(path, Style)
    return msgspec.structs.replace(style, id=path.stem)


def style_ids() -> list[str]:
    """Ids of all styles, sorted, without reading them."""
    return sorted(path.stem for path in (presets_folder() / "styles").glob("*.toml"))


@cache
def load_style(style_id: str) -> Style:
    """A style by id. Raises BadValue for an unknown one and PresetError for a file that is not valid."""
    if style_id not in style_ids():
        raise BadValue(f'"{style_id[:40]}" is no style. Styles: {", ".join(style_ids())}.')
    return read_style(presets_folder() / "styles" / f"{style_id}.toml")
