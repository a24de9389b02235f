"""Commands in two halves: what is ordered is a value that travels, and is recorded only where it still holds."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.session.fakes import SHORT, FakeStudio, about, step, words
from resonantgen.errors import BadValue, Cancelled, ProjectError, StorageError, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import ATTRIBUTES, Intent
from resonantgen.session.codec import pack, unpack
from resonantgen.session.jobs import Order
from resonantgen.session.produce import make_takes
from resonantgen.session.session import Session
from resonantgen.session.values import Project, Result, Take

PITCHED = (Role.BASS, Role.HARMONY, Role.MELODY)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, **SHORT)
        yield session


def ids(session: Session) -> dict[str, str]:
    return {role.value: take.id for role, take in session.playing.items()}


def audio_files(session: Session) -> set[str]:
    return {file.stem for file in (session.path / "audio").iterdir()}


def far_away(session: Session, order: Order) -> list[Take]:
    """Make an order's takes as another process would: only bytes pass."""
    received = unpack(pack(order), Order)
    assert received == order
    files: list[bytes] = []

    def keep(data: bytes) -> str:
        files.append(data)
        return ""

    drafts = make_takes(received.job, received.standing, FakeStudio(), received.numbers, keep)
    takes = [replace(draft, audio_sha256=session.add_audio(data)) for draft, data in zip(drafts, files, strict=True)]
    packed = [pack(take) for take in takes]
    assert [unpack(data, Take) for data in packed] == takes
    return [unpack(data, Take) for data in packed]


def test_what_is_made_far_away_is_what_would_be_made_here(tmp_path: Path) -> None:
    house, darker = words(style="house"), words(attributes=step(brightness=-0.5))
    no_melody = words(roles=(Role.MELODY,), removed_roles=frozenset({Role.MELODY}))
    commands: list[tuple[Callable[[Session], Order], Callable[[Session], Result]]] = [
        (lambda s: s.order_generation(house, seed=3, **SHORT), lambda s: s.generate(house, seed=3, **SHORT)),
        (lambda s: s.order_regeneration(darker), lambda s: s.regenerate(darker)),
        (lambda s: s.order_regeneration(track="bass"), lambda s: s.regenerate(track="bass")),
        (lambda s: s.order_regeneration(no_melody), lambda s: s.regenerate(no_melody)),
        (lambda s: s.order_regeneration(), lambda s: s.regenerate()),
        (lambda s: s.order_adjustment("density", 0.5), lambda s: s.adjust("density", 0.5)),
    ]
    with (
        Session.create(tmp_path / "far.rg", FakeStudio()) as far,
        Session.create(tmp_path / "near.rg", FakeStudio()) as near,
    ):
        for order_it, do_it in commands:
            order = order_it(far)
            assert far.fulfil(order, far_away(far, order)) == do_it(near)
            assert far.playing == near.playing and far.settings == near.settings
            assert audio_files(far) == audio_files(near)
        for session in (far, near):
            for _ in range(3):
                session.undo()
        assert far.playing == near.playing


def test_ordering_changes_nothing(session: Session) -> None:
    before = (ids(session), session.settings, audio_files(session), session._store.count_takes())
    first = session.order_regeneration()
    assert session.order_regeneration() == first, "the same plan twice is the same value"
    assert session.order_regeneration(about(Role.BASS, energy=0.5)) != first
    session.order_generation(words(style="jazz"), seed=1)
    session.order_adjustment("density", 1.0)
    assert before == (ids(session), session.settings, audio_files(session), session._store.count_takes())


@pytest.mark.parametrize(
    ("meanwhile", "holds"),
    [
        (lambda s: s.lock("bass"), False),
        (lambda s: s.lock("drums"), True),
        (lambda s: s.regenerate("", track="bass"), False),
        (lambda s: s.regenerate("", track="drums"), False),  # the bass was written to it
        (lambda s: s.regenerate(words(attributes=step(energy=0.5))), False),
        (lambda s: s.regenerate(words(roles=(Role.MELODY,), removed_roles=frozenset({Role.MELODY}))), False),
        (lambda s: s.adjust("space", 0.5, track="bass"), False),
        (lambda s: s.set_tempo(300), True),
        (lambda s: (s.lock("bass"), s.unlock("bass")), True),
        # The take plays again, but the number of the new one was given to another.
        (lambda s: (s.regenerate("", track="bass"), s.undo()), False),
    ],
)
def test_an_order_is_recorded_only_where_it_still_holds(
    session: Session, meanwhile: Callable[[Session], object], holds: bool
) -> None:
    order = session.order_regeneration(about(Role.BASS, energy=0.5))
    takes = far_away(session, order)
    assert session.still_holds(order)
    meanwhile(session)
    before = (ids(session), session.settings)
    assert session.still_holds(order) == holds
    if holds:
        session.fulfil(order, takes)
        assert session.playing[Role.BASS] == takes[0]
        assert not session.still_holds(order), "once only"
        return
    with pytest.raises(Cancelled, match="changed while this was made"):
        session.fulfil(order, takes)
    assert (ids(session), session.settings) == before
    recorded = {take.audio_sha256 for role in Role for take in session.takes(role)}
    assert audio_files(session) == recorded, "what was dropped leaves no file"


