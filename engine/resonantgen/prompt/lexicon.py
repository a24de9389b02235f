"""The words that are known: presets/lexicon/*.toml and the instruments' names, compiled into one table of phrases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TypeVar

from resonantgen.errors import PresetError
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter
from resonantgen.presets import load_preset, presets_folder
from resonantgen.prompt import inflection, schema
from resonantgen.prompt.intent import Feel
from resonantgen.prompt.tokens import words_of

T = TypeVar("T")
Words = tuple[str, ...]
InstrumentWords = Mapping[Role, Sequence[str]]


@dataclass(frozen=True, slots=True)
class StyleSense:
    """A name of a style, and what a narrower name adds."""

    style: str
    mood: str | None = None
    attributes: Mapping[str, float] = field(default_factory=dict)
    instruments: Mapping[Role, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A word for a mood or a way of playing. `steps` tells that it is a comparative ("darker")."""

    attributes: Mapping[str, float]
    whole: Mapping[str, float] = field(default_factory=dict)
    mood: str | None = None  # what it names (a word of moods.toml) or suggests
    names_mood: bool = False
    style: str | None = None
    role: Role | None = None  # that it is said of where the prompt does not say ("no fills")
    steps: bool = False


@dataclass(frozen=True, slots=True)
class RoleSense:
    role: Role
    weak: bool = False  # names the role only where it is told to change
    sound: bool = False  # one of the role's possible sounds rather than the role itself
    absent: bool = False  # says by itself that the role is not wanted: "drumless"


@dataclass(frozen=True, slots=True)
class PieceSense:
    """Pieces of the drum kit (DrumPiece.word), the one to hear first."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstrumentSense:
    """A word of the instrument catalog and the roles that have it, the likeliest first."""

    word: str
    roles: tuple[Role, ...]
    names_role: bool = False  # it names the role as well: "the lead"


@dataclass(frozen=True, slots=True)
class GrammarSense:
    """A word that holds the prompt together: a list of grammar.toml, such as "more" or "remove"."""

    kind: str


@dataclass(frozen=True, slots=True)
class TempoSense:
    factor: Fraction


@dataclass(frozen=True, slots=True)
class FeelSense:
    feel: Feel


@dataclass(frozen=True, slots=True)
class MeterSense:
    meter: Meter


Sense = (
    StyleSense
    | Descriptor
    | RoleSense
    | PieceSense
    | InstrumentSense
    | GrammarSense
    | TempoSense
    | FeelSense
    | MeterSense
)

# An instrument that several roles have is meant for the first of these that has it.
_ROLE_PREFERENCE = (Role.HARMONY, Role.MELODY, Role.BASS, Role.DRUMS)


@dataclass(frozen=True)
class Lexicon:
    """Phrases and what they mean; descriptions of styles and moods to compare unknown words with."""

    phrases: Mapping[Words, Sense]
    styles: Mapping[str, schema.StyleWords]
    moods: Mapping[str, schema.MoodWords]
    scenes: Sequence[schema.SceneGroup]
    unless: Mapping[str, schema.Unless]  # neighbours beside which a word is an ordinary word
    nouns: frozenset[str]  # words that make the style's name before them a style's name after all
    longest: int  # words in the longest phrase

    def find(self, words: Sequence[str]) -> tuple[Sense, int] | None:
        """The longest phrase at the start of `words`, and its length; the last word may be a plural."""
        for length in range(min(self.longest, len(words)), 0, -1):
            for phrase in _singulars(tuple(words[:length])):
                sense = self.phrases.get(phrase)
                plural = phrase[-1] != words[length - 1]
                if sense is not None and not (plural and isinstance(sense, GrammarSense)):
                    return sense, length
        return None

    def has_instrument(self, role: Role, word: str) -> bool:
        """Whether a role's catalog has an instrument by this word."""
        sense = self.phrases.get(words_of(word))
        return isinstance(sense, InstrumentSense) and role in sense.roles

    def content(self, text: str) -> str:
        """The words of a text without those that only hold it together; all of them if none would be left."""
        words = words_of(text)
        saying = [word for word in words if not isinstance(self.phrases.get((word,)), GrammarSense)]
        return " ".join(saying or words)

    def single_words(self) -> list[str]:
        """The phrases of one word that say something about music, sorted."""
        return sorted(p[0] for p, sense in self.phrases.items() if len(p) == 1 and not isinstance(sense, GrammarSense))


