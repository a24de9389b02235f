"""Which kits and patches there are, and the words that ask for them, without loading any synthesis."""

from __future__ import annotations

from functools import cache

import msgspec

from resonantgen.errors import BadValue
from resonantgen.music.notes import Role
from resonantgen.presets import load_preset, presets_folder


class CatalogEntry(msgspec.Struct, frozen=True):
    """The head of every file in presets/instruments/<role>/: what it is called, and what people call it."""

    title: str  # as shown: "Electric piano"
    words: list[str] = []  # lower case, as a prompt says them: ["rhodes", "electric piano", "ep"]


@cache
def catalog(role: Role) -> dict[str, CatalogEntry]:
    """The presets of a role by id (the file's name), sorted."""
    folder = presets_folder() / "instruments" / role.value
    return {path.stem: load_preset(path, CatalogEntry) for path in sorted(folder.glob("*.toml"))}


def preset_for_word(role: Role, word: str) -> str:
    """The id of the preset that a word asks for. Raises BadValue."""
    for preset_id, entry in catalog(role).items():
        if word == preset_id or word in entry.words:
            return preset_id
    raise BadValue(f'"{word[:40]}" is no instrument for {role.value}. Known: {", ".join(catalog(role))}.')
