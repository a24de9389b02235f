"""Sound files to token files and back, a block at a time: a file of any length takes the memory of a few seconds of it.

The tokens themselves are kept until the end, 2 bytes each: 17 MB for an hour at 24 kbit/s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from resonantgen.audio.resample import Resampler, resampled_frames
from resonantgen.codecs.base import Codes
from resonantgen.codecs.loading import LoadedCodec
from resonantgen.codecs.token_file import TokenFile, TokenHeader, encode_tokens, read_tokens
from resonantgen.errors import AudioError, BadValue, StorageError
from resonantgen.instruments.wav import to_pcm24
from resonantgen.session.files import staged_file, storage_errors

Sound = NDArray[np.float64]  # [samples, channels]
OnProgress = Callable[[float], None]  # is told which share of the work is done, 0 to 1

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 768_000  # of sound files
MAX_AMPLITUDE = 100.0  # of a full scale of 1: beyond it, samples are integers in a file of floats
TOKEN_SUFFIX = ".rgt"

_BLOCK_SAMPLES = 1 << 16
_BLOCK_SECONDS = 4  # of tokens
_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_MAX_FLAC_RATE = 655_350
_MAX_WAV_BYTES = (1 << 32) - (1 << 16)
_PCM24_BYTES = 3


def encode_file(
    source: Path, target: Path, loaded: LoadedCodec, codebooks: int, on_progress: OnProgress = lambda share: None
) -> TokenHeader:
    """A sound file of one or two channels at any rate -> a token file.

    Raises AudioError for a source that cannot be used, StorageError for a target that cannot be written, BadValue.
    """
    if target.suffix.lower() != TOKEN_SUFFIX:
        raise BadValue(f"{target} is to be a token file: give it a name that ends in {TOKEN_SUFFIX}.")
    codec = loaded.codec
    with _opened(source) as file, staged_file(target) as temporary:
        stream = codec.encoder(codebooks)
        resampling = _Resampling(file.samplerate, codec.sample_rate, codec.channels)
        parts: list[Codes] = []
        samples = source_samples = 0

        def encode(sound: Sound) -> None:
            nonlocal samples
            samples += len(sound)
            parts.append(stream.push(torch.from_numpy(sound.T.astype(np.float32)[None])))

        for block in _blocks(file, source, codec.channels):
            encode(resampling.step(block))
            source_samples += len(block)
            on_progress(source_samples / max(file.frames, source_samples))
        encode(resampling.finish())
        parts.append(stream.finish())
        indices = np.concatenate([_indices(part.indices) for part in parts], axis=1)
        scales = [float(scale) for part in parts if part.scales is not None for scale in part.scales[0]]
        header = TokenHeader(
            model=codec.name,
            weights_sha256=loaded.weights_sha256,
            sample_rate=codec.sample_rate,
            channels=codec.channels,
            samples=samples,
            frame_samples=codec.frame_samples,
            codebooks=codebooks,
            cardinality=codec.cardinality,
            source_sample_rate=file.samplerate,
            source_samples=source_samples,
            frames=indices.shape[1],
            scales=tuple(scales),
        )
        with storage_errors(target):
            temporary.write_bytes(encode_tokens(TokenFile(header, indices)))
    return header


def decode_file(
    source: Path,
    target: Path,
    loaded: LoadedCodec,
    sample_rate: int | None = None,
    on_progress: OnProgress = lambda share: None,
) -> int:
    """A token file -> a 24-bit WAV or FLAC file, at the codec's rate or at another; gives its length in samples.

    It is exactly as long as the sound that was encoded; at the rate which that had, to the sample. Raises AudioError
    for a source that cannot be used, StorageError for a target that cannot be written, BadValue.
    """
    tokens = read_tokens(source)
    check_fits(tokens.header, source, loaded)
    rate = _checked_rate(loaded.codec.sample_rate if sample_rate is None else sample_rate)
    length = decoded_samples(tokens.header, rate)
    form = _FORMATS.get(target.suffix.lower())
    if form is None:
        raise BadValue(f"{target} is to be a sound file: give it a name that ends in .wav or .flac.")
    if form == "FLAC" and rate > _MAX_FLAC_RATE:
        raise BadValue(f"FLAC has no sample rate of {rate}: {_MAX_FLAC_RATE} is its highest. Write a .wav file.")
    if form == "WAV" and length * tokens.header.channels * _PCM24_BYTES > _MAX_WAV_BYTES:
        form = "RF64"
    with staged_file(target) as temporary:
        resampling = _Resampling(tokens.header.sample_rate, rate, tokens.header.channels)
        written = 0
        try:
            with soundfile.SoundFile(temporary, "w", rate, tokens.header.channels, "PCM_24", format=form) as file:
                for sound, last in _decoded(tokens, loaded):
                    block = resampling.step(sound)
                    if last:
                        block = np.concatenate([block, resampling.finish()])
                    block = block[: length - written]
                    file.write(np.ascontiguousarray(to_pcm24(block) << 8))  # it takes the upper 24 of 32 bits
                    written += len(block)
                    on_progress(written / max(length, 1))
        except (soundfile.SoundFileError, AssertionError):
            raise StorageError(f"{target} cannot be written: the disk may be full. Free some space.") from None
    assert written == length, (written, length)
    return length


def decoded_samples(header: TokenHeader, sample_rate: int) -> int:
    """How long a token file's sound is at a rate, per channel."""
    if sample_rate == header.source_sample_rate:
        return header.source_samples
    return resampled_frames(header.samples, header.sample_rate, sample_rate)