def test_a_first_order_holds_until_another_was_quicker(tmp_path: Path) -> None:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        orders = [session.order_generation(words(style="techno"), seed=seed, **SHORT) for seed in (1, 2)]
        made = [far_away(session, order) for order in orders]
        session.fulfil(orders[0], made[0])
        with pytest.raises(Cancelled):
            session.fulfil(orders[1], made[1])
        assert {take.seed for take in session.playing.values()} == {1}


def test_takes_without_their_audio_are_not_recorded(session: Session) -> None:
    order = session.order_regeneration(about(Role.BASS, energy=0.5))
    takes = far_away(session, order)
    session.discard(takes)
    before = ids(session)
    with pytest.raises(StorageError, match="bass-2 was removed before it was recorded"):
        session.fulfil(order, takes)
    assert ids(session) == before


def test_discarding_spares_the_audio_of_recorded_takes(session: Session) -> None:
    files = audio_files(session)
    session.discard(list(session.playing.values()))
    assert audio_files(session) == files


def test_a_reader_neither_orders_nor_fulfils(session: Session) -> None:
    order = session.order_regeneration()
    with Session.open(session.path, readonly=True, studio=FakeStudio()) as reader:
        for attempt in (
            lambda: reader.order_regeneration(),
            lambda: reader.order_generation(words(style="jazz")),
            lambda: reader.order_adjustment("energy", 0.0),
            lambda: reader.fulfil(order, []),
            lambda: reader.set_tempo(100),
            lambda: reader.set_setup(reader.setup),
        ):
            with pytest.raises(ProjectError, match="reading only"):
                attempt()


def test_audio_is_added_in_another_thread_while_the_session_works(session: Session) -> None:
    blobs = [b"RIFF%d" % number for number in range(40)]
    added: list[str] = []
    begun = threading.Event()

    def add() -> None:
        for blob in blobs:
            added.append(session.add_audio(blob))
            begun.set()

    thread = threading.Thread(target=add)
    thread.start()
    assert begun.wait(60)
    while thread.is_alive():
        session.regenerate(about(Role.BASS, energy=0.1))
        session.undo()
    thread.join()
    assert len(added) == 40 and set(added) <= audio_files(session)


# -- adjustments ------------------------------------------------------------------------------------------------------


def test_an_adjustment_sets_one_track_to_exactly_this_value(session: Session) -> None:
    session.regenerate(about(Role.BASS, density=0.75))
    before = dict(session.playing)
    result = session.adjust("density", -0.25, track="bass")
    after = session.playing
    assert after[Role.BASS].recipe.part.attributes.density == -0.25
    assert after[Role.BASS].seed == before[Role.BASS].seed == 7, "the idea stays"
    assert {role for role in Role if after[role] != before[role]} == {Role.BASS} == set(result.changed)
    assert session.settings is not None and session.settings.attributes.density == 0.0
    revision = session._store.revision(3)
    assert revision is not None and revision.command == "adjust"
    session.undo()
    assert session.playing == before


def test_an_adjustment_of_all_leaves_locked_tracks_and_is_what_new_tracks_start_from(session: Session) -> None:
    session.regenerate(words(roles=(Role.MELODY,), removed_roles=frozenset({Role.MELODY})))
    session.lock("drums")
    drums, chords = session.playing[Role.DRUMS], session.chords
    result = session.adjust("energy", 0.3333333)
    levels = {role: take.recipe.part.attributes.energy for role, take in session.playing.items()}
    assert levels == {Role.DRUMS: 0.0, Role.BASS: 0.333, Role.HARMONY: 0.333}
    assert session.playing[Role.DRUMS] == drums and result.locked == (Role.DRUMS,)
    assert session.chords == chords
    session.regenerate("", track="melody")
    assert session.playing[Role.MELODY].recipe.part.attributes.energy == 0.333


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_adjustment_to_what_is_there_makes_nothing(session: Session, attribute: str) -> None:
    session.adjust(attribute, 1)
    before = (ids(session), session.settings, session._project.revision)
    for track in (None, "bass"):
        order = session.order_adjustment(attribute, 1.0, track)
        assert not order.job.parts and not order.numbers
        result = session.fulfil(order, far_away(session, order))
        assert not result.changed and result.kept == tuple(Role)
    assert before == (ids(session), session.settings, session._project.revision)


