"""What the codec is trained with: codebooks that follow what they are given, losses that say what they claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from resonant_models import TINY
from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.rvq import ResidualQuantizer
from resonantgen.training import codec_task
from resonantgen.training.codec_losses import MelDistance, bounded_si_sdr_db, si_sdr_db
from resonantgen.training.codec_task import (
    UNQUANTIZED_STEPS,
    CodecSettings,
    CodecTask,
    _off_again,
    evaluate,
    other_sound,
)
from resonantgen.training.quantizing import LearningQuantizer
from resonantgen.training.sounds import Sound

RATE = 24_000
SMALL = replace(TINY, cardinality=16, encoder_blocks=1, decoder_blocks=1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tone(hertz: float, seconds: float, gain: float = 0.4) -> Tensor:
    """[1, T]"""
    return gain * torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)[None]


# -- the quantiser ----------------------------------------------------------------------------------------------------


def learning(codebooks: int = 3, cardinality: int = 4, dimension: int = 2) -> LearningQuantizer:
    return LearningQuantizer(ResidualQuantizer(codebooks, cardinality, dimension)).train()


def counts(*of_sounds: int) -> Tensor:
    return torch.tensor(of_sounds)


def test_entries_follow_their_clusters() -> None:
    """Clusters that wander, each with an entry: the entries are where the clusters have come to."""
    centres = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [2.0, -2.0], [-2.0, -2.0]])
    quantizer, generator = learning(codebooks=1), seeded(1)
    quantizer(centres[None], counts(1), generator)
    quantizer.quantizer.codebooks[0] = centres
    quantizer.resume()
    for step in range(400):
        chosen = torch.randint(4, (1, 64), generator=generator)
        moved = centres + min(1.0, step / 100) * torch.tensor([1.5, 0.5])
        quantizer(moved[chosen] + 0.1 * torch.randn(1, 64, 2, generator=generator), counts(1), generator)
    torch.testing.assert_close(quantizer.quantizer.codebooks[0], moved, rtol=0, atol=0.06)


def test_all_entries_come_to_be_used() -> None:
    """Whatever they begin with: what is nearest to nothing begins again among the vectors."""
    quantizer, generator = learning(codebooks=2, cardinality=32, dimension=3), seeded(2)
    quantizer(torch.randn(2, 50, 3, generator=generator), counts(2, 2), generator)
    quantizer.quantizer.codebooks[0, 5:] = 1_000.0
    quantizer.sums[0, 5:] = 1_000.0 * quantizer.sizes[0, 5:, None]
    for _ in range(300):
        x = torch.randn(2, 200, 3, generator=generator)
        quantizer(x, counts(2, 2), generator)
    assert float(quantizer.quantizer.codebooks.abs().max()) < 10
    used = quantizer.quantizer.search(2).encode(torch.randn(1, 5_000, 3, generator=generator))
    assert [len(row.unique()) for row in used[0]] == [32, 32]


def test_each_sound_has_its_own_number_of_codebooks() -> None:
    quantizer, generator = learning(codebooks=3, cardinality=16, dimension=4), seeded(3)
    x = torch.randn(3, 40, 4, generator=generator)
    for _ in range(20):
        quantizer(x, counts(3, 3, 3), generator)
    quantizer.eval()
    passed, _ = quantizer(x, counts(1, 2, 3), generator)
    indices = quantizer.quantizer.search(3).encode(x)
    for row, count in enumerate((1, 2, 3)):
        expected = quantizer.quantizer.decode(indices[row : row + 1, :count])
        torch.testing.assert_close(passed[row : row + 1], expected, rtol=0, atol=1e-5)
    errors = (passed - x).square().mean(dim=(1, 2))
    assert errors[0] > errors[1] > errors[2]


def test_it_moves_only_in_training() -> None:
    quantizer, generator = learning(), seeded(4)
    x = torch.randn(1, 30, 2, generator=generator)
    quantizer(x, counts(3), generator)
    before = quantizer.quantizer.codebooks.clone()
    quantizer.eval()(x, counts(3), generator)
    assert torch.equal(quantizer.quantizer.codebooks, before)
    quantizer.train()(x, counts(3), generator)
    assert not torch.equal(quantizer.quantizer.codebooks, before)


@pytest.mark.parametrize("of_sounds", [(1, 2), (0, 0), (3, 0)])
def test_all_codebooks_learn_whichever_are_used(of_sounds: tuple[int, ...]) -> None:
    """Processes that learn together draw other numbers of them, and wait for one another at each codebook."""
    used, all_of_them = learning(), learning()
    x = torch.randn(2, 30, 2, generator=seeded(5))
    for _ in range(3):
        used(x, counts(*of_sounds), seeded(5))
        all_of_them(x, counts(3, 3), seeded(5))
    assert bool(used.begun) and torch.equal(used.quantizer.codebooks, all_of_them.quantizer.codebooks)


def test_gradients_pass_as_if_it_were_not_there() -> None:
    """And the distance pulls vectors to their entries."""
    quantizer, generator = learning(), seeded(6)
    x = torch.randn(1, 30, 2, generator=generator)
    quantizer(x, counts(3), generator)
    quantizer.eval()
    x.requires_grad_()
    passed, distance = quantizer(x, counts(3), generator)
    wanted = torch.randn(1, 30, 2, generator=generator)
    (gradient,) = torch.autograd.grad((passed * wanted).sum(), x, retain_graph=True)
    torch.testing.assert_close(gradient, wanted)
    (pull,) = torch.autograd.grad(distance, x)
    nearer, _ = quantizer(x.detach() - pull, counts(3), generator)
    assert (nearer - (x - pull)).square().mean() < (passed - x).square().mean()


def test_codebooks_that_were_learned_before_go_on() -> None:
    """The first steps leave them nearly where they are."""
    quantizer, generator = learning(codebooks=2, cardinality=8), seeded(7)
    x = torch.randn(4, 100, 2, generator=generator)
    for _ in range(200):
        quantizer(x, counts(2, 2, 2, 2), generator)
    learned = quantizer.quantizer.codebooks.clone()
    again = LearningQuantizer(quantizer.quantizer).train()
    again.resume()
    again(x, counts(2, 2, 2, 2), generator)
    torch.testing.assert_close(quantizer.quantizer.codebooks, learned, rtol=0, atol=0.6)
    assert float((quantizer.quantizer.codebooks - learned).square().mean().sqrt()) < 0.1


# -- losses -----------------------------------------------------------------------------------------------------------


def test_ratios_of_signal_to_noise() -> None:
    """Noise of a known power, at a right angle to the signal."""
    x = tone(500, 0.5)
    noise = tone(1_000, 0.5) / 10  # 20 dB below
    assert float(si_sdr_db(x + noise, x)) == pytest.approx(20, abs=0.02)
    assert float(si_sdr_db((x + noise) / 3, x)) == pytest.approx(20, abs=0.02), "however loud"
    assert float(si_sdr_db(-x - noise, x)) == pytest.approx(20, abs=0.02)
    assert float(si_sdr_db(tone(1_000, 0.5), x)) < -60


def test_the_ratio_that_is_learned_by_has_bounds() -> None:
    x, noise = tone(500, 0.5), tone(1_000, 0.5)
    for ratio_db in (-6.0, 0.0, 10.0, 20.0):
        y = x + noise * 10 ** (-ratio_db / 20)
        within = 0.5 if ratio_db < 0 else 0.1  # the nearer to a bound, the more it counts
        assert float(bounded_si_sdr_db(y, x)) == pytest.approx(float(si_sdr_db(y, x)), abs=within)
        assert float(bounded_si_sdr_db(y / 3, x)) == pytest.approx(float(bounded_si_sdr_db(y, x)), abs=1e-3)
    assert float(bounded_si_sdr_db(x, x)) == pytest.approx(40, abs=0.1)
    for nothing in (noise, 0 * x):
        assert float(bounded_si_sdr_db(nothing, x)) == pytest.approx(-20, abs=0.1)
    y = (x + 100 * noise).requires_grad_()
    bounded_si_sdr_db(y, x).sum().backward()
    assert y.grad is not None and bool(y.grad.isfinite().all())


def test_they_are_of_each_signal_and_of_silence_too() -> None:
    x = torch.cat((tone(300, 0.1), tone(900, 0.1), 0 * tone(1, 0.1)))
    y = x + 0.01
    for ratio in (si_sdr_db, bounded_si_sdr_db):
        together, alone = ratio(y, x), [ratio(y[row : row + 1], x[row : row + 1]) for row in range(3)]
        torch.testing.assert_close(together, torch.cat(alone))
        assert bool(together.isfinite().all()) and bool(ratio(x, x).isfinite().all())


def test_the_distance_of_mel_spectrograms() -> None:
    mel, x = MelDistance(RATE), tone(500, 0.3)
    noise = torch.randn(x.shape, generator=seeded(8))
    assert float(mel(x, x)) == 0
    near, far = float(mel(x + 0.001 * noise, x)), float(mel(x + 0.1 * noise, x))
    assert 0 < near < far
    assert float(mel(tone(510, 0.3), x)) < float(mel(tone(2_000, 0.3), x)), "nearer in pitch is nearer"
    white = 0.3 * noise
    louder = float(mel(2 * white, white))
    assert louder == pytest.approx(3 * (math.log10(2) + 0.3), rel=0.05), "each window: 6 dB, and all of its mean"
    y = (0.5 * x).requires_grad_()
    mel(y, x).backward()
    assert y.grad is not None and bool(y.grad.isfinite().all())


# -- the task ---------------------------------------------------------------------------------------------------------


def sounds(*pitches: float) -> Sequence[Sound]:
    return [(32_767 * tone(hertz, 1.0)[0].numpy()).astype(np.int16) for hertz in pitches]


def task(settings: CodecSettings, seed: int = 0) -> CodecTask:
    torch.manual_seed(seed)
    of_roles = {"bass": sounds(110.0), "melody": sounds(880.0, 990.0)}
    return CodecTask(Resonant(SMALL), of_roles, {"bass": sounds(110.0)}, settings)


def test_a_small_codec_learns_a_tone() -> None:
    """150 steps: its loss falls by half, through the quantiser, and what it decodes comes to be the tone."""
    settings = CodecSettings(batch=2, crop_seconds=0.25, si_sdr=0.0, varied=0.0, shares=(("melody", 0.0),))
    learner = task(settings)
    optimizer = torch.optim.AdamW(learner.parameter_groups(), lr=4e-3)
    before, losses, quantised = learner.evaluate(), [], 0
    for step in range(150):
        loss, parts = learner.loss(step, seeded(step))
        assert bool(loss.isfinite())
        quantised += parts["commitment"] > 0
        assert not quantised or step >= UNQUANTIZED_STEPS
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert quantised > 85, "but for the batches of which no crop is to be"
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5]), losses[::10]
    after = learner.evaluate()
    assert after["bass dB"] > max(before["bass dB"] + 10, 3) and after["bass mel"] < before["bass mel"]


def test_a_batch_is_drawn_from_the_generator_alone() -> None:
    settings = CodecSettings(batch=3, crop_seconds=0.1)
    first, second = (float(task(settings).loss(60, seeded(9))[0].detach()) for _ in range(2))
    assert first == second
    assert float(task(settings).loss(60, seeded(10))[0].detach()) != first


def test_each_part_counts_as_its_weight_says() -> None:
    settings = CodecSettings(batch=2, crop_seconds=0.1)
    _, plain = task(settings).loss(60, seeded(11))
    total, double = task(replace(settings, mel=2 * settings.mel)).loss(60, seeded(11))
    assert double["mel"] == pytest.approx(2 * plain["mel"])
    assert double["waveform"] == pytest.approx(plain["waveform"])
    weighed = sum(value for name, value in double.items() if name != "SI-SDR")
    weighed -= settings.si_sdr * double["SI-SDR"]
    assert float(total.detach()) == pytest.approx(weighed, rel=1e-5)


@pytest.mark.parametrize("octaves", [-1, 0, 1])
def test_played_faster_it_is_higher_and_as_long_as_wanted(octaves: int) -> None:
    length = round(RATE * 2.0**octaves)
    made = other_sound(tone(500, length / RATE)[0], RATE, 0.0)
    torch.testing.assert_close(made, tone(500 * 2.0**octaves, 1.0)[0], rtol=0, atol=0.02)


def test_a_tilt_makes_each_octave_louder_than_that_below() -> None:
    noise = torch.randn(RATE, generator=seeded(12))
    made = other_sound(noise, RATE, 6.0)
    assert float(made.square().mean()) == pytest.approx(float(noise.square().mean()), rel=1e-3)
    gain = torch.fft.rfft(made).abs() / torch.fft.rfft(noise).abs()  # a bin is a hertz
    for low in (250, 1_000, 5_000):
        assert float(gain[2 * low] / gain[low]) == pytest.approx(10**0.3, rel=1e-3)


def test_crops_are_varied_as_often_as_is_said() -> None:
    settings = CodecSettings(batch=200, crop_seconds=0.1, varied=0.5, shares=(("melody", 1e-6),))
    crops = task(settings)._batch(seeded(13))
    loudest = torch.fft.rfft(crops).abs().argmax(dim=1) * RATE / crops.shape[1]
    apart = float(((loudest - 110).abs() > RATE / crops.shape[1]).float().mean())  # all were of 110 Hz
    assert 0.3 < apart < 0.55, "some speeds are near 1"


def test_what_is_not_quantised_passes_whole() -> None:
    quantizer = LearningQuantizer(ResidualQuantizer(2, 16, 4)).train()
    x = torch.randn(3, 20, 4, generator=seeded(14))
    passed, _ = quantizer(x, counts(0, 2, 0), seeded(15))
    assert torch.equal(passed[0], x[0]) and torch.equal(passed[2], x[2]) and not torch.equal(passed[1], x[1])


def test_how_far_off_vectors_are_that_are_found_again() -> None:
    given, noise = torch.randn(2, 4, 500, 8, generator=seeded(18)).unbind(0)
    assert float(_off_again(given, given)) == 0
    assert float(_off_again(3 * given + 1.5 * noise, 3 * given)) == pytest.approx(0.25, rel=0.05), "at any scale"
    assert float(_off_again(given[:0], given[:0])) == 0


def test_finding_vectors_again_is_learned_by_both_networks() -> None:
    """From that part alone, and with all or no codebooks only: with 2 it is not asked for."""
    nothing = dict.fromkeys(("mel", "coefficients", "waveform", "si_sdr", "commitment"), 0.0)
    learner = task(CodecSettings(batch=1, crop_seconds=0.25, **nothing))
    for count, asked in ((2, False), (SMALL.codebooks, True), (0, True)):
        learner.codec.zero_grad()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(codec_task, "COUNTS", (count,))
            learner.loss(60, seeded(19))[0].backward()
        for net in (learner.codec.encoder_net, learner.codec.decoder_net):
            norms = [float(weight.grad.norm()) for weight in net.parameters() if weight.grad is not None]
            assert (max(norms) > 0) is asked, (count, norms)


def test_silence_is_learned_from_without_a_fault() -> None:
    torch.manual_seed(0)
    silent = {"bass": [np.zeros(RATE, dtype=np.int16)]}
    loss, _ = CodecTask(Resonant(SMALL), silent, {}, CodecSettings(batch=2, crop_seconds=0.1)).loss(60, seeded(17))
    assert bool(loss.isfinite())


def test_evaluation_is_of_all_roles_and_leaves_silence_out() -> None:
    torch.manual_seed(0)
    codec = Resonant(SMALL).eval()
    codec.quantizer.codebooks.normal_()
    held_out = {"bass": sounds(110.0), "melody": [np.zeros(RATE, dtype=np.int16)]}
    figures = evaluate(codec, held_out, MelDistance(RATE))
    assert figures.keys() == {"bass dB", "bass mel", "tokens stay"}
    assert all(math.isfinite(value) for value in figures.values()) and 0 <= figures["tokens stay"] <= 1
