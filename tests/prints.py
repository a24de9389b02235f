"""A print in a folder, as the engine leaves it for the scripts in DAWs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 8000
NOTES = [[0.0, 0.5, 36, 100], [3.5, 0.25, 42, 90]]
ROLES = ("drums", "bass")


def leave_print(folder: Path, *, roles: tuple[str, ...] = ROLES, **index: Any) -> Path:
    """As the engine's `print` does: two bars of 4/4 at 120 BPM."""
    folder.mkdir(exist_ok=True)
    for role in roles:
        soundfile.write(folder / f"{role}.wav", np.zeros((4 * RATE, 2), np.float32), RATE)
    tracks = [
        {"role": role, "daw_track": None, "wav": f"{role}.wav", "midi": f"{role}.mid", "notes": NOTES} for role in roles
    ]
    whole = {"version": 1, "name": "night", "tempo": 120.0, "meter": "4/4", "bars": 2, "bar": 1, "scene": 0}
    whole |= {"kind": "audio", "tracks": tracks} | index
    (folder / "print.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


def part(role: str, **values: Any) -> dict[str, Any]:
    return {"role": role, "daw_track": None, "wav": f"{role}.wav", "midi": f"{role}.mid", "notes": NOTES} | values
