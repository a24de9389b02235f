"""`train codec` from a folder of stems to a codec: sounds, the run, and what is written at each save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from resonantgen.codecs.loading import load_codec
from resonantgen.codecs.resonant.config import ResonantConfig
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.resonant.weights import FILE, write_weights
from resonantgen.errors import BadValue, ModelUnusable
from resonantgen.training.codec_task import CodecSettings, CodecTask
from resonantgen.training.curve import save_curve
from resonantgen.training.history import History
from resonantgen.training.loop import Observer, TrainSettings, train
from resonantgen.training.model_card import Data, write_card
from resonantgen.training.sounds import read_sounds
from resonantgen.training.stem_folder import OnFile

COMMAND = "resonantgen train codec"
MOST_HELD_OUT = 10  # files of a role, that figures are taken of while it trains


@dataclass(frozen=True, slots=True)
class CodecRun:
    """All that a run depends on."""

    stems: Path
    out: Path
    start: str | None  # a codec to begin with: its name, or where its weights are. None: a new one
    losses: CodecSettings
    settings: TrainSettings


def prepare(run: CodecRun, on_file: OnFile = lambda done, path: None) -> tuple[CodecTask, Saver, dict[str, Any]]:
    """The task, what writes its codec, and the facts that tell the run from others.

    Raises BadValue, AudioError, ModelError, StorageError.
    """
    torch.manual_seed(run.settings.seed)  # for all that begins with random weights
    codec, begun_with = _first(run)
    data = Data.of(run.stems)
    sounds = read_sounds(run.stems, codec.sample_rate, MOST_HELD_OUT, on_file)
    for role, _ in run.losses.shares:
        if role not in sounds.learned:
            found = " and ".join(sounds.learned)
            raise BadValue(f"--share names {role}, of which {run.stems} has no sound. It has {found}.")
    task = CodecTask(codec, sounds.learned, sounds.held_out, run.losses, resumes=run.start is not None)
    facts = {"begun_with": begun_with, "set_of_stems": sounds.sha256[:12], **asdict(run.losses)}
    return task, Saver(run, codec, data, facts), facts


def _first(run: CodecRun) -> tuple[Resonant, str]:
    """The codec that is trained, called as its folder, and the hash of the weights that it begins with."""
    name = run.out.resolve().name
    if run.start is None:
        return Resonant(ResonantConfig(name=name)), "nothing"
    loaded = load_codec(run.start, run.settings.device)
    if not isinstance(loaded.codec, Resonant):
        raise ModelUnusable(f"{loaded.codec.name} cannot be trained further. Begin with resonant: --from resonant")
    codec = Resonant(replace(loaded.codec.config, name=name))
    codec.load_state_dict(loaded.codec.state_dict())
    return codec, loaded.weights_sha256[:12]


def train_codec(run: CodecRun, task: CodecTask, facts: dict[str, Any], observer: Observer | None = None) -> History:
    """See `loop.train`."""
    return train(task, run.settings, run.out, observer, facts)


class Saver:
    """Writes the codec, its card and the curve, each time that the run is saved."""

    def __init__(self, run: CodecRun, codec: Resonant, data: Data, facts: Mapping[str, Any]) -> None:
        self._run, self._codec, self._data, self._facts = run, codec, data, facts

    def __call__(self, history: History, folder: Path) -> None:
        settings = self._run.settings
        about = {"seed": settings.seed, "learning_rate": settings.learning_rate, **self._facts, "steps": history.steps}
        write_weights(self._codec, folder / FILE, about)
        write_card(folder, self._data, COMMAND, _held_out(history))
        save_curve(folder, history, f"{folder.resolve().name}: codec", settings.steps)


def _held_out(history: History) -> dict[str, str] | None:
    """The latest figures, as a model card takes them."""
    if not history.evaluations or not history.evaluations[-1][1]:
        return None
    step, figures = history.evaluations[-1]
    rows = [f"| {name} | {value:.4g} |" for name, value in figures.items()]
    return {"table": "\n".join([f"| after step {step} | |", "|---|---|", *rows, ""])}
