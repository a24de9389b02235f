"""What runs in the worker process, here: stopping between bars, and previews as sound."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from orders import small_order
from resonantgen.generators.style import load_style
from resonantgen.instruments.base import Sound
from resonantgen.instruments.loudness import integrated_loudness
from resonantgen.instruments.measure import true_peak_db
from resonantgen.instruments.stem import StemStream, render_stem
from resonantgen.music.notes import Note, Role, Score
from resonantgen.realtime.making import perform, warm_up
from resonantgen.realtime.making_studio import Experience, MakingStudio
from resonantgen.realtime.messages import REPLY, GivenUp, Heard, Make, Message, Recorded, Warm
from resonantgen.realtime.post import Post, Stopped
from resonantgen.realtime.preview import LEAST_GAIN_DB, MOST_GAIN_DB, PreviewStream, preview
from resonantgen.session.codec import pack, unpack
from resonantgen.session.produce import make_takes
from resonantgen.session.studio import Studio
from resonantgen.session.values import Take


class Desk(Post):
    """A Post without a pipe. It takes the request back once it has sent so many messages."""

    def __init__(self, give_up_after: int = 1 << 30) -> None:
        connection, self.other_end = multiprocessing.Pipe()
        super().__init__(connection)
        self.sent: list[Message] = []
        self.give_up_after = give_up_after

    def send(self, message: Message) -> None:
        unpacked: Message = unpack(pack(message), REPLY)
        assert unpacked == message
        self.sent.append(message)

    def gave_up(self, request_id: int) -> bool:
        return len(self.sent) >= self.give_up_after

    def close(self) -> None:
        self._connection.close()
        self.other_end.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def made(desk: Desk, bars: int = 2, seed: int = 1, style: str = "techno") -> list[Message]:
    order = small_order(style, bars=bars, seed=seed)
    perform(desk, Make(7, order, 0, order.job.settings.tempo), Experience())
    return desk.sent


def drafts(style: str, seed: int = 0) -> list[Take]:
    """Takes, but for their sound."""
    order = small_order(style, bars=4, tempo=120, seed=seed)
    found: list[Take] = []

    class Composed(Exception):
        """Enough is known."""

    def keep(draft: Take) -> None:
        found.append(draft)
        if len(found) == len(order.job.parts):
            raise Composed

    studio = Studio()
    studio.render = lambda *args: np.zeros((order.job.settings.frames, 2))  # type: ignore[method-assign]
    with pytest.raises(Composed):
        make_takes(order.job, order.standing, studio, order.numbers, lambda data: "", on_draft=keep)
    return found


# Stopping


@pytest.mark.parametrize("after", [0, 1, 3, 9, 13])
def test_work_that_is_given_up_ends_before_the_next_bar(desk: Desk, after: int) -> None:
    desk.give_up_after = after
    sent = made(desk)
    assert sent[-1] == GivenUp(7) and len(sent) <= after + 2
    assert all(message.id == 7 for message in sent)


def test_a_stem_stops_at_the_bar_after_it_was_given_up() -> None:
    bars_begun = 0

    def check() -> None:
        nonlocal bars_begun
        bars_begun += 1
        if bars_begun == 3:
            raise Stopped

    take = drafts("house")[0]
    free = threading.Event()
    free.set()
    with pytest.raises(Stopped):
        MakingStudio(check, Experience(), free).render(take.score, take.recipe, take.sound)
    assert bars_begun == 3


def test_nothing_is_rendered_before_every_track_has_its_preview(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    heard_at_render: list[set[Role]] = []
    render = render_stem

    def noted(*args: Any) -> Any:
        heard_at_render.append({message.role for message in desk.sent if isinstance(message, Heard)})
        return render(*args)

    monkeypatch.setattr("resonantgen.instruments.stem.render_stem", noted)
    sent = made(desk)
    assert heard_at_render == [set(Role)] * 4
    assert sum(isinstance(message, Recorded) for message in sent) == 4


def test_warming_up_goes_step_by_step_and_says_when_every_role_can_play(desk: Desk) -> None:
    steps = 0
    for _ in warm_up(desk):
        steps += 1
        if desk.sent:
            break
    assert desk.sent == [Warm(0)] and steps > 2 * len(Role)


# Previews


def test_an_estimated_gain_comes_close_to_the_loudness_of_the_style() -> None:
    judged = set()
    for style in ("techno", "jazz", "ambient"):
        for take in drafts(style):
            stream = PreviewStream(take.score, take.recipe, take.sound, 1)
            samples = stream.next_bar()
            assert stream.gain_db is not None and LEAST_GAIN_DB <= stream.gain_db <= MOST_GAIN_DB
            if stream.gain_db in (LEAST_GAIN_DB, MOST_GAIN_DB) or not samples.any():
                continue
            judged.add(take.role)
            loudness = integrated_loudness(samples.astype(np.float64), take.recipe.settings.sample_rate)
            assert abs(loudness - load_style(style).lufs_for(take.role)) < 2.0, (style, take.role)
    assert judged == set(Role)


def test_peaks_of_a_preview_are_held_however_much_gain_it_is_given() -> None:
    for take in drafts("techno"):
        for gain_db in (0.0, 30.0):
            samples = preview(take.score, take.recipe, take.sound, 0, gain_db)
            assert true_peak_db(samples.astype(np.float64)) <= -1.0, (take.role, gain_db)
            assert len(np.unique(samples[:, 0])) > 1000, "not clipped flat"


def test_held_notes_sound_in_a_preview_of_a_later_bar() -> None:
    recipe = drafts("ambient")[2].recipe
    assert recipe.role is Role.HARMONY
    bar_ticks = recipe.settings.meter.bar_ticks
    held = Score.of([Note(0, 60, 3 * bar_ticks + 100, 90)], 4 * bar_ticks)
    for bar, sounds in ((0, True), (1, True), (2, True), (3, False)):  # too little of it is left at last
        assert preview(held, recipe, Sound("warm_pad"), bar, 0.0).any() == sounds, bar


def test_silence_is_previewed_as_silence() -> None:
    take = drafts("house")[1]
    empty = Score.of([], take.score.length_ticks)
    stream = PreviewStream(empty, take.recipe, take.sound, 0)
    assert not stream.next_bar().any() and stream.gain_db == 0.0
    assert not preview(empty, take.recipe, take.sound, 0, 6.0).any()


def test_the_same_bar_gives_the_same_preview_and_another_gain_another_level() -> None:
    for take in drafts("house"):
        first = preview(take.score, take.recipe, take.sound, 2, -20.0)
        assert np.array_equal(first, preview(take.score, take.recipe, take.sound, 2, -20.0))
        louder = preview(take.score, take.recipe, take.sound, 2, -14.0)
        assert np.allclose(louder, first * 10 ** (6 / 20), atol=1e-6)


def test_a_longer_preview_begins_with_the_shorter_one_and_goes_around_the_loop() -> None:
    for take in drafts("techno"):
        settings = replace(take.recipe.settings, tempo_bpm=Fraction("133.7"))  # bars of different lengths in frames
        recipe = replace(take.recipe, settings=settings)
        for gain_db in (-6.0, 20.0):  # unlimited and limited
            longest = preview(take.score, recipe, take.sound, 3, gain_db, bars=6)
            frames = 0
            for bars in range(1, 6):
                shorter = preview(take.score, recipe, take.sound, 3, gain_db, bars=bars)
                assert np.array_equal(shorter, longest[: len(shorter)]), (take.role, bars)
                frames += settings.tempo.bar_sample((2 + bars) % 4 + 1) - settings.tempo.bar_sample((2 + bars) % 4)
                assert len(shorter) == frames
            assert true_peak_db(longest.astype(np.float64)) <= -1.0


def test_a_longer_preview_sounds_as_its_stem_does_bar_after_bar() -> None:
    for take in drafts("house"):
        settings = take.recipe.settings
        stream = StemStream(
            take.role, take.sound, settings.tempo, load_style(take.recipe.part.style).inserts_for(take.role)
        )
        ticks = settings.meter.bar_ticks
        bars = [stream.next_bar(take.score.between(bar * ticks, (bar + 1) * ticks)) for bar in range(settings.bars)]
        longer = preview(take.score, take.recipe, take.sound, 0, -30.0, bars=len(bars))
        assert np.allclose(longer, np.concatenate(bars) * 10 ** (-30 / 20), atol=1e-6), take.role
        assert len(longer) == settings.frames


def test_bars_after_the_loops_end_have_the_notes_of_its_start() -> None:
    recipe = drafts("house")[0].recipe
    settings = recipe.settings
    once = Score.of([Note(240, 60, 480, 90)], settings.length_ticks)
    sound = Sound("warm_pad")
    pad = replace(recipe, role=Role.HARMONY)
    around = preview(once, pad, sound, 3, -20.0, bars=2)
    line = settings.frames - settings.tempo.bar_sample(3)
    onset = line + settings.tempo.sample_at(240)
    assert not around[:onset].any() and around[onset : onset + 5000].any()
