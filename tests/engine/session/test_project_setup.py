"""What is kept with a project beside its music, and projects from before it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.session.fakes import SHORT, FakeStudio, words
from resonantgen.errors import BadValue, ProjectDamaged
from resonantgen.music.notes import Role
from resonantgen.session import codec
from resonantgen.session.folder import APPLICATION_ID, SCHEMA_VERSION
from resonantgen.session.session import Session
from resonantgen.session.setup import MAX_GAIN_DB, SILENT_GAIN_DB, Setup, Strip, checked_setup

# The schema as version 1 wrote it.
VERSION_1 = """
PRAGMA application_id = 0x52474E31;
PRAGMA user_version = 1;
CREATE TABLE project (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT;
CREATE TABLE take (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, number INTEGER NOT NULL, audio_sha256 TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (role, number)
) STRICT;
CREATE TABLE revision (number INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
"""
OTHER = Setup(
    {
        Role.DRUMS: Strip(-3.0, 0.25, muted=True),
        Role.BASS: Strip(soloed=True),
        Role.HARMONY: Strip(SILENT_GAIN_DB, -1.0),
        Role.MELODY: Strip(MAX_GAIN_DB, 1.0),
    },
    {1: Role.MELODY, 2: Role.DRUMS, 10: Role.DRUMS},
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        yield session


@pytest.fixture
def old(session: Session) -> Path:
    """A project with music as version 1 left it, closed."""
    session.generate(words(style="techno"), seed=7, **SHORT)
    session.lock("drums")
    session.regenerate()
    session.close()
    path = session.path
    with closing(sqlite3.connect(path / "project.db")) as database:
        tables = {
            name: database.execute(f"SELECT * FROM {name}").fetchall() for name in ("project", "take", "revision")
        }
    (path / "project.db").unlink()
    with closing(sqlite3.connect(path / "project.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(VERSION_1)
        for name, rows in tables.items():
            database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        database.commit()
    return path


def version(path: Path) -> int:
    header = (path / "project.db").read_bytes()[:100]
    assert int.from_bytes(header[68:72]) == APPLICATION_ID
    return int.from_bytes(header[60:64])


def test_the_setup_is_kept_with_the_project(session: Session) -> None:
    assert session.setup == Setup()
    session.set_setup(OTHER)
    assert session.setup == OTHER
    session.close()
    with Session.open(session.path, readonly=True) as reader:
        assert reader.setup == OTHER


def test_history_leaves_the_setup_be(session: Session) -> None:
    session.generate(words(style="techno"), seed=7, **SHORT)
    session.regenerate()
    session.set_setup(OTHER)
    session.undo()
    session.redo()
    session.undo("bass")
    assert session.setup == OTHER


def test_whole_numbers_are_as_good_as_fractions(session: Session) -> None:
    session.set_setup(Setup({Role.BASS: Strip(gain_db=-6, pan=1)}))
    path = session.path
    session.close()
    with Session.open(path) as again:
        assert again.setup.strips[Role.BASS] == Strip(-6.0, 1.0)
        assert set(again.setup.strips) == set(Role), "each track has a strip"


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        (Setup({Role.BASS: Strip(gain_db=6.1)}), "gain of bass cannot be 6.1 dB"),
        (Setup({Role.BASS: Strip(gain_db=-60.1)}), "gain of bass"),
        (Setup({Role.DRUMS: Strip(gain_db=float("nan"))}), "gain of drums"),
        (Setup({Role.DRUMS: Strip(pan=-1.5)}), "pan of drums cannot be -1.5"),
        (Setup({Role.DRUMS: Strip(pan=float("nan"))}), "pan of drums"),
        (Setup(daw_tracks={0: Role.BASS}), "no track 0"),
    ],
)
def test_an_impossible_setup_is_refused(session: Session, setup: Setup, message: str) -> None:
    session.set_setup(OTHER)
    with pytest.raises(BadValue, match=message) as error:
        session.set_setup(setup)
    assert "\n" not in str(error.value) and session.setup == OTHER


@given(
    st.builds(Strip, st.floats(SILENT_GAIN_DB, MAX_GAIN_DB), st.floats(-1, 1), st.booleans(), st.booleans()),
    st.dictionaries(st.integers(1, 999), st.sampled_from(Role)),
)
def test_any_setup_comes_back_as_it_was(strip: Strip, daw_tracks: dict[int, Role]) -> None:
    setup = checked_setup(Setup({Role.HARMONY: strip}, daw_tracks))
    assert codec.decode(codec.encode(setup), Setup) == setup
    assert codec.unpack(codec.pack(setup), Setup) == setup


def test_a_project_of_version_1_can_be_read_without_a_trace(old: Path) -> None:
    before = {file.name: file.read_bytes() for file in old.rglob("*") if file.is_file()}
    with Session.open(old, readonly=True) as reader:
        assert reader.setup == Setup()
        assert reader.locked == {Role.DRUMS} and reader.playing[Role.BASS].number == 2
    assert {file.name: file.read_bytes() for file in old.rglob("*") if file.is_file()} == before


def test_a_writer_brings_a_project_of_version_1_up_to_date(old: Path) -> None:
    assert version(old) == 1
    with Session.open(old, studio=FakeStudio()) as session:
        assert session.setup == Setup()
        session.set_setup(OTHER)
        session.undo()
        assert session.playing[Role.BASS].number == 1
    assert version(old) == SCHEMA_VERSION
    with Session.open(old, studio=FakeStudio()) as session:
        assert session.setup == OTHER
        session.redo()
        for role in Role:
            for take in session.takes(role):
                assert session.replay(take) == (take.notes_sha256, take.audio_sha256)


def test_an_upgrade_that_fails_midway_leaves_version_1(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(codec, "encode", fail)
        with pytest.raises(KeyboardInterrupt):
            Session.open(old)
    assert version(old) == 1
    with closing(sqlite3.connect(old / "project.db")) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"project", "take", "revision"}
    with Session.open(old) as session:
        session.set_setup(replace(OTHER, daw_tracks={}))


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("statement", ["DELETE FROM setup", "UPDATE setup SET body = '{}'"])
def test_a_damaged_setup_is_noticed(session: Session, statement: str, readonly: bool) -> None:
    session.close()
    with closing(sqlite3.connect(session.path / "project.db")) as database:
        database.execute(statement)
        database.commit()
    with pytest.raises(ProjectDamaged, match=r"setup.*backup"):
        Session.open(session.path, readonly=readonly)
