"""Imports a recording into a project that is being served, in a process of its own (`apart`).

The process reads the project beside the engine. It puts the file and its stem into the project's folder, under the
hashes of their bytes, and gives the take; nothing refers to them until the engine records it.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from resonantgen.session.codec import pack, unpack
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.import_plan import ImportPlan
from resonantgen.session.import_report import plan_document, report
from resonantgen.session.importing import listen_only
from resonantgen.session.jobs import Order, parse_role
from resonantgen.session.session import Session
from resonantgen.session.values import Take
from resonantgen_bridge.apart import answer, run_apart

_THIS = "resonantgen_bridge.importing"
NICENESS = 3  # a person waits for it

Work: TypeAlias = Callable[[Session, Path, str, ImportOptions], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Made:
    """A recording that is fitted, for the engine to take."""

    order: Order
    take: Take
    report: list[list[str]]
    heard: dict[str, Any]


async def import_apart(project: Path, file: Path, track: str, lock: bool, said: Mapping[str, Any]) -> Made:
    """Listen to a file and fit it. Cancelling ends that; what it has written is for `Session.imports_kept` to remove.

    Raises what `Session.import_audio` raises, and EngineError.
    """
    role = parse_role(track)
    made = await _run(_make, project, file, role.value, said)
    order = unpack(base64.b64decode(made["order"]), Order)
    locks = frozenset({role} if lock else ())
    take = unpack(base64.b64decode(made["take"]), Take)
    return Made(replace(order, locks=locks), take, made["report"], made["heard"])


async def rehearse_apart(project: Path, file: Path, track: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Only listen: the "report" of what an import would do, and the same as plain values, "heard". Raises likewise."""
    rehearsed = await _run(_rehearse, project, file, parse_role(track).value, said)
    return {"report": rehearsed["report"], "heard": rehearsed["heard"]}


async def _run(work: Work, project: Path, file: Path, track: str, said: Mapping[str, Any]) -> dict[str, Any]:
    arguments = (work.__name__, str(project), str(file.absolute()), track, json.dumps(dict(said)))
    return await run_apart(_THIS, *arguments, remove_unfinished=lambda pid: None)


def main(work: str, project: str, file: str, track: str, said: str) -> None:
    do = {done.__name__: done for done in (_make, _rehearse)}[work]

    def answered(session: Session) -> dict[str, Any]:
        done = do(session, Path(file), track, ImportOptions.parse(**json.loads(said)))
        return {"folder": str(session.path), **done}

    answer(project, answered, NICENESS)


def _make(session: Session, file: Path, track: str, options: ImportOptions) -> dict[str, Any]:
    plans: list[ImportPlan] = []
    prepared = session.prepare_import(file, track, options, plans.append)
    return {
        "order": base64.b64encode(pack(prepared.order)).decode(),
        "take": base64.b64encode(pack(prepared.take)).decode(),
        **_heard(plans[0]),
    }


def _rehearse(session: Session, file: Path, track: str, options: ImportOptions) -> dict[str, Any]:
    return _heard(listen_only(file, track, options, session.standing))


def _heard(plan: ImportPlan) -> dict[str, Any]:
    return {"report": report(plan), "heard": plan_document(plan)}


if __name__ == "__main__":
    main(*sys.argv[1:])
