"""What a person can do with a session: generate, lock, regenerate, and what is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path

import pytest

from engine.session.fakes import SHORT, FakeStudio, about, step, words
from resonantgen.errors import BadValue, ProjectError, PromptError, TrackLocked
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import Key
from resonantgen.prompt.intent import Change, Feel, RoleIntent
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Recipe

PITCHED = (Role.BASS, Role.HARMONY, Role.MELODY)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        yield session


def ids(session: Session) -> dict[str, str]:
    return {role.value: take.id for role, take in session.playing.items()}


def hashes(session: Session) -> dict[Role, tuple[str, str]]:
    return {role: (take.notes_sha256, take.audio_sha256) for role, take in session.playing.items()}


def test_generate_makes_four_tracks_from_one_seed(session: Session) -> None:
    assert ids(session) == {"drums": "drums-1", "bass": "bass-1", "harmony": "harmony-1", "melody": "melody-1"}
    assert {take.seed for take in session.playing.values()} == {7}
    assert session.prompts == ("words",)
    assert session.settings is not None
    assert (session.settings.tempo_bpm, session.settings.bars, session.settings.style) == (400, 1, "techno")


def test_each_track_hears_those_before_it(session: Session) -> None:
    context = {role: dict(take.recipe.context) for role, take in session.playing.items()}
    assert context[Role.DRUMS] == {}
    assert context[Role.BASS] == {Role.DRUMS: "drums-1"}
    assert context[Role.MELODY] == {Role.DRUMS: "drums-1", Role.BASS: "bass-1", Role.HARMONY: "harmony-1"}


def test_a_regenerated_track_hears_all_that_stay(session: Session) -> None:
    session.regenerate(about(Role.DRUMS, energy=0.5))
    assert set(session.playing[Role.DRUMS].recipe.context) == set(PITCHED)


def test_takes_cannot_be_changed(session: Session) -> None:
    with pytest.raises(FrozenInstanceError):
        session.playing[Role.DRUMS].prompt = "other"  # type: ignore[misc]


def test_the_same_commands_in_a_new_project_give_the_same_bytes(tmp_path: Path) -> None:
    def play(name: str, seed: int) -> list[tuple[str, str]]:
        with Session.create(tmp_path / name, FakeStudio()) as session:
            session.generate(words(style="house"), seed=seed, **SHORT)
            session.tracks["drums"].lock()
            session.regenerate()
            session.regenerate(about(Role.BASS, aggression=0.5))
            session.undo()
            session.regenerate()
            return [(t.notes_sha256, t.audio_sha256) for role in Role for t in session.takes(role)]

    first = play("a.rg", 7)
    assert first == play("b.rg", 7)
    assert set(first).isdisjoint(play("c.rg", 8))


def test_without_a_seed_projects_differ(tmp_path: Path) -> None:
    seeds = set()
    for name in ("a.rg", "b.rg"):
        with Session.create(tmp_path / name, FakeStudio()) as session:
            session.generate(words(style="techno"), **SHORT)
            seeds.add(session.playing[Role.DRUMS].seed)
    assert len(seeds) == 2  # fails by chance once in a million runs


def test_every_take_can_be_made_again_from_its_recipe(session: Session) -> None:
    session.tracks["harmony"].lock()
    session.regenerate(words(attributes=step(brightness=-0.5)))
    session.regenerate()
    for role in Role:
        for take in session.takes(role):
            assert session.replay(take) == (take.notes_sha256, take.audio_sha256)


def test_a_locked_track_stays_through_twenty_regenerations(session: Session) -> None:
    session.tracks["drums"].lock()
    frozen = hashes(session)[Role.DRUMS]
    for number in range(20):
        before = hashes(session)
        prompt = words(f"prompt {number}", attributes=step(energy=0.1 * (-1) ** number)) if number % 3 else ""
        session.regenerate(prompt, seed=number if number % 2 else None)
        after = hashes(session)
        assert after[Role.DRUMS] == frozen
        assert all(after[role] != before[role] for role in PITCHED)


def test_an_edit_of_one_role_leaves_the_others(session: Session) -> None:
    before = hashes(session)
    result = session.regenerate(about(Role.BASS, aggression=0.5))
    after = hashes(session)
    assert [role for role in Role if after[role] != before[role]] == [Role.BASS]
    assert set(result.changed) == {Role.BASS} and result.kept == (Role.DRUMS, Role.HARMONY, Role.MELODY)
    take = session.playing[Role.BASS]
    assert take.recipe.part.attributes.aggression == 0.5
    assert take.seed == 7, "an edit keeps the idea"


def test_edits_add_up_and_reach_only_unlocked_tracks(session: Session) -> None:
    session.tracks["melody"].lock()
    for _ in range(2):
        session.regenerate(words(attributes=step(brightness=-0.25)))
    levels = {role: take.recipe.part.attributes.brightness for role, take in session.playing.items()}
    assert levels == {Role.DRUMS: -0.5, Role.BASS: -0.5, Role.HARMONY: -0.5, Role.MELODY: 0.0}


def test_words_that_change_nothing_lead_to_another_idea(session: Session) -> None:
    dark = words(attributes={"brightness": Change(-0.4, relative=False)})
    session.regenerate(dark)
    assert session.playing[Role.BASS].seed == 7
    before = hashes(session)
    session.regenerate(dark)
    assert session.playing[Role.BASS].seed != 7
    assert all(hashes(session)[role] != before[role] for role in Role)


def test_an_explicit_seed_is_used_even_if_it_repeats_the_take(session: Session) -> None:
    before = hashes(session)
    session.regenerate(seed=7)
    assert hashes(session) == before
    assert ids(session)["drums"] == "drums-2"


def test_regenerate_without_words_brings_other_chords_unless_a_pitched_track_stays(session: Session) -> None:
    chords = session.chords
    session.tracks["bass"].lock()
    session.regenerate()
    assert session.chords == chords
    session.tracks["bass"].unlock()
    roots = {chords.spans[0].chord.root}
    for _ in range(4):
        session.regenerate()
        roots.add(session.chords.spans[0].chord.root)
    assert len(roots) > 1


@pytest.mark.parametrize(
    ("attempt", "word"),
    [
        (lambda s: s.regenerate(about(Role.DRUMS, energy=0.5)), "drums is locked"),
        (lambda s: s.regenerate("", track="drums"), "drums is locked"),
        (lambda s: s.generate(words(style="jazz"), tracks=["drums"]), "drums is locked"),
        (lambda s: s.regenerate(words(removed_roles=frozenset({Role.DRUMS}))), "drums is locked"),
        (lambda s: s.regenerate(words(tempo_bpm=Fraction(140))), "tempo cannot become 140 bpm while drums is locked"),
        (lambda s: s.generate(words(style="jazz"), bars=2), "length cannot become 2 bars while drums is locked"),
        (lambda s: s.generate(words(style="jazz"), sample_rate=96_000), "sample rate cannot become 96000"),
        (lambda s: s.generate(words(style="jazz"), meter="7/8"), "meter cannot become 7/8"),
        (lambda s: s.undo("drums"), "drums is locked"),
    ],
)
def test_what_would_change_a_locked_track_is_refused(session: Session, attempt: object, word: str) -> None:
    session.regenerate()
    session.tracks["drums"].lock()
    before = ids(session)
    with pytest.raises(TrackLocked, match=word) as error:
        attempt(session)  # type: ignore[operator]
    assert "resonantgen unlock drums" in str(error.value) and "\n" not in str(error.value)
    assert ids(session) == before


def test_a_key_may_change_under_locked_drums_but_not_under_a_locked_bass(session: Session) -> None:
    session.tracks["drums"].lock()
    session.regenerate(words(key=Key.parse("F# minor")))
    assert str(session.playing[Role.BASS].recipe.settings.key) == "F# minor"
    session.tracks["bass"].lock()
    with pytest.raises(TrackLocked, match="key cannot become"):
        session.regenerate(words(transpose_semitones=5))


def test_all_locked_is_refused(session: Session) -> None:
    for track in session.tracks.values():
        track.lock()
    with pytest.raises(TrackLocked, match="Every track is locked"):
        session.regenerate()
    with pytest.raises(TrackLocked, match="Every track is locked"):
        session.generate(words(style="jazz"))


def test_generate_keeps_locked_tracks_and_follows_their_settings(session: Session) -> None:
    session.tracks["drums"].lock()
    frozen = hashes(session)[Role.DRUMS]
    session.generate(words("jazz", style="jazz"), seed=3)
    assert session.settings is not None and session.settings.tempo_bpm == 400
    assert hashes(session)[Role.DRUMS] == frozen
    assert session.playing[Role.BASS].recipe.part.style == "jazz"
    assert session.playing[Role.BASS].recipe.context == {Role.DRUMS: "drums-1"}


def test_tracks_can_be_built_up_one_after_the_other(tmp_path: Path) -> None:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), tracks=["drums"], **SHORT)
        assert list(session.playing) == [Role.DRUMS]
        session.generate(words(style="house"), tracks=["bass"])
        assert ids(session) == {"drums": "drums-1", "bass": "bass-1"}
        session.regenerate("", track="melody")
        assert list(session.playing) == [Role.DRUMS, Role.BASS, Role.MELODY]
        with pytest.raises(BadValue, match="for some tracks only: drums and bass would stay"):
            session.generate(words(style="house"), tracks=["melody"], tempo=123)


def test_without_melody_removes_it_and_nothing_else(session: Session) -> None:
    before = ids(session)
    result = session.regenerate(words(roles=(Role.MELODY,), removed_roles=frozenset({Role.MELODY})))
    assert result.changed == {Role.MELODY: None}
    assert ids(session) == {name: take for name, take in before.items() if name != "melody"}
    with pytest.raises(PromptError, match="no melody to leave out"):
        session.regenerate(words(removed_roles=frozenset({Role.MELODY})))
    session.undo("melody")
    assert ids(session) == before


def test_words_about_a_role_reach_its_request(session: Session) -> None:
    asked = RoleIntent(feel=Feel.HALF_TIME, transpose_semitones=-3, exclusions=frozenset({"closed_hat"}))
    session.regenerate(words(roles=(Role.DRUMS,), by_role={Role.DRUMS: asked}))
    part = session.playing[Role.DRUMS].recipe.part
    assert (part.feel, part.transpose_semitones, part.exclusions) == (Feel.HALF_TIME, -3, {"closed_hat"})
    again = RoleIntent(inclusions=frozenset({"closed_hat"}))
    session.regenerate(words(roles=(Role.DRUMS,), by_role={Role.DRUMS: again}))
    part = session.playing[Role.DRUMS].recipe.part
    assert (part.exclusions, part.inclusions) == (frozenset(), {"closed_hat"})


def test_a_style_word_for_one_track_leaves_the_sessions_style(session: Session) -> None:
    session.regenerate(words(style="jazz"), track="bass")
    assert session.settings is not None and session.settings.style == "techno"
    assert session.playing[Role.BASS].recipe.part.style == "jazz"
    session.regenerate(words(style="funk"))
    assert session.settings is not None and session.settings.style == "funk"


def test_a_guessed_style_does_not_move_an_edit(session: Session) -> None:
    session.regenerate(words(style="lo_fi", mood="calm", guessed=frozenset({"style"})))
    take = session.playing[Role.BASS]
    assert (take.recipe.part.style, take.recipe.part.mood) == ("techno", "calm")


def test_darker_without_melody_reaches_what_is_left(session: Session) -> None:
    # The prompt's understanding names removed tracks among its roles.
    gone = {"roles": (Role.MELODY,), "removed_roles": frozenset({Role.MELODY})}
    session.regenerate(words(attributes=step(brightness=-0.5), **gone))
    assert list(session.playing) == [Role.DRUMS, Role.BASS, Role.HARMONY]
    assert {take.recipe.part.attributes.brightness for take in session.playing.values()} == {-0.5}


def test_words_and_option_about_different_tracks_are_refused(session: Session) -> None:
    with pytest.raises(PromptError, match="words are about drums"):
        session.regenerate(about(Role.DRUMS, energy=0.5), track="bass")


def test_progress_comes_in_order_and_a_take_is_durable_before_it_is_returned(session: Session) -> None:
    seen: list[Progress] = []
    session.regenerate(on_progress=seen.append)
    assert [p.role for p in seen if p.stage == "notes"] == list(Role)
    assert [p.role for p in seen if p.stage == "sound"] == list(Role)
    assert all(p.bar <= p.bars == 1 for p in seen)
    with Session.open(session.path, readonly=True) as reader:
        assert ids(reader) == ids(session)


class BrokenStudio(FakeStudio):
    """Rendering the melody fails."""

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        if recipe.role is Role.MELODY:
            raise MemoryError
        return super().render(score, recipe, sound)


def test_a_failure_midway_changes_nothing(session: Session) -> None:
    before = ids(session)
    path = session.path
    session.close()
    files = sorted(file.name for file in path.rglob("*"))
    with Session.open(path, studio=BrokenStudio()) as broken:
        with pytest.raises(MemoryError):
            broken.regenerate()
        assert ids(broken) == before and len(broken.takes(Role.DRUMS)) == 1
    assert sorted(file.name for file in path.rglob("*")) == files


class EndlessStudio(FakeStudio):
    """Rendering never ends by itself."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended = threading.Event()

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        assert on_bar is not None
        self.started.set()
        try:
            while True:
                on_bar()
                time.sleep(0.001)
        finally:
            self.ended.set()


