"""Making takes one after another: what is told on the way, and how the work is ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.session.fakes import SHORT, FakeStudio, words
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.notes import Role, Score
from resonantgen.session.jobs import Job, Standing, generation
from resonantgen.session.produce import make_takes, no_progress
from resonantgen.session.settings import Options
from resonantgen.session.values import Progress, Recipe, Take

STANDING = Standing(None, {}, frozenset(), 7, 0)
NUMBERS = dict.fromkeys(Role, 1)


def job() -> Job:
    return generation(STANDING, words(style="techno"), Options.parse(**SHORT), 7, None)


def test_a_draft_is_told_in_this_thread_once_its_notes_are_final_and_before_it_is_rendered() -> None:
    events: list[tuple[str, Role]] = []
    here = threading.current_thread()
    drafts: list[Take] = []

    class Watched(FakeStudio):
        def render(
            self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None
        ) -> Samples:
            events.append(("render", recipe.role))
            return super().render(score, recipe, sound)

    def on_progress(progress: Progress) -> None:
        assert threading.current_thread() is here
        events.append((progress.stage, progress.role))

    def on_draft(draft: Take) -> None:
        assert threading.current_thread() is here
        drafts.append(draft)
        events.append(("draft", draft.role))

    takes = make_takes(job(), STANDING, Watched(), NUMBERS, lambda _: "hash", on_progress, on_draft)
    assert [replace(draft, audio_sha256="hash") for draft in drafts] == takes
    assert [role for event, role in events if event == "draft"] == list(Role)
    for role in Role:
        assert [event for event, other in events if other is role] == ["notes", "draft", "render", "sound"]


def test_tracks_are_made_in_their_order_whatever_that_of_the_mapping() -> None:
    asked = job()
    turned = replace(asked, parts={role: asked.parts[role] for role in reversed(Role)})
    made = [make_takes(each, STANDING, FakeStudio(), NUMBERS, lambda _: "") for each in (asked, turned)]
    assert made[0] == made[1]


class EndlessStudio(FakeStudio):
    """Rendering ends only when it is told to."""

    def __init__(self) -> None:
        self.started, self.ended = threading.Event(), threading.Event()

    def render(self, score: Score, recipe: Recipe, sound: Sound, on_bar: Callable[[], None] | None = None) -> Samples:
        assert on_bar is not None
        self.started.set()
        try:
            while True:
                on_bar()
                time.sleep(0.001)
        finally:
            self.ended.set()


class Enough(Exception):
    """Raised to end the work."""


@pytest.mark.parametrize("where", ["notes", "draft"])
def test_what_a_hook_raises_ends_the_work(where: str) -> None:
    studio = EndlessStudio()
    stored: list[bytes] = []

    def stop(event: Progress | Take) -> None:
        if event.role is Role.MELODY:
            assert studio.started.wait(60)
            raise Enough

    hooks = (stop, lambda _: None) if where == "notes" else (no_progress, stop)
    with pytest.raises(Enough):
        make_takes(job(), STANDING, studio, NUMBERS, lambda data: str(stored.append(data)), *hooks)
    assert studio.ended.wait(60), "what was being rendered ended at its next bar"
    assert not stored


def test_a_job_without_parts_makes_nothing() -> None:
    def refuse(_: object) -> str:
        raise AssertionError

    empty = replace(job(), parts={}, seeds={})
    assert make_takes(empty, STANDING, FakeStudio(), {}, refuse, lambda _: None) == []
