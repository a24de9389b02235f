"""The folder where models lie on this machine, and what is in it. Nothing here goes to the network.

A model that is shipped lies among the presets, with a manifest of the same kind, and stays there.

models/                     $RESONANTGEN_MODELS, or `models` in the user's data folder
  licences.json             the licences that were accepted
  .musicgen-small.lock      held by the process that fetches or removes it
  musicgen-small/
    model.safetensors, …    each under its own name as soon as it is whole and its checksum is right
    manifest.json           written last: a model without it is not installed
    model.safetensors.3f2a91c0b7de.part   so much of a file has come (`download.py`)
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from resonantgen.errors import BadValue, DownloadFailed, ModelDamaged, ModelNotFound
from resonantgen.models.catalog import Licence, ModelInfo, bytes_text, model_info
from resonantgen.presets import presets_folder
from resonantgen.session.files import storage_errors, write_file

MODELS_VARIABLE = "RESONANTGEN_MODELS"
MANIFEST = "manifest.json"
LICENCES = "licences.json"
FORMAT = 1
CHUNK = 1 << 20
REINSTALL = "pip install --force-reinstall resonantgen"

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_WEIGHTS = (".safetensors", ".bin")


class FileRecord(msgspec.Struct, frozen=True):
    """A file of a model, as it was when its checksum was right."""

    name: str
    size: int  # bytes
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched or shipped, from where, and under which licence."""

    format: int
    name: str
    source: str  # the hub's address
    repository: str
    commit: str
    licence: Licence
    files: list[FileRecord]


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is on this machine. Its files have the sizes that they should; what is in them was checked when
    they came, and `verify` checks it again."""

    info: ModelInfo
    folder: Path
    manifest: Manifest

    @property
    def files(self) -> tuple[FileRecord, ...]:
        return tuple(self.manifest.files)

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files that hold tensors: one, or the shards in order."""
        return tuple(self.folder / file.name for file in self.files if file.name.endswith(_WEIGHTS))

    @property
    def sha256(self) -> str:
        """One checksum for the whole model: of its files' names and checksums, as `sha256sum *` would print them."""
        lines = sorted(f"{file.sha256}  {file.name}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found of one file."""

    file: str
    trouble: str  # "" if it is what it should be


def models_folder() -> Path:
    """Where models lie: $RESONANTGEN_MODELS, or a folder among the user's data. Raises BadValue."""
    given = os.environ.get(MODELS_VARIABLE)
    if given:
        if Path(given).exists() and not Path(given).is_dir():
            raise BadValue(f"{MODELS_VARIABLE} names {given}, which is no folder. Let it name one, or unset it.")
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ResonantGen" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "resonantgen" / "models"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "resonantgen" / "models"


def is_file_name(name: str) -> bool:
    """Whether a name that was read somewhere can only be a file in the model's own folder."""
    return _FILE_NAME.fullmatch(name) is not None


def model_folder(info: ModelInfo) -> Path:
    """Where a model lies, or would lie. Raises BadValue."""
    return (presets_folder() / "models" if info.is_shipped else models_folder()) / info.name


def pull_command(name: str) -> str:
    return f"resonantgen models pull {name}"


def remedy(info: ModelInfo) -> str:
    """What puts a model right that is damaged or missing."""
    if info.is_shipped:
        return f"Install ResonantGen again: {REINSTALL}"
    return f"Fetch it again: {pull_command(info.name)}"


def installed(name: str) -> Installed:
    """A model on this machine. Quick: sizes are looked at, contents are not.

    Raises BadValue for a name that is no model, ModelNotFound if it was not fetched, and ModelDamaged.
    """
    info = model_info(name)
    folder = model_folder(info)
    manifest = read_manifest(name)
    if manifest is None:
        raise _not_here(info)
    for file in manifest.files:
        trouble = _size_trouble(folder, file)
        if trouble:
            raise ModelDamaged(f"{file.name} of {name} {trouble}. {remedy(info)}")
    return Installed(info, folder, manifest)


def is_installed(name: str) -> bool:
    """Whether it was fetched whole, or is shipped, damaged since or not. Raises BadValue."""
    return (model_folder(model_info(name)) / MANIFEST).is_file()


def read_manifest(name: str) -> Manifest | None:
    """None: there is none. Raises BadValue for a name that is no model, and ModelDamaged."""
    info = model_info(name)
    path = model_folder(info) / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        raise ModelDamaged(f"{path} cannot be read. {remedy(info)}") from None
    known = manifest.format == FORMAT and manifest.name == name and manifest.files
    if not known or not all(is_file_name(file.name) and file.size >= 0 for file in manifest.files):
        raise ModelDamaged(f"{path} is not this model's. {remedy(info)}")
    return manifest


def write_manifest(manifest: Manifest) -> None:
    """Says that the model is whole: all or nothing, and on the disk before it returns."""
    write_file(model_folder(model_info(manifest.name)) / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


def record_shipped(name: str) -> Manifest:
    """Write the manifest of a shipped model, of the files that lie in its folder. Raises BadValue, StorageError."""
    info = model_info(name)
    folder = model_folder(info)
    with storage_errors(folder):
        paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
        files = [FileRecord(path.name, path.stat().st_size, file_sha256(path)) for path in paths]
        facts = {"source": "resonantgen", "repository": "", "commit": ""}
        manifest = Manifest(format=FORMAT, name=name, licence=info.licence, files=files, **facts)
        write_manifest(manifest)
    return manifest


def verify(name: str) -> Iterator[Verdict]:
    """Read every file of an installed model again, one at a time. Raises BadValue and ModelNotFound."""
    info = model_info(name)
    try:
        manifest = read_manifest(name)
    except ModelDamaged:
        yield Verdict(MANIFEST, "cannot be read, or is not this model's")
        return
    if manifest is None:
        raise _not_here(info)
    folder = model_folder(info)
    for file in manifest.files:
        yield Verdict(file.name, _size_trouble(folder, file) or _content_trouble(folder, file))


def file_sha256(path: Path) -> str:
    """Of a file's content, read a piece at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def remove(name: str) -> None:
    """Take a model off this machine, with what has come of one that was never whole. Raises as `installed`.

    One that is shipped stays: BadValue.
    """
    info = model_info(name)
    if info.is_shipped:
        raise BadValue(f"{name} comes with ResonantGen, which needs it: it stays.")
    folder = model_folder(info)
    if not folder.is_dir():
        raise ModelNotFound(f"{name} is not on this machine.")
    with only_one(name):
        (folder / MANIFEST).unlink(missing_ok=True)  # first: half a model is none
        shutil.rmtree(folder)


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """One process at a time changes a model. Raises DownloadFailed."""
    from filelock import FileLock, Timeout  # imported here: readers do without it

    root = models_folder()
    try:
        with storage_errors(root):
            root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock", timeout=0):
            yield
    except Timeout:
        raise DownloadFailed(f"{name} is being fetched by another process. Wait until it is done.") from None


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


# -- licences ---------------------------------------------------------------------------------------------------------


def accepted_licences() -> set[str]:
    """The names of the licences that were accepted on this machine."""
    try:
        return set(msgspec.json.decode((models_folder() / LICENCES).read_bytes(), type=list[str]))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return set()  # then it is asked again


def accept_licence(licence: Licence) -> None:
    """Remember that it was accepted."""
    names = sorted(accepted_licences() | {licence.name})
    with storage_errors(models_folder()):
        models_folder().mkdir(parents=True, exist_ok=True)
        write_file(models_folder() / LICENCES, msgspec.json.format(msgspec.json.encode(names)))


def _not_here(info: ModelInfo) -> ModelNotFound:
    if info.is_shipped:
        return ModelNotFound(f"{info.name}, which comes with ResonantGen, is missing. {remedy(info)}")
    facts = f"({info.size_text}, {info.licence.name})"
    return ModelNotFound(f"{info.name} is not on this machine. Fetch it with: {pull_command(info.name)} {facts}.")


def _content_trouble(folder: Path, file: FileRecord) -> str:
    """What is wrong with a file of the right size, or ""."""
    try:
        return "" if file_sha256(folder / file.name) == file.sha256 else "does not match its checksum"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _size_trouble(folder: Path, file: FileRecord) -> str:
    """What is wrong with a file before it is read, or ""."""
    try:
        size = (folder / file.name).stat().st_size
    except FileNotFoundError:
        return "is missing"
    return "" if size == file.size else f"has {bytes_text(size)} and should have {bytes_text(file.size)}"
