"""Learning to play a track: the next token of each codebook, from those before it and what is known of the sound.

Copet et al., "Simple and Controllable Music Generation", 2023, on a person's own stems: pieces of sound as tokens in
the delay pattern, cross-entropy per codebook, and conditions that are left out now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resonantgen.generators.resonant.conditions import SIZES, Conditions, Features
from resonantgen.lm.delay import delayed, occupied, start_column
from resonantgen.lm.transformer import Transformer
from resonantgen.training.lm_tokens import Clip

NOT_LEARNED = -100
MOST_EVALUATED = 32  # pieces, from held-out clips in turn


@dataclass(frozen=True, slots=True)
class LMSettings:
    """How pieces are drawn."""

    batch: int = 4
    piece_frames: int = 450
    drop_all: float = 0.1  # how often nothing is told
    drop_each: float = 0.1  # how often a fact is left out of what is told


class LMTask:
    """A `Task`: clips, in pieces, to a transformer and its conditions."""

    name = "lm"

    def __init__(
        self, transformer: Transformer, conditions: Conditions, clips: Sequence[Clip], settings: LMSettings
    ) -> None:
        self.transformer, self.conditions, self.settings = transformer, conditions, settings
        self.module = nn.ModuleDict({"transformer": transformer, "conditions": conditions})
        least = settings.piece_frames
        self._pieces = [(_codes(clip, least), Features.of(clip.facts)) for clip in clips if not clip.held_out]
        self._held_out = [(_codes(clip, least), Features.of(clip.facts)) for clip in clips if clip.held_out]
        # A clip is drawn as often as it has places to begin at, and short ones not much less often than long ones
        self._weights = torch.tensor([float(codes.shape[1]) for codes, _ in self._pieces])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weight decay is for matrices alone."""
        parameters = list(self.module.parameters())
        return [
            {"params": [p for p in parameters if p.ndim >= 2]},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy in nats: the mean over codebooks, and of each."""
        s = self.settings
        drawn = torch.multinomial(self._weights, s.batch, replacement=True, generator=generator)
        codes, features = [], []
        for number in drawn.tolist():
            clip, known = self._pieces[number]
            start = int(torch.randint(clip.shape[1] - s.piece_frames + 1, (1,), generator=generator))
            codes.append(clip[:, start : start + s.piece_frames])
            features.append(_dropped(known, s, generator))
        of_codebooks, _ = self._losses(torch.stack(codes).long(), features)
        values = of_codebooks.detach().tolist()
        return of_codebooks.mean(), {f"codebook {k}": value for k, value in enumerate(values, 1)}

    def evaluate(self) -> dict[str, float]:
        """The loss of held-out pieces, and how often the likeliest token is the right one."""
        if not self._held_out:
            return {}
        losses, rights = [], []
        for codes, features in _in_turn(self._held_out, self.settings.piece_frames)[:MOST_EVALUATED]:
            of_codebooks, right = self._losses(codes[None].long(), [features])
            losses.append(of_codebooks)
            rights.append(right)
        values = torch.stack(losses).mean(dim=0).tolist()
        return {
            "loss": sum(values) / len(values),
            **{f"codebook {k}": value for k, value in enumerate(values, 1)},
            "likeliest is right": float(torch.stack(rights).mean()),
        }

    def _losses(self, codes: Tensor, features: Sequence[Features]) -> tuple[Tensor, Tensor]:
        """Codes [B, K, F] -> the loss of each codebook [K], and the share of tokens that are the likeliest."""
        config = self.transformer.config
        codes = codes.to(self.conditions.unknown.device)
        columns = delayed(codes, config.delays, config.special)
        special = start_column(config.special, codes.device).expand(len(codes), -1, -1)
        read = torch.cat([special, columns[..., :-1]], dim=-1)
        holds = occupied(config.delays, codes.shape[-1], codes.device)
        targets = columns.masked_fill(~holds, NOT_LEARNED)
        logits = self.transformer.offline(read, self.conditions.of(features))  # [B, K, T, V]
        each = cross_entropy(logits.movedim(3, 1), targets, ignore_index=NOT_LEARNED, reduction="none")
        right = (logits.detach().argmax(dim=-1) == targets).sum() / (holds.sum() * len(codes))
        return each.sum(dim=(0, 2)) / (holds.sum(dim=1) * len(codes)), right


def _codes(clip: Clip, least: int) -> Tensor:
    """Tokens [K, F] of at least so many frames: what is shorter goes round, as a loop does."""
    codes = torch.from_numpy(clip.tokens.codes.astype(np.int32))
    assert codes.shape[1], "an empty clip has nothing to learn from"
    return codes.repeat(1, -(-least // codes.shape[1]))[:, : max(least, codes.shape[1])]


def _dropped(features: Features, settings: LMSettings, generator: torch.Generator) -> Features:
    chances = torch.rand(1 + len(SIZES), generator=generator)
    told = (chances[1:] >= settings.drop_each) & (chances[0] >= settings.drop_all)
    return Features(features.values, features.known & told)


def _in_turn(clips: Sequence[tuple[Tensor, Features]], frames: int) -> list[tuple[Tensor, Features]]:
    """The first piece of each clip, then the second of each that has one, and so on."""
    pieces = [
        (start, number, codes[:, start : start + frames], features)
        for number, (codes, features) in enumerate(clips)
        for start in range(0, codes.shape[1] - frames + 1, frames)
    ]
    return [(codes, features) for _, _, codes, features in sorted(pieces, key=lambda piece: piece[:2])]
