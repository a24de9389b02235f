"""Which MIDI message does what: mapping files, and what the user has taught.

`presets/midi/*.toml` are the mappings that come with ResonantGen. What is learned lies in the user's own folder, in the
same format, and comes before them.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import click
import msgspec
from msgspec import Meta, Struct

from resonantgen.errors import BadValue, PresetError, StorageError, quoted
from resonantgen.presets import line_of, load_preset, presets_folder
from resonantgen_bridge.midi_actions import Action, parse_action

DEFAULT_MAP: Final = "default"

_Channel = Annotated[int, Meta(ge=1, le=16)]
_Number = Annotated[int, Meta(ge=0, le=127)]


class Source(StrEnum):
    """What kind of message it is. The values are those that users read, and the tables of a mapping file."""

    NOTE = "note"
    CONTROL = "control"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A message that is bound. None: any."""

    source: Source
    number: int | None
    channel: int | None  # from 1, as musicians count them

    def __str__(self) -> str:
        number = f" {self.number}" if self.number is not None else " change" if self.source is Source.PROGRAM else ""
        return f"{self.source}{number}" + (f" on channel {self.channel}" if self.channel is not None else "")


@dataclass(frozen=True, slots=True)
class Binding:
    """What a message does."""

    action: Action
    latching: bool = False  # the button itself remembers: its value says on or off


@dataclass(frozen=True, slots=True)
class MidiMap:
    """The bindings of one file, with the styles that programs choose from, in order."""

    bindings: Mapping[Trigger, Binding] = field(default_factory=lambda: MappingProxyType({}))
    styles: tuple[str, ...] = ()

    def find(self, source: Source, number: int, channel: int) -> tuple[Trigger, Binding] | None:
        """What is bound to a message; a binding to this very number and channel comes before wider ones."""
        for trigger in (
            Trigger(source, number, channel),
            Trigger(source, number, None),
            Trigger(source, None, channel),
            Trigger(source, None, None),
        ):
            if trigger in self.bindings:
                return trigger, self.bindings[trigger]
        return None

    def with_binding(self, trigger: Trigger, binding: Binding) -> MidiMap:
        return MidiMap(MappingProxyType({**self.bindings, trigger: binding}), self.styles)


class _Note(Struct, forbid_unknown_fields=True):
    note: _Number
    action: str
    channel: _Channel | None = None


class _Control(Struct, forbid_unknown_fields=True):
    control: _Number
    action: str
    channel: _Channel | None = None
    latching: bool = False


class _Program(Struct, forbid_unknown_fields=True):
    action: str
    program: _Number | None = None  # from 0; None: any
    channel: _Channel | None = None


class _File(Struct, forbid_unknown_fields=True):
    """A mapping file."""

    about: str = ""
    styles: list[str] = msgspec.field(default_factory=list)
    note: list[_Note] = msgspec.field(default_factory=list)
    control: list[_Control] = msgspec.field(default_factory=list)
    program: list[_Program] = msgspec.field(default_factory=list)


def load_map(path: Path) -> MidiMap:
    """Read a mapping file. Raises PresetError as `file:line: what is wrong`, StorageError if it cannot be read."""
    try:
        file = load_preset(path, _File)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    styles = tuple(file.styles)
    for index, style in enumerate(styles):
        if style not in _all_styles():
            raise PresetError(f"{path}:{_line(path, ['styles', index])}: {quoted(style)} is no style.")
    rows: list[tuple[Source, int, int | None, _Note | _Control | _Program]] = [
        *((Source.NOTE, index, row.note, row) for index, row in enumerate(file.note)),
        *((Source.CONTROL, index, row.control, row) for index, row in enumerate(file.control)),
        *((Source.PROGRAM, index, row.program, row) for index, row in enumerate(file.program)),
    ]
    bindings: dict[Trigger, Binding] = {}
    for source, index, number, row in rows:
        trigger = Trigger(source, number, row.channel)
        try:
            binding = Binding(parse_action(row.action), isinstance(row, _Control) and row.latching)
            if not suits(binding.action, source):
                raise BadValue(f'"{row.action}" needs a controller, not a {source}.')
        except BadValue as error:
            raise PresetError(f"{path}:{_line(path, [str(source), index, 'action'])}: {error}") from None
        if trigger in bindings:
            raise PresetError(f"{path}:{_line(path, [str(source), index])}: {trigger} is bound twice.")
        bindings[trigger] = binding
    return MidiMap(MappingProxyType(bindings), styles or _all_styles())


def load_named_map(name: str | Path | None = None) -> MidiMap:
    """A mapping by the name of a preset ("korg_nanokontrol2") or the path of a file; None: the default.

    Raises BadValue, PresetError, StorageError.
    """
    folder = presets_folder() / "midi"
    names = sorted(path.stem for path in folder.glob("*.toml"))
    text = str(name or DEFAULT_MAP)
    if text in names:
        return load_map(folder / f"{text}.toml")
    if not Path(text).is_file():
        raise BadValue(f"There is no mapping {quoted(text)}. Give a file, or one of: {', '.join(names)}.")
    return load_map(Path(text))


def suits(action: Action, source: Source) -> bool:
    """Whether such a message can do it: only a controller has a value to move something with."""
    if action.continuous:
        return source is Source.CONTROL
    return not action.chooses or source is not Source.NOTE


def learned_path() -> Path:
    """Where this user's own bindings are kept."""
    return Path(click.get_app_dir("resonantgen")) / "midi.toml"


def load_learned(path: Path) -> MidiMap:
    """What the user has taught; empty if nothing. Raises PresetError, StorageError."""
    return load_map(path) if path.exists() else MidiMap(styles=_all_styles())


def save_learned(path: Path, learned: MidiMap) -> None:
    """Write it whole, or not at all. Raises StorageError."""
    lines = ["# What `resonantgen midi learn` has bound. It comes before the mapping that is loaded."]
    for trigger, binding in learned.bindings.items():
        lines += ["", f"[[{trigger.source}]]"]
        if trigger.number is not None:
            lines.append(f"{trigger.source} = {trigger.number}")
        if trigger.channel is not None:
            lines.append(f"channel = {trigger.channel}")
        lines.append(f"action = {json.dumps(binding.action.text)}")  # JSON's text is TOML's
        if binding.latching:
            lines.append("latching = true")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".midi-", suffix=".toml")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror}. The binding holds until the end.") from error


def _all_styles() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (presets_folder() / "styles").glob("*.toml")))


def _line(path: Path, keys: list[str | int]) -> int:
    return line_of(path.read_text(encoding="utf-8"), keys)
