"""What a style says about harmony: the `[harmony]` section of a file in presets/styles."""

from __future__ import annotations

import msgspec


class HarmonyGrammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `[harmony]` section."""
