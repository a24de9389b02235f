"""What was understood of a prompt, in a few words to show: `techno · dark · energy +0.4 · bass: driving`."""

from __future__ import annotations

from collections.abc import Mapping

from resonantgen.music.notes import DrumPiece, Role
from resonantgen.music.time import bars_text
from resonantgen.prompt.intent import ATTRIBUTES, Change, Feel, Intent, RoleIntent
from resonantgen.prompt.lexicon import load_lexicon

_FEELS = {Feel.NORMAL: "normal time", Feel.HALF_TIME: "half time", Feel.DOUBLE_TIME: "double time"}


def describe(intent: Intent) -> list[str]:
    """One short piece for each thing that was understood, and one for what was not; at least one piece.

    Levels that a mood brings with it are not repeated beside the mood.
    """
    pieces = []
    for name, value in (("style", intent.style), ("mood", intent.mood)):
        if value is not None:
            shown = value.replace("_", " ")
            pieces.append(f"{shown} (nearest {name})" if name in intent.guessed else shown)
    pieces += _attributes(_beyond_mood(intent))
    pieces += _quantities(intent)
    for role in Role:
        if role in intent.removed_roles:
            pieces.append(f"no {role.value}")
        elif role in intent.by_role:
            said = _role(intent.by_role[role])
            pieces.append(f"{role.value}: {', '.join(said)}" if said else role.value)
    pieces += [role.value for role in intent.roles if role not in intent.by_role and role not in intent.removed_roles]
    if intent.not_understood:
        pieces.append(f"not understood: {', '.join(intent.not_understood)}")
    return pieces or ["nothing in particular"]


def _beyond_mood(intent: Intent) -> Mapping[str, Change]:
    """The attributes without those that are just the mood's own."""
    mood = load_lexicon().moods.get(intent.mood) if intent.mood else None
    own = {name: Change(level, relative=False) for name, level in mood.attributes.given().items()} if mood else {}
    return {name: change for name, change in intent.attributes.items() if own.get(name) != change}


def _attributes(changes: Mapping[str, Change], *, steps_only: bool = False) -> list[str]:
    return [
        f"{name} {changes[name].amount:+.2g}"
        for name in ATTRIBUTES
        if name in changes and (changes[name].relative or not steps_only)
    ]


def _quantities(intent: Intent) -> list[str]:
    said = []
    if intent.tempo_bpm is not None:
        said.append(f"{float(intent.tempo_bpm):g} bpm")
    if intent.tempo_factor is not None:
        said.append(f"tempo × {float(intent.tempo_factor):.3g}")
    if intent.meter is not None:
        said.append(str(intent.meter))
    if intent.key is not None:
        said.append(str(intent.key))
    elif intent.mode is not None:
        said.append(intent.mode.value)
    if intent.bars is not None:
        said.append(bars_text(intent.bars))
    return said + _transposition(intent.transpose_semitones)


def _transposition(semitones: int) -> list[str]:
    if semitones == 0:
        return []
    return [f"{'up' if semitones > 0 else 'down'} {abs(semitones)} semitone{'s' if abs(semitones) != 1 else ''}"]


def _role(role: RoleIntent) -> list[str]:
    """What was said of one role: the words for levels, numbers for steps."""
    said = [] if role.instrument is None else [role.instrument]
    said += [*role.words, *_attributes(role.attributes, steps_only=bool(role.words))]
    if role.feel is not None:
        said.append(_FEELS[role.feel])
    said += _transposition(role.transpose_semitones)
    only = len(role.exclusions) + len(role.inclusions) == len(DrumPiece)
    said += [f"no {piece.replace('_', ' ')}" for piece in sorted(role.exclusions) if not only]
    said += [f"{'only ' if only else ''}{piece.replace('_', ' ')}" for piece in sorted(role.inclusions)]
    return said
