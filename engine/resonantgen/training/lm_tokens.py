"""Stems as tokens: each file is encoded once, and kept beside what was heard in it.

Files are known by their content, so that one which was renamed or copied is not encoded again, and one which was
changed is. Encoding can be interrupted at any time, and goes on with the next file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import soundfile

from resonantgen.audio.analysis import analyze
from resonantgen.codecs.loading import LoadedCodec
from resonantgen.codecs.token_file import TokenFile, read_tokens
from resonantgen.codecs.transcode import encode_file
from resonantgen.errors import AudioError, BadValue
from resonantgen.generators.resonant.conditions import Facts
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.session.files import storage_errors, write_file
from resonantgen.training.stem_folder import OnFile, Stem

HEARD_SECONDS = 60.0  # of a file, from its start, for its tempo and key
CLEAR = 0.2  # tempo and key that are less clear than that are not told


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A stem as tokens."""

    tokens: TokenFile
    facts: Facts
    held_out: bool
    sha256: str  # of the sound file

    @property
    def identity(self) -> str:
        """What a run that goes on must find again."""
        return f"{self.sha256} {self.held_out} {self.facts}"


class _Heard(msgspec.Struct, frozen=True):
    tempo_bpm: float | None
    key: str | None


def encode_stems(
    stems: Iterable[Stem],
    role: Role,
    loaded: LoadedCodec,
    codebooks: int,
    folder: Path,
    on_file: OnFile = lambda done, path: None,
) -> list[Clip]:
    """Encode what is not in `folder` yet. Raises AudioError, which names the file, and StorageError."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for done, stem in enumerate(stems):
        on_file(done, stem.path)
        sha256 = _file_sha256(stem.path)
        tokens = _tokens(
            stem.path, folder / f"{sha256[:24]}-{loaded.weights_sha256[:8]}-{codebooks}.rgt", loaded, codebooks
        )
        if not tokens.header.frames:
            raise AudioError(f"{stem.path} holds no sound: its length is 0. Remove it from the stems.")
        if tokens.header.scales:
            raise BadValue(f"{loaded.codec.name} codes loudness apart from tokens. Choose another codec: --codec NAME")
        tempo, key = stem.tempo_bpm, stem.key
        if not stem.measured:
            heard = _heard(stem.path, folder / f"{sha256[:24]}-{role.value}.json", role)
            tempo, key = heard.tempo_bpm, Key.parse(heard.key) if heard.key else None
        clips.append(Clip(tokens, Facts(role, tempo, key, stem.text), stem.held_out, sha256))
    return clips


def clips_sha256(clips: Iterable[Clip]) -> str:
    """Of all that is learned from."""
    return hashlib.sha256("\n".join(sorted(clip.identity for clip in clips)).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}.") from None


def _tokens(source: Path, kept: Path, loaded: LoadedCodec, codebooks: int) -> TokenFile:
    if kept.is_file():
        try:
            return read_tokens(kept)
        except AudioError:
            pass  # it is made again
    encode_file(source, kept, loaded, codebooks)
    return read_tokens(kept)


def _heard(source: Path, kept: Path, role: Role) -> _Heard:
    """Tempo and key, as they are heard."""
    if kept.is_file():
        try:
            return msgspec.json.decode(kept.read_bytes(), type=_Heard)
        except (msgspec.DecodeError, OSError):
            pass
    with soundfile.SoundFile(source) as file:
        sound = file.read(round(HEARD_SECONDS * file.samplerate), dtype="float64", always_2d=True)
        rate = file.samplerate
    found = analyze(sound, rate, role=role) if len(sound) else None
    tempo = found.tempo_bpm if found and found.tempo_clarity >= CLEAR else None
    key = str(found.key) if found and found.key and found.key_clarity >= CLEAR else None
    heard = _Heard(tempo, key)
    with storage_errors(kept):
        write_file(kept, msgspec.json.encode(heard))
    return heard
