"""What happened so far in a run: the loss of every step, and held-out figures now and then."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class History:
    """The curve of a run. Lists have a value for every step; a part that a step did not have is NaN."""

    losses: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    evaluations: list[tuple[int, dict[str, float]]] = field(default_factory=list)  # after so many steps

    @property
    def steps(self) -> int:
        """How many are done."""
        return len(self.losses)

    def add(self, loss: float, parts: Mapping[str, float]) -> None:
        """One more step."""
        for name in parts:
            self.parts.setdefault(name, [math.nan] * len(self.losses))
        for name, values in self.parts.items():
            values.append(parts.get(name, math.nan))
        self.losses.append(loss)

    def latest(self) -> dict[str, float]:
        """Parts of the loss of the last step."""
        return {name: values[-1] for name, values in self.parts.items()}
