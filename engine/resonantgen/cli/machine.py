"""The commands about the machine and the engines on it: status, devices, doctor, MIDI bindings and keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resonantgen.cli.base import F, commands, engine_options, json_option, print_json, project_option, reporter
from resonantgen.cli.place import find_engine, state_of

if TYPE_CHECKING:
    from resonantgen_bridge.midi_map import MidiMap

DEFAULT_KEYS = Path("keys")


@commands.command()
@project_option
@engine_options
@json_option
def status(project: Path | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Say whether the project is being served, and how the engine does."""
    place = find_engine(project, engine, keys)
    if not place.served:
        from resonantgen.session.session import Session

        with Session.open(place.path(), readonly=True) as session:  # or say that it is none
            path = session.path
        if as_json:
            print_json({"served": False, "project": str(path.resolve())})
        else:
            reporter(as_json).plain(f"{path} is not being served. Serve it: resonantgen serve --project {path}")
        return
    with place.client() as client:
        document, state = client.call("status")["status"], state_of(client)
    if as_json:
        print_json({"served": True, **document, "state": state})
    else:
        from resonantgen.report_live import engine_status

        engine_status(reporter(as_json), document, state)


@commands.command()
@json_option
def devices(as_json: bool) -> None:
    """List audio outputs and MIDI ports, as --audio, --midi-in and --midi-out take them."""
    from resonantgen_bridge.doctor import find_devices

    found = find_devices()
    if as_json:
        print_json(found)
    else:
        from resonantgen.report_live import device_lists

        device_lists(reporter(as_json), found)


@commands.command()
@click.option("--project", metavar="FOLDER", type=click.Path(path_type=Path), help="Look at this project too.")
@json_option
def doctor(project: Path | None, as_json: bool) -> int:
    """Look for what could keep an engine from running well, and say what to do. Exit code 1: found something."""
    from resonantgen_bridge.doctor import Verdict, examine

    checks = []
    report = None if as_json else reporter(as_json)
    for check in examine(project):
        checks.append(check)
        if report is not None:
            from resonantgen.report_live import doctor_check

            doctor_check(report, check)
    problems = [check for check in checks if check.verdict is Verdict.PROBLEM]
    if as_json:
        print_json({"ok": not problems, "checks": [check.document() for check in checks]})
    elif report is not None:
        found = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        report.plain(f"\n  {found if problems else 'All is well'}.", "bold")
    return 1 if problems else 0


# -- MIDI -------------------------------------------------------------------------------------------------------------


@commands.group()
def midi() -> None:
    """Teach the running engine what your pads and knobs do."""


@midi.command()
@click.argument("action")
@click.option("--seconds", metavar="S", help="How long to wait; 30.")
@project_option
@engine_options
def learn(action: str, seconds: str | None, project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Bind the next pad, key or knob that you touch: resonantgen midi learn "regenerate bass"."""
    from resonantgen_bridge.midi_actions import parse_action
    from resonantgen_bridge.parsing import parse_call

    parse_action(action)
    asked = parse_call("midi_learn", {"action": action, "seconds": seconds}).arguments
    place = find_engine(project, engine, keys)
    with place.client() as client:
        click.echo(f"Touch the pad, key or knob for: {action} ...")
        binding = client.call("midi_learn", **asked)["binding"]
    click.echo(f"{binding}: {action}")


@midi.command("list")
@click.option("--midi-map", metavar="FILE", help="A mapping file, or one of presets/midi. Default: default")
@json_option
def list_bindings(midi_map: str | None, as_json: bool) -> None:
    """List what pads and knobs do: what was learned, then the mapping."""
    from resonantgen_bridge.midi_map import learned_path, load_learned, load_named_map

    found = {"learned": load_learned(learned_path()), "mapping": load_named_map(midi_map)}
    if as_json:
        print_json({name: _bindings(bound) for name, bound in found.items()})
        return
    report = reporter(as_json)
    for name, bound in found.items():
        report.plain(f"{name}\n", "bold")
        for row in _bindings(bound):
            report.plain(f"  {row['message']:<28} {row['action']}")
        report.plain("" if bound.bindings else '  nothing yet. Learn with: resonantgen midi learn "regenerate bass"\n')


def _bindings(bound: MidiMap) -> list[dict[str, Any]]:
    return [{"message": str(trigger), "action": binding.action.text} for trigger, binding in bound.bindings.items()]


# -- keys -------------------------------------------------------------------------------------------------------------


@commands.group("keys")
def keys_group() -> None:
    """Keys for an engine that listens to other machines."""


def _folder_option(function: F) -> F:
    folder = click.Path(path_type=Path)
    return click.option("--folder", metavar="FOLDER", type=folder, default=DEFAULT_KEYS, help="Default: keys")(function)


@keys_group.command("new")
@_folder_option
def new_keys(folder: Path) -> None:
    """Make the keys of an engine and of its first client."""
    from resonantgen_bridge.keys import new_keys as make

    _print_files(make(folder))
    click.echo(f"Serve with: resonantgen serve --listen 0.0.0.0 --keys {folder}")
    click.echo("Another machine needs server.pub and client.key, in a folder of its own. Keep server.key here.")


@keys_group.command("add")
@click.argument("name")
@_folder_option
def add_keys(name: str, folder: Path) -> None:
    """Make keys for one more client, known by a name."""
    from resonantgen_bridge.keys import add_client

    _print_files(add_client(folder, name))


def _print_files(files: list[Path]) -> None:
    for file in files:
        click.echo(f"  {file}")
