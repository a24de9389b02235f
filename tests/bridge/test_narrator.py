"""The lines that `resonantgen serve` says: each change once, and no more than a person wants to read."""

from __future__ import annotations

from typing import Any

from resonantgen_bridge.calls import Notice
from resonantgen_bridge.narrator import Narrator


def said(*notices: tuple[str, dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    state: dict[str, Any] = {}
    narrator = Narrator(state, lines.append)
    for event, fields in notices:
        state |= fields.get("state", {})
        narrator.hear(Notice(event, fields))
    return lines


def changed(**state: Any) -> tuple[str, dict[str, Any]]:
    return "changed", {"state": {key.replace("__", "/"): value for key, value in state.items()}}


HEARTBEAT = ("heartbeat", {"seconds": 1.0})


def test_a_tempo_that_is_dragged_is_said_once_a_heartbeat_and_at_its_end() -> None:
    dragged = [changed(tempo=100.0 + step / 2) for step in range(100)]
    assert said(*dragged, HEARTBEAT, HEARTBEAT) == ["  tempo      149.5 bpm"]
    assert said(*dragged[:50], HEARTBEAT, *dragged[50:], HEARTBEAT) == [
        "  tempo      124.5 bpm",
        "  tempo      149.5 bpm",
    ]


def test_a_tempo_that_comes_with_new_music_is_said_with_it() -> None:
    lines = said(changed(tempo=90.0), changed(style="techno", tempo=132.0), HEARTBEAT)
    assert lines == ["  style      techno", "  tempo      132 bpm"]


def test_a_track_that_was_left_out_is_said_to_be_silent() -> None:
    assert said(changed(track__melody__take="")) == ["  melody     silent"]


def test_locks_and_the_transport_are_said_at_once() -> None:
    assert said(changed(track__bass__lock=True), changed(play=False)) == ["  bass       locked", "  transport  stopped"]


def test_a_device_that_is_gone_is_said_once_and_another_problem_beside_it() -> None:
    gone, full = '"system" is gone', "the disk is full"
    problems = [("problem", {"code": "X", "message": message}) for message in (gone, full)]
    assert said(changed(audio=gone), *problems) == [f"  sound      {gone}", full]


def test_the_first_music_is_said_to_be_on_its_way_and_later_music_is_not() -> None:
    """It may take a while: the worker gets ready for it."""
    assert said(changed(busy=True), changed(busy=False)) == ["  plays      making the first music ..."]
    assert said(changed(bars=8), changed(busy=True)) == []


def test_what_will_be_made_at_once_needs_no_advice() -> None:
    def lines(prompt: str) -> list[str]:
        begun: list[str] = []
        Narrator({"project": "night.rg", "bars": 0, "audio": "none"}, begun.append).begin({}, prompt)
        return begun

    assert "  plays      nothing yet" in lines("dark techno")
    assert '  plays      nothing yet. Start with: resonantgen generate "dark techno"' in lines(" ")
