"""What `resonantgen serve` says: calm lines for a person who looks over now and then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from resonantgen import __version__
from resonantgen.music.notes import Role
from resonantgen.music.time import bars_text
from resonantgen_bridge.calls import Notice, Value

OnLine = Callable[[str], None]

_SHARED = {"tempo": "{:g} bpm", "key": "{}", "meter": "{}", "style": "{}", "chords": "{}"}


class Narrator:
    """Turns notices into lines. Its `hear` is a listener of the engine."""

    def __init__(self, state: Mapping[str, Value], on_line: OnLine) -> None:
        self._state = state
        self._on_line = on_line
        self._tempo: Value = None  # that was set and is not said yet

    def begin(self, addresses: Mapping[str, str], prompt: str = "") -> None:
        """What there is at the start. `prompt` are the words that the first music is made from, if it is made now."""
        state = self._state
        self._on_line(f"ResonantGen {__version__} · {state['project']}")
        if state["bars"]:
            self._line(
                "plays", f"{state['tempo']:g} bpm · {state['meter']} · {state['key']} · {bars_text(state['bars'])}"
            )
            for role in Role:
                lock = "locked   " if state[f"track/{role.value}/lock"] else ""
                take, summary = state[f"track/{role.value}/take"], state[f"track/{role.value}/summary"]
                self._line(role.value, f"{take:<11}{lock}{summary}" if take else "silent")
        elif prompt.strip():
            self._line("plays", "nothing yet")
        else:
            self._line("plays", 'nothing yet. Start with: resonantgen generate "dark techno"')
        self._line("sound", str(state["audio"]))
        for name, address in addresses.items():
            self._line(name, address)
        self._on_line("Ctrl-C stops it.")

    def hear(self, notice: Notice) -> None:
        fields = notice.fields
        match notice.event:
            case "take":
                self._line(fields["track"], f"{fields['take']:<11}{fields['summary']}")
            case "problem" if fields["message"] != self._state.get("audio"):  # that line is there already
                self._on_line(str(fields["message"]))
            case "changed":
                changed = fields["state"]
                if changed.keys() == {"tempo"}:  # a knob or a host sends many: what is so at the next heartbeat is said
                    self._tempo = changed["tempo"]
                    return
                for key, value in changed.items():
                    self._changed(key, value)
            case "heartbeat" if self._tempo is not None:
                self._changed("tempo", self._tempo)
            case _:
                pass

    def _changed(self, key: str, value: Value) -> None:
        if key == "tempo":
            self._tempo = None
        if key.startswith("track/") and key.endswith("/lock"):
            self._line(key.split("/")[1], "locked" if value else "unlocked")
        elif key.startswith("track/") and key.endswith("/take") and not value:
            self._line(key.split("/")[1], "silent")
        elif key in _SHARED and value:
            self._line(key, _SHARED[key].format(value))
        elif key == "busy" and value and not self._state.get("bars"):  # the worker may have to get ready first
            self._line("plays", "making the first music ...")
        elif key == "play":
            self._line("transport", "playing" if value else "stopped")
        elif key == "audio":
            self._line("sound", str(value))

    def _line(self, label: str, text: str) -> None:
        self._on_line(f"  {label:<11}{text}".rstrip())
