"""Recordings as tracks: what becomes of them and of the project, what is kept of them, and what never happens to it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

import recordings
from engine.session.fakes import FakeStudio, words
from resonantgen.errors import AudioError, BadValue, ProjectDamaged, StorageError, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.music.theory import Chord, Key
from resonantgen.music.time import TempoMap
from resonantgen.session.codec import pack, unpack
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.import_plan import ImportPlan
from resonantgen.session.import_report import plan_document, report
from resonantgen.session.importing import listen_only
from resonantgen.session.rendition import read_samples
from resonantgen.session.session import Session
from resonantgen.session.values import Take

PROJECT = {"tempo": 120, "meter": "4/4", "bars": 2, "sample_rate": 44_100, "key": "C minor"}


def said(**options: object) -> ImportOptions:
    return ImportOptions.parse(**options)  # type: ignore[arg-type]


@pytest.fixture
def guitar(tmp_path: Path) -> Path:
    """Four bars at 120 bpm: Am F C G."""
    return recordings.write(tmp_path / "guitar.flac", recordings.chords(120.0, 4))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "new.rg", FakeStudio()) as session:
        yield session


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Session]:
    """Two bars of four tracks of notes."""
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words("techno", style="techno"), seed=7, **PROJECT)
        yield session


def imported(session: Session, role: Role = Role.HARMONY) -> Take:
    take = session.playing[role]
    assert take.is_imported and take.is_sound and take.generator == "imported" and take.imported is not None
    return take


def everything(session: Session) -> dict[str, bytes]:
    folders = (session.path / "audio", session.path / "imports")
    return {file.name: file.read_bytes() for folder in folders if folder.is_dir() for file in folder.iterdir()}


class TestNewProject:
    def test_it_takes_tempo_key_chords_and_length(self, empty: Session, guitar: Path) -> None:
        plans: list[ImportPlan] = []
        empty.import_audio(guitar, "harmony", lock=True, on_plan=plans.append)
        settings = empty.settings
        assert settings is not None and empty.locked == {Role.HARMONY}
        assert (settings.tempo_bpm, settings.bars, settings.sample_rate) == (120, 4, 44_100)
        assert settings.key in (Key.parse("A minor"), Key.parse("C major"))
        assert [span.chord.root for span in empty.chords.spans] == [9, 5, 0, 7]
        assert plans[0].source.start_seconds == 0.0
        lines = {label: text for label, text, _ in report(plans[0])}
        assert lines["tempo"] == "120 bpm" and lines["used"] == "4 bars, 0:00.0 to 0:08.0"

    def test_the_sound_is_that_of_the_file(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony")
        made, original = empty.samples(imported(empty))[:, 0], soundfile.read(guitar)[0]
        middle = slice(1000, len(original) - 3000)
        assert np.corrcoef(made[middle], original[middle])[0, 1] > 0.9999

    def test_the_files_bytes_are_kept_and_exported(self, empty: Session, guitar: Path, tmp_path: Path) -> None:
        data = guitar.read_bytes()
        empty.import_audio(guitar, "harmony")
        guitar.unlink()
        source = imported(empty).recipe.source
        assert source is not None and source.sha256 == hashlib.sha256(data).hexdigest() and source.name == "guitar.flac"
        assert empty.imported_file(source).read_bytes() == data
        for _ in range(2):  # into an earlier export, too
            empty.export(tmp_path / "out")
            assert (tmp_path / "out" / "harmony-original.flac").read_bytes() == data
        track = json.loads((tmp_path / "out" / "session.json").read_text())["tracks"][0]
        assert track["original"] == "harmony-original.flac" and track["imported"]["name"] == "guitar.flac"
        assert track["imported"]["heard_tempo_bpm"] == pytest.approx(120, abs=0.1)

    def test_it_is_made_again_from_its_recipe(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony", options=said(tempo=125, offset=0.1, bars=3))
        take = imported(empty)
        assert empty.replay(take) == (take.notes_sha256, take.audio_sha256)

    def test_the_same_file_gives_the_same_take(self, tmp_path: Path, guitar: Path) -> None:
        takes = []
        for name in ("a.rg", "b.rg"):
            with Session.create(tmp_path / name, FakeStudio()) as session:
                session.import_audio(guitar, "harmony")
                takes.append(imported(session))
        assert takes[0] == takes[1]

    def test_a_take_travels(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony")
        assert unpack(pack(imported(empty)), Take) == imported(empty)

    def test_a_project_that_comes_to_nothing_is_not_left(self, tmp_path: Path) -> None:
        silent = recordings.write(tmp_path / "silent.wav", np.zeros((44_100, 1)))
        with pytest.raises(AudioError, match="silent"), Session.create(tmp_path / "a.rg", FakeStudio()) as session:
            session.import_audio(silent, "melody")
        assert not (tmp_path / "a.rg").exists()


class TestCorrections:
    def test_what_is_said_outweighs_what_is_heard(self, empty: Session, guitar: Path) -> None:
        options = said(tempo="119.5", offset=0.25, bars=2, key="D dorian", chords="Dm7 | G C", meter="3/4")
        empty.import_audio(guitar, "harmony", options=options)
        take, settings = imported(empty), empty.settings
        assert settings is not None and take.recipe.source is not None and take.imported is not None
        assert (settings.tempo_bpm, str(settings.key), settings.bars) == (Fraction("119.5"), "D dorian", 2)
        assert str(settings.meter) == "3/4" and take.recipe.source.start_seconds == 0.25
        spans = [(str(span.chord.symbol(settings.key)), span.start_ticks) for span in take.recipe.chords.spans]
        assert spans == [("Dm7", 0), ("G", 1440), ("C", 2160)]
        assert take.imported.corrected == ("tempo", "meter", "offset", "bars", "key", "chords")

    def test_what_is_not_said_is_heard_from_there(self, empty: Session, guitar: Path) -> None:
        """A bar line that is one bar later begins with the second chord."""
        empty.import_audio(guitar, "harmony", options=said(tempo=120, offset=2.0, bars=3))
        assert [span.chord.root for span in empty.chords.spans] == [5, 0, 7]

    def test_an_offset_beyond_the_end_is_told_of_the_file_that_was_named(self, empty: Session, guitar: Path) -> None:
        with pytest.raises(AudioError, match=rf"^{guitar.name} ends before 999\.00 seconds"):
            empty.import_audio(guitar, "harmony", options=said(offset=999.0))

    def test_more_bars_than_there_are_repeat_it(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony", options=said(bars=6))
        samples = empty.samples(imported(empty))
        assert len(samples) == 6 * 88_200
        assert np.allclose(samples[2000:170_000], samples[4 * 88_200 + 2000 : 4 * 88_200 + 170_000], atol=1e-6)
        assert [span.chord.root for span in empty.chords.spans] == [9, 5, 0, 7, 9, 5]

    def test_less_than_a_bar_is_said(self, empty: Session, tmp_path: Path) -> None:
        """The end of what is used was told as if the file went on until there."""
        short = recordings.write(tmp_path / "short.wav", recordings.chords(120.0, 2)[: 3 * 44_100])
        plan = listen_only(short, "harmony", said(tempo=40, offset=0.0), None)
        assert plan.advice == ("it ends at 0:03.0, before the bar does: what is left is silent",)
        assert listen_only(short, "harmony", said(tempo=120, offset=0.0), None).advice == ()

    def test_what_is_said_of_drums_is_shown_too(self, guitar: Path) -> None:
        lines = {label for label, _, _ in report(listen_only(guitar, "drums", said(tempo=120), None))}
        assert not lines & {"key", "chords"}
        plan = listen_only(guitar, "drums", said(tempo=120, key="D minor", chords="Dm G"), None)
        lines = {label: text for label, text, _ in report(plan)}
        assert lines["key"] == "D minor" and lines["chords"] == "Dm G Dm G"

    def test_fewer_bars_cut_it(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony", options=said(bars=1))
        assert empty.settings is not None and empty.settings.bars == 1

    def test_no_beat_needs_a_tempo_or_its_bars(self, empty: Session, tmp_path: Path) -> None:
        seconds = np.arange(8 * 44_100) / 44_100
        pad = 0.2 * np.sin(2 * np.pi * 220 * seconds) * np.sin(np.pi * seconds / 8)
        path = recordings.write(tmp_path / "pad.wav", pad[:, None])
        with pytest.raises(BadValue, match="--tempo 120"):
            empty.import_audio(path, "harmony")
        with pytest.raises(BadValue, match=r"64 bars in 8\.0 seconds would be 1920 bpm\. Use other --bars"):
            empty.import_audio(path, "harmony", options=said(bars=64))
        with pytest.raises(BadValue, match=r"1 bar in 0\.5 seconds would be 480 bpm"):
            empty.import_audio(path, "harmony", options=said(bars=1, offset=7.5))
        empty.import_audio(path, "harmony", options=said(bars=4))
        assert empty.settings is not None and (empty.settings.tempo_bpm, empty.settings.bars) == (120, 4)


class TestBesideOthers:
    def test_it_becomes_as_long_as_they_are(self, night: Session, guitar: Path) -> None:
        others = {role: take for role, take in night.playing.items() if role is not Role.HARMONY}
        result = night.import_audio(guitar, "harmony", options=said(bars=1))
        assert set(result.changed) == {Role.HARMONY} and imported(night).frames == 2 * 88_200
        assert {role: take for role, take in night.playing.items() if role is not Role.HARMONY} == others

    def test_another_tempo_is_refused_in_one_line_that_says_both(self, night: Session, tmp_path: Path) -> None:
        slow = recordings.write(tmp_path / "slow.wav", recordings.chords(100.0, 4))
        before, kept = night.playing, everything(night)
        with pytest.raises(BadValue, match=r"100 bpm and the project at 120 bpm.*--follow.*--stretch") as refused:
            night.import_audio(slow, "harmony")
        assert "\n" not in str(refused.value) and night.playing == before and everything(night) == kept

    def test_what_is_heard_is_told_also_of_what_is_refused(self, night: Session, tmp_path: Path) -> None:
        slow = recordings.write(tmp_path / "slow.wav", recordings.chords(100.0, 4))
        plans: list[ImportPlan] = []
        with pytest.raises(BadValue, match="100 bpm and the project at 120 bpm"):
            night.import_audio(slow, "harmony", on_plan=plans.append)
        lines = {label: text for label, text, _ in report(plans[0])}
        assert lines["tempo"] == "100 bpm" and lines["key"] in ("A minor", "C major") and "Am F" in lines["chords"]
        assert lines["used"] == "2 bars, 0:00.0 to 0:04.8" and "the project in C minor" in lines["note"]
        night.lock("bass")
        with pytest.raises(TrackLocked, match="bass is locked in C minor"):
            night.import_audio(slow, "harmony", options=said(fit="follow"), on_plan=plans.append)
        assert len(plans) == 2 and dict(row[:2] for row in report(plans[1]))["tempo"] == "100 bpm"
        rehearsed = listen_only(slow, "harmony", said(), night.standing)
        assert report(rehearsed) == report(replace(plans[0], imported=rehearsed.imported))
        assert str(rehearsed.conflict) == plan_document(rehearsed)["conflict"] == str(plans[0].conflict)
        with pytest.raises(TrackLocked, match="bass is locked"):
            listen_only(slow, "bass", said(), night.standing)

    def test_its_own_key_is_shown(self, night: Session, guitar: Path) -> None:
        """The project's, which it does not take, was shown in its place."""
        plans: list[ImportPlan] = []
        night.import_audio(guitar, "harmony", options=said(key="G minor"), on_plan=plans.append)
        lines = {label: (text, note) for label, text, note in report(plans[0])}
        assert lines["key"] == ("G minor", "as you said") and night.settings is not None
        assert lines["note"][0] == "it is in G minor, the project in C minor: --follow takes the project there"
        assert str(night.settings.key) == "C minor"
        assert plan_document(plans[0])["key"] == "G minor"

    def test_it_is_stretched(self, night: Session, tmp_path: Path) -> None:
        slow = recordings.write(tmp_path / "slow.wav", recordings.chords(100.0, 2))
        night.import_audio(slow, "harmony", options=said(fit="stretch"))
        take = imported(night)
        assert night.settings is not None and night.settings.tempo_bpm == 120 and take.frames == 2 * 88_200
        assert take.imported is not None and take.imported.stretch == pytest.approx(100 / 120)

    def test_the_project_follows_and_locked_tracks_are_stretched_with_it(self, night: Session, tmp_path: Path) -> None:
        slow = recordings.write(tmp_path / "slow.wav", recordings.chords(100.0, 2))
        night.lock("drums")
        drums = night.playing[Role.DRUMS]
        stored = night.wav(drums)
        night.import_audio(slow, "melody", options=said(fit="follow", key="C minor"), lock=True)
        settings = night.settings
        assert settings is not None and settings.tempo_bpm == 100
        assert night.playing[Role.DRUMS] == drums and night.wav(drums) == stored
        assert {len(read_samples(stem)) for stem in night.stems().values()} == {settings.frames}
        night.unlock("melody")
        night.undo()
        assert night.settings is not None and night.settings.tempo_bpm == 100, "tempo is no step of history"
        assert not night.playing[Role.MELODY].is_imported
        night.redo()
        assert night.playing[Role.MELODY].is_imported

    def test_another_key_is_said_and_followed_unless_locks_are_in_the_way(self, night: Session, guitar: Path) -> None:
        plans: list[ImportPlan] = []
        night.import_audio(guitar, "harmony", on_plan=plans.append)
        assert night.settings is not None and str(night.settings.key) == "C minor"
        assert "--follow" in plans[0].advice[0]
        night.lock("bass")
        with pytest.raises(TrackLocked, match="bass is locked in C minor"):
            night.import_audio(guitar, "harmony", options=said(fit="follow"))
        night.unlock("bass")
        night.import_audio(guitar, "harmony", options=said(fit="follow", key="A minor"), lock=True)
        assert night.settings is not None and str(night.settings.key) == "A minor"
        night.regenerate()
        assert night.playing[Role.BASS].recipe.settings.key == Key.parse("A minor")
        assert night.playing[Role.BASS].recipe.chords == imported(night).recipe.chords

    @pytest.mark.parametrize("project", ["A minor", "C major", "D dorian"])
    def test_a_key_of_the_same_tones_is_no_other_unless_it_is_said(
        self, tmp_path: Path, guitar: Path, project: str
    ) -> None:
        with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
            session.generate(words("techno", style="techno"), seed=7, **{**PROJECT, "key": project})
            session.lock("bass")
            plans: list[ImportPlan] = []
            session.import_audio(guitar, "harmony", options=said(fit="follow"), on_plan=plans.append)
            assert session.settings is not None and str(session.settings.key) == project and plans[0].advice == ()
            with pytest.raises(TrackLocked, match=f"bass is locked in {project}"):
                session.import_audio(guitar, "harmony", options=said(fit="follow", key="F lydian"))

    def test_another_meter_cannot_join(self, night: Session, guitar: Path) -> None:
        with pytest.raises(BadValue, match="3/4 cannot join"):
            night.import_audio(guitar, "harmony", options=said(meter="3/4"))

    def test_half_the_tempo_is_the_same_beat(self, tmp_path: Path, guitar: Path) -> None:
        with Session.create(tmp_path / "half.rg", FakeStudio()) as session:
            session.generate(words("techno", style="techno"), seed=7, **{**PROJECT, "tempo": 60})
            session.import_audio(guitar, "harmony")
            source = imported(session).recipe.source
            assert source is not None and source.tempo_bpm == 60


