"""ResonantGen: words in, four bar-exact, lockable tracks out.

>>> from resonantgen import Session
>>> session = Session.create("night.rg")
>>> session.generate("dark techno with driving bass")
>>> session.tracks["drums"].lock()
>>> session.regenerate("make the bass more aggressive")  # drums untouched, to the byte

The public names are imported when they are first used, so `import resonantgen` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resonantgen.errors import ResonantGenError as ResonantGenError
    from resonantgen.music.notes import Role as Role
    from resonantgen.prompt import understand as understand
    from resonantgen.session.session import Session as Session
    from resonantgen.session.track import Track as Track
    from resonantgen.session.values import Result as Result
    from resonantgen.session.values import Settings as Settings
    from resonantgen.session.values import Take as Take

__version__ = "0.1.0"

_PUBLIC = {
    "ResonantGenError": "resonantgen.errors",
    "Result": "resonantgen.session.values",
    "Role": "resonantgen.music.notes",
    "Session": "resonantgen.session.session",
    "Settings": "resonantgen.session.values",
    "Take": "resonantgen.session.values",
    "Track": "resonantgen.session.track",
    "understand": "resonantgen.prompt",
}
__all__ = ["ResonantGenError", "Result", "Role", "Session", "Settings", "Take", "Track", "__version__", "understand"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
