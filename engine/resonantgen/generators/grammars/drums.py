"""What a style says about drums: the `[drums]` section of a file in presets/styles."""

from __future__ import annotations

import msgspec


class DrumGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[drums]` section."""
