"""How long generating takes, for `status`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection

TIMES_KEPT = 200


class Times:
    """What the latest orders took, in seconds, from when their work began."""

    def __init__(self) -> None:
        self._first_bars: deque[float] = deque(maxlen=TIMES_KEPT)  # until a first bar was ready to play
        self._wholes: deque[float] = deque(maxlen=TIMES_KEPT)  # until every take was whole

    def add(self, first_bar_seconds: float, whole_seconds: float) -> None:
        self._first_bars.append(first_bar_seconds)
        self._wholes.append(whole_seconds)

    def document(self) -> dict[str, int | float | None]:
        """Milliseconds; None before there are any. Half, or 95 %, of the orders took no longer."""
        return {
            "orders": len(self._wholes),
            "first_bar_ms_p50": _percentile_ms(self._first_bars, 50),
            "first_bar_ms_p95": _percentile_ms(self._first_bars, 95),
            "whole_ms_p50": _percentile_ms(self._wholes, 50),
            "whole_ms_p95": _percentile_ms(self._wholes, 95),
        }


def _percentile_ms(seconds: Collection[float], percent: int) -> float | None:
    """The least of them that so many percent do not exceed."""
    if not seconds:
        return None
    return round(1000 * sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1], 1)
