"""What `print` writes for the DAW's scripts, and the command itself."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import threading
from pathlib import Path

import mido
import pytest

from bridge_fakes import FakeEngine
from engine.session.fakes import SHORT, FakeStudio, words
from live_fakes import live
from osc_peer import peer, serving
from resonantgen.cli import main
from resonantgen.errors import BadValue, EngineError, ProjectError, StorageError
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen_bridge import printing
from resonantgen_bridge.printing import Wanted, write_print


@pytest.fixture
def prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESONANTGEN_PRINTS", str(tmp_path / "deep" / "prints"))
    return tmp_path / "deep" / "prints"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
    return tmp_path / "night.rg"


def opened(project: Path) -> Session:
    return Session.open(project, studio=FakeStudio(), readonly=True)


def test_a_print_holds_what_an_export_holds_and_an_index_of_it(project: Path, prints: Path, tmp_path: Path) -> None:
    with opened(project) as session:
        printed = write_print(session, Wanted(kind="midi", bar=5, scene=2, daw_tracks={"bass": 3}))
        session.export(tmp_path / "out")
        playing = session.playing
        settings = session.settings
    assert settings is not None
    assert printed.folder == prints / "night-1"
    assert printed.tracks == tuple(role.value for role in Role)
    index = json.loads((printed.folder / "print.json").read_text(encoding="utf-8"))
    assert {name: index[name] for name in ("version", "name", "tempo", "meter", "bars", "bar", "scene", "kind")} == {
        "version": 1,
        "name": "night",
        "tempo": float(settings.tempo_bpm),
        "meter": str(settings.meter),
        "bars": settings.bars,
        "bar": 5,
        "scene": 2,
        "kind": "midi",
    }
    assert [track["daw_track"] for track in index["tracks"]] == [None, 3, None, None]
    for role, track in zip(Role, index["tracks"], strict=True):
        assert track["role"] == role.value
        for kind in ("wav", "midi"):
            assert (printed.folder / track[kind]).read_bytes() == (tmp_path / "out" / track[kind]).read_bytes()
        score = playing[role].score
        notes = [(note.start_ticks / 480, note.duration_ticks / 480, note.pitch, note.velocity) for note in score]
        assert [tuple(note) for note in track["notes"]] == notes
        heard = [message for message in mido.MidiFile(printed.folder / track["midi"]) if message.type == "note_on"]
        assert len([message for message in heard if message.velocity]) == len(notes)


def test_the_index_for_lua_says_the_same(project: Path, prints: Path) -> None:
    with opened(project) as session:
        folder = write_print(session, Wanted(tracks=("bass",), bar=2, daw_tracks={"bass": 7})).folder
    index = json.loads((folder / "print.json").read_text(encoding="utf-8"))
    lines = (folder / "print.txt").read_text(encoding="ascii").splitlines()
    notes = [line for line in lines if line.startswith("note ")]
    head = [re.sub(r"^time [0-9]+$", "time", line) for line in lines if line not in notes]
    assert head == [
        "ResonantGen print 1",
        "name night",
        "time",
        f"tempo {index['tempo']}",
        f"meter {index['meter']}",
        f"bars {index['bars']}",
        f"quarters {index['bars'] * 2.0}",
        "bar 2",
        "kind audio",
        "track bass",
        "daw_track 7",
        "wav bass.wav",
        "midi bass.mid",
        "end",
    ]
    assert [[float(value) for value in line.split()[1:]] for line in notes] == index["tracks"][0]["notes"]
    assert sorted(file.name for file in folder.iterdir()) == ["bass.mid", "bass.wav", "print.json", "print.txt"]


def test_each_print_is_a_new_folder_and_numbers_go_on(project: Path, prints: Path) -> None:
    with opened(project) as session:
        folders = [write_print(session, Wanted()).folder.name for _ in range(2)]
        (prints / "night-9").mkdir()
        (prints / "night-x").mkdir()
        (prints / "nightly-30").mkdir()
        folders.append(write_print(session, Wanted()).folder.name)
    assert folders == ["night-1", "night-2", "night-10"]


def test_prints_at_the_same_time_get_a_folder_each(project: Path, prints: Path) -> None:
    folders: list[Path] = []

    def write() -> None:
        with opened(project) as session:
            folders.extend(write_print(session, Wanted()).folder for _ in range(3))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 12
    assert {len(list(folder.iterdir())) for folder in folders} == {10}


def test_a_name_of_any_letters_becomes_one_that_every_lua_reads(tmp_path: Path, prints: Path) -> None:
    names = []
    for name in ("Späte Nächte & co.rg", "夜.rg", "x" * 90):
        with Session.create(tmp_path / name, FakeStudio()) as session:
            session.generate(words(style="techno"), seed=7, **SHORT)
            names.append(write_print(session, Wanted()).folder.name)
    assert names == ["Spate-Nachte-co-1", "session-1", "x" * 40 + "-1"]


def test_a_track_that_is_silent_is_said_and_nothing_is_written(tmp_path: Path, prints: Path) -> None:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        with pytest.raises(ProjectError, match="no music"):
            write_print(session, Wanted())
        session.generate(words(style="techno"), seed=7, tracks=["drums"], **SHORT)
        with pytest.raises(BadValue, match="bass and melody have"):
            write_print(session, Wanted(tracks=("drums", "bass", "melody")))
        with pytest.raises(BadValue, match="No track"):
            write_print(session, Wanted(tracks=()))
    assert not prints.exists()


def test_what_fails_in_the_midst_leaves_nothing(project: Path, prints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == "print.txt":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(printing, "write_file", full)
    with opened(project) as session, pytest.raises(StorageError, match="full"):
        write_print(session, Wanted())
    assert list(prints.iterdir()) == []


def test_a_folder_that_is_a_file_is_said(project: Path, prints: Path) -> None:
    prints.parent.mkdir()
    prints.write_text("mine")
    with opened(project) as session, pytest.raises(StorageError, match="prints"):
        write_print(session, Wanted())
    assert prints.read_text() == "mine"


def test_prints_lie_at_home_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RESONANTGEN_PRINTS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert printing.prints_folder() == tmp_path / "ResonantGen" / "prints"


def test_a_process_of_its_own_writes_the_same(project: Path, prints: Path) -> None:
    printed = asyncio.run(printing.print_apart(project, Wanted(tracks=("drums", "bass"), daw_tracks={"drums": 4})))
    with opened(project) as session:
        here = write_print(session, Wanted(tracks=("drums", "bass"), daw_tracks={"drums": 4}))
    assert printed.tracks == here.tracks == ("drums", "bass")
    for name in ("print.json", "drums.wav", "bass.wav", "drums.mid"):
        assert (printed.folder / name).read_bytes() == (here.folder / name).read_bytes()


def test_what_is_wrong_in_the_process_is_the_error_that_it_would_be_here(project: Path, prints: Path) -> None:
    prints.parent.mkdir()
    prints.write_text("mine")
    with pytest.raises(StorageError, match="prints"):
        asyncio.run(printing.print_apart(project, Wanted()))
    with pytest.raises(EngineError):
        asyncio.run(printing.print_apart(project, Wanted(daw_tracks=None)))  # type: ignore[arg-type]


def test_a_print_that_is_cancelled_leaves_nothing(project: Path, prints: Path) -> None:
    prints.mkdir(parents=True)

    async def begin_and_cancel() -> None:
        work = asyncio.create_task(printing.print_apart(project, Wanted()))
        while not any(prints.iterdir()) and not work.done():
            await asyncio.sleep(0.001)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(begin_and_cancel())
    assert not [entry for entry in prints.iterdir() if entry.name.startswith(".")]


def test_the_command_tells_where_and_for_which_tracks_of_the_daw(tmp_path: Path, prints: Path) -> None:
    async def test() -> None:
        async with live(tmp_path / "night.rg") as one:
            one.engine.name_daw_track(1, "Vocals")
            one.engine.name_daw_track(2, "Bass DI")
            one.engine.name_daw_track(4, "Bass amp")
            one.engine.name_daw_track(5, "Drums")
            await one.do("map", daw_track=9, track="melody")
            await one.do("map", daw_track=5, track="harmony")
            done = await one.do("print", tracks="bass,melody,harmony,drums", bar=9, scene=3, kind="midi")
            assert done == {"folder": str(prints / "night-1")}
            roles = ["drums", "bass", "harmony", "melody"]
            assert one.heard("printed") == [done | {"bar": 9, "scene": 3, "tracks": roles, "kind": "midi"}]
            assert one.applied == []  # no music was changed
            index = json.loads((prints / "night-1" / "print.json").read_text(encoding="utf-8"))
            assert [track["daw_track"] for track in index["tracks"]] == [None, 2, 5, 9]
            with pytest.raises(BadValue):
                await one.do("print", bar=0)
            with pytest.raises(BadValue):
                await one.do("print", kind="vinyl")

    asyncio.run(test())


def test_a_button_of_a_control_surface_prints() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with serving(engine) as server, peer() as surface:
            surface.send(server.address, "/rg/print", 0.0)  # let go: nothing
            surface.send(server.address, "/rg/print", 1.0)
            surface.send(server.address, "/rg/print", "drums,2", "midi", 5)
            await surface.wait_for("/rg/done", 2)
        everything = {"tracks": None, "kind": "audio", "bar": 1, "scene": 0}
        assert [(call.command, dict(call.arguments)) for call in engine.calls] == [
            ("print", everything),
            ("print", everything | {"tracks": ["drums", "bass"], "kind": "midi", "bar": 5}),
        ]

    asyncio.run(test())


def test_the_script_in_live_reads_it(project: Path, prints: Path) -> None:
    """Its module stands alone, as everything in plugin_stub does."""
    path = Path(__file__).parents[2] / "plugin_stub" / "ableton" / "ResonantGen" / "prints.py"
    spec = importlib.util.spec_from_file_location("prints_of_live", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with opened(project) as session:
        folder = write_print(session, Wanted(daw_tracks={"bass": 3})).folder
        playing = session.playing
    read = module.read_print(str(folder))
    assert (read.name, read.kind, read.quarters) == ("night", "audio", 2.0)
    assert [(part.role, part.daw_track) for part in read.parts] == [
        (role.value, 3 if role is Role.BASS else None) for role in Role
    ]
    for role, part in zip(Role, read.parts, strict=True):
        assert part.wav.read_bytes() == (folder / f"{role.value}.wav").read_bytes()
        assert [note.start * 480 for note in part.notes] == [note.start_ticks for note in playing[role].score]


def run(*arguments: str) -> int:
    return main(list(arguments))


def test_the_command_line_prints_a_project_that_is_not_served(
    project: Path, prints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--project", str(project))
    assert run("map", "6", "bass", *where) == run("map", "3", "bass", *where) == 0
    capsys.readouterr()
    assert run("print", "--tracks", "bass", "--midi", "--bar", "5", "--scene", "2", "--json", *where) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(prints / "night-1")}
    index = json.loads((prints / "night-1" / "print.json").read_text(encoding="utf-8"))
    assert (index["bar"], index["scene"], index["kind"]) == (5, 2, "midi")
    assert [(track["role"], track["daw_track"]) for track in index["tracks"]] == [("bass", 3)]
    assert run("print", *where) == 0
    told = capsys.readouterr().out
    assert (
        str(prints / "night-2") in told and "resonantgen serve" in told
    )  # without an engine, Live hears nothing of it


@pytest.mark.parametrize(
    "wrong", [["--bar", "0"], ["--bar", "x"], ["--tracks", "tuba"], ["--scene", "x"]], ids=" ".join
)
def test_what_the_command_line_cannot_print_is_one_line(
    project: Path, prints: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    assert run("print", "--project", str(project), *wrong) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert not prints.exists()
