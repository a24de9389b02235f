"""The chroma of a melody: the reference's to the last frame, at any sample rate, for any sound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.audio_utils import chroma_filter_bank
from transformers.models.musicgen_melody.feature_extraction_musicgen_melody import MusicgenMelodyFeatureExtractor

import tiny_musicgen
from resonantgen.errors import AudioError, ModelDamaged
from resonantgen.generators.musicgen.chroma import ChromaSettings, chroma
from resonantgen.generators.musicgen.layout import read_chroma_settings, read_settings

RATE = 32000
PUBLISHED = ChromaSettings()


class Spectrogram:
    """torchaudio's, which has no build here, by its documentation: normalised by the window's energy, power 2."""

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        window = torch.hann_window(16384)
        spectrum = torch.stft(
            waveform, 16384, 4096, window=window, center=True, pad_mode="reflect", return_complex=True
        )
        return (spectrum / window.pow(2).sum().sqrt()).abs().pow(2)


def reference(samples: NDArray[np.float64]) -> torch.Tensor:
    """What `transformers` extracts from mono [frames] at 32 kHz: [T, 12]. Its own code, but for the spectrogram."""
    extractor = object.__new__(MusicgenMelodyFeatureExtractor)
    extractor.n_fft = 16384
    bank = chroma_filter_bank(sampling_rate=RATE, num_frequency_bins=16384, tuning=0, num_chroma=12)
    extractor.chroma_filters = torch.from_numpy(bank).float()
    extractor.spectrogram = Spectrogram()
    waveform = torch.from_numpy(samples.astype(np.float32))[None]
    return extractor._torch_extract_fbank_features(waveform)[0]


def tones(midi: list[int], seconds_each: float, rate: int = RATE) -> NDArray[np.float64]:
    """[frames, 1]: a scale of sines with two harmonics."""
    time = np.arange(int(seconds_each * rate)) / rate
    hertz = [440.0 * 2 ** ((key - 69) / 12) for key in midi]
    notes = [sum(np.sin(2 * np.pi * f * h * time) / h for h in (1, 2, 3)) for f in hertz]
    return 0.2 * np.concatenate(notes)[:, np.newaxis]


@pytest.mark.parametrize("frames", [1, 5000, 16383, 16384, 16385, 40960, 100001])
def test_agrees_with_the_reference_at_every_length(frames: int) -> None:
    noise = np.random.default_rng(frames).normal(0, 0.1, (frames, 1))
    ours = chroma(noise, RATE, PUBLISHED)
    theirs = reference(noise[:, 0])
    assert ours.shape == theirs.shape == (1 + max(frames, 16384) // 4096, 12)
    assert torch.equal(ours, theirs)


def test_agrees_with_the_reference_on_music() -> None:
    melody = tones([60, 64, 67, 71, 62, 57], 0.6) + np.random.default_rng(3).normal(0, 0.01, (115200, 1))
    ours = chroma(melody, RATE, PUBLISHED)
    assert torch.equal(ours, reference(melody[:, 0]))
    assert len(ours.argmax(dim=1).unique()) >= 5


@pytest.mark.parametrize("rate", [8000, 22050, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("pitch_class", [0, 1, 6, 9, 11])
def test_a_note_is_its_pitch_class_at_any_sample_rate(rate: int, pitch_class: int) -> None:
    sound = tones([60 + pitch_class], 1.0, rate)
    heard = chroma(np.concatenate([sound, sound], axis=1), rate, PUBLISHED).argmax(dim=1)
    assert heard.tolist() == [pitch_class] * 8


def test_channels_are_averaged() -> None:
    left, right = tones([69], 1.0), tones([65], 1.0)
    quiet_right = chroma(np.concatenate([left, 0.2 * right], axis=1), RATE, PUBLISHED)
    quiet_left = chroma(np.concatenate([0.2 * left, right], axis=1), RATE, PUBLISHED)
    assert set(quiet_right.argmax(dim=1).tolist()) == {9}
    assert set(quiet_left.argmax(dim=1).tolist()) == {5}


def test_no_more_than_thirty_seconds_are_heard() -> None:
    long = np.tile(tones([62], 1.0), (31, 1))
    assert chroma(long, RATE, PUBLISHED).shape == (235, 12)  # the prefix of the published model


def test_silence_is_what_the_model_knows_as_no_melody() -> None:
    silent = chroma(np.zeros((RATE, 2)), RATE, PUBLISHED)
    assert torch.equal(silent, torch.eye(12)[:1].expand(8, 12))


def test_no_sound_at_all_is_an_error() -> None:
    with pytest.raises(AudioError, match="no sound"):
        chroma(np.zeros((0, 2)), 44100, PUBLISHED)


def test_settings_are_read_from_the_checkpoint(tmp_path: Path) -> None:
    tiny_musicgen.write(tmp_path, "melody")
    settings, _ = read_settings(tmp_path)
    assert read_chroma_settings(tmp_path, settings) == PUBLISHED
    path = tmp_path / "preprocessor_config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"n_fft": 8192, "hop_length": 2048, "chunk_length": 10}))
    changed = ChromaSettings(window_samples=8192, hop_samples=2048, longest_seconds=10)
    assert read_chroma_settings(tmp_path, settings) == changed
    assert chroma(tones([67], 1.0), RATE, changed).argmax(dim=1).tolist() == [7] * 16
    path.write_text(json.dumps(content | {"hop_length": 0}))
    with pytest.raises(ModelDamaged, match="hop_length") as caught:
        read_chroma_settings(tmp_path, settings)
    assert "\n" not in str(caught.value)
