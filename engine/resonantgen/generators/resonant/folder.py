"""What a trained model's folder says of itself, without torch: for commands that only have to know whether it can play.

A safetensors file begins with the length of a JSON text, 8 bytes, and the text, which says what is in the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec

from resonantgen.errors import ModelDamaged, ModelNotFound
from resonantgen.music.notes import Role

MODEL_NAME = "model.safetensors"
KIND = "track"
_MOST_HEADER_BYTES = 1 << 24


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a player has to know of a model beside its transformer."""

    role: Role
    codec: str  # its name, or the place of its weights
    codec_sha256: str
    sample_rate: int  # of the codec
    frame_samples: int
    codebooks: int  # of the codec's, so many are played
    piece_frames: int  # how long the pieces were that it learned from
    steps: int
    kind: str = KIND


@dataclass(frozen=True, slots=True)
class Peek:
    """What there is to know before a model is loaded."""

    name: str  # the folder's
    sha256: str  # of its weights, as it says
    about: About

    @property
    def role(self) -> Role:
        return self.about.role


class _Card(msgspec.Struct):
    sha256: str
    about: About


class _Metadata(msgspec.Struct):
    card: str


class _Header(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="__metadata__")


def peek(folder: Path) -> Peek:
    """A folder that `train lm` made. Raises ModelNotFound, ModelDamaged."""
    path = folder / MODEL_NAME
    if not path.is_file():
        raise ModelNotFound(
            f"{folder} holds no model. Make one: resonantgen train lm --role ROLE --stems FOLDER --out {folder}"
        )
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = msgspec.json.decode(file.read(min(length, _MOST_HEADER_BYTES)), type=_Header)
        card = msgspec.json.decode(header.metadata.card, type=_Card)
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError):
        raise ModelDamaged(f"{path} is no model that plays a track. Train it again, or restore it.") from None
    except OSError as error:
        raise ModelDamaged(f"{path} cannot be read: {error.strerror or error}.") from None
    if card.about.kind != KIND:
        raise ModelDamaged(f"{path} is no model that plays a track. Train it again, or restore it.")
    return Peek(folder.resolve().name, card.sha256, card.about)
