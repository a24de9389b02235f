"""What a style says about melody: the `[melody]` section of a file in presets/styles."""

from __future__ import annotations

import msgspec


class MelodyGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[melody]` section."""
