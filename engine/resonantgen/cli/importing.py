"""`resonantgen import`: a person's own recording as a track, on a project or through the engine that serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from resonantgen.cli.base import (
    commands,
    engine_options,
    json_option,
    print_json,
    project_option,
    projects_here,
    reporter,
)
from resonantgen.cli.perform import call_engine, print_session
from resonantgen.cli.place import Place, find_place
from resonantgen.errors import BadValue, ResonantGenError, TrackLocked


@commands.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--as", "track", metavar="TRACK", required=True, help="drums, bass, harmony or melody.")
@click.option("--lock", is_flag=True, help="Freeze the track at once.")
@click.option("--tempo", metavar="BPM", help="The recording's own, instead of what is heard.")
@click.option("--meter", metavar="N/D", help="Its meter; 4/4 unless the project says otherwise.")
@click.option("--offset", metavar="SECONDS", type=float, help="Where in it the first bar begins.")
@click.option("--bars", metavar="N", type=int, help="How many bars to take; a new project is that long.")
@click.option("--key", metavar="KEY", help='Its key, instead of what is heard: "A minor".')
@click.option("--chords", metavar="CHORDS", help='Its chords, one a bar: "Am F C G"; "Am | F G" where bars share.')
@click.option("--follow", "fit", flag_value="follow", help="Take the project to the recording's tempo and key.")
@click.option("--stretch", "fit", flag_value="stretch", help="Bring the recording to the project's tempo.")
@click.option("--dry-run", is_flag=True, help="Only listen and say what is heard; change nothing.")
@project_option
@engine_options
@json_option
def import_file(
    file: Path,
    track: str,
    lock: bool,
    tempo: str | None,
    meter: str | None,
    offset: float | None,
    bars: int | None,
    key: str | None,
    chords: str | None,
    fit: str | None,
    dry_run: bool,
    project: Path | None,
    engine: str | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Make a track of your own recording: its tempo, bar line, key and chords are heard, shown, and yours to correct.

    The file itself is kept in the project as it is. Other tracks are written to it: resonantgen generate.
    """
    place = find_place(project, engine, keys, default=lambda: _newest_or_named(file))
    said: dict[str, Any] = {
        "tempo": tempo,
        "meter": meter,
        "offset": offset,
        "bars": bars,
        "key": key,
        "chords": chords,
    }
    if place.served:
        path = str(file.absolute()) if place.project is not None else str(file)
        _import_served(place, {"file": path, "track": track, "lock": lock, "fit": fit, **said}, dry_run, as_json)
        return
    from resonantgen.session.import_options import ImportOptions
    from resonantgen.session.import_report import plan_document, report
    from resonantgen.session.importing import listen_only
    from resonantgen.session.session import Session

    options = ImportOptions.parse(**said, fit=fit or "refuse")
    if dry_run:
        standing = None
        if place.project is not None and place.project.is_dir():
            with Session.open(place.path(), readonly=True) as session:
                standing = session.standing
        plan = listen_only(file, track, options, standing)
        _show_rehearsal(report(plan), plan_document(plan), as_json)
        return
    with Session.open_or_create(place.path()) as session:
        new = session.settings is None
        result = session.import_audio(
            file, track, lock=lock, options=options, on_plan=lambda plan: None if as_json else _show(report(plan))
        )
        if as_json:
            from resonantgen.session.export import session_document

            print_json(session_document(session))
            return
        reporter(as_json).imported(result, session, new)


def _import_served(place: Place, asked: Mapping[str, Any], dry_run: bool, as_json: bool) -> None:
    """Have the engine do it; what it heard is shown as if it was done here, also where it refuses."""
    from resonantgen.report import TrackMeters

    report = reporter(as_json)
    given = {name: value for name, value in asked.items() if value is not None}
    with place.client() as client:

        def call(dry_run: bool) -> Mapping[str, Any]:
            given["dry_run"] = dry_run
            return call_engine(client, "import_audio", given, TrackMeters(report.console), report.plain)

        try:
            outcome = call(dry_run)
        except (BadValue, TrackLocked):
            if not dry_run and not as_json:
                with suppress(ResonantGenError):
                    _show(call(dry_run=True)["report"])
            raise
        if dry_run:
            _show_rehearsal(outcome["report"], outcome["heard"], as_json)
            return
        if not as_json:
            _show(outcome["report"])
            report.plain()
        print_session(place, client, as_json)


def _show_rehearsal(lines: Iterable[Sequence[str]], heard: Mapping[str, Any], as_json: bool) -> None:
    """What an import would do, and what would be in its way."""
    if as_json:
        print_json(heard)
        return
    conflict = heard["conflict"]
    _show([*lines, *([("conflict", conflict, "")] if conflict else [])])


def _show(lines: Iterable[Sequence[str]]) -> None:
    """What was heard."""
    for label, text, note in lines:
        reporter(False).line(label, text, note)


def _newest_or_named(file: Path) -> Path:
    """The newest project here, or a new one with the recording's name: "guitar.rg"."""
    projects = projects_here()
    name = "".join(c if c.isprintable() else "_" for c in file.stem[:40]).lstrip("-.")  # neither option nor hidden
    return projects[-1] if projects else Path(f"{name or 'session'}.rg")
