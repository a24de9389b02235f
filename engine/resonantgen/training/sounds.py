"""Sound files in memory, as a codec takes them: 16 bits, one channel, at its rate. An hour at 24 kHz is 173 MB."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from resonantgen.audio.resample import resample
from resonantgen.errors import AudioError, BadValue
from resonantgen.music.notes import Role
from resonantgen.training.stem_folder import MANIFEST, OnFile, Stem, find_stems

Sound = NDArray[np.int16]  # [T]

ANY = "sound"  # the role of what lies in one folder
SHORTEST_SECONDS = 0.1  # windows of spectra take so much: shorter files are followed by silence
QUIETEST = 0.02  # peak of what is worth learning from


@dataclass(frozen=True, slots=True)
class Sounds:
    """By role: what is learned from, and what is held out."""

    learned: Mapping[str, Sequence[Sound]]
    held_out: Mapping[str, Sequence[Sound]]
    sha256: str  # of all samples, with their roles


def read_sounds(
    folder: Path, sample_rate: int, most_held_out: int, on_file: OnFile = lambda done, path: None
) -> Sounds:
    """All stems of a folder; of those held out, up to `most_held_out` of each role. Raises BadValue, AudioError."""
    learned: dict[str, list[Sound]] = {}
    held_out: dict[str, list[Sound]] = {}
    digest = hashlib.sha256()
    done = 0
    for role, stems in stems_by_role(folder).items():
        kept = _spread([stem for stem in stems if stem.held_out], most_held_out)
        for stem in [*(stem for stem in stems if not stem.held_out), *kept]:
            on_file(done, stem.path)
            sound = read_sound(stem.path, sample_rate)
            (held_out if stem.held_out else learned).setdefault(role, []).append(sound)
            digest.update(f"{role} {stem.held_out} {len(sound)} ".encode() + sound.tobytes())
            done += 1
        if all(_silent(sound) for sound in learned[role]):
            raise BadValue(f"All that is to be learned of {role} in {folder} is silent, or next to it. Take it away.")
    return Sounds(learned, held_out, digest.hexdigest())


def stems_by_role(folder: Path) -> dict[str, list[Stem]]:
    """The stems of each role that has any, or all as one where there are no roles. Raises as `find_stems`."""
    has_roles = (folder / MANIFEST).is_file() or any((folder / role.value).is_dir() for role in Role)
    if not has_roles:
        return {ANY: find_stems(folder, Role.DRUMS)}
    found: dict[str, list[Stem]] = {}
    problem: BadValue | None = None
    for role in Role:
        try:
            found[role.value] = find_stems(folder, role)
        except BadValue as error:
            problem = problem or error
    if not found:
        assert problem is not None
        raise problem
    return found


def read_sound(path: Path, sample_rate: int) -> Sound:
    """A file as one channel at a rate, at least SHORTEST_SECONDS long. Raises AudioError."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, TypeError):
        raise AudioError(f"{path} is no sound file that can be read. Take it away, or write it again.") from None
    if not len(samples):
        raise AudioError(f"{path} holds no sound: its length is 0. Take it away.")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} holds samples that are no numbers (NaN or infinity). Write it again.")
    mono = samples.mean(axis=1, keepdims=True)
    if rate != sample_rate:
        mono = resample(mono, rate, sample_rate)
    mono = np.pad(mono, ((0, max(0, round(SHORTEST_SECONDS * sample_rate) - len(mono))), (0, 0)))
    return np.asarray(np.round(np.clip(mono[:, 0], -1, 1) * 32767), dtype=np.int16)


def _silent(sound: Sound) -> bool:
    return int(np.abs(sound.astype(np.int32)).max()) < QUIETEST * 32767


def _spread(stems: Sequence[Stem], most: int) -> list[Stem]:
    """So many of them, from the first to the last."""
    count = min(most, len(stems))
    return [stems[number * len(stems) // count] for number in range(count)]
