"""Every effect keeps the streaming contract, and does what its name says."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.instruments.contracts import verify_effect
from engine.instruments.signals import RATE, decibels, impulse, level, noise, response_db, sine, static_curve_db
from resonantgen.instruments.chain import build_effect
from resonantgen.instruments.effects import inserts as kinds
from resonantgen.instruments.effects.dynamics import RangeKeeper
from resonantgen.instruments.effects.filters import Filter, butterworth, section, tilt
from resonantgen.instruments.effects.inserts import note_value_ticks
from resonantgen.instruments.effects.stereo import MonoBass, WidthEffect
from resonantgen.instruments.measure import correlation, energy_share_below, power_spectrum, side_share_below
from resonantgen.music.time import Meter, TempoMap

TEMPO = TempoMap(Fraction("97.3"), sample_rate=RATE)

INSERTS: dict[str, kinds.AnyInsert] = {
    "warm drive": kinds.Drive(),
    "tube drive, half": kinds.Drive(character="tube", mix=0.5),
    "hard drive": kinds.Drive(character="hard", amount_db=36),
    "fold drive": kinds.Drive(character="fold", amount_db=20),
    "chorus": kinds.Chorus(),
    "ensemble": kinds.Chorus(voices=3, depth_ms=4, rate_hz=0.9),
    "flanger": kinds.Chorus(voices=1, delay_ms=0.5, depth_ms=2, feedback=0.8),
    "ping-pong delay": kinds.Delay(),
    "stereo delay": kinds.Delay(time="1/16", time_right="1/8t", ping_pong=False, feedback=0.8),
    "reverb": kinds.Reverb(mix=0.5),
    "short reverb without predelay": kinds.Reverb(decay_seconds=0.3, predelay_ms=0, size=0.3, mix=1),
    "equaliser": kinds.Eq(shape="peak", frequency_hz=700, gain_db=6),
    "compressor": kinds.Compressor(threshold_db=-30),
    "pump": kinds.Pump(),
    "tremolo": kinds.Tremolo(period="1/8t"),
    "auto-pan": kinds.Tremolo(pan=True, depth=1),
    "phaser": kinds.Phaser(stages=6),
    "crush": kinds.Crush(),
    "width": kinds.Width(amount=0.7),
}


@pytest.mark.parametrize("name", INSERTS)
def test_every_insert_streams(name: str) -> None:
    signal = noise(12_000)
    signal[:300] = 0.0  # and from silence
    verify_effect(lambda: build_effect(INSERTS[name], TEMPO), signal, dc_limit=None)


@pytest.mark.parametrize(
    "effect", [RangeKeeper(300, 0.12, RATE), MonoBass.of(180, RATE)], ids=["range keeper", "mono bass"]
)
def test_the_chains_own_effects_stream(effect: RangeKeeper | MonoBass) -> None:
    verify_effect(lambda: effect, noise(12_000), dc_limit=None)


@pytest.mark.parametrize("name", INSERTS)
def test_effects_fall_silent_without_subnormal_numbers(name: str) -> None:
    """Numbers below 1e-300 make a processor crawl; states must reach 0 instead of creeping towards it."""
    effect = build_effect(INSERTS[name], TEMPO)
    state = effect.start()
    effect.render(state, noise(2000))
    for _ in range(8):
        effect.render(state, np.zeros((RATE, 2)))
    for field in (getattr(state, slot) for slot in state.__slots__):
        if isinstance(field, np.ndarray) and field.dtype == np.float64:
            assert not np.any((field != 0) & (np.abs(field) < 1e-200)), "a state creeps"


# Inserts as data


def test_inserts_are_checked() -> None:
    read = lambda table: msgspec.convert([table], kinds.Inserts)  # noqa: E731
    assert read({"kind": "drive", "amount_db": 6}) == [kinds.Drive(amount_db=6)]
    for bad in (
        {"kind": "drive", "amont_db": 6},
        {"kind": "drive", "amount_db": 99},
        {"kind": "exciter"},
        {"kind": "delay", "time": "1/7"},
        {"kind": "phaser", "low_hz": 3000, "high_hz": 300},
    ):
        with pytest.raises(msgspec.ValidationError):
            read(bad)


def test_note_values_are_whole_ticks() -> None:
    expected = {"1/4": 480, "1/8d": 360, "1/8t": 160, "1/16": 120, "1/2t": 640, "1/1": 1920, "1/32": 60}
    assert {value: note_value_ticks(value) for value in expected} == expected  # type: ignore[arg-type]


# Filters


@given(
    shape=st.sampled_from(["peak", "low_shelf", "high_shelf"]),
    frequency_hz=st.floats(40, 12_000),
    gain_db=st.floats(-18, 18),
    sample_rate=st.sampled_from([44_100, 48_000, 96_000]),
)
def test_bands_reach_their_gain(shape: str, frequency_hz: float, gain_db: float, sample_rate: int) -> None:
    sections = section(shape, frequency_hz, sample_rate, gain_db)  # type: ignore[arg-type]
    at = {"peak": frequency_hz, "low_shelf": 1.0, "high_shelf": sample_rate / 2 - 1.0}[shape]
    assert response_db(sections, np.array([at]), sample_rate)[0] == pytest.approx(gain_db, abs=0.05)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_butterworth_filters_are_3_db_down_and_fall_by_their_order(order: int) -> None:
    sections = butterworth("high_pass", order, 1000, RATE)
    corner, octave_one, octave_two = response_db(sections, np.array([1000.0, 125.0, 62.5]), RATE)
    assert corner == pytest.approx(-3.01, abs=0.01)
    assert octave_one - octave_two == pytest.approx(6.02 * order, abs=0.1)


def test_tilt_turns_about_its_frequency() -> None:
    low, middle, high = response_db(tilt(5, 900, RATE), np.array([30.0, 900.0, 20_000.0]), RATE)
    assert low == pytest.approx(-5, abs=0.7) and high == pytest.approx(5, abs=0.7) and abs(middle) < 0.3


def test_a_filter_does_what_its_response_says() -> None:
    sections = section("low_pass", 2000, RATE, q=2)
    effect = Filter(sections)
    answer = effect.render(effect.start(), impulse(16_384))[:, 0]
    frequencies = np.fft.rfftfreq(16_384, 1 / RATE)
    audible = (frequencies > 100) & (frequencies < 18_000)
    measured = 20 * np.log10(np.abs(np.fft.rfft(answer)[audible]))
    assert np.allclose(measured, response_db(sections, frequencies[audible], RATE), atol=0.01)


# Drive


def drive_spectrum(insert: kinds.Drive, frequency_hz: float, peak: float) -> tuple[np.ndarray, int]:
    """Level of each bin in dB against the sine's own, over a whole number of its periods."""
    frames = 48_000
    effect = build_effect(insert, TEMPO)
    out = effect.render(effect.start(), sine(frequency_hz, 2 * frames, peak))[frames:, 0]
    spectrum = np.abs(np.fft.rfft(out))
    base = round(frequency_hz)
    return 20 * np.log10(np.maximum(spectrum / spectrum[base], 1e-12)), base


