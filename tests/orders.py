"""Small orders for tests of the worker, and what it says while it works on them."""

from __future__ import annotations

from dataclasses import replace

from resonantgen.music.notes import Role
from resonantgen.prompt.intent import Intent
from resonantgen.realtime.worker import Ready
from resonantgen.session.jobs import Order, Standing, generation
from resonantgen.session.settings import Options
from resonantgen.session.values import Progress


def small_order(
    style: str = "techno", *, bars: int = 2, seed: int = 1, tempo: int = 240, roles: list[Role] | None = None
) -> Order:
    """A first generation."""
    standing = Standing(None, {}, frozenset(), seed, 0)
    options = Options.parse(tempo=tempo, bars=bars, sample_rate=44_100)
    job = generation(standing, Intent(style, style=style), options, seed, roles)
    return Order("generate", job, standing, dict.fromkeys(job.parts, 1))


def with_instrument(order: Order, instrument: str) -> Order:
    """The order with every part on one instrument, which need not exist."""
    parts = {role: replace(part, instrument=instrument) for role, part in order.job.parts.items()}
    return replace(order, job=replace(order.job, parts=parts))


class Ear:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.ready: list[Ready] = []

    def __call__(self, news: Progress | Ready) -> None:
        if isinstance(news, Ready):
            self.ready.append(news)
        else:
            self.progress.append(news)

    @property
    def partial(self) -> dict[Role, Ready]:
        """The first of each track."""
        return {ready.role: ready for ready in reversed(self.ready) if ready.material.partial}

    def partials(self, role: Role) -> list[Ready]:
        return [ready for ready in self.ready if ready.material.partial and ready.role is role]

    @property
    def whole(self) -> dict[Role, Ready]:
        return {ready.role: ready for ready in self.ready if not ready.material.partial}
