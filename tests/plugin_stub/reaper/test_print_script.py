"""The script in REAPER, in real Lua against a strict REAPER that is not there (`fake_reaper`)."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from engine.session.fakes import FakeStudio, words
from fake_reaper import FakeReaper
from fake_song import PPQ, Change, Item, Source, Take, TempoMap, Track
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen_bridge.printing import Wanted, write_print

SCRIPT = Path(__file__).parents[3] / "plugin_stub" / "reaper" / "resonantgen_print.lua"
MARK = "P_EXT:resonantgen"
ROLES = [role.value for role in Role]


@pytest.fixture
def prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESONANTGEN_PRINTS", str(tmp_path / "prints"))
    return tmp_path / "prints"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bars of 4/4 at 120 bpm: four seconds."""
    path = tmp_path_factory.mktemp("project") / "night.rg"
    with Session.create(path, FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, tempo=120, meter="4/4", bars=2, sample_rate=44_100)
    return path


@pytest.fixture
def print_now(project: Path, prints: Path) -> Callable[..., Path]:
    def write(*tracks: str, **wanted: Any) -> Path:
        with Session.open(project, readonly=True, studio=FakeStudio()) as session:
            return write_print(session, Wanted(tracks=tracks or None, **wanted)).folder

    return write


@pytest.fixture(params=["lua53", "lua54"])
def reaper(request: pytest.FixtureRequest, prints: Path, tmp_path: Path) -> Iterator[FakeReaper]:
    one = FakeReaper(import_module(f"lupa.{request.param}").LuaRuntime, tmp_path / "song" / "Media")
    one.run(SCRIPT)
    yield one
    one.finish()


def spans(track: Track) -> list[tuple[float, float]]:
    return sorted((round(item.start, 6), round(item.end, 6)) for item in track.items)


def only_item(track: Track) -> Item:
    (item,) = track.items
    return item


def users_item(start: float, end: float, **values: float) -> Item:
    item = Item(take=Take(source=Source(Path("mine.wav"), end - start)))
    item.values |= {"D_POSITION": start, "D_LENGTH": end - start, **values}
    return item


def seen_in(reaper: FakeReaper) -> list[Any]:
    """All of the project that a person would see."""

    def take_of(item: Item) -> Any:
        return item.take and (item.take.name, dict(item.take.values), item.take.notes and list(item.take.notes))

    return [
        (track.name, track.armed, [(dict(item.values), dict(item.ext), take_of(item)) for item in track.items])
        for track in reaper.tracks
    ]


# -- putting a print in -----------------------------------------------------------------------------------------------


