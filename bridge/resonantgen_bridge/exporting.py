"""Exports a project that is being served, in a process of its own (`apart`)."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from resonantgen.session.export import remove_unfinished
from resonantgen_bridge.apart import answer, run_apart

_THIS = "resonantgen_bridge.exporting"


async def export(project: Path, folder: Path) -> Path:
    """Write a project's export, and give the folder's whole path. Cancelling ends it, and leaves nothing behind.

    Raises what `Session.export` raises, and EngineError.
    """
    written = await run_apart(_THIS, str(project), str(folder), remove_unfinished=partial(remove_unfinished, folder))
    return Path(written["folder"])


def main(project: str, folder: str) -> None:
    answer(project, lambda session: {"folder": str(session.export(folder).absolute())})


if __name__ == "__main__":
    main(*sys.argv[1:])
