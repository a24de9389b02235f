"""`models list | pull | verify | remove`: the neural models on this machine, and how they come here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from resonantgen.cli.base import Interrupted, commands, json_option, print_json, reporter
from resonantgen.errors import BadValue, ModelDamaged, ModelNotFound

if TYPE_CHECKING:
    from resonantgen.models.catalog import Licence, ModelInfo
    from resonantgen.models.pull import Watch

STEP_PERCENT = 10  # between lines, where there is no terminal


@commands.group("models")
def models_group() -> None:
    """Neural models: fetch them once, and they work without a network."""


@models_group.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that there are, and which are on this machine."""
    from resonantgen.models import models_folder
    from resonantgen.models.catalog import catalog

    rows = [_row(info) for info in catalog().values()]
    if as_json:
        print_json({"folder": str(models_folder()), "models": rows})
        return
    report = reporter(as_json)
    marks = {"shipped": " [shipped]", "installed": " [on this machine]", "damaged": " [damaged]", "absent": ""}
    for row in rows:
        mark = marks[row["state"]]
        report.plain(f"  {row['name']:<23}{row['size']:>8}  {row['licence']['name']:<22}{row['text']}{mark}")
    where = f"What is fetched lies in {models_folder()}."
    report.plain(f"\n  {where} Fetch a model: resonantgen models pull musicgen-small")


@models_group.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--accept-licence", is_flag=True, help="Accept the licences without being asked: for scripts.")
def pull(names: tuple[str, ...], accept_licence: bool) -> None:
    """Fetch models, or go on where a fetch stopped, or put damaged ones right."""
    from resonantgen.models import model_info
    from resonantgen.models.folder import pull_command
    from resonantgen.models.pull import pull as fetch
    from resonantgen.models.web import Wire

    infos = [model_info(name) for name in dict.fromkeys(names)]
    _accept_licences([info for info in infos if not info.is_shipped], accept_licence)
    for info in infos:
        try:
            with _watch(info) as watch:
                found = fetch(info.name, watch, Wire(on_wait=watch.waiting))
        except KeyboardInterrupt:
            raise Interrupted(f"Interrupted. What has come is kept: go on with {pull_command(info.name)}") from None
        click.echo(f"{info.name} is on this machine, and its checksums are right: {found.folder}")


@models_group.command()
@click.argument("name", required=False)
@json_option
def verify(name: str | None, as_json: bool) -> int:
    """Read the files of one model, or of all, and compare their checksums. Exit code 1: something is wrong."""
    from resonantgen.models import is_installed, model_info
    from resonantgen.models.catalog import catalog

    if name is None:
        names = [known for known in catalog() if is_installed(known)]
        if not names and not as_json:
            click.echo("No model is on this machine. Fetch one: resonantgen models pull musicgen-small")
    else:
        names = [model_info(name).name]
    verdicts = [row for known in names for row in _verify_one(known, as_json)]
    if as_json:
        print_json({"ok": not any(row["trouble"] for row in verdicts), "files": verdicts})
    return 1 if any(row["trouble"] for row in verdicts) else 0


@models_group.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take a model off this machine."""
    from resonantgen.models.folder import remove as take_off

    take_off(name)
    click.echo(f"{name} was removed.")


# -- list and verify --------------------------------------------------------------------------------------------------


def _row(info: ModelInfo) -> dict[str, Any]:
    import msgspec

    from resonantgen.models import installed

    try:
        installed(info.name)
        state = "shipped" if info.is_shipped else "installed"
    except ModelNotFound:
        state = "damaged" if info.is_shipped else "absent"
    except ModelDamaged:
        state = "damaged"
    shown = msgspec.to_builtins(info)
    return {key: shown[key] for key in ("name", "kind", "text", "sample_rate", "channels", "licence")} | {
        "size": info.size_text,
        "state": state,
    }


def _verify_one(name: str, quiet: bool) -> Iterator[dict[str, str]]:
    from resonantgen.models import model_info
    from resonantgen.models.folder import remedy
    from resonantgen.models.folder import verify as read_again

    wrong = False
    for verdict in read_again(name):
        wrong = wrong or bool(verdict.trouble)
        if not quiet:
            click.echo(f"  {name}/{verdict.file}: {verdict.trouble or 'right'}")
        yield {"model": name, "file": verdict.file, "trouble": verdict.trouble}
    if not quiet:
        info = model_info(name)
        came = "shipped" if info.is_shipped else "fetched"
        click.echo(f"{name} is damaged. {remedy(info)}" if wrong else f"{name}: every file is as it was {came}.")


# -- licences ---------------------------------------------------------------------------------------------------------


def _accept_licences(infos: list[ModelInfo], accept: bool) -> None:
    """Show each licence that has not been accepted here, once, and ask. Raises BadValue."""
    from resonantgen.models.folder import accept_licence, accepted_licences

    known = accepted_licences()
    asked: dict[str, Licence] = {info.licence.name: info.licence for info in infos if info.licence.name not in known}
    for licence in asked.values():
        under = ", ".join(info.name for info in infos if info.licence.name == licence.name)
        click.echo(f"Licence of {under}: {licence.name}\n  {licence.means}\n  {licence.url}")
        if not accept:
            if not sys.stdin.isatty():
                raise BadValue(
                    f"The licence {licence.name} has to be accepted before {under} can be fetched. Read it at "
                    f"{licence.url}, and add --accept-licence."
                )
            if not click.confirm("Do you accept it?", default=False):
                raise BadValue("Nothing was fetched.")
        accept_licence(licence)


# -- progress ---------------------------------------------------------------------------------------------------------


@contextmanager
def _watch(info: ModelInfo) -> Iterator[_Lines | _Bar]:
    if not sys.stderr.isatty():
        yield _Lines(info.name)
        return
    bar = _Bar(info.name)
    with bar.progress:
        yield bar


class _Lines:
    """One line for every tenth."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._total = 0
        self._next_percent = 0

    def checking(self) -> None:
        click.echo(f"{self._name}: checking what is here", err=True)

    def begin(self, total: int) -> None:
        self._total = total

    def at(self, file: str, done: int) -> None:
        from resonantgen.models.catalog import bytes_text

        percent = 100 * done // self._total if self._total else 100
        if percent >= self._next_percent:
            click.echo(f"{self._name}: {percent} % of {bytes_text(self._total)} ({file})", err=True)
            self._next_percent = percent - percent % STEP_PERCENT + STEP_PERCENT

    def waiting(self, reason: str, seconds: float) -> None:
        click.echo(f"{self._name}: {reason}; trying again in {seconds:g} s", err=True)


class _Bar:
    """A bar with the rate and the time that is left."""

    def __init__(self, name: str) -> None:
        from rich import progress
        from rich.console import Console

        self.progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
        )
        self._name = name
        self._task = self.progress.add_task(name, total=None)

    def checking(self) -> None:
        self.progress.update(self._task, description=f"{self._name}: checking what is here")

    def begin(self, total: int) -> None:
        self.progress.update(self._task, total=total)

    def at(self, file: str, done: int) -> None:
        self.progress.update(self._task, completed=done, description=f"{self._name}/{file}")

    def waiting(self, reason: str, seconds: float) -> None:
        self.progress.console.print(f"{reason}; trying again in {seconds:g} s", markup=False)


if TYPE_CHECKING:  # both are what a pull tells

    def _are_watches(lines: _Lines, bar: _Bar) -> tuple[Watch, Watch]:
        return lines, bar
