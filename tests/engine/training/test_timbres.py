"""Notes come out where and as high as they are written, on soundfonts, samples and our own instruments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from resonantgen.errors import AudioError, ModelUnusable
from resonantgen.generators.dice import Dice
from resonantgen.instruments.base import Sound
from resonantgen.music.notes import DrumPiece, Role
from resonantgen.training.corpora import Split, TimedNote
from resonantgen.training.timbres import fluidsynth, sampled_kit
from resonantgen.training.timbres.base import RENDER_RATE, Mono, Timbre
from resonantgen.training.timbres.fluidsynth import TIM_GM, FluidTimbre, Soundfont
from resonantgen.training.timbres.general_midi import KITS, PROGRAMS, ROLE_PROGRAMS, drum_piece, plain_key
from resonantgen.training.timbres.own import OwnTimbre
from resonantgen.training.timbres.sampled_kit import PIECES, POOLS, SampledKit, samples_of

FLUTE = FluidTimbre(TIM_GM, (73,))


def strongest_hz(sound: Mono) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * RENDER_RATE / len(sound)


def onset_seconds(sound: Mono) -> float:
    return float(np.argmax(np.abs(sound) > 0.05 * np.abs(sound).max())) / RENDER_RATE


@pytest.mark.parametrize(
    "timbre",
    [FLUTE, OwnTimbre(Role.MELODY, Sound("sine_lead"))],
    ids=["soundfont", "own"],
)
def test_a_note_sounds_at_its_time_and_pitch(timbre: Timbre) -> None:
    sound = timbre.render([TimedNote(0.7, 69, 0.8, 100)], 2.0, 120.0)
    assert len(sound) == 2 * RENDER_RATE
    assert onset_seconds(sound) == pytest.approx(0.7, abs=0.06)
    assert strongest_hz(sound[RENDER_RATE : RENDER_RATE + 19200]) == pytest.approx(440.0, rel=0.02)


@pytest.mark.parametrize(
    "timbre",
    [FluidTimbre(TIM_GM, (0,), drums=True), OwnTimbre(Role.DRUMS, Sound("rock"))],
    ids=["soundfont", "own"],
)
def test_strokes_sound_at_their_times(timbre: Timbre) -> None:
    sound = timbre.render([TimedNote(0.25, 36, 0.1, 110), TimedNote(1.25, 38, 0.1, 110)], 2.0, 120.0)
    assert onset_seconds(sound) == pytest.approx(0.25, abs=0.02)
    assert onset_seconds(sound[RENDER_RATE:]) == pytest.approx(0.25, abs=0.02)


def test_two_programs_sound_together() -> None:
    note = [TimedNote(0.0, 60, 0.9, 100)]
    one, other = (FluidTimbre(TIM_GM, (program,)).render(note, 1.0, 120.0) for program in (73, 19))
    both = FluidTimbre(TIM_GM, (73, 19)).render(note, 1.0, 120.0)
    assert np.corrcoef(both, one)[0, 1] > 0.3 and np.abs(both - one).max() > 0.1 * np.abs(other).max()


def test_rendering_a_soundfont_is_deterministic() -> None:
    timbre = FluidTimbre(TIM_GM, (48, 0), reverb=60, chorus=50)
    notes = [TimedNote(0.1 * i, 60 + i, 0.3, 90) for i in range(8)]
    assert np.array_equal(timbre.render(notes, 1.5, 120.0), timbre.render(notes, 1.5, 120.0))


def test_a_key_that_is_struck_again_sounds_again() -> None:
    """The first note would end the second, as MIDI knows keys only."""
    notes = [TimedNote(0.0, 60, 1.0, 100), TimedNote(0.5, 60, 1.0, 100)]
    sound = FluidTimbre(TIM_GM, (16,)).render(notes, 1.5, 120.0)
    level = np.sqrt(np.mean(np.square(sound[round(1.1 * RENDER_RATE) : round(1.4 * RENDER_RATE)])))
    assert level > 0.3 * np.sqrt(np.mean(np.square(sound[round(0.6 * RENDER_RATE) : round(0.9 * RENDER_RATE)])))


def test_what_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnusable, match=r"apt install some-soundfont$"):
        FluidTimbre(Soundfont("none.sf2", "some-soundfont", "MIT"), (0,)).render([], 0.1, 120.0)
    monkeypatch.setenv("PATH", "/nowhere")
    fluidsynth.fluidsynth_program.cache_clear()
    try:
        with pytest.raises(ModelUnusable, match=r"apt install fluidsynth$"):
            FLUTE.render([], 0.1, 120.0)
    finally:
        fluidsynth.fluidsynth_program.cache_clear()


def test_a_soundfont_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.sf2").write_bytes(b"nothing")
    monkeypatch.setattr(fluidsynth, "FOLDERS", (str(tmp_path),))
    with pytest.raises(AudioError, match=r"bad.sf2 \(.+\)\.$"):
        FluidTimbre(Soundfont("bad.sf2", "p", "MIT"), (0,)).render([TimedNote(0.0, 60, 0.5, 100)], 0.5, 120.0)


def test_every_program_of_a_role_has_a_name() -> None:
    assert all(program in PROGRAMS for programs in ROLE_PROGRAMS.values() for program in programs)
    assert all(FluidTimbre(TIM_GM, (kit,), drums=True).text == name for kit, name in KITS.items())


def test_keys_of_percussion_and_our_pieces() -> None:
    assert all(drum_piece(piece) is piece for piece in DrumPiece)
    assert (drum_piece(22), drum_piece(26), drum_piece(35)) == (
        DrumPiece.CLOSED_HAT,
        DrumPiece.OPEN_HAT,
        DrumPiece.KICK,
    )
    assert drum_piece(20) is None and (plain_key(22), plain_key(38)) == (42, 38)


# -- kits of samples --------------------------------------------------------------------------------------------------


def test_held_out_samples_are_in_no_kit_to_train_on() -> None:
    names = [name for pool in POOLS.values() for name in pool]
    assert len(names) == len(set(names)), "a sample in two pools could be held out in one and not in the other"
    for pool in POOLS:
        train, held_out = samples_of(pool, Split.TRAIN), samples_of(pool, Split.HELD_OUT)
        assert train and held_out and not set(train) & set(held_out)
        assert set(train) | set(held_out) == set(POOLS[pool])
    kits = [SampledKit.of(Dice(seed), Split.HELD_OUT) for seed in range(20)]
    used = {sample for kit in kits for sample, _, _ in kit.pieces.values()}
    assert not used & {name for pool in POOLS for name in samples_of(pool, Split.TRAIN)}
    assert not any(name.startswith("loop_") for name in names)


@pytest.fixture
def clicks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample is a second of a steady tone at another rate."""
    tone = 0.5 * np.sin(2 * np.pi * 441 * np.arange(44_100) / 44_100)
    for pool in POOLS.values():
        for name in pool:
            soundfile.write(tmp_path / f"{name}.flac", tone, 44_100)
    monkeypatch.setattr(sampled_kit, "FOLDER", tmp_path)
    sampled_kit.one_shot.cache_clear()
    yield
    sampled_kit.one_shot.cache_clear()


