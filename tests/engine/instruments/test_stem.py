"""Stems: exact lengths and onsets, folded tails, loops without a seam, loudness, ranges, macros."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.instruments.signals import RATE, noise, sine
from resonantgen.errors import BadValue
from resonantgen.instruments.base import Macros, Samples, Sound
from resonantgen.instruments.catalog import catalog
from resonantgen.instruments.chain import track_chain, with_macros
from resonantgen.instruments.effects import inserts as kinds
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.measure import (
    energy_share_below,
    peak_db,
    seam_roughness,
    side_share_below,
    spectral_centroid,
    true_peak_db,
)
from resonantgen.instruments.stem import Stem, StemStream, at_loudness, fold, note_event, render_stem, stream_bars
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.time import Meter, TempoMap

TEMPO = TempoMap(Fraction("133.7"), sample_rate=RATE)
BARS = 2
LUFS = {Role.DRUMS: -18.0, Role.BASS: -19.0, Role.HARMONY: -22.0, Role.MELODY: -21.0}


def riff(pitches: list[int], step_ticks: int, bars: int = BARS, velocity: int = 96) -> Score:
    """The pitches over and over, one every `step_ticks`."""
    length = bars * 1920
    starts = range(0, length, step_ticks)
    notes = [Note(start, pitches[i % len(pitches)], step_ticks, velocity) for i, start in enumerate(starts)]
    return Score.of(notes, length)


SCORES = {
    Role.DRUMS: Score.of([*riff([36, 38], 480), *riff([42, 42, 46], 240)], BARS * 1920),
    Role.BASS: riff([36, 36, 48, 39, 43, 34], 240),
    Role.HARMONY: Score.of([note for pitch in (60, 63, 67) for note in riff([pitch, pitch - 2], 1920)], BARS * 1920),
    Role.MELODY: riff([72, 75, 79, 84, 70], 240),
}
TYPICAL = {Role.DRUMS: "909", Role.BASS: "analog", Role.HARMONY: "warm_pad", Role.MELODY: "saw_lead"}


def stem(role: Role, preset: str = "", macros: Macros = Macros(), bars: int = BARS) -> Stem:  # noqa: B008
    score = Score.of(SCORES[role], bars * 1920)
    return render_stem(score, role, Sound(preset or TYPICAL[role], macros), TEMPO, bars, LUFS[role])


# Time


@given(
    note=st.builds(Note, st.integers(0, 122_880), st.integers(0, 127), st.integers(1, 5000), st.integers(1, 127)),
    tempo_bpm=st.decimals(20, 400, places=2),
    sample_rate=st.sampled_from([44_100, 48_000, 96_000]),
)
def test_notes_fall_on_the_exact_sample(note: Note, tempo_bpm: object, sample_rate: int) -> None:
    tempo = TempoMap(Fraction(str(tempo_bpm)), sample_rate=sample_rate)
    event = note_event(note, tempo)
    assert event.frame == tempo.sample_at(note.start_ticks)
    assert event.frame + event.duration_frames == tempo.sample_at(note.end_ticks)
    assert event.pitch == note.pitch and event.velocity == note.velocity / 127
    assert 0 <= event.seed < 2**32 and event == note_event(note, tempo)


def test_seeds_tell_notes_apart() -> None:
    seeds = {note_event(note, TEMPO).seed for note in riff([36, 38, 42], 60, bars=16)}
    assert len(seeds) == 16 * 32


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    ("tempo_bpm", "meter", "sample_rate"), [("97.3", "4/4", 44_100), ("133.7", "7/8", 48_000), ("61", "5/4", 96_000)]
)
def test_stems_have_exactly_the_frames_of_their_bars(role: Role, tempo_bpm: str, meter: str, sample_rate: int) -> None:
    tempo = TempoMap(Fraction(tempo_bpm), Meter.parse(meter), sample_rate)
    length = BARS * tempo.meter.bar_ticks
    score = Score.of(SCORES[role], length)
    made = render_stem(score, role, Sound(TYPICAL[role]), tempo, BARS, LUFS[role])
    expected = round(Fraction(length * 60 * sample_rate, 480) / Fraction(tempo_bpm))
    assert made.samples.shape == (expected, 2)
    assert sum(len(bar) for bar in stream_bars(score, role, Sound(TYPICAL[role]), tempo, BARS)) == expected


def test_a_bar_does_not_depend_on_later_ones() -> None:
    """Real time plays the first bar before the second is known."""
    whole = list(stream_bars(SCORES[Role.MELODY], Role.MELODY, Sound("saw_lead"), TEMPO, BARS))
    stream = StemStream(Role.MELODY, Sound("saw_lead"), TEMPO)
    first = stream.next_bar(SCORES[Role.MELODY].between(0, 1920))
    assert np.array_equal(first, whole[0])


@pytest.mark.parametrize(("role", "preset"), [(Role.DRUMS, "909"), (Role.BASS, "sub")])
def test_a_stream_that_begins_at_a_later_bar_is_one_that_was_silent_until_then(role: Role, preset: str) -> None:
    """So pumps and tremolos stand where they should. (What drifts at its own pace, such as a chorus, begins anew.)"""
    inserts: list[kinds.AnyInsert] = [kinds.Pump(), kinds.Tremolo(rate_hz=4.7), kinds.Phaser(), kinds.Crush()]
    notes = [replace(n, start_ticks=n.start_ticks + 2 * 1920) for n in SCORES[role].between(0, 1920)]
    whole = StemStream(role, Sound(preset), TEMPO, inserts)
    for _ in range(2):
        whole.next_bar([])
    expected = whole.next_bar(notes)
    bar = StemStream(role, Sound(preset), TEMPO, inserts, first_bar=2).next_bar(notes)
    assert len(bar) == TEMPO.bar_sample(3) - TEMPO.bar_sample(2)
    assert np.abs(expected).max() > 0.01
    assert np.array_equal(bar, expected)


@pytest.mark.parametrize("role", Role)
def test_the_same_score_gives_the_same_samples(role: Role) -> None:
    assert np.array_equal(stem(role).samples, stem(role).samples)


def test_unknown_presets_are_named() -> None:
    for role in Role:
        with pytest.raises(BadValue, match="nothing_like_it"):
            StemStream(role, Sound("nothing_like_it"), TEMPO)


# Tails and seams


@given(first=st.integers(1, 300), rest=st.integers(0, 1500), frames=st.integers(1, 400))
def test_folding_lays_every_frame_on_its_place_in_the_loop(first: int, rest: int, frames: int) -> None:
    blocks = [noise(first, seed=3), noise(rest, seed=4)]
    expected = np.zeros((frames, 2))
    for n, frame in enumerate(np.concatenate(blocks)):
        expected[n % frames] += frame
    assert np.allclose(fold(blocks, frames), expected, atol=1e-12)


def test_tails_ring_out_and_end_silent() -> None:
    stream = StemStream(Role.HARMONY, Sound("warm_pad", Macros(space=1.0)), TEMPO)
    stream.next_bar([Note(0, 60, 1920, 100)])
    tail = stream.tail()
    assert 0.5 * RATE < len(tail) <= 8 * RATE
    assert peak_db(tail[:2000]) > -40, "it sounds on"
    assert np.all(tail[-1] == 0.0) and peak_db(tail[-100:]) < -100, "and ends in silence"


def test_a_tail_waits_for_the_next_echo() -> None:
    """At 40 bpm the echoes of a half note are 3 s apart, with silence between them."""
    tempo = TempoMap(Fraction(40), sample_rate=RATE)
    stream = StemStream(Role.DRUMS, Sound("909"), tempo)
    echo = kinds.Delay(time="1/2", feedback=0.0, mix=1.0)
    stream._chain = track_chain(Role.DRUMS, [echo], Macros(), tempo)
    stream._chain_state = stream._chain.start()
    score = Score.of([Note(1440, DrumPiece.RIM, 60, 127)], 1920)
    stream.next_bar(score.notes)
    tail = stream.tail()
    due = tempo.sample_at(1440 + 960 - 1920)
    assert peak_db(tail[due : due + 4800]) > -30


def test_the_longest_tail_fades_out() -> None:
    tempo = TempoMap(Fraction(120), sample_rate=RATE)
    stream = StemStream(Role.DRUMS, Sound("909"), tempo)
    stream._chain = track_chain(
        Role.DRUMS, [kinds.Delay(time="1/2", feedback=0.95, high_cut_hz=20_000, mix=1.0)], Macros(), tempo
    )
    stream._chain_state = stream._chain.start()
    stream.next_bar(SCORES[Role.DRUMS].between(0, 1920))
    tail = stream.tail()
    assert len(tail) == 8 * RATE and np.all(tail[-1] == 0.0)
    assert peak_db(tail[-RATE:]) > -40, "it still sounded"


@pytest.mark.parametrize("role", [Role.BASS, Role.HARMONY, Role.MELODY])
@pytest.mark.parametrize("tempo_bpm", ["61.7", "133.7", "320"])
def test_loops_have_no_seam(role: Role, tempo_bpm: str) -> None:
    """A held note in the last quarter rings over the seam: the second difference there is no larger than elsewhere."""
    tempo = TempoMap(Fraction(tempo_bpm), sample_rate=RATE)
    pitch = {Role.BASS: 36, Role.HARMONY: 60, Role.MELODY: 72}[role]
    score = Score.of([Note(1440, pitch, 480, 100)], 1920)
    made = render_stem(score, role, Sound(TYPICAL[role], Macros(space=0.5)), tempo, 1, LUFS[role])
    assert seam_roughness(made.samples) < 1.0
    assert peak_db(made.samples[:200]) > -60, "the tail is there"


def test_a_tail_longer_than_the_clip_is_folded_several_times() -> None:
    """One bar at 400 bpm lasts 0.6 s; its pad rings longer than that."""
    tempo = TempoMap(Fraction(400), sample_rate=RATE)
    score = Score.of([Note(0, 60, 1920, 100)], 1920)
    made = render_stem(score, Role.HARMONY, Sound("warm_pad", Macros(space=1.0)), tempo, 1, -22)
    assert len(made.samples) == tempo.frames(1)
    assert seam_roughness(made.samples) < 1.0


# Loudness


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("space", [-1.0, 1.0])
def test_stems_are_at_their_loudness_below_the_ceiling(role: Role, space: float) -> None:
    made = stem(role, macros=Macros(space=space))
    assert made.loudness_lufs == pytest.approx(LUFS[role], abs=0.5)
    assert integrated_loudness(made.samples, RATE) == pytest.approx(made.loudness_lufs, abs=1e-9)
    assert true_peak_db(made.samples, loop=True) <= -1.0


def test_peaky_drums_are_limited_and_still_reach_their_loudness() -> None:
    decay = np.exp(-np.arange(24_000) / 2400)[:, None]
    loop = np.tile(0.3 * sine(180, 24_000, 1.0) * decay, (4, 1))
    loop[::24_000] = 0.9
    made = at_loudness(loop, RATE, -13.0)
    assert made.loudness_lufs == pytest.approx(-13.0, abs=0.5)
    assert true_peak_db(made.samples, loop=True) <= -0.9  # a click reaches beyond 20 kHz, where no ceiling is promised
    assert made.gain_db > -13.0 - integrated_loudness(loop, RATE) + 0.5, "driven harder than without the limiter"


def test_unlimited_stems_are_only_scaled() -> None:
    loop = sine(440, RATE, 0.01)
    made = at_loudness(loop, RATE, -20.0)
    assert np.allclose(made.samples, loop * 10 ** (made.gain_db / 20), rtol=1e-12)


def test_silence_stays_silent_and_hiss_is_not_blown_up() -> None:
    silent = render_stem(Score((), 1920), Role.MELODY, Sound("saw_lead"), TEMPO, 1, -20)
    assert silent.loudness_lufs == -math.inf and not np.any(silent.samples)
    hiss = at_loudness(noise(RATE, 2e-4), RATE, -14.0)
    assert hiss.gain_db == 40.0 and hiss.loudness_lufs < -25


# Range and image, for every preset


@pytest.mark.parametrize("preset", catalog(Role.BASS))
@pytest.mark.parametrize(
    "macros", [Macros(), Macros(brightness=1, drive=1, width=1)], ids=["as made", "bright and driven"]
)
def test_every_bass_keeps_to_its_range(preset: str, macros: Macros) -> None:
    made = stem(Role.BASS, preset, macros)
    assert energy_share_below(made.samples, RATE, 300) > 0.8
    assert side_share_below(made.samples, RATE, 120) < 0.02


@pytest.mark.parametrize("role", [Role.HARMONY, Role.MELODY])
@pytest.mark.parametrize("macros", [Macros(), Macros(brightness=-1, width=1, space=0.5)], ids=["as made", "dark"])
def test_harmony_and_melody_leave_the_bottom_to_the_bass(role: Role, macros: Macros) -> None:
    for preset in catalog(role):
        made = stem(role, preset, macros, bars=1)
        assert energy_share_below(made.samples, RATE, 100) < 0.03, preset
        low_side = energy_share_below(made.samples, RATE, 120) * side_share_below(made.samples, RATE, 120)
        assert low_side < 0.005, f"{preset}: not mono below 120 Hz"
        assert abs(made.samples.mean()) < 1e-4, f"{preset}: DC"


@pytest.mark.parametrize("role", Role)
def test_brightness_is_heard_with_every_preset(role: Role) -> None:
    for preset in catalog(role):
        dark, bright = (stem(role, preset, Macros(brightness=value), bars=1).samples for value in (-0.5, 0.5))
        assert spectral_centroid(bright, RATE) > 1.03 * spectral_centroid(dark, RATE), preset


# Macros


def test_space_moves_sends_and_adds_a_reverb_only_when_asked() -> None:
    made = [kinds.Delay(mix=0.2), kinds.Reverb(mix=0.1)]
    wet = with_macros(made, Macros(space=0.5))
    dry = with_macros(made, Macros(space=-1.0))
    assert with_macros(made, Macros()) == made
    for before, more, less in zip(made, wet, dry, strict=True):
        assert less.mix < 0.2 * before.mix and more.mix > 1.5 * before.mix  # type: ignore[union-attr]
    assert with_macros([], Macros(space=-1.0)) == [] and with_macros([], Macros()) == []
    assert isinstance(with_macros([], Macros(space=1.0))[0], kinds.Reverb)


def test_drive_moves_drives_within_their_range() -> None:
    made = [kinds.Drive(amount_db=10)]
    assert with_macros(made, Macros(drive=1.0)) == [kinds.Drive(amount_db=19)]
    assert with_macros([kinds.Drive(amount_db=4)], Macros(drive=-1.0)) == [kinds.Drive(amount_db=0)]
    assert with_macros([kinds.Drive(amount_db=46)], Macros(drive=1.0)) == [kinds.Drive(amount_db=48)]
    assert with_macros([kinds.Pump()], Macros(drive=1.0)) == [kinds.Pump()]


def test_a_style_s_inserts_act_after_the_patch_s_own() -> None:
    args = (SCORES[Role.HARMONY], Role.HARMONY, Sound("warm_pad"), TEMPO, BARS, -20.0)
    plain, pumped = render_stem(*args), render_stem(*args, inserts=[kinds.Pump(depth=0.8)])
    beat = TEMPO.sample_at(480)
    dips = [TEMPO.sample_at(480 * index) for index in range(1, 4 * BARS)]

    def swell(stem: Stem) -> float:
        """How much louder the ends of beats are than their beginnings."""
        ends = sum(float(np.square(stem.samples[dip - beat // 4 : dip]).sum()) for dip in dips)
        return ends / sum(float(np.square(stem.samples[dip : dip + beat // 4]).sum()) for dip in dips)

    assert swell(pumped) > 4 * swell(plain)
    assert pumped.loudness_lufs == pytest.approx(plain.loudness_lufs, abs=0.5), "it is made up for"


def test_chains_pass_a_sound_through_in_any_blocks() -> None:
    inserts: list[kinds.AnyInsert] = [kinds.Drive(), kinds.Chorus(), kinds.Delay(time="1/16"), kinds.Reverb()]
    chain = track_chain(Role.BASS, inserts, Macros(0.5, 0.5, 0.0, 0.0, 0.5, 0.5), TEMPO)
    signal = noise(8000)
    whole = chain.render(chain.start(), signal)
    state = chain.start()
    parts: list[Samples] = [chain.render(state, signal[start : start + 333]) for start in range(0, 8000, 333)]
    assert np.array_equal(np.concatenate(parts), whole)
