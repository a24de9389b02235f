"""Nothing raises into Live: what goes wrong is written to Live's Log.txt, each thing once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAX_SAID = 200  # different lines; then it is silent


class Log:
    def __init__(self, c_instance: Any) -> None:
        self._c_instance = c_instance
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        self._c_instance.log_message("ResonantGen: " + line)

    def once(self, line: str) -> None:
        if line not in self._said and len(self._said) < MAX_SAID:
            self._said.add(line)
            self.say(line)

    def guarded(self, call: Callable[..., object]) -> Callable[..., None]:
        """The same call, which never raises and gives nothing."""

        def safely(*arguments: Any) -> None:
            try:
                call(*arguments)
            except Exception as error:
                self.once(f"{type(error).__name__}: {error}")

        return safely


class Listeners:
    """Listeners on Live's objects, so that all of them can be taken off again."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._added: Any = []  # of (object, what it tells, the listener)

    def add(self, listened: Any, what: str, call: Callable[[], object]) -> None:
        """Call at each change of `what`, such as "tempo". Never raises."""
        listener = self._log.guarded(call)

        def begin() -> None:
            getattr(listened, f"add_{what}_listener")(listener)
            self._added.append((listened, what, listener))

        self._log.guarded(begin)()

    def remove_all(self) -> None:
        """Those of what was deleted meanwhile have gone with it: that is no error."""
        added, self._added = self._added, []
        for listened, what, listener in added:
            try:
                if getattr(listened, what + "_has_listener")(listener):
                    getattr(listened, f"remove_{what}_listener")(listener)
            except Exception:
                continue
