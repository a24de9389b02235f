"""Tracks whose generator makes sound: their takes, what they are told, what they and the others hear, and locks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.session.fakes import MELODY, SHORT, SMALL, FakeStudio, about, step, words
from lab import SilentStudio
from resonantgen.errors import BadValue, ModelNotFound, ModelUnusable, PromptError, TrackLocked
from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.midi import read_midi
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Key, Progression
from resonantgen.music.time import Meter, TempoMap
from resonantgen.session.codec import pack, unpack
from resonantgen.session.jobs import Order
from resonantgen.session.produce import make_takes
from resonantgen.session.rendition import read_samples
from resonantgen.session.session import Session
from resonantgen.session.settings import MOST_WORDS
from resonantgen.session.values import Progress, Recipe, Take

TECHNO = words("dark techno", style="techno")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Drums are sound, the others notes."""
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(TECHNO, seed=7, generators={"drums": SMALL}, **SHORT)
        yield session


def wavs(session: Session) -> dict[Role, bytes]:
    return {role: session.wav(take) for role, take in session.playing.items()}


def generators(session: Session) -> dict[str, str]:
    return {role.value: take.generator for role, take in session.playing.items() if take.is_sound}


class TestTakes:
    def test_one_track_is_sound_and_the_others_are_as_they_were(self, session: Session) -> None:
        drums = session.playing[Role.DRUMS]
        assert (drums.generator, drums.recipe.part.generator, drums.recipe.part.words) == (SMALL, SMALL, "dark techno")
        assert drums.fit is not None and drums.fit.model == SMALL and drums.fit.prompt == "dark techno"
        assert drums.summary == f"{SMALL}: beat 399.8 bpm, stretched by 0.3%, 4 ms off the grid"
        assert len(session.samples(drums)) == drums.frames == drums.recipe.settings.frames
        for role in (Role.BASS, Role.HARMONY, Role.MELODY):
            take = session.playing[role]
            assert not take.is_sound and take.generator == "pattern" and take.recipe.part.words == ""
            assert take.recipe.context[Role.DRUMS] == "drums-1"

    def test_the_others_play_to_what_is_heard_in_it(self, session: Session, tmp_path: Path) -> None:
        with Session.create(tmp_path / "other.rg", FakeStudio()) as other:
            other.generate(TECHNO, seed=7, **SHORT)
            assert other.playing[Role.DRUMS].score != session.playing[Role.DRUMS].score
            assert other.playing[Role.BASS].score != session.playing[Role.BASS].score

    def test_it_survives_the_disk_and_the_wire(self, session: Session) -> None:
        take, path = session.playing[Role.DRUMS], session.path
        assert unpack(pack(take), Take) == take
        session.close()
        with Session.open(path, readonly=True) as reader:
            assert reader.playing[Role.DRUMS] == take

    def test_the_same_commands_give_the_same_bytes(self, session: Session, tmp_path: Path) -> None:
        with Session.create(tmp_path / "again.rg", FakeStudio()) as again:
            again.generate(TECHNO, seed=7, generators={"drums": SMALL}, **SHORT)
            assert wavs(again) == wavs(session)

    def test_every_take_can_be_made_again(self, session: Session) -> None:
        session.regenerate(generators={"melody": MELODY})
        session.set_tempo(300)
        session.regenerate(generators={"melody": MELODY})  # it listens to takes that were made at another tempo
        session.regenerate(about(Role.BASS, energy=0.5))
        for role in Role:
            for take in session.takes(role):
                assert session.replay(take) == (take.notes_sha256, take.audio_sha256)

    def test_undo_and_redo_bring_back_sound_and_notes(self, session: Session) -> None:
        before = wavs(session)
        session.regenerate(generators={"drums": "pattern"})
        after = wavs(session)
        assert generators(session) == {} and before != after
        session.undo()
        assert wavs(session) == before and generators(session) == {"drums": SMALL}
        session.redo()
        assert wavs(session) == after
        session.undo("drums")
        assert wavs(session) == before


