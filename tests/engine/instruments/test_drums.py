"""Drum strokes and the instrument that plays them: contract, onsets, ends, chokes, macros and stereo, in every kit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.instruments.contracts import play, verify_instrument
from resonantgen.instruments import drum_kernels
from resonantgen.instruments.base import Macros, NoteEvent, Samples
from resonantgen.instruments.catalog import catalog
from resonantgen.instruments.drum_voice import HALF_BAND, DrumVoice
from resonantgen.instruments.kit import CHOKE_MS, KitInstrument, load_kit
from resonantgen.music.notes import DrumPiece, Role

RATE = 48_000
KITS = list(catalog(Role.DRUMS))
PIECES = list(DrumPiece)
QUARTER = 26_182  # frames at 110 bpm

every_kit = pytest.mark.parametrize("kit_id", KITS)


def stroke(
    kit_id: str,
    piece: DrumPiece,
    velocity: float = 0.8,
    seed: int = 1,
    macros: Macros | None = None,
    rate: int = RATE,
) -> Samples:
    return DrumVoice(load_kit(kit_id), piece, macros or Macros(), rate).stroke(velocity, seed)


def events(*rows: tuple[float, DrumPiece, float]) -> list[NoteEvent]:
    """Notes from (quarters, piece, velocity), each with a seed of its own."""
    return [
        NoteEvent(round(quarters * QUARTER), 100, piece, velocity, 7919 * number)
        for number, (quarters, piece, velocity) in enumerate(sorted(rows))
    ]


def beat() -> list[NoteEvent]:
    """A bar of rock: eighths on the hat, kick on 1 and 3, snare on 2 and 4."""
    hats = [(eighth / 2, DrumPiece.CLOSED_HAT, 0.55 if eighth % 2 else 0.8) for eighth in range(7)]
    kicks = [(quarters, DrumPiece.KICK, 0.9) for quarters in (0.0, 1.5, 2.5)]
    snares = [(quarters, DrumPiece.SNARE, 0.9) for quarters in (1.0, 3.0)]
    return events(*hats, (3.5, DrumPiece.OPEN_HAT, 0.6), *kicks, *snares)


def rendered(
    kit_id: str, notes: Sequence[NoteEvent], macros: Macros | None = None, frames: int = 4 * QUARTER
) -> Samples:
    return play(KitInstrument(load_kit(kit_id), macros or Macros(), RATE), notes, [frames])


def spectrum(signal: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in Hz and power, under a Hann window over everything that is long enough not to smear."""
    return np.fft.rfftfreq(len(signal), 1 / RATE), np.square(np.abs(np.fft.rfft(signal)))


def centroid_hz(samples: Samples) -> float:
    hz, power = spectrum(samples.mean(axis=1))
    return float((hz * power).sum() / power.sum())


def crest_db(samples: Samples) -> float:
    return float(20 * np.log10(np.abs(samples).max() / np.sqrt(np.square(samples).mean())))


def decay_ms(samples: Samples, fall_db: float = 30.0) -> float:
    """How long until what is left of the energy is `fall_db` below the whole."""
    left = np.cumsum(np.square(samples.mean(axis=1))[::-1])[::-1]
    return float(1000 / RATE * np.argmax(left < left[0] * 10 ** (-fall_db / 10)))


