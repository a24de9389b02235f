"""Writes docs/protocol.md from the table in `protocol.py`: python -m resonantgen_bridge.reference

A test compares the file with the table, so that they never differ.
"""

from __future__ import annotations

from pathlib import Path

from resonantgen import errors
from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen_bridge import wire
from resonantgen_bridge.protocol import (
    COMMAND,
    COMMANDS,
    EVENTS,
    HTTP_ROOT,
    MAX_TEXT,
    METER_HZ,
    OSC_PORT,
    OSC_ROOT,
    PROPERTIES,
    VERSION,
    ZMQ_COMMANDS_PORT,
    ZMQ_EVENTS_PORT,
)
from resonantgen_bridge.schema import Command, Event, Field, Kind, Property
from resonantgen_bridge.zmq_server import MAX_RUNNING_PER_CLIENT

FILE = Path(__file__).parents[2] / "docs" / "protocol.md"

_TRACKS = ", ".join(f"{number} {role.value}" for number, role in enumerate(Role, start=1))
_OUTCOME = COMMAND["generate"].result
_WORDS = {
    Kind.INT: "integer",
    Kind.FLOAT: "number",
    Kind.BOOL: "boolean",
    Kind.TEXT: "text",
    Kind.TRACK: "track",
    Kind.TRACKS: "list of tracks",
    Kind.GENERATORS: "map by track",
}


def page() -> str:
    """The reference page, in Markdown."""
    return "\n".join(
        [
            _introduction(),
            "## Commands\n",
            " · ".join(f"[{command.name}](#{command.name})" for command in COMMANDS) + "\n",
            *(_command(command) for command in COMMANDS),
            "### Outcome\n\nWhat those commands answer with that make takes, or move between them.\n",
            *_table(_OUTCOME, "result"),
            _properties(),
            _events(),
            _errors(),
        ]
    )


def _introduction() -> str:
    return f"""# The protocol

How programs drive a running engine (`resonantgen serve`): version {VERSION}. This page is made from the table in
`bridge/resonantgen_bridge/protocol.py` by `python -m resonantgen_bridge.reference`; do not edit it.

| transport | listens at | for |
|---|---|---|
| ZeroMQ, ROUTER | `tcp://127.0.0.1:{ZMQ_COMMANDS_PORT}` | commands and their answers |
| ZeroMQ, PUB | `tcp://127.0.0.1:{ZMQ_EVENTS_PORT}` | events |
| OSC over UDP | `127.0.0.1:{OSC_PORT}` | commands, and after `{OSC_ROOT}/subscribe 1` properties and events |

HTTP paths are given for each command, below `{HTTP_ROOT}`, for when HTTP is served; this version does not serve it yet.

Tracks are named, or numbered from 1: {_TRACKS}. Bars and beats count from 1. Texts have up to {MAX_TEXT} characters.
Numbers, booleans and texts stand for each other where it makes sense: `1`, `1.0`, `true` and `"on"` all lock a track.

## Python

```python
from resonantgen_bridge import Client

with Client() as engine:  # Client("tcp://192.168.1.5:5570", keys=Path("keys")) for another machine
    engine.lock(track="drums")
    engine.regenerate(prompt="make the bass more aggressive", on_progress=print)
    print(engine.state()["tempo"])
    for notice in engine.events("changed", "take"):
        print(notice.event, notice.fields)
```

Each command is a method, with its fields as keyword arguments. It gives nothing, the one value of its result, or a dict
of several; `engine.call("lock", track="drums")` always gives the dict. Errors are raised as the exceptions of
`resonantgen.errors`. `AsyncClient` has the same methods to `await`.

## ZeroMQ

Connect a DEALER socket and send one frame: a msgpack map. The engine sends maps that bear the request's `id`.

| message | what it means |
|---|---|
| `{{id, command, arguments}}` | do this; `arguments` is a map by name and may be left out |
| `{{id, cancel}}` | give up the request of that id; answered with `{{cancelled: 0 or 1}}` |
| `{{id, result}}` | the answer: a map as listed with each command |
| `{{id, error: {{code, message}}}}` | or this one: see [errors](#errors) |
| `{{id, progress: {{event, …}}}}` | before the answer, any number of times: an event with its fields |
| `{{id, running: seconds}}` | before the answer, twice a second: it is still being done |

An id is an integer from 0 or a text of up to {wire.MAX_ID_TEXT} characters, unique among what the client has running.
Every request whose id can be read is answered exactly once; other messages are dropped. A request has up to
{wire.MAX_REQUEST_BYTES // 1024} KiB, or its connection is closed. A client has up to {MAX_RUNNING_PER_CLIENT} requests
running, and gets an error for more. Whoever hears neither answer nor `running` for some seconds may take the engine for
dead. A REQ socket works, too: it is sent the answers only.

Connect a SUB socket for events: two frames, the event's name and a msgpack map of its fields. `heartbeat` comes once a
second, and at once after subscribing to it: whoever has it hears everything else from then on. Those who join late ask
for `state`. A subscriber that reads too slowly loses events.

Both listen on loopback. Elsewhere they want CURVE keys: `resonantgen keys new` makes a folder with the engine's keys
and a client's; the other machine needs `server.pub` and `client.key` of it.

## OSC

Addresses are below `{OSC_ROOT}`; fields that an address does not hold are its arguments, in the order given here, those
in brackets if wanted. A track is its name or number, or a pattern: `{OSC_ROOT}/track/*/lock 1`. Where it says button, a
lone number is the button that sends it: 0 is its release and does nothing. Errors are sent back as
`{OSC_ROOT}/error code message`.
"""


