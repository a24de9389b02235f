"""English forms of the lexicon's words: "dark", "darker", "darkest", "darkly"."""

from __future__ import annotations

import re

_IRREGULAR = {"fun": ("funner",), "bad": ("worse",), "evil": ("eviler",)}


def comparatives(word: str) -> tuple[str, ...]:
    """Comparative and superlative of a single short adjective; none for phrases and for words that take "more"."""
    if not re.fullmatch(r"[a-z]{3,9}", word) or word.endswith(("ing", "ed", "er", "ous", "ive", "ful", "ic", "tion")):
        return _IRREGULAR.get(word, ())
    if word.endswith("y") and word[-2] not in "aeiou":
        stem = word[:-1] + "i"
    elif word.endswith("e"):
        stem = word[:-1]
    elif re.fullmatch(r"[^aeiou]*[aeiou][bdgmnpt]", word):
        stem = word + word[-1]  # big, bigger
    else:
        stem = word
    forms = [stem + "er", stem + "est"]
    if stem.endswith("i"):
        forms.append(word + "er")  # dryer beside drier
    return tuple(forms)


def adverbs(word: str) -> tuple[str, ...]:
    """The adverb of an adjective, for "darkly lit" or "played softly"."""
    if not re.fullmatch(r"[a-z]{3,14}", word) or word.endswith(("ly", "ss", "er", "tion", "ness")):
        return ()
    if word.endswith("y"):
        return (word[:-1] + "ily",)
    if word.endswith("le"):
        return (word[:-1] + "y",)
    if word.endswith("ic"):
        return (word + "ally",)
    return (word + "ly",)
