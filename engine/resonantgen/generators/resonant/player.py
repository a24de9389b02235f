"""A trained model in memory: its transformer, its conditions, and the codec that its tokens are of."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resonantgen.codecs.base import Codec
from resonantgen.codecs.loading import load_codec
from resonantgen.device import Placement, place
from resonantgen.errors import ModelUnusable
from resonantgen.generators.resonant.conditions import Facts, Features
from resonantgen.generators.resonant.model import TrackModel, read_track_model
from resonantgen.generators.sound.streaming import Guided, SoundRequest, Window, play
from resonantgen.lm.device import prepare, step_for
from resonantgen.lm.sampling import Sampling
from resonantgen.lm.threads import one_torch_thread

GUIDANCE = 2.0  # away from what is played without any facts
SAMPLING = Sampling()
STRIDE = 0.6  # of a piece's length: by so much the next window begins later
CHUNK_FRAMES = 8
LONGEST_SECONDS = 300.0  # of a piece: what is no limit of the model, but of patience


class TrackPlayer:
    """A Player: see `generator.Player`."""

    follows_melody = False

    def __init__(
        self, name: str, model: TrackModel, codec: Codec, placement: Placement, sampling: Sampling = SAMPLING
    ) -> None:
        """See `load`. The model's transformer is brought to where it is to run."""
        self.name = name
        self.sample_rate = model.about.sample_rate
        self.longest_seconds = LONGEST_SECONDS
        joined = f"{model.card.sha256} {model.about.codec_sha256}"
        self.weights_sha256 = hashlib.sha256(joined.encode()).hexdigest()
        self._about, self._conditions, self._codec = model.about, model.conditions, codec
        self._transformer = prepare(model.transformer, placement)
        self._write, self._sampling = step_for(placement), sampling
        piece = model.about.piece_frames
        self._window = Window(max(piece, 2), min(max(round(STRIDE * piece), 1), max(piece, 2) - 1))

    def request(self, facts: Facts, frames: int, seed: int) -> SoundRequest:
        """So many frames of the codec, and what they are conditioned on."""
        with torch.inference_mode():
            asked, nothing = self._conditions.of([Features.of(facts), Features.of(Facts())])
        return SoundRequest(Guided(asked, nothing, asked=True), frames, seed, self._sampling, GUIDANCE)

    def play(self, facts: Facts, seconds: float, seed: int) -> Iterator[NDArray[np.float64]]:
        """At least so many seconds, as it comes, [t, 1]: the same bytes on any number of cores. Raises ModelError."""
        frames = math.ceil(seconds * self.sample_rate / self._about.frame_samples)
        with one_torch_thread():
            requests = [self.request(facts, frames, seed)]
            played = play(self._transformer, self._codec, 1, requests, CHUNK_FRAMES, self._window, self._write)
            for ready in played:
                yield ready[0]


def load(folder: Path, device: str | None = None, precision: str | None = None) -> TrackPlayer:
    """A folder that `train lm` made. Raises ModelError."""
    placement = place(device, precision)
    model = read_track_model(folder)
    found = load_codec(model.about.codec, str(placement.device))
    name = folder.resolve().name
    if found.weights_sha256 != model.about.codec_sha256:
        raise ModelUnusable(
            f"{name} was trained on tokens of {model.about.codec} with the weights {model.about.codec_sha256[:12]}; "
            f"those here are {found.weights_sha256[:12]}. Train it again, or bring back the codec."
        )
    return TrackPlayer(name, model, found.codec, placement)
