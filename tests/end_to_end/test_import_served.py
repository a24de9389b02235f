"""Recordings imported into a project while it is served: one at a time, and nothing is left of those that fail.

What the engine has done in a process of its own is done here in a thread, where a test can stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import recordings
from engine.session.fakes import FakeStudio
from live_fakes import Live, live
from resonantgen.errors import BadValue, Cancelled, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.jobs import parse_role
from resonantgen.session.session import Session
from resonantgen_bridge import commands
from resonantgen_bridge.importing import Made

SAID = {"tempo": 400, "key": "C minor"}  # as the project is


@pytest.fixture
def guitar(tmp_path: Path) -> Path:
    return recordings.write(tmp_path / "guitar.wav", recordings.chords(120.0, 1))


class Apart:
    """In the place of `import_apart`. Each import waits where it is made, before it is taken, until `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.done = asyncio.Event()

    async def __call__(self, project: Path, file: Path, track: str, lock: bool, said: Mapping[str, Any]) -> Made:
        def prepare() -> Made:
            with Session.open(project, readonly=True, studio=FakeStudio()) as session:
                prepared = session.prepare_import(file, parse_role(track), ImportOptions.parse(**said))
            return Made(prepared.order, prepared.take, [], {})

        self.begun += 1
        made = await asyncio.to_thread(prepare)
        self.done.set()
        await self.gate.wait()
        return made


def with_engine(path: Path, monkeypatch: pytest.MonkeyPatch, test: Callable[[Live, Apart], Awaitable[None]]) -> None:
    async def run() -> None:
        apart = Apart()
        monkeypatch.setattr(commands, "import_apart", apart)
        async with live(path / "night.rg") as one:
            await asyncio.wait_for(test(one, apart), 120)

    asyncio.run(run())


def files(one: Live) -> set[str]:
    folders = (one.session.path / "imports", one.session.path / "audio")
    return {file.name for folder in folders if folder.is_dir() for file in folder.iterdir()}


def test_a_refused_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guitar: Path) -> None:
    async def test(one: Live, _: Apart) -> None:
        before = files(one)
        for _ in range(3):
            with pytest.raises(BadValue, match="120 bpm and the project at 400 bpm"):
                await one.do("import_audio", file=str(guitar), track="harmony", tempo=120)
        assert files(one) == before
        await one.do("import_audio", file=str(guitar), track="harmony", **SAID)
        kept = files(one)
        with pytest.raises(BadValue):  # of the same file, which a take needs now
            await one.do("import_audio", file=str(guitar), track="melody", tempo=120)
        assert len(kept) == len(before) + 3 and files(one) == kept, "the file, its tokens and the stem"

    with_engine(tmp_path, monkeypatch, test)


def test_a_cancelled_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guitar: Path) -> None:
    async def test(one: Live, apart: Apart) -> None:
        before = files(one)
        apart.gate.clear()
        task = one.start("import_audio", file=str(guitar), track="harmony", **SAID)
        await apart.done.wait()
        assert files(one) > before
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert {name for name in files(one) - before if not name.endswith(".wav")} == set()
        assert not one.session.playing[Role.HARMONY].is_imported

    with_engine(tmp_path, monkeypatch, test)


def test_one_that_waits_in_line_is_given_up_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guitar: Path
) -> None:
    """It was begun again: to be given up was taken for a session that had changed."""

    async def test(one: Live, apart: Apart) -> None:
        before = files(one)
        one.worker.hold()
        other = one.start("regenerate", prompt="", track="bass")
        await one.worker.waiting.wait()
        task = one.start("import_audio", file=str(guitar), track="harmony", **SAID)
        await apart.done.wait()
        await asyncio.sleep(0)  # it is in line
        assert await one.do("cancel") == {"cancelled": 2}
        for cancelled in (other, task):
            with pytest.raises(Cancelled):
                await cancelled
        assert apart.begun == 1 and files(one) == before
        assert not one.session.playing[Role.HARMONY].is_imported

    with_engine(tmp_path, monkeypatch, test)


def test_two_of_the_same_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guitar: Path) -> None:
    """One fails while the other needs what both have put there."""

    async def test(one: Live, apart: Apart) -> None:
        arguments = {"file": str(guitar), **SAID}
        tasks = [one.start("import_audio", track=track, **arguments) for track in ("harmony", "melody")]
        tasks.insert(1, one.start("import_audio", track="bass", file=str(guitar), tempo=120))
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[1], BadValue) and isinstance(done[0], dict) and isinstance(done[2], dict)
        for role in (Role.HARMONY, Role.MELODY):
            take = one.session.playing[role]
            assert take.recipe.source is not None and one.session.tokens(take)
            assert one.session.imported_file(take.recipe.source).read_bytes() == guitar.read_bytes()

    with_engine(tmp_path, monkeypatch, test)


def test_the_session_may_change_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guitar: Path) -> None:
    async def test(one: Live, apart: Apart) -> None:
        apart.gate.clear()
        task = one.start("import_audio", file=str(guitar), track="harmony", **SAID)
        await apart.done.wait()
        await one.do("regenerate", prompt="", track="bass")
        apart.gate.set()
        await task
        assert apart.begun == 2 and one.session.playing[Role.HARMONY].is_imported
        assert one.session.playing[Role.HARMONY].recipe.context[Role.BASS] == one.session.playing[Role.BASS].id
        one.session.lock("melody")
        apart.gate.clear()
        apart.done.clear()
        task = one.start("import_audio", file=str(guitar), track="bass", **SAID)
        await apart.done.wait()
        await one.do("lock", track="bass", locked=True)
        apart.gate.set()
        with pytest.raises(TrackLocked, match="bass is locked"):
            await task
        assert not one.session.playing[Role.BASS].is_imported

    with_engine(tmp_path, monkeypatch, test)


def test_a_rehearsal_says_what_is_heard_and_what_is_in_its_way(tmp_path: Path, guitar: Path) -> None:
    """In a process of its own, as it is."""

    async def test() -> None:
        async with live(tmp_path / "night.rg") as one:
            before = files(one)
            answer = await one.do("import_audio", file=str(guitar), track="harmony", tempo=120, dry_run=True)
            labels = [label for label, _, _ in answer["report"]]
            assert answer["changed"] == {} and "chords" in labels and "key" in labels and one.applied == []
            assert "120 bpm and the project at 400 bpm" in answer["heard"]["conflict"]
            one.session.lock("harmony")
            with pytest.raises(TrackLocked, match="harmony is locked"):
                await one.do("import_audio", file=str(guitar), track="harmony", dry_run=True)
            assert files(one) == before

    asyncio.run(test())
