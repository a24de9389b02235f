"""24-bit stereo WAV files, the same bytes for the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from resonantgen.errors import BadValue
from resonantgen.instruments.base import Samples

FULL_SCALE = 1 << 23


def to_pcm24(samples: Samples) -> NDArray[np.int32]:
    """[frames, 2] of -1 to 1 as 24-bit integers in int32, rounded half to even; louder samples are clipped."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)


def from_pcm24(pcm: NDArray[np.int32]) -> Samples:
    """24-bit integers as float64; exactly undone by `to_pcm24`."""
    return pcm.astype(np.float64) / FULL_SCALE


def write_wav(file: Path | BinaryIO, samples: Samples, sample_rate: int) -> None:
    """Write [frames, 2] as a 24-bit WAV file, to a path or an open binary file. Raises OSError."""
    assert samples.ndim == 2 and samples.shape[1] == 2, samples.shape
    pcm = np.ascontiguousarray(to_pcm24(samples) << 8)  # libsndfile takes the upper 24 of 32 bits
    if isinstance(file, Path):
        with file.open("wb") as opened:
            soundfile.write(opened, pcm, sample_rate, subtype="PCM_24", format="WAV")
    else:
        soundfile.write(file, pcm, sample_rate, subtype="PCM_24", format="WAV")


def read_wav(file: Path | BinaryIO) -> tuple[Samples, int]:
    """Samples [frames, 2] and sample rate of a stereo file.

    Raises OSError if it cannot be opened, BadValue if it is no such file.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return _read(opened, str(file))
    return _read(file, "this file")


def _read(file: BinaryIO, name: str) -> tuple[Samples, int]:
    try:
        samples, sample_rate = soundfile.read(file, dtype="float64", always_2d=True)
    except soundfile.SoundFileError:
        raise BadValue(f"{name} is no audio file that can be read. Give a stereo WAV file.") from None
    if samples.shape[1] != 2:
        raise BadValue(f"{name} has {samples.shape[1]} channel(s). Give a stereo WAV file.")
    return samples, int(sample_rate)
