"""Session values as JSON text, for the database, and as msgpack, for other processes; and back.

The same value always gives the same text. Packed mappings keep their order, which is that of the tracks.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeVar

import msgspec

from resonantgen.errors import ProjectDamaged

T = TypeVar("T")


def _encode_special(value: object) -> object:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value)} cannot be stored")


def _decode_special(kind: type, value: Any) -> object:
    if kind is Fraction and isinstance(value, str):
        return Fraction(value)
    raise ValueError(f"{value!r} is no {kind.__name__}")


_ENCODER = msgspec.json.Encoder()
_PACKER = msgspec.msgpack.Encoder(enc_hook=_encode_special)


def pack(value: object) -> bytes:
    """A value, such as an Order or a Take, as bytes that `unpack` reads in another process."""
    return _PACKER.encode(value)


def unpack(data: bytes, kind: type[T]) -> T:
    """The value that was packed. Raises ValueError for bytes that are no such value."""
    try:
        return msgspec.msgpack.decode(data, type=kind, dec_hook=_decode_special)
    except (msgspec.DecodeError, AssertionError) as error:
        raise ValueError(f"no packed {kind.__name__}: {error}") from None


def encode(value: object) -> str:
    # By way of plain values, since numbers as keys have no order of their own in JSON.
    plain = msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_encode_special)
    return _ENCODER.encode(plain).decode()


def decode(text: str, kind: type[T], source: str = "The project's database") -> T:
    """Raises ProjectDamaged, about `source`, for text that `encode` does not give for any such value.

    So fields that are missing or unknown are damage, too, though msgspec would take the default or ignore them.
    """
    try:
        value = msgspec.json.decode(text, type=kind, dec_hook=_decode_special)
        if encode(value) != text:
            raise ValueError("fields are missing or unknown")
    except (ValueError, AssertionError, TypeError, ArithmeticError, RecursionError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else "impossible value"
        raise ProjectDamaged(
            f"{source} holds a damaged {kind.__name__.lower()} ({detail}). Restore it from a backup."
        ) from None
    return value
