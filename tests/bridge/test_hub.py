"""What listeners are told, and in which order."""

from __future__ import annotations

import logging

import pytest

from resonantgen_bridge.calls import Notice
from resonantgen_bridge.hub import Hub


def test_everyone_hears_everything_in_order() -> None:
    hub, first, second = Hub(), [], []
    hub.subscribe(first.append)
    end = hub.subscribe(second.append)
    hub.tell("beat", bar=1, beat=1)
    hub.tell("beat", bar=1, beat=2)
    end()
    end()
    hub.tell("beat", bar=1, beat=3)
    assert first == [Notice("beat", {"bar": 1, "beat": beat}) for beat in (1, 2, 3)]
    assert second == first[:2]


def test_only_values_that_are_new_are_told() -> None:
    hub, heard = Hub(), []
    hub.subscribe(heard.append)
    hub.update({"tempo": 120.0, "play": False})
    hub.update({"tempo": 120.0, "play": True})
    hub.update({"tempo": 120.0})
    assert heard == [
        Notice("changed", {"state": {"tempo": 120.0, "play": False}}),
        Notice("changed", {"state": {"play": True}}),
    ]
    assert dict(hub.state) == {"tempo": 120.0, "play": True}


def test_the_state_is_there_before_anyone_is_told() -> None:
    hub, seen = Hub(), []
    hub.subscribe(lambda _: seen.append(hub.state["tempo"]))
    hub.update({"tempo": 140.0})
    assert seen == [140.0]


def test_a_listener_that_fails_is_dropped_and_the_others_hear_on(caplog: pytest.LogCaptureFixture) -> None:
    hub, heard = Hub(), []

    def fail(notice: Notice) -> None:
        raise RuntimeError("broken")

    hub.subscribe(fail)
    hub.subscribe(heard.append)
    with caplog.at_level(logging.CRITICAL):
        hub.tell("heartbeat", seconds=1.0)
        hub.tell("heartbeat", seconds=2.0)
    assert [notice.fields["seconds"] for notice in heard] == [1.0, 2.0]


def test_a_property_that_is_not_in_the_table_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        Hub().update({"tempi": 120.0})
    with pytest.raises(AssertionError):
        Hub().tell("boat")
