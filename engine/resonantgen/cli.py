"""The `resonantgen` command. It parses words and prints results; all the work is in `session/` and `prompt/`.

Exit codes: 0 done; 2 the user can put it right (one line on stderr says how); 130 interrupted with Ctrl-C.
With `--json` a command prints one JSON document to stdout and nothing else.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from resonantgen import __version__
from resonantgen.errors import ProjectNotFound, ResonantGenError

if TYPE_CHECKING:
    from resonantgen.report import Reporter
    from resonantgen.session.session import Session
    from resonantgen.session.values import Result

F = TypeVar("F", bound=Callable[..., Any])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console, or a pipe with another encoding, must not stop us
            stream.reconfigure(errors="replace")
    try:
        commands.main(
            args=None if arguments is None else list(arguments), prog_name="resonantgen", standalone_mode=False
        )
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _complain("Interrupted. What was committed before is safe.", 130)
    except click.ClickException as error:
        return _complain(_one_line(error.format_message()) + _usage_hint(error), 2)
    except ResonantGenError as error:
        return _complain(_one_line(str(error)), 2)
    except OSError as error:  # such as stdout on a full disk
        return _complain(
            _one_line(f"{error.strerror or error}: {error.filename or 'output'}. Nothing more was done."), 2
        )
    return 0


def _complain(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" (Help: {context.command_path} --help)" if context is not None else ""


def _project_option(function: F) -> F:
    return click.option(
        "--project",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="The project, such as night.rg. Default: the newest in the current folder.",
    )(function)


def _json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(function)


def _projects_here() -> list[Path]:
    """The projects in the current folder, the one that changed last at the end."""

    def changed(folder: Path) -> float:
        times = []
        for file in folder.glob("project.db*"):
            with suppress(FileNotFoundError):  # SQLite's own side files come and go
                times.append(file.stat().st_mtime)
        return max(times, default=0.0)

    return sorted((path.parent for path in Path().glob("*/project.db")), key=changed)


def _newest_project() -> Path:
    """Raises ProjectNotFound."""
    projects = _projects_here()
    if not projects:
        raise ProjectNotFound(
            'There is no project in this folder. Make one: resonantgen generate "dark techno" --project night.rg'
        )
    return projects[-1]


def _name_for(prompt: str) -> Path:
    """A folder name from the prompt's words: "dark-techno-with-driving.rg"."""
    words = re.findall(r"\w+", prompt.lower())[:4]
    return Path("-".join(words)[:40] + ".rg") if words else Path("session.rg")


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="resonantgen")
@click.pass_context
def commands(context: click.Context) -> None:
    """Words in, four tracks out. Lock what you love, regenerate the rest."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@commands.command()
@click.argument("prompt")
@_project_option
@click.option("--tempo", metavar="BPM", help="Quarter notes per minute, 20 to 400: 128, 97.3.")
@click.option("--key", metavar="KEY", help='Such as "A minor", "F# major", "D dorian".')
@click.option("--meter", metavar="N/D", help="2/4 to 12/8.")
@click.option("--bars", metavar="N", type=int, help="1 to 64; 8 unless the words say otherwise.")
@click.option("--seed", metavar="N", type=int, help="The same words and the same seed give the same bytes.")
@click.option("--sample-rate", metavar="HZ", type=int, help="44100 to 96000; 48000 by default.")
@click.option("--tracks", metavar="LIST", help="Only these: drums,bass,harmony,melody.")
@_json_option
def generate(
    prompt: str,
    project: Path | None,
    tempo: str | None,
    key: str | None,
    meter: str | None,
    bars: int | None,
    seed: int | None,
    sample_rate: int | None,
    tracks: str | None,
    as_json: bool,
) -> None:
    """Make tracks from words, in a new project or as a new start for the unlocked tracks of an old one."""
    from resonantgen.session.session import Session

    if project is None:
        projects = _projects_here()
        project = projects[-1] if projects else _name_for(prompt)
    with Session.open_or_create(project) as session:
        _perform(
            session,
            lambda meters: session.generate(
                prompt,
                tempo=tempo,
                key=key,
                meter=meter,
                bars=bars,
                seed=seed,
                sample_rate=sample_rate,
                tracks=None if tracks is None else [name for name in tracks.split(",") if name.strip()],
                on_progress=meters,
            ),
            as_json,
        )


@commands.command()
@click.argument("prompt", default="")
@_project_option
@click.option("--track", metavar="TRACK", help="Only this one: drums, bass, harmony or melody.")
@click.option("--seed", metavar="N", type=int, help="Another idea, repeatable.")
@_json_option
def regenerate(prompt: str, project: Path | None, track: str | None, seed: int | None, as_json: bool) -> None:
    """Change unlocked tracks as the words say, around what is locked. Without words: other ideas for them."""
    from resonantgen.session.session import Session

    with Session.open(project or _newest_project()) as session:
        _perform(
            session,
            lambda meters: session.regenerate(prompt, track=track, seed=seed, on_progress=meters),
            as_json,
        )


@commands.command()
@click.argument("track")
@_project_option
@_json_option
def lock(track: str, project: Path | None, as_json: bool) -> None:
    """Freeze a track: nothing changes it until it is unlocked."""
    _set_lock(track, project, as_json, locked=True)


@commands.command()
@click.argument("track")
@_project_option
@_json_option
def unlock(track: str, project: Path | None, as_json: bool) -> None:
    """Free a locked track."""
    _set_lock(track, project, as_json, locked=False)


@commands.command()
@_project_option
@click.option("--track", metavar="TRACK", help="Bring back the earlier take of this track only.")
@_json_option
def undo(project: Path | None, track: str | None, as_json: bool) -> None:
    """Take back the last change. Locked tracks stay as they are."""
    from resonantgen.session.session import Session

    with Session.open(project or _newest_project()) as session:
        _perform(session, lambda _: session.undo(track), as_json, renders=False)


@commands.command()
@_project_option
@click.option("--track", metavar="TRACK", help="Bring back the later take of this track only.")
@_json_option
def redo(project: Path | None, track: str | None, as_json: bool) -> None:
    """Do again what undo took back."""
    from resonantgen.session.session import Session

    with Session.open(project or _newest_project()) as session:
        _perform(session, lambda _: session.redo(track), as_json, renders=False)


@commands.command()
@click.argument("prompt")
@_json_option
def understand(prompt: str, as_json: bool) -> None:
    """Say what words mean, without generating."""
    from resonantgen.prompt import intent_to_dict
    from resonantgen.prompt import understand as understand_words

    intent = understand_words(prompt)
    if as_json:
        _print_json(intent_to_dict(intent))
    else:
        _reporter(as_json).understood(intent)


@commands.command()
@_project_option
@click.option(
    "--picture",
    metavar="PNG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw piano rolls and waveforms on one bar grid.",
)
@_json_option
def show(project: Path | None, picture: Path | None, as_json: bool) -> None:
    """Show the tracks, their takes and locks, and what was understood."""
    from resonantgen.session.export import session_document
    from resonantgen.session.session import Session

    with Session.open(project or _newest_project(), readonly=True) as session:
        if picture is not None:
            from resonantgen.session.portrait import draw_portrait

            draw_portrait(session, picture)
        if as_json:
            _print_json(session_document(session))
            return
        report = _reporter(as_json)
        report.session(session)
        if picture is not None:
            report.plain(f"\n  {picture}")


@commands.command()
@_project_option
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the files go; it is made if it is not there.",
)
@_json_option
def export(project: Path | None, folder: Path, as_json: bool) -> None:
    """Write stems, mix, MIDI and session.json."""
    from resonantgen.session.export import session_document
    from resonantgen.session.session import Session

    with Session.open(project or _newest_project(), readonly=True) as session:
        session.export(folder)
        if as_json:
            _print_json(session_document(session))
        else:
            _reporter(as_json).exported(session, folder)


def _perform(
    session: Session, command: Callable[[Callable[..., None]], Result], as_json: bool, renders: bool = True
) -> None:
    """Run a command that makes takes or moves between them, with progress, and print what it did."""
    from resonantgen.report import TrackMeters

    report = _reporter(as_json)
    if renders:
        report.first_time()
    before, new = session.playing, session.settings is None
    meters = TrackMeters(report.console)
    with meters.shown():
        result = command(meters.update)
    if as_json:
        from resonantgen.session.export import session_document

        _print_json(session_document(session))
    else:
        report.result(result, session, before, meters.seconds, new)


def _set_lock(track: str, project: Path | None, as_json: bool, locked: bool) -> None:
    from resonantgen.session.session import Session

    with Session.open(project or _newest_project()) as session:
        (session.lock if locked else session.unlock)(track)
        if as_json:
            from resonantgen.session.export import session_document

            _print_json(session_document(session))
        else:
            _reporter(as_json).lock(session, track)


def _reporter(as_json: bool) -> Reporter:
    """Prints for people: to stdout, or to stderr where stdout is for JSON."""
    from rich.console import Console

    from resonantgen.report import Reporter

    return Reporter(Console(stderr=as_json, highlight=False))


def _print_json(document: object) -> None:
    plain = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(document, indent=2, ensure_ascii=not plain))


if __name__ == "__main__":
    sys.exit(main())