def _singulars(phrase: Words) -> Iterator[Words]:
    """A phrase, and what it may be the plural of."""
    if not phrase:
        return
    yield phrase
    *head, last = phrase
    if len(last) > 3 and last.endswith("s"):
        yield (*head, last[:-1])
        if last.endswith("es"):
            yield (*head, last[:-2])


@cache
def load_lexicon() -> Lexicon:
    """The lexicon of the presets with the words of the instrument catalog. Raises PresetError."""
    from resonantgen.instruments.catalog import catalog  # here: whoever passes a lexicon of their own needs no catalog

    words = {role: [word for entry in catalog(role).values() for word in entry.words] for role in Role}
    return read_lexicon(presets_folder() / "lexicon", words)


def read_lexicon(folder: Path, instruments: InstrumentWords) -> Lexicon:
    """Compile the files of a folder, with an instrument catalog's words. Raises PresetError with file and line."""
    table = _Table(folder)
    styles = {entry.id: entry for entry in load_preset(folder / "styles.toml", schema.Styles).style}
    moods = {entry.id: entry for entry in load_preset(folder / "moods.toml", schema.Moods).mood}
    descriptors = load_preset(folder / "descriptors.toml", schema.Descriptors)
    scenes = load_preset(folder / "scenes.toml", schema.Scenes).scenes
    roles = load_preset(folder / "roles.toml", schema.Roles)
    grammar = load_preset(folder / "grammar.toml", schema.Grammar)
    table.add_grammar(grammar)
    table.add_styles(styles)
    table.add_descriptors(moods, descriptors, grammar)
    table.add_roles(roles)
    table.add_instruments(instruments, roles.default_roles)
    table.check_references(styles, moods, descriptors, scenes)
    longest = max(map(len, table.phrases))
    return Lexicon(table.phrases, styles, moods, scenes, grammar.unless, frozenset(grammar.nouns), longest)


