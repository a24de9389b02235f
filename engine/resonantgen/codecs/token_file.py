"""`.rgt`: a file of audio tokens.

    offset  bytes
    0       8       89 52 47 54 0D 0A 1A 0A: "RGT" where a transfer that takes it for text shows
    8       2       version, 1
    10      4       length of the header, H
    14      H       the header: msgpack of a `TokenHeader`
    14 + H  ...     the indices, frame after frame and in a frame codebook after codebook, each in as few bits as hold
                    the codebook's last index (10 for 1024, 11 for 2048), the highest bit first; zeros fill the end
    end     32      SHA-256 of everything before it

Numbers are big-endian. Neither torch nor a model is needed to read one.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from resonantgen.errors import AudioError
from resonantgen.session.files import storage_errors, write_file

Indices: TypeAlias = NDArray[np.uint16]

MAGIC = b"\x89RGT\r\n\x1a\n"
VERSION = 1
MAX_HEADER_BYTES = 1 << 24
MAX_CARDINALITY = 1 << 16
MAX_SAMPLES = 1 << 48  # years: beyond it a number is no length
MAX_SAMPLE_RATE = 1 << 24
MAX_CODEBOOKS = 1 << 10
MAX_FRAME_SAMPLES = 1 << 20

_PREFIX = struct.Struct(">8sHI")
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_BLOCK_INDICES = 1 << 16  # packed at once; of a multiple of 8, so that each block but the last fills its bytes
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """What there is to know of a token file apart from its indices."""

    model: str  # "encodec-24khz"
    weights_sha256: str  # of the codec's weights: with others, the same indices are another sound
    sample_rate: int  # the codec's, in Hz
    channels: int
    samples: int  # of the sound that was encoded, per channel, at `sample_rate`
    frame_samples: int  # a frame of tokens stands for so many samples
    codebooks: int
    cardinality: int  # indices of a codebook are 0 to cardinality - 1
    source_sample_rate: int  # of the file that was encoded
    source_samples: int  # its length, per channel, at its own rate
    frames: int
    scales: tuple[float, ...] = ()  # for codecs that code segments: the loudness that was divided out of each

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.sample_rate, self.frame_samples)

    @property
    def index_bits(self) -> int:
        return (self.cardinality - 1).bit_length()

    @property
    def bandwidth_kbps(self) -> Fraction:
        """Of the indices."""
        return self.frame_rate * self.codebooks * self.index_bits / 1000

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate

    @property
    def packed_bytes(self) -> int:
        return -(-self.frames * self.codebooks * self.index_bits // 8)

    def flaw(self) -> str | None:
        """What in it cannot be, or None."""
        limits = {
            "sample_rate": (1, MAX_SAMPLE_RATE),
            "channels": (1, 2),
            "samples": (0, MAX_SAMPLES),
            "frame_samples": (1, MAX_FRAME_SAMPLES),
            "codebooks": (1, MAX_CODEBOOKS),
            "cardinality": (2, MAX_CARDINALITY),
            "source_sample_rate": (1, MAX_SAMPLE_RATE),
            "source_samples": (0, MAX_SAMPLES),
            "frames": (0, MAX_SAMPLES),
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                return f"{name} is {getattr(self, name)}"
        if not all(math.isfinite(scale) and scale >= 0 for scale in self.scales):
            return "a segment's scale is no loudness"
        if self.frames * self.frame_samples < self.samples:
            return f"{self.frames} frames are too few for {self.samples} samples"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class TokenFile:
    """Tokens with their header."""

    header: TokenHeader
    codes: Indices  # [K, F]


def write_tokens(path: Path, tokens: TokenFile) -> None:
    """Write a token file whole or not at all. Raises StorageError."""
    with storage_errors(path):
        write_file(path, encode_tokens(tokens))


def encode_tokens(tokens: TokenFile) -> bytes:
    """The bytes of a token file; the same tokens give the same bytes."""
    header, codes = tokens.header, tokens.codes
    assert header.flaw() is None, header.flaw()
    assert codes.shape == (header.codebooks, header.frames), codes.shape
    assert codes.size == 0 or int(codes.max()) < header.cardinality
    encoded = msgspec.msgpack.encode(header)
    content = _PREFIX.pack(MAGIC, VERSION, len(encoded)) + encoded + pack_indices(codes.T.ravel(), header.index_bits)
    return content + hashlib.sha256(content).digest()


def read_tokens(path: Path) -> TokenFile:
    """Read a token file. Raises AudioError for one that is missing, damaged, of another version or no such file."""
    header, packed = _read(path)
    indices = unpack_indices(packed, header.index_bits, header.frames * header.codebooks)
    if indices.size and int(indices.max()) >= header.cardinality:
        raise _damaged(path, f"an index above {header.cardinality - 1}")
    return TokenFile(header, np.ascontiguousarray(indices.reshape(header.frames, header.codebooks).T))


def read_header(path: Path) -> TokenHeader:
    """What `read_tokens` reads, without the indices; the whole file is checked all the same. Raises AudioError."""
    return _read(path)[0]


def _read(path: Path) -> tuple[TokenHeader, bytes]:
    try:
        with path.open("rb") as file:
            return _read_file(path, file)
    except FileNotFoundError:
        raise AudioError(f"There is no file {path}.") from None
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}.") from None


def _read_file(path: Path, file: BinaryIO) -> tuple[TokenHeader, bytes]:
    start = file.read(_PREFIX.size)
    if start[: len(MAGIC)] != MAGIC[: len(start)] or not start:
        raise AudioError(f"{path} is no token file. Make one: resonantgen codec encode in.wav out.rgt")
    if len(start) < _PREFIX.size:
        raise _damaged(path, "it is cut off")
    _, version, header_bytes = _PREFIX.unpack(start)
    if version != VERSION:
        raise AudioError(
            f"{path} has version {version} of the format, and this is ResonantGen for version {VERSION}. "
            "Update ResonantGen, or encode the sound again."
        )
    if header_bytes > MAX_HEADER_BYTES:
        raise _damaged(path, "its header has no end")
    encoded = file.read(header_bytes)
    # What a header says is used only to know how much to read; it is believed when the checksum fits.
    header = _header(path, encoded) if len(encoded) == header_bytes else None
    if header is None:
        raise _damaged(path, "it is cut off")
    rest = _read_at_most(file, header.packed_bytes + _CHECKSUM_BYTES + 1)
    if len(rest) != header.packed_bytes + _CHECKSUM_BYTES:
        raise _damaged(path, "it is cut off" if len(rest) <= header.packed_bytes else "its length is not what it says")
    packed, checksum = rest[:-_CHECKSUM_BYTES], rest[-_CHECKSUM_BYTES:]
    if hashlib.sha256(start + encoded + packed).digest() != checksum:
        raise _damaged(path, "its checksum does not fit")
    return header, packed


def _header(path: Path, encoded: bytes) -> TokenHeader:
    try:
        header = msgspec.msgpack.decode(encoded, type=TokenHeader)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _damaged(path, "its header cannot be read") from None
    flaw = header.flaw()
    if flaw is not None:
        raise _damaged(path, flaw)
    return header


def _read_at_most(file: BinaryIO, limit: int) -> bytes:
    """What is left, up to a limit, taking no more memory than there is."""
    blocks: list[bytes] = []
    while limit > 0 and (block := file.read(min(limit, _READ_BYTES))):
        blocks.append(block)
        limit -= len(block)
    return b"".join(blocks)


def _damaged(path: Path, why: str) -> AudioError:
    return AudioError(f"{path} is damaged: {why}. Encode the sound again, or copy the file again.")


def pack_indices(indices: Indices, bits: int) -> bytes:
    """Indices [N] of `bits` bits each, the highest bit first, in ceil(N * bits / 8) bytes."""
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint16)
    blocks = (indices[start : start + _BLOCK_INDICES] for start in range(0, indices.size, _BLOCK_INDICES))
    return b"".join(np.packbits(((block[:, None] >> shifts) & 1).astype(np.uint8)).tobytes() for block in blocks)


def unpack_indices(packed: bytes, bits: int, count: int) -> Indices:
    """What `pack_indices` packed: [count]."""
    indices = np.zeros(count, dtype=np.uint16)
    data = np.frombuffer(packed, dtype=np.uint8)
    for start in range(0, count, _BLOCK_INDICES):
        block = indices[start : start + _BLOCK_INDICES]
        first = start * bits // 8  # whole, since blocks are of a multiple of 8 indices
        flags = np.unpackbits(data[first : first - (-block.size * bits // 8)], count=block.size * bits)
        for place, flag in enumerate(flags.reshape(block.size, bits).T):
            block |= flag.astype(np.uint16) << (bits - 1 - place)
    return indices
