"""The live engine's commands: what they do, what they tell, and what waits for what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.session.fakes import step, words
from live_fakes import Live, live, standing
from resonantgen.errors import BadValue, Cancelled, DeviceError, ProjectError, PromptError, TrackLocked, WorkerLost
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.realtime.heard import BarLine, Beat, Level, Levels, Moved, Problem, Swapped
from resonantgen.realtime.material import Grid
from resonantgen.session.session import Session
from resonantgen.session.setup import Strip
from resonantgen_bridge.protocol import COMMANDS, PROPERTY_OF_KEY

MEANINGS = {"busier": words("busier", attributes=step(density=0.5)), "house": words("house", style="house")}


def with_engine(path: Path, test: Callable[[Live], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with live(path / "night.rg", meanings=MEANINGS, **options) as one:
            await asyncio.wait_for(test(one), 60)

    asyncio.run(run())


def test_every_command_of_the_table_can_be_done_and_every_property_has_a_value(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        assert one.engine.state.keys() == PROPERTY_OF_KEY.keys()
        assert [command.name for command in COMMANDS if not hasattr(one.engine.commands, command.name)] == []

    with_engine(tmp_path, test)


def test_a_lock_is_on_disk_and_told_before_it_is_answered(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        assert await one.do("lock", track="bass") == {}
        assert one.engine.state["track/bass/lock"] is True
        assert one.heard("changed") == [{"state": {"track/bass/lock": True}}]
        with Session.open(one.session.path, readonly=True) as reader:
            assert reader.locked == {Role.BASS}
        await one.do("lock", track=2, locked=0)
        assert one.engine.state["track/bass/lock"] is False
        assert one.applied == [
            ("lock", {"track": "bass", "locked": True}),
            ("lock", {"track": "bass", "locked": False}),
        ]

    with_engine(tmp_path, test)


def test_a_lock_that_is_there_already_changes_nothing(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("lock", track="bass")
        await one.do("lock", track="bass")
        assert len(one.applied) == 1

    with_engine(tmp_path, test)


def test_regenerate_tells_progress_takes_and_the_new_state_in_this_order(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        result = await one.do("regenerate", track="bass")
        assert result == {
            "changed": {"bass": "bass-2"},
            "locked": [],
            "kept": ["drums", "harmony", "melody"],
            "understood": None,
        }
        events = [notice.event for notice in one.notices if notice.event != "heartbeat"]
        assert events.index("progress") < events.index("take") < events.index("applied")
        assert one.heard("take")[0]["take"] == "bass-2"
        assert one.engine.state["track/bass/take"] == "bass-2"
        assert one.engine.state["busy"] is False
        with Session.open(one.session.path, readonly=True) as reader:
            assert reader.playing[Role.BASS].id == "bass-2"

    with_engine(tmp_path, test)


def test_words_are_understood_and_shown(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        result = await one.do("regenerate", prompt="busier")
        assert result["understood"]["attributes"] == {"density": 0.5}
        assert one.engine.state["prompt"] == "busier"
        assert one.engine.state["track/melody/density"] == 0.5
        await one.do("undo")
        assert one.engine.state["prompt"] == "words"
        assert one.engine.state["track/melody/density"] == 0.0

    with_engine(tmp_path, test)


@pytest.mark.parametrize("prompt", ["", "  "])
def test_words_that_were_left_empty_make_no_new_start(tmp_path: Path, prompt: str) -> None:
    async def test(one: Live) -> None:
        with pytest.raises(PromptError, match="prompt is empty"):
            await one.do("generate", prompt=prompt)
        assert one.applied == []

    with_engine(tmp_path, test)


def test_generate_starts_an_empty_project_and_its_seed_is_in_what_was_applied(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        assert one.engine.state["bars"] == 0
        with pytest.raises(ProjectError, match="nothing to regenerate"):
            await one.do("regenerate")
        await one.do("generate", prompt="house", tempo=400, meter="2/4", bars=1)
        assert one.engine.state["style"] == "house"
        (command, arguments) = one.applied[0]
        assert (command, arguments["seed"]) == ("generate", one.session.playing[Role.DRUMS].seed)

    with_engine(tmp_path, test, empty=True)


def test_a_lock_during_a_generation_counts_at_once(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        made = one.start("regenerate")
        await one.worker.waiting.wait()
        await one.do("lock", track="drums")
        one.worker.release()
        result = await made
        assert "drums" not in result["changed"]
        assert result["locked"] == ["drums"]
        assert one.session.playing[Role.DRUMS].id == "drums-1"
        assert one.session.playing[Role.BASS].recipe.context[Role.DRUMS] == "drums-1"
        assert [command for command, _ in one.applied] == ["lock", "regenerate"]

    with_engine(tmp_path, test)


def test_a_lock_of_the_only_track_refuses_the_command_that_runs(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        made = one.start("regenerate", track="bass")
        await one.worker.waiting.wait()
        await one.do("lock", track="bass")
        with pytest.raises(TrackLocked, match="bass is locked"):
            await made
        assert one.session.playing[Role.BASS].id == "bass-1"
        assert one.engine.state["busy"] is False

    with_engine(tmp_path, test)


def test_a_lock_that_does_not_concern_it_lets_the_work_go_on(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        made = one.start("regenerate", track="bass")
        await one.worker.waiting.wait()
        await one.do("lock", track="drums")
        one.worker.release()
        assert (await made)["changed"] == {"bass": "bass-2"}
        assert len(one.worker.made) == 1

    with_engine(tmp_path, test)


def test_a_tempo_during_a_generation_is_the_new_takes_tempo(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        made = one.start("regenerate", track="bass")
        await one.worker.waiting.wait()
        await one.do("tempo", tempo=390)
        one.worker.release()
        await made
        assert one.session.playing[Role.BASS].recipe.settings.tempo_bpm == 390
        assert one.session.playing[Role.DRUMS].recipe.settings.tempo_bpm == 400

    with_engine(tmp_path, test)


def test_a_tempo_keeps_locked_takes_bytes(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("lock", track="drums")
        before = one.session.wav(one.session.playing[Role.DRUMS])
        await one.do("tempo", tempo=97.30000305175781)
        assert one.engine.state["tempo"] == 97.3
        assert one.session.wav(one.session.playing[Role.DRUMS]) == before
        while len(one.worker.rendered) == 0:  # all four are rendered again for the player
            await asyncio.sleep(0.01)
        assert set(one.worker.rendered[-1]) == {"drums-1", "bass-1", "harmony-1", "melody-1"}

    with_engine(tmp_path, test)


def test_undo_waits_for_what_runs_and_takes_that_back(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        made = one.start("regenerate", track="bass")
        await one.worker.waiting.wait()
        undone = one.start("undo")
        await asyncio.sleep(0)
        one.worker.release()
        assert (await made)["changed"] == {"bass": "bass-2"}
        assert (await undone)["changed"] == {"bass": "bass-1"}

    with_engine(tmp_path, test)


def test_a_knob_that_moves_on_while_a_take_is_made_is_made_once_more_with_its_last_value(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        first = one.start("adjust", attribute="density", value=0.1, track="bass")
        await one.worker.waiting.wait()
        later = [one.start("adjust", attribute="density", value=v / 10, track="bass") for v in range(2, 9)]
        await asyncio.sleep(0)
        one.worker.release()
        await first
        results = await asyncio.gather(*later)
        assert {result["changed"]["bass"] for result in results} == {"bass-3"}
        assert one.engine.state["track/bass/density"] == 0.8
        assert [arguments["value"] for _, arguments in one.applied] == [0.1, 0.8]

    with_engine(tmp_path, test)


def test_cancelling_the_one_who_waits_gives_the_command_up(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        before = standing(one.session)
        one.worker.hold()
        running = one.start("regenerate")
        await one.worker.waiting.wait()
        waiting = one.start("regenerate", prompt="busier")
        await asyncio.sleep(0)
        waiting.cancel()
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        while one.engine.state["busy"]:
            await asyncio.sleep(0.01)
        assert standing(one.session) == before
        assert one.applied == []

    with_engine(tmp_path, test)


def test_cancel_gives_up_all_and_says_so_to_each(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        one.worker.hold()
        running = one.start("regenerate")
        await one.worker.waiting.wait()
        waiting = one.start("regenerate", prompt="busier")
        await asyncio.sleep(0)
        assert await one.do("cancel") == {"cancelled": 2}
        for task in (running, waiting):
            with pytest.raises(Cancelled):
                await task
        one.worker._gate = None
        assert (await one.do("regenerate", track="bass"))["changed"] == {"bass": "bass-2"}

    with_engine(tmp_path, test)


def test_a_lost_worker_is_told_and_nothing_changed(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        before = standing(one.session)
        one.worker.failure = WorkerLost("The generator stopped.")
        with pytest.raises(WorkerLost):
            await one.do("regenerate")
        assert standing(one.session) == before
        one.worker.failure = None
        assert await one.do("regenerate", track="bass")

    with_engine(tmp_path, test)


def test_what_is_so_already_makes_nothing(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        before = standing(one.session)
        state = one.engine.state
        for command, arguments in (
            ("style", {"style": state["style"]}),
            ("key", {"key": state["key"]}),
            ("meter", {"meter": state["meter"]}),
            ("bars", {"bars": state["bars"]}),
            ("tempo", {"tempo": state["tempo"]}),
            ("adjust", {"attribute": "swing", "value": 0}),
        ):
            await one.do(command, **arguments)
        assert standing(one.session) == before
        assert one.applied == []

    with_engine(tmp_path, test)


@pytest.mark.parametrize(
    ("command", "arguments", "error"),
    [
        ("style", {"style": "polka"}, BadValue),
        ("key", {"key": "Q minor"}, BadValue),
        ("meter", {"meter": "17/3"}, BadValue),
        ("midi_learn", {"action": "lock drums"}, DeviceError),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, command: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    async def test(one: Live) -> None:
        before = standing(one.session)
        with pytest.raises(error):
            await one.do(command, **arguments)
        assert standing(one.session) == before

    with_engine(tmp_path, test)


def test_the_key_is_refused_beside_a_locked_pitched_track(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("lock", track="bass")
        other = "E minor" if one.engine.state["key"] != "E minor" else "D minor"
        with pytest.raises(TrackLocked, match="bass is locked"):
            await one.do("key", key=other)

    with_engine(tmp_path, test)


def test_the_mixer_is_saved_with_the_project(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("gain", track=1, gain=-3.5)
        await one.do("pan", track="bass", pan=0.25)
        await one.do("mute", track="harmony")
        await one.do("solo", track="melody", on=True)
        await one.do("map", daw_track=3, track="bass")
        assert one.engine.state["track/drums/gain"] == -3.5
        assert one.engine.role_of_daw_track(3) == "bass"

    with_engine(tmp_path, test)
    with Session.open(tmp_path / "night.rg", readonly=True) as session:
        assert session.setup.strips == {
            Role.DRUMS: Strip(gain_db=-3.5),
            Role.BASS: Strip(pan=0.25),
            Role.HARMONY: Strip(muted=True),
            Role.MELODY: Strip(soloed=True),
        }
        assert session.setup.daw_tracks == {3: Role.BASS}


def test_a_daw_track_goes_by_its_name_unless_it_was_mapped(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        assert one.engine.role_of_daw_track(5) is None
        one.engine.name_daw_track(5, "Kick")
        assert one.engine.role_of_daw_track(5) == "drums"
        await one.do("map", daw_track=5, track="melody")
        assert one.engine.role_of_daw_track(5) == "melody"
        await one.do("map", daw_track=5)
        assert one.engine.role_of_daw_track(5) == "drums"

    with_engine(tmp_path, test)


def test_transport_properties_follow(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("play")
        assert one.engine.state["play"] is True
        await one.do("stop")
        assert one.engine.state["play"] is False
        await one.do("loop", on=True, first=1, bars=1)
        assert (one.engine.state["loop/first"], one.engine.state["loop/bars"]) == (1, 1)
        await one.do("auto", every=4)
        assert one.engine.state["auto"] == 4
        await one.do("seek", bar=1, beat=2)

    with_engine(tmp_path, test)


def test_export_session_state_and_status_answer(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        folder = tmp_path / "out"
        assert await one.do("export", folder=str(folder)) == {"folder": str(folder)}
        assert (folder / "mix.wav").exists()
        document = (await one.do("session"))["session"]
        assert {track["role"] for track in document["tracks"]} == {role.value for role in Role}
        assert (await one.do("state"))["state"] == dict(one.engine.state)
        status = (await one.do("status"))["status"]
        json.dumps([document, status])
        assert status["project"] == str((tmp_path / "night.rg").resolve())

    with_engine(tmp_path, test)


def test_an_audio_device_that_goes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resonantgen_bridge.engine.HEARTBEAT_SECONDS", 0.01)

    async def test(one: Live) -> None:
        one.output.lose("The device is gone.")
        while not (one.heard("problem") and one.heard("heartbeat")):
            await asyncio.sleep(0.01)
        assert one.heard("problem") == [{"code": "DeviceError", "message": "The device is gone."}]
        assert one.engine.state["audio"] == "The device is gone."

    with_engine(tmp_path, test)


def test_auto_regenerates_in_the_last_of_every_so_many_bars(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("lock", track="drums")
        await one.do("auto", every=4)

        async def bars(count: int) -> list[int]:
            """Play the loop of one bar so many times; in which of them there were new takes."""
            made = []
            for number in range(1, count + 1):
                before = len(one.worker.made)
                one.engine._heard(BarLine(0, 0, number))
                await asyncio.sleep(0)
                while one.engine.state["busy"] or one.engine._tasks:
                    await asyncio.sleep(0.01)
                made += [number] * (len(one.worker.made) > before)
            return made

        assert await bars(9) == [4, 8]
        assert one.session.playing[Role.DRUMS].id == "drums-1"
        assert one.session.playing[Role.BASS].id == "bass-3"
        await one.do("auto", every=0)
        assert await bars(8) == []

    with_engine(tmp_path, test)


def test_what_goes_on_by_itself_gives_way_to_who_asks(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        await one.do("regenerate", track="bass")
        await one.do("auto", every=1)
        one.worker.hold()
        one.engine._heard(BarLine(0, 0, 1))
        await one.worker.waiting.wait()
        undone = one.start("undo")
        assert (await undone)["changed"] == {"bass": "bass-1"}
        assert one.heard("problem") == []
        assert [command for command, _ in one.applied] == ["regenerate", "undo"]

    with_engine(tmp_path, test)


def test_auto_with_everything_locked_leaves_all_as_it_is(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        for role in Role:
            await one.do("lock", track=role.value)
        await one.do("auto", every=1)
        one.engine._heard(BarLine(0, 0, 1))
        await asyncio.sleep(0.05)
        assert one.worker.made == []
        assert one.heard("problem") == []

    with_engine(tmp_path, test)


def test_the_player_is_heard_by_those_who_listen(tmp_path: Path) -> None:
    async def test(one: Live) -> None:
        for event in (
            Beat(1, 2, 100),
            Swapped(Role.BASS, "bass-2~", 3, 4800, -7.5, 2400, 7200),
            Moved(True, 96_000, 9600, Grid(TempoMap(Fraction("97.5"), Meter(7, 8), 48_000), 4)),
            Levels({role: Level(1.0, 0.1) for role in Role}, 0),
            Problem("It broke.", 0),
        ):
            one.engine._heard(event)
        assert one.heard("beat") == [{"bar": 2, "beat": 3}]
        swap = {"track": "bass", "material": "bass-2~", "bar": 4, "frame": 4800}
        swap |= {"gain": -7.5, "first": 2400, "frames": 7200}
        assert one.heard("swap") == [swap]
        move = {"on": True, "frame": 9600, "place": 96_000, "tempo": 97.5, "meter": "7/8", "bars": 4}
        assert one.heard("transport")[-1] == move
        assert one.heard("level")[0] == {"track": "drums", "peak": 0.0, "rms": pytest.approx(-20.0)}
        assert one.heard("problem")[0]["message"] == "It broke."

    with_engine(tmp_path, test)
