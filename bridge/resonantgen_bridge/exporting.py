"""Exports a project that is being served, in a process of its own.

Stems at another tempo than that of their takes are rendered again. In the engine that would load and run all of the
synthesis beside the player's thread, and be heard. The process reads the project's files beside the engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path

from resonantgen.errors import EngineError, ResonantGenError
from resonantgen.session.export import remove_unfinished
from resonantgen_bridge import wire

NICENESS = 10  # sound and answers go first


async def export(project: Path, folder: Path) -> Path:
    """Write a project's export, and give the folder's whole path. Cancelling ends it, and leaves nothing behind.

    Raises what `Session.export` raises, and EngineError.
    """
    command = [sys.executable, "-P", "-m", "resonantgen_bridge.exporting", str(project), str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()  # it may be in the midst of compiling, where it would hear nothing else
            await process.wait()
            remove_unfinished(folder, process.pid)
    try:
        answer = json.loads(output)
    except ValueError:
        raise EngineError(f"The export ended without a word (exit code {process.returncode}). Try again.") from None
    if "folder" not in answer:
        raise wire.error_from(answer)
    return Path(answer["folder"])


def main(project: str, folder: str) -> None:
    """The process: print where the export is, or what was wrong, as JSON."""
    from resonantgen.session.session import Session

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which then ends this process
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(NICENESS)
    try:
        with Session.open(project, readonly=True) as session:
            answer = {"folder": str(session.export(folder).absolute())}
    except ResonantGenError as error:
        answer = wire.error_fields(error)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
