"""24-bit stereo WAV files as bytes. The same samples always give the same bytes: they are named by their hash."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

from resonantgen.errors import ProjectDamaged
from resonantgen.instruments.base import Samples

FULL_SCALE = 1 << 23


def encode_wav(samples: Samples, sample_rate: int) -> bytes:
    """Samples ([frames, 2], full scale is 1.0) as a WAV file's bytes: rounded to 24 bits, clipped to full scale."""
    assert samples.ndim == 2 and samples.shape[1] == 2, samples.shape
    scaled = np.rint(samples * FULL_SCALE)
    assert np.isfinite(scaled).all()
    whole = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i4")
    packed = np.ascontiguousarray(whole.view(np.uint8).reshape(-1, 4)[:, :3])
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(sample_rate)
        file.writeframes(packed.data)
    return buffer.getvalue()


def decode_wav(data: bytes) -> Samples:
    """The samples ([frames, 2]) of a file that `encode_wav` made. Raises ProjectDamaged for anything else."""
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (2, 3):
                raise ProjectDamaged("An audio file of the project is not 24-bit stereo.")
            packed = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, 3)
    except (wave.Error, EOFError, ValueError) as error:
        raise ProjectDamaged(f"An audio file of the project cannot be read: {error}.") from None
    whole: NDArray[np.uint8] = np.zeros((len(packed), 4), np.uint8)
    whole[:, 1:] = packed  # in the upper three bytes, so that the sign is right
    return (whole.view("<i4")[:, 0] >> 8).reshape(-1, 2) / FULL_SCALE
