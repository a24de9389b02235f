"""What a track's model is told: role, tempo, key and words, each as one vector of the prefix.

Whatever is not known has a vector of its own, which is learned as all others are: in training every fact is left out
now and then, and all of them together, which is the null condition that guidance leads away from (Ho and Salimans,
"Classifier-free diffusion guidance", 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from resonantgen.lm.conditioning import Conditioning
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.prompt.embeddings import WordLlama, load_embeddings
from resonantgen.prompt.tokens import words_of

TEMPO_POINTS = 25  # of a scale from the slowest to the fastest, in equal steps of its logarithm
SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0
KEYS = 24  # a tonic, major or minor
TEXT_WIDTH = 256  # of the word embeddings
SIZES = (len(Role), TEMPO_POINTS, KEYS, TEXT_WIDTH)  # of the facts, in their order


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a piece of sound. None, and no text, is what is not known."""

    role: Role | None = None
    tempo_bpm: float | None = None
    key: Key | None = None
    text: str = ""

    def __str__(self) -> str:
        """For people: "drums, 128 bpm: dark techno"."""
        role = self.role.value if self.role else None
        tempo = None if self.tempo_bpm is None else f"{self.tempo_bpm:g} bpm"
        told = ", ".join(fact for fact in (role, tempo, None if self.key is None else str(self.key)) if fact)
        return ": ".join(part for part in (told, self.text) if part)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Facts as numbers."""

    values: Tensor  # [sum of SIZES]: of a fact that is not known, zeros
    known: Tensor  # [facts] bool

    @classmethod
    def of(cls, facts: Facts) -> Features:
        values = (_role(facts.role), _tempo(facts.tempo_bpm), _key(facts.key), _text(facts.text))
        rows = [torch.zeros(size) if v is None else v for v, size in zip(values, SIZES, strict=True)]
        return cls(torch.cat(rows), torch.tensor([value is not None for value in values]))


class Conditions(nn.Module):
    """Features to the vectors of a prefix, one for each fact."""

    def __init__(self, width: int) -> None:
        """Of a transformer of that width. With random weights, from torch's global generator."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(sum(SIZES), width) * 0.1)  # of all facts, one below the other
        self.unknown = nn.Parameter(torch.randn(len(SIZES), width) * 0.1)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Values [B, sum of SIZES], known [B, facts] -> prefixes [B, facts, width]."""
        parts = zip(torch.split(values, list(SIZES), dim=1), torch.split(self.weight, list(SIZES)), strict=True)
        vectors = torch.stack([value @ weight for value, weight in parts], dim=1)
        return torch.where(known.unsqueeze(2), vectors, self.unknown)

    def of(self, features: Sequence[Features]) -> list[Conditioning]:
        """What a transformer is conditioned on."""
        device = self.weight.device
        values = torch.stack([each.values for each in features]).to(device)
        known = torch.stack([each.known for each in features]).to(device)
        return [Conditioning(prefix=prefix) for prefix in self(values, known)]


def _role(role: Role | None) -> Tensor | None:
    return None if role is None else torch.eye(len(Role))[list(Role).index(role)]


def _tempo(tempo_bpm: float | None) -> Tensor | None:
    """Between the two points of the scale that it lies between."""
    if tempo_bpm is None:
        return None
    clamped = min(max(tempo_bpm, SLOWEST_BPM), FASTEST_BPM)
    place = math.log(clamped / SLOWEST_BPM) / math.log(FASTEST_BPM / SLOWEST_BPM) * (TEMPO_POINTS - 1)
    return torch.clamp(1 - (torch.arange(TEMPO_POINTS) - place).abs(), min=0)


def _key(key: Key | None) -> Tensor | None:
    return None if key is None else torch.eye(KEYS)[key.tonic + 12 * key.mode.is_minor]


def _text(text: str) -> Tensor | None:
    """The mean of its words' vectors, of length 16: about 1 in each component."""
    words = list(words_of(text))
    if not words:
        return None
    vector = cast(WordLlama, load_embeddings()).word_vectors(words).mean(axis=0)
    length = float(np.linalg.norm(vector))
    return torch.from_numpy(vector / length * math.sqrt(TEXT_WIDTH)) if length else None
