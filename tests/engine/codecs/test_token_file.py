"""Token files: what was written is read, and nothing else is."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.codecs.token_file import (
    MAGIC,
    TokenFile,
    TokenHeader,
    encode_tokens,
    pack_indices,
    read_header,
    read_tokens,
    unpack_indices,
    write_tokens,
)
from resonantgen.errors import AudioError, StorageError

HEADER = TokenHeader(
    model="encodec-24khz",
    weights_sha256="ab" * 32,
    sample_rate=24_000,
    channels=1,
    samples=32_100,
    frame_samples=320,
    codebooks=8,
    cardinality=1024,
    source_sample_rate=44_100,
    source_samples=58_984,
    frames=101,
)


def tokens(header: TokenHeader, seed: int = 0) -> TokenFile:
    random = np.random.default_rng(seed)
    shape = (header.codebooks, header.frames)
    return TokenFile(header, random.integers(0, header.cardinality, shape, dtype=np.uint16, endpoint=False))


def same(a: TokenFile, b: TokenFile) -> bool:
    return a.header == b.header and np.array_equal(a.codes, b.codes) and a.codes.dtype == b.codes.dtype


headers = st.builds(
    lambda frames, frame_samples, trimmed, **fields: TokenHeader(
        frames=frames, frame_samples=frame_samples, samples=max(0, frames * frame_samples - trimmed), **fields
    ),
    frames=st.integers(0, 300),
    frame_samples=st.integers(1, 700),
    trimmed=st.integers(0, 700),
    model=st.text(),
    weights_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    sample_rate=st.integers(1, 192_000),
    channels=st.integers(1, 2),
    codebooks=st.integers(1, 32),
    cardinality=st.integers(2, 1 << 16),
    source_sample_rate=st.integers(1, 192_000),
    source_samples=st.integers(0, 1 << 40),
    scales=st.lists(st.floats(0, 2.0**100, width=32)).map(tuple),
)


@given(headers, st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, header: TokenHeader, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.rgt"
    written = tokens(header, seed)
    write_tokens(path, written)
    assert same(read_tokens(path), written)
    assert read_header(path) == header
    assert path.read_bytes() == encode_tokens(written), "the same tokens give the same bytes"


@given(st.integers(1, 16).flatmap(lambda bits: st.tuples(st.just(bits), st.lists(st.integers(0, (1 << bits) - 1)))))
def test_indices_take_their_bits_and_no_more(case: tuple[int, list[int]]) -> None:
    """Against the definition: all indices as one binary number."""
    bits, values = case
    packed = pack_indices(np.array(values, dtype=np.uint16), bits)
    digits = "".join(f"{value:0{bits}b}" for value in values)
    digits += "0" * (-len(digits) % 8)
    assert packed == bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8))
    assert unpack_indices(packed, bits, len(values)).tolist() == values


@pytest.mark.parametrize("count", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 200_003])
@pytest.mark.parametrize("bits", [10, 11])
def test_indices_of_many_blocks(bits: int, count: int) -> None:
    indices = np.random.default_rng(count).integers(0, 1 << bits, count, dtype=np.uint16)
    packed = pack_indices(indices, bits)
    assert len(packed) == -(-count * bits // 8)
    assert np.array_equal(unpack_indices(packed, bits, count), indices)


def test_the_bytes_are_those_of_the_description(tmp_path: Path) -> None:
    """Built here by hand: files of today must be readable for ever."""
    header = replace(HEADER, samples=700, frames=3, codebooks=2, scales=(0.5,))
    codes = np.array([[1, 2, 1023], [0, 512, 3]], dtype=np.uint16)
    fields = {name: getattr(header, name) for name in HEADER.__dataclass_fields__}
    encoded = msgspec.msgpack.encode(fields)
    bits = "".join(f"{index:010b}" for index in (1, 0, 2, 512, 1023, 3)).ljust(64, "0")
    content = b"\x89RGT\r\n\x1a\n" + struct.pack(">HI", 1, len(encoded)) + encoded + int(bits, 2).to_bytes(8, "big")
    path = tmp_path / "by-hand.rgt"
    path.write_bytes(content + hashlib.sha256(content).digest())
    assert same(read_tokens(path), TokenFile(header, codes))
    assert encode_tokens(TokenFile(header, codes)) == path.read_bytes()


def test_what_follows_from_a_header() -> None:
    assert (HEADER.frame_rate, HEADER.index_bits, HEADER.bandwidth_kbps) == (75, 10, 6)
    assert HEADER.packed_bytes == 101 * 8 * 10 // 8
    musicgen = replace(HEADER, sample_rate=32_000, frame_samples=640, codebooks=4, cardinality=2048)
    assert (musicgen.frame_rate, musicgen.index_bits, musicgen.bandwidth_kbps) == (50, 11, Fraction(11, 5))


def test_nothing_at_all(tmp_path: Path) -> None:
    """The tokens of a file without samples."""
    written = tokens(replace(HEADER, samples=0, frames=0, source_samples=0))
    write_tokens(tmp_path / "empty.rgt", written)
    read = read_tokens(tmp_path / "empty.rgt")
    assert same(read, written) and read.codes.shape == (8, 0) and read.header.seconds == 0


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_tokens(tmp_path / "a.rgt", tokens(HEADER))
    return tmp_path / "a.rgt"


def refused(path: Path) -> str:
    """The message of the error that reading raises: one line, which names the file."""
    messages = []
    for read in (read_tokens, read_header):
        with pytest.raises(AudioError) as caught:
            read(path)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and str(path) in messages[0] and "\n" not in messages[0]
    return messages[0]


def test_every_length_but_the_whole_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)
    path.write_bytes(whole + b"\0")
    assert "length" in refused(path)
    path.write_bytes(whole)
    read_tokens(path)


def test_every_changed_byte_is_noticed(path: Path) -> None:
    write_tokens(path, tokens(replace(HEADER, frames=7, samples=2_000)))
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        refused(path)


def resealed(path: Path, **fields: object) -> None:
    """Another header, with a checksum that fits: not damage, but malice or a mistake of another program."""
    document = {**{name: getattr(HEADER, name) for name in HEADER.__dataclass_fields__}, **fields}
    encoded = msgspec.msgpack.encode({name: value for name, value in document.items() if value is not ...})
    packed = path.read_bytes()[:-32][-HEADER.packed_bytes :]
    content = struct.pack(">8sHI", MAGIC, 1, len(encoded)) + encoded + packed
    path.write_bytes(content + hashlib.sha256(content).digest())


def test_the_helper_reseals(path: Path) -> None:
    resealed(path, model="other")
    assert read_header(path) == replace(HEADER, model="other")


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_rate": 0},
        {"sample_rate": -1},
        {"sample_rate": "fast"},
        {"sample_rate": 1 << 40},
        {"channels": 0},
        {"channels": 3},
        {"samples": -1},
        {"samples": 101 * 320 + 1},
        {"samples": 1 << 63},
        {"frame_samples": 0},
        {"codebooks": 0},
        {"codebooks": 9},
        {"codebooks": 1 << 30},
        {"cardinality": 1},
        {"cardinality": 1 << 20},
        {"cardinality": 2048},
        {"frames": -1},
        {"frames": 100},
        {"frames": 102},
        {"frames": 1 << 40},
        {"frames": 1 << 62},
        {"scales": (float("nan"),)},
        {"scales": (-1.0,)},
        {"scales": "loud"},
        {"source_sample_rate": 0},
        {"source_samples": -5},
        {"model": 3},
        {"model": ...},
        {"weights_sha256": None},
    ],
    ids=str,
)
def test_headers_that_cannot_be(fields: dict[str, object], path: Path) -> None:
    """No matter what a header claims, reading takes no more memory than the file has."""
    resealed(path, **fields)
    refused(path)


def test_an_index_beyond_its_codebook(path: Path) -> None:
    """1000 entries take 10 bits, which can say 1023."""
    resealed(path, cardinality=1000)
    assert read_header(path).cardinality == 1000  # its indices are not looked at
    with pytest.raises(AudioError, match="an index above 999"):
        read_tokens(path)


def test_another_version(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:10] = struct.pack(">H", 2)
    path.write_bytes(content)
    message = refused(path)
    assert "version 2" in message and "Update ResonantGen" in message


@pytest.mark.parametrize(
    "content", [b"RIFF\0\0\0\0WAVE", b"", b"hello", MAGIC.replace(b"\r\n", b"\n") + bytes(100), b"\x89PNG\r\n\x1a\n"]
)
def test_other_files(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert "is no token file" in refused(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "no file" in refused(tmp_path / "nothing.rgt")
    assert "Is a directory" in refused(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="parent folder"):
        write_tokens(tmp_path / "nowhere" / "a.rgt", tokens(HEADER))
    assert not list(tmp_path.iterdir())


def test_reading_needs_no_torch(path: Path) -> None:
    """`codec info` works where the neural extra is not installed."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['scipy'] = None; from pathlib import Path;"
        "from resonantgen.codecs.token_file import read_tokens; print(read_tokens(Path(sys.argv[1])).codes.sum())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) == int(tokens(HEADER).codes.astype(int).sum())
