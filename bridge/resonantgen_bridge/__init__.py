"""Anything that drives a ResonantGen engine, or is driven by one: ZeroMQ, OSC, MIDI, and the hosts that speak them.

>>> from resonantgen_bridge import Client
>>> with Client() as engine:
...     engine.lock(track="drums")
...     engine.regenerate(prompt="make the bass more aggressive")

The public names are imported when they are first used, so `import resonantgen_bridge` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resonantgen_bridge.async_client import AsyncClient as AsyncClient
    from resonantgen_bridge.client import Client as Client

_PUBLIC = {
    "AsyncClient": "resonantgen_bridge.async_client",
    "Client": "resonantgen_bridge.client",
}
__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
