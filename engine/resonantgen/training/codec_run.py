"""`train codec` from a folder of stems to a codec: sounds, the run, and what is written at each save."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resonantgen.codecs.loading import load_codec
from resonantgen.codecs.resonant.config import ResonantConfig
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.resonant.weights import FILE, write_weights
from resonantgen.errors import ModelUnusable
from resonantgen.training.codec_task import CodecSettings, CodecTask
from resonantgen.training.curve import save_curve
from resonantgen.training.history import History
from resonantgen.training.loop import Observer, TrainSettings, train
from resonantgen.training.sounds import OnFile, read_sounds

MOST_HELD_OUT = 10  # files of a role, that figures are taken of while it trains


@dataclass(frozen=True, slots=True)
class CodecRun:
    """All that a run depends on."""

    stems: Path
    out: Path
    start: str | None  # a codec to begin with: its name, or where its weights are. None: a new one
    losses: CodecSettings
    settings: TrainSettings


def prepare(run: CodecRun, on_file: OnFile = lambda done, path: None) -> tuple[CodecTask, dict[str, Any]]:
    """The task, and the facts that tell the run from others. Raises BadValue, AudioError, ModelError."""
    codec, begun_with = _first(run)
    sounds = read_sounds(run.stems, codec.sample_rate, MOST_HELD_OUT, on_file)
    task = CodecTask(codec, sounds.learned, sounds.held_out, run.losses, resumes=run.start is not None)
    return task, {"begun_with": begun_with, "set_of_stems": sounds.sha256[:12], **asdict(run.losses)}


def _first(run: CodecRun) -> tuple[Resonant, str]:
    """The codec that is trained, and the hash of the weights that it begins with."""
    if run.start is None:
        torch.manual_seed(run.settings.seed)
        return Resonant(ResonantConfig(name=run.out.resolve().name)), "nothing"
    loaded = load_codec(run.start, run.settings.device)
    if not isinstance(loaded.codec, Resonant):
        raise ModelUnusable(f"{loaded.codec.name} cannot be trained further. Begin with resonant: --from resonant")
    return loaded.codec.requires_grad_(True), loaded.weights_sha256[:12]


def train_codec(run: CodecRun, task: CodecTask, facts: dict[str, Any], observer: Observer | None = None) -> History:
    """See `loop.train`."""
    return train(task, run.settings, run.out, observer, facts)


class Saver:
    """Writes the codec and the curve, each time that the run is saved."""

    def __init__(self, run: CodecRun, task: CodecTask) -> None:
        self._run, self._task = run, task

    def __call__(self, history: History, folder: Path) -> None:
        write_weights(self._task.codec, folder / FILE)
        save_curve(folder, history, f"{folder.resolve().name}: codec", self._run.settings.steps)