class TestAsking:
    def test_edits_keep_a_generator_and_a_new_start_does_not(self, session: Session) -> None:
        session.regenerate()
        session.regenerate(words("darker", attributes=step(brightness=-0.5)))
        session.adjust("energy", 0.5)
        session.regenerate(generators={"bass": MELODY})
        session.regenerate(words(key=Key.parse("D minor")))
        assert generators(session) == {"drums": SMALL, "bass": MELODY}
        assert session.playing[Role.DRUMS].recipe.part.attributes.energy == 0.5
        session.regenerate(generators={"bass": "pattern"})
        assert generators(session) == {"drums": SMALL}
        session.generate(words("jazz", style="jazz"))
        assert generators(session) == {}

    def test_naming_a_generator_names_its_track(self, session: Session) -> None:
        for command in (
            lambda: session.regenerate(generators={"melody": SMALL}),
            lambda: session.regenerate(about(Role.BASS, energy=0.2), generators={"melody": "pattern"}),
            lambda: session.regenerate(words("darker", attributes=step(brightness=-0.1)), generators={"melody": SMALL}),
        ):
            result = command()
            assert Role.MELODY in result.changed
            asked = {Role.BASS} if result.intent and result.intent.roles else set()
            assert set(result.changed) == ({Role.MELODY} | asked if not result.intent.attributes else set(Role))

    def test_a_new_generator_keeps_the_seed_and_the_same_one_is_another_idea(self, session: Session) -> None:
        session.regenerate(generators={"bass": SMALL})
        assert session.playing[Role.BASS].seed == 7
        session.regenerate(generators={"bass": SMALL})
        assert session.playing[Role.BASS].seed != 7 and session.playing[Role.BASS].number == 3

    def test_a_silent_track_can_begin_as_sound(self, tmp_path: Path) -> None:
        with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
            session.generate(TECHNO, seed=7, tracks=["bass"], **SHORT)
            session.regenerate(words("with shakers"), generators={"drums": SMALL})
            assert session.playing[Role.DRUMS].recipe.part.words == "with shakers"
            assert session.playing[Role.BASS].number == 1

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"flute": SMALL}, '"flute" is no track'),
            ({"drums": "magic"}, r'"magic" is no generator for drums\. Generators: pattern, .*musicgen-small'),
            ({"drums": "encodec-24khz"}, '"encodec-24khz" is no generator for drums'),
            ({"drums": ""}, '"" is no generator for drums'),
        ],
    )
    def test_unknown_names_are_refused(self, session: Session, asked: dict[str, str], message: str) -> None:
        before = session.playing
        for command in (session.regenerate, lambda **asked: session.generate(TECHNO, **asked)):
            with pytest.raises(BadValue, match=message) as error:
                command(generators=asked)
            assert "\n" not in str(error.value) and session.playing == before

    def test_a_generator_of_a_track_that_is_not_made_is_refused(self, session: Session) -> None:
        before = session.playing
        with pytest.raises(BadValue, match=r"drums cannot be played by musicgen-small.* tracks to make: bass"):
            session.generate(TECHNO, tracks=["bass"], generators={"drums": SMALL})
        with pytest.raises(BadValue, match=r"melody cannot be played by .* tracks to make: bass"):
            session.regenerate("", track="bass", generators={"melody": SMALL})
        with pytest.raises(BadValue, match="melody cannot be played by"):
            session.regenerate(words(removed_roles=frozenset({Role.MELODY})), generators={"melody": SMALL})
        assert session.playing == before

    def test_a_locked_track_keeps_its_generator(self, session: Session) -> None:
        session.lock("drums")
        before = session.playing
        for command in (session.regenerate, lambda **asked: session.generate(TECHNO, **asked)):
            with pytest.raises(TrackLocked, match="drums is locked"):
                command(generators={"drums": "pattern"})
        assert session.playing == before

    @pytest.mark.parametrize("new", [True, False])
    def test_a_model_that_is_not_there_is_told_before_anything_is_made(
        self, session: Session, tmp_path: Path, new: bool
    ) -> None:
        class Bare(FakeStudio):
            installed = ()

            def bars(self, request: object) -> Iterator[tuple[()]]:
                raise AssertionError("nothing is made")

        path = tmp_path / "new.rg" if new else session.path
        before = None if new else {file.name: file.read_bytes() for file in (session.path / "audio").iterdir()}
        session.close()
        with (
            pytest.raises(ModelNotFound, match="resonantgen models pull musicgen-small"),
            Session.open_or_create(path, studio=Bare()) as opened,
        ):
            opened.generate(TECHNO, seed=7, generators={"melody": SMALL}, **SHORT)
        assert not path.exists() if new else before == {f.name: f.read_bytes() for f in (path / "audio").iterdir()}


