"""What a style says about bass: the `[bass]` section of a file in presets/styles."""

from __future__ import annotations

import msgspec


class BassGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[bass]` section."""
