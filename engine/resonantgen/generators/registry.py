"""Generators by role and name. Each is imported when it is first asked for.

Those of notes come with ResonantGen, one for each role. Those of sound are models: those of the catalogue play any role
where they are installed, and a folder that `resonantgen train lm` made plays the role that it was trained for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from resonantgen.errors import BadValue, quoted
from resonantgen.generators.audio import AudioGenerator
from resonantgen.generators.base import Generator, Request
from resonantgen.music.notes import Role, Score
from resonantgen.packages import require_packages

PATTERN = "pattern"  # the name of those that write notes

_GENERATORS = {
    (Role.DRUMS, PATTERN): ("resonantgen.generators.drums", "DrumGenerator"),
    (Role.BASS, PATTERN): ("resonantgen.generators.bass", "BassGenerator"),
    (Role.HARMONY, PATTERN): ("resonantgen.generators.harmony", "HarmonyGenerator"),
    (Role.MELODY, PATTERN): ("resonantgen.generators.melody", "MelodyGenerator"),
}
TRACK_PACKAGES = ("torch", "scipy", "python_stretch")  # that a model which was trained here imports
NEURAL_PACKAGES = (*TRACK_PACKAGES, "transformers")  # that MusicGen imports


def generator_names(role: Role) -> list[str]:
    """The names of a role's generators, the default first."""
    return [*(name for known, name in _GENERATORS if known is role), *audio_generator_names()]


def audio_generator_names() -> list[str]:
    """The names of the generators of sound, installed or not."""
    from resonantgen.models.catalog import catalog

    return [name for name, info in catalog().items() if info.kind == "musicgen"]


def generator_name(text: str) -> str:
    """A generator as people type it, as it is known: a name in lower case, or the place of a trained model's folder.

    A place has a separator in it: "./my-drums", "~/models/my-drums".
    """
    text = text.strip()
    return str(Path(text).expanduser().resolve()) if _is_place(text) else text.lower()


def short_name(name: str) -> str:
    """A generator's name without the place where it is, for labels."""
    return Path(name).name if _is_place(name) else name


def check_generator(role: Role, name: str) -> None:
    """Raises BadValue for an unknown name, or a trained model of another role; ModelNotFound, ModelDamaged."""
    if _is_place(name):
        from resonantgen.generators.resonant.folder import peek

        found = peek(Path(name))
        if found.role is not role:
            raise BadValue(
                f"{found.name} plays {found.role.value}, and not {role.value}: --generator {found.role.value}=…"
            )
    elif (role, name) not in _GENERATORS and name not in audio_generator_names():
        known = ", ".join(generator_names(role))
        raise BadValue(f"{quoted(name)} is no generator for {role.value}. Generators: {known}.")


def get_generator(role: Role, name: str = PATTERN) -> Generator:
    """A role's generator of notes. Raises BadValue for an unknown name."""
    module, class_name = _find(role, name)
    generator: Generator = getattr(import_module(module), class_name)()
    return generator


def require_audio_generator(name: str) -> None:
    """Raises ModelNotFound or ModelDamaged unless its model is on this machine, ModelUnusable unless what runs it is.

    Quick: nothing is loaded.
    """
    if _is_place(name):
        from resonantgen.generators.resonant.folder import peek

        require_packages(TRACK_PACKAGES, "neural", f"{peek(Path(name)).name} cannot play")
        return
    from resonantgen.models.folder import installed

    installed(name)
    require_packages(NEURAL_PACKAGES, "musicgen", f"{name} cannot play")


def get_audio_generator(name: str) -> AudioGenerator:
    """A generator of sound. Whichever is asked for again, its model is still in memory."""
    if _is_place(name):
        from resonantgen.generators.resonant.generator import TrackGenerator  # imported here: it brings scipy

        return TrackGenerator(name)
    from resonantgen.generators.musicgen.generator import MusicGenGenerator  # imported here: it brings scipy

    return MusicGenGenerator(name)


def summarise(score: Score, request: Request, name: str = PATTERN) -> str:
    """What a generator of notes has played, in a few words for the user. `request` is the one that made the score."""
    module, _ = _find(request.role, name)
    text: str = import_module(module).summary(score, request)
    return text


def _is_place(name: str) -> bool:
    return "/" in name or "\\" in name


def _find(role: Role, name: str) -> tuple[str, str]:
    if (role, name) not in _GENERATORS:
        known = ", ".join(known_name for known, known_name in _GENERATORS if known is role)
        raise BadValue(f"{quoted(name)} writes no notes for {role.value}. Those that do: {known}.")
    return _GENERATORS[role, name]
