"""The generator on a real model: ours, with random weights. What it plays is noise; the bars are exact all the same."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from resonantgen.generators.audio import AudioRequest
from resonantgen.generators.base import Request
from resonantgen.generators.musicgen.generator import MusicGenGenerator
from resonantgen.generators.musicgen.model import MusicGen
from resonantgen.generators.musicgen.player import MusicGenPlayer
from resonantgen.generators.sound.streaming import Window
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap
from rhythm import plan_of


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("kind", ["mono", "stereo", "melody"])
def test_a_model_plays_a_track(checkpoints, kind, windows):
    model = MusicGen.load(checkpoints[kind].folder)
    if windows > 1:
        model.window = Window(75, 45)  # a second and a half, and so no more than a bar and a quarter
    plan = replace(plan_of("techno", bars=1), tempo_bpm=Fraction(200))
    tempo = TempoMap(plan.tempo_bpm, sample_rate=44_100)
    context = {Role.BASS: 0.1 * np.random.default_rng(1).standard_normal((tempo.frames(1), 2))}
    asked = AudioRequest(Request(Role.HARMONY, plan, 3), "dark techno", 44_100, -18.0, context)

    def perform():
        name = f"tiny-{kind}"
        generator = MusicGenGenerator(name, lambda name: MusicGenPlayer(name, model, "00" * 32))
        return generator.perform(asked, lambda bar: None)

    made, again = perform(), perform()
    assert made.samples.shape == (tempo.frames(1), 2)
    assert np.isfinite(made.samples).all()
    assert made.samples.tobytes() == again.samples.tobytes()
    assert made.fit == again.fit
    assert made.score.length_ticks == plan.length_ticks
    assert "200 bpm" in made.fit.prompt
