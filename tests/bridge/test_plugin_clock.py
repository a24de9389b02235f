"""A host's clock: bar lines and loops, exact over hours, however inexactly hosts tell."""

from __future__ import annotations

import random
import struct
from fractions import Fraction

import numpy as np
import pytest

from resonantgen.music.time import Meter, TempoMap
from resonantgen_bridge.plugin_clock import HostClock
from resonantgen_bridge.plugin_sources import Source
from resonantgen_bridge.plugin_wire import HostFlag, Status

RATES = (44_100, 48_000, 96_000)
TEMPOS = ("97.3", "120", "33.333", "174.01", "399.999", "20")
METERS = ((4, 4), (3, 4), (7, 8), (12, 8), (3, 2), (5, 16))
TEN_HOURS = 36_000


def status(
    frame: int, rate: float, tempo: float, quarters: float, meter: tuple[int, int] = (4, 4), clock: int = 1
) -> Status:
    timed = HostFlag.TIMED | HostFlag.PLAYING
    return Status(clock, frame, float(rate), tempo, quarters, *meter, timed, 1, 0, 0, 0, 512)


def float32(value: float) -> float:
    number: float = struct.unpack("f", struct.pack("f", value))[0]
    return number


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tempo", TEMPOS)
def test_bar_lines_are_where_music_counts_them_at_any_hour(rate: int, tempo: str) -> None:
    """From wherever in ten hours the clock is read, and if the host tells 32-bit tempos."""
    rng = random.Random(f"{rate} {tempo}")
    for meter in METERS[:4]:
        exact = TempoMap(Fraction(tempo), Meter(*meter), rate)
        bar_quarters = Fraction(4 * meter[0], meter[1])
        for told in (float(tempo), float32(float(tempo))):
            frame = rng.randrange(-10 * rate, TEN_HOURS * rate)
            quarters = float(frame / (60 * rate / Fraction(tempo)))
            clock = HostClock.of(status(frame, rate, told, quarters, meter))
            assert (clock.origin, clock.tempo_bpm, clock.bar_quarters) == (0, Fraction(tempo), bar_quarters)
            for _ in range(20):
                bar = rng.randrange(TEN_HOURS // 10)
                line = exact.bar_sample(bar)
                assert clock.bar_line(line) == line
                assert clock.bar_line(line + 1) == exact.bar_sample(bar + 1)
                assert clock.frame_at(bar * bar_quarters) == line


def test_the_place_within_a_bar_may_come_as_a_32_bit_float() -> None:
    """As LV2 tells it: the bar as an integer, the beat within it as a float."""
    rng = random.Random(8)
    for _ in range(2000):
        rate, tempo = rng.choice(RATES), rng.choice(TEMPOS)
        meter = rng.choice(METERS[:4])
        bar_quarters = Fraction(4 * meter[0], meter[1])
        frame = rng.randrange(TEN_HOURS * rate)
        bar, rest = divmod(frame / (60 * rate / Fraction(tempo)), bar_quarters)
        beats = float32(float(rest * meter[1] / 4))
        quarters = float(bar * bar_quarters) + beats * 4 / meter[1]
        assert HostClock.of(status(frame, rate, float32(float(tempo)), quarters, meter)).origin == 0


@pytest.mark.parametrize("tempo", ["292/3", "97.3421", "1000/7", "123.45678", "1234567/9876"])
def test_tempos_of_more_decimals_do_not_drift(tempo: str) -> None:
    """After ten hours the bar lines are where the host has them, wherever the clock was read."""
    exact = Fraction(tempo)
    for frame in (0, 5 * 60 * 48_000, TEN_HOURS * 48_000):
        clock = HostClock.of(status(frame, 48_000, float(exact), float(frame * exact / 60 / 48_000)))
        assert clock.origin == 0
        bar = round(TEN_HOURS * exact / 240)
        assert abs(clock.frame_at(Fraction(4 * bar)) - bar * 240 * 48_000 / exact) <= Fraction(1, 2) + Fraction(1, 1000)


@pytest.mark.parametrize(
    ("told", "meant"),
    [(120.00000001, "120"), (119.9999999, "120"), (float32(97.3), "97.3"), (float32(292 / 3), "292/3"), (1e-9, ".001")],
)
def test_a_tempo_that_is_nearly_a_plain_one_is_that(told: float, meant: str) -> None:
    assert HostClock.of(status(0, 48_000, told, 0.0)).tempo_bpm == Fraction(meant)


@pytest.mark.parametrize("origin", [0, 1, -7, 123_456_789, Fraction(1, 2), Fraction(7, 16), Fraction(-51, 100)])
def test_a_song_that_begins_elsewhere(origin: Fraction) -> None:
    """On a whole frame, it is that frame; within half a frame of the host's beginning, it is there; else in between."""
    rng = random.Random(1)
    for _ in range(50):
        frame = rng.randrange(-100_000, 10_000_000)
        clock = HostClock.of(status(frame, 48_000, 120.0, float((frame - Fraction(origin)) / 24_000)))
        near_zero = abs(Fraction(origin)) <= Fraction(1, 2)
        assert clock.origin == (0 if near_zero else origin) or abs(clock.origin - origin) < Fraction(1, 64)
        line = clock.bar_line(frame)
        assert frame <= line < frame + 96_001
        assert abs((line - clock.origin) % 96_000) <= 1 or abs((line - clock.origin) % 96_000) >= 95_999


def test_a_clock_is_the_same_after_jumps() -> None:
    rng = random.Random(3)
    clocks = set()
    for _ in range(100):
        frame = rng.randrange(-48_000, 48_000 * TEN_HOURS)
        clocks.add(HostClock.of(status(frame, 48_000, 97.3, frame * 97.3 / 60 / 48_000)))
    assert len(clocks) == 1


def test_a_bar_line_before_the_beginning() -> None:
    clock = HostClock.of(status(-5000, 48_000, 120.0, -5000 / 24_000))
    assert (clock.bar_line(-5000), clock.bar_line(-96_001), clock.bar_line(0)) == (0, -96_000, 0)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("tempo", TEMPOS)
def test_every_pass_begins_on_its_frame_and_plays_the_stem(rate: int, tempo: str) -> None:
    rng = random.Random(f"{rate} {tempo} passes")
    exact = TempoMap(Fraction(tempo), Meter(7, 8), rate)
    stem = np.random.default_rng(5).uniform(-1, 1, (exact.frames(2), 2)).astype(np.float32)
    for origin in (Fraction(0), Fraction(-12_345), Fraction(33, 64)):
        source = Source(origin, 7 * 60 * rate / Fraction(tempo), stem)
        for _ in range(10):
            number = rng.randrange(-2, int(TEN_HOURS * rate / len(stem)))
            start, end = (round(origin + k * 7 * 60 * rate / Fraction(tempo)) for k in (number, number + 1))
            assert abs(end - start - len(stem)) <= 1
            heard = source.frames(start, end - start)
            both = min(len(stem), end - start)
            assert heard[:both].tobytes() == stem[:both].tobytes()
            assert heard[both:].tobytes() == stem[: len(heard) - both].tobytes()


def test_sound_is_the_same_however_it_is_asked_for() -> None:
    rng = random.Random(9)
    stem = np.random.default_rng(6).uniform(-1, 1, (6615, 2)).astype(np.float32)
    source = Source(Fraction(0), Fraction(66_150, 10) + Fraction(1, 3), stem)
    whole = source.frames(-30_000, 100_000)
    for _ in range(200):
        first, count = rng.randrange(-30_000, 60_000), rng.randrange(1, 10_000)
        assert source.frames(first, count).tobytes() == whole[first + 30_000 :][:count].tobytes()


def test_silence() -> None:
    for stem in (None, np.zeros((0, 2), np.float32)):
        frames = Source(Fraction(0), Fraction(1000), stem).frames(-5, 2048)
        assert frames.shape == (2048, 2) and frames.dtype == np.float32 and not frames.any()
