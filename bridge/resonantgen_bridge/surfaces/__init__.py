"""Control surfaces for phones and tablets, made from `protocol.py`: TouchOSC, and Open Stage Control.

`controls.py` is what a control is, `layout.py` what stands where, and each app has a writer. plugin_stub/surfaces holds
what they write; a test compares it: python -m resonantgen_bridge.surfaces writes it again.
"""

from __future__ import annotations

from pathlib import Path

from resonantgen.errors import EngineError
from resonantgen.session.files import storage_errors, write_file
from resonantgen_bridge.daw_places import stub_folder
from resonantgen_bridge.surfaces.controls import SURFACE_PORT, Surface
from resonantgen_bridge.surfaces.layout import surface
from resonantgen_bridge.surfaces.open_stage_control import open_stage_control_session
from resonantgen_bridge.surfaces.touchosc import touchosc_layout

TOUCHOSC_FILE, OPEN_STAGE_CONTROL_FILE = "ResonantGen.tosc", "ResonantGen.json"


def write_surfaces(folder: Path, port: int = SURFACE_PORT) -> list[Path]:
    """Write both into a folder, for surfaces that listen at this port. Raises EngineError, StorageError."""
    made = surface(port)
    files = {
        folder / TOUCHOSC_FILE: _touchosc_layout(made, port),
        folder / OPEN_STAGE_CONTROL_FILE: open_stage_control_session(made),
    }
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            write_file(path, data)
    return list(files)


def _touchosc_layout(made: Surface, port: int) -> bytes:
    """Made now, or by us, where py2tosc is not installed."""
    try:
        return touchosc_layout(made, port)
    except EngineError:
        if port != SURFACE_PORT:
            raise
        return (stub_folder("surfaces") / TOUCHOSC_FILE).read_bytes()
