"""A served engine, recorded from JACK: every sample is what it told and stored, whatever is done to it meanwhile.

The figures of long runs are in `tests/benchmarks/live.py`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine_process import EngineProcess, OscSocket, engine_process, needs_linux, wait_for
from jack_server import JackServer, Recording, needs_jack
from live_recording import RATE, TOLD, Break, Comparison, Model, Story, compare
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen_bridge.calls import Notice

pytestmark = [needs_linux, needs_jack]

SEED = 20_261_122
LATENCY_MS = "500"  # so that no busy machine, on which tests run beside each other, can starve it
SILENCE = RATE // 2  # frames after the end that are recorded, too


@dataclass
class Played:
    """A run, when it is over."""

    story: Story
    recorded: np.ndarray[Any, np.dtype[np.float32]]
    telemetry: dict[str, int]
    errors: list[tuple[Any, ...]]

    def compared(self, project: Path, *, stems: bool = False) -> Comparison:
        frames = self.story.end + SILENCE // 2
        expected = np.zeros((frames, self.recorded.shape[1]), np.float32)
        with Session.open(project, readonly=True) as session:
            model = Model(self.story, session)
            (model.stems if stems else model.mix)(frames, expected)
        return compare(self.recorded, expected)


def play(project: Path, act: Callable[[EngineProcess, OscSocket], None], *, stems: bool = False) -> Played:
    """Have a new engine make two short bars and play them, act on it, stop it."""
    channels = 8 if stems else 2
    options = ["--audio", "system", "--block", "512", "--latency", LATENCY_MS, "--no-play"]
    options += ["--stems"] if stems else []
    told: list[Notice] = []
    with (
        JackServer(channels=channels) as server,
        server.recording(channels) as recording,
        engine_process(project, *options, environment=server.environment) as engine,
    ):
        engine.client.listen(told.append, *TOLD)
        engine.client.generate(prompt="dark techno, 170 bpm, 2 bars", seed=3)
        wait_for("the recorder to be connected", lambda: server.is_recorded(channels))
        surface = engine.osc()
        surface.send("/rg/subscribe", 1)
        surface.send("/rg/play", 1)
        wait_for("it to play", lambda: moved(told, True))
        act(engine, surface)
        surface.send("/rg/play", 0)
        surface.ping()
        wait_for("it to stop", lambda: moved(told, False))
        go_on(recording)
        telemetry = engine.status["audio"]["telemetry"]
        recorded = recording.samples().copy()
        assert engine.end() == 0 and engine.errors == ""
    errors = [message for message in surface.got if message[0] == "/rg/error"]
    return Played(Story(told), recorded, telemetry, errors)


def moved(told: list[Notice], on: bool) -> bool:
    """Whether the last it said of its transport is this."""
    moves = [notice.fields for notice in tuple(told) if notice.event == "transport"]
    return bool(moves) and moves[-1]["on"] == on


def go_on(recording: Recording) -> None:
    """Until what the engine has mixed is recorded, and silence after it."""
    frames = recording.frames()
    wait_for("the recording to go on", lambda: recording.frames() > frames + RATE + SILENCE)


def test_every_sample_is_what_was_told_and_stored(tmp_path: Path) -> None:
    """Regenerate a track by OSC each second; lock, undo, change the tempo, stop and play meanwhile."""
    print("seed", SEED)
    dice = random.Random(SEED)

    def act(engine: EngineProcess, surface: OscSocket) -> None:
        for second in range(15):
            first = 2 if 2 <= second <= 8 else 1  # the drums are locked then
            surface.send(f"/rg/track/{dice.randint(first, 4)}/regenerate", 1)
            match second:
                case 2:
                    surface.send("/rg/track/1/lock", 1)
                case 5:
                    surface.send("/rg/tempo", 172.5)
                case 8:
                    surface.send("/rg/track/1/lock", 0)
                case 10:
                    surface.send("/rg/play", 0)
                case 11:
                    surface.send("/rg/play", 1)
                case 12:
                    surface.send("/rg/undo", 1)
            time.sleep(1)
        wait_for("the last one to be made", lambda: not engine.state["busy"])
        time.sleep(2)  # until it is played

    played = play(tmp_path / "live.rg", act)
    assert played.errors == [] and played.story.problems == []
    assert played.telemetry["underruns"] == 0, played.telemetry
    assert len(played.story.swaps_heard()) >= 8
    assert [move.on for move in played.story.moves].count(True) >= 3  # play, tempo, play
    assert set(played.story.samples_off()) == {0}
    comparison = played.compared(tmp_path / "live.rg")
    assert comparison.breaks == ()
    assert comparison.compared > 15 * RATE


def test_each_track_has_a_pair_of_channels_that_equals_its_stems(tmp_path: Path) -> None:
    def act(engine: EngineProcess, surface: OscSocket) -> None:
        for role in (Role.BASS, Role.MELODY):
            engine.client.regenerate(track=role.value)
        time.sleep(3)

    played = play(tmp_path / "stems.rg", act, stems=True)
    assert played.story.problems == []
    assert {role for role, _ in played.story.swaps_heard()} == {Role.BASS, Role.MELODY}
    comparison = played.compared(tmp_path / "stems.rg", stems=True)
    assert comparison.breaks == ()
    assert all(played.recorded[:, 2 * number : 2 * number + 2].any() for number in range(len(Role)))


def test_a_recording_is_told_from_one_that_is_not_so() -> None:
    """What `compare` finds, on noise."""
    print("seed", SEED)
    sound = np.random.default_rng(SEED).standard_normal((3 * RATE, 2)).astype(np.float32)
    expected = np.concatenate([np.zeros((100, 2), np.float32), sound])
    silence = np.zeros((5000, 2), np.float32)
    assert compare(np.concatenate([silence, sound, silence]), expected) == Comparison(100, 4900, len(sound), ())
    gap = compare(np.concatenate([sound[:RATE], silence[:512], sound[RATE:]]), expected)
    assert (gap.breaks, gap.compared) == ((Break(RATE + 100, "gap", 512),), len(sound))
    loss = compare(np.concatenate([sound[:RATE], sound[RATE + 512 :]]), expected)
    assert (loss.breaks, loss.compared) == ((Break(RATE + 100, "loss", 512),), len(sound) - 512)
    sound[RATE] = np.nextafter(sound[RATE], 1)
    assert compare(sound, expected).breaks == (Break(RATE + 100, "other", 0),)
