"""How the instrument handles its voices: polyphony, mono, ties and glides, chokes, width."""

from __future__ import annotations

import numpy as np
import pytest

from engine.instruments.measuring import RATE, TEMPO_BPM, cents_off, key_hz, rms_db
from resonantgen.instruments.base import Macros, NoteEvent, Samples
from resonantgen.instruments.patch import Envelope, Oscillator, Patch, Pitch, Tone, Wobble, load_patch
from resonantgen.instruments.patch import Filter as VoiceFilter
from resonantgen.instruments.synth import PatchInstrument
from resonantgen.music.notes import Role

SINE = Patch(
    "Sine",
    ["sine"],
    velocity=1.0,
    amplitude=Envelope(attack_s=0.005, release_s=0.05),
    oscillators=[Oscillator(wave="sine", phase="start")],
    tone=Tone(),
)


def changed(**fields: object) -> Patch:
    return Patch(**{name: fields.get(name, getattr(SINE, name)) for name in SINE.__struct_fields__})


def play(patch: Patch, events: list[NoteEvent], frames: int, macros: Macros = Macros()) -> Samples:  # noqa: B008
    instrument = PatchInstrument(patch, macros, RATE, TEMPO_BPM)
    return instrument.render(instrument.start(), events, frames)


def test_voices_add_up_however_many_there_are() -> None:
    notes = [NoteEvent(100 * number, 20_000, 40 + number, 0.5, number) for number in range(40)]
    together = play(SINE, notes, 30_000)
    alone = sum(play(SINE, [note], 30_000) for note in notes)
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_a_mono_patch_plays_one_note_at_a_time() -> None:
    mono = changed(mono=True)
    samples = play(mono, [NoteEvent(0, RATE, 57, 0.8, 1), NoteEvent(RATE // 2, RATE, 69, 0.8, 2)], RATE)
    after = samples[RATE // 2 + RATE // 10 :]
    spectrum = np.abs(np.fft.rfft(after[:, 0] * np.hanning(len(after))))
    hz = np.fft.rfftfreq(len(after), 1.0 / RATE)
    assert spectrum[np.abs(hz - 220) < 10].max() < 1e-3 * spectrum[np.abs(hz - 440) < 10].max()
    # The old note gives way within a few milliseconds and without a step.
    assert np.abs(np.diff(samples[:, 0])).max() < 0.08


def test_a_tie_glides_without_a_new_attack() -> None:
    gliding = changed(mono=True, pitch=Pitch(glide_s=0.15))
    tied = [NoteEvent(0, RATE // 2 + 100, 57, 0.8, 1), NoteEvent(RATE // 2, RATE // 2, 69, 0.8, 2)]
    samples = play(gliding, tied, RATE)
    levels = [rms_db(samples[start : start + 1200]) for start in range(RATE // 10, RATE - 2400, 600)]
    assert max(levels) - min(levels) < 0.5
    assert np.abs(np.diff(samples[:, 0])).max() < 1.05 * 2.0 * np.pi * 440 / RATE * np.abs(samples).max()
    crossings = np.flatnonzero((samples[:-1, 0] < 0) & (samples[1:, 0] >= 0))
    periods = np.diff(crossings[crossings > RATE // 2])
    assert periods[0] > 175 and periods[-1] == pytest.approx(109, abs=1)  # 220 Hz, then 440
    assert np.all(np.diff(periods[:30]) <= 1)
    assert abs(cents_off(samples[RATE * 3 // 4 :], key_hz(69))) < 3.0


def test_notes_that_do_not_overlap_do_not_glide() -> None:
    gliding = changed(mono=True, pitch=Pitch(glide_s=0.15))
    apart = [NoteEvent(0, RATE // 4, 57, 0.8, 1), NoteEvent(RATE // 4, RATE // 4, 69, 0.8, 2)]
    samples = play(gliding, apart, RATE // 2)
    assert abs(cents_off(samples[RATE // 4 + 1000 :], key_hz(69))) < 3.0


def test_a_tie_takes_over_the_new_note_s_velocity() -> None:
    gliding = changed(mono=True, pitch=Pitch(glide_s=0.05))
    tied = [NoteEvent(0, RATE // 2 + 100, 60, 0.4, 1), NoteEvent(RATE // 2, RATE // 2, 62, 0.8, 2)]
    samples = play(gliding, tied, RATE)
    assert rms_db(samples[-9600:-4800]) - rms_db(samples[9600:19200]) == pytest.approx(9.0, abs=0.5)


def test_a_wobble_is_in_time_with_the_music() -> None:
    patch = changed(
        oscillators=[Oscillator(wave="saw", phase="start")],
        filter=VoiceFilter(cutoff_hz=4000.0, velocity_octaves=0.0),
        wobble=Wobble(beats=1.0, octaves=5.0),
    )
    samples = play(patch, [NoteEvent(0, 3 * RATE, 48, 0.8, 1)], 3 * RATE)
    treble = np.abs(np.diff(samples[:, 0], 2)).reshape(-1)[: 120 * 1196].reshape(-1, 1196).max(axis=1)
    spectrum = np.abs(np.fft.rfft(treble - treble.mean()))
    wobbles_per_second = np.argmax(spectrum) * RATE / (len(treble) * 1196)
    assert wobbles_per_second == pytest.approx(TEMPO_BPM / 60.0, abs=0.4)


def test_width_widens_and_narrows() -> None:
    patch = load_patch(Role.HARMONY, "supersaw")

    def side_share(width: float) -> float:
        samples = play(patch, [NoteEvent(0, RATE // 2, 60, 0.8, 1)], RATE // 2, Macros(width=width))
        side, middle = samples[:, 0] - samples[:, 1], samples[:, 0] + samples[:, 1]
        return float(np.sum(side**2) / np.sum(middle**2))

    assert side_share(-1.0) < 1e-20
    assert side_share(-0.5) < 0.5 * side_share(0.0) < 0.5 * side_share(0.5)


def test_a_long_block_needs_little_memory_beside_its_output() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    patch = load_patch(Role.HARMONY, "supersaw")
    events = [NoteEvent(0, 20 * RATE, 60 + k, 0.8, k) for k in (0, 4, 7, 11)]
    play(patch, events, 1000)
    tracemalloc.start()
    samples = play(patch, events, 20 * RATE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < samples.nbytes + 4_000_000
