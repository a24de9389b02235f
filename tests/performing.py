"""For tests of the worker: a generator of sound that costs nothing, and orders with tracks that it plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection

from engine.session.fakes import SMALL, FakeStudio
from orders import small_order
from resonantgen.generators.audio import AudioRequest, Performance
from resonantgen.music.notes import Role
from resonantgen.realtime.making import run
from resonantgen.realtime.worker_process import LocalProcess
from resonantgen.session import studio
from resonantgen.session.jobs import Order

ENDLESS = "for ever"  # words: what plays them tells of a bar again and again, until it is stopped


class FakeGenerator:
    """What the session's fake studio plays."""

    def __init__(self, name: str) -> None:
        self.name = name

    def perform(self, request: AudioRequest, on_bar: Callable[[int], None]) -> Performance:
        on_bar(1)
        while request.words == ENDLESS:
            on_bar(1)
        return FakeStudio().perform(self.name, request, on_bar)


FAKES = {"require_audio_generator": lambda name: None, "get_audio_generator": FakeGenerator}  # in `session.studio`


def run_with_fakes(connection: Connection) -> None:
    """As `making.run`, in a process of its own."""
    vars(studio).update(FAKES)
    run(connection)


def launch() -> LocalProcess:
    return LocalProcess(run_with_fakes)


def order_of_sound(*roles: Role, words: str = "dark techno", bars: int = 2, tempo: int = 240) -> Order:
    """A first generation in which these are sound."""
    order = small_order(bars=bars, tempo=tempo)
    parts = {
        role: replace(part, generator=SMALL, words=words) if role in roles else part
        for role, part in order.job.parts.items()
    }
    return replace(order, job=replace(order.job, parts=parts))
