"""A role's tokens without any sound, and stems that are quick to encode: for tests of `train lm`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from resonant_models import random_codec
from resonantgen.codecs.resonant.weights import FILE, write_weights
from resonantgen.codecs.token_file import TokenFile, TokenHeader
from resonantgen.generators.resonant.conditions import Facts
from resonantgen.generators.resonant.model import new_track_model, track_config
from resonantgen.music.notes import Role
from resonantgen.training.lm_task import LMSettings, LMTask
from resonantgen.training.lm_tokens import Clip

RATE, FRAME_SAMPLES = 24_000, 320
FACTS = Facts(Role.DRUMS, 120.0, None, "dark techno")


def clip(frames: int, codebooks: int = 4, cardinality: int = 64, held_out: bool = False, seed: int = 0) -> Clip:
    """Random tokens, which nothing but memory can tell."""
    codes = np.random.default_rng(seed).integers(0, cardinality, (codebooks, frames)).astype(np.uint16)
    samples = frames * FRAME_SAMPLES
    header = TokenHeader(
        model="resonant",
        weights_sha256="0" * 64,
        sample_rate=RATE,
        channels=1,
        samples=samples,
        frame_samples=FRAME_SAMPLES,
        codebooks=codebooks,
        cardinality=cardinality,
        source_sample_rate=RATE,
        source_samples=samples,
        frames=frames,
    )
    return Clip(TokenFile(header, codes), FACTS, held_out, f"{seed}")


def task_of(clips: list[Clip], piece_frames: int, width: int = 32, batch: int = 2, seed: int = 0) -> LMTask:
    """With a tiny transformer."""
    header = clips[0].tokens.header
    config = track_config(header.codebooks, header.cardinality, piece_frames, width, 2, 2, 2 * width)
    return LMTask(*new_track_model(config, seed), clips, LMSettings(batch=batch, piece_frames=piece_frames))


def codes_of(clip: Clip) -> Tensor:
    """[K, F] int64."""
    return torch.from_numpy(clip.tokens.codes.astype(np.int64))


def write_codec(folder: Path) -> Path:
    """A tiny resonant codec of 64 entries a codebook."""
    folder.mkdir()
    write_weights(random_codec(), folder / FILE)
    return folder


def write_loop(path: Path, seed: int = 0, seconds: float = 1.0, rate: int = RATE) -> Path:
    """Four strokes of noise, as loud as the seed has it."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    strokes = np.exp(-((time * 4 / seconds) % 1.0) * 12)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * strokes * generator.uniform(-1, 1, len(time)), rate)
    return path
