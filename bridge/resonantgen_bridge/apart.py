"""Writes files of a project that is being served, in a process of its own.

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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resonantgen.errors import EngineError, ResonantGenError
from resonantgen_bridge import wire

if TYPE_CHECKING:
    from resonantgen.session.session import Session

NICENESS = 10  # sound and answers go first


async def run_apart(module: str, *arguments: str, remove_unfinished: Callable[[int], None]) -> dict[str, Any]:
    """Run a module of ours whose `main` calls `answer`, and give what that answered.

    Cancelling kills the process; `remove_unfinished` is then told its id, and removes what it has begun.
    Raises what the work raised, and EngineError.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()  # it may be in the midst of compiling, where it would hear nothing else
            await process.wait()
            remove_unfinished(process.pid)
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise EngineError(
            f"What was to write the files ended without a word (exit code {process.returncode}). Try again."
        ) from None
    if "folder" not in answer:
        raise wire.error_from(answer)
    return answer


def answer(project: str, work: Callable[[Session], dict[str, Any]], niceness: int = NICENESS) -> None:
    """In the process: print what the work gives, with its "folder", or what was wrong, as JSON."""
    from resonantgen.session.session import Session

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which then ends this process
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(niceness)
    try:
        with Session.open(Path(project), readonly=True) as session:
            document = work(session)
    except ResonantGenError as error:
        document = wire.error_fields(error)
    print(json.dumps(document))
