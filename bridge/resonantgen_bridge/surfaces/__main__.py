"""Writes plugin_stub/surfaces again."""

from pathlib import Path

from resonantgen_bridge.surfaces import write_surfaces

write_surfaces(Path(__file__).parents[3] / "plugin_stub" / "surfaces")