def _command(command: Command) -> str:
    lines = [f"### {command.name}\n", command.doc]
    if command.generates:
        lines[-1] += " Answered once it is made; cancelling is possible until then."
    lines.append("")
    if command.fields:
        lines += ["| field | type | default | what it is |", "|---|---|---|---|"]
        lines += [
            f"| `{field.name}` | {_type(field)} | {_default(field)} | {_doc(field)} |" for field in command.fields
        ]
        lines.append("")
    if command.result == _OUTCOME:
        lines += ["Result: the [outcome](#outcome).", ""]
    elif command.result:
        lines += _table(command.result, "result")
    ways = [f"OSC {_osc(address, command.fields, command.trigger)}" for address in command.osc]
    if command.http:
        method, path = command.http.split(" ")
        ways.append(f"HTTP `{method} {HTTP_ROOT}{path}`")
    if ways:
        lines += [" · ".join(ways), ""]
    return "\n".join(lines)


def _table(fields: tuple[Field, ...], what: str) -> list[str]:
    rows = [f"| `{field.name}` | {_result_type(field)} | {_doc(field)} |" for field in fields]
    return [f"| {what} | type | what it is |", "|---|---|---|", *rows, ""]


def _properties() -> str:
    lines = [
        "## Properties\n",
        "What the engine keeps, as `state` gives it and `changed` tells it, by key. By OSC, a subscriber is sent each",
        f"of them at its address, `{OSC_ROOT}/` and the key, and again when it changes.\n",
        "| key | type | what it is |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(_property(prop) for prop in PROPERTIES), ""])


def _property(prop: Property) -> str:
    return f"| `{prop.name}` | {_type(prop.value)} | {_doc(prop.value)} |"


def _events() -> str:
    lines = ["## Events\n", f"`level` comes {METER_HZ} times a second; subscribe to it only where it is shown.\n"]
    return "\n".join([*lines, *(_event(event) for event in EVENTS)])


def _event(event: Event) -> str:
    lines = [f"### {event.name} (event)\n", event.doc, ""]
    if event.fields:
        lines += _table(event.fields, "field")
    if event.osc:
        lines += [f"OSC {_osc(event.osc, event.fields, trigger=False)}", ""]
    return "\n".join(lines)


def _errors() -> str:
    lines = [
        "## Errors\n",
        "The code is the name of an exception in `resonantgen.errors`; the message is one line, for people, and says",
        "what to do. A client should treat codes that it does not know as `EngineError`.\n",
        "| code | what it means |",
        "|---|---|",
    ]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ResonantGenError)]
    return "\n".join([*lines, *(f"| `{kind.__name__}` | {kind.__doc__} |" for kind in kinds), ""])


def _type(field: Field) -> str:
    words = _WORDS[field.kind]
    if field.choices:
        words = " ".join(f"`{choice}`" for choice in field.choices)
    elif field.low is not None and field.high is not None:
        words += f", {field.low:.15g} to {field.high:.15g}" if abs(field.high) < 1e15 else f" from {field.low:g}"
    elif field.unit:
        words += ", in"
    return f"{words} {field.unit}".rstrip()


def _result_type(field: Field) -> str:
    """Results and events hold maps where the table says text that is a document."""
    return "map" if field.name in _MAPS else _type(field)


def _doc(field: Field) -> str:
    return field.doc.replace("|", "\\|")


def _default(field: Field) -> str:
    if field.required:
        return "needed"
    if field.default is None:
        return "the engine's choice" if field.name == "seed" else "none"
    value = {True: "true", False: "false"}[field.default] if isinstance(field.default, bool) else field.default
    return f"`{value}`" if value != "" else '`""`'


def _osc(address: str, fields: tuple[Field, ...], trigger: bool) -> str:
    """The address with the types of its arguments, those that may be left out in brackets."""
    letters = {Kind.INT: "i", Kind.FLOAT: "f", Kind.BOOL: "i"}
    arguments = []
    for field in fields:
        if f"{{{field.name}}}" not in address:
            name = f"{field.name}:{letters.get(field.kind, 's')}"
            arguments.append(name if field.required else f"[{name}]")
    shown = " ".join([f"{OSC_ROOT}/{address}", *arguments])
    return f"`{shown}`" + (" (a button)" if trigger else "")


_MAPS = {"changed", "understood", "session", "state", "status", "arguments"}


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
