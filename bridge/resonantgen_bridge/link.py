"""Ableton Link: tempo, beat phase, start and stop, shared with other programs on the network, both ways.

It needs the package `aalink`, which is GPL-3 (Link itself is GPL-2 or later) and neither shipped with ResonantGen nor
imported before a user asks for Link: `pip install 'resonantgen[link]'`.

Link's quantum is a bar: others agree with us on where in a bar we are, not on which bar it is, so the engine stays in
the bar that it plays and is only moved within it. Everything here belongs to the engine's asyncio loop.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, Final

from resonantgen.errors import BadValue, DeviceError
from resonantgen.music.time import MAX_TEMPO_BPM, MIN_TEMPO_BPM, TICKS_PER_QUARTER, Meter
from resonantgen_bridge.calls import Call, Engine, Notice
from resonantgen_bridge.lanes import Lanes, Report
from resonantgen_bridge.parsing import parse_call

_SAME_BPM: Final = 0.01  # Link counts whole microseconds a beat, so that 140 arrives as 140.00014


class LinkSync:
    """A peer of the Link session on this network."""

    def __init__(self, engine: Engine, report: Report) -> None:
        """Joins with the engine's tempo; a session that is there already keeps its own. In the running loop.

        Raises DeviceError without the package.
        """
        self._engine = engine
        self._report = report
        self._lanes = Lanes(engine, "link", report)
        self._loop = asyncio.get_running_loop()
        self._link = _new_link(float(engine.state["tempo"]))
        self._link.start_stop_sync_enabled = True
        self._link.quantum = self._bar_quarters()
        self._link.playing = bool(engine.state["play"])
        self._link.set_tempo_callback(self._tempo_told)
        self._link.set_start_stop_callback(self._play_told)
        self._unsubscribe = engine.subscribe(self._noticed)
        self._link.enabled = True

    @property
    def peers(self) -> int:
        """How many others there are."""
        return int(self._link.num_peers)

    def status(self) -> dict[str, Any]:
        return {"peers": self.peers}

    async def close(self) -> None:
        """Leave the session."""
        self._unsubscribe()
        self._link.set_tempo_callback(_ignore)
        self._link.set_start_stop_callback(_ignore)
        self._link.enabled = False
        await self._lanes.close()

    def _tempo_told(self, bpm: float) -> None:
        """The session's tempo has changed, by us or by another."""
        tempo = round(bpm, 2)
        if abs(tempo - float(self._engine.state["tempo"])) <= _SAME_BPM:
            return
        if MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM:
            self._lanes.send("tempo", partial(parse_call, "tempo", {"tempo": tempo}), latest=True)
        else:
            self._report(BadValue(f"Link's tempo of {tempo:g} bpm cannot be played here, so ours stays."))

    def _play_told(self, on: bool) -> None:
        if on != bool(self._engine.state["play"]):
            self._lanes.send("play", partial(Call, "play", {"on": on}), latest=True)

    def _noticed(self, notice: Notice) -> None:
        if notice.event == "beat":
            # Not from inside a listener: aligning may give notices of its own.
            self._loop.call_soon(self._align, int(notice.fields["bar"]), int(notice.fields["beat"]))
        elif notice.event == "changed":
            state = notice.fields["state"]
            if "meter" in state:
                self._link.quantum = self._bar_quarters()
            if "tempo" in state and abs(self._link.tempo - float(state["tempo"])) > _SAME_BPM:
                self._link.tempo = float(state["tempo"])
            if "play" in state and self._link.playing != bool(state["play"]):
                self._link.playing = bool(state["play"])

    def _align(self, bar: int, beat: int) -> None:
        """Move the engine within its bar to where the session is. It has just mixed that beat."""
        if not self.peers or not self._engine.state["play"]:
            return
        meter = self._meter()
        quantum = meter.bar_ticks / TICKS_PER_QUARTER
        position = (bar - 1) * quantum + meter.beats_ticks[(beat - 1) % len(meter.beats_ticks)] / TICKS_PER_QUARTER
        now, ours = time.monotonic(), float(self._link.beat)
        bars_apart = round((ours - position) / quantum)
        self._engine.align(ours - bars_apart * quantum, now)

    def _meter(self) -> Meter:
        return Meter.parse(str(self._engine.state["meter"]))

    def _bar_quarters(self) -> float:
        return self._meter().bar_ticks / TICKS_PER_QUARTER


def _ignore(*_: object) -> None:
    """For what is called no more."""


def _new_link(tempo_bpm: float) -> Any:
    """A peer that is not enabled yet, of the running loop. Raises DeviceError without the package."""
    try:
        from aalink import Link
    except ImportError:
        raise DeviceError("Ableton Link is an extra that is not installed: pip install 'resonantgen[link]'") from None
    return Link(tempo_bpm)