@pytest.mark.parametrize(("character", "limit_db"), [("warm", -80), ("tube", -75), ("hard", -58), ("fold", -80)])
def test_drive_hardly_aliases(character: str, limit_db: float) -> None:
    """A 1245 Hz sine driven by 18 dB: what is not at a multiple of 1245 Hz is folded back (below 15 kHz)."""
    insert = kinds.Drive(character=character, amount_db=18)  # type: ignore[arg-type]
    spectrum, base = drive_spectrum(insert, 1245, 0.4)
    bins = np.arange(len(spectrum))
    folded = (bins % base != 0) & (bins > 20) & (bins < 15_000)
    assert spectrum[folded].max() < limit_db


def test_drive_adds_harmonics_and_only_the_tube_adds_even_ones() -> None:
    warm, base = drive_spectrum(kinds.Drive(character="warm", amount_db=24), 500, 0.5)
    tube, _ = drive_spectrum(kinds.Drive(character="tube", amount_db=24), 500, 0.5)
    assert warm[3 * base] > -20 and warm[2 * base] < -100
    assert tube[2 * base] > -30


@given(amount_db=st.floats(0, 40), character=st.sampled_from(["warm", "hard"]))
@settings(max_examples=20, deadline=None)
def test_drive_keeps_the_level_of_a_medium_sound(amount_db: float, character: str) -> None:
    """A constant of 0.25 comes out as 0.25, whatever the amount."""
    effect = build_effect(kinds.Drive(character=character, amount_db=amount_db), TEMPO)  # type: ignore[arg-type]
    assert effect.render(effect.start(), np.full((2000, 2), 0.25))[-1, 0] == pytest.approx(0.25, rel=1e-3)