def plain_kit() -> SampledKit:
    return SampledKit({piece: (POOLS[pool][0], 1.0, 1.0) for piece, (pool, _) in PIECES.items()})


@pytest.mark.usefixtures("clicks")
def test_a_kit_plays_its_samples_at_their_times_and_levels() -> None:
    sound = plain_kit().render([TimedNote(0.5, 36, 0.1, 127), TimedNote(2.0, 38, 0.1, 63)], 3.5, 120.0)
    assert onset_seconds(sound) == pytest.approx(0.5, abs=0.01)
    assert strongest_hz(sound[RENDER_RATE // 2 : RENDER_RATE]) == pytest.approx(441, rel=0.02)
    loud, soft = (np.abs(sound[round(at * RENDER_RATE) :][:RENDER_RATE]).max() for at in (0.5, 2.0))
    assert soft / loud == pytest.approx((63 / 127) ** 1.5, rel=0.02)


@pytest.mark.usefixtures("clicks")
def test_a_closing_hat_stops_an_open_one() -> None:
    after = slice(round(0.35 * RENDER_RATE), round(0.45 * RENDER_RATE))
    rings = plain_kit().render([TimedNote(0.0, 46, 0.1, 127)], 1.0, 120.0)
    stopped = plain_kit().render([TimedNote(0.0, 46, 0.1, 127), TimedNote(0.3, 44, 0.1, 1)], 1.0, 120.0)
    assert np.abs(rings[after]).max() > 0.9
    assert np.abs(stopped[after]).max() < 0.01


def test_samples_that_are_missing_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled_kit.one_shot.cache_clear()
    monkeypatch.setattr(sampled_kit, "FOLDER", tmp_path / "none")
    with pytest.raises(ModelUnusable, match="apt install sonic-pi-samples"):
        plain_kit().render([TimedNote(0.0, 36, 0.1, 100)], 0.5, 120.0)
    monkeypatch.setattr(sampled_kit, "FOLDER", tmp_path)
    with pytest.raises(AudioError, match="cannot be read"):
        plain_kit().render([TimedNote(0.0, 36, 0.1, 100)], 0.5, 120.0)
