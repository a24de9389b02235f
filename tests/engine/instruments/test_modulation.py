"""Envelopes, glide, vibrato, wobble and tremolo: closed functions of time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from resonantgen.instruments import filters, fm, modal, modulation, noise, oscillators, plucked
from resonantgen.instruments.modulation import (
    CUTOFF,
    GAIN_LEFT,
    GAIN_RIGHT,
    INCREMENT,
    TICK,
    TRACKS,
    WIDTH,
    Motion,
    modulate,
)

RATE = 48_000


def test_all_stages_of_a_voice_work_in_the_same_ticks() -> None:
    stages = (modulation, oscillators, fm, plucked, modal, noise, filters)
    assert {stage.TICK for stage in stages} == {32}


STILL = Motion(
    seconds_per_tick=TICK / RATE, sample_rate=float(RATE), started_s=0.0, hold_s=0.5, gain=1.0, pan=0.0, key=69.0,
    glide_from=69.0, glide_s=0.0, sweep_semitones=0.0, sweep_s=0.05, vibrato_cents=0.0, vibrato_hz=5.0,
    vibrato_delay_s=0.4, vibrato_phase=0.0, drift_cents=0.0, drift_phase=0.0, cutoff_hz=1000.0, filter_octaves=0.0,
    wobble_hz=0.0, wobble_octaves=0.0, wobble_shape=0.0, tremolo_hz=0.0, tremolo_depth=0.0, tremolo_pan=0.0,
    pulse_width=0.5, pulse_depth=0.0, pulse_hz=1.0,
)  # fmt: skip
ENVELOPE = [0.1, 0.3, 0.4, 0.2, 0.0]  # attack, decay, sustain, release, start


def moved(motion: Motion, envelope: list[float] | None = None, first_tick: int = 0,
          ticks: int = 1500) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Levels of the amplitude envelope, and the tracks."""
    envelopes = np.array([envelope or ENVELOPE] * 3)
    levels, tracks = np.empty((3, ticks + 1)), np.empty((TRACKS, ticks + 1))
    modulate(motion, envelopes, first_tick, levels, tracks)
    return levels[0], tracks


def tick_at(seconds: float) -> int:
    return round(seconds * RATE / TICK)


def cents(track: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pitch track relative to A 440."""
    return np.asarray(1200.0 * np.log2(track * RATE / 440.0))


def test_an_envelope_has_its_four_stages() -> None:
    level, _ = moved(STILL)
    attack, hold, end = tick_at(0.1), tick_at(0.5), tick_at(0.7)
    assert level[0] == 0.0 and np.all(np.diff(level[: attack + 1]) > 0)
    assert level[attack] == pytest.approx(1.0, abs=0.01)
    assert np.all(np.diff(level[attack + 1 : hold]) < 0)
    assert level[tick_at(0.4)] == pytest.approx(0.4, abs=0.002)
    assert np.all(np.diff(level[hold + 1 : end]) < 0) and not np.any(level[end + 1 :])


def test_a_release_begins_without_a_kink() -> None:
    level, _ = moved(STILL)
    hold = tick_at(0.5)
    # Ticks are 0.67 ms apart: the first step down is far smaller than those a knee (5 ms) later.
    assert level[hold] - level[hold + 1] < 0.25 * (level[hold + 8] - level[hold + 9])


def test_a_short_note_is_released_from_where_its_attack_got_to() -> None:
    level, _ = moved(STILL._replace(hold_s=0.02))
    assert level.max() == pytest.approx(level[tick_at(0.02)], rel=0.02) and level.max() < 0.5


@pytest.mark.parametrize("first", [1, 7, 700])
def test_a_tick_is_the_same_wherever_a_block_begins(first: int) -> None:
    motion = STILL._replace(vibrato_cents=20.0, wobble_hz=2.0, wobble_octaves=3.0, tremolo_hz=4.0, tremolo_depth=0.5)
    assert np.array_equal(moved(motion)[1][:, first:], moved(motion, first_tick=first, ticks=1500 - first)[1])


def test_pitch_is_the_key_s() -> None:
    for key, hz in ((69.0, 440.0), (57.0, 220.0), (60.0, 261.6255653)):
        assert moved(STILL._replace(key=key))[1][INCREMENT][5] * RATE == pytest.approx(hz, rel=1e-9)


def test_a_glide_starts_at_the_old_key_and_arrives() -> None:
    pitch = cents(moved(STILL._replace(glide_from=57.0, glide_s=0.2))[1][INCREMENT])
    assert pitch[0] == pytest.approx(-1200.0) and np.all(np.diff(pitch[: tick_at(0.3)]) > 0)
    assert abs(pitch[tick_at(0.2)]) < 2.0


def test_vibrato_swings_evenly_once_it_has_come_in() -> None:
    pitch = cents(moved(STILL._replace(vibrato_cents=20.0))[1][INCREMENT])
    assert np.abs(pitch[: tick_at(0.2)]).max() < 1e-6
    late = pitch[tick_at(0.6) : tick_at(1.0)]  # two whole cycles
    assert late.max() == pytest.approx(20.0, abs=0.5) and late.min() == pytest.approx(-20.0, abs=0.5)
    assert abs(late.mean()) < 0.5


def test_a_wobble_counts_from_the_start_of_the_music() -> None:
    motion = STILL._replace(wobble_hz=4.0, wobble_octaves=3.0)
    cutoff = np.arctan(moved(motion)[1][CUTOFF]) * RATE / np.pi
    assert cutoff[0] == pytest.approx(1000.0) and cutoff[tick_at(0.125)] == pytest.approx(125.0, rel=0.02)
    later = moved(motion._replace(started_s=10.125))[1][CUTOFF]
    assert np.arctan(later[0]) * RATE / np.pi == pytest.approx(125.0, rel=0.02)


def test_the_filter_envelope_opens_the_cutoff_by_octaves() -> None:
    track = moved(STILL._replace(filter_octaves=2.0))[1][CUTOFF]
    assert np.arctan(track.max()) * RATE / np.pi == pytest.approx(4000.0, rel=0.01)


def test_panning_and_tremolo_keep_the_power() -> None:
    for pan in (-1.0, -0.3, 0.0, 0.8):
        level, tracks = moved(STILL._replace(pan=pan, tremolo_hz=3.0, tremolo_pan=0.2))
        power = tracks[GAIN_LEFT] ** 2 + tracks[GAIN_RIGHT] ** 2
        np.testing.assert_allclose(power, 2.0 * level**2, atol=1e-12)


def test_pulse_width_stays_a_pulse() -> None:
    width = moved(STILL._replace(pulse_depth=0.6, pulse_hz=3.0))[1][WIDTH]
    assert width.min() == 0.05 and width.max() == 0.95
