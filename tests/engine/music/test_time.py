"""Bars, ticks and samples agree exactly with the formula in the design, at any tempo, meter and rate."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.errors import BadValue
from resonantgen.music.time import Meter, TempoMap, check_bars, check_sample_rate, parse_tempo

METERS = [Meter(numerator, denominator) for denominator in (4, 8) for numerator in range(2, 13)]
meters = st.sampled_from(METERS)
rates = st.sampled_from([44_100, 48_000, 88_200, 96_000])
tempos = st.one_of(
    st.sampled_from([Fraction("97.3"), Fraction("133.7"), Fraction(20), Fraction(400), Fraction(120)]),
    st.decimals(20, 400, places=3).map(Fraction),
    st.fractions(20, 400, max_denominator=997),
)
ticks = st.integers(0, 64 * 12 * 480)
tempo_maps = st.builds(TempoMap, tempos, meters, rates)


@given(tempo_maps, ticks)
def test_a_tick_falls_on_the_nearest_sample(time: TempoMap, tick: int) -> None:
    exact = Fraction(tick) * 60 * time.sample_rate / (480 * time.tempo_bpm)
    assert time.sample_at(tick) == round(exact)  # half a sample to even


def test_half_a_sample_rounds_to_even() -> None:
    time = TempoMap(Fraction(240), sample_rate=44_100)  # 22.96875 samples a tick: 16 of them end on a half
    assert [time.sample_at(tick) for tick in (16, 48)] == [368, 1102]  # 367.5 and 1102.5
    assert type(time.sample_at(16)) is int


def test_known_positions() -> None:
    # 120 bpm at 48 kHz: a quarter is exactly 24,000 samples. 97.3 bpm: a bar is 4 * 60 * 44100 / 97.3 = 108776.978.
    assert TempoMap(Fraction(120)).sample_at(480) == 24_000
    assert TempoMap(Fraction("97.3"), sample_rate=44_100).frames(1) == 108_777
    assert TempoMap(Fraction("133.7"), Meter(7, 8), 96_000).bar_sample(64) == round(
        Fraction(64 * 7 * 240 * 60 * 96_000, 480) / Fraction("133.7")
    )


@given(tempo_maps, st.integers(0, 63), st.integers(1, 64))
def test_clips_that_follow_each_other_leave_no_gap(time: TempoMap, first_bar: int, bars: int) -> None:
    """What is rendered bar by bar adds up to the whole; each bar's length is within one sample of the average."""
    starts = [time.bar_sample(first_bar + n) for n in range(bars + 1)]
    lengths = [after - before for before, after in pairwise(starts)]
    assert sum(lengths) == time.bar_sample(first_bar + bars) - time.bar_sample(first_bar)
    average = Fraction(time.meter.bar_ticks * 60 * time.sample_rate, 480) / time.tempo_bpm
    assert all(abs(length - average) < 1 for length in lengths)


@given(tempo_maps, st.integers(1, 64))
def test_a_clip_has_the_frames_between_its_start_and_end(time: TempoMap, bars: int) -> None:
    end = bars * time.meter.numerator * 480 * 4 // time.meter.denominator
    assert time.frames(bars) == time.sample_at(end) - time.sample_at(0)


@given(tempo_maps, ticks)
def test_tick_at_inverts_sample_at(time: TempoMap, tick: int) -> None:
    sample = time.sample_at(tick)
    assert time.tick_at(sample) == tick
    assert time.tick_at(sample - 1) == tick - 1


@given(tempo_maps, st.integers(0, 10**7))
def test_tick_at_is_the_last_tick_at_or_before_a_sample(time: TempoMap, sample: int) -> None:
    tick = time.tick_at(sample)
    assert time.sample_at(tick) <= sample < time.sample_at(tick + 1)


@given(tempo_maps, ticks)
def test_seconds_agree_with_samples(time: TempoMap, tick: int) -> None:
    # Half a sample of rounding, plus what a double loses over the longest clip.
    assert abs(time.seconds(tick) * time.sample_rate - time.sample_at(tick)) <= 0.5 + 1e-6


