"""Who listens to the engine, and the state that they are told of. All of it belongs to the engine's loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

from resonantgen_bridge.calls import Listener, Notice, Value
from resonantgen_bridge.protocol import EVENT, PROPERTY_OF_KEY

_log = logging.getLogger(__name__)


class Hub:
    """Passes notices on to everyone who subscribed, in order, and keeps the value of every property."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._state: dict[str, Value] = {}

    @property
    def state(self) -> Mapping[str, Value]:
        return MappingProxyType(self._state)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Gives what ends it, once; calling that again does nothing."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def tell(self, event: str, **fields: Value) -> None:
        """A listener that fails is dropped, so that it cannot keep the others from hearing."""
        assert event in EVENT, event
        notice = Notice(event, fields)
        for listener in tuple(self._listeners):
            try:
                listener(notice)
            except Exception:
                _log.exception("A listener failed and is not told anything any more.")
                self._listeners.remove(listener)

    def update(self, values: Mapping[str, Value]) -> None:
        """Keep these values, and tell those that are new."""
        assert values.keys() <= PROPERTY_OF_KEY.keys(), values.keys() - PROPERTY_OF_KEY.keys()
        changed = {key: value for key, value in values.items() if self._state.get(key, _NOTHING) != value}
        if changed:
            self._state.update(changed)
            self.tell("changed", state=changed)


_NOTHING = object()
