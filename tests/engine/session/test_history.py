"""Undo and redo, of the session and of single tracks, around locks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from engine.session.fakes import SHORT, FakeStudio, about, words
from resonantgen.errors import BadValue, NothingToUndo, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.session.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words("start", style="techno"), seed=7, **SHORT)
        yield session


def numbers(session: Session) -> dict[str, int]:
    return {role.value: take.number for role, take in session.playing.items()}


ALL_FIRST = {"drums": 1, "bass": 1, "harmony": 1, "melody": 1}


def test_undo_and_redo_move_all_that_a_command_changed(session: Session) -> None:
    session.regenerate()
    session.regenerate(about(Role.BASS, energy=0.5))
    session.undo()
    assert numbers(session) == {"drums": 2, "bass": 2, "harmony": 2, "melody": 2}
    session.undo()
    assert numbers(session) == ALL_FIRST
    session.redo()
    session.redo()
    assert numbers(session) == {"drums": 2, "bass": 3, "harmony": 2, "melody": 2}


def test_the_first_version_cannot_be_undone(session: Session) -> None:
    with pytest.raises(NothingToUndo, match="first version"):
        session.undo()
    with pytest.raises(NothingToUndo, match="nothing to redo"):
        session.redo()
    with pytest.raises(NothingToUndo, match="drums has no earlier take"):
        session.undo("drums")
    with pytest.raises(NothingToUndo, match="drums has no later take"):
        session.redo("drums")
    assert numbers(session) == ALL_FIRST


def test_new_work_clears_what_could_be_redone_but_loses_no_take(session: Session) -> None:
    session.regenerate()
    session.undo()
    session.regenerate()
    assert numbers(session)["drums"] == 3
    with pytest.raises(NothingToUndo):
        session.redo()
    assert [take.number for take in session.takes(Role.DRUMS)] == [1, 2, 3]


def test_undo_restores_settings_and_prompts(session: Session) -> None:
    before = session.settings
    session.regenerate(words("faster", tempo_bpm=Fraction(200)))
    assert session.settings is not None and session.settings.tempo_bpm == 200
    session.undo()
    assert session.settings == before and session.prompts == ("start",)
    session.redo()
    assert session.prompts == ("start", "faster")


def test_a_tracks_own_undo_goes_back_step_by_step_and_forward_again(session: Session) -> None:
    for _ in range(3):
        session.regenerate("", track="bass")
    session.undo("bass")
    session.undo("bass")
    assert numbers(session) == {**ALL_FIRST, "bass": 2}
    session.redo("bass")
    assert numbers(session)["bass"] == 3
    session.undo()  # takes back the redo of the track
    assert numbers(session)["bass"] == 2
    session.regenerate("", track="bass")
    with pytest.raises(NothingToUndo):
        session.redo("bass")


def test_undo_moves_around_a_locked_track(session: Session) -> None:
    session.regenerate()
    session.tracks["drums"].lock()
    result = session.undo()
    assert numbers(session) == {**ALL_FIRST, "drums": 2}
    assert result.locked == (Role.DRUMS,) and set(result.changed) == {Role.BASS, Role.HARMONY, Role.MELODY}
    session.redo()
    assert numbers(session) == {"drums": 2, "bass": 2, "harmony": 2, "melody": 2}


def test_an_undo_that_would_only_change_locked_tracks_is_refused(session: Session) -> None:
    session.regenerate("", track="bass")
    session.tracks["bass"].lock()
    with pytest.raises(TrackLocked, match="to bass only"):
        session.undo()
    assert numbers(session)["bass"] == 2
    session.tracks["bass"].unlock()
    session.undo()
    session.tracks["bass"].lock()
    with pytest.raises(TrackLocked, match="to bass only"):
        session.redo()


def test_undo_cannot_take_the_tempo_from_under_a_locked_track(session: Session) -> None:
    session.regenerate(words(tempo_bpm=Fraction(200)))
    session.tracks["drums"].lock()
    with pytest.raises(TrackLocked, match="tempo cannot become 400 bpm while drums is locked at 200 bpm"):
        session.undo()
    assert numbers(session)["bass"] == 2


def test_a_track_goes_back_alone_at_the_tempo_of_now(session: Session) -> None:
    session.regenerate(words(tempo_bpm=Fraction(200)))
    session.undo("bass")
    assert numbers(session) == {"drums": 2, "bass": 1, "harmony": 2, "melody": 2}
    assert session.settings is not None and session.settings.tempo_bpm == 200
    assert session.playing[Role.BASS].recipe.settings.tempo_bpm == 400
    session.redo("bass")
    assert numbers(session)["bass"] == 2 and session.settings.tempo_bpm == 200


def test_a_track_cannot_go_back_alone_to_another_length(session: Session) -> None:
    session.regenerate(words(bars=2))
    with pytest.raises(BadValue, match="for some tracks only"):
        session.undo("bass")


def test_locks_are_no_part_of_history(session: Session) -> None:
    session.regenerate()
    session.tracks["drums"].lock()
    session.undo()
    assert session.locked == {Role.DRUMS}


def test_history_survives_reopening(session: Session) -> None:
    session.regenerate()
    session.regenerate("", track="melody")
    session.undo()
    path = session.path
    session.close()
    with Session.open(path, studio=FakeStudio()) as again:
        assert numbers(again)["melody"] == 2
        again.redo()
        assert numbers(again)["melody"] == 3
        again.undo()
        again.undo()
        assert numbers(again) == ALL_FIRST
