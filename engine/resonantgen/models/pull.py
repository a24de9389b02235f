"""Brings a model onto this machine, or puts one right that was damaged: all its files from one commit, each checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from resonantgen.errors import DownloadFailed, ModelDamaged
from resonantgen.models import folder as store
from resonantgen.models.catalog import ModelInfo, bytes_text, model_info
from resonantgen.models.download import PART, TAG, fetch, kept, part_path, part_size
from resonantgen.models.folder import Installed, Manifest
from resonantgen.models.hub import Listing, list_files
from resonantgen.models.web import Wire

SPARE_BYTES = 64 << 20  # that a disk should have left when all is there


class Watch(Protocol):
    """Is told how a pull goes. Counts are in bytes of the whole model."""

    def checking(self) -> None:
        """What is here already is being read, which takes seconds for gigabytes."""
        ...

    def begin(self, total: int) -> None: ...

    def at(self, file: str, done: int) -> None:
        """So much is there; less than before if a file had to start anew."""
        ...


@dataclass(frozen=True, slots=True)
class _Pull:
    info: ModelInfo
    folder: Path
    wire: Wire
    watch: Watch


def pull(
    name: str, watch: Watch, wire: Wire | None = None, free_bytes: Callable[[Path], int] = store.free_bytes
) -> Installed:
    """Fetch a model, or what is missing or wrong of it. One that is here and right is left alone, without the network.

    One that is damaged gets the files of the commit that it came from; a newer one comes only after `models remove`.

    One that is shipped is only read: it is right, or ModelDamaged.

    Raises BadValue for a name that is no model, and DownloadFailed. Ctrl-C may end it at any time: what has come is
    kept, and the next pull goes on from there.
    """
    info = model_info(name)
    if info.is_shipped:
        return _shipped(info, watch)
    with store.only_one(name):
        manifest = _readable_manifest(name)
        if manifest is not None:
            watch.checking()
            if not any(verdict.trouble for verdict in store.verify(name)):
                return store.installed(name)
        job = _Pull(info, store.model_folder(info), wire or Wire(), watch)
        job.folder.mkdir(parents=True, exist_ok=True)
        try:
            listing = list_files(info, manifest.commit if manifest else "main", job.wire)
            _remove_other_parts(job, listing)
            _bring(job, listing, free_bytes)
        except DownloadFailed as error:
            raise DownloadFailed(f"{error} Go on with: {store.pull_command(name)}") from None
    return store.installed(name)


def _shipped(info: ModelInfo, watch: Watch) -> Installed:
    """A model that is not fetched, when its files are right."""
    watch.checking()
    for verdict in store.verify(info.name):
        if verdict.trouble:
            raise ModelDamaged(f"{verdict.file} of {info.name} {verdict.trouble}. {store.remedy(info)}")
    return store.installed(info.name)


def _bring(job: _Pull, listing: Listing, free_bytes: Callable[[Path], int]) -> None:
    if any((job.folder / remote.name).exists() or part_size(job.folder, remote) for remote in listing.files):
        job.watch.checking()
    records = {remote.name: record for remote in listing.files if (record := kept(job.folder, remote))}
    coming = [remote for remote in listing.files if remote.name not in records]
    _check_room(job, sum(remote.size - part_size(job.folder, remote) for remote in coming), free_bytes)
    done = sum(record.size for record in records.values())
    job.watch.begin(sum(remote.size for remote in listing.files))
    for remote in coming:
        before = done

        def on_done(count: int, file: str = remote.name, before: int = before) -> None:
            job.watch.at(file, before + count)

        records[remote.name] = fetch(remote, job.folder, job.wire, on_done)
        done += remote.size
    store.write_manifest(
        Manifest(
            format=store.FORMAT,
            name=job.info.name,
            source=listing.source,
            repository=job.info.repository,
            commit=listing.commit,
            licence=job.info.licence,
            files=[records[remote.name] for remote in listing.files],
        )
    )


def _check_room(job: _Pull, needed: int, free_bytes: Callable[[Path], int]) -> None:
    free = free_bytes(job.folder)
    if needed and needed + SPARE_BYTES > free:
        raise DownloadFailed(
            f"{job.info.name} needs {bytes_text(needed)} and {job.folder.parent} has {bytes_text(free)} free. "
            f"Make room, or name another folder in {store.MODELS_VARIABLE}."
        )


def _remove_other_parts(job: _Pull, listing: Listing) -> None:
    """Parts of versions that are not wanted any more."""
    wanted = {part_path(job.folder, remote).name for remote in listing.files}
    for path in job.folder.glob(f"*{PART}*"):
        if path.name.removesuffix(TAG) not in wanted:
            path.unlink(missing_ok=True)


def _readable_manifest(name: str) -> Manifest | None:
    try:
        return store.read_manifest(name)
    except ModelDamaged:
        return None
