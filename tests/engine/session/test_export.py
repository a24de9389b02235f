"""What `export` writes, and what it does not touch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import soundfile

from engine.session.fakes import FakeStudio, words
from resonantgen.errors import StorageError
from resonantgen.music.midi import read_midi
from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, ChordSpan, Key, Progression
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session.export import describe_chords
from resonantgen.session.session import Session

STEMS = {f"{role.value}.{kind}" for role in Role for kind in ("wav", "mid")}
FILES = STEMS | {"mix.wav", "session.mid", "session.json"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words("odd", style="techno"), seed=7, tempo="97.3", meter="7/8", bars=2, sample_rate=44_100)
        yield session


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_all_files_are_there_and_agree_with_the_index(session: Session, tmp_path: Path) -> None:
    session.tracks["bass"].lock()
    folder = session.export(tmp_path / "out")
    assert {file.name for file in folder.iterdir()} == FILES
    index = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    assert {name: index[name] for name in ("tempo_bpm", "meter", "bars", "sample_rate", "prompts")} == {
        "tempo_bpm": 97.3,
        "meter": "7/8",
        "bars": 2,
        "sample_rate": 44_100,
        "prompts": ["odd"],
    }
    assert index["schema_version"] == 1 and Key.parse(index["key"])
    assert [row["text"] for row in index["understood"]] == ["odd"]
    assert [track["role"] for track in index["tracks"]] == [role.value for role in Role]
    assert [track["role"] for track in index["tracks"] if track["locked"]] == ["bass"]
    for track in index["tracks"]:
        take = session.playing[Role(track["role"])]
        assert hashlib.sha256((folder / track["wav"]).read_bytes()).hexdigest() == track["audio_sha256"]
        assert read_midi(folder / track["mid"]).tracks[0].score == take.score
        assert (track["take_id"], track["seed"], track["generator"]) == (take.id, 7, "pattern")
        assert track["notes_sha256"] == take.score.sha256


def test_every_wav_is_24_bit_stereo_and_exactly_as_long_as_the_bars(session: Session, tmp_path: Path) -> None:
    folder = session.export(tmp_path / "out")
    frames = TempoMap(Fraction("97.3"), Meter(7, 8), 44_100).frames(2)
    for name in ("drums", "bass", "harmony", "melody", "mix"):
        info = soundfile.info(folder / f"{name}.wav")
        assert (info.subtype, info.channels, info.samplerate, info.frames) == ("PCM_24", 2, 44_100, frames)


def test_session_midi_holds_all_tracks(session: Session, tmp_path: Path) -> None:
    clip = read_midi(session.export(tmp_path / "out") / "session.mid")
    assert [track.role for track in clip.tracks] == list(Role)
    assert [track.score for track in clip.tracks] == [take.score for take in session.playing.values()]
    assert clip.meter == Meter(7, 8)


def test_the_files_of_a_take_do_not_depend_on_the_rest(session: Session, tmp_path: Path) -> None:
    session.tracks["drums"].lock()
    before = content(session.export(tmp_path / "out"))
    session.regenerate(words(key=Key.parse("F# minor")))
    after = content(session.export(tmp_path / "out"))
    same = {name for name in before if before[name] == after[name]}
    assert same == {"drums.wav", "drums.mid"}


def test_exporting_again_replaces_an_export_and_removes_what_is_gone(session: Session, tmp_path: Path) -> None:
    folder = session.export(tmp_path / "out")
    (folder / "my notes.txt").write_text("mine")
    first = content(folder)
    assert content(session.export(folder)) == first
    session.regenerate(words(removed_roles=frozenset({Role.MELODY})))
    session.export(folder)
    assert {file.name for file in folder.iterdir()} == FILES - {"melody.wav", "melody.mid"} | {"my notes.txt"}


def test_an_empty_folder_is_used(session: Session, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    session.export(tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.parametrize("index", [None, "not json", "{}", "[]", '{"tracks": [], "name": "other"}'])
def test_a_folder_of_something_else_is_left_alone(session: Session, tmp_path: Path, index: str | None) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "drums.wav").write_bytes(b"precious")
    if index is not None:
        (other / "session.json").write_text(index)
    before = content(other)
    with pytest.raises(StorageError, match="no export of ResonantGen"):
        session.export(other)
    assert content(other) == before


def test_places_where_no_folder_can_be_are_refused(session: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place, word in ((tmp_path / "file", "is a file"), (tmp_path / "no" / "out", "does not exist")):
        with pytest.raises(StorageError, match=word):
            session.export(place)
    with pytest.raises(StorageError, match="no export"):
        session.export(session.path)
    with pytest.raises(StorageError, match="name is too long"):
        session.export(tmp_path / ("out" * 200))


def test_an_index_cannot_make_export_delete_files_elsewhere(session: Session, tmp_path: Path) -> None:
    folder = session.export(tmp_path / "out")
    (tmp_path / "precious.wav").write_text("x")
    index = json.loads((folder / "session.json").read_text())
    index["tracks"][0]["wav"] = "../precious.wav"
    (folder / "session.json").write_text(json.dumps(index))
    session.export(folder)
    assert (tmp_path / "precious.wav").exists()


def test_chords_are_named_in_the_key_and_placed_in_bars_and_beats() -> None:
    flats = Key.parse("F minor")
    chords = Progression((ChordSpan(Chord(10, "m"), 0, 1920), ChordSpan(Chord(1, "maj7"), 1920, 960 * 2)))
    rows = describe_chords(chords, Meter(3, 4), flats)
    assert [(row["symbol"], row["bar"], row["beat"]) for row in rows] == [("Bbm", 1, 1), ("Dbmaj7", 2, 2)]
    assert [(row["start_ticks"], row["duration_ticks"]) for row in rows] == [(0, 1920), (1920, 1920)]
