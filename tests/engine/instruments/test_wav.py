"""24-bit files: exact, and the same bytes every time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.instruments.signals import RATE, noise
from resonantgen.errors import BadValue
from resonantgen.instruments.wav import from_pcm24, read_wav, to_pcm24, write_wav


def test_quantisation_is_exact_and_clips() -> None:
    step = 2.0**-23
    samples = np.array([[0.0, 1.0], [-1.0, 2.0], [-2.0, 0.5 * step], [1.5 * step, -step]])
    expected = [[0, 2**23 - 1], [-(2**23), 2**23 - 1], [-(2**23), 0], [2, -1]]
    assert to_pcm24(samples).tolist() == expected
    pcm = np.random.default_rng(3).integers(-(2**23), 2**23, (1000, 2), dtype=np.int32)
    assert np.array_equal(to_pcm24(from_pcm24(pcm)), pcm)


def test_files_hold_what_was_written(tmp_path: Path) -> None:
    samples = from_pcm24(to_pcm24(noise(4321)))
    path = tmp_path / "stem.wav"
    write_wav(path, samples, 44_100)
    info = soundfile.info(str(path))
    assert (info.frames, info.channels, info.samplerate, info.subtype) == (4321, 2, 44_100, "PCM_24")
    read, sample_rate = read_wav(path)
    assert sample_rate == 44_100 and np.array_equal(read, samples)


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    samples = noise(1000)
    path, stream = tmp_path / "a.wav", io.BytesIO()
    write_wav(path, samples, RATE)
    write_wav(stream, samples, RATE)
    assert path.read_bytes() == stream.getvalue()
    assert len(stream.getvalue()) < 1000 * 6 + 100, "a small header, and nothing that depends on the clock"
    stream.seek(0)
    assert np.array_equal(read_wav(stream)[0], read_wav(path)[0])


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stem.wav"
    path.write_bytes(b"no sound at all")
    with pytest.raises(BadValue, match=r"stem\.wav is no audio file"):
        read_wav(path)
    soundfile.write(str(path), np.zeros(100), RATE)
    with pytest.raises(BadValue, match="1 channel"):
        read_wav(path)
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "nothing.wav")
