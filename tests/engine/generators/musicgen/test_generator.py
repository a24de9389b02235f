"""The generator with models whose sound is known: our own drums, at tempos of their own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import pytest

from rendered import RATE, continued, f_measure, rendered
from resonantgen.audio.beats import loop_onsets
from resonantgen.audio.loop import seam_jump
from resonantgen.audio.resample import resample_loop
from resonantgen.audio.stretch import stretch_loop
from resonantgen.errors import BadValue, Cancelled, ModelError
from resonantgen.generators.audio import AudioRequest
from resonantgen.generators.base import Request
from resonantgen.generators.musicgen.generator import MusicGenGenerator
from resonantgen.generators.sound.performing import MOST_ATTEMPTS, attempt_seed
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.measure import true_peak_db
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.music.time import TempoMap

MODEL_RATE = 32_000
BARS = 4


@dataclass
class Loops:
    """A model that plays a loop of ours for ever: for each attempt at so many times its tempo, after a lead-in."""

    tempos: list[float]
    lead_seconds: float = 0.13
    style: str = "techno"
    role: Role = Role.DRUMS
    channels: int = 1
    follows_melody: bool = False
    longest_seconds: float = 30.0
    name: str = "loops"
    weights_sha256: str = "ab" * 32
    sample_rate: int = MODEL_RATE
    asked: list[tuple] = field(default_factory=list)

    def play(self, words, seconds, seed, melody, melody_rate):
        factor = self.tempos[min(len(self.asked), len(self.tempos) - 1)]
        self.asked.append((words, seconds, seed, melody, melody_rate))
        loop = rendered(self.style, self.role, bars=BARS).samples[:, : self.channels]
        if factor != 1.0:
            loop = stretch_loop(loop, round(len(loop) / factor), RATE)
        loop = resample_loop(loop, round(len(loop) * MODEL_RATE / RATE))
        made = continued(loop, self.lead_seconds, seconds, MODEL_RATE)
        for start in range(0, len(made), 3_200):
            yield made[start : start + 3_200]


def asking(style="techno", role=Role.DRUMS, rate=44_100, **changes):
    plan = rendered(style, bars=BARS).plan
    return AudioRequest(Request(role, replace(plan, **changes), 7), "dark techno", rate, -16.0)


def perform(model, request=None, on_bar=lambda bar: None):
    return MusicGenGenerator(model.name, lambda name: model).perform(request or asking(), on_bar)


def beats_off_ms(samples, tempo):
    """How far from the nearest sixteenth what begins on beats is, in the middle."""
    onsets = loop_onsets(samples, tempo.sample_rate)
    quarter = 60 / float(tempo.tempo_bpm)
    away = onsets.seconds / quarter
    away = np.abs(away - np.round(away)) * quarter
    return 1000 * float(np.median(away[away < 0.1 * quarter]))


@pytest.mark.parametrize("style", ["techno", "funk", "drum_and_bass"])
@pytest.mark.parametrize("off", [0.973, 1.0, 1.027])
def test_what_is_a_little_off_is_brought_onto_the_grid(style, off):
    request = asking(style)
    plan = request.request.plan
    made = perform(Loops([off], style=style), request)
    tempo = TempoMap(plan.tempo_bpm, plan.meter, request.sample_rate)
    assert made.samples.shape == (tempo.frames(BARS), 2)
    assert made.fit.aligned
    assert made.fit.attempts == 1
    assert made.fit.heard_tempo_bpm == pytest.approx(float(plan.tempo_bpm) * off, rel=0.001)
    assert made.fit.stretch == pytest.approx(off, abs=0.001)
    assert made.fit.beat_error_ms < 8
    assert beats_off_ms(made.samples, tempo) < 5
    # Hits lie where those of the loop lie, whichever beat the model's bar is taken to begin on.
    starts = np.array(rendered(style, bars=BARS).starts(DrumPiece.KICK))
    kicks = [tempo.seconds(note.start_ticks) for note in made.score if note.pitch == DrumPiece.KICK]
    length, sixteenth = tempo.seconds(made.score.length_ticks), tempo.seconds(120)
    turns = [sorted((starts + turn * sixteenth) % length) for turn in range(16 * BARS)]
    assert max(f_measure(turned, kicks, 0.02) for turned in turns) > 0.85


@pytest.mark.parametrize("lead", [0.0, 0.13, 0.4, 1.1])
def test_wherever_the_model_begins(lead):
    request = asking()
    made = perform(Loops([0.98], lead_seconds=lead), request)
    assert made.fit.aligned
    assert beats_off_ms(made.samples, TempoMap(request.request.plan.tempo_bpm, sample_rate=44_100)) < 5


@pytest.mark.parametrize("rate", [44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_loop_at_its_loudness(rate, channels):
    made = perform(Loops([1.027], channels=channels), asking(rate=rate))
    assert seam_jump(made.samples) < 1.5
    assert abs(integrated_loudness(made.samples, rate) + 16.0) < 0.5
    assert true_peak_db(made.samples[: 1 << 17]) < -1.0  # of a length that is quickly measured
    assert np.abs(made.samples.mean(axis=0)).max() < 1e-3


def test_other_seeds_are_tried_where_the_tempo_is_too_far_off():
    model = Loops([1.09, 0.91, 1.01])
    made = perform(model)
    assert made.fit.attempts == 3
    assert made.fit.aligned
    seeds = [asked[2] for asked in model.asked]
    assert len(set(seeds)) == 3
    assert made.fit.seed == seeds[2] == attempt_seed(7, 2)


def test_what_never_comes_near_is_told_as_it_is():
    made = perform(Loops([1.09, 0.93, 1.1, 0.9]))
    assert made.fit.attempts == MOST_ATTEMPTS
    assert not made.fit.aligned
    assert made.fit.stretch == 1.0
    assert "too far from the tempo" in str(made.fit)
    assert made.samples.shape == (TempoMap(asking().request.plan.tempo_bpm, sample_rate=44_100).frames(BARS), 2)


class Pad(Loops):
    """A model that plays chords without a beat."""

    def play(self, words, seconds, seed, melody, melody_rate):
        self.asked.append((words, seconds, seed, melody, melody_rate))
        time = np.arange(round(seconds * MODEL_RATE)) / MODEL_RATE
        sound = sum(np.sin(2 * np.pi * hertz * time) for hertz in (110.0, 164.8, 277.2, 329.6))
        yield (0.1 * sound * (0.6 + 0.4 * np.sin(2 * np.pi * 0.07 * time)))[:, None] + 0.05


def test_a_pad_is_cut_at_the_tempo_and_not_stretched():
    model = Pad([1.0])
    made = perform(model, asking(role=Role.HARMONY))
    assert made.fit.heard_tempo_bpm is None
    assert (made.fit.attempts, made.fit.stretch, made.fit.aligned) == (1, 1.0, False)
    assert seam_jump(made.samples) < 1.3
    assert np.abs(made.samples.mean(axis=0)).max() < 1e-3
    assert len(made.score)


class Silent(Loops):
    def play(self, words, seconds, seed, melody, melody_rate):
        yield np.zeros((round(seconds * MODEL_RATE), 1))


def test_silence_is_silence():
    made = perform(Silent([1.0]))
    assert not made.samples.any()
    assert len(made.score) == 0
    assert (made.fit.heard_tempo_bpm, made.fit.attempts) == (None, MOST_ATTEMPTS)  # drums should have a beat


class Broken(Loops):
    def play(self, words, seconds, seed, melody, melody_rate):
        sound = np.zeros((round(seconds * MODEL_RATE), 1))
        sound[1_000] = np.nan
        yield sound


class Mute(Loops):
    def play(self, words, seconds, seed, melody, melody_rate):
        yield from ()


class Brief(Loops):
    def play(self, words, seconds, seed, melody, melody_rate):
        yield np.zeros((MODEL_RATE, 1))


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Broken, "no numbers"), (Mute, "no sound"), (Brief, "made 1.0 seconds")],
    ids=["nan", "none", "short"],
)
def test_sound_that_is_none_is_an_error(kind, words):
    with pytest.raises(ModelError, match=words):
        perform(kind([1.0]))


def test_the_same_request_gives_the_same_bytes():
    first, second = perform(Loops([1.027])), perform(Loops([1.027]))
    assert first.samples.tobytes() == second.samples.tobytes()
    assert first.score == second.score
    assert first.fit == second.fit


def test_bars_are_told_as_they_are_made_and_never_too_many():
    told = []
    perform(Loops([1.09, 1.0]), on_bar=told.append)
    again = [number for number in range(1, len(told)) if told[number] < told[number - 1]]
    assert len(again) == 1 and told[again[0]] == 0, "the second attempt begins anew"
    assert set(told[: again[0]]) == set(told[again[0] :]) == set(range(BARS + 1))


def test_what_on_bar_raises_ends_the_work_at_once():
    model = Loops([1.0])
    heard = []

    def on_bar(bar):
        heard.append(bar)
        if len(heard) == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        perform(model, on_bar=on_bar)
    assert len(heard) == 3
    assert len(model.asked) == 1


def test_bars_that_last_too_long_are_refused():
    with pytest.raises(BadValue, match=r"at most 30 seconds.*Use at most 2 bars"):
        perform(Loops([1.0]), asking(tempo_bpm=Fraction(24)))


def test_where_there_is_little_room_the_model_plays_all_that_it_can():
    model = Loops([1.0], longest_seconds=8.5)
    made = perform(model)
    assert model.asked[0][1] == 8.5
    assert made.fit.aligned


def test_a_melody_model_hears_the_other_tracks_but_no_drums():
    plan = rendered("techno", bars=BARS).plan
    frames = TempoMap(plan.tempo_bpm, sample_rate=44_100).frames(BARS)
    bass, harmony, drums = (np.full((frames, 2), level) for level in (0.1, 0.2, 0.7))
    context = {Role.BASS: bass, Role.HARMONY: harmony, Role.DRUMS: drums}
    for follows in (True, False):
        model = Loops([1.0], follows_melody=follows)
        perform(model, replace(asking(), context=context))
        _, _, _, melody, rate = model.asked[0]
        if follows:
            assert np.allclose(melody, 0.3)
            assert rate == 44_100
        else:
            assert melody is None
    model = Loops([1.0], follows_melody=True)
    perform(model, replace(asking(), context={Role.DRUMS: drums}))
    assert model.asked[0][3] is None


def test_one_model_is_kept_in_memory():
    loaded = []

    def load(name):
        loaded.append(name)
        return Loops([1.0], name=name)

    first, second = MusicGenGenerator("first", load), MusicGenGenerator("second", load)
    assert not loaded
    for generator in (first, first, second, second, first):
        generator.perform(asking(), lambda bar: None)
    assert loaded == ["first", "second", "first"]