class TestWords:
    def told(self, session: Session) -> str:
        return session.playing[Role.DRUMS].recipe.part.words

    def test_edits_add_to_what_was_said_and_a_new_style_begins_anew(self, session: Session) -> None:
        session.regenerate(words(" more\n aggressive", attributes=step(aggression=0.5)))
        assert self.told(session) == "dark techno, more aggressive"
        session.regenerate()
        session.adjust("energy", 0.3)
        session.regenerate(about(Role.BASS, energy=0.5))
        assert self.told(session) == "dark techno, more aggressive"
        session.regenerate(words("more aggressive", attributes=step(aggression=0.25)))
        assert self.told(session) == "dark techno, more aggressive", "what was said is not said twice"
        session.regenerate(words("calm jazz", style="jazz"))
        assert self.told(session) == "calm jazz"

    def test_what_is_said_again_counts_as_the_latest(self, session: Session) -> None:
        for said, told in (
            ("darker", "dark techno, darker"),
            ("brighter", "dark techno, darker, brighter"),
            ("darker", "dark techno, brighter, darker"),
            ("dark", "dark techno, brighter, darker, dark"),  # which is no more than the beginning of a word above
            ("tech, no kick", "dark techno, brighter, darker, dark, tech, no kick"),
            ("tech, no kick", "dark techno, brighter, darker, dark, tech, no kick"),
        ):
            session.regenerate(words(said, attributes=step(brightness=-0.1)), track="drums")
            assert self.told(session) == told

    def test_a_track_of_notes_starts_from_the_words_that_led_to_it(self, session: Session) -> None:
        session.regenerate(generators={"bass": SMALL})
        assert session.playing[Role.BASS].recipe.part.words == "dark techno"
        session.regenerate(generators={"bass": "pattern"})
        assert session.playing[Role.BASS].recipe.part.words == ""
        session.regenerate(about(Role.MELODY, energy=0.1), generators={"melody": SMALL})
        assert session.playing[Role.MELODY].recipe.part.words.startswith("dark techno, melody")

    def test_words_that_no_attribute_stands_for_reach_tracks_of_sound_alone(self, session: Session) -> None:
        crackle = words("vinyl crackle", not_understood=("vinyl", "crackle"))
        with pytest.raises(PromptError, match="Not understood: vinyl, crackle"):
            session.regenerate(crackle)
        with pytest.raises(PromptError, match="Not understood"):
            session.regenerate(crackle, track="bass")
        before = wavs(session)
        session.regenerate(crackle, track="drums")
        assert self.told(session) == "dark techno, vinyl crackle"
        after = wavs(session)
        assert [role for role in Role if before[role] != after[role]] == [Role.DRUMS]
        for role in (Role.BASS, Role.HARMONY, Role.MELODY):
            session.lock(role)
        session.regenerate(replace(crackle, text="cut to tape"))
        assert self.told(session) == "dark techno, vinyl crackle, cut to tape"
        session.unlock("bass")
        session.regenerate(replace(crackle, text="tape hiss"), generators={"bass": SMALL})
        assert session.playing[Role.BASS].recipe.part.words == "dark techno, tape hiss"

    def test_they_do_not_grow_without_end(self, session: Session) -> None:
        for number in range(60):
            session.regenerate(words(f"idea {number}", attributes=step(energy=0.01)), track="drums")
            assert len(self.told(session)) <= MOST_WORDS
            assert set(self.told(session).replace(",", "").split()) <= {"dark", "techno", "idea", *map(str, range(60))}
        assert self.told(session).endswith("idea 58, idea 59") and len(self.told(session)) > MOST_WORDS - 10
        before = session.playing[Role.DRUMS]
        session.regenerate()
        assert self.told(session) == before.recipe.part.words and session.playing[Role.DRUMS].seed != before.seed
        session.regenerate(words("la" * MOST_WORDS, attributes=step(energy=0.01)), track="drums")
        assert self.told(session) == "la" * (MOST_WORDS // 2)


class TestLocks:
    def test_a_locked_track_of_sound_is_frozen_to_the_byte(self, session: Session, tmp_path: Path) -> None:
        session.lock("drums")
        take = session.playing[Role.DRUMS]
        frozen = session.wav(take)
        commands: list[Callable[[], object]] = [
            session.regenerate,
            lambda: session.regenerate(words("darker", attributes=step(brightness=-0.5)), seed=3),
            lambda: session.regenerate(words(key=Key.parse("F# minor"))),
            lambda: session.regenerate(words(style="jazz")),
            lambda: session.adjust("energy", 0.5),
            lambda: session.regenerate(generators={"bass": SMALL, "melody": MELODY}),
            lambda: session.generate(words("house", style="house")),
            lambda: session.set_tempo(300),
            session.regenerate,
            session.undo,
            session.undo,
            session.redo,
            lambda: session.undo("bass"),
            lambda: session.export(tmp_path / "out"),
        ]
        for command in commands:
            command()
            assert session.playing[Role.DRUMS] == take and session.wav(take) == frozen
        path = session.path
        session.close()
        with Session.open(path, studio=FakeStudio()) as again:
            assert again.playing[Role.DRUMS] == take and again.wav(take) == frozen

    @pytest.mark.parametrize("asked", [{"bars": 2}, {"meter": Meter(3, 4)}, {"tempo_bpm": Fraction(140)}])
    def test_what_it_cannot_follow_is_refused(self, session: Session, asked: dict[str, object]) -> None:
        session.lock("drums")
        with pytest.raises(TrackLocked, match="while drums is locked"):
            session.regenerate(words("other", **asked))


class Listening(FakeStudio):
    """Remembers what each generator of sound was given, and which stems were rendered."""

    def __init__(self) -> None:
        self.requests: list[AudioRequest] = []
        self.rendered: list[Role] = []

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        self.rendered.append(recipe.role)
        return super().render(score, recipe, sound, on_bar)

    def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        self.requests.append(request)
        assert [role for role in Role if role in request.context] == list(request.context)
        return super().perform(generator, request, on_bar)


@pytest.fixture
def ears() -> Listening:
    return Listening()


@pytest.fixture
def listened(tmp_path: Path, ears: Listening) -> Iterator[Session]:
    with Session.create(tmp_path / "listened.rg", ears) as session:
        session.generate(TECHNO, seed=7, generators={"drums": SMALL, "melody": MELODY}, **SHORT)
        yield session


class TestContext:
    def test_it_is_the_sound_of_the_tracks_that_sound_with_it(self, listened: Session, ears: Listening) -> None:
        drums, melody = ears.requests
        assert dict(drums.context) == {} and set(melody.context) == {Role.DRUMS, Role.BASS, Role.HARMONY}
        for role, samples in melody.context.items():
            assert np.array_equal(samples, listened.samples(listened.playing[role])), role
            assert melody.request.context[role] == listened.playing[role].score
        assert (drums.words, drums.sample_rate) == ("dark techno", 44_100)

    def test_it_is_at_the_tempo_of_now(self, listened: Session, ears: Listening) -> None:
        listened.set_tempo(300)
        listened.regenerate("", track="melody")
        assert listened.settings is not None
        context = ears.requests[-1].context
        assert ears.requests[-1].request.plan.tempo_bpm == 300
        for role in (Role.DRUMS, Role.BASS, Role.HARMONY):
            expected = listened.rendition(listened.playing[role], listened.settings.tempo)
            assert len(expected) == listened.settings.frames and np.array_equal(context[role], expected), role

    def test_who_does_not_listen_costs_no_rendering(self, session: Session, tmp_path: Path) -> None:
        ears, path = Listening(), session.path
        session.close()
        with Session.open(path, studio=ears) as again:
            again.regenerate("", track="drums")
            assert ears.rendered == [] and set(ears.requests[-1].context) == {Role.BASS, Role.HARMONY, Role.MELODY}

    def test_only_recordings_of_sound_travel_with_an_order(self, listened: Session, ears: Listening) -> None:
        listened.set_tempo(300)
        order = listened.order_regeneration("", track="melody")
        assert [take.id for take in order.job.recordings] == ["drums-1"]
        sounds = listened.recordings(order.job.recordings)
        far, files = unpack(pack(order), Order), dict[str, bytes]()

        def keep(data: bytes) -> str:
            return files.setdefault("hash", listened.add_audio(data))

        takes = make_takes(
            far.job, far.standing, FakeStudio(), far.numbers, keep, read_audio=lambda take: sounds[take.audio_sha256]
        )
        listened.fulfil(order, takes)
        take = listened.playing[Role.MELODY]
        assert take.id == "melody-2" and listened.replay(take) == (take.notes_sha256, take.audio_sha256)
        assert listened.order_regeneration("", track="bass").job.recordings == (), "notes need no sound"

    def test_a_harmony_in_which_nothing_is_heard_leaves_the_chords_to_others(self, session: Session) -> None:
        class Noise(FakeStudio):
            def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
                made = super().perform(generator, request, on_bar)
                return replace(made, score=Score((), request.request.plan.length_ticks))

        path = session.path
        session.close()
        with Session.open(path, studio=Noise()) as again:
            again.regenerate(generators={"harmony": SMALL})
            again.lock("harmony")
            again.regenerate()
            assert len(again.playing[Role.HARMONY].score) == 0 and again.playing[Role.BASS].number == 2


def heard_in(kind: str, length_ticks: int) -> Score:
    """What no pattern would play, but an ear may write down."""
    notes = {
        "nothing": [],
        "one note": [Note(length_ticks - 1, 127, 1, 1)],
        "one drone": [Note(0, 0, length_ticks, 127)],
        "every key": [Note(7 * key, key, 11 * key + 1, 1 + key % 127) for key in range(128)],
        "a cluster on each sixteenth": [Note(t, k, 60, 64) for t in range(3, length_ticks, 120) for k in range(50, 60)],
    }[kind]
    return Score.of(notes, length_ticks)


HEARD = ["nothing", "one note", "one drone", "every key", "a cluster on each sixteenth"]


@pytest.mark.parametrize("kind", HEARD)
@pytest.mark.parametrize("role", list(Role))
def test_the_generators_of_notes_play_to_whatever_is_heard(tmp_path: Path, role: Role, kind: str) -> None:
    class Ear(SilentStudio):
        def require(self, generators: Collection[str]) -> None: ...

        def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
            made = FakeStudio().perform(generator, request, on_bar)
            return replace(made, score=heard_in(kind, request.request.plan.length_ticks))

    with Session.create(tmp_path / "night.rg", Ear()) as session:
        session.generate(TECHNO, seed=7, bars=2, meter="5/4", tempo=400, sample_rate=44_100)
        session.regenerate(generators={role: SMALL})
        session.lock(role)
        session.regenerate()
        session.regenerate(words("jazz", style="jazz"))
        assert {take.number for other, take in session.playing.items() if other is not role} == {3}


class TestMaking:
    def test_progress_counts_the_bars_and_ends_with_sound(self, session: Session) -> None:
        class Trying(FakeStudio):
            """Tells of each bar often, and tries twice."""

            def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
                for bar in (0, 0, 1, 1, 2, 0, 1, 1, 2, 2):
                    on_bar(bar)
                return super().perform(generator, request, lambda bar: None)

        told: list[Progress] = []
        path = session.path
        session.close()
        with Session.open(path, studio=Trying()) as again:
            again.regenerate(words(bars=2), on_progress=told.append)
        steps = [(event.stage, event.bar) for event in told if event.role is Role.DRUMS]
        assert steps == [("notes", 1), ("notes", 2), ("notes", 1), ("notes", 2), ("sound", 2)]
        assert {event.bars for event in told} == {2}

    def test_what_a_hook_raises_ends_it_and_nothing_is_left(self, session: Session) -> None:
        before, files = session.playing, sorted((session.path / "audio").iterdir())

        def stop(event: Progress) -> None:
            if event.role is Role.MELODY:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            session.regenerate(generators={"melody": SMALL, "bass": SMALL}, on_progress=stop)
        assert session.playing == before and sorted((session.path / "audio").iterdir()) == files

    def test_another_idea_that_sounds_the_same_is_tried_again(self, session: Session) -> None:
        class Deaf(FakeStudio):
            """Of two seeds in a row, both give the same sound."""

            seeds: list[int] = []  # noqa: RUF012 - of this test alone

            def perform(self, generator: str, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
                seed = request.request.seed
                self.seeds.append(seed)
                stuck = replace(request, request=replace(request.request, seed=0 if len(self.seeds) < 4 else seed))
                return super().perform(generator, stuck, on_bar)

        path = session.path
        session.close()
        with Session.open(path, studio=Deaf()) as again:
            again.regenerate("", track="drums")
            first = again.wav(again.playing[Role.DRUMS])
            again.regenerate("", track="drums")
            assert again.wav(again.playing[Role.DRUMS]) != first
            assert len(Deaf.seeds) == 4 and again.playing[Role.DRUMS].seed == Deaf.seeds[-1]


class TestTempo:
    @pytest.mark.parametrize(
        ("tempo", "rate"),
        [("97.3", 44_100), ("20", 96_000), ("20", 44_100), ("400", 48_000), ("399.9", 44_100), ("133.37", 88_200)],
    )
    def test_it_is_as_long_as_the_bars_at_any_tempo_and_rate(self, session: Session, tempo: str, rate: int) -> None:
        at, take = TempoMap(Fraction(tempo), Meter(2, 4), rate), session.playing[Role.DRUMS]
        data = session.rendition_wav(take, at)
        samples = read_samples(data)
        assert samples.shape == (at.frames(1), 2) and np.abs(samples).max() > 0.01
        assert session.rendition_wav(take, at) == data, "and the same every time"

    def test_a_slow_take_can_be_played_as_fast_as_can_be(self, tmp_path: Path) -> None:
        with Session.create(tmp_path / "slow.rg", FakeStudio()) as session:
            session.generate(TECHNO, seed=7, generators={"drums": SMALL}, **{**SHORT, "tempo": 20})
            session.set_tempo(400)
            assert session.settings is not None
            assert len(session.rendition(session.playing[Role.DRUMS], session.settings.tempo)) == 13_230

    def test_at_its_own_tempo_it_is_the_very_file(self, session: Session) -> None:
        take = session.playing[Role.DRUMS]
        assert session.rendition_wav(take, take.recipe.settings.tempo) == session.wav(take)

    def test_new_takes_are_made_at_the_tempo_of_now(self, session: Session) -> None:
        session.set_tempo(200)
        session.regenerate("", track="drums")
        take = session.playing[Role.DRUMS]
        assert take.recipe.settings.tempo_bpm == 200 and take.frames == 26_460 == len(session.samples(take))

    def test_without_what_stretches_it_plays_at_its_own_tempo(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "resonantgen.audio.stretch", raising=False)
        monkeypatch.setitem(sys.modules, "python_stretch", None)
        assert set(session.stems()) == set(Role)
        session.set_tempo(200)
        with pytest.raises(
            ModelUnusable, match=r"drums-1 is sound, and python_stretch is missing.*\[neural\]"
        ) as error:
            session.stems()
        assert "\n" not in str(error.value)


class TestShowing:
    def test_chords_are_those_of_a_track_that_plays_them(self, session: Session) -> None:
        session.regenerate(generators={"harmony": SMALL})
        session.lock("harmony")
        session.regenerate(seed=3)
        assert session.chords == session.playing[Role.BASS].recipe.chords != Progression(())
        session.regenerate(generators={"bass": SMALL, "melody": SMALL})
        assert session.chords == Progression(())

    def test_an_export_has_its_sound_what_is_heard_in_it_and_its_fit(self, session: Session, tmp_path: Path) -> None:
        take = session.playing[Role.DRUMS]
        folder = session.export(tmp_path / "out")
        assert (folder / "drums.wav").read_bytes() == session.wav(take)
        (track,) = read_midi(folder / "drums.mid").tracks
        assert track.score == take.score
        drums, bass, *_ = json.loads((folder / "session.json").read_text())["tracks"]
        assert drums["generator"] == SMALL and drums["instrument"] is None and bass["fit"] is None
        assert drums["fit"] == {
            "model": SMALL,
            "weights_sha256": "0" * 64,
            "prompt": "dark techno",
            "seed": 7,
            "attempts": 1,
            "heard_tempo_bpm": 399.75,
            "stretch": 1.003,
            "beat_error_ms": 4.0,
            "aligned": True,
        }

    def test_an_export_at_another_tempo_is_of_one_length(self, session: Session, tmp_path: Path) -> None:
        session.set_tempo("97.3")
        folder = session.export(tmp_path / "out")
        frames = TempoMap(Fraction("97.3"), Meter(2, 4), 44_100).frames(1)
        assert {soundfile.info(folder / f"{name}.wav").frames for name in (*Role, "mix")} == {frames}

    def test_it_plays_and_exports_where_its_model_is_gone(self, session: Session, tmp_path: Path) -> None:
        class Bare(FakeStudio):
            installed: Collection[str] = ()

        path = session.path
        session.close()
        with Session.open(path, studio=Bare()) as again:
            with pytest.raises(ModelNotFound, match="models pull musicgen-small"):
                again.replay(again.playing[Role.DRUMS])
            again.export(tmp_path / "out")
            again.regenerate("", track="bass")
            assert again.playing[Role.BASS].number == 2
