"""What all commands share: the group they belong to, their options, how they print, and what becomes of errors."""

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

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C, where there is more to say than that nothing was lost."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="resonantgen")
@click.pass_context
def commands(context: click.Context) -> None:
    """Words in, four tracks out. Lock what you love, regenerate the rest."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console, or a pipe with another encoding, must not stop us
            stream.reconfigure(errors="replace")
    try:
        code = commands.main(
            args=None if arguments is None else list(arguments), prog_name="resonantgen", standalone_mode=False
        )
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _complain("Interrupted. What was committed before is safe.", INTERRUPTED)
    except Interrupted as interrupted:
        return _complain(str(interrupted), INTERRUPTED)
    except click.ClickException as error:
        return _complain(one_line(error.format_message()) + _usage_hint(error), 2)
    except ResonantGenError as error:
        return _complain(one_line(str(error)), 2)
    except OSError as error:  # such as stdout on a full disk
        return _complain(
            one_line(f"{error.strerror or error}: {error.filename or 'output'}. Nothing more was done."), 2
        )
    return code if isinstance(code, int) else 0


def _complain(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def one_line(text: str) -> str:
    """Names of files may hold anything, such as what commands a terminal."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" (Help: {context.command_path} --help)" if context is not None else ""


# -- options ----------------------------------------------------------------------------------------------------------


def project_option(function: F) -> F:
    return click.option(
        "--project",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="The project, such as night.rg. Default: the newest in the current folder.",
    )(function)


def engine_options(function: F) -> F:
    """`--engine` and `--keys`, for commands that a running engine can do."""
    engine = click.option(
        "--engine",
        metavar="ADDRESS",
        envvar="RESONANTGEN_ENGINE",
        help="A running engine instead of a project: 5570, or 192.168.1.5:5570.",
    )
    keys = click.option(
        "--keys",
        metavar="FOLDER",
        envvar="RESONANTGEN_KEYS",
        type=click.Path(path_type=Path),
        help="The folder with the keys of an engine that has any.",
    )
    return engine(keys(function))


def generator_option(function: F) -> F:
    """`--generator`, for commands that make tracks."""
    return click.option(
        "--generator",
        "generators",
        metavar="ROLE=NAME",
        multiple=True,
        help="What plays a track from now on: drums=musicgen-small, drums=pattern. Repeatable.",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(function)


# -- projects ---------------------------------------------------------------------------------------------------------


def projects_here() -> list[Path]:
    """The projects in the current folder, the one that changed last at the end."""

    def changed(folder: Path) -> float:
        times = []
        for file in folder.glob("project.db*"):
            with suppress(FileNotFoundError):  # SQLite's own side files come and go
                times.append(file.stat().st_mtime)
        return max(times, default=0.0)

    return sorted((path.parent for path in Path().glob("*/project.db")), key=changed)


def newest_project() -> Path:
    """Raises ProjectNotFound."""
    projects = projects_here()
    if not projects:
        raise ProjectNotFound(
            'There is no project in this folder. Make one: resonantgen generate "dark techno" --project night.rg'
        )
    return projects[-1]


def newest_or_named(prompt: str) -> Path:
    """The newest project, or a new one's name from the prompt's words: "dark-techno-with-driving.rg"."""
    projects = projects_here()
    if projects:
        return projects[-1]
    words = re.findall(r"\w+", prompt.lower())[:4]
    return Path("-".join(words)[:40] + ".rg") if words else Path("session.rg")


# -- printing ---------------------------------------------------------------------------------------------------------


def reporter(as_json: bool) -> Reporter:
    """Prints for people: to stdout, or to stderr where stdout is for JSON."""
    from rich.console import Console

    from resonantgen.report import Reporter

    return Reporter(Console(stderr=as_json, highlight=False))


def print_json(document: object) -> None:
    plain = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(document, indent=2, ensure_ascii=not plain))
