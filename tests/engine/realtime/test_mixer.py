"""The mixer: gains are exact when settled, nothing clicks, and meters tell what is heard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from playing import FADE, RATE, Stepped, around, four, grid, material, playing
from resonantgen.music.notes import Note, Role
from resonantgen.realtime.heard import SILENT_DB, Level, Levels, NotePlayed
from resonantgen.realtime.material import Change, Material
from resonantgen.realtime.mixer import METER_HZ, RAMP_SECONDS, rise, strip_gains
from resonantgen.session.setup import Strip

LOOP = grid("120", "4/4", 2)
RAMP = round(RAMP_SECONDS * RATE)


def sine(hertz: float, level: float = 0.25, phase: float = 0.0) -> Material:
    """Whole periods in the loop: it goes round without a seam."""
    wave = level * np.sin(2 * np.pi * hertz * np.arange(LOOP.frames) / RATE + phase)
    return Material(f"{hertz} Hz", np.stack([wave, wave], axis=1).astype(np.float32))


def splatter_db(sound: NDArray[np.float32]) -> float:
    """The highest level of what lies above 5 kHz, in dBFS: of a click, all of it; of a low sine, nothing."""
    spectrum = np.fft.rfft(sound[:, 0].astype(np.float64) * np.hanning(len(sound)))
    spectrum[np.fft.rfftfreq(len(sound), 1 / RATE) < 5_000] = 0
    return float(20 * np.log10(np.abs(np.fft.irfft(spectrum, len(sound))).max()))


def test_the_measure_hears_clicks() -> None:
    sound = sine(200.25).samples
    assert splatter_db(sound) < -140
    cut = sound.copy()
    cut[100_060:] = 0
    assert splatter_db(cut) > -30
    faded = sound.copy()
    faded[100_000:100_048] *= np.linspace(1, 0, 48, dtype=np.float32)[:, None]  # in 1 ms: too fast
    faded[100_048:] = 0
    assert splatter_db(faded) > -75


DEEDS: dict[str, Callable[[Stepped], None]] = {
    "gain down": lambda s: s.player.set_strip(Role.BASS, Strip(gain_db=-60)),
    "gain up": lambda s: s.player.set_strip(Role.BASS, Strip(gain_db=6)),
    "pan": lambda s: s.player.set_strip(Role.BASS, Strip(pan=1)),
    "mute": lambda s: s.player.set_strip(Role.BASS, Strip(muted=True)),
    "another's solo": lambda s: s.player.set_strip(Role.MELODY, Strip(soloed=True)),
    "seek": lambda s: s.player.seek(1, 321),
    "stop": lambda s: s.player.play(False),
    "swap": lambda s: s.player.change(Change(LOOP, {Role.BASS: sine(270, 0.2, 1.0)})),
    "silence": lambda s: s.player.change(Change(LOOP, {Role.BASS: None})),
    "region": lambda s: s.player.set_loop(True, 1, 1),
    "once": lambda s: s.player.set_loop(False, 0, 1),
    "align": lambda s: s.player.align(3.2971, 1.0),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_clicks(deed: str) -> None:
    stepped = playing(LOOP, {Role.BASS: sine(200.25)})
    stepped.step(40_033)
    DEEDS[deed](stepped)
    stepped.step(100_000)
    if deed == "stop":
        stepped.player.play(True)
    stepped.step(100_000)
    changed = around(sine(200.25).samples, 0, len(stepped.sound) - FADE) != stepped.sound[FADE:]
    assert changed.any()
    assert splatter_db(stepped.sound[FADE + 1000 :]) < -95


def test_a_knob_that_is_turned_fast_does_not_click() -> None:
    stepped = playing(LOOP, {Role.BASS: sine(200.25)})
    dice = np.random.default_rng(4)
    for _ in range(100):
        stepped.player.set_strip(Role.BASS, Strip(float(dice.uniform(-30, 0)), float(dice.uniform(-1, 1))))
        stepped.step(int(dice.integers(1, 900)))
    assert splatter_db(stepped.sound[FADE:]) < -60


def test_strips_become_factors() -> None:
    assert strip_gains(Strip()) == (1.0, 1.0)
    assert strip_gains(Strip(gain_db=-60)) == (0.0, 0.0)
    assert strip_gains(Strip(pan=-1)) == (1.0, 0.0) and strip_gains(Strip(pan=0.25)) == (0.75, 1.0)
    assert strip_gains(Strip(gain_db=6)) == pytest.approx((1.9953, 1.9953), abs=1e-4)
    assert strip_gains(Strip(gain_db=-20, pan=0.5)) == pytest.approx((0.05, 0.1))


def test_settled_gains_are_exact_and_unity_comes_back_to_the_sample() -> None:
    materials = four(LOOP)
    stepped = playing(LOOP, materials, stems=True)
    changed = stepped.frame
    stepped.player.set_strip(Role.DRUMS, Strip(gain_db=-7.5, pan=0.3))
    stepped.step(20_000)
    back = stepped.frame
    stepped.player.set_strip(Role.DRUMS, Strip())
    stepped.step(20_000)
    stem = around(materials[Role.DRUMS].samples, 0, len(stepped.sound) - FADE).astype(np.float64)
    sound = stepped.sound[:, :2]
    at = slice(changed + RAMP, back)
    expected = stem[at.start - FADE : at.stop - FADE] * np.array(strip_gains(Strip(gain_db=-7.5, pan=0.3)))
    assert np.array_equal(sound[at], expected.astype(np.float32))
    assert np.array_equal(sound[back + RAMP :], stem[back + RAMP - FADE :].astype(np.float32))
    assert np.array_equal(sound[FADE:changed], stem[: changed - FADE].astype(np.float32))
    for i, role in enumerate(list(Role)[1:], start=1):  # the others are not touched
        others = stepped.sound[FADE:, 2 * i : 2 * i + 2]
        assert np.array_equal(others, around(materials[role].samples, 0, len(others)))


def test_the_ramp_is_the_same_in_blocks_of_any_size() -> None:
    sounds = []
    for seed in (None, 1, 2):
        stepped = playing(LOOP, {Role.BASS: material(LOOP, 1)}, seed=seed)
        for gain_db, frames in ((-12, 200), (3, 300), (-60, 1000), (0, 2000)):
            stepped.player.set_strip(Role.BASS, Strip(gain_db=gain_db))
            stepped.step(frames)
        sounds.append(stepped.sound)
    assert np.array_equal(sounds[0], sounds[1]) and np.array_equal(sounds[0], sounds[2])


SOLOS = [
    ({}, "drums bass harmony melody"),
    ({Role.BASS: Strip(muted=True)}, "drums harmony melody"),
    ({Role.BASS: Strip(soloed=True)}, "bass"),
    ({Role.BASS: Strip(soloed=True), Role.MELODY: Strip(soloed=True)}, "bass melody"),
    ({Role.BASS: Strip(soloed=True, muted=True)}, ""),
    ({Role.BASS: Strip(soloed=True), Role.DRUMS: Strip(gain_db=3)}, "bass"),
    ({Role.BASS: Strip(gain_db=-60)}, "drums bass harmony melody"),  # its notes go on: a fader is no mute
]


@pytest.mark.parametrize(("strips", "sounding"), SOLOS)
def test_what_sounds_beside_mutes_and_solos(strips: dict[Role, Strip], sounding: str) -> None:
    notes = [Note(tick, 40, 20, 90) for tick in range(0, 3840, 40)]
    materials = {role: material(LOOP, i, notes=notes) for i, role in enumerate(Role)}
    stepped = playing(LOOP, materials, stems=True)
    for role, strip in strips.items():
        stepped.player.set_strip(role, strip)
    stepped.step(RAMP)
    start = stepped.frame
    stepped.step(5_000)
    roles = {Role(word) for word in sounding.split()}
    assert {e.role for e in stepped.told(NotePlayed) if e.frame >= start} == roles
    for i, role in enumerate(Role):
        silent_fader = strips.get(role, Strip()).gain_db <= -60
        assert stepped.sound[start:, 2 * i : 2 * i + 2].any() == (role in roles and not silent_fader)


def test_meters_tell_peaks_and_power_twenty_times_a_second() -> None:
    stepped = playing(LOOP, {Role.BASS: sine(200, 0.5), Role.MELODY: sine(400, 0.1)})
    stepped.player.set_strip(Role.MELODY, Strip(gain_db=-20))
    stepped.step(RATE)
    levels = stepped.told(Levels)
    step = RATE // METER_HZ
    assert [each.frame for each in levels] == [step * (i + 1) for i in range(METER_HZ)]
    last = levels[-1].levels
    assert set(last) == set(Role)
    assert last[Role.BASS].peak == pytest.approx(0.5, rel=1e-3)
    assert last[Role.BASS].rms_db == pytest.approx(20 * np.log10(0.5) - 3.01, abs=0.01)
    assert last[Role.MELODY].peak_db == pytest.approx(-40, abs=0.01)
    assert last[Role.DRUMS] == Level(0, 0) and last[Role.DRUMS].peak_db == SILENT_DB


def test_the_rise_goes_from_nothing_to_all() -> None:
    curve = rise(FADE)
    assert 0 < curve[0] < 1e-4 and 1 - 1e-4 < curve[-1] < 1
    assert np.all(np.diff(curve) > 0) and np.allclose(curve + curve[::-1], 1)