def test_drive_that_is_all_dry_changes_no_magnitude() -> None:
    """The dry part goes through the same filters as the wet one, so that mixing them never combs."""
    effect = build_effect(kinds.Drive(mix=0.0), TEMPO)
    answer = np.abs(np.fft.rfft(effect.render(effect.start(), impulse(8192))[:, 0]))
    frequencies = np.fft.rfftfreq(8192, 1 / RATE)
    # Not quite flat: the mean over each step of the doubled rate takes 0.47 dB off at 10 kHz.
    assert np.all(np.abs(20 * np.log10(answer[frequencies < 10_000])) < 0.5)


# Modulation


def test_chorus_makes_a_mono_sound_wide_and_keeps_its_level() -> None:
    effect = build_effect(kinds.Chorus(mix=0.5), TEMPO)
    mono = np.repeat(noise(RATE)[:, :1], 2, axis=1)
    out = effect.render(effect.start(), mono)
    assert correlation(out) < 0.9
    assert abs(decibels(level(out) / level(mono))) < 1.5


def test_vibrato_moves_the_pitch_by_what_depth_and_rate_give() -> None:
    """A delay that swings by d seconds at f Hz shifts the frequency by up to 2 pi f d: here 1.9 %."""
    effect = build_effect(kinds.Chorus(voices=1, mix=1, rate_hz=1.0, depth_ms=3.0, delay_ms=8.0), TEMPO)
    out = effect.render(effect.start(), sine(1000, 2 * RATE))[RATE:, 0]
    rising = np.flatnonzero((out[:-1] < 0) & (out[1:] >= 0))
    crossings = rising - out[rising] / (out[rising + 1] - out[rising])
    frequency = RATE / np.diff(crossings)
    assert frequency.max() == pytest.approx(1018.85, abs=2) and frequency.min() == pytest.approx(981.15, abs=2)


def test_phaser_cuts_notches() -> None:
    """Where the phase has turned by half, half of wet and half of dry cancel."""
    effect = build_effect(kinds.Phaser(rate_hz=0.01, low_hz=900, high_hz=900, stages=4, feedback=0, mix=1), TEMPO)
    spectrum = np.abs(np.fft.rfft(effect.render(effect.start(), impulse(RATE))[:, 0]))
    # Each stage turns by 45 degrees at 900 tan(pi/8) and by 135 at 900 / tan(pi/8): four make 180 and 540.
    for notch_hz in (900 * np.tan(np.pi / 8), 900 / np.tan(np.pi / 8)):
        around = slice(round(notch_hz * 0.97), round(notch_hz * 1.03))
        assert spectrum[around].min() < 0.05


def test_pump_ducks_on_every_beat() -> None:
    effect = build_effect(kinds.Pump(depth=0.8), TEMPO)
    gain = effect.render(effect.start(), np.ones((TEMPO.frames(2), 2)))[:, 0]
    for beat in range(8):
        onset = TEMPO.sample_at(480 * beat)
        dip = onset + round(0.006 * RATE)
        assert gain[dip] == pytest.approx(0.2, abs=0.01), "down right after the beat"
        assert gain[onset] == pytest.approx(1.0, abs=0.01) and gain[TEMPO.sample_at(480 * beat + 440)] > 0.9
    assert np.abs(np.diff(gain)).max() < 0.01, "no step that would click"


