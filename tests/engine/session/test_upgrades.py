"""Projects of format 2, whose takes were all notes, and 3, which knew no imported ones: they are read as they are, and
brought up to date by a writer.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import recordings
from engine.session.fakes import FakeStudio, words
from resonantgen.errors import ProjectDamaged
from resonantgen.music.notes import Role
from resonantgen.session import folder
from resonantgen.session.folder import SCHEMA_VERSION, upgraded_take
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.produce import remake
from resonantgen.session.rendition import render_wav
from resonantgen.session.session import Session
from resonantgen.session.store import Store

DUMP = Path(__file__).with_name("project_version_2.sql")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The dumped project on disk, its audio made again from the notes that are in it."""
    path = tmp_path / "old.rg"
    path.mkdir()
    with closing(sqlite3.connect(path / "project.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(DUMP.read_text(encoding="utf-8"))
    with closing(Store.open(path, readonly=True)) as store:
        takes = [store.take(take_id) for role in Role for take_id in store.take_ids(role)]
    (path / "audio").mkdir()
    for take in takes:
        data = render_wav(take.score, take.recipe, take.sound, FakeStudio())
        (path / "audio" / f"{take.audio_sha256}.wav").write_bytes(data)
    return path


def version(path: Path) -> int:
    return int.from_bytes((path / "project.db").read_bytes()[60:64])


def bodies(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path / "project.db")) as database:
        return dict(database.execute("SELECT id, body FROM take").fetchall())


def test_a_reader_understands_it_and_leaves_no_trace(old: Path) -> None:
    before = {file.name: file.read_bytes() for file in old.rglob("*") if file.is_file()}
    with Session.open(old, readonly=True, studio=FakeStudio()) as session:
        assert {role.value: take.id for role, take in session.playing.items()} == {
            "drums": "drums-1",
            "bass": "bass-2",
            "harmony": "harmony-2",
            "melody": "melody-2",
        }
        assert session.locked == {Role.DRUMS} and session.prompts[:2] == ("dark techno", "darker")
        for role in Role:
            for take in session.takes(role):
                assert (take.generator, take.recipe.part.generator, take.recipe.part.words) == (
                    "pattern",
                    "pattern",
                    "",
                )
                assert not take.is_sound and session.replay(take) == (take.notes_sha256, take.audio_sha256)
        assert set(session.stems()) == set(Role)
    assert version(old) == 2
    assert {file.name: file.read_bytes() for file in old.rglob("*") if file.is_file()} == before


def test_a_writer_brings_it_up_to_date_and_goes_on(old: Path) -> None:
    with Session.open(old, studio=FakeStudio()) as session:
        locked = session.playing[Role.DRUMS]
        wav = session.wav(locked)
        session.redo("bass")
        assert session.playing[Role.BASS].id == "bass-3"
        session.regenerate(words("calm", mood="calm"))
        assert session.playing[Role.DRUMS] == locked and session.wav(locked) == wav
        session.undo()
    assert version(old) == SCHEMA_VERSION
    with Session.open(old, readonly=True, studio=FakeStudio()) as session:
        assert session.playing[Role.BASS].id == "bass-3" and session.takes(Role.BASS)[-1].id == "bass-4"


def test_a_reader_that_was_there_before_the_writer_goes_on(old: Path) -> None:
    with Session.open(old, readonly=True, studio=FakeStudio()) as reader:
        assert reader.playing[Role.DRUMS].id == "drums-1"
        with Session.open(old, studio=FakeStudio()):
            pass
        assert version(old) == SCHEMA_VERSION or (old / "project.db-wal").exists()
        assert [take.id for take in reader.takes(Role.MELODY)] == ["melody-1", "melody-2"]


def test_nothing_but_what_is_new_changes(old: Path) -> None:
    before = bodies(old)
    with Session.open(old, studio=FakeStudio()):
        pass
    after = bodies(old)
    for take_id, body in after.items():
        take = msgspec.json.decode(body)
        assert take.pop("fit") is None and take.pop("imported") is None and take["recipe"].pop("source") is None
        assert take["recipe"]["part"].pop("generator") == "pattern" and take["recipe"]["part"].pop("words") == ""
        assert msgspec.json.encode(take).decode() == before[take_id]
        assert upgraded_take(body) == body, "one that is up to date stays as it is"


@pytest.mark.parametrize("body", ["", "{", "[]", "7", "{}", '{"recipe":null}', '{"recipe":{"part":[]}}', "[" * 5000])
def test_what_is_no_take_stays_for_whoever_reads_it(old: Path, body: str) -> None:
    assert upgraded_take(body) == body
    with closing(sqlite3.connect(old / "project.db")) as database:
        database.execute("UPDATE take SET body = ? WHERE id = 'bass-1'", (body,))
        database.commit()
    for readonly in (True, False):
        with Session.open(old, readonly=readonly, studio=FakeStudio()) as session:
            assert session.playing[Role.BASS].id == "bass-2"
            with pytest.raises(ProjectDamaged):
                session.takes(Role.BASS)


KILLED = """
import os, sys
from resonantgen.session import folder
from resonantgen.session.store import Store
whole, upgraded = folder.upgraded_take, []
def kill(body):
    upgraded.append(body)
    if len(upgraded) == 3:
        os.kill(os.getpid(), 9)
    return whole(body)
folder.upgraded_take = kill
from pathlib import Path
Store.open(Path(sys.argv[1]))
"""


def test_a_kill_in_the_midst_of_an_upgrade_loses_nothing(old: Path) -> None:
    before = bodies(old)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(old)], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    with Session.open(old, readonly=True, studio=FakeStudio()) as session:
        assert session.playing[Role.BASS].id == "bass-2"
    assert version(old) == 2 and bodies(old) == before
    with Session.open(old, studio=FakeStudio()) as session:
        for take in session.takes(Role.BASS):
            assert session.replay(take) == (take.notes_sha256, take.audio_sha256)


