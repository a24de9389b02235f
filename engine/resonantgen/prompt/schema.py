"""What the files of presets/lexicon hold; each file says in its head what its fields mean."""

from __future__ import annotations

from typing import Annotated

import msgspec

from resonantgen.errors import BadValue
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import ATTRIBUTES, Feel

Level = Annotated[float, msgspec.Meta(ge=-1, le=1)]
Levels = dict[Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(ATTRIBUTES)})$")], Level]
Phrases = Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)]


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    mood: str | None = None
    attributes: Levels = {}
    instruments: dict[Role, str] = {}


class StyleWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    scenes: Phrases
    variants: list[Variant] = []


class MoodWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    scenes: Phrases
    attributes: Levels
    style: str


class SceneGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    style: str
    mood: str
    texts: Phrases


class Scenes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scenes: list[SceneGroup]


class DescriptorGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    attributes: Levels
    whole: Levels = {}
    mood: str | None = None
    style: str | None = None


class Descriptors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    descriptor: list[DescriptorGroup]


class PieceGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    pieces: Phrases

    def __post_init__(self) -> None:
        known = {piece.word for piece in DrumPiece}
        unknown = [piece for piece in self.pieces if piece not in known]
        if unknown:
            raise ValueError(f"no drum piece {', '.join(unknown)}; pieces: {', '.join(sorted(known))}")


class Unless(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: list[str] = []
    before: list[str] = []
    verb: str | None = None


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    roles: dict[Role, Phrases]
    sounds: dict[Role, Phrases]
    weak_roles: dict[Role, Phrases]
    default_roles: dict[str, Role]
    piece: list[PieceGroup]


_LISTS = (
    *("more", "less", "slight", "strong", "too", "negations", "enough", "remove", "add", "with_", "joins", "replace"),
    *("keep", "only", "everything", "edit_verbs", "up", "down", "transpose"),
)


class WordList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    more: Phrases
    less: Phrases
    slight: Phrases
    strong: Phrases
    too: Phrases
    negations: Phrases
    enough: Phrases
    remove: Phrases
    add: Phrases
    with_: Phrases = msgspec.field(name="with")
    joins: Phrases
    replace: Phrases
    keep: Phrases
    only: Phrases
    everything: Phrases
    edit_verbs: Phrases
    nouns: Phrases
    up: Phrases
    down: Phrases
    transpose: Phrases
    tempo: dict[str, Annotated[str, msgspec.Meta(pattern=r"^[1-9]\d?(/[1-9]\d?)?$")]]
    feel: dict[Feel, Phrases]
    meters: dict[str, Phrases]
    verbs: dict[str, str]
    unless: dict[str, Unless]
    unsupported: WordList
    ignored: WordList

    def __post_init__(self) -> None:
        for text in self.meters:
            try:
                Meter.parse(text)
            except BadValue as error:
                raise ValueError(str(error)) from None

    def lists(self) -> dict[str, list[str]]:
        """The words of each kind that has no value of its own."""
        lists: dict[str, list[str]] = {name.rstrip("_"): getattr(self, name) for name in _LISTS}
        return lists | {"unsupported": self.unsupported.words, "ignored": self.ignored.words}