@pytest.mark.parametrize("meter", ["4/4", "7/8", "5/4", "12/8"])
def test_pump_begins_every_bar_anew(meter: str) -> None:
    """Also where a bar has no whole number of periods: otherwise a loop would have a step in level at its seam."""
    tempo = TempoMap(Fraction(120), Meter.parse(meter), RATE)
    effect = build_effect(kinds.Pump(depth=0.8), tempo)
    bar = tempo.bar_sample(1)
    gain = effect.render(effect.start(), np.ones((3 * bar, 2)))
    for start in (0, bar, 2 * bar):
        np.testing.assert_allclose(gain[start : start + 1000], gain[:1000], atol=1e-6)
    assert gain[0, 0] == pytest.approx(1.0) and gain.min() == pytest.approx(0.2, abs=1e-3)


def test_tremolo_and_auto_pan() -> None:
    ones = np.ones((RATE, 2))
    tremolo = build_effect(kinds.Tremolo(rate_hz=5, depth=0.5), TEMPO)
    gain = tremolo.render(tremolo.start(), ones)
    assert gain.min() == pytest.approx(0.5, abs=1e-3) and gain.max() == pytest.approx(1.0, abs=1e-3)
    assert np.array_equal(gain[:, 0], gain[:, 1])
    pan = build_effect(kinds.Tremolo(rate_hz=5, depth=1, pan=True), TEMPO)
    gain = pan.render(pan.start(), ones)
    assert np.allclose(gain.sum(axis=1), 1.0, atol=1e-3), "one side rises as the other falls"


# Delay


@given(
    tempo_bpm=st.decimals(40, 250, places=1),
    sample_rate=st.sampled_from([44_100, 48_000, 88_200]),
    time=st.sampled_from(["1/16", "1/8t", "1/8", "1/8d", "1/4"]),
)
@settings(max_examples=25, deadline=None)
def test_echoes_fall_on_the_samples_of_the_tempo(tempo_bpm: object, sample_rate: int, time: kinds.NoteValue) -> None:
    tempo = TempoMap(Fraction(str(tempo_bpm)), sample_rate=sample_rate)
    effect = build_effect(kinds.Delay(time=time, feedback=0.5, mix=1.0, ping_pong=True), tempo)
    frames = tempo.sample_at(note_value_ticks(time))
    out = effect.render(effect.start(), impulse(4 * frames))
    onset = np.abs(out) > 1e-12
    assert np.flatnonzero(onset[1:, 0])[0] + 1 == frames, "the first echo is on the left"
    assert np.flatnonzero(onset[1:, 1])[0] + 1 == 2 * frames, "the second on the right"


def test_echoes_lose_the_level_and_the_top_that_they_are_told_to() -> None:
    insert = kinds.Delay(time="1/8", feedback=0.5, low_cut_hz=20, high_cut_hz=3000, mix=1, ping_pong=False)
    effect = build_effect(insert, TEMPO)
    frames = TEMPO.sample_at(240)
    burst = np.zeros((4 * frames, 2))
    burst[:4000] = sine(500, 4000) * np.hanning(4000)[:, None]
    out = effect.render(effect.start(), burst)
    first, second = (level(out[k * frames : k * frames + 4500]) for k in (1, 2))
    assert decibels(second / first) == pytest.approx(-6.0, abs=0.5)
    top = effect.render(effect.start(), impulse(4 * frames))
    one, two = (np.abs(np.fft.rfft(top[k * frames : k * frames + 4800, 0])) for k in (1, 2))
    at_6_khz, at_600_hz = 600, 60
    loss_db = decibels(two[at_6_khz] / one[at_6_khz] / (two[at_600_hz] / one[at_600_hz]))
    assert loss_db == pytest.approx(-6.8, abs=0.6), "a one-pole filter at 3 kHz takes 7 dB at 6 kHz, 0.2 dB at 600 Hz"


