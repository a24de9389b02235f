"""For tests of previews: a worker that is scripted, by a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from resonantgen.music.notes import Role
from resonantgen.realtime.material import Frames, Grid, Material
from resonantgen.realtime.pace import USUAL_PACE, Pace, Runway
from resonantgen.realtime.previews import Previews

CORES = 2
COMPOSING_SECONDS = 0.04  # for each track
BESIDE = 1.5  # how much longer it takes to extend a preview while every core renders


def bar_seconds(loop: Grid) -> float:
    return loop.tempo.seconds(loop.tempo.meter.bar_ticks)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """A stream whose bars take their time, and are those of a whole loop."""

    whole: Material
    loop: Grid
    bar: int
    work: Callable[[], None] = lambda: None

    def next_bar(self) -> Frames:
        self.work()
        bar = self.bar % self.loop.bars
        self.bar += 1
        tempo = self.loop.tempo
        return self.whole.samples[tempo.bar_sample(bar) : tempo.bar_sample(bar + 1)]


@dataclass
class Work:
    """A worker that takes so many times as long as it expects, by a clock of its own."""

    loop: Grid
    wholes: dict[Role, Material]
    slowness: float
    clock: Clock = field(default_factory=Clock)
    sent: list[tuple[float, Role, Material]] = field(default_factory=list)
    beside: float = 1.0

    def run(self, bar: int) -> list[tuple[float, Role, Material]]:
        """What it sends, and when."""
        seconds = bar_seconds(self.loop)
        first_frame = self.loop.tempo.bar_sample(bar)

        def send(role: Role, samples: Frames) -> None:
            whole = self.wholes[role]
            part = Material(f"{whole.name}~", samples, whole.notes, first_frame, partial=True, stream=7)
            self.sent.append((self.clock.now, role, part))

        def work() -> None:
            self.clock.now += self.slowness * self.beside * USUAL_PACE * seconds

        previews = Previews(Runway(self.loop.bars, seconds), send, lambda: False, self.clock)
        for role in self.wholes:
            self.clock.now += COMPOSING_SECONDS
            previews.begin(role, Scripted(self.wholes[role], self.loop, bar, work))
        lengths = dict.fromkeys(self.wholes, self.loop.bars * seconds)
        previews.await_wholes(Pace().seconds_for(lengths, CORES))
        self._render(previews, list(self.wholes))
        return self.sent

    def _render(self, previews: Previews, roles: list[Role]) -> None:
        """Wholes, so many at a time; what is spent on previews meanwhile comes on top."""
        self.beside = BESIDE
        each = self.slowness * Pace().seconds_for({Role.BASS: self.loop.bars * bar_seconds(self.loop)}, 1)
        done_at = [self.clock.now + (1 + i // CORES) * each for i in range(len(roles))]
        while roles:
            due_at = self.clock.now + previews.due_in_seconds
            if due_at < done_at[0]:
                self.clock.now = due_at
                previews.extend()
                done_at = [at + self.clock.now - due_at for at in done_at]
                continue
            self.clock.now = max(self.clock.now, done_at.pop(0))
            role = roles.pop(0)
            previews.end(role)
            self.sent.append((self.clock.now, role, self.wholes[role]))
