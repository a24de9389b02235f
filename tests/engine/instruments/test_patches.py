"""What every patch must do, whatever it sounds like."""

from __future__ import annotations

import numpy as np
import pytest

from engine.instruments.contracts import verify_instrument
from engine.instruments.measuring import (
    MIDDLE_KEY,
    PATCHES,
    RATE,
    TEMPO_BPM,
    centroid_hz,
    cents_off,
    crest_db,
    key_hz,
    play_note,
    power_spectrum,
    rms_db,
    share_below,
    sounding_seconds,
)
from resonantgen.instruments.base import Macros, NoteEvent
from resonantgen.instruments.patch import load_patch
from resonantgen.instruments.synth import PatchInstrument
from resonantgen.music.notes import Role

every_patch = pytest.mark.parametrize(("role", "name"), PATCHES, ids=[f"{role.value}-{name}" for role, name in PATCHES])
BASSES = [name for role, name in PATCHES if role is Role.BASS]


@every_patch
def test_it_keeps_the_contract_of_instruments(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    events = [
        NoteEvent(13, 9000, key, 0.8, 1),
        NoteEvent(13, 5000, key + 7, 0.5, 2),  # a chord; in a mono patch the later note wins
        NoteEvent(4001, 9000, key + 3, 0.9, 3),  # tied where the patch glides
        NoteEvent(9999, 40, key - 5, 0.4, 4),  # shorter than a tick and a half
    ]
    macros = Macros(brightness=0.4, drive=0.5, width=0.3)
    verify_instrument(lambda: PatchInstrument(patch, macros, RATE, TEMPO_BPM), events, 16_000, dc_limit=0.02)


@every_patch
@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_a_note_begins_on_its_frame(role: Role, name: str, rate: int) -> None:
    instrument = PatchInstrument(load_patch(role, name), Macros(), rate, TEMPO_BPM)
    state = instrument.start()
    instrument.render(state, [], 500)
    events = [NoteEvent(777, 4000, MIDDLE_KEY[role], 0.8, 3)]
    samples = instrument.render(state, events, 400)
    # An envelope starts from zero, so the first frame that sounds is the one after.
    assert int(np.argmax(np.any(samples != 0.0, axis=1))) in (277, 278)


@every_patch
def test_it_is_in_tune(role: Role, name: str) -> None:
    patch = load_patch(role, name)
    for key in (MIDDLE_KEY[role] - 7, MIDDLE_KEY[role] + 9):
        # Detuned unisons beat differently from note to note: the mean of four notes is the pitch that is heard.
        # The first 0.1 s is left out: pitch sweeps belong to the attack.
        notes = [play_note(patch, key, seconds=2.0, seed=seed)[RATE // 10 :] for seed in range(4)]
        assert abs(float(np.mean([cents_off(note, key_hz(key)) for note in notes]))) < 3.0


@every_patch
def test_a_middle_note_has_the_usual_level(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    level = 10.0 * np.log10(np.mean([10.0 ** (rms_db(play_note(patch, key + k)) / 10.0) for k in (-5, 0, 5)]))
    assert level == pytest.approx(-18.0, abs=0.5)


@every_patch
def test_velocity_makes_it_louder(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    levels = [rms_db(play_note(patch, key, velocity=velocity)) for velocity in (0.3, 0.6, 1.0)]
    assert levels[0] < levels[1] < levels[2] and levels[2] - levels[0] > 2.0


@every_patch
def test_brightness_raises_the_centroid(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    steps = (-1.0, -0.5, 0.0, 0.5, 1.0)
    centroids = [centroid_hz(play_note(patch, key, Macros(brightness=step))) for step in steps]
    assert centroids == sorted(centroids)
    assert centroids[3] > 1.07 * centroids[2] and centroids[1] < 0.95 * centroids[2]


@every_patch
def test_drive_presses_and_thickens(role: Role, name: str) -> None:
    """Drive must make it denser: a lower crest factor, or more overtones where the wave is nearly a sine."""
    patch, key = load_patch(role, name), MIDDLE_KEY[role]

    def overtones(drive: float) -> float:
        hz, power = power_spectrum(play_note(patch, key, Macros(drive=drive)))
        return float(power[hz > 1.5 * key_hz(key)].sum() / power.sum())

    crests = [crest_db(play_note(patch, key, Macros(drive=drive))) for drive in (0.0, 0.6)]
    assert crests[0] - crests[1] > 1.0 or overtones(0.6) > 1.3 * overtones(0.0)
    assert abs(rms_db(play_note(patch, key, Macros(drive=0.6))) + 18.0) < 6.0  # loudness stays comparable


@every_patch
def test_release_lengthens(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    lengths = [
        sounding_seconds(play_note(patch, key, Macros(release=release), seconds=0.25, tail=True))
        for release in (-0.6, 0.0, 0.6)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


@every_patch
def test_attack_softens(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    plain, soft = (play_note(patch, key, Macros(attack=attack), seconds=0.1)[:480] for attack in (0.0, 0.8))
    assert rms_db(soft) < rms_db(plain) - 3.0


@every_patch
def test_it_falls_silent_within_its_tail_and_never_hard(role: Role, name: str) -> None:
    patch, key = load_patch(role, name), MIDDLE_KEY[role]
    for release in (-1.0, 0.0):
        samples = play_note(patch, key, Macros(release=release), seconds=0.3, tail=True)
        assert np.abs(samples[-100:]).max() < 1e-5
        # No click at the end: nothing after the release has begun is much steeper than the note was while it was held
        # (a pad may still have been growing).
        steps = np.abs(np.diff(samples, axis=0)).max(axis=1)
        held = round(0.3 * RATE)
        assert steps[held:].max() <= 1.3 * steps[held - RATE // 10 : held].max()


@every_patch
def test_loud_chords_stay_within_reach(role: Role, name: str) -> None:
    if load_patch(role, name).mono:
        return
    instrument = PatchInstrument(load_patch(role, name), Macros(), RATE, TEMPO_BPM)
    events = [NoteEvent(0, RATE, MIDDLE_KEY[role] + k, 0.8, k) for k in (0, 4, 7, 11)]
    chord = instrument.render(instrument.start(), events, RATE // 2)
    # Four voices that do not know of each other add up to 6 dB more than one, on average; saturation takes some away.
    assert -18.0 < rms_db(chord) < -8.0


@every_patch
def test_no_key_velocity_or_macro_breaks_it(role: Role, name: str) -> None:
    patch = load_patch(role, name)
    for key, turn in ((0, 1.0), (0, -1.0), (127, 1.0), (127, -1.0)):
        macros = Macros(brightness=turn, drive=turn, attack=-turn, release=turn, width=turn)
        instrument = PatchInstrument(patch, macros, 44_100, 400.0)
        events = [NoteEvent(0, 1, key, 0.01, 1), NoteEvent(50, 2000, key, 1.0, 2)]
        samples = instrument.render(instrument.start(), events, 3000)
        # The lowest key is four octaves under the music and may be loud, but no filter may run away.
        assert np.all(np.isfinite(samples)) and np.abs(samples).max() < 12.0


@pytest.mark.parametrize("name", BASSES)
@pytest.mark.parametrize("macros", [Macros(), Macros(brightness=0.6, drive=0.6)], ids=["as made", "aggressive"])
def test_a_bass_is_a_bass(name: str, macros: Macros) -> None:
    patch = load_patch(Role.BASS, name)
    for key in (28, 31, 36, 40, 43):
        assert share_below(play_note(patch, key, macros), 300.0) > 0.8


@pytest.mark.parametrize("name", BASSES)
def test_a_bass_is_mono_below_120_hz(name: str) -> None:
    samples = play_note(load_patch(Role.BASS, name), 33, Macros(width=0.5), seconds=1.0)
    side = samples[:, :1] - samples[:, 1:]
    hz, low_side = power_spectrum(side)
    _, low = power_spectrum(samples)
    assert low_side[hz < 120.0].sum() < 0.03 * low[hz < 120.0].sum()


def test_the_same_note_sounds_the_same_wherever_it_stands() -> None:
    # Without motion that is tied to the song's time (tremolo, wobble, pulse width).
    for name in ("strings", "piano", "clean_guitar", "brass"):
        instrument = PatchInstrument(load_patch(Role.HARMONY, name), Macros(), RATE, TEMPO_BPM)
        first = instrument.render(instrument.start(), [NoteEvent(0, 5000, 60, 0.7, 9)], 8000)
        later = instrument.render(instrument.start(), [NoteEvent(1234, 5000, 60, 0.7, 9)], 9234)[1234:]
        np.testing.assert_array_equal(first, later)
        other = instrument.render(instrument.start(), [NoteEvent(0, 5000, 60, 0.7, 10)], 8000)
        assert not np.array_equal(first, other)