@every_kit
def test_kit_keeps_the_instrument_contract(kit_id: str) -> None:
    everything = events(
        *((0.12 * n, piece, 0.9 - 0.04 * n) for n, piece in enumerate(PIECES)), (0.5, DrumPiece.KICK, 0.7)
    )
    # The limit on DC is for strokes cut off mid-cycle by the window's end; kicks last a few cycles only.
    verify_instrument(lambda: KitInstrument(load_kit(kit_id), Macros(), RATE), everything, 3 * QUARTER)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=12),
    rows=st.lists(
        st.tuples(st.floats(0, 0.9), st.sampled_from(PIECES), st.floats(0.05, 1)), min_size=1, max_size=12, unique=True
    ),
)
def test_any_cut_into_blocks_gives_the_same_samples(
    sizes: list[int], rows: list[tuple[float, DrumPiece, float]]
) -> None:
    frames = max(sum(sizes), QUARTER)
    instrument = KitInstrument(load_kit("rock"), Macros(release=-1.0), RATE)
    notes = events(*rows)
    assert np.array_equal(play(instrument, notes, [frames]), play(instrument, notes, [*sizes, frames - sum(sizes)]))


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@every_kit
def test_every_piece_starts_on_its_frame_and_ends_in_silence(kit_id: str, rate: int) -> None:
    for piece in PIECES:
        samples = stroke(kit_id, piece, rate=rate)
        peak = np.abs(samples).max()
        assert 0.02 < peak < 4.0, (piece, peak)
        # A skin starts from rest, so its very first sample may be zero.
        assert np.any(samples[:2]), piece
        assert not np.any(samples[-1]), piece
        # No step that could click: the last 2 ms are 60 dB below the peak.
        assert np.abs(samples[-rate // 500 :]).max() < 1e-3 * peak, piece


@every_kit
def test_no_stroke_outlasts_tail_frames(kit_id: str) -> None:
    instrument = KitInstrument(load_kit(kit_id), Macros(release=0.4), RATE)
    for piece in PIECES:
        for seed in range(3):
            assert len(stroke(kit_id, piece, seed=seed, macros=Macros(release=0.4))) <= instrument.tail_frames


@every_kit
@pytest.mark.parametrize("choke", [DrumPiece.CLOSED_HAT, DrumPiece.PEDAL_HAT])
def test_closing_the_hat_stops_the_open_hat(kit_id: str, choke: DrumPiece) -> None:
    opened, closed = NoteEvent(0, 100, DrumPiece.OPEN_HAT, 0.9, 1), NoteEvent(4000, 100, choke, 0.9, 2)
    both, alone = rendered(kit_id, [opened, closed], frames=12_000), rendered(kit_id, [opened], frames=12_000)
    left = both - rendered(kit_id, [closed], frames=12_000)  # of the open hat
    fade = int(CHOKE_MS * RATE / 1000)
    assert np.array_equal(left[:4000], alone[:4000])
    assert np.abs(left[4000 + fade :]).max() < 1e-12
    assert np.abs(alone[4000 + fade :]).max() > 0.01 * np.abs(alone).max(), "it would have gone on"
    # A fade, not a cut: what is left is the open hat times a gain that falls from 1.
    assert np.allclose(left[4000 : 4000 + fade // 8], alone[4000 : 4000 + fade // 8], atol=0.05 * np.abs(alone).max())


def test_a_kick_stops_the_kick_before_it_and_nothing_else() -> None:
    kick, again = NoteEvent(0, 100, DrumPiece.KICK, 0.9, 1), NoteEvent(6000, 100, DrumPiece.KICK, 0.9, 2)
    snare = NoteEvent(0, 100, DrumPiece.SNARE, 0.9, 3)
    left = rendered("808", [kick, again, snare]) - rendered("808", [again, snare])
    assert np.abs(left[:6000]).max() > 0.1 and np.abs(left[6400:]).max() < 1e-12
    left = rendered("808", [snare, again]) - rendered("808", [again])
    assert np.allclose(left, rendered("808", [snare]), atol=1e-12)


@every_kit
def test_the_same_seed_gives_the_same_stroke_and_another_a_slightly_different_one(kit_id: str) -> None:
    for piece in (DrumPiece.KICK, DrumPiece.SNARE, DrumPiece.CLOSED_HAT):
        first, same, other = (stroke(kit_id, piece, seed=seed) for seed in (11, 11, 12))
        assert np.array_equal(first, same)
        assert first.shape != other.shape or not np.array_equal(first, other)
        levels_db = [10 * np.log10(np.square(stroke(kit_id, piece, seed=seed)).sum()) for seed in range(12)]
        assert np.ptp(levels_db) < 4.0, "strokes of one drum are of one family"


@every_kit
def test_harder_strokes_are_louder_and_brighter(kit_id: str) -> None:
    for piece in (DrumPiece.SNARE, DrumPiece.CLOSED_HAT, DrumPiece.LOW_CONGA):
        soft, usual, hard = (stroke(kit_id, piece, velocity) for velocity in (0.3, 0.65, 1.0))
        assert np.square(soft).sum() < np.square(usual).sum() < np.square(hard).sum(), piece
        assert centroid_hz(soft) < centroid_hz(usual) < centroid_hz(hard), piece


@every_kit
def test_brightness_raises_the_centroid_of_the_beat_and_of_the_hat(kit_id: str) -> None:
    steps = (-1.0, -0.5, 0.0, 0.5, 1.0)
    beats = [centroid_hz(rendered(kit_id, beat(), Macros(brightness=step))) for step in steps]
    hats = [centroid_hz(stroke(kit_id, DrumPiece.CLOSED_HAT, macros=Macros(brightness=step))) for step in steps]
    assert beats == sorted(beats) and beats[-1] > 4 * beats[0]
    assert hats == sorted(hats) and hats[-1] > 1.05 * hats[0]


@every_kit
def test_drive_takes_peaks_down_and_adds_harmonics(kit_id: str) -> None:
    crests = [crest_db(rendered(kit_id, beat(), Macros(drive=step))) for step in (-1.0, 0.0, 1.0)]
    assert crests[0] > crests[1] > crests[2], crests

    def harmonics(drive: float) -> float:
        """Share of a kick's body (after its click) that is well above its fundamental."""
        body = stroke(kit_id, DrumPiece.KICK, 0.9, macros=Macros(drive=drive))[RATE // 25 : RATE // 7].mean(axis=1)
        hz, power = spectrum(body * np.hanning(len(body)))
        return float(power[(hz > 140) & (hz < 1000)].sum() / power.sum())

    assert harmonics(1.0) > 1.5 * harmonics(-1.0)


@every_kit
def test_attack_softens_and_release_lengthens(kit_id: str) -> None:
    for piece in (DrumPiece.KICK, DrumPiece.SNARE):
        early = [
            np.square(samples[: RATE // 125]).sum() / np.square(samples).sum()
            for samples in (stroke(kit_id, piece, macros=Macros(attack=step)) for step in (-1.0, 0.0, 1.0))
        ]
        assert early[0] > early[1] > early[2], piece
    for piece in PIECES:
        short, usual, long = (decay_ms(stroke(kit_id, piece, macros=Macros(release=step))) for step in (-1.0, 0.0, 1.0))
        assert short < usual < long, piece


@settings(max_examples=30, deadline=None)
@given(
    kit_id=st.sampled_from(KITS),
    piece=st.sampled_from(PIECES),
    macros=st.builds(Macros, *[st.sampled_from((-1.0, 0.0, 1.0))] * 6),
    velocity=st.sampled_from((1 / 127, 0.5, 1.0)),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_setting_breaks_a_stroke(kit_id: str, piece: DrumPiece, macros: Macros, velocity: float, seed: int) -> None:
    samples = stroke(kit_id, piece, velocity, seed, macros)
    assert np.all(np.isfinite(samples))
    assert 1e-6 < np.abs(samples).max() < 8.0
    assert np.any(samples[:2]) and not np.any(samples[-1])


@every_kit
def test_lows_stay_mono_and_the_sum_does_not_depend_on_width(kit_id: str) -> None:
    toms = events(
        (0.0, DrumPiece.LOW_TOM, 1.0), (0.7, DrumPiece.MID_TOM, 1.0), (1.4, DrumPiece.HIGH_TOM, 1.0),
        (2.0, DrumPiece.LOW_CONGA, 1.0), (2.5, DrumPiece.CRASH, 1.0), (3.0, DrumPiece.SNARE, 1.0),
    )  # fmt: skip
    wide, narrow = rendered(kit_id, toms, Macros(width=1.0)), rendered(kit_id, toms, Macros(width=-1.0))
    assert np.allclose(wide.sum(axis=1), narrow.sum(axis=1), atol=1e-9)
    assert not np.any(narrow[:, 0] - narrow[:, 1])
    hz, side = spectrum(wide[:, 1] - wide[:, 0])
    _, middle = spectrum(wide.sum(axis=1))
    assert side[hz < 120].sum() < 1e-3 * middle[hz < 120].sum(), "30 dB below the middle"
    assert side[hz > 500].sum() > 1e-2 * middle[hz > 500].sum(), "there is width to speak of"
    usual = rendered(kit_id, beat())
    assert np.corrcoef(usual[:, 0], usual[:, 1])[0, 1] > 0.6


def test_a_stroke_sounds_the_same_at_another_sample_rate() -> None:
    for kit_id in KITS:
        for piece in PIECES:
            power = [
                np.mean([np.square(stroke(kit_id, piece, seed=seed, rate=rate)).sum() / rate for seed in range(4)])
                for rate in (44_100, 96_000)
            ]
            # Noise differs from rate to rate, and 44.1 kHz holds less of what is above 18 kHz.
            assert abs(10 * np.log10(power[1] / power[0])) < 2.0, (kit_id, piece, power)


@pytest.mark.parametrize("tone_hz", [777.0, 2000.7, 4999.0])
def test_saturation_folds_nothing_back_into_the_audible_range(tone_hz: float) -> None:
    tone = 0.9 * np.sin(2 * np.pi * tone_hz / RATE * np.arange(RATE))
    drum_kernels.saturate(tone, 6.0, HALF_BAND)  # the most that the drive macro gives to most pieces
    hz, power = spectrum(tone * np.hanning(RATE))
    order = hz / tone_hz
    own = np.abs((order + 1) % 2 - 1) * tone_hz > tone_hz - 20  # odd harmonics
    assert 10 * np.log10(power[own & (order > 2) & (order < 4)].max() / power.max()) > -20, "it does saturate"
    assert 10 * np.log10(power[(hz < 20_000) & ~own].max() / power.max()) < -60


def test_squares_are_band_limited() -> None:
    frames = RATE // 2
    out = np.empty(frames)
    drum_kernels.fill_metal(out, np.array([800.0 / RATE]), np.uint64(3), 0.0)
    hz, power = spectrum(out * np.hanning(frames))
    nearest = np.abs((hz / 800 - 1) % 2)
    own = np.minimum(nearest, 2 - nearest) * 800 < 20  # odd harmonics
    assert 10 * np.log10(power[(hz < 10_000) & ~own].max() / power.max()) < -70
    assert np.isclose(power[np.abs(hz - 2400) < 20].sum() / power[np.abs(hz - 800) < 20].sum(), 1 / 9, rtol=0.02)
