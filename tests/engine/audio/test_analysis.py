"""Sound whose music is known: chords and drums made here, and what is no music at all."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from rendered import clicks
from resonantgen.audio.analysis import Analysis, HeardChord, analyze
from resonantgen.errors import BadValue
from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, Key, Mode
from resonantgen.music.time import Meter

RATE = 22_050
TEMPO = 100.0
BEAT = 60 / TEMPO


def tone(key, seconds, rate=RATE):
    """A plucked note with eight harmonics, [frames]."""
    time = np.arange(round(seconds * rate)) / rate
    hertz = 440 * 2 ** ((key - 69) / 12)
    sound = sum(np.sin(2 * np.pi * hertz * n * time) * 0.6**n for n in range(1, 9) if hertz * n < rate / 2.2)
    return sound * np.exp(-2 * time) * np.minimum(time / 0.005, 1.0)


def song(chords, lead=0.0, rate=RATE, shift=0.0):
    """Each chord for a bar of four beats, struck on each of them over a bass on the first, [frames, 1]."""
    frames = round((lead + len(chords) * 4 * BEAT) * rate)
    samples = np.zeros(frames + 2 * rate)
    for bar, symbol in enumerate(chords):
        chord = Chord.parse(symbol)
        for beat in range(4):
            keys = [60 + (tone - 60) % 12 for tone in chord.pitch_classes]
            notes = [(key, 0.1) for key in keys] + ([(36 + chord.root, 0.3)] if beat == 0 else [])
            at = round((lead + (4 * bar + beat) * BEAT) * rate)
            for key, level in notes:
                sound = level * tone(key + shift, BEAT * (4 if key < 48 else 1), rate)
                samples[at : at + len(sound)] += sound[: len(samples) - at]
    return samples[:frames, None]


PROGRESSION = ["C", "Am", "F", "G", "C", "Am", "F", "C"]


@pytest.fixture(scope="module")
def heard():
    return analyze(song(PROGRESSION, lead=0.35), RATE)


def test_tempo_and_bar(heard):
    assert heard.tempo_bpm == pytest.approx(TEMPO, rel=0.005)
    assert (heard.downbeat_seconds - 0.35) % (4 * BEAT) == pytest.approx(0, abs=0.05)
    assert heard.bars == len(PROGRESSION)
    assert 0 < heard.tempo_clarity <= 1 and 0 < heard.downbeat_clarity <= 1


def test_key_and_chords(heard):
    assert heard.key == Key(0, Mode.MAJOR)
    spans = heard.progression(len(PROGRESSION)).spans
    assert [span.chord.root for span in spans] == [Chord.parse(symbol).root for symbol in PROGRESSION]
    assert all(span.start_ticks % 1920 == 0 for span in spans)
    minor = [span.chord.quality.startswith("m") and span.chord.quality != "maj7" for span in spans]
    assert minor == [symbol.endswith("m") for symbol in PROGRESSION]


def test_chords_cover_the_piece(heard):
    assert heard.chords[0].start_seconds == 0
    assert heard.chords[-1].end_seconds == pytest.approx(heard.seconds)
    for before, after in zip(heard.chords, heard.chords[1:], strict=False):
        assert before.end_seconds == after.start_seconds


def test_it_says_what_it_heard(heard):
    text = str(heard)
    assert "C major" in text and "bpm" in text and "LUFS" in text and "Am" in text


def test_it_is_a_value(heard):
    with pytest.raises(FrozenInstanceError):
        heard.seconds = 1.0


def test_out_of_tune_and_at_another_rate():
    """A third of a semitone above 440 Hz."""
    rate = 32_000
    found = analyze(song(PROGRESSION[:4], rate=rate, shift=0.33), rate)
    assert found.key == Key(0, Mode.MAJOR)
    assert [span.chord.root for span in found.progression(4).spans] == [0, 9, 5, 7]


def test_near_a_tempo_that_is_said():
    """Half of it is the same grid for whoever says so."""
    found = analyze(song(PROGRESSION[:4]), RATE, tempo_bpm=51.0)
    assert found.tempo_bpm == pytest.approx(TEMPO / 2, rel=0.01)


def test_onsets_are_where_clicks_are():
    times = [0.25 + 0.3 * k for k in range(20)]
    found = analyze(clicks(times, 7.0, RATE), RATE, role=Role.DRUMS)
    assert np.allclose(found.onsets_seconds, times, atol=0.01)
    assert found.key is None and found.chords == () and found.register is None


def test_a_meter_that_is_said():
    found = analyze(song(PROGRESSION[:4]), RATE, meter=Meter(3, 4))
    assert found.meter == Meter(3, 4)
    assert found.bar_seconds == pytest.approx(3 * 60 / found.tempo_bpm)


class Sliced:
    """Sound that is read where it is needed, as from a file, and never as a whole."""

    def __init__(self, samples, longest):
        self.samples, self.longest, self.shape = samples, longest, samples.shape

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, frames):
        assert isinstance(frames, slice) and frames.stop - frames.start <= self.longest, frames
        return self.samples[frames]


def test_long_sound_is_read_in_parts():
    """Two minutes, of which never more than one is asked for at a time; and as single precision."""
    samples = song(PROGRESSION * 7).astype(np.float32)
    found = analyze(Sliced(samples, 60 * RATE), RATE)
    assert found.key == Key(0, Mode.MAJOR)
    assert found.tempo_bpm == pytest.approx(TEMPO, rel=0.005)
    roots = [span.chord.root for span in found.progression(56).spans]
    assert roots[:4] == [0, 9, 5, 7]


def test_a_loop_begins_with_its_bar():
    """The same music from its third beat on, cut to whole bars: whoever cut it so meant that beat."""
    music = song(PROGRESSION * 2)[round(2 * BEAT * RATE) :]
    bars = 8 * 4 * BEAT
    cut, uncut = music[: round(bars * RATE)], music[: round((bars + 0.31) * RATE)]
    assert analyze(cut, RATE).downbeat_seconds == pytest.approx(0, abs=0.02)
    assert analyze(uncut, RATE).downbeat_seconds == pytest.approx(2 * BEAT, abs=0.05)


@pytest.mark.parametrize(("bars", "late"), [(16, 0.5), (12, 0.5), (16, 0.25), (8, 0.7)])
def test_a_loop_of_nothing_but_offbeats_begins_with_its_bar(bars, late):
    """Stabs between the beats, as house has them: nothing in the sound says that they are not on it."""
    length = round(bars * 4 * BEAT * RATE)
    stabs = np.roll(song(PROGRESSION * 2)[:length], round(late * BEAT * RATE), axis=0)
    found = analyze(stabs, RATE, tempo_bpm=TEMPO)
    assert found.downbeat_seconds == 0.0 and found.bars * found.bar_seconds == pytest.approx(found.seconds, abs=0.02)
    longer = analyze(np.concatenate([stabs, np.zeros((round(0.31 * RATE), 1))]), RATE)
    assert longer.downbeat_seconds % BEAT == pytest.approx(late * BEAT, abs=0.05), "nobody cut it there"


def test_an_excerpt_is_no_loop():
    """Whole bars by chance, as many as nobody loops: a piece of 60 seconds at 100 bpm is 25 of them."""
    music = song(PROGRESSION * 2, lead=0.25 * BEAT)[: round(12 * 4 * BEAT * RATE)]
    assert analyze(music, RATE).downbeat_seconds % BEAT == pytest.approx(BEAT / 4, abs=0.05)


def test_a_long_piece_is_no_loop():
    """Of 65 bars and more, a length that is whole bars is chance, or where somebody stopped reading."""
    music = song(PROGRESSION * 9, lead=0.5 * BEAT)[: round(65 * 4 * BEAT * RATE)]
    assert analyze(music, RATE).downbeat_seconds % BEAT == pytest.approx(BEAT / 2, abs=0.05)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_silence(channels):
    found = analyze(np.zeros((RATE, channels)), RATE)
    assert found.tempo_bpm is None and found.key is None and found.loudness_lufs == -np.inf
    assert "silence" in str(found) and found.bars == 0


def test_no_number_is_silence():
    samples = song(PROGRESSION[:4])
    samples[1000:1100] = np.nan
    samples[5000] = np.inf
    assert analyze(samples, RATE).key == Key(0, Mode.MAJOR)
    assert analyze(np.full((RATE, 1), np.nan), RATE).loudness_lufs == -np.inf


@pytest.mark.parametrize("frames", [1, 7, 220])
def test_up_to_ten_milliseconds(frames):
    noise = 0.1 * np.random.default_rng(frames).standard_normal((frames, 2))
    found = analyze(noise, RATE)
    assert found.tempo_bpm is None
    assert found.seconds == frames / RATE
    assert str(found)


def test_noise_has_no_beat():
    noise = 0.1 * np.random.default_rng(3).standard_normal((6 * RATE, 1))
    assert analyze(noise, RATE).tempo_bpm is None


@pytest.mark.parametrize("shape", [(0, 2), (5, 0), (5,)])
def test_no_sound_is_an_error(shape):
    with pytest.raises(BadValue, match="no sound"):
        analyze(np.zeros(shape), RATE)


def test_rates_that_are_none():
    with pytest.raises(BadValue):
        analyze(np.zeros((5, 1)), 0)


def test_without_a_beat_there_are_no_ticks():
    found = analyze(np.zeros((RATE, 1)), RATE)
    with pytest.raises(BadValue, match="tempo"):
        found.progression(4)


def made(chords):
    return Analysis(8.0, 120.0, 1.0, Meter(), 0.5, 1.0, Key(9, Mode.MINOR), 1.0, chords, (), None, -20.0)


def test_a_progression_of_chords_between_the_beats():
    """What was not heard continues what was; what was heard before the bar counts for its start."""
    am, f = Chord.parse("Am"), Chord.parse("F")
    times = [(None, 0.0, 0.5), (am, 0.5, 1.52), (None, 1.52, 2.5), (f, 2.5, 8.0)]
    found = made(tuple(HeardChord(*time) for time in times))
    spans = found.progression(2).spans
    assert [(span.chord, span.start_ticks, span.end_ticks) for span in spans] == [(am, 0, 1920), (f, 1920, 3840)]


def test_a_progression_of_nothing_is_the_tonic():
    assert [span.chord for span in made(()).progression(2).spans] == [Chord.parse("Am")]
