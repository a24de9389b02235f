"""Exporting what is served, in a process of its own."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from engine.session.fakes import SHORT, FakeStudio, words
from resonantgen.errors import EngineError, StorageError
from resonantgen.session.session import Session
from resonantgen_bridge import exporting


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
    return tmp_path / "night.rg"


def test_it_gives_the_whole_path_of_what_it_wrote(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = asyncio.run(exporting.export(project, Path("out")))
    assert folder == tmp_path / "out" and (folder / "session.json").exists()


def test_what_is_wrong_is_the_error_that_it_would_be_here(project: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    with pytest.raises(StorageError, match="mine"):
        asyncio.run(exporting.export(project, tmp_path / "mine"))
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_process_that_fails_is_an_error_of_the_engine(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(EngineError, match="without a word"):
        asyncio.run(exporting.export(project, project.parent / "out"))


def test_an_export_that_is_cancelled_leaves_nothing(project: Path, tmp_path: Path) -> None:
    async def begin_and_cancel() -> None:
        export = asyncio.create_task(exporting.export(project, tmp_path / "out"))
        while not any(".export-" in entry.name for entry in tmp_path.iterdir()) and not export.done():
            await asyncio.sleep(0.001)
        export.cancel()
        with pytest.raises(asyncio.CancelledError):
            await export

    asyncio.run(begin_and_cancel())
    assert [entry.name for entry in tmp_path.iterdir()] == ["night.rg"]
