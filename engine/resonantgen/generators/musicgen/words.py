"""What a text-to-music model is told for one track: its role first, the user's own words, then what the plan knows.

A model that was trained on whole pieces plays whole pieces unless it is told otherwise at once, and it plays what is
named, denied or not. So a prompt says what plays and what does not in set phrases, and of the user's words it repeats
only those that are about this track or about the music as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from resonantgen.generators.audio import AudioRequest
from resonantgen.generators.base import Plan
from resonantgen.instruments.catalog import catalog
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.prompt.intent import Attributes, Feel
from resonantgen.prompt.lexicon import InstrumentSense, PieceSense, RoleSense, Sense, load_lexicon
from resonantgen.prompt.tokens import words_of

OPENINGS = {
    Role.DRUMS: "drums only, no melody, no bass",
    Role.BASS: "solo bass, bass only, no drums, no melody",
    Role.HARMONY: "chords only, accompaniment, no drums, no bass",
    Role.MELODY: "solo lead melody only, no drums, no bass",
}
NOUNS = {
    Role.DRUMS: "drum loop",
    Role.BASS: "bass line",
    Role.HARMONY: "chord progression",
    Role.MELODY: "lead melody",
}
# How an attribute is said, below -CLEAR and above CLEAR.
CLEAR = 0.25
ADJECTIVES = {
    "energy": ("calm", "energetic"),
    "density": ("sparse", "busy"),
    "brightness": ("warm, dull", "bright"),
    "aggression": ("gentle", "hard, aggressive"),
    "swing": ("straight", "swinging"),
    "space": ("dry", "spacious, reverberant"),
}
FEELS = {Feel.HALF_TIME: "half-time feel", Feel.DOUBLE_TIME: "double-time feel"}
MOST_LETTERS = 400  # of the user's own words

# Where a clause ends. "drums and bass" are two, "drum and bass" is a style.
_SEAMS = re.compile(r"[,;.!?\n]+|\b(?:with|without|but|over|plus|and then|and|no)\b", re.IGNORECASE)
_DENIALS = frozenset({"no", "without", "not", "minus", "except", "remove", "drop", "kill", "mute"})
# What the plan says in its own words, whatever the prompt said.
_QUANTITIES = re.compile(
    r"\b\d+(?:\.\d+)?\s*(?:bpm|beats per minute|bars?)\b|\b\d{1,2}/\d{1,2}\b"
    r"|\b(?:in|key of)\s+[a-h](?:#|b|♯|♭| sharp| flat)?"
    r"\s*(?:major|minor|maj|min|harmonic minor|dorian|phrygian|lydian|mixolydian)?(?=\s*$)",
    re.IGNORECASE,
)
_JOINED_STYLES = re.compile(r"\b(?:drums? and bass|drum n bass|rhythm and blues|r and b)\b", re.IGNORECASE)
_LONGEST_NAME = 3  # words in the name of an instrument or a piece of the kit


def prompt_for(request: AudioRequest) -> str:
    """The words for a model, the same for the same request: "drums only, no melody, no bass: dark techno, …"."""
    asked = request.request
    plan, role = asked.plan, asked.role
    own = own_words(request.words, role)
    pieces = [own] if own else []
    style = plan.style.title.lower()
    pieces.append(NOUNS[role] if style in own.lower() else f"{style} {NOUNS[role]}")
    if plan.mood and not _says(own, plan.mood):
        pieces.append(plan.mood)
    if not _names_instrument(own, role):
        pieces.append(instrument_words(plan, role))
    pieces += _adjectives(asked.attributes)
    if asked.feel in FEELS:
        pieces.append(FEELS[asked.feel])
    if role is Role.DRUMS:
        pieces += [f"with {DrumPiece[name.upper()].word.replace('_', ' ')}" for name in sorted(asked.inclusions)[:3]]
    pieces += [f"{float(plan.tempo_bpm):g} bpm", str(plan.meter)]
    if role is not Role.DRUMS:
        pieces.append(f"in {plan.key}")
    return f"{OPENINGS[role]}: {', '.join(pieces)}, steady tempo, loop"


def own_words(text: str, role: Role) -> str:
    """What of a prompt is about this role or about the whole: without tempo, key and other tracks' words."""
    kept = []
    for clause, denied in _clauses(text[:MOST_LETTERS]):
        clause = " ".join(_QUANTITIES.sub(" ", clause).split())
        about = _roles_of(clause)
        if clause and not denied and (not about or role in about):
            kept.append(clause)
    return ", ".join(dict.fromkeys(kept))


def instrument_words(plan: Plan, role: Role) -> str:
    """What the style plays this role on, first of all: "tr-909 drum machine"."""
    title = catalog(role)[getattr(plan.style.instruments, role.value)[0]].title.lower()
    noun = {Role.DRUMS: "drums", Role.BASS: "bass"}.get(role, "")
    return title if noun in title else f"{title} {noun}"


def _clauses(text: str) -> Iterator[tuple[str, bool]]:
    """The clauses of a prompt, each with whether what it says is not wanted. A style's name is not cut in two."""
    start, denied = 0, False
    names = _style_spans(text)
    for seam in [*_SEAMS.finditer(text), None]:
        if seam is not None and any(first < seam.start() < last for first, last in names):
            continue
        clause = text[start : seam.start() if seam else len(text)].strip()
        words = clause.lower().split()
        yield clause, denied or bool(words and words[0] in _DENIALS)
        if seam is not None:
            start = seam.end()
            said = seam[0].lower()
            # "no drums and bass": what is joined to something unwanted is unwanted, too.
            denied = said in _DENIALS or (denied and said == "and")


def _style_spans(text: str) -> list[tuple[int, int]]:
    """Where names of styles that contain a seam stand: "drum and bass"."""
    return [match.span() for match in _JOINED_STYLES.finditer(text)]


def _roles_of(clause: str) -> set[Role]:
    """The roles that a clause is about: those that it names, or else those that have the instruments it names."""
    if _style_spans(clause):
        return set()
    senses = list(_senses(clause))
    named = {sense.role for sense in senses if isinstance(sense, RoleSense) and not sense.weak}
    if any(isinstance(sense, PieceSense) for sense in senses):
        named.add(Role.DRUMS)
    return named or {role for sense in senses if isinstance(sense, InstrumentSense) for role in sense.roles}


def _senses(text: str) -> Iterator[Sense]:
    """What the lexicon knows of a text's words, the longest phrases first; "hats" is known as "hat"."""
    phrases = load_lexicon().phrases
    words = list(words_of(text))
    start = 0
    while start < len(words):
        length = 1
        for length in range(min(_LONGEST_NAME, len(words) - start), 0, -1):
            phrase = tuple(words[start : start + length])
            sense = phrases.get(phrase) or phrases.get((*phrase[:-1], phrase[-1].removesuffix("s")))
            if sense is not None:
                yield sense
                break
        start += length


def _names_instrument(own: str, role: Role) -> bool:
    return any(isinstance(sense, InstrumentSense) and role in sense.roles for sense in _senses(own))


def _says(own: str, mood: str) -> bool:
    """Whether the user's words name a mood already, with any of its words."""
    said = set(own.lower().split())
    return mood in said or bool(said & set(load_lexicon().moods[mood].words))


def _adjectives(attributes: Attributes) -> list[str]:
    """One word or two for each attribute that is clearly away from the middle."""
    levels = {name: getattr(attributes, name) for name in ADJECTIVES}
    return [ADJECTIVES[name][level > 0] for name, level in levels.items() if abs(level) >= CLEAR]