def test_an_interrupt_ends_the_rendering_that_goes_on(tmp_path: Path) -> None:
    studio = EndlessStudio()

    def interrupt(progress: Progress) -> None:
        if progress.role is Role.MELODY:
            assert studio.started.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Session.create(tmp_path / "night.rg", studio) as session:
        session.generate(words(style="techno"), **SHORT, on_progress=interrupt)
    assert studio.ended.wait(60)
    assert list(tmp_path.iterdir()) == []


def test_a_project_that_never_got_music_is_removed_when_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(MemoryError), Session.create(tmp_path / "night.rg", BrokenStudio()) as session:
        session.generate(words(style="techno"), **SHORT)
    assert list(tmp_path.iterdir()) == []
    with Session.create(tmp_path / "night.rg"):
        pass
    assert (tmp_path / "night.rg").is_dir()


@pytest.mark.parametrize(
    "options",
    [
        {"tempo": 0},
        {"tempo": "fast"},
        {"bars": 0},
        {"bars": 10_000},
        {"meter": "4/5"},
        {"key": "Q minor"},
        {"sample_rate": 8_000},
        {"tracks": ["kazoo"]},
        {"tracks": []},
        {"seed": -1},
    ],
)
def test_impossible_options_are_refused_and_change_nothing(session: Session, options: dict[str, object]) -> None:
    before = ids(session)
    with pytest.raises(BadValue) as error:
        session.generate(words(style="techno"), **options)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert ids(session) == before


def test_there_must_be_something_to_regenerate_or_lock(tmp_path: Path) -> None:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        with pytest.raises(ProjectError, match="nothing to regenerate"):
            session.regenerate()
        with pytest.raises(BadValue, match="no drums to lock"):
            session.tracks["drums"].lock()
        with pytest.raises(ProjectError, match="no music yet"):
            session.export(tmp_path / "out")


def test_the_last_prompt_is_the_newest_words_in_effect(session: Session, tmp_path: Path) -> None:
    session.regenerate(words("fuller bass"), track="bass")
    for _ in range(3):
        session.regenerate(track="drums")
    assert session.prompts == ("words", "fuller bass") and session.last_prompt == "fuller bass"
    for _ in range(4):
        session.undo()
    assert session.prompts == ("words",) and session.last_prompt == "words"
    assert session.order_regeneration(track="drums").numbers == {Role.DRUMS: 5}
    with Session.create(tmp_path / "empty.rg", FakeStudio()) as empty:
        assert empty.last_prompt == "" and empty.prompts == ()
