"""Other people's sound files: any format that libsndfile reads, any rate, any number of channels, as stereo.

A file is read in parts, so its length does not matter. What is broken in it is left out and said, as long as any sound
is left.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from resonantgen.audio.resample import Resampler
from resonantgen.errors import AudioError

Array = NDArray[np.float64]

PART_FRAMES = 1 << 16
MIN_FILE_RATE, MAX_FILE_RATE = 1000, 768_000
LOUDEST = 1e6  # full scale is 1; what is beyond this was never sound
# Left, right, centre, low frequencies, surrounds: ITU-R BS.775-3, table 2; without the low frequencies, as it has it.
SURROUND_6 = np.array([[1, 0], [0, 1], [0.7071, 0.7071], [0, 0], [0.7071, 0], [0, 0.7071]])


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a sound file's header says."""

    format: str  # "WAV (Microsoft), Signed 24 bit PCM"
    sample_rate: int
    channels: int
    frames: int  # as declared, and no more than can be in it

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A piece of a sound file."""

    samples: Array  # [frames, 2]
    sample_rate: int
    start_seconds: float  # in the file
    remarks: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate


def read_facts(path: Path) -> FileFacts:
    """Raises AudioError for what is no sound file that can be read."""
    with _opened(path) as file:
        return _facts(file, path)


def read_window(path: Path, start_seconds: float, seconds: float, sample_rate: int) -> Window:
    """At most so many seconds from a time (the file's start, if that is before it), at another rate.

    Raises AudioError.
    """
    with _opened(path) as file:
        facts = _facts(file, path)
        start = max(round(start_seconds * facts.sample_rate), 0)
        if start:
            try:
                file.seek(start)
            except (soundfile.SoundFileError, RuntimeError):
                raise AudioError(f"{path} ends before {start_seconds:.2f} seconds. Use a smaller --offset.") from None
        remarks: list[str] = []
        wanted = math.ceil(seconds * facts.sample_rate)
        samples = _resampled(_stereo_parts(file, facts, wanted, remarks), facts.sample_rate, sample_rate)
    return Window(samples, sample_rate, start / facts.sample_rate, tuple(remarks))


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A regular file that libsndfile knows: a pipe would be waited for, perhaps for ever. Raises AudioError."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise AudioError(f"{path} is a folder. Give a sound file, such as guitar.wav.")
        if not stat.S_ISREG(kind):
            raise AudioError(f"{path} is no file on a disk. Give a sound file, such as guitar.wav.")
        if not path.stat().st_size:
            raise AudioError(f"{path} is empty. Give a sound file with sound in it.")
        with path.open("rb", buffering=0) as opened, _sound_of(opened.fileno(), path) as file:
            yield file
    except AudioError:  # which is a ValueError, too
        raise
    except (OSError, ValueError) as error:  # ValueError: a null in the name
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise AudioError(f"{path} cannot be read: {reason}.") from None


def _sound_of(descriptor: int, path: Path) -> soundfile.SoundFile:
    # By its descriptor: by its name, soundfile would take a file for what the name says rather than for what it is.
    try:
        return soundfile.SoundFile(descriptor, closefd=False)
    except (soundfile.SoundFileError, TypeError):
        raise AudioError(
            f"{path} is no sound file that can be read. Give a WAV, AIFF, FLAC, Ogg, MP3, CAF or AU file."
        ) from None


def _facts(file: soundfile.SoundFile, path: Path) -> FileFacts:
    if not MIN_FILE_RATE <= file.samplerate <= MAX_FILE_RATE:
        raise AudioError(
            f"{path} says it has {file.samplerate} samples a second. "
            f"Files of {MIN_FILE_RATE} to {MAX_FILE_RATE} Hz can be imported."
        )
    # No format needs less than a bit for each of a thousand frames: what declares more was cut short, or lies.
    most = path.stat().st_size * 8 * 1000
    return FileFacts(
        f"{file.format_info.partition(' (')[0]}, {file.subtype_info}",
        file.samplerate,
        file.channels,
        min(max(file.frames, 0), most),
    )


def _stereo_parts(file: soundfile.SoundFile, facts: FileFacts, wanted: int, remarks: list[str]) -> Iterator[Array]:
    """What can be read of so many frames, in parts [up to PART_FRAMES, 2]; what is wrong with it goes to `remarks`."""
    if facts.channels > 2:
        remarks.append(f"{facts.channels} channels, mixed down to {2 if facts.channels == 6 else 1}")
    left, broken = wanted, 0
    while left > 0:
        try:
            part = file.read(min(PART_FRAMES, left), dtype="float64", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError):
            remarks.append(f"broken after {(wanted - left) / facts.sample_rate:.1f} s: what is before that is used")
            break
        if not len(part):
            break
        left -= len(part)
        sound = np.abs(part) <= LOUDEST  # nor NaN
        if not sound.all():
            broken += int((~sound).sum())
            part = np.where(sound, part, 0.0)
        yield _stereo(part)
    if broken:
        remarks.append(f"{broken} samples that are no numbers are silent")


def _resampled(parts: Iterator[Array], source_rate: int, target_rate: int) -> Array:
    if source_rate == target_rate:  # a filter at the same rate would only take from it
        return np.concatenate([np.zeros((0, 2)), *parts])
    resampler = Resampler(source_rate, target_rate, 2)
    state = resampler.start()
    made = [resampler.render(state, part) for part in parts]
    return np.concatenate([*made, resampler.finish(state)])


def _stereo(part: Array) -> Array:
    """[frames, channels] as [frames, 2]."""
    channels = part.shape[1]
    if channels == 2:
        return part
    if channels == 6:
        return np.asarray(part @ SURROUND_6 / SURROUND_6.sum(axis=0).max())
    return np.repeat(part.mean(axis=1, keepdims=True), 2, axis=1)
