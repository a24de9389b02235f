"""Full disks and folders that cannot be written: one line that says so, and nothing has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.session.fakes import SHORT, FakeStudio, words
from resonantgen.errors import StorageError
from resonantgen.music.notes import Role
from resonantgen.session.session import Session

resource = pytest.importorskip(
    "resource", reason="POSIX only: Windows has no limits on file size and other permissions"
)
NOBODY = 65534
MIB = 1 << 20


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A temporary folder that every user may look into (pytest's own may not)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user for whom permissions count: root may write anywhere, so root becomes nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def unwritable(*folders: Path) -> Iterator[None]:
    modes = [(folder, folder.stat().st_mode) for top in folders for folder in (top, *top.rglob("*"))]
    for folder, _ in modes:
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    try:
        with unprivileged():
            yield
    finally:
        for folder, mode in modes:
            folder.chmod(mode)


def test_a_folder_that_cannot_be_written(shared: Path) -> None:
    project = shared / "night.rg"
    with Session.create(project, FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        session.export(shared / "out")
    before = content(shared)
    with unwritable(shared):
        for attempt in (
            lambda: Session.open(project),
            lambda: Session.create(shared / "other.rg"),
        ):
            with pytest.raises(StorageError, match="permission denied") as error:
                attempt()
            assert "\n" not in str(error.value)
        with Session.open(project, readonly=True, studio=FakeStudio()) as reader:
            assert len(reader.playing) == 4
            for folder in (shared / "out", shared / "new"):
                with pytest.raises(StorageError, match="permission denied"):
                    reader.export(folder)
    assert content(shared) == before


def test_a_folder_that_cannot_be_looked_into(shared: Path) -> None:
    with Session.create(shared / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        closed = shared / "closed"
        closed.mkdir()
        closed.chmod(0)
        with unprivileged():
            for attempt in (Session.open, Session.create, Session.open_or_create):
                with pytest.raises(StorageError, match="permission denied"):
                    attempt(closed / "night.rg")
            with pytest.raises(StorageError, match="permission denied"):
                session.export(closed / "out")
        closed.chmod(0o755)
        assert list(closed.iterdir()) == []


def test_a_project_that_cannot_be_written_can_be_read_after_a_crash(shared: Path) -> None:
    """Its write-ahead log is still there, and cannot be folded into the database."""
    project = shared / "night.rg"
    copy = shared / "copy.rg"
    with Session.create(project, FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        session.tracks["bass"].lock()
        shutil.copytree(project, copy)
    (copy / "project.db-shm").unlink()
    assert (copy / "project.db-wal").stat().st_size > 0
    with unwritable(copy), Session.open(copy, readonly=True) as reader:
        assert reader.locked == {Role.BASS} and len(reader.playing) == 4


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def little_space(disk: Path, size: int) -> Iterator[None]:
    """Fill a disk so that only `size` bytes are free."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        free = os.statvfs(disk)
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - size)))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def scarce(tmp_path: Path) -> Iterator[tuple[Path, Callable[[int], object]]]:
    """A folder and a way to make space short in it: a small disk of its own, or else a limit on the size of files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        yield disk, lambda size: little_space(disk, size)
        subprocess.run(["umount", str(disk)], check=True)
    else:
        yield disk, file_size_limit


def test_a_full_disk_changes_nothing(scarce: tuple[Path, Callable[[int], object]]) -> None:
    disk, shortage = scarce
    project = disk / "night.rg"
    with Session.create(project, FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
    failures = 0
    for size in range(0, 768 * 1024, 24 * 1024):  # so that it fails at each point, and in the end not at all
        with Session.open(project, studio=FakeStudio()) as session:
            before = {role: take.id for role, take in session.playing.items()}
            made = len(session.takes(Role.DRUMS))
            files = {file.name for file in (project / "audio").iterdir()}
            try:
                with shortage(size):  # type: ignore[attr-defined]
                    session.regenerate()
            except StorageError as error:
                failures += 1
                assert "\n" not in str(error)
                assert {role: take.id for role, take in session.playing.items()} == before
                assert len(session.takes(Role.DRUMS)) == made
                assert {file.name for file in (project / "audio").iterdir()} == files
            for take in session.playing.values():
                session.wav(take)
        with Session.open(project, readonly=True) as reader:
            assert len(reader.playing) == 4
    assert 3 < failures < 32, "space was short at some sizes and enough at others"


def test_a_full_disk_leaves_no_half_project_or_export(scarce: tuple[Path, Callable[[int], object]]) -> None:
    disk, shortage = scarce
    with Session.create(disk / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        for size in (0, 4096, 40_000):
            with shortage(size), pytest.raises(StorageError):  # type: ignore[attr-defined]
                session.export(disk / "out")
            assert not (disk / "out").exists()
    for size in (0, 4096):
        with shortage(size), pytest.raises(StorageError):  # type: ignore[attr-defined]
            Session.create(disk / "other.rg")
        assert sorted(file.name for file in disk.iterdir()) == ["night.rg"]
