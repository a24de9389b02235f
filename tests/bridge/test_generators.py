"""Who plays a track: as every transport can say it, what the state tells of it, and what begins when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from engine.session.fakes import MELODY, SMALL, words
from live_fakes import Live, live, replay, standing
from orders import small_order
from performing import order_of_sound
from resonantgen.errors import BadValue, ModelNotFound, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.realtime.heard import BarLine
from resonantgen.realtime.material import Grid, Material
from resonantgen.realtime.worker import Ready
from resonantgen.session.jobs import Order
from resonantgen.session.session import Session
from resonantgen_bridge.generation import _Audition
from resonantgen_bridge.osc_addresses import routes_of
from resonantgen_bridge.parsing import parse_call, parse_positional
from resonantgen_bridge.playback import Playback

MEANINGS = {"house": words("house", style="house")}


def with_engine(path: Path, test: Callable[[Live], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with live(path / "night.rg", meanings=MEANINGS, **options) as one:
            await asyncio.wait_for(test(one), 60)

    asyncio.run(run())


# -- as it is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "drums=musicgen-small,bass=pattern",
        " bass = pattern , 1=musicgen-small ",
        ["2=pattern", "Drums=musicgen-small"],
        {"bass": "pattern", "drums": "musicgen-small"},
        {2: "pattern", "1": "musicgen-small"},
    ],
    ids=str,
)
def test_generators_are_said_in_many_ways_and_mean_one(said: object) -> None:
    call = parse_call("regenerate", {"generators": said})
    assert list(call.arguments["generators"].items()) == [("drums", "musicgen-small"), ("bass", "pattern")]
    assert parse_call("regenerate", call.arguments) == call


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("drums", "names no track and its generator. Such as: drums=musicgen-small"),
        ("drums=", "names no track and its generator"),
        ("", "names no track and its generator"),
        ([], "names no track and its generator"),
        ({}, "names no track and its generator"),
        ("flute=pattern", '"flute" is no track'),
        ({"flute": "pattern"}, '"flute" is no track'),
        (["drums=pattern", "1=musicgen-small"], 'drums cannot have two generators: "pattern" and "musicgen-small"'),
        (f"drums={'x' * 900}\n,drums=y", '…" and "y"'),
        ({"drums": 3.5j}, "is text, not"),
        ({"drums": "x" * 2000}, "is longer than"),
        (7, "such as: drums=musicgen-small"),
        ([7], "such as: drums=musicgen-small"),
        ([["drums", "pattern"]], "such as: drums=musicgen-small"),
    ],
    ids=str,
)
def test_what_cannot_be_understood_is_a_bad_value(said: object, message: str) -> None:
    with pytest.raises(BadValue) as error:
        parse_call("generate", {"prompt": "techno", "generators": said})
    assert message in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 200


def test_a_surface_sets_a_tracks_generator_at_the_address_that_shows_it() -> None:
    (route,) = routes_of("/rg/track/1/generator")
    assert route.key == "track/drums/generator"
    call = parse_positional(route.command, route.given, ["musicgen-small"])
    assert (call.command, call.arguments) == ("generator", {"track": "drums", "generator": "musicgen-small"})


# -- what it does -----------------------------------------------------------------------------------------------------


def test_a_track_gets_another_generator_and_the_state_tells_of_it(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        seed = one.session.playing[Role.DRUMS].seed
        assert one.engine.state["track/drums/generator"] == "pattern" and one.engine.state["track/drums/fit"] == ""
        assert (await one.do("generator", track="drums", generator=SMALL))["changed"] == {"drums": "drums-2"}
        state = one.engine.state
        assert state["track/drums/generator"] == SMALL and state["track/bass/generator"] == "pattern"
        assert state["track/drums/fit"].startswith("beat 399.8 bpm, stretched by 0.3%")
        assert one.session.playing[Role.DRUMS].seed == seed, "the idea stays"
        assert (await one.do("generator", track="drums", generator=f" {SMALL.upper()} "))["changed"] == {}
        assert len(one.applied) == 1, "a surface repeats what it shows"
        await one.do("regenerate", generators=f"bass={MELODY},drums=pattern")
        assert [state[f"track/{role}/generator"] for role in ("drums", "bass")] == ["pattern", MELODY]
        await one.do("undo")
        assert [state[f"track/{role}/generator"] for role in ("drums", "bass")] == [SMALL, "pattern"]

    with_engine(tmp_path, test)


def test_what_cannot_play_is_told_by_its_own_error_and_changes_nothing(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        before = standing(one.session)
        for command, fields in (
            ("generator", {"track": "drums", "generator": "musicgen-large"}),
            ("regenerate", {"generators": "bass=musicgen-large"}),
            ("generate", {"prompt": "house", "generators": "bass=musicgen-large"}),
        ):
            with pytest.raises(ModelNotFound, match="resonantgen models pull musicgen-large"):
                await one.do(command, **fields)
        with pytest.raises(BadValue, match=r"is no generator for drums\. Generators: pattern, "):
            await one.do("generator", track="drums", generator="magic")
        await one.do("lock", track="drums")
        with pytest.raises(TrackLocked):
            await one.do("generator", track="drums", generator=SMALL)
        await one.do("lock", track="drums", locked=False)
        assert standing(one.session) == before

    with_engine(tmp_path, test)


def test_what_was_applied_gives_the_same_session_elsewhere(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("generate", prompt="house", generators=f"melody={MELODY}", seed=5)
        await one.do("generator", track="drums", generator=SMALL)
        await one.do("lock", track="drums")
        await one.do("regenerate")
        await one.do("regenerate", prompt="house", generators={"bass": SMALL})
        with Session.create(tmp_path / "again.rg", one.worker.studio) as again:
            from engine.session.fakes import SHORT

            again.generate(words(style="techno"), seed=7, **SHORT)
            replay(one.applied, again, MEANINGS)
            assert standing(again) == standing(one.session)

    with_engine(tmp_path, test)


def test_sound_that_was_heard_goes_with_the_order_and_to_another_tempo(tmp_path: Path) -> None:
    """The fake worker reads and asserts what it is given."""

    async def test(one: Live) -> None:
        await one.do("generator", track="drums", generator=SMALL)
        await one.do("lock", track="drums")
        wav = one.session.wav(one.session.playing[Role.DRUMS])
        await one.do("generator", track="melody", generator=MELODY)
        await one.do("tempo", tempo=333)
        while one.engine._playback._fetching is not None:
            await asyncio.sleep(0.01)
        assert one.worker.rendered and "drums-2" in one.worker.rendered[-1]
        assert one.heard("problem") == [] and one.session.wav(one.session.playing[Role.DRUMS]) == wav

    with_engine(tmp_path, test)


def test_nothing_piles_up_behind_a_model_in_auto_mode(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("generator", track="drums", generator=SMALL)
        await one.do("auto", every=1)
        one.worker.hold()
        made = len(one.worker.made)
        for count in range(5):
            one.engine._heard(BarLine(0, 0, count))
            await asyncio.sleep(0)
        await one.worker.waiting.wait()
        assert len(one.worker.made) == made + 1 and not one.engine._queue._waiting
        asked = one.start("generator", track="bass", generator=SMALL)
        while one.engine._queue._running is None or one.engine._queue._running.automatic:
            await asyncio.sleep(0.005)
        one.worker.release()
        assert (await asked)["changed"] == {"bass": "bass-2"}, "who asks does not wait for what nobody asked for"
        assert one.session.playing[Role.DRUMS].id == "drums-2"

    with_engine(tmp_path, test)


def test_a_track_that_waits_for_one_generator_after_another_is_made_by_the_last(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        first = one.start("regenerate", track="melody")
        await one.worker.waiting.wait()
        asked = [one.start("generator", track="drums", generator=name) for name in (SMALL, MELODY, SMALL, MELODY)]
        other = one.start("generator", track="bass", generator=SMALL)
        await asyncio.sleep(0)
        one.worker.release()
        assert [made["changed"] for made in await asyncio.gather(*asked)] == [{"drums": "drums-2"}] * 4
        assert (await first)["changed"] == {"melody": "melody-2"} and (await other)["changed"] == {"bass": "bass-2"}
        assert one.session.playing[Role.DRUMS].generator == MELODY and len(one.applied) == 3

    with_engine(tmp_path, test)


# -- what begins when -------------------------------------------------------------------------------------------------


class Deck:
    """As Playback: keeps what is to be heard."""

    def __init__(self) -> None:
        self.heard: list[dict[Role, str | None]] = []

    def audition(self, grid: Grid, materials: Mapping[Role, Material | None]) -> None:
        self.heard.append({role: each.name if each else None for role, each in materials.items()})


def auditioned(order: Order, *ready: str) -> list[dict[Role, str | None]]:
    deck = Deck()
    audition = _Audition(cast("Playback", deck), order, Grid(order.job.settings.tempo, 2))
    for name in ready:
        role = Role(name.rstrip("~"))
        audition.hear(Ready(role, Material(name, np.zeros((1, 2), np.float32), partial=name[-1] == "~"), 0.0))
    return deck.heard


D, B, H, M = Role


def edit(order: Order, **settings: Any) -> Order:
    """The same as an edit of music with these settings."""
    before = replace(order.job.settings, **settings)
    return replace(order, command="regenerate", standing=replace(order.standing, settings=before))


def test_tracks_of_notes_begin_together() -> None:
    heard = auditioned(edit(small_order()), "drums~", "bass~", "harmony~", "melody~", "drums")
    begun: dict[Role, str | None] = {D: "drums~", B: "bass~", H: "harmony~", M: "melody~"}
    assert heard == [begun, begun | {D: "drums"}]


def test_those_before_sound_do_not_wait_for_it_and_what_it_replaces_plays_on() -> None:
    heard = auditioned(edit(order_of_sound(H)), "drums~", "bass~", "drums", "harmony", "melody~", "melody")
    begun: dict[Role, str | None] = {D: "drums~", B: "bass~"}
    wholes = begun | {D: "drums", H: "harmony"}
    assert heard == [begun, begun | {D: "drums"}, wholes, wholes | {M: "melody~"}, wholes | {M: "melody"}]


@pytest.mark.parametrize("new_start", [False, True], ids=["in another key", "a new start"])
def test_what_sound_replaces_is_silent_where_it_would_clash(new_start: bool) -> None:
    order = order_of_sound(M)
    order = order if new_start else edit(order, key=Key.parse("F# major"))
    heard = auditioned(order, "drums~", "bass~", "harmony~", "melody")
    begun: dict[Role, str | None] = {D: "drums~", B: "bass~", H: "harmony~"}
    assert heard == [begun | {M: None}, begun | {M: "melody"}]