# Reverb


def decay_seconds(answer: np.ndarray, sample_rate: int) -> float:
    """T60 from the slope between -5 and -35 dB of the backward-integrated energy (Schroeder 1965, ISO 3382)."""
    energy = np.cumsum(answer[::-1] ** 2)[::-1]
    curve = 10 * np.log10(energy / energy[0])
    start, end = np.searchsorted(-curve, [5.0, 35.0])
    return 60 / 30 * (end - start) / sample_rate


@pytest.mark.parametrize("decay", [0.4, 1.5, 4.0])
@pytest.mark.parametrize("size", [0.5, 1.2])
@pytest.mark.parametrize("sample_rate", [44_100, 96_000])
def test_reverb_decays_in_the_time_it_is_set_to(decay: float, size: float, sample_rate: int) -> None:
    tempo = TempoMap(Fraction(120), sample_rate=sample_rate)
    insert = kinds.Reverb(decay_seconds=decay, size=size, mix=1, low_cut_hz=20, high_decay=0.9)
    effect = build_effect(insert, tempo)
    frames = round((decay + 0.5) * sample_rate)
    wet = effect.render(effect.start(), impulse(frames)) - impulse(frames)
    middle = Filter(
        np.concatenate([butterworth("high_pass", 4, 350, sample_rate), butterworth("low_pass", 4, 700, sample_rate)])
    )
    octave = middle.render(middle.start(), wet)  # the octave around 500 Hz
    assert decay_seconds(octave.sum(axis=1), sample_rate) == pytest.approx(decay, rel=0.15)