def test_an_upgrade_that_fails_midway_leaves_format_2(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, upgraded = bodies(old), []

    def fail(body: str) -> str:
        upgraded.append(body)
        if len(upgraded) == 3:
            raise KeyboardInterrupt
        return upgraded_take(body)

    with monkeypatch.context() as patched:
        patched.setattr(folder, "upgraded_take", fail)
        with pytest.raises(KeyboardInterrupt):
            Session.open(old)
    assert version(old) == 2 and bodies(old) == before
    with Session.open(old, studio=FakeStudio()) as session:
        session.regenerate()


# Format 3


@pytest.fixture
def old_3(tmp_path: Path) -> Path:
    """The dumped project on disk, its audio made again from the recipes that are in it."""
    path = tmp_path / "old.rg"
    path.mkdir()
    with closing(sqlite3.connect(path / "project.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(DUMP.with_name("project_version_3.sql").read_text(encoding="utf-8"))
    (path / "audio").mkdir()
    with Session.open(path, readonly=True, studio=FakeStudio()) as session:
        for role in Role:
            for take in session.takes(role):
                context = {r: session._take(take_id) for r, take_id in take.recipe.context.items()}
                _, data = remake(take.recipe, context, FakeStudio(), session.wav, session.imported_file)
                (path / "audio" / f"{take.audio_sha256}.wav").write_bytes(data)
    return path


def test_of_format_3_nothing_but_what_is_new_changes(old_3: Path) -> None:
    before = bodies(old_3)
    assert version(old_3) == 3 and any(msgspec.json.decode(body)["fit"] for body in before.values())
    with Session.open(old_3, readonly=True, studio=FakeStudio()) as session:
        for role in Role:
            for take in session.takes(role):
                assert not take.is_imported and session.replay(take) == (take.notes_sha256, take.audio_sha256)
    assert version(old_3) == 3 and bodies(old_3) == before
    with Session.open(old_3, studio=FakeStudio()) as session:
        assert session.playing[Role.DRUMS].is_sound and session.locked == {Role.DRUMS}
    after = bodies(old_3)
    assert version(old_3) == SCHEMA_VERSION and after.keys() == before.keys()
    for take_id, body in after.items():
        take = msgspec.json.decode(body)
        assert take.pop("imported") is None and take["recipe"].pop("source") is None
        assert msgspec.json.encode(take).decode() == before[take_id]


def test_a_project_of_format_3_can_import(old_3: Path, tmp_path: Path) -> None:
    guitar = recordings.write(tmp_path / "guitar.wav", recordings.chords(120.0, 2))
    with Session.open(old_3, studio=FakeStudio()) as session:
        options = ImportOptions.parse(tempo=400, meter="2/4")
        session.import_audio(guitar, "harmony", options=options, lock=True)
        take = session.playing[Role.HARMONY]
        assert take.is_imported and session.replay(take) == (take.notes_sha256, take.audio_sha256)
    with Session.open(old_3, readonly=True, studio=FakeStudio()) as session:
        assert session.playing[Role.HARMONY] == take and session.locked == {Role.DRUMS, Role.HARMONY}
