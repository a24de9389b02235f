"""Splits a prompt into words, numbers and pauses, each with its place in the text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

PAUSE = ","

_FOLDED = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "♯": "#", "♭": "b", "–": "-", "—": ",", "−": "-"})
_TOKEN = re.compile(
    r"""(?P<meter>\d+\s*/\s*\d+)
      | (?P<tempo>\d+(?:\.\d+)?bpm\b|\d+,\d+\s?bpm\b)
      | (?P<number>\d+(?:\.\d+)?(?![^\W_]|\.\d))
      | (?P<word>r\s?&\s?b\b | d\s?&\s?b\b | w/o\b | ac/dc\b
          | [a-z]\#(?:m(?:in|aj)?\b)?
          | \d+[^\W\d_]+
          | [^\W\d_]+(?:'[^\W\d_]+)*)
      | (?P<sign>[+&]|(?<!\w)-(?=\s?\d))
      | (?P<pause>[,;.!?()\[\]{}|"/\n]+)
      | (?P<other>[^\s\w:=-])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, sign or pause. `text` is in lower case; the prompt says it at [start, end)."""

    text: str
    kind: str  # a group of the pattern: "meter", "tempo", "number", "word", "sign", "pause", "other"
    start: int
    end: int


def folded(text: str) -> str:
    """Text with compatibility forms, quotes, dashes and case made equal. The length may change."""
    return unicodedata.normalize("NFKC", text.translate(_FOLDED)).casefold().translate(_FOLDED)


def tokenize(text: str) -> list[Token]:
    """The tokens of a text that `folded` gave.

    Hyphens separate words ("lo-fi" is "lo", "fi"); colons and equals signs are left out.
    """
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        value = re.sub(r"\s", "", match.group()) if kind in ("meter", "tempo", "word") else match.group()
        if kind == "pause":
            value = PAUSE
        tokens.append(Token(value, kind, match.start(), match.end()))
    return tokens


def words_of(phrase: str) -> tuple[str, ...]:
    """The words of a phrase of the lexicon, as `tokenize` would give them for a prompt."""
    return tuple(token.text for token in tokenize(folded(phrase)) if token.kind != "pause")
