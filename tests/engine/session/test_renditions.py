"""Another tempo from the same notes: what is played and exported follows it, what was recorded does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.session.fakes import SHORT, FakeStudio, about, words
from resonantgen.errors import BadValue, NothingToUndo, ProjectDamaged, ProjectError, TrackLocked
from resonantgen.generators.base import Request
from resonantgen.instruments.base import Sound
from resonantgen.music.midi import read_midi
from resonantgen.music.notes import Note, Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session.session import Session
from resonantgen.session.values import Recipe


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words("start", style="techno"), seed=7, **SHORT)
        yield session


def tempo_of(session: Session) -> Fraction:
    assert session.settings is not None
    return session.settings.tempo_bpm


def wavs(session: Session) -> dict[Role, bytes]:
    return {role: session.wav(take) for role, take in session.playing.items()}


def test_a_tempo_changes_no_take_and_is_no_step_of_history(session: Session) -> None:
    for role in Role:
        session.lock(role)
    before = (dict(session.playing), wavs(session), session._project.revision, session.locked)
    session.set_tempo("97.3")
    assert tempo_of(session) == Fraction("97.3")
    assert before == (dict(session.playing), wavs(session), session._project.revision, session.locked)
    with pytest.raises(NothingToUndo):
        session.undo()
    session.close()
    with Session.open(session.path, readonly=True) as reader:
        assert tempo_of(reader) == Fraction("97.3")


def test_a_rendition_at_a_takes_own_tempo_is_the_very_file(session: Session) -> None:
    take = session.playing[Role.BASS]
    assert session.rendition_wav(take, take.recipe.settings.tempo) == session.wav(take)
    assert np.array_equal(session.rendition(take, take.recipe.settings.tempo), session.samples(take))


@pytest.mark.parametrize(("tempo", "rate"), [("97.3", 44_100), ("20", 96_000), ("400", 48_000), ("133.37", 44_100)])
def test_a_rendition_is_as_long_as_the_bars_at_its_tempo(session: Session, tempo: str, rate: int) -> None:
    at = TempoMap(Fraction(tempo), Meter(2, 4), rate)
    for take in session.playing.values():
        assert session.rendition(take, at).shape == (at.frames(1), 2)


def test_an_export_at_another_tempo_is_of_one_length_and_the_stored_takes_stay(
    session: Session, tmp_path: Path
) -> None:
    session.lock("drums")
    stored = wavs(session)
    session.set_tempo("97.3")
    session.regenerate("", track="bass")  # beside takes that were made at another tempo
    assert session.settings is not None
    folder = session.export(tmp_path / "out")
    frames = TempoMap(Fraction("97.3"), Meter(2, 4), 44_100).frames(1)
    index = json.loads((folder / "session.json").read_text())
    assert (index["tempo_bpm"], index["frames"]) == (97.3, frames)
    for name in (*Role, "mix"):
        assert soundfile.info(folder / f"{name}.wav").frames == frames
    for name in (*Role, "session"):
        clip = read_midi(folder / f"{name}.mid")
        assert round(float(clip.tempo_bpm), 2) == 97.3
        for track in clip.tracks:
            assert track.role is not None and track.score == session.playing[track.role].score
    mix, _ = soundfile.read(folder / "mix.wav", dtype="float64")
    stems = [soundfile.read(folder / f"{role}.wav", dtype="float64")[0] for role in Role]
    assert np.abs(mix - np.sum(stems, axis=0) / 4).max() < 2**-23
    assert len(session.mix()) == frames
    for track in index["tracks"]:
        take = session.playing[Role(track["role"])]
        elsewhere = track["role"] != "bass"
        assert track["frames"] == frames and track["audio_sha256"] == take.audio_sha256
        assert track.get("take_tempo_bpm") == (400 if elsewhere else None)
        exported = hashlib.sha256((folder / track["wav"]).read_bytes()).hexdigest()
        assert (exported != take.audio_sha256) == elsewhere
    assert {role: data for role, data in wavs(session).items() if role is not Role.BASS} == {
        role: data for role, data in stored.items() if role is not Role.BASS
    }
    session.set_tempo(400)
    assert session.stems()[Role.DRUMS] == stored[Role.DRUMS]


def test_new_takes_are_made_at_the_tempo_of_now_and_every_take_can_be_made_again(session: Session) -> None:
    session.lock("harmony")
    session.set_tempo(200)
    session.regenerate(about(Role.BASS, energy=0.5))
    session.regenerate(words(key=None, mood="calm"))
    session.set_tempo(300)
    session.generate(words(style="jazz"), tracks=["drums"])
    tempos = {role: int(take.recipe.settings.tempo_bpm) for role, take in session.playing.items()}
    assert tempos == {Role.DRUMS: 300, Role.BASS: 200, Role.HARMONY: 400, Role.MELODY: 200}
    for role in Role:
        for take in session.takes(role):
            assert session.replay(take) == (take.notes_sha256, take.audio_sha256)


def test_undo_keeps_the_tempo_of_now_unless_it_undoes_one(session: Session) -> None:
    session.regenerate()
    session.set_tempo(300)
    session.undo()
    assert tempo_of(session) == 300 and session.playing[Role.BASS].number == 1
    session.set_tempo(310)
    session.redo()
    assert tempo_of(session) == 310 and session.playing[Role.BASS].number == 2
    session.regenerate(words(tempo_bpm=Fraction(200)))
    session.set_tempo(250)
    session.undo()
    assert tempo_of(session) == 310, "back to what it was before the words"
    session.redo()
    assert tempo_of(session) == 200


def test_undo_of_an_edit_after_a_tempo_moves_around_locks(session: Session) -> None:
    session.regenerate()
    session.set_tempo(300)
    session.lock("drums")
    result = session.undo()
    assert result.locked == (Role.DRUMS,) and tempo_of(session) == 300
    assert {role.value: take.number for role, take in session.playing.items()} == {
        "drums": 2,
        "bass": 1,
        "harmony": 1,
        "melody": 1,
    }


def test_words_that_change_the_tempo_are_refused_beside_locks_as_ever(session: Session) -> None:
    session.set_tempo(300)
    session.lock("drums")
    with pytest.raises(TrackLocked, match="tempo cannot become 140 bpm while drums is locked at 300 bpm"):
        session.regenerate(words(tempo_bpm=Fraction(140)))
    session.regenerate(words(tempo_bpm=Fraction(300)))
    assert tempo_of(session) == 300


class StubbornStudio(FakeStudio):
    """Notes and sound depend on the seed alone: no words change anything."""

    def bars(self, request: Request) -> Iterator[tuple[Note, ...]]:
        plain = Request(request.role, request.plan, request.seed)
        return super().bars(plain)

    def sound(self, recipe: Recipe) -> Sound:
        return Sound("plain")


@pytest.mark.parametrize("tempo", [400, 300])
def test_a_take_that_would_sound_as_the_one_that_plays_is_another_idea_at_any_tempo(tmp_path: Path, tempo: int) -> None:
    with Session.create(tmp_path / "night.rg", StubbornStudio()) as session:
        session.generate(words(style="techno"), seed=7, tracks=["bass"], **SHORT)
        session.set_tempo(tempo)
        session.regenerate(about(Role.BASS, energy=0.5))
        assert session.playing[Role.BASS].seed != 7
        assert session.playing[Role.BASS].score != session.takes(Role.BASS)[0].score


def test_tempo_in_between_does_not_lose_an_order(session: Session) -> None:
    order = session.order_regeneration(words(mood="calm"))
    jump = session.order_regeneration(words(tempo_bpm=Fraction(200)))
    assert order.standing.settings is not None
    session.set_tempo(300)
    assert session.still_holds(order) and session.still_holds(jump)


@pytest.mark.parametrize("tempo", [0, 19.9, 401, "fast", float("nan"), ""])
def test_an_impossible_tempo_is_refused(session: Session, tempo: float | str) -> None:
    with pytest.raises(BadValue):
        session.set_tempo(tempo)
    assert tempo_of(session) == 400


def test_a_tempo_needs_music(tmp_path: Path) -> None:
    with Session.create(tmp_path / "empty.rg", FakeStudio()) as session, pytest.raises(ProjectError, match="no music"):
        session.set_tempo(120)


def test_a_damaged_take_is_noticed_at_its_own_tempo(session: Session) -> None:
    take = session.playing[Role.BASS]
    (session.path / "audio" / f"{take.audio_sha256}.wav").write_bytes(b"noise")
    with pytest.raises(ProjectDamaged):
        session.stems()
