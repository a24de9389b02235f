"""What the files of presets/lexicon hold; each file says in its head what its fields mean."""

from __future__ import annotations

from typing import Annotated

import msgspec

from resonantgen.errors import BadValue
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Feel

Level = Annotated[float, msgspec.Meta(ge=-1, le=1)]
Phrases = Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)]


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attributes by name, those that are given."""

    energy: Level | None = None
    density: Level | None = None
    brightness: Level | None = None
    aggression: Level | None = None
    swing: Level | None = None
    space: Level | None = None

    def given(self) -> dict[str, float]:
        return {name: level for name, level in msgspec.structs.asdict(self).items() if level is not None}


class ByRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words for each role."""

    drums: list[str] = []
    bass: list[str] = []
    harmony: list[str] = []
    melody: list[str] = []

    def items(self) -> list[tuple[Role, list[str]]]:
        return [(role, getattr(self, role.value)) for role in Role]


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    mood: str | None = None
    attributes: Levels = Levels()
    instruments: dict[Role, str] = {}


class StyleWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    words: Phrases
    scenes: Phrases
    variants: list[Variant] = []


class MoodWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    words: Phrases
    scenes: Phrases
    attributes: Levels
    style: str


class Styles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    style: list[StyleWords]


class Moods(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mood: list[MoodWords]


class SceneGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    style: str
    mood: str
    texts: Phrases


class Scenes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scenes: list[SceneGroup]


class DescriptorGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases
    attributes: Levels
    whole: Levels = Levels()
    mood: str | None = None
    style: str | None = None
    role: Role | None = None


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
    roles: ByRole
    sounds: ByRole
    weak_roles: ByRole
    without: ByRole
    default_roles: dict[str, Role]
    piece: list[PieceGroup]


_LISTS = (
    *(
        "more",
        "less",
        "slight",
        "strong",
        "too",
        "negations",
        "enough",
        "remove",
        "removed",
        "add",
        "with_",
        "joins",
        "replace",
    ),
    *("keep", "only", "everything", "edit_verbs", "up", "down", "transpose"),
)


class WordList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: Phrases


class TempoWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    factor: Annotated[str, msgspec.Meta(pattern=r"^[1-9]\d?(/[1-9]\d?)?$")]
    words: Phrases


class FeelWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    feel: Feel
    words: Phrases


class MeterWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    meter: str
    words: Phrases

    def __post_init__(self) -> None:
        try:
            Meter.parse(self.meter)
        except BadValue as error:
            raise ValueError(str(error)) from None


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    more: Phrases
    less: Phrases
    slight: Phrases
    strong: Phrases
    too: Phrases
    negations: Phrases
    enough: Phrases
    remove: Phrases
    removed: Phrases
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
    tempo: list[TempoWords]
    feel: list[FeelWords]
    meter: list[MeterWords]
    verbs: dict[str, str]
    unless: dict[str, Unless]
    unsupported: WordList
    ignored: WordList

    def lists(self) -> dict[str, list[str]]:
        """The words of each kind that has no value of its own."""
        lists: dict[str, list[str]] = {name.rstrip("_"): getattr(self, name) for name in _LISTS}
        return lists | {"unsupported": self.unsupported.words, "ignored": self.ignored.words}
