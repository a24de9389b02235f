"""Playback: what the player is given while takes are rendered again, on a player that is stepped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from engine.session.fakes import FakeStudio, words
from playing import FADE, RATE, Stepped, around, grid, material
from previewing import Work
from resonantgen.errors import ResonantGenError
from resonantgen.music.notes import Role
from resonantgen.realtime.heard import Swapped
from resonantgen.realtime.material import Grid, Material
from resonantgen.realtime.messages import Recordings
from resonantgen.realtime.pace import SAFETY
from resonantgen.realtime.worker import Ready, Worker
from resonantgen.session.session import Session
from resonantgen.session.values import Take
from resonantgen_bridge.playback import Playback
from resonantgen_bridge.renditions import Renditions


class ScriptedWorker:
    """Renders noise, as slowly as is still expected; meanwhile the player is stepped."""

    def __init__(self, stepped: Stepped) -> None:
        self.stepped = stepped
        self.wholes: dict[Role, Material] = {}

    async def render(
        self, takes: Sequence[Take], grid: Grid, bar: int, listen: Callable[[Ready], None], recordings: Recordings
    ) -> None:
        assert not recordings, "all are notes"
        begun_at = self.stepped.frame
        self.wholes = {take.role: material(grid, 90 + i, take.id) for i, take in enumerate(takes)}
        for at, role, each in Work(grid, self.wholes, SAFETY).run(bar):
            self.stepped.step(max(begun_at + round(at * RATE) - self.stepped.frame, 0))
            listen(Ready(role, each, 0.0))


@pytest.mark.parametrize(("tempo", "meter", "bars"), [(390, "2/4", 24), (150, "4/4", 8)])
def test_a_change_of_tempo_is_heard_at_a_bar_line_and_leaves_no_track_silent(
    tmp_path: Path, tempo: int, meter: str, bars: int
) -> None:
    complaints: list[ResonantGenError] = []
    stepped = Stepped(stems=True, seed=3)
    worker = ScriptedWorker(stepped)

    async def settled(playback: Playback) -> None:
        playback.follow()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)

    async def scenario(session: Session) -> None:
        renditions = Renditions(session, cast("Worker", worker))
        playback = Playback(session, stepped.player, renditions, RATE, complaints.append)
        await settled(playback)
        stepped.player.play(True)
        stepped.step(FADE + 5000)
        session.set_tempo(str(tempo + 10))
        await settled(playback)
        stepped.step(2 * RATE)
        await playback.close()

    with Session.open_or_create(tmp_path / "project", FakeStudio()) as session:
        session.generate(words(style="techno"), seed=7, tempo=tempo, meter=meter, bars=bars, sample_rate=RATE)
        asyncio.run(scenario(session))
        settings = session.settings
    assert not complaints and settings is not None
    swaps = [event for event in stepped.told(Swapped) if event.frame > FADE]
    start = settings.tempo.bar_sample(swaps[0].bar)
    assert {event.frame for event in swaps[:4]} == {swaps[0].frame}, "all tracks at one bar line"
    sound = stepped.sound
    for i, role in enumerate(Role):
        track, new = sound[swaps[0].frame :, 2 * i : 2 * i + 2], worker.wholes[role]
        assert np.array_equal(track, around(new.samples, start, len(track))), role
        names = [event.name for event in swaps if event.role is role]
        assert names == [f"{new.name}~", new.name]


def test_a_first_generation_that_is_given_up_falls_silent_and_leaves_no_sound_to_the_next_ones_takes(
    tmp_path: Path,
) -> None:
    stepped = Stepped(seed=3)
    with Session.open_or_create(tmp_path / "project", FakeStudio()) as session:
        renditions = Renditions(session, cast("Worker", ScriptedWorker(stepped)))
        playback = Playback(session, stepped.player, renditions, RATE, lambda error: None)
        first = grid("390", "2/4")
        stepped.player.play(True)
        playback.audition(first, {Role.DRUMS: material(first, 1, "drums-1"), Role.BASS: None})
        stepped.step(RATE)
        assert stepped.sound[-1000:].any()
        playback.follow()
        stepped.step(2 * RATE)
        assert not stepped.sound[-RATE // 2 :].any()
        session.generate(words(style="techno"), seed=7, tempo=150, meter="2/4", bars=4, sample_rate=RATE)
        renditions.keep_what_became_true(session.playing.values())
        assert session.playing[Role.DRUMS].id == "drums-1"
        assert renditions.find(session.playing[Role.DRUMS], first.tempo) is None
