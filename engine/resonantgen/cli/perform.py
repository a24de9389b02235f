"""Carries a command out, on a project or through an engine, and prints what it did, the same way for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resonantgen.cli.base import Interrupted, print_json, reporter
from resonantgen.cli.place import Place
from resonantgen.errors import ResonantGenError

if TYPE_CHECKING:
    from resonantgen.music.notes import Role
    from resonantgen.report import TrackMeters
    from resonantgen.session.session import Session
    from resonantgen.session.values import Result, Take
    from resonantgen_bridge.calls import Notice
    from resonantgen_bridge.client import Client


def run(
    place: Place,
    command: str,
    arguments: Mapping[str, Any],
    offline: Callable[[Session, Callable[..., None]], Result],
    as_json: bool,
    renders: bool = True,
) -> None:
    """Have the engine make takes or move between them, or do it on the project as `offline` says."""
    if place.served:
        perform_served(place, command, arguments, as_json)
        return
    from resonantgen.session.session import Session

    with Session.open(place.path()) as session:
        perform(session, lambda meters: offline(session, meters), as_json, renders)


def perform(
    session: Session, command: Callable[[Callable[..., None]], Result], as_json: bool, renders: bool = True
) -> None:
    """Do it on an open project, with progress, and print what it did."""
    from resonantgen.report import TrackMeters

    report = reporter(as_json)
    if renders:
        report.first_time()
    before, new = session.playing, session.settings is None
    meters = TrackMeters(report.console)
    with meters.shown():
        result = command(meters.update)
    if as_json:
        print_json(_document(session))
    else:
        report.result(result, session, before, meters.seconds, new)


def perform_served(place: Place, command: str, arguments: Mapping[str, Any], as_json: bool) -> None:
    """Have the engine do it. Where its project is on this machine, the report is the same as without an engine."""
    from resonantgen.report import TrackMeters
    from resonantgen.session.session import Session

    report = reporter(as_json)
    before, new = {}, False
    if place.project is not None:
        with Session.open(place.project, readonly=True) as session:
            before, new = session.playing, session.settings is None
    meters = TrackMeters(report.console)
    given = {name: value for name, value in arguments.items() if value is not None}
    with place.client() as client:
        with meters.shown():
            outcome = call_engine(client, command, given, meters, report.plain)
        if as_json:
            print_json(client.call("session")["session"])
        elif place.project is None:
            from resonantgen.report_live import outcome_of_engine

            outcome_of_engine(report, outcome, client.call("session")["session"], meters.seconds)
        else:
            with Session.open(place.project, readonly=True) as session:
                result = _result(outcome, session)
                for role, take in result.changed.items():
                    if take is not None and take.number > 1 and role not in before:
                        # It was made after we looked, by somebody whose command was done before ours.
                        before[role], new = session.takes(role)[take.number - 2], False
                report.result(result, session, before, meters.seconds, new, served=True)


def set_lock(track: str, place: Place, as_json: bool, locked: bool) -> None:
    """Freeze a track or free it."""
    if place.served:
        with place.client() as client:
            client.call("lock", track=track, locked=locked)
            if as_json or place.project is None:
                print_session(place, client, as_json)
                return
    from resonantgen.session.session import Session

    with Session.open(place.path(), readonly=place.served) as session:
        if not place.served:
            (session.lock if locked else session.unlock)(track)
        if as_json:
            print_json(_document(session))
        else:
            reporter(as_json).lock(session, track)


def print_session(place: Place, client: Client, as_json: bool) -> None:
    """Where the session of an engine stands."""
    if as_json or place.project is None:
        document = client.call("session")["session"]
        if as_json:
            print_json(document)
            return
        from resonantgen.report_live import session_of_engine

        session_of_engine(reporter(as_json), document)
        return
    from resonantgen.session.session import Session

    with Session.open(place.project, readonly=True) as session:
        print_opened(session, as_json)


def print_opened(session: Session, as_json: bool) -> None:
    """Where an open session stands."""
    if as_json:
        print_json(_document(session))
    else:
        reporter(as_json).session(session)


def call_engine(
    client: Client,
    command: str,
    arguments: Mapping[str, Any],
    meters: TrackMeters,
    say: Callable[[str], None],
) -> Mapping[str, Any]:
    """Wait for the engine; the client cancels the command if Ctrl-C ends the wait."""
    from resonantgen.music.notes import Role
    from resonantgen.session.values import Progress

    def progress(notice: Notice) -> None:
        at = notice.fields
        meters.update(Progress(Role(at["track"]), at["stage"], at["bar"], at["bars"]))

    try:
        outcome: Mapping[str, Any] = client.call(command, on_progress=progress, **arguments)
    except KeyboardInterrupt:
        with suppress(ResonantGenError):
            client.call("ping")  # answered once the engine has read that the command is cancelled
        raise Interrupted("Interrupted. The engine was told to give it up; what was committed is safe.") from None
    return outcome


def _result(outcome: Mapping[str, Any], session: Session) -> Result:
    """What the engine answered, with the takes that it names."""
    from resonantgen.music.notes import Role
    from resonantgen.prompt import intent_from_dict
    from resonantgen.session.values import Result

    def find(role: Role, take_id: str | None) -> Take | None:
        playing = session.playing.get(role)
        if take_id is None:
            return None
        if playing is not None and playing.id == take_id:
            return playing
        return next((take for take in session.takes(role) if take.id == take_id), None)  # it plays no more by now

    understood = outcome["understood"]
    return Result(
        intent_from_dict(understood) if understood else None,
        {Role(role): find(Role(role), take_id) for role, take_id in outcome["changed"].items()},
        tuple(Role(role) for role in outcome["locked"]),
        tuple(Role(role) for role in outcome["kept"]),
    )


def _document(session: Session) -> dict[str, Any]:
    from resonantgen.session.export import session_document

    return session_document(session)
