"""`train lm` from a folder of stems to a model that plays: tokens, the run, and what is written at each save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resonantgen.codecs.loading import LoadedCodec
from resonantgen.errors import BadValue
from resonantgen.generators.resonant.folder import About
from resonantgen.generators.resonant.model import new_track_model, track_config, write_track_model
from resonantgen.lm.config import LMConfig
from resonantgen.models.catalog import catalog
from resonantgen.music.notes import Role
from resonantgen.training.curve import save_curve
from resonantgen.training.distributed import joined, wait
from resonantgen.training.history import History
from resonantgen.training.lm_task import LMSettings, LMTask
from resonantgen.training.lm_tokens import Clip, clips_sha256, encode_stems
from resonantgen.training.loop import Observer, TrainSettings, train
from resonantgen.training.stem_folder import OnFile, find_stems

TOKENS_NAME = "tokens"


@dataclass(frozen=True, slots=True)
class Size:
    """Of a transformer."""

    width: int
    layers: int
    heads: int
    feedforward: int


SIZES = {
    "tiny": Size(128, 2, 4, 512),
    "small": Size(256, 4, 4, 1024),
    "medium": Size(512, 6, 8, 2048),
    "large": Size(1024, 12, 16, 4096),
}


@dataclass(frozen=True, slots=True)
class LMRun:
    """All that a run depends on."""

    role: Role
    stems: Path
    out: Path
    codec: str  # its name, or where its weights are
    codebooks: int | None  # None: all that the codec has
    size: str  # of SIZES
    piece_seconds: float
    batch: int
    settings: TrainSettings
    licence: str

    def config(self, loaded: LoadedCodec) -> LMConfig:
        """The transformer's. Raises BadValue for codebooks that the codec does not have."""
        codec, size = loaded.codec, SIZES[self.size]
        codebooks = codec.codebooks if self.codebooks is None else self.codebooks
        if not 1 <= codebooks <= codec.codebooks:
            raise BadValue(f"{codec.name} has from 1 to {codec.codebooks} codebooks, not {codebooks}.")
        frames = max(round(self.piece_seconds * codec.frame_rate), 1)
        return track_config(codebooks, codec.cardinality, frames, size.width, size.layers, size.heads, size.feedforward)


class Saver:
    """Writes the model, its card and the curve, each time that the run is saved."""

    def __init__(self, run: LMRun, task: LMTask, about: dict[str, Any], training_data: str) -> None:
        self._run, self._task, self._about, self.training_data = run, task, about, training_data

    def __call__(self, history: History, folder: Path) -> None:
        write_track_model(
            folder,
            self._task.transformer,
            self._task.conditions,
            About(**self._about, steps=history.steps),
            licence=self._run.licence,
            training_data=self.training_data,
        )
        save_curve(folder, history, f"{folder.resolve().name}: {self._run.role.value}", self._run.settings.steps)


def prepare(
    run: LMRun, loaded: LoadedCodec, on_file: OnFile = lambda done, path: None
) -> tuple[LMTask, Saver, dict[str, Any]]:
    """The task, what writes its model, and the facts that tell the run from others. Under torchrun, in each process,
    once it has joined the others.

    Raises BadValue, AudioError, StorageError.
    """
    config = run.config(loaded)
    stems = find_stems(run.stems, run.role)
    with joined(torch.device(run.settings.device)) as here:
        if not here.writes:
            wait(here)
        clips = encode_stems(stems, run.role, loaded, config.codebooks, run.out / TOKENS_NAME, on_file)
        if here.writes:
            wait(here)
    settings = LMSettings(batch=run.batch, piece_frames=config.context - config.codebooks)
    transformer, conditions = new_track_model(config, run.settings.seed)
    task = LMTask(transformer, conditions, clips, settings)
    codec = loaded.codec
    about = {
        "role": run.role,
        "codec": codec_place(run.codec),
        "codec_sha256": loaded.weights_sha256,
        "sample_rate": codec.sample_rate,
        "frame_samples": codec.frame_samples,
        "codebooks": config.codebooks,
        "piece_frames": settings.piece_frames,
    }
    facts = {
        "role": run.role.value,
        "size": run.size,
        "codec": loaded.weights_sha256[:12],
        "set_of_stems": clips_sha256(clips)[:12],
        **asdict(settings),
    }
    return task, Saver(run, task, about, describe(clips)), facts


def codec_place(codec: str) -> str:
    """A codec's name, or the place of its weights from anywhere."""
    return codec if codec in catalog() else str(Path(codec).resolve())


def describe(clips: Sequence[Clip]) -> str:
    """ "24 files, 1.2 h, 3 of them held out"."""
    seconds = sum(clip.tokens.header.seconds for clip in clips if not clip.held_out)
    held_out = sum(clip.held_out for clip in clips)
    length = (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.1f} s"
    )
    learned = len(clips) - held_out
    text = f"{learned} file{'s' if learned != 1 else ''}, {length}"
    return f"{text}; {held_out} more held out" if held_out else text


def train_lm(run: LMRun, task: LMTask, facts: dict[str, Any], observer: Observer | None = None) -> History:
    """See `loop.train`."""
    return train(task, run.settings, run.out, observer, facts)
