"""Which neural models there are: what each is for, its licence, where it comes from. Data in presets/models/*.toml."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import Literal

import msgspec

from resonantgen.errors import BadValue, quoted
from resonantgen.presets import load_preset, presets_folder


class Licence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Under what terms weights are published."""

    name: str  # "CC-BY-NC 4.0"
    url: str
    means: str  # one sentence for a producer: what may be done with the music


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of presets/models/."""

    kind: Literal["encodec", "musicgen", "resonant"]
    text: str  # what it is for, in one line
    size_mb: int  # of its files, about: in units of 10**6 bytes
    sample_rate: int
    channels: Literal[1, 2]
    repository: str = ""  # on the Hugging Face Hub: "facebook/musicgen-small"; "": it is shipped
    files: list[str] = []  # that it needs of the hub, beside its weights
    licence: Licence


class ModelInfo(_Entry, frozen=True, kw_only=True):
    """What is known of a model before it is fetched."""

    name: str  # the file's name: "musicgen-small"

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with ResonantGen: in presets/models/, in a folder of its name."""
        return not self.repository

    @property
    def size_text(self) -> str:
        """About how much it takes: "2.4 GB"."""
        return bytes_text(self.size_mb * 10**6)


@cache
def catalog() -> dict[str, ModelInfo]:
    """All models by name, the small ones of a kind first. Raises PresetError."""
    entries = {path.stem: load_preset(path, _Entry) for path in (presets_folder() / "models").glob("*.toml")}
    found = [ModelInfo(name=name, **msgspec.structs.asdict(entry)) for name, entry in entries.items()]
    return {info.name: info for info in sorted(found, key=lambda info: (info.kind, info.channels, info.size_mb))}


def model_info(name: str) -> ModelInfo:
    """A model by name. Raises BadValue with the names that are nearest."""
    known = catalog()
    if name in known:
        return known[name]
    near = get_close_matches(name.lower().replace("_", "-"), known, n=3, cutoff=0.5)
    or_last = " or ".join(filter(None, [", ".join(near[:-1]), *near[-1:]]))
    hint = f"Did you mean {or_last}?" if near else f"Known: {', '.join(known)}."
    raise BadValue(f"{quoted(name)} is no model. {hint}")


def bytes_text(count: int) -> str:
    """ "2.4 GB", "93 MB", "812 bytes"; in powers of ten, as disks and networks are sold."""
    for unit, size, digits in (("GB", 10**9, 1), ("MB", 10**6, 0), ("kB", 10**3, 0)):
        if count >= size:
            return f"{count / size:.{digits}f} {unit}"
    return f"{count} bytes"