def test_an_adjustment_that_all_tracks_have_already_still_reaches_the_next_ones(session: Session) -> None:
    for role in Role:
        session.adjust("swing", 0.5, track=role)
    playing = ids(session)
    result = session.adjust("swing", 0.5)
    assert ids(session) == playing and not result.changed
    assert session.settings is not None and session.settings.attributes.swing == 0.5
    session.undo()
    assert ids(session)["melody"] == "melody-1", "it is no step of history"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("loudness", 0.5), BadValue, "nothing to adjust. There is: energy"),
        (("energy", 1.01), BadValue, "energy cannot be 1.01"),
        (("energy", float("nan")), BadValue, "energy cannot be nan"),
        (("energy", 0.5, "kazoo"), BadValue, "is no track"),
        (("energy", 0.5, "melody"), BadValue, "no melody to adjust"),
        (("energy", 0.5, "drums"), TrackLocked, "drums is locked"),
    ],
)
def test_an_impossible_adjustment_is_refused(
    session: Session, arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    session.regenerate(words(roles=(Role.MELODY,), removed_roles=frozenset({Role.MELODY})))
    session.lock("drums")
    with pytest.raises(error, match=message) as caught:
        session.order_adjustment(*arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_adjustment_needs_an_unlocked_track(tmp_path: Path) -> None:
    with Session.create(tmp_path / "night.rg", FakeStudio()) as session:
        with pytest.raises(ProjectError, match="nothing to adjust yet"):
            session.order_adjustment("energy", 0.5)
        session.generate(words(style="techno"), **SHORT)
        for role in Role:
            session.lock(role)
        with pytest.raises(TrackLocked, match="Every track is locked"):
            session.order_adjustment("energy", 0.5)


# -- values that an engine sets, rather than words --------------------------------------------------------------------

SET = [
    Intent("", style="jazz"),
    Intent("", key=Key.parse("F# minor")),
    Intent("", meter=Meter(3, 4)),
    Intent("", bars=2),
]


@pytest.mark.parametrize("intent", SET, ids=["style", "key", "meter", "bars"])
def test_setting_a_value_is_an_edit_and_setting_it_again_is_nothing(session: Session, intent: Intent) -> None:
    before = dict(session.playing)
    order = session.order_regeneration(intent)
    result = session.fulfil(order, far_away(session, order))
    assert set(result.changed) == (set(PITCHED) if intent.key else set(Role)), "drums have no key"
    assert all(take.seed == 7 for take in session.playing.values()), "the idea stays"
    settings = session.settings
    assert settings is not None
    for name in ("style", "key", "meter", "bars"):
        if (value := getattr(intent, name)) is not None:
            assert getattr(settings, name) == value
    assert {len(session.samples(take)) for take in session.playing.values()} == {settings.frames}
    assert len(session.mix()) == settings.frames
    again = session.order_regeneration(intent)
    assert not again.job.parts
    assert not session.fulfil(again, []).changed
    session.undo()
    assert session.playing == before


@pytest.mark.parametrize("intent", SET[1:], ids=["key", "meter", "bars"])
def test_setting_what_tracks_share_needs_them_unlocked(session: Session, intent: Intent) -> None:
    session.lock("bass")
    with pytest.raises(TrackLocked, match="while bass is locked"):
        session.order_regeneration(intent)


def test_setting_the_style_of_all_spares_those_that_have_it_from_another_idea(session: Session) -> None:
    session.regenerate(words(style="jazz"), track="bass")
    session.lock("drums")
    order = session.order_regeneration(Intent("", style="jazz"))
    assert set(order.job.seeds.values()) == {7} and not order.job.must_differ


PROGRAM = """
import sys
from resonantgen.errors import ResonantGenError
from resonantgen.prompt.intent import Intent
from resonantgen.music.theory import Key
from resonantgen.session.session import Session
with Session.open(sys.argv[1]) as session:
    session.order_regeneration(Intent("", style="jazz", key=Key.parse("D minor")))
    session.order_regeneration(track="bass")
    session.order_adjustment("energy", 0.5)
    session.order_generation(Intent("calm", mood="calm"))
heavy = {"numba", "llvmlite", "tokenizers", "safetensors", "PIL", "resonantgen.instruments.stem"}
heavy = (heavy | {"torch", "scipy", "transformers", "python_stretch"}) & set(sys.modules)
assert not heavy, heavy
"""


def test_ordering_loads_neither_embeddings_nor_instruments(session: Session) -> None:
    session.close()
    subprocess.run([sys.executable, "-c", PROGRAM, str(session.path)], check=True, timeout=120)


def test_packed_bytes_of_something_else_are_refused() -> None:
    for data in (b"", b"\xc1", pack({"take": 1}), pack([1, 2])):
        with pytest.raises(ValueError, match="no packed Take"):
            unpack(data, Take)
    assert unpack(pack(Project()), Project) == Project()
