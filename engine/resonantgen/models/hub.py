"""What the Hugging Face Hub has of a model: the commit, and each file's size and checksum. A mirror can stand for it.

The Hub is asked once, for a revision. Everything after that names the commit which it answered, so that no file of a
model is newer than another (https://huggingface.co/docs/hub/api).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from resonantgen.errors import DownloadFailed
from resonantgen.models.catalog import ModelInfo
from resonantgen.models.web import Passing, Patience, Wire, check_address, read_some

HUB_VARIABLE = "RESONANTGEN_MODEL_HUB"
HUB = "https://huggingface.co"
ANSWER_LIMIT = 8 << 20  # bytes; a repository's list has thousands
ASK_PAUSES_SECONDS = (1.0, 2.0, 4.0)  # a person waits for the first answer

# The layouts of weights that are published, the best first: safetensors holds nothing but tensors.
_SINGLE = ("model.safetensors", "pytorch_model.bin")
_SHARDED = (
    ("model.safetensors.index.json", re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors", re.ASCII)),
    ("pytorch_model.bin.index.json", re.compile(r"pytorch_model-(\d{5})-of-(\d{5})\.bin", re.ASCII)),
)


class _Lfs(msgspec.Struct):
    sha256: str
    size: int


class _Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    blob_id: str | None = msgspec.field(default=None, name="blobId")
    lfs: _Lfs | None = None


class _Revision(msgspec.Struct):
    sha: str
    siblings: list[_Sibling]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub describes it."""

    name: str
    url: str
    size: int  # bytes
    checksum: str  # lower-case hexadecimal: SHA-256 (64 digits), or git's blob id, a SHA-1 (40), for small files


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a model that are needed, all from one commit."""

    source: str
    commit: str
    files: tuple[RemoteFile, ...]


def hub_address() -> str:
    """Where models come from: $RESONANTGEN_MODEL_HUB, or the Hugging Face Hub. Raises BadValue."""
    address = (os.environ.get(HUB_VARIABLE) or HUB).rstrip("/")
    check_address(address)
    return address


def list_files(info: ModelInfo, revision: str, wire: Wire) -> Listing:
    """Ask the hub what it has. Raises DownloadFailed."""
    hub = hub_address()
    answer = _ask(f"{hub}/api/models/{info.repository}/revision/{revision}?blobs=true", wire)
    try:
        found = msgspec.json.decode(answer, type=_Revision)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DownloadFailed(f"{hub} does not answer as a model hub does. Is something between it and you?") from None
    if not re.fullmatch(r"[0-9a-f]{40}", found.sha):
        raise DownloadFailed(f"{hub} did not say which commit of {info.repository} it has.")
    siblings = {sibling.rfilename: sibling for sibling in found.siblings}
    wanted = [*info.files, *choose_weights(siblings, info)]
    missing = [name for name in wanted if name not in siblings]
    if missing:
        raise DownloadFailed(f"{info.repository} has no {missing[0]} any more. Update with: pip install -U resonantgen")
    base = f"{hub}/{info.repository}/resolve/{found.sha}"
    return Listing(hub, found.sha, tuple(_remote(base, siblings[name], info) for name in wanted))


def choose_weights(names: Iterable[str], info: ModelInfo) -> list[str]:
    """Which files hold the weights: one, or an index and all its shards in order. Raises DownloadFailed."""
    there = set(names)
    for single, (index, shard) in zip(_SINGLE, _SHARDED, strict=True):
        if single in there:
            return [single]
        shards = sorted(name for name in there if shard.fullmatch(name))
        counts = {shard.fullmatch(name)[2] for name in shards}  # type: ignore[index]
        if index in there and len(counts) == 1 and len(shards) == int(counts.pop()):
            return [index, *shards]
    raise DownloadFailed(f"{info.repository} has no weights in a layout that is known.")


def _remote(base: str, sibling: _Sibling, info: ModelInfo) -> RemoteFile:
    size = sibling.lfs.size if sibling.lfs else sibling.size
    checksum = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    digits = 64 if sibling.lfs else 40
    if size is None or size < 0 or not re.fullmatch(rf"[0-9a-f]{{{digits}}}", checksum or ""):
        raise DownloadFailed(f"The hub gives no checksum for {sibling.rfilename} of {info.name}: it is not fetched.")
    assert checksum is not None
    return RemoteFile(sibling.rfilename, f"{base}/{sibling.rfilename}", size, checksum)


def _ask(url: str, wire: Wire) -> bytes:
    patience = Patience(wire, ASK_PAUSES_SECONDS)
    while True:
        try:
            return _answer(url, wire)
        except Passing as trouble:
            patience.wait(trouble)


def _answer(url: str, wire: Wire) -> bytes:
    pieces, size = [], 0
    with wire.open(url, {"Accept": "application/json"}) as response:
        expected = response.length
        while piece := read_some(response, ANSWER_LIMIT):
            pieces.append(piece)
            size += len(piece)
            if size > ANSWER_LIMIT:
                raise DownloadFailed(f"{url} answers with more than {ANSWER_LIMIT >> 20} MiB.")
    if expected is not None and size < expected:
        raise Passing("the connection was cut")
    return b"".join(pieces)