def test_each_track_gets_its_recording_at_the_bar_line(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tracks = [Track("Vocals"), Track("Melody"), Track(" bass "), Track("Drums"), Track("HARMONY")]
    folder = print_now(bar=5)
    reaper.tick()
    assert [len(track.items) for track in reaper.tracks] == [0, 1, 1, 1, 1]
    for track, role in zip(reaper.tracks[1:], ("melody", "bass", "drums", "harmony"), strict=True):
        item = only_item(track)
        assert (item.start, item.end) == (8.0, 12.0)
        assert item.values["B_LOOPSRC"] == 1 and item.values["C_BEATATTACHMODE"] == 1
        assert item.values["D_FADEINLEN"] == item.values["D_FADEOUTLEN"] == 0
        assert item.updated
        assert item.take is not None and item.take.source is not None
        assert item.take.values["D_PLAYRATE"] == 1
        assert item.take.name == f"night-1 {role}"
        source = item.take.source
        assert source.path.parent == reaper.media  # the song keeps its files
        assert source.path.read_bytes() == (folder / f"{role}.wav").read_bytes()
        assert source.peaks == "built"
    assert reaper.undo_steps == ["ResonantGen: night-1 at bar 5"]
    assert reaper.console == []


def test_notes_become_midi_items(reaper: FakeReaper, print_now: Callable[..., Path], project: Path) -> None:
    reaper.tracks = [Track("drums"), Track("bass")]
    print_now("drums", "bass", kind="midi", bar=3)
    reaper.tick()
    with Session.open(project, readonly=True, studio=FakeStudio()) as session:
        playing = session.playing
    for track, role, channel in zip(reaper.tracks, (Role.DRUMS, Role.BASS), (9, 0), strict=True):
        item = only_item(track)
        assert (item.start, item.end) == (4.0, 8.0)
        assert item.values["B_LOOPSRC"] == 1
        take = item.take
        assert take is not None and take.notes is not None and take.sorted
        scale = PPQ // 480
        assert sorted(take.notes) == sorted(
            (note.start_ticks * scale, note.end_ticks * scale, channel, note.pitch, note.velocity)
            for note in playing[role].score
        )
    assert not reaper.media.exists()  # nothing to copy


def test_midi_falls_on_the_grid_of_a_song_whose_tempo_changes(
    reaper: FakeReaper, print_now: Callable[..., Path], project: Path
) -> None:
    reaper.tempo = TempoMap(Change(0, 97.3), Change(4, 141.0), Change(5, 60.5))
    print_now("bass", kind="midi", bar=5)
    reaper.tick()
    item = only_item(reaper.tracks[0])
    assert (item.start, item.end) == pytest.approx((reaper.tempo.bar_seconds(4), reaper.tempo.bar_seconds(6)))
    with Session.open(project, readonly=True, studio=FakeStudio()) as session:
        notes = session.playing[Role.BASS].score
    assert item.take is not None and item.take.notes is not None
    assert sorted(start for start, *_ in item.take.notes) == [2 * note.start_ticks for note in notes]


def test_the_number_that_the_engine_knows_outweighs_names(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tracks = [Track("bass"), Track("Moog"), Track("drums")]
    print_now("bass", "drums", daw_tracks={"bass": 2, "drums": 9})
    reaper.tick()
    assert [len(track.items) for track in reaper.tracks] == [0, 1, 1]  # there is no track 9: its name is


@pytest.mark.parametrize("kind", ["audio", "midi"])
def test_a_print_never_goes_to_a_track_with_our_plugin(
    reaper: FakeReaper, print_now: Callable[..., Path], kind: str
) -> None:
    """It would sound on top of a recording, and each note asks it for new music."""
    ours = ("VST: ReaEQ (Cockos)", "VST3i: ResonantGen (ResonantGen)")
    reaper.tracks = [
        Track("drums", effects=ours),
        Track("Low end", effects=ours),
        Track("drums", effects=("VSTi: Kit",)),
    ]
    for count in (1, 2):
        print_now("drums", "bass", kind=kind, daw_tracks={"drums": 1, "bass": 2}, bar=8 * count)
        reaper.tick()
        assert [(track.name, len(track.items)) for track in reaper.tracks] == [
            ("drums", 0),
            ("Low end", 0),
            ("drums", count),
            ("bass", count),
        ]


def test_two_tracks_never_share_one(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tracks = [Track("drums")]
    print_now("drums", "bass", daw_tracks={"bass": 1})
    reaper.tick()
    assert [(track.name, len(track.items)) for track in reaper.tracks] == [("drums", 1), ("drums", 1)]
    assert only_item(reaper.tracks[0]).ext[MARK] == "bass"


def test_tracks_that_are_not_there_are_made(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tracks = [Track("Vocals")]
    for count, bar in ((1, 1), (2, 3)):
        print_now(bar=bar)
        reaper.tick()
        counts = [(track.name, len(track.items)) for track in reaper.tracks]
        assert counts == [("Vocals", 0), *((role, count) for role in ROLES)]


# -- what is left alone -----------------------------------------------------------------------------------------------


def test_armed_tracks_are_never_touched(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    print_now()
    reaper.tick()
    reaper.tracks[1].armed = True
    armed = seen_in(reaper)[1]
    print_now(kind="midi")
    reaper.tick()
    assert seen_in(reaper)[1] == armed
    assert [item.take.notes is None for track in reaper.tracks for item in track.items if item.take] == [
        False,
        True,
        False,
        False,
    ]
    assert reaper.undo_steps[-1] == "ResonantGen: night-2 at bar 1 (armed, left alone: bass)"
    assert len(reaper.tracks) == 4


def test_a_print_for_armed_tracks_alone_changes_nothing(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tracks = [Track("bass", armed=True)]
    before = seen_in(reaper)
    print_now("bass")
    reaper.tick()
    assert seen_in(reaper) == before and reaper.undo_steps == []
    assert reaper.console == ["ResonantGen: night-1: nothing was put in (armed, left alone: bass)\n"]
    assert not reaper.media.exists()


def test_only_its_own_items_are_replaced(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    mine = users_item(1.0, 3.0)
    reaper.tracks = [Track("bass", items=[mine])]
    print_now("bass")
    reaper.tick()
    first = next(item for item in reaper.tracks[0].items if item is not mine)
    print_now("bass", kind="midi")
    reaper.tick()
    assert mine in reaper.tracks[0].items and spans(reaper.tracks[0]) == [(0.0, 4.0), (1.0, 3.0)]
    assert first not in reaper.tracks[0].items
    assert (mine.start, mine.end) == (1.0, 3.0)


def test_a_locked_item_of_its_own_stays(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    print_now("bass")
    reaper.tick()
    only_item(reaper.tracks[0]).values["C_LOCK"] = 1
    print_now("bass")
    reaper.tick()
    assert spans(reaper.tracks[0]) == [(0.0, 4.0), (0.0, 4.0)]


def test_what_was_dragged_out_stays_beyond_the_new_item(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    print_now("bass")
    reaper.tick()
    only_item(reaper.tracks[0]).values["D_LENGTH"] = 16.0
    print_now("bass", bar=3)
    reaper.tick()
    assert spans(reaper.tracks[0]) == [(0.0, 4.0), (4.0, 8.0), (8.0, 16.0)]
    assert all(item.ext[MARK] == "bass" for item in reaper.tracks[0].items)
    print_now("bass", bar=5)
    reaper.tick()
    assert spans(reaper.tracks[0]) == [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 16.0)]


def test_items_that_touch_stay(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    for bar in (1, 5, 3):
        print_now("bass", bar=bar)
        reaper.tick()
    assert spans(reaper.tracks[0]) == [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0)]


def test_one_step_of_undo_takes_all_of_it_back(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    rng = random.Random(4)
    reaper.tracks = [Track("bass", items=[users_item(1.0, 3.0)]), Track("drums", armed=True), Track("Vocals")]
    states = []
    for _ in range(8):
        states.append(seen_in(reaper))
        tracks = rng.sample(ROLES, rng.randint(1, 4))
        print_now(*{*tracks, "bass"}, bar=rng.randint(1, 4), kind=rng.choice(["audio", "midi"]))
        reaper.tick()
    assert len(reaper.undo_steps) == 8
    while states:
        reaper.undo()
        assert seen_in(reaper) == states.pop()


def test_random_prints_never_touch_what_is_not_its_own(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    rng = random.Random(11)
    reaper.tracks = [Track(name) for name in ("drums", "bass", "harmony", "Vocals")]
    mine = []
    for track in reaper.tracks:
        for _ in range(4):
            start = rng.uniform(0, 20)
            track.items.append(users_item(start, start + rng.uniform(0.1, 6)))
            mine.append((track, track.items[-1], dict(track.items[-1].values)))
    for _ in range(12):
        for track in reaper.tracks[:3]:
            track.armed = rng.random() < 0.4
        before = {id(track): [(item, dict(item.values)) for item in track.items] for track in reaper.tracks}
        print_now(bar=rng.randint(1, 6), kind=rng.choice(["audio", "midi"]))
        reaper.tick()
        for track in reaper.tracks[:3]:
            if track.armed:
                assert [(item, item.values) for item in track.items] == before[id(track)]
    for track, item, values in mine:
        assert item in track.items and item.values == values


# -- tempo and meter --------------------------------------------------------------------------------------------------


def test_a_song_of_another_tempo_gets_the_same_bars(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tempo = TempoMap(Change(0, 100.0), Change(2, 150.0))
    print_now("bass", bar=3)
    reaper.tick()
    item = only_item(reaper.tracks[0])
    assert (item.start, item.end) == pytest.approx((4.8, 8.0))
    assert item.take is not None
    assert item.take.values["D_PLAYRATE"] == pytest.approx(150 / 120)
    assert item.take.values["B_PPITCH"] == 1
    assert len(reaper.console) == 1 and "120 bpm" in reaper.console[0] and reaper.console[0].count("\n") == 1


def test_what_is_only_rounding_is_not_stretched(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tempo = TempoMap(Change(0, 120.000003))
    print_now("bass")
    reaper.tick()
    item = only_item(reaper.tracks[0])
    assert item.take is not None and item.take.values["D_PLAYRATE"] == 1
    assert reaper.console == []


def test_a_song_in_another_meter_is_told_of(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tempo = TempoMap(Change(0, 120.0, 7, 8))
    print_now("bass", bar=3)
    reaper.tick()
    item = only_item(reaper.tracks[0])
    assert (item.start, item.end) == (3.5, 7.5)
    assert "4/4" in reaper.console[0] and "7/8" in reaper.console[0]


# -- when it looks, and what it takes ---------------------------------------------------------------------------------


def test_a_print_is_put_in_once(reaper: FakeReaper, print_now: Callable[..., Path], prints: Path) -> None:
    folder = print_now("bass")
    for _ in range(3):
        reaper.tick()
    assert len(reaper.undo_steps) == 1
    assert (folder / "print.done").exists() and not (folder / "print.txt").exists()
    shutil.rmtree(prints)
    reaper.tick()
    assert print_now("bass").name == folder.name  # the same name again is another print
    reaper.tick()
    assert len(reaper.undo_steps) == 2


def test_another_start_of_the_script_puts_nothing_in_again(
    reaper: FakeReaper, print_now: Callable[..., Path], tmp_path: Path
) -> None:
    print_now("bass")
    reaper.tick()
    again = FakeReaper(import_module("lupa.lua54").LuaRuntime, tmp_path / "other")
    again.run(SCRIPT)
    again.tick()
    assert again.tracks == [] and again.undo_steps == []


def test_it_looks_once_a_second(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.tick()
    reaper.calls.clear()
    for _ in range(60):
        reaper.tick(1 / 30)
    assert 1 <= reaper.calls.count("EnumerateSubdirectories") / 2 <= 2
    print_now("bass")
    for _ in range(31):
        reaper.tick(1 / 30)
    assert len(reaper.undo_steps) == 1


def test_prints_come_in_the_order_in_which_they_were_made(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    for _ in range(11):
        print_now("bass")
    reaper.tick()
    assert [step.split()[1] for step in reaper.undo_steps] == [f"night-{number}" for number in range(1, 12)]
    assert only_item(reaper.tracks[0]).take.name == "night-11 bass"  # type: ignore[union-attr]


def test_old_prints_are_left_alone(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    edit(print_now("bass"), lambda text: with_line(text, "time", f"time {int(time.time()) - 3600}"))
    reaper.tick()
    assert reaper.tracks == [] and reaper.console == []


def test_other_folders_and_files_are_passed_over(reaper: FakeReaper, prints: Path) -> None:
    prints.mkdir()
    (prints / "print.txt").write_text("ResonantGen print 1\n")
    (prints / "holiday").mkdir()
    (prints / ".print-17-0").mkdir()
    (prints / ".print-17-0" / "print.txt").write_text("half")
    reaper.tick()
    assert reaper.console == [] and reaper.undo_steps == []


def test_no_folder_is_no_trouble(reaper: FakeReaper, prints: Path) -> None:
    reaper.tick()
    assert reaper.console == []


def test_by_default_it_looks_at_home(
    tmp_path: Path, print_now: Callable[..., Path], prints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    print_now("bass")
    home = tmp_path / "home"
    (home / "ResonantGen").mkdir(parents=True)
    prints.rename(home / "ResonantGen" / "prints")
    monkeypatch.delenv("RESONANTGEN_PRINTS")
    monkeypatch.setenv("HOME", str(home))
    one = FakeReaper(import_module("lupa.lua54").LuaRuntime, tmp_path / "media")
    one.run(SCRIPT)
    one.finish()
    assert len(one.undo_steps) == 1


def test_files_of_the_song_are_never_overwritten(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.media.mkdir(parents=True)
    (reaper.media / "night-1-bass.wav").write_text("a recording of yours")
    print_now("bass")
    reaper.tick()
    assert (reaper.media / "night-1-bass.wav").read_text() == "a recording of yours"
    item = only_item(reaper.tracks[0])
    assert item.take is not None and item.take.source is not None
    assert item.take.source.path.name == "night-1-bass-2.wav"


# -- what goes wrong --------------------------------------------------------------------------------------------------


def edit(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / "print.txt"
    path.write_text(change(path.read_text(encoding="ascii")), encoding="latin-1")


def with_line(text: str, word: str, line: str) -> str:
    lines = text.splitlines()
    return "\n".join(line if old.startswith(f"{word} ") else old for old in lines) + "\n"


def without_line(text: str, word: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if line.split(" ")[0] != word)


BROKEN: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "another file": lambda text: "Dear diary\n",
    "cut": lambda text: text[: len(text) // 2],
    "no end": lambda text: without_line(text, "end"),
    "goes on": lambda text: text + "note 0 1 60 100\n",
    "no tracks": lambda text: text.split("track ")[0] + "end\n",
    "another version": lambda text: text.replace("ResonantGen print 1", "ResonantGen print 2"),
    "an unknown word": lambda text: with_line(text, "bars", "bears 8"),
    "no quarters": lambda text: without_line(text, "quarters"),
    "no wav": lambda text: without_line(text, "wav"),
    "no time": lambda text: without_line(text, "time"),
    "bar zero": lambda text: with_line(text, "bar", "bar 0"),
    "half a bar": lambda text: with_line(text, "bar", "bar 1.5"),
    "endless": lambda text: with_line(text, "quarters", "quarters inf"),
    "not a number": lambda text: with_line(text, "quarters", "quarters nan"),
    "below zero": lambda text: with_line(text, "quarters", "quarters -4"),
    "another kind": lambda text: with_line(text, "kind", "kind vinyl"),
    "no meter": lambda text: with_line(text, "meter", "meter waltz"),
    "a file elsewhere": lambda text: with_line(text, "wav", "wav ../bass.wav"),
    "a note too high": lambda text: text.replace("end\n", "note 0 1 128 100\nend\n"),
    "a short note": lambda text: text.replace("end\n", "note 0 1 60\nend\n"),
    "bytes": lambda text: "\0\1\2ÿ" * 50,
}


@pytest.mark.parametrize("how", sorted(BROKEN))
def test_a_print_that_is_not_right_is_one_line_and_changes_nothing(
    reaper: FakeReaper, print_now: Callable[..., Path], how: str
) -> None:
    folder = print_now("bass")
    edit(folder, BROKEN[how])
    shutil.copy(folder / "bass.wav", folder.parent)
    for _ in range(3):
        reaper.tick()
    assert reaper.tracks == [] and reaper.undo_steps == []
    assert len(reaper.console) == 1 and reaper.console[0].startswith("ResonantGen: night-1: ")
    assert reaper.console[0].count("\n") == 1
    print_now("bass")
    reaper.tick()  # it goes on
    assert len(reaper.undo_steps) == 1


def test_a_recording_that_is_gone_is_told_and_nothing_is_put_in(
    reaper: FakeReaper, print_now: Callable[..., Path]
) -> None:
    folder = print_now("drums", "bass")
    (folder / "bass.wav").unlink()
    reaper.tick()
    assert reaper.tracks == [] and reaper.undo_steps == [] and reaper.sources == []
    assert list(reaper.media.iterdir()) == []  # what was copied already is gone again
    assert len(reaper.console) == 1 and "bass.wav" in reaper.console[0]


def test_a_recording_that_reaper_cannot_open_is_told(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    folder = print_now("drums", "bass")
    (folder / "bass.wav").write_bytes(b"noise")
    reaper.tick()
    assert reaper.tracks == [] and reaper.sources == [] and list(reaper.media.iterdir()) == []
    assert "cannot be opened" in reaper.console[0]


def test_a_media_folder_that_cannot_be_made_is_told(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    reaper.media.parent.write_text("a file where the song's folder should be")
    print_now("bass")
    reaper.tick()
    assert reaper.tracks == [] and "cannot be written" in reaper.console[0]


def test_a_print_that_cannot_be_marked_as_done_is_left(reaper: FakeReaper, print_now: Callable[..., Path]) -> None:
    """It would be put in again and again otherwise."""
    folder = print_now("bass")
    (folder / "print.done" / "in the way").mkdir(parents=True)
    for _ in range(3):
        reaper.tick()
    assert reaper.tracks == [] and len(reaper.console) == 1 and "marked as done" in reaper.console[0]


def test_what_fails_in_the_midst_is_told_and_is_one_step_to_undo(
    reaper: FakeReaper, print_now: Callable[..., Path]
) -> None:
    reaper.failing.add("SetMediaItemTake_Source")
    print_now("bass")
    reaper.tick()
    assert "undo takes back" in reaper.console[0] and len(reaper.undo_steps) == 1
    reaper.undo()
    assert reaper.tracks == []
    reaper.failing.clear()
    print_now("bass")
    reaper.tick()
    assert len(reaper.tracks) == 1


# -- the fake itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "reaper.AddMediaItem(0)",
        "reaper.GetTrack(0)",
        "reaper.GetTrack(0, 1.5)",
        "reaper.GetTrack(0, 1, 2)",
        "reaper.GetTrack('0', 1)",
        "reaper.InsertTrackAtIndex(0, true)",
        "reaper.GetMediaTrackInfo_Value(reaper.GetTrack(0, 0), 'I_RECARMED')",
        "reaper.AddTakeToMediaItem(reaper.GetTrack(0, 0))",
        "reaper.helper = 1",
        "count = 1",
        "print(count)",
    ],
)
def test_the_fake_is_strict(tmp_path: Path, line: str) -> None:
    one = FakeReaper(import_module("lupa.lua54").LuaRuntime, tmp_path)
    one.tracks = [Track("bass")]
    script = tmp_path / "wrong.lua"
    script.write_text(f"pcall(function() {line} end) reaper.defer(function() end)")
    one.run(script)
    with pytest.raises(AssertionError):
        one.finish()
