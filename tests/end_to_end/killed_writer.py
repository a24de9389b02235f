"""Writers to be killed: started by test_store_survives_kill.py, one process that forks a writer for each line it reads.

A line is a JSON object: project, export, log, seed, commands, real. The writer runs random commands on the project and
appends a line to the log, unbuffered, after each command has returned: what it was told is in the session then. Forking
from a process that has everything imported makes a writer start in milliseconds. POSIX only.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from pathlib import Path
from typing import Any

from engine.session.fakes import SHORT, FakeStudio, step, words
from resonantgen.errors import NothingToUndo, TrackLocked
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen.session.studio import Studio


def write(order: dict[str, Any]) -> None:
    """Random commands, each announced once it has returned."""
    rng = random.Random(order["seed"])
    studio = Studio() if order["real"] else FakeStudio()
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    session = Session.open_or_create(order["project"], studio)
    for _ in range(order["commands"]):
        try:
            act(session, rng, Path(order["export"]))
        except (TrackLocked, NothingToUndo):
            continue
        os.write(log, (json.dumps(announcement(session)) + "\n").encode())


def announcement(session: Session) -> dict[str, Any]:
    takes = {role.value: (t.id, t.notes_sha256, t.audio_sha256) for role, t in session.playing.items()}
    return {"takes": takes, "locked": sorted(session.locked)}


def act(session: Session, rng: random.Random, export: Path) -> None:
    if session.settings is None:
        session.generate(words(style="techno"), seed=rng.randrange(1000), **SHORT)
        return
    name = rng.choice(list(Role)).value
    choice = rng.random()
    if choice < 0.3:
        session.regenerate("", track=name)
    elif choice < 0.5:
        session.regenerate(words(attributes=step(brightness=rng.choice([-0.3, 0.3]))))
    elif choice < 0.6:
        session.tracks[name].lock()
    elif choice < 0.75:
        session.tracks[name].unlock()
    elif choice < 0.85:
        session.undo()
    elif choice < 0.95:
        session.redo()
    else:
        session.export(export)


def main() -> None:
    if os.environ.get("WARM_UP"):
        Studio()
        from resonantgen.instruments import mix, stem, wav  # noqa: F401 - compiled before the first fork
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                write(order)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "exit": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
