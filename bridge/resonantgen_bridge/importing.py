"""Imports a recording into a project that is being served, in a process of its own (`apart`).

The process reads the project beside the engine. It puts the file and its stem into the project's folder, under the
hashes of their bytes, and gives the take; nothing refers to them until the engine records it.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resonantgen.session.codec import pack, unpack
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.import_report import report
from resonantgen.session.jobs import Order, parse_role
from resonantgen.session.session import Session
from resonantgen.session.values import Take
from resonantgen_bridge.apart import answer, run_apart

_THIS = "resonantgen_bridge.importing"
NICENESS = 3  # a person waits for it


@dataclass(frozen=True, slots=True)
class Made:
    """A recording that is fitted, for the engine to take."""

    order: Order
    take: Take
    report: list[list[str]]


async def import_apart(project: Path, file: Path, track: str, lock: bool, said: Mapping[str, Any]) -> Made:
    """Listen to a file and fit it. Cancelling ends that; what it has written goes when the project is next opened.

    Raises what `Session.import_audio` raises, and EngineError.
    """
    role = parse_role(track)
    arguments = (str(project), str(file.absolute()), role.value, json.dumps(dict(said)))
    made = await run_apart(_THIS, *arguments, remove_unfinished=lambda pid: None)
    order = unpack(base64.b64decode(made["order"]), Order)
    locks = frozenset({role} if lock else ())
    return Made(replace(order, locks=locks), unpack(base64.b64decode(made["take"]), Take), made["report"])


def main(project: str, file: str, track: str, said: str) -> None:
    answer(
        project, lambda session: _made(session, Path(file), track, ImportOptions.parse(**json.loads(said))), NICENESS
    )


def _made(session: Session, file: Path, track: str, options: ImportOptions) -> dict[str, Any]:
    shown: list[list[str]] = []
    prepared = session.prepare_import(file, track, options, lambda plan: shown.extend(map(list, report(plan))))
    return {
        "folder": str(session.path),
        "order": base64.b64encode(pack(prepared.order)).decode(),
        "take": base64.b64encode(pack(prepared.take)).decode(),
        "report": shown,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