class _Table:
    """Phrases as they are collected; a phrase has one meaning, so a second one is an error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.phrases: dict[Words, Sense] = {}

    def add(self, file: str, phrase: str, sense: Sense) -> None:
        words = words_of(phrase)
        if not words or words in self.phrases:
            problem = "is not a word" if not words else "is in the lexicon already"
            raise PresetError(f'{self.folder / file}:{self._line(file, phrase)}: "{phrase}" {problem}.')
        self.phrases[words] = sense

    def _line(self, file: str, phrase: str) -> int:
        """The last line of a file that has the phrase in quotes."""
        lines = (self.folder / file).read_text(encoding="utf-8").splitlines()
        return max((n for n, line in enumerate(lines, start=1) if f'"{phrase}"' in line), default=1)

    def add_grammar(self, grammar: schema.Grammar) -> None:
        for kind, words in grammar.lists().items():
            for word in words:
                self.add("grammar.toml", word, GrammarSense(kind))
        valued: list[tuple[list[str], Sense]] = []
        valued += [(tempo.words, TempoSense(Fraction(tempo.factor))) for tempo in grammar.tempo]
        valued += [(feel.words, FeelSense(feel.feel)) for feel in grammar.feel]
        valued += [(meter.words, MeterSense(Meter.parse(meter.meter))) for meter in grammar.meter]
        for words, sense in valued:
            for word in words:
                self.add("grammar.toml", word, sense)

    def add_styles(self, styles: Mapping[str, schema.StyleWords]) -> None:
        for style, entry in styles.items():
            for word in entry.words:
                self.add("styles.toml", word, StyleSense(style))
            for variant in entry.variants:
                sense = StyleSense(style, variant.mood, variant.attributes.given(), variant.instruments)
                for word in variant.words:
                    self.add("styles.toml", word, sense)

    def add_descriptors(
        self, moods: Mapping[str, schema.MoodWords], descriptors: schema.Descriptors, grammar: schema.Grammar
    ) -> None:
        plain: dict[str, Descriptor] = {}
        for mood, entry in moods.items():
            for word in entry.words:
                plain[word] = Descriptor(entry.attributes.given(), mood=mood, names_mood=True)
                self.add("moods.toml", word, plain[word])
        for group in descriptors.descriptor:
            sense = Descriptor(
                group.attributes.given(), group.whole.given(), mood=group.mood, style=group.style, role=group.role
            )
            for word in group.words:
                plain[word] = sense
                self.add("descriptors.toml", word, sense)
        for word, sense in plain.items():
            for form in inflection.comparatives(word):
                self.phrases.setdefault((form,), _step(sense))
            for form in inflection.adverbs(word):
                self.phrases.setdefault((form,), sense)
        for verb, comparative in grammar.verbs.items():
            found = self.phrases.get((comparative,))
            if not isinstance(found, Descriptor) or not found.steps:
                line = self._line("grammar.toml", comparative)
                at = f"{self.folder / 'grammar.toml'}:{line}"
                raise PresetError(f'{at}: "{comparative}" is no comparative of the lexicon.')
            self.phrases.setdefault(words_of(verb), found)

    def add_roles(self, roles: schema.Roles) -> None:
        tables = {"": roles.roles, "weak": roles.weak_roles, "sound": roles.sounds, "absent": roles.without}
        for kind, table in tables.items():
            for role, words in table.items():
                sense = RoleSense(role, weak=kind == "weak", sound=kind == "sound", absent=kind == "absent")
                for word in words:
                    self.add("roles.toml", word, sense)
        for group in roles.piece:
            for word in group.words:
                self.add("roles.toml", word, PieceSense(tuple(group.pieces)))

    def add_instruments(self, instruments: InstrumentWords, default_roles: Mapping[str, Role]) -> None:
        """Styles and the small words keep their meaning; an instrument's word that also names a role says both."""
        by_word: dict[str, list[Role]] = {}
        for role in _ROLE_PREFERENCE:
            for word in instruments.get(role, ()):
                by_word.setdefault(word, []).append(role)
        for word, roles in by_word.items():
            words = words_of(word)
            known = next((self.phrases[form] for form in _singulars(words) if form in self.phrases), None)
            if not words or isinstance(known, StyleSense | GrammarSense | Descriptor | PieceSense):
                continue
            first = known.role if isinstance(known, RoleSense) else default_roles.get(word)
            ordered = sorted(roles, key=lambda role: role is not first)
            names_role = isinstance(known, RoleSense) and not known.sound
            self.phrases[words] = InstrumentSense(word, tuple(ordered), names_role)

    def check_references(
        self,
        styles: Mapping[str, schema.StyleWords],
        moods: Mapping[str, schema.MoodWords],
        descriptors: schema.Descriptors,
        scenes: Sequence[schema.SceneGroup],
    ) -> None:
        """Every mood and style that a file refers to is one of the tables. Raises PresetError."""
        used: list[tuple[str, str | None, Mapping[str, object]]] = []
        used += [("styles.toml", v.mood, moods) for entry in styles.values() for v in entry.variants]
        used += [("moods.toml", entry.style, styles) for entry in moods.values()]
        for group in descriptors.descriptor:
            used += [("descriptors.toml", group.mood, moods), ("descriptors.toml", group.style, styles)]
        for scene in scenes:
            used += [("scenes.toml", scene.style, styles), ("scenes.toml", scene.mood, moods)]
        for file, name, table in used:
            if name is not None and name not in table:
                raise PresetError(f'{self.folder / file}:{self._line(file, name)}: "{name}" is not known here.')


def _step(sense: Descriptor) -> Descriptor:
    return replace(sense, steps=True)
