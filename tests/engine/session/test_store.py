"""The project on disk: what is refused and how, what is cleaned up, and what damage is noticed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.session.fakes import SHORT, FakeStudio, words
from resonantgen.errors import (
    BadValue,
    NotAProject,
    ProjectBusy,
    ProjectDamaged,
    ProjectError,
    ProjectNotFound,
    ProjectTooNew,
    ResonantGenError,
    StorageError,
)
from resonantgen.music.notes import Role
from resonantgen.session import folder
from resonantgen.session.folder import APPLICATION_ID, SCHEMA_VERSION
from resonantgen.session.session import Session
from resonantgen.session.store import Store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A closed project with one generation."""
    path = tmp_path / "night.rg"
    with Session.create(path, FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refused(path: Path, error: type[ResonantGenError], readonly: bool = False) -> str:
    """The message with which opening is refused; it is one line, and nothing on disk has changed."""
    before = content(path.parent)
    with pytest.raises(error) as caught:
        Session.open(path, readonly=readonly)
    assert content(path.parent) == before
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("readonly", [False, True])
class TestRefusals:
    def test_nothing_there(self, tmp_path: Path, readonly: bool) -> None:
        assert "resonantgen generate" in refused(tmp_path / "none.rg", ProjectNotFound, readonly)

    def test_a_file(self, tmp_path: Path, readonly: bool) -> None:
        (tmp_path / "file.rg").write_text("x")
        refused(tmp_path / "file.rg", NotAProject, readonly)

    def test_a_folder_without_a_database(self, tmp_path: Path, readonly: bool) -> None:
        (tmp_path / "folder.rg").mkdir()
        refused(tmp_path / "folder.rg", NotAProject, readonly)

    @pytest.mark.parametrize("data", [b"", b"not a database", b"SQLite format 3\0" + bytes(84)])
    def test_a_database_that_is_none(self, tmp_path: Path, readonly: bool, data: bytes) -> None:
        (tmp_path / "folder.rg").mkdir()
        (tmp_path / "folder.rg" / "project.db").write_bytes(data)
        refused(tmp_path / "folder.rg", NotAProject, readonly)

    def test_a_database_of_another_program(self, tmp_path: Path, readonly: bool) -> None:
        (tmp_path / "other.rg").mkdir()
        database = sqlite3.connect(tmp_path / "other.rg" / "project.db")
        database.execute("CREATE TABLE project (body TEXT)")
        database.close()
        refused(tmp_path / "other.rg", NotAProject, readonly)

    def test_a_newer_version(self, project: Path, readonly: bool) -> None:
        database = sqlite3.connect(project / "project.db")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        database.close()
        assert "newer ResonantGen" in refused(project, ProjectTooNew, readonly)

    def test_a_database_cut_short(self, project: Path, readonly: bool) -> None:
        data = (project / "project.db").read_bytes()
        (project / "project.db").write_bytes(data[: len(data) // 2])
        with pytest.raises(ProjectDamaged, match="backup"):
            session = Session.open(project, readonly=readonly)
            try:
                for role in Role:
                    session.takes(role)
            finally:
                session.close()

    def test_a_damaged_value(self, project: Path, readonly: bool) -> None:
        database = sqlite3.connect(project / "project.db")
        database.execute("""UPDATE project SET body = '{"seed": "seven"}'""")
        database.commit()
        database.close()
        with pytest.raises(ProjectDamaged, match="damaged project"):
            Session.open(project, readonly=readonly)


def test_the_header_says_what_the_file_is(project: Path) -> None:
    header = (project / "project.db").read_bytes()[:100]
    assert int.from_bytes(header[68:72]) == APPLICATION_ID
    assert int.from_bytes(header[60:64]) == SCHEMA_VERSION


def test_create_refuses_what_is_there(project: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    with pytest.raises(ProjectError, match="is a project already"):
        Session.create(project)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotAProject, match="is a file"):
        Session.create(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(NotAProject, match="other things"):
        Session.create(tmp_path / "full")
    with pytest.raises(StorageError, match="does not exist"):
        Session.create(tmp_path / "no" / "night.rg")
    assert content(tmp_path) == before | {"file": b"x", "full/x": b"x"}


def test_create_takes_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "night.rg").mkdir()
    Session.create(tmp_path / "night.rg").close()
    Session.open(tmp_path / "night.rg").close()


def test_only_one_writer_but_any_number_of_readers(project: Path) -> None:
    with Session.open(project, studio=FakeStudio()) as writer:
        with pytest.raises(ProjectBusy, match=f"pid {os.getpid()}"):
            Session.open(project)
        with Session.open(project, readonly=True) as reader, Session.open(project, readonly=True) as other:
            writer.regenerate()
            for open_reader in (reader, other):
                assert open_reader.playing[Role.DRUMS].id == "drums-1", "a reader shows what it opened"
                with pytest.raises(ProjectError, match="reading only"):
                    open_reader.tracks["drums"].lock()
        with Session.open(project, readonly=True) as later:
            assert later.playing[Role.DRUMS].id == "drums-2"
    Session.open(project).close()


def test_readers_leave_no_trace(project: Path) -> None:
    before = content(project)
    with Session.open(project, readonly=True) as reader:
        assert len(reader.playing) == 4
    assert content(project) == before


def test_the_next_writer_removes_what_a_killed_one_left(project: Path, tmp_path: Path) -> None:
    before = content(project)
    (project / "audio" / f"{'0' * 64}.wav").write_bytes(b"unreferred")
    (project / "audio" / ".half.wav.1-0.part").write_bytes(b"half")
    (project / "audio" / "notes.txt").write_bytes(b"of the user")
    unfinished = tmp_path / ".night.rg.new-1-0"
    unfinished.mkdir()
    fresh = tmp_path / ".night.rg.new-2-0"
    fresh.mkdir()
    an_hour_ago = time.time() - 3600
    os.utime(unfinished, (an_hour_ago, an_hour_ago))
    Session.open(project).close()
    assert content(project) == before | {"audio/notes.txt": b"of the user"}
    assert not unfinished.exists() and fresh.exists()


@pytest.mark.parametrize("damage", ["missing", "changed", "cut"])
def test_damaged_audio_is_noticed_and_named(project: Path, tmp_path: Path, damage: str) -> None:
    with Session.open(project, studio=FakeStudio()) as session:
        take = session.playing[Role.BASS]
        file = project / "audio" / f"{take.audio_sha256}.wav"
        if damage == "missing":
            file.unlink()
        else:
            data = bytearray(file.read_bytes())
            data[100] ^= 1
            file.write_bytes(data if damage == "changed" else data[:-6])
        with pytest.raises(ProjectDamaged, match="bass-1") as error:
            session.export(tmp_path / "out")
        assert "--track bass" in str(error.value) and "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()
        with pytest.raises(ProjectDamaged, match="bass-1"):
            session.samples(take)
        session.regenerate("", track="bass")  # the remedy that the message names
        session.export(tmp_path / "out")


def test_a_project_whose_audio_folder_is_gone_opens_and_says_what_is_missing(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(project / "audio")
    with Session.open(project, studio=FakeStudio()) as session:
        with pytest.raises(ProjectDamaged, match="drums-1 is missing"):
            session.export(tmp_path / "out")
        session.regenerate()
        session.export(tmp_path / "out")


def test_a_mark_of_the_writer_that_cannot_be_read_does_not_matter(project: Path) -> None:
    with Session.open(project):
        (project / "writer.pid").write_bytes(b"\xff\xfe")
        with pytest.raises(ProjectBusy, match="by another process"):
            Session.open(project)


def test_a_disk_that_goes_away_is_an_error_of_ours(project: Path, tmp_path: Path) -> None:
    with Session.open(project, studio=FakeStudio()) as session:
        (project / "audio").rename(tmp_path / "gone")
        with pytest.raises(StorageError, match="does not exist"):
            session.regenerate()
        (tmp_path / "gone").rename(project / "audio")
        assert session.playing[Role.DRUMS].id == "drums-1"
        session.regenerate()


def test_using_a_closed_session_is_not_reported_as_damage(project: Path) -> None:
    session = Session.open(project, studio=FakeStudio())
    session.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        session.regenerate()


@pytest.mark.parametrize("attempt", [Session.open, Session.create, Session.open_or_create])
def test_a_name_that_no_file_can_have_is_refused_in_one_line(
    tmp_path: Path, attempt: Callable[[Path], Session]
) -> None:
    with pytest.raises(StorageError, match="name is too long") as error:
        attempt(tmp_path / ("night" * 100 + ".rg"))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_storing_audio_again_repairs_it(project: Path) -> None:
    store = Store.open(project)
    sha256 = store.add_audio(b"sound")
    store.audio_path(sha256).write_bytes(b"noise")
    assert store.add_audio(b"sound") == sha256
    assert store.audio_path(sha256).read_bytes() == b"sound"
    store.close()


def change_database(project: Path, *statements: str) -> None:
    database = sqlite3.connect(project / "project.db")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE project SET body = '{"a":1}'""",
        "DELETE FROM take WHERE id = 'bass-1'",
        "UPDATE take SET audio_sha256 = 'x' WHERE id = 'bass-1'",
        "UPDATE take SET body = replace(body, 'bass-1', 'bass-2') WHERE id = 'bass-1'",
        "DELETE FROM revision",
        "DELETE FROM take WHERE id <> 'bass-1'",
    ],
)
def test_a_damaged_database_costs_no_audio(project: Path, damage: str) -> None:
    audio = content(project / "audio")
    assert len(audio) == 4
    change_database(project, damage)
    try:
        Session.open(project).close()
    except ProjectDamaged as error:
        assert str(project) in str(error) and "backup" in str(error)
    assert content(project / "audio") == audio


def test_an_empty_database_beside_much_audio_costs_none(project: Path) -> None:
    """Such as one that was put there by hand: a command that was killed leaves at most one file a track."""
    with Session.open(project, studio=FakeStudio()) as session:
        session.regenerate()
    audio = content(project / "audio")
    other = Session.create(project.with_name("other.rg"))
    other.close()
    for file in project.glob("project.db*"):
        file.unlink()
    shutil.copy(other.path / "project.db", project / "project.db")
    Session.open(project).close()
    assert content(project / "audio") == audio


def test_a_project_that_is_removed_while_it_is_open_is_an_error_of_ours(project: Path) -> None:
    with Session.open(project, studio=FakeStudio()) as session:
        shutil.rmtree(project)
        with pytest.raises(StorageError, match="was removed or renamed while it was in use"):
            session.regenerate()


def test_a_new_project_that_is_removed_while_it_is_made_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="was removed"), Session.create(tmp_path / "n.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), **SHORT, on_progress=lambda _: shutil.rmtree(session.path, True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("linked", [False, True])
def test_a_failed_generation_leaves_an_empty_folder_as_it_was(tmp_path: Path, linked: bool) -> None:
    real = path = tmp_path / "night.rg"
    real.mkdir(mode=0o700)
    if linked:
        path = tmp_path / "link.rg"
        path.symlink_to(real)
    before = real.stat()
    with pytest.raises(BadValue), Session.create(path, FakeStudio()) as session:
        assert (real / "project.db").exists()
        session.generate(words(style="techno"), bars=0)
    after = real.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode) and path.is_dir()
    assert list(real.iterdir()) == []


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let another process act when the next new project is half made."""
    write = folder._write_database

    def write_and_act(staged: Path) -> None:
        write(staged)
        monkeypatch.setattr(folder, "_write_database", write)
        act()

    monkeypatch.setattr(folder, "_write_database", write_and_act)


def test_of_two_that_make_a_project_at_once_the_later_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "night.rg"
    meanwhile(monkeypatch, lambda: Session.create(path).close())
    with pytest.raises(ProjectError, match="is a project already"):
        Session.create(path)
    shutil.rmtree(path)
    meanwhile(monkeypatch, lambda: Session.create(path).close())
    Session.open_or_create(path).close()
    shutil.rmtree(path)
    others: list[Session] = []
    meanwhile(monkeypatch, lambda: others.append(Session.create(path)))
    with pytest.raises(ProjectBusy, match=f"pid {os.getpid()}"):
        Session.open_or_create(path)
    others[0].close()


def test_of_two_that_make_a_project_in_one_folder_the_later_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        with pytest.raises(ProjectBusy, match=f"pid {os.getpid()}"):
            Session.create(tmp_path)

    meanwhile(monkeypatch, refuse)
    Session.create(tmp_path).close()


@pytest.mark.parametrize("attempt", [Session.open, Session.create, Session.open_or_create])
@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(attempt: Callable[[str], Session], name: str) -> None:
    with pytest.raises(BadValue, match="cannot be empty"):
        attempt(name)


@pytest.mark.parametrize("attempt", [Session.open, Session.create, Session.open_or_create])
def test_a_link_to_nothing_is_called_one(tmp_path: Path, attempt: Callable[[Path], Session]) -> None:
    (tmp_path / "night.rg").symlink_to(tmp_path / "gone")
    with pytest.raises(ProjectError, match=r"is a link to .*gone, which does not exist"):
        attempt(tmp_path / "night.rg")


def test_a_file_in_place_of_the_audio_folder(project: Path) -> None:
    shutil.rmtree(project / "audio")
    (project / "audio").write_text("x")
    assert "audio is no folder" in refused(project, ProjectDamaged)


def test_a_damaged_value_is_told_with_the_project_and_a_remedy(project: Path) -> None:
    change_database(project, "UPDATE project SET body = substr(body, 1, 20)")
    message = refused(project, ProjectDamaged)
    assert "damaged project" in message and "Restore it from a backup" in message


def test_a_project_can_be_moved(project: Path, tmp_path: Path) -> None:
    shutil.move(project, tmp_path / "other place.rg")
    with Session.open(tmp_path / "other place.rg", studio=FakeStudio()) as session:
        session.regenerate()
        assert session.playing[Role.DRUMS].id == "drums-2"


@pytest.mark.parametrize("name", ["a b", "ü", "100%", "q?x#y", "[x]"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    with Session.create(tmp_path / name, FakeStudio()) as session:
        session.generate(words(style="techno"), **SHORT)
    with Session.open(tmp_path / name, readonly=True) as reader:
        assert len(reader.playing) == 4
