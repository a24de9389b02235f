"""What ZeroMQ carries: msgpack maps. A client sends requests, and is sent answers that bear the request's id.

    {id, command, arguments}        do this; arguments may be left out
    {id, cancel}                    give up the request of that id
    {id, result}                    the answer, a map by `Command.result`
    {id, error: {code, message}}    or this one; the code is the name of a class in `resonantgen.errors`
    {id, progress: {event, …}}      before the answer, any number of times: a notice about this command
    {id, running: seconds}          likewise, twice a second: it is still being done

An id is an integer from 0 or a text of up to 64 characters, chosen by the client, unique among what it has running.
Events are published as two frames: the event's name, and a map of its fields.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import msgspec
import zmq
import zmq.asyncio

from resonantgen import errors
from resonantgen.errors import BadValue, EngineError, ResonantGenError, quoted
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.protocol import EVENT

MAX_REQUEST_BYTES = 64 * 1024
MAX_ID = (1 << 63) - 1
MAX_ID_TEXT = 64  # characters
RUNNING_SECONDS = 0.5  # between two {id, running}

RequestId: TypeAlias = int | str


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. Command and arguments are as they came: `parsing.parse_call` checks them."""

    id: RequestId
    command: object = None
    arguments: object = None
    cancel: RequestId | None = None  # the request to be given up; then there is no command


class BadRequest(Exception):
    """A message that is no request, but whose id can be read, so that it can be answered with `error`."""

    def __init__(self, id: RequestId, error: BadValue) -> None:
        self.id, self.error = id, error


def read_request(payload: bytes) -> Request | None:
    """What a message asks; None if it has no id that could be answered. Raises BadRequest."""
    message = decode(payload)
    if not isinstance(message, dict) or not is_id(message.get("id")):
        return None
    id = message.pop("id")
    cancel = message.pop("cancel", None)
    if cancel is not None:
        if not is_id(cancel):
            raise BadRequest(id, BadValue("What cancel names is no id of a request."))
        if message:
            raise BadRequest(id, BadValue("A request that cancels another has an id and nothing else."))
        return Request(id, cancel=cancel)
    if "command" not in message:
        raise BadRequest(id, BadValue("A request has an id and a command, or an id and what to cancel."))
    command, arguments = message.pop("command"), message.pop("arguments", None)
    if message:
        keys = ", ".join(quoted(key) if isinstance(key, str) else "one that is no text" for key in list(message)[:3])
        raise BadRequest(id, BadValue(f"A request has id, command and arguments, but not: {keys}."))
    return Request(id, command, {} if arguments is None else arguments)


def decode(payload: bytes) -> Any:
    """The value in msgpack, or None if it is none."""
    try:
        return msgspec.msgpack.decode(payload)
    except (ValueError, TypeError, OverflowError, RecursionError):  # DecodeError and UnicodeDecodeError are ValueErrors
        return None


def encode(message: Mapping[str, Any]) -> bytes:
    """Raises TypeError, ValueError or OverflowError for values that msgpack does not know."""
    return _ENCODER.encode(message)


def send_now(socket: zmq.asyncio.Socket, frames: list[bytes]) -> None:
    """Send at once or not at all: a peer that has gone or reads too slowly loses the message."""
    sent = socket.send_multipart(frames, flags=zmq.DONTWAIT)
    assert isinstance(sent, asyncio.Future)
    error = sent.exception()
    if error is not None and not isinstance(error, zmq.ZMQError):
        raise error


def error_fields(error: ResonantGenError) -> dict[str, str]:
    return {"code": error.code, "message": str(error)}


def error_from(fields: Any) -> ResonantGenError:
    """The exception that `error_fields` was made of; a code that we do not know is an EngineError."""
    if not isinstance(fields, dict):
        return EngineError("The engine refused it without saying why.")
    kind = getattr(errors, str(fields.get("code")), None)
    if not (isinstance(kind, type) and issubclass(kind, ResonantGenError)):
        kind = EngineError
    return kind(str(fields.get("message", "")))


def notice_fields(notice: Notice) -> dict[str, Any]:
    """As `progress` holds it."""
    return {"event": notice.event, **notice.fields}


def notice_from(event: object, fields: object) -> Notice | None:
    """A notice of an event that we know; None for anything else."""
    if not (isinstance(event, str) and event in EVENT and isinstance(fields, dict)):
        return None
    return Notice(event, {key: value for key, value in fields.items() if key != "event"})


def is_id(value: object) -> TypeGuard[RequestId]:
    if isinstance(value, str):
        return 0 < len(value) <= MAX_ID_TEXT
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ID


def _encode_special(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that msgpack knows")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_encode_special)