def check_fits(header: TokenHeader, source: Path, loaded: LoadedCodec) -> None:
    """Raises AudioError unless a token file was encoded by this codec with these weights."""
    codec = loaded.codec
    if header.weights_sha256 != loaded.weights_sha256:
        raise AudioError(
            f"{source} was encoded with the weights {header.weights_sha256[:12]} of {header.model}, and those of "
            f"{codec.name} here are {loaded.weights_sha256[:12]}. Decode it with the same: --model NAME_OR_PATH"
        )
    theirs = (header.sample_rate, header.channels, header.frame_samples, header.cardinality)
    ours = (codec.sample_rate, codec.channels, codec.frame_samples, codec.cardinality)
    if (
        theirs != ours
        or header.codebooks > codec.codebooks
        or bool(header.scales) != bool(codec.segments is not None and header.frames)
    ):
        raise AudioError(f"{source} does not fit {codec.name}: its rate, channels, frames or codebooks are others.")


class _Resampling:
    """A stream to another rate. Where the rate is the same, sound stays as it is."""

    def __init__(self, source_rate: int, target_rate: int, channels: int) -> None:
        self._resampler = Resampler(source_rate, target_rate, channels) if source_rate != target_rate else None
        self._state = self._resampler.start() if self._resampler is not None else None
        self._nothing = np.zeros((0, channels))

    def step(self, sound: Sound) -> Sound:
        """What is ready after this block, [samples, channels]."""
        if self._resampler is None or self._state is None:
            return sound
        return self._resampler.render(self._state, sound)

    def finish(self) -> Sound:
        """The rest."""
        if self._resampler is None or self._state is None:
            return self._nothing
        return self._resampler.finish(self._state)


# -- sound in ---------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A sound file that can be encoded. Raises AudioError."""
    try:
        with path.open("rb"):
            pass  # for the system's own word on why it cannot be opened
    except FileNotFoundError:
        raise AudioError(f"There is no file {path}.") from None
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError):  # TypeError: a suffix that it takes for samples without a header
        raise AudioError(f"{path} is no sound file that can be read. Give a WAV or FLAC file.") from None
    with file:
        if file.channels > 2:
            raise AudioError(f"{path} has {file.channels} channels. Mix it down to one or two first.")
        _checked_rate(file.samplerate, path)
        yield file


def _checked_rate(sample_rate: int, path: Path | None = None) -> int:
    if MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        return sample_rate
    possible = f"from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
    if path is None:
        raise BadValue(f"A sample rate of {sample_rate} is not possible. Choose one {possible}.")
    raise AudioError(f"{path} has a sample rate of {sample_rate}. Give a file with one {possible}.")


def _blocks(file: soundfile.SoundFile, path: Path, channels: int) -> Iterator[Sound]:
    """A file's samples as one or two channels, whichever is wanted. Raises AudioError."""
    start = 0
    while True:
        try:
            block = file.read(_BLOCK_SAMPLES, dtype="float64", always_2d=True)
        except soundfile.SoundFileError:
            raise AudioError(f"{path} is damaged after {start / file.samplerate:.1f} s. Copy it again.") from None
        if not len(block):
            return
        where = f"at {start / file.samplerate:.1f} s"
        if not np.isfinite(block).all():
            raise AudioError(f"{path} holds samples that are no numbers (NaN or infinity) {where}. Export it again.")
        if np.abs(block).max() > MAX_AMPLITUDE:
            raise AudioError(f"{path} is far beyond full scale {where}. Scale its samples to -1 to 1.")
        start += len(block)
        if block.shape[1] > channels:
            block = block.mean(axis=1, keepdims=True)
        yield np.repeat(block, channels, axis=1) if block.shape[1] < channels else block


def _indices(indices: Tensor) -> NDArray[np.uint16]:
    """[1, K, F] as [K, F]."""
    return indices[0].cpu().numpy().astype(np.uint16)


# -- sound out --------------------------------------------------------------------------------------------------------


def _decoded(tokens: TokenFile, loaded: LoadedCodec) -> Iterator[tuple[Sound, bool]]:
    """The sound of tokens in blocks, exactly as long as what was encoded; and whether a block is the last one."""
    codec, header = loaded.codec, tokens.header
    stream = codec.decoder()
    scales = torch.tensor(header.scales)[None] if header.scales else None
    left = header.samples

    def sound(decoded: Tensor) -> Sound:
        nonlocal left
        block = decoded[0, :, :left].T.double().cpu().numpy()
        left -= len(block)
        return block

    step = _BLOCK_SECONDS * round(codec.frame_rate)
    for start in range(0, header.frames, step):
        block = torch.from_numpy(tokens.codes[:, start : start + step].astype(np.int64))[None]
        yield sound(stream.push(Codes(block, scales))), False
        scales = None  # all of them came with the first frames
    yield sound(stream.finish()), True