def test_reverb_is_wide_as_strong_as_its_mix_and_darkens() -> None:
    effect = build_effect(kinds.Reverb(decay_seconds=1, mix=0.5, high_decay=1, low_cut_hz=20), TEMPO)
    low = Filter(butterworth("low_pass", 4, 2000, RATE))
    mono = np.repeat(low.render(low.start(), noise(4 * RATE))[:, :1], 2, axis=1)
    wet = (effect.render(effect.start(), mono) - mono)[2 * RATE :]
    assert abs(correlation(wet)) < 0.25
    assert decibels(level(wet) / level(mono)) == pytest.approx(-6, abs=1.5)
    effect = build_effect(kinds.Reverb(decay_seconds=2, mix=1, high_decay=0.2, low_cut_hz=20), TEMPO)
    tail = effect.render(effect.start(), impulse(2 * RATE))[1000:]
    early, late = tail[: RATE // 2], tail[RATE:]
    assert energy_share_below(late, RATE, 2000) > energy_share_below(early, RATE, 2000) + 0.2


def test_reverb_has_no_ringing_tone() -> None:
    """In the late tail no bin stands far above its neighbourhood, as one would if a mode decayed too slowly."""
    effect = build_effect(kinds.Reverb(decay_seconds=4, mix=1, low_cut_hz=20, high_decay=0.9), TEMPO)
    tail = effect.render(effect.start(), impulse(5 * RATE))[3 * RATE :, 0]
    _, power = power_spectrum(tail / np.abs(tail).max(), RATE)
    band = 10 * np.log10(power[20:800])  # up to 4.7 kHz
    smooth = np.convolve(band, np.ones(41) / 41, mode="same")
    assert (band - smooth)[20:-20].max() < 14.0


# Dynamics


@pytest.mark.parametrize("level_db", [-40.0, -21.0, -18.0, -15.0, -6.0, 0.0])
def test_compressor_settles_on_its_static_curve(level_db: float) -> None:
    insert = kinds.Compressor(threshold_db=-18, ratio=4, knee_db=8, attack_ms=1, release_ms=50)
    effect = build_effect(insert, TEMPO)
    block = np.full((RATE, 2), 10 ** (level_db / 20))
    out = effect.render(effect.start(), block)[-1, 0]
    expected = static_curve_db(np.array([level_db]), -18, 4, 8)[0]
    assert decibels(out) - level_db == pytest.approx(expected, abs=0.01)


def test_static_curve() -> None:
    curve = static_curve_db(np.array([-60.0, -22.0, 2.0]), -18, 4, 8)
    assert curve[0] == 0.0 and curve[1] == 0.0, "nothing below the knee"
    assert curve[2] == pytest.approx(-15.0), "20 dB over the threshold become 5"
    around = static_curve_db(np.linspace(-23, -13, 1001), -18, 4, 8)
    assert np.all(np.diff(around) <= 1e-12) and np.abs(np.diff(around, 2)).max() < 1e-4, "the knee has no corner"


def test_compressor_attacks_and_releases_in_time() -> None:
    """After one time constant, 63 % of the way (in dB)."""
    insert = kinds.Compressor(threshold_db=-20, ratio=10, knee_db=0, attack_ms=20, release_ms=200)
    effect = build_effect(insert, TEMPO)
    block = np.concatenate([np.full((RATE, 2), 1.0), np.full((RATE, 2), 0.05)])
    gain = 20 * np.log10(effect.render(effect.start(), block)[:, 0] / block[:, 0])
    assert gain[round(0.02 * RATE)] == pytest.approx(-18 * 0.632, abs=0.2)
    assert gain[RATE + round(0.2 * RATE)] == pytest.approx(-18 * 0.368, abs=0.2)


def test_range_keeper_leaves_a_low_sound_and_tames_a_bright_one() -> None:
    keeper = RangeKeeper(300, 0.12, RATE)
    low = sine(70, 2 * RATE)
    assert np.allclose(keeper.render(keeper.start(), low), low, atol=1e-6)
    bright = sine(110, 4 * RATE, 0.2) + sine(880, 4 * RATE, 0.3) + sine(2500, 4 * RATE, 0.3)
    assert energy_share_below(bright, RATE, 300) < 0.2
    assert energy_share_below(keeper.render(keeper.start(), bright), RATE, 300) > 0.82


# Stereo


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.5, 1.0])
def test_width_never_touches_the_mono_sum(amount: float) -> None:
    effect = WidthEffect.of(amount, RATE)
    signal = noise(RATE)
    out = effect.render(effect.start(), signal)
    assert np.allclose(out.sum(axis=1), signal.sum(axis=1), atol=1e-12)


def test_width_narrows_and_widens() -> None:
    mono = np.repeat(noise(RATE)[:, :1], 2, axis=1)
    half = noise(RATE, seed=2) + mono
    widths = {}
    for amount in (-1.0, -0.5, 0.5, 1.0):
        effect = WidthEffect.of(amount, RATE)
        widths[amount] = correlation(effect.render(effect.start(), half))
    assert widths[-1.0] == pytest.approx(1.0)
    assert widths[-1.0] > widths[-0.5] > correlation(half) > widths[0.5] > widths[1.0]
    effect = WidthEffect.of(1.0, RATE)
    assert 0.2 < correlation(effect.render(effect.start(), mono)) < 0.8, "a mono sound widens, and stays compatible"


def test_mono_bass_keeps_the_sum_and_takes_the_low_side() -> None:
    effect = MonoBass.of(180, RATE)
    signal = noise(4 * RATE)
    out = effect.render(effect.start(), signal)
    assert np.allclose(out.sum(axis=1), signal.sum(axis=1), atol=1e-12)
    assert side_share_below(signal, RATE, 120) > 0.4
    assert side_share_below(out, RATE, 120) < 0.02


def test_crush_holds_samples_and_rounds_them() -> None:
    effect = build_effect(kinds.Crush(bits=8, rate_hz=12_000), TEMPO)
    out = effect.render(effect.start(), sine(200, RATE))[:, 0]
    assert np.array_equal(out * 128, np.rint(out * 128)), "8 bits"
    assert np.all(out.reshape(-1, 4) == out[::4, None]), "12 kHz: each value four times"