@pytest.mark.parametrize("meter", METERS, ids=str)
def test_every_meter_adds_up(meter: Meter) -> None:
    assert Meter.parse(str(meter)) == meter
    assert sum(meter.groups) == meter.numerator
    assert meter.bar_ticks == meter.numerator * meter.unit_ticks == meter.numerator * 1920 // meter.denominator
    assert meter.beats_ticks[0] == 0 and sorted(set(meter.beats_ticks)) == list(meter.beats_ticks)
    assert set(meter.strong_ticks) <= set(meter.beats_ticks)
    assert len(meter.strong_ticks) <= 2 and meter.strong_ticks[0] == 0


@pytest.mark.parametrize(
    ("text", "groups", "strong"),
    [
        ("4/4", (1, 1, 1, 1), (0, 960)),
        ("3/4", (1, 1, 1), (0,)),
        ("2/4", (1, 1), (0, 480)),
        ("5/4", (1,) * 5, (0, 1440)),
        ("7/4", (1,) * 7, (0, 1920)),
        ("6/8", (3, 3), (0, 720)),
        ("9/8", (3, 3, 3), (0,)),
        ("12/8", (3, 3, 3, 3), (0, 1440)),
        ("5/8", (3, 2), (0, 720)),
        ("7/8", (2, 2, 3), (0, 960)),
        ("8/8", (2, 2, 2, 2), (0, 960)),
        ("10/8", (3, 3, 2, 2), (0, 1440)),
    ],
)
def test_felt_and_strong_beats(text: str, groups: tuple[int, ...], strong: tuple[int, ...]) -> None:
    meter = Meter.parse(text)
    assert meter.groups == groups
    assert meter.strong_ticks == strong


@pytest.mark.parametrize(
    "text", ["4/5", "1/4", "13/8", "4/16", "0/4", "4/0", "4", "", "4/4/4", "-4/4", "four/four", "99999/4"]
)
def test_bad_meters(text: str) -> None:
    with pytest.raises(BadValue, match="meter"):
        Meter.parse(text)


@pytest.mark.parametrize(
    ("value", "tempo"),
    [
        ("97.3", Fraction(973, 10)),
        (97.3, Fraction(973, 10)),
        (128, Fraction(128)),
        (" 20 ", Fraction(20)),
        ("1.28e2", Fraction(128)),
    ],
)
def test_tempos_are_exact(value: str | float, tempo: Fraction) -> None:
    assert parse_tempo(value) == tempo


@pytest.mark.parametrize(
    "value",
    [
        *("", "fast", "12\n8", "120bpm", "nan", "sNaN", "inf", "-inf", "1e999999999", "1" * 10_000, "120." + "0" * 100),
        *("0", 0, -120, "19.999", "400.001", Fraction(401), Fraction(1, 3)),
    ],
)
def test_bad_tempos_are_refused_at_once_and_in_one_line(value: str | float | Fraction) -> None:
    with pytest.raises(BadValue) as caught:
        parse_tempo(value)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 120


@pytest.mark.parametrize("bars", [0, -1, 65, 10_000])
def test_bad_bars(bars: int) -> None:
    with pytest.raises(BadValue, match="1 to 64"):
        check_bars(bars)


@pytest.mark.parametrize("rate", [0, 8_000, 44_099, 96_001, 192_000])
def test_bad_sample_rates(rate: int) -> None:
    with pytest.raises(BadValue, match="44100 to 96000"):
        check_sample_rate(rate)
    with pytest.raises(BadValue):
        TempoMap(Fraction(120), Meter(), rate)


def test_limits_are_allowed() -> None:
    assert [check_bars(1), check_bars(64), check_sample_rate(44_100), check_sample_rate(96_000)] == [
        1,
        64,
        44_100,
        96_000,
    ]
    with pytest.raises(BadValue, match="tempo"):
        TempoMap(Fraction(19))