class TestLocks:
    def test_a_locked_track_is_not_replaced(self, night: Session, guitar: Path) -> None:
        night.lock("harmony")
        before, kept = night.playing, everything(night)
        with pytest.raises(TrackLocked, match="harmony is locked"):
            night.import_audio(guitar, "harmony")
        assert night.playing == before and everything(night) == kept

    def test_locked_it_stays_whatever_is_done(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony", lock=True)
        take, wav = imported(empty), empty.wav(imported(empty))
        empty.generate(words("techno", style="techno"))
        empty.regenerate()
        with pytest.raises(TrackLocked):
            empty.regenerate(track="harmony")
        empty.undo()
        assert empty.playing[Role.HARMONY] == take and empty.wav(take) == wav

    def test_the_others_are_written_to_its_chords(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony", lock=True, options=said(chords="Dm G C Am"))
        empty.generate(words("techno", style="techno"), tracks=["bass"])
        recipe = empty.playing[Role.BASS].recipe
        assert [span.chord for span in recipe.chords.spans] == [Chord.parse(name) for name in ("Dm", "G", "C", "Am")]
        assert recipe.context == {Role.HARMONY: "harmony-1"} and recipe.settings.tempo_bpm == 120

    def test_unlocked_it_gives_way_to_notes_and_undo_brings_it_back(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony")
        take = imported(empty)
        empty.regenerate(track="harmony")
        assert empty.playing[Role.HARMONY].generator == "pattern" and not empty.playing[Role.HARMONY].is_sound
        empty.undo()
        assert imported(empty) == take

    def test_at_another_tempo_it_is_stretched_and_its_bytes_stay(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony", lock=True)
        take, wav = imported(empty), empty.wav(imported(empty))
        empty.set_tempo(140)
        tempo = TempoMap(Fraction(140), take.recipe.settings.meter, 48_000)
        assert len(empty.rendition(take, tempo)) == tempo.frames(4) and empty.wav(take) == wav
        assert len(read_samples(empty.stems()[Role.HARMONY])) == TempoMap(Fraction(140), sample_rate=44_100).frames(4)


class TestWhatIsOnDisk:
    def test_a_file_that_changed_is_said(self, empty: Session, guitar: Path, tmp_path: Path) -> None:
        empty.import_audio(guitar, "harmony")
        source = imported(empty).recipe.source
        assert source is not None
        kept = empty.imported_file(source)
        kept.write_bytes(kept.read_bytes()[:-1])
        with pytest.raises(ProjectDamaged, match=r"guitar\.flac was changed"):
            empty.export(tmp_path / "out")
        kept.unlink()
        with pytest.raises(ProjectDamaged, match=r"guitar\.flac is missing"):
            empty.replay(imported(empty))
        assert len(empty.stems()) == 1 and not (tmp_path / "out").exists()

    def test_what_no_take_needs_is_removed(self, empty: Session, guitar: Path) -> None:
        empty.import_audio(guitar, "harmony")
        path = empty.path
        empty.close()
        stray = path / "imports" / f"{'0' * 64}.wav"
        stray.write_bytes(b"left by a kill")
        with Session.open(path, studio=FakeStudio()) as session:
            assert not stray.exists() and session.imported_file(imported(session).recipe.source).exists()  # type: ignore[arg-type]

    def test_a_file_that_changes_while_it_is_read_is_told_by_its_own_name(
        self, night: Session, guitar: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from resonantgen.session import importing

        kept = everything(night)
        for data, reason in ((b"no sound any more", "is no sound file"), (b"", "is empty")):
            original = guitar.read_bytes()
            monkeypatch.setattr(importing, "check_file", lambda path, data=data: path.write_bytes(data))
            with pytest.raises(AudioError, match=rf"^{guitar} {reason}"):
                night.import_audio(guitar, "harmony")
            assert everything(night) == kept
            guitar.write_bytes(original)

    def test_a_full_disk_leaves_nothing(self, night: Session, guitar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before, kept = night.playing, everything(night)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", _no_space)
            with pytest.raises(StorageError, match="full"):
                night.import_audio(guitar, "harmony")
        assert night.playing == before and everything(night) == kept

    @pytest.mark.parametrize("where", ["copied", "listened", "made", "stored"])
    def test_ctrl_c_at_any_moment_leaves_nothing(
        self, night: Session, guitar: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        before, kept = night.playing, everything(night)
        with monkeypatch.context() as patched:
            _interrupt(patched, where)
            with pytest.raises(KeyboardInterrupt):
                night.import_audio(guitar, "harmony", lock=True)
        assert night.playing == before and everything(night) == kept and not night.locked

    def test_killed_in_the_midst_it_is_as_before(self, night: Session, guitar: Path) -> None:
        path, before, kept = night.path, night.playing, everything(night)
        night.close()
        killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(guitar)], timeout=300)
        assert killed.returncode == -signal.SIGKILL
        assert {left.suffix for left in (path / "imports").iterdir()} >= {".flac"}  # and tokens, where a codec is there
        with Session.open(path, studio=FakeStudio()) as session:
            assert session.playing == before and everything(session) == kept and not session.locked

    def test_a_reader_can_prepare_what_the_writer_takes(self, night: Session, guitar: Path) -> None:
        with closing(Session.open(night.path, readonly=True, studio=FakeStudio())) as reader:
            prepared = reader.prepare_import(guitar, "harmony")
            shutil.rmtree(guitar.parent / "elsewhere", ignore_errors=True)
        night.fulfil(prepared.order, [prepared.take])
        assert imported(night) == prepared.take


KILLED = """
import os, sys
from resonantgen.session import session as module
from resonantgen.session.session import Session
def kill(*_):
    os.kill(os.getpid(), 9)
with Session.open(sys.argv[1]) as session:
    session._store.commit = kill
    session.import_audio(sys.argv[2], "harmony", lock=True)
"""


def _no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def _interrupt(patched: pytest.MonkeyPatch, where: str) -> None:
    from resonantgen.session import importing
    from resonantgen.session.store import Store

    def stop(function: Callable[..., object]) -> Callable[..., object]:
        def stopped(*arguments: object, **named: object) -> object:
            function(*arguments, **named)
            raise KeyboardInterrupt

        return stopped

    places = {
        "copied": (Store, "add_import"),
        "listened": (importing, "listen"),
        "made": (importing, "import_take"),
        "stored": (Store, "add_audio"),
    }
    owner, name = places[where]
    patched.setattr(owner, name, stop(getattr(owner, name)))
