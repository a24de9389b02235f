"""What goes into DAWs and onto phones: install, uninstall, surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resonantgen.cli.base import F, commands, json_option, print_json, reporter

if TYPE_CHECKING:
    from resonantgen_bridge.installing import Done

TARGETS = click.Choice(["ableton", "reaper", "plugin"])


def _install_options(function: F) -> F:
    to = click.option(
        "--to",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="Live's Remote Scripts, REAPER's resource folder, or a folder of plugins. Default: where it is on this "
        "system.",
    )
    force = click.option("--force", is_flag=True, help="Also what was changed, or put there by someone else.")
    return click.argument("target", metavar="ableton|reaper|plugin", type=TARGETS)(to(force(json_option(function))))


@commands.command()
@_install_options
def install(target: str, to: Path | None, force: bool, as_json: bool) -> None:
    """Put our script, patterns or plugin where Live, REAPER or any DAW finds it."""
    from resonantgen_bridge.daw_places import NEXT_STEPS, Target, items_of
    from resonantgen_bridge.installing import install

    wanted = Target(target)
    done = install(items_of(wanted, to), force=force)
    if as_json:
        print_json({**_document(target, done), "next": NEXT_STEPS[wanted]})
        return
    _print(done)
    reporter(as_json).plain(NEXT_STEPS[wanted])


@commands.command()
@_install_options
def uninstall(target: str, to: Path | None, force: bool, as_json: bool) -> None:
    """Take away what install put there, and nothing else. --force: also what was changed since."""
    from resonantgen_bridge.daw_places import Target, places_of
    from resonantgen_bridge.installing import uninstall

    places = places_of(Target(target), to)
    done = uninstall(places, force=force)
    if as_json:
        print_json(_document(target, done))
    elif done:
        _print(done)
    else:
        reporter(as_json).plain(f"Nothing of ours is in {places[0].parent}.")


@commands.command()
@click.option("--to", metavar="FOLDER", type=click.Path(path_type=Path), required=True, help="Where to write them.")
@click.option(
    "--port", metavar="PORT", type=click.IntRange(1, 65535), help="Where TouchOSC listens: its receive port; 9011."
)
@json_option
def surfaces(to: Path, port: int | None, as_json: bool) -> None:
    """Write a TouchOSC layout and an Open Stage Control session, for a phone or a tablet."""
    from resonantgen_bridge.protocol import OSC_PORT
    from resonantgen_bridge.surfaces import write_surfaces
    from resonantgen_bridge.surfaces.controls import SURFACE_PORT

    port = port or SURFACE_PORT
    files = write_surfaces(to, port)
    if as_json:
        print_json({"files": [str(path.resolve()) for path in files], "send_port": OSC_PORT, "receive_port": port})
        return
    report = reporter(as_json)
    for path in files:
        report.plain(f"Wrote {path}")
    report.plain(
        f"On the phone, in TouchOSC's OSC connection 1: this computer's address, send port {OSC_PORT}, "
        f"receive port {port}. Here: resonantgen serve --osc-listen 0.0.0.0"
    )


def _document(target: str, done: Sequence[Done]) -> dict[str, object]:
    return {"target": target, "files": [{"path": str(one.place), "outcome": one.outcome.value} for one in done]}


def _print(done: Sequence[Done]) -> None:
    for one in done:
        reporter(False).plain(f"{one.outcome.value.capitalize()}: {one.place}")
