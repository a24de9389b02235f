"""Session values to JSON text and back, for the database. The same value always gives the same text."""

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


_ENCODER = msgspec.json.Encoder(enc_hook=_encode_special, order="deterministic")


def encode(value: object) -> str:
    return _ENCODER.encode(value).decode()


def decode(text: str, kind: type[T]) -> T:
    """Raises ProjectDamaged for text that is no such value."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_decode_special)
    except (msgspec.MsgspecError, AssertionError, TypeError, ArithmeticError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else "impossible value"
        raise ProjectDamaged(f"The project's database holds a damaged {kind.__name__.lower()} ({detail}).") from None
