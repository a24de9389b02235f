"""What `resonantgen serve` writes for the person who started it: where things stand, then a line for what happens.

Faders, knobs, meters and beats are left out: their values come too often to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath

from resonantgen import __version__
from resonantgen.music.notes import Role
from resonantgen.music.time import bars_text
from resonantgen_bridge.calls import Notice, Value

LABEL_WIDTH = 12


def opening_lines(state: Mapping[str, Value], addresses: Mapping[str, str]) -> list[str]:
    """Once the engine answers: its project, its tracks, what plays them, and its address on each transport."""
    lines = [f"ResonantGen {__version__} · serving {PurePath(state['project']).name}", ""]
    if state.get("bars"):
        music = f"{state['tempo']:g} bpm · {state['meter']} · {state['key']} · {bars_text(state['bars'])}"
        lines.append(_line("plays", music))
        for role in Role:
            if take := state.get(f"track/{role.value}/take"):
                lock = " locked" * bool(state.get(f"track/{role.value}/lock"))
                lines.append(_line(role.value, f"{take}{lock}   {state.get(f'track/{role.value}/summary', '')}"))
    else:
        lines.append('  No music yet. Make some: resonantgen generate "dark techno"')
    lines += ["", _line("audio", str(state.get("audio") or "none"))]
    lines += [_line(transport, address) for transport, address in addresses.items()]
    return [*lines, "", "Ctrl-C stops it."]


class EventLines:
    """Listens to an engine (`calls.Listener`) and passes on what a person wants to read."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line

    def __call__(self, notice: Notice) -> None:
        for line in lines_of(notice):
            self._on_line(line)


def lines_of(notice: Notice) -> Iterator[str]:
    """The lines of one notice; most have none."""
    fields = notice.fields
    match notice.event:
        case "changed":
            for key, value in fields["state"].items():
                line = _changed(key, value, fields["state"])
                if line:
                    yield line
        case "swap" if not str(fields["material"]).endswith("~"):  # the rest of a take, from where it began
            yield _line(fields["track"], f"{fields['material'] or 'silence'} plays from bar {fields['bar']}")
        case "problem":
            yield f"  {fields['message']}"


def _changed(key: str, value: Value, state: Mapping[str, Value]) -> str | None:
    if key.startswith("track/"):
        _, track, name = key.split("/", 2)
        text = _track_changed(name, value, str(state.get(f"track/{track}/summary", "")))
        return None if text is None else _line(track, text)
    match key:
        case "tempo":
            return _line("tempo", f"{value:g} bpm")
        case "prompt" if value:
            return f'  "{" ".join(str(value).split())}"'
        case "bars" if value:
            return _line("bars", str(value))
        case "key" | "meter" | "style" | "audio" if value:
            return _line(key, str(value))
        case "play":
            return _line("transport", "playing" if value else "stopped")
        case "auto":
            return _line("auto", f"new ideas every {bars_text(value)}" if value else "off")
    return None


def _track_changed(name: str, value: Value, summary: str) -> str | None:
    match name:
        case "lock":
            return "locked" if value else "unlocked"
        case "take":
            return f"{value}: {summary}".removesuffix(": ") if value else "removed"
        case "mute":
            return "muted" if value else "not muted"
        case "solo":
            return "solo" if value else "no solo"
    return None


def _line(label: str, text: str) -> str:
    return f"  {label:<{LABEL_WIDTH}}{text}".rstrip()
