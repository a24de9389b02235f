"""Generators by role and name. Each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from resonantgen.errors import BadValue
from resonantgen.generators.base import Generator, Request
from resonantgen.music.notes import Role, Score

_GENERATORS = {
    (Role.DRUMS, "pattern"): ("resonantgen.generators.drums", "DrumGenerator"),
    (Role.BASS, "pattern"): ("resonantgen.generators.bass", "BassGenerator"),
    (Role.HARMONY, "pattern"): ("resonantgen.generators.harmony", "HarmonyGenerator"),
    (Role.MELODY, "pattern"): ("resonantgen.generators.melody", "MelodyGenerator"),
}


def generator_names(role: Role) -> list[str]:
    """The names of a role's generators, the default first."""
    return [name for known, name in _GENERATORS if known is role]


def get_generator(role: Role, name: str = "pattern") -> Generator:
    """A role's generator. Raises BadValue for an unknown name."""
    module, class_name = _find(role, name)
    generator: Generator = getattr(import_module(module), class_name)()
    return generator


def summarise(score: Score, request: Request, name: str = "pattern") -> str:
    """What a generator has played, in a few words for the user. `request` is the one that made the score."""
    module, _ = _find(request.role, name)
    text: str = import_module(module).summary(score, request)
    return text


def _find(role: Role, name: str) -> tuple[str, str]:
    if (role, name) not in _GENERATORS:
        known = ", ".join(generator_names(role))
        raise BadValue(f'"{name[:40]}" is no generator for {role.value}. Generators: {known}.')
    return _GENERATORS[role, name]
