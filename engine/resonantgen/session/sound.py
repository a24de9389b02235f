"""From what was asked of a track to the kit or patch that it plays on and where its macros stand."""

from __future__ import annotations

from resonantgen.generators.dice import Dice
from resonantgen.generators.style import Style
from resonantgen.instruments.base import Macros, Sound
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Attributes
from resonantgen.session.values import Part

FALLING = 0.4  # weight of each instrument of a style against the one before it: of three, the first in two of three


def choose_sound(role: Role, part: Part, style: Style, seed: int) -> Sound:
    """The instrument that words asked for, otherwise one of the style's, clearly most often the first."""
    preset = part.instrument
    if preset is None:
        choices = style.instruments_for(role)
        weights = [FALLING**index for index in range(len(choices))]
        preset = Dice(seed, "sound", style.id, role.value).weighted(choices, weights)
    return Sound(preset, macros_for(part.attributes))


def macros_for(attributes: Attributes) -> Macros:
    """The macros that make attributes heard.

    Energy and aggression act mainly on the notes (how hard, how many); here they open and saturate the sound a little
    and sharpen its attack, so that an edit is heard even where a pattern is already at its limit.
    """
    a = attributes
    return Macros().moved(
        brightness=a.brightness + 0.25 * a.aggression + 0.15 * a.energy,
        drive=0.9 * a.aggression + 0.2 * a.energy,
        attack=-0.4 * a.aggression - 0.2 * a.energy,
        release=0.5 * a.space,
        width=0.3 * a.space,
        space=a.space,
    )
