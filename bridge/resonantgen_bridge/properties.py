"""The values of the properties in `protocol.PROPERTIES`, read off the session, the mixer and the transport."""

from __future__ import annotations

from resonantgen.music.notes import Role
from resonantgen.prompt.intent import ATTRIBUTES, Attributes
from resonantgen.session.session import Session
from resonantgen.session.setup import Setup
from resonantgen_bridge.calls import Value


def music_properties(session: Session) -> dict[str, Value]:
    """What plays: settings, locks and takes. Not the prompt, which takes looking through the history."""
    settings, playing, locked = session.settings, session.playing, session.locked
    values: dict[str, Value] = {
        "project": str(session.path.resolve()),
        "style": settings.style if settings else "",
        "tempo": float(settings.tempo_bpm) if settings else 120.0,
        "key": str(settings.key) if settings else "",
        "meter": str(settings.meter) if settings else "4/4",
        "bars": settings.bars if settings else 0,
        "chords": chords_text(session),
        **_attributes("", settings.attributes if settings else Attributes()),
    }
    for role in Role:
        take = playing.get(role)
        values |= {
            f"track/{role.value}/lock": role in locked,
            f"track/{role.value}/take": take.id if take else "",
            f"track/{role.value}/summary": take.summary if take else "",
            f"track/{role.value}/generator": take.generator if take else "",
            f"track/{role.value}/fit": str(take.fit or take.imported or "") if take else "",
            **_attributes(f"track/{role.value}/", take.recipe.part.attributes if take else Attributes()),
        }
    return values


def mixer_properties(setup: Setup) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for role, strip in setup.strips.items():
        values |= {
            f"track/{role.value}/gain": strip.gain_db,
            f"track/{role.value}/pan": strip.pan,
            f"track/{role.value}/mute": strip.muted,
            f"track/{role.value}/solo": strip.soloed,
        }
    return values


def chords_text(session: Session) -> str:
    """The names of the chords in order, each once in a row: "Am F G"."""
    key = session.settings.key if session.settings else None
    names: list[str] = []
    for span in session.chords.spans:
        name = span.chord.symbol(key) if key else str(span.chord)
        if not names or names[-1] != name:
            names.append(name)
    return " ".join(names)


def _attributes(prefix: str, attributes: Attributes) -> dict[str, Value]:
    return {f"{prefix}{name}": getattr(attributes, name) for name in ATTRIBUTES}
