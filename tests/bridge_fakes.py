"""An engine for tests of transports: it makes no music, records what it is told, and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from resonantgen.music.notes import Role
from resonantgen_bridge.calls import Call, Listener, Notice, ignore
from resonantgen_bridge.protocol import PROPERTIES, VERSION
from resonantgen_bridge.schema import Kind

_ZERO: dict[Kind, Any] = {Kind.INT: 0, Kind.FLOAT: 0.0, Kind.BOOL: False, Kind.TEXT: ""}


def default_state() -> dict[str, Any]:
    """Every property, with a plausible value."""
    state = {key: _ZERO[prop.value.kind] for prop in PROPERTIES for key in prop.state_keys()}
    return state | {"project": "night.rg", "tempo": 120.0, "key": "A minor", "meter": "4/4", "bars": 8}


class FakeEngine:
    """Behaves as `calls.Engine`; the real one is `resonantgen_bridge.engine`.

    Commands that set a property of the same name change `state` and notify, so that echoes can be tested; the others
    give zeros in their result's shape. `answers` overrides it for a command: a dict is its result, an exception is
    raised, a function is called with the call and gives either. `hold(name)` makes a command wait until `release`.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self.state: dict[str, Any] = default_state() | dict(state or {})
        self.calls: list[Call] = []
        self.clients: list[str] = []  # who asked for each call
        self.cancelled: list[Call] = []  # calls whose waiting task was cancelled
        self.aligned: list[tuple[float, float]] = []
        self.names: dict[int, str] = {}  # of the DAW's tracks
        self.map: dict[int, str] = {}  # what `role_of_daw_track` gives
        self.answers: dict[str, Any] = {}
        self.progress: dict[str, list[Notice]] = {}  # notices that a command gives before it is answered
        self.waiting = 0  # calls that are held now
        self._gates: dict[str, asyncio.Event] = {}
        self._listeners: list[Listener] = []

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def hold(self, command: str) -> None:
        """From now on the command waits for `release` (or for its cancellation)."""
        self._gates[command] = asyncio.Event()

    def release(self, command: str) -> None:
        self._gates.pop(command).set()

    def notify(self, event: str, **fields: Any) -> None:
        """Tell the listeners."""
        for listener in tuple(self._listeners):
            listener(Notice(event, fields))

    def change(self, state: Mapping[str, Any]) -> None:
        """Give properties other values, and tell the listeners."""
        self.state.update(state)
        self.notify("changed", state=dict(state))

    async def execute(self, call: Call, client: str, on_progress: Listener = ignore) -> dict[str, Any]:
        self.calls.append(call)
        self.clients.append(client)
        for notice in self.progress.get(call.command, []):
            on_progress(notice)
        gate = self._gates.get(call.command)
        if gate is not None:
            self.waiting += 1
            try:
                await gate.wait()
            except asyncio.CancelledError:
                self.cancelled.append(call)
                raise
            finally:
                self.waiting -= 1
        answer = self.answers.get(call.command)
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return dict(answer)
        self._set(call)
        return self._result(call)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def align(self, quarters: float, at_seconds: float) -> None:
        self.aligned.append((quarters, at_seconds))

    def name_daw_track(self, daw_track: int, name: str) -> None:
        self.names[daw_track] = name

    def role_of_daw_track(self, daw_track: int) -> str | None:
        return self.map.get(daw_track)

    def _set(self, call: Call) -> None:
        arguments = dict(call.arguments)
        prefix = f"track/{arguments['track']}/" if arguments.get("track") else ""
        match call.command:
            case "tempo" | "key" | "meter" | "bars" | "style":
                self.change({call.command: arguments[call.command]})
            case "lock":
                self.change({f"{prefix}lock": arguments["locked"]})
            case "gain" | "pan":
                self.change({prefix + call.command: arguments[call.command]})
            case "mute" | "solo":
                self.change({prefix + call.command: arguments["on"]})
            case "adjust":
                self.change({prefix + arguments["attribute"]: arguments["value"]})
            case "generator":
                self.change({f"{prefix}generator": arguments["generator"]})
            case "play":
                self.change({"play": arguments["on"]})
            case "stop":
                self.change({"play": False})
            case "auto":
                self.change({"auto": arguments["every"]})
            case "loop":
                self.change({"loop": arguments["on"], "loop/first": arguments["first"], "loop/bars": arguments["bars"]})
            case "generate" if arguments["prompt"]:
                self.change({"prompt": arguments["prompt"]})
            case "map" if arguments["track"]:
                self.map[arguments["daw_track"]] = arguments["track"]
            case "map":
                self.map.pop(arguments["daw_track"], None)

    def _result(self, call: Call) -> dict[str, Any]:
        match call.command:
            case (
                "generate"
                | "regenerate"
                | "adjust"
                | "generator"
                | "style"
                | "key"
                | "meter"
                | "bars"
                | "undo"
                | "redo"
            ):
                tracks = [call.arguments["track"]] if call.arguments.get("track") else [role.value for role in Role]
                changed = {track: f"{track}-1" for track in tracks}
                return {"changed": changed, "locked": [], "kept": [], "understood": None}
            case "cancel":
                return {"cancelled": 0}
            case "midi_learn":
                return {"binding": "note 36 on channel 10"}
            case "export":
                return {"folder": call.arguments["folder"]}
            case "print":
                return {"folder": "/prints/night-1"}
            case "session":
                return {"session": {"tempo": self.state["tempo"]}}
            case "state":
                return {"state": dict(self.state)}
            case "status":
                return {"status": {"pid": 4242, "project": self.state["project"]}}
            case "ping":
                return {"version": VERSION}
        return {}
