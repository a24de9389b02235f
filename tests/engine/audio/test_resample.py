import numpy as np
import pytest

from resonantgen.audio.loop import seam_jump
from resonantgen.audio.resample import Resampler, resample, resample_loop, resampled_frames

RATES = [(32_000, 48_000), (32_000, 44_100), (48_000, 32_000), (44_100, 24_000), (96_000, 48_000), (24_000, 44_100)]


def sine(hertz, rate, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)[:, None]


def decibels(ratio):
    return 20 * np.log10(max(ratio, 1e-12))


@pytest.mark.parametrize(("source", "target"), RATES)
def test_pass_band_is_flat_and_on_time(source, target):
    middle = slice(target // 8, -target // 8)
    for share in (0.01, 0.3, 0.6, 0.88):
        hertz = share * min(source, target) / 2
        made, wanted = resample(sine(hertz, source), source, target), sine(hertz, target)
        assert decibels(np.abs(made - wanted)[middle].max()) < -90, share


@pytest.mark.parametrize(("source", "target"), [pair for pair in RATES if pair[0] > pair[1]])
def test_what_cannot_be_kept_is_rejected(source, target):
    for share in (1.05, 1.2):
        made = resample(sine(share * target / 2, source), source, target)
        assert decibels(np.sqrt(2 * np.mean(made[target // 8 : -target // 8] ** 2))) < -90, share


@pytest.mark.parametrize("target", [32_000, 44_100, 48_000])
def test_images_are_rejected_going_up(target):
    made = resample(sine(6_000, 24_000), 24_000, target)[target // 8 : target // 8 + target // 4]
    spectrum = np.abs(np.fft.rfft(made[:, 0] * np.blackman(len(made))))
    frequencies = np.fft.rfftfreq(len(made), 1 / target)
    assert decibels(spectrum[np.abs(frequencies - 6_000) > 200].max() / spectrum.max()) < -75


@pytest.mark.parametrize(("source", "target"), RATES)
def test_streamed_is_what_offline_is(source, target):
    random = np.random.default_rng(7)
    samples = random.standard_normal((20_011, 2))
    whole = resample(samples, source, target)
    assert len(whole) == resampled_frames(len(samples), source, target)
    for largest in (1, 50, 7_000):
        part = samples[: 300 * largest]
        resampler = Resampler(source, target, 2)
        state = resampler.start()
        blocks, at = [], 0
        while at < len(part):
            size = int(random.integers(0, largest + 1)) if largest > 1 else 1
            blocks.append(resampler.render(state, part[at : at + size]))
            at += size
        blocks.append(resampler.finish(state))
        assert np.array_equal(np.concatenate(blocks), resample(part, source, target))


@pytest.mark.parametrize("frames", [0, 1, 2, 100])
def test_short_sounds_have_their_length(frames):
    made = resample(np.ones((frames, 1)), 32_000, 44_100)
    assert made.shape == (resampled_frames(frames, 32_000, 44_100), 1)
    assert np.isfinite(made).all()


def test_the_same_rate_leaves_samples_as_they_are():
    samples = np.random.default_rng(1).standard_normal((100, 2))
    assert np.array_equal(resample(samples, 48_000, 48_000), samples)


@pytest.mark.parametrize("frames", [40_000, 44_101, 48_000, 60_017])
def test_a_loop_stays_a_loop(frames):
    """Whole numbers of periods stay that, sample for sample, at every number of frames."""
    before = 48_000

    def loop(count):
        turns = np.arange(count) / count
        return np.stack([np.sin(2 * np.pi * 440 * turns), 0.5 * np.cos(2 * np.pi * 9_001 * turns)], axis=1)

    made = resample_loop(loop(before), frames)
    assert np.abs(made - loop(frames)).max() < 1e-9
    assert seam_jump(made) < 1.5
