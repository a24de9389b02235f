"""The engine's values, results and events as OSC messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from resonantgen_bridge.calls import Notice, Value
from resonantgen_bridge.osc_addresses import addresses_of_key
from resonantgen_bridge.osc_packets import encode_message
from resonantgen_bridge.protocol import EVENT, OSC_ROOT, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Command, Field, Kind

MAX_OUTGOING_TEXT = 1000  # characters of one argument
DONE, ERROR = f"{OSC_ROOT}/done", f"{OSC_ROOT}/error"


def state_messages(state: Mapping[str, Value]) -> list[bytes]:
    """The values of properties, at each of their addresses."""
    known = {key: value for key, value in state.items() if key in PROPERTY_OF_KEY}
    return [value_message(address, key, value) for key, value in known.items() for address in addresses_of_key(key)]


def value_message(address: str, key: str, value: Value) -> bytes:
    """A property's value, at an address."""
    return _message(address, [(PROPERTY_OF_KEY[key].value, value)])


def notice_messages(notice: Notice) -> list[bytes]:
    """What subscribers are sent for an event: nothing for those that are not sent by OSC."""
    if notice.event == "changed":
        return state_messages(notice.fields["state"])
    event = EVENT[notice.event]
    if not event.osc:
        return []
    key = event.osc.format(**{field.name: notice.fields.get(field.name) for field in event.fields})
    arguments = [
        (field, notice.fields.get(field.name)) for field in event.fields if f"{{{field.name}}}" not in event.osc
    ]
    return [_message(address, arguments) for address in addresses_of_key(key)]


def done_message(command: Command, result: Mapping[str, Value]) -> bytes:
    """That a command was done: its name, then what `Command.result` lists, lists and documents as JSON."""
    name = Field("command", Kind.TEXT, "")
    return _message(DONE, [(name, command.name), *((field, result.get(field.name)) for field in command.result)])


def error_message(code: str, message: str) -> bytes:
    """That a command was refused: the kind of error, and one line for people."""
    text = Field("text", Kind.TEXT, "")
    return _message(ERROR, [(text, code), (text, message)])


def _message(address: str, arguments: Iterable[tuple[Field, Value]]) -> bytes:
    typed = [_typed(field, value) for field, value in arguments]
    return encode_message(address, "".join(kind for kind, _ in typed), tuple(value for _, value in typed))


def _typed(field: Field, value: Value) -> tuple[str, int | float | str]:
    """A value in the OSC type of its field: i (h where it is larger), f or s."""
    if isinstance(value, (bool, int, float)):
        if field.kind is Kind.FLOAT:
            return "f", float(value)
        if field.kind in (Kind.INT, Kind.BOOL):
            return ("i" if abs(value) < 1 << 31 else "h"), int(value)
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "s", text.replace("\0", " ").encode(errors="replace").decode()[:MAX_OUTGOING_TEXT]
