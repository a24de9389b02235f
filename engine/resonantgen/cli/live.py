"""The commands of a running engine: start one, play, mix, and say which of a DAW's tracks are ours."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resonantgen.cli.base import (
    commands,
    engine_options,
    json_option,
    newest_or_named,
    newest_project,
    print_json,
    project_option,
    reporter,
)
from resonantgen.cli.place import find_engine, find_place, parse_address, state_of
from resonantgen.errors import BadValue, KeysError, ProjectBusy

if TYPE_CHECKING:
    from resonantgen.music.notes import Role
    from resonantgen.session.setup import Strip
    from resonantgen_bridge.options import Peer, ServeOptions

PORT = click.IntRange(0, 65535)


@commands.command()
@project_option
@click.option("--prompt", metavar="WORDS", default="", help="What to make if the project holds no music yet.")
@click.option("--audio", metavar="DEVICE", help="A part of its name, or none. Default: the system's. See: devices")
@click.option("--stems", is_flag=True, help="Two channels for each track instead of one mix.")
@click.option("--sample-rate", metavar="HZ", type=int, help="44100 to 96000; the project's by default.")
@click.option(
    "--block", "block_frames", metavar="N", type=click.IntRange(0, 8192), help="Frames; 0: as the device likes."
)
@click.option("--latency", "latency_ms", metavar="MS", type=click.FloatRange(1, 2000), help="Mix so far ahead.")
@click.option("--play/--no-play", default=True, help="Start playing (the default), or wait for play.")
@click.option("--auto", "auto_bars", metavar="N", type=click.IntRange(0, 64), help="New ideas every N bars.")
@click.option("--zmq-port", metavar="PORT", type=PORT, help="For clients and this command; 5570. 0: any free one.")
@click.option("--events-port", "--zmq-events-port", metavar="PORT", type=PORT, help="For those who listen; 5571.")
@click.option("--osc-port", metavar="PORT", type=PORT, help="For OSC; 9010.")
@click.option("--osc-listen", metavar="ADDRESS", help="Take OSC from a network: 0.0.0.0 from all of them.")
@click.option("--listen", metavar="ADDRESS", help="Take clients from a network; needs --keys.")
@click.option("--keys", metavar="FOLDER", type=click.Path(path_type=Path), help="Made with: resonantgen keys new")
@click.option("--midi-in", metavar="PORT", help="A part of its name, or none.")
@click.option("--midi-out", metavar="PORT", help="Where the tracks' notes go; none by default.")
@click.option("--midi-map", metavar="FILE", type=click.Path(path_type=Path), help="What notes and knobs do.")
@click.option("--midi-clock", is_flag=True, help="Follow the clock at --midi-in.")
@click.option("--link", is_flag=True, help="Ableton Link.")
@click.option("--reaper", metavar="HOST:PORT", help="Talk to REAPER's OSC device there.")
@click.option("--ableton", is_flag=True, help="Talk to AbletonOSC in Live on this machine.")
@click.option("--ardour", metavar="HOST:PORT", help="Talk to Ardour's OSC surface there: 127.0.0.1:3819.")
@click.option("--plugin-port", metavar="PORT", type=PORT, help="For the plugin in DAWs; 5590.")
@click.option("--follow/--no-follow", default=None, help="Take tempo, meter and position from the plugin's host.")
@click.option("--arm", type=click.Choice(["lock", "ignore"]), help="What arming a DAW's track does to ours; lock.")
@click.option("--arm-back", is_flag=True, help="Arm a track in the DAW, too, when it is locked elsewhere.")
@click.option("--journal", metavar="FILE", type=click.Path(path_type=Path), help="Write every change there.")
def serve(project: Path | None, prompt: str, **options: Any) -> None:
    """Play the project in a loop and let anything drive it, until Ctrl-C."""
    given = {name: value for name, value in options.items() if value is not None}
    path = project or (newest_or_named(prompt) if prompt.strip() else newest_project())
    with suppress(KeyboardInterrupt):  # while it was starting
        _serve(path, prompt, given)
    _say("Stopped. The project is saved.")


def _serve(path: Path, prompt: str, given: dict[str, Any]) -> None:
    from resonantgen_bridge.options import Arm, ServeOptions
    from resonantgen_bridge.served import find_served

    for name in ("reaper", "ardour"):
        if name in given:
            given[name] = _peer(name, given[name])
    if "arm" in given:
        given["arm"] = Arm(given["arm"])
    options = ServeOptions(project=path, prompt=prompt, **given)
    _check(options)
    other = find_served(path)
    if other is not None:
        raise ProjectBusy(
            f"{path} is being served already (pid {other.pid}). Stop that first, or serve another project."
        )
    from resonantgen_bridge.serve import serve

    serve(options, _say)


def _check(options: ServeOptions) -> None:
    """What is surely a mistake ends it before it began. Raises BadValue, KeysError, PresetError, StorageError."""
    from resonantgen.music.time import check_sample_rate
    from resonantgen_bridge.addresses import is_loopback
    from resonantgen_bridge.keys import ServerKeys
    from resonantgen_bridge.midi_map import load_named_map

    if options.sample_rate is not None:
        check_sample_rate(options.sample_rate)
    if options.keys is not None:
        ServerKeys.load(options.keys)
    elif not is_loopback(options.listen):
        raise KeysError(
            f"Listening at {options.listen[:60]} needs --keys, or anyone in the network could drive this engine. "
            "Make them with: resonantgen keys new"
        )
    load_named_map(options.midi_map)


def _say(line: str) -> None:
    """One line at once, also into a pipe. That nobody reads them any more is no reason to stop playing."""
    if _would_wait():
        return
    try:
        print(line, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # or what could not be written is tried again, and fails, at the end
        os.close(nowhere)


def _would_wait() -> bool:
    """Whether what reads standard output has stopped reading, as a terminal after Ctrl-S: the engine would stop too."""
    try:
        return not select.select([], [sys.stdout], [], 0)[1]
    except (OSError, ValueError):  # no file, or one that cannot be asked: Windows' cannot
        return False


def _peer(name: str, text: str) -> Peer:
    """Raises BadValue."""
    from resonantgen_bridge.options import Peer

    if ":" not in text:
        raise BadValue(f'"{text[:60]}" is no address for --{name}. Give host and port, such as 127.0.0.1:8000.')
    host, _, port = parse_address(text).removeprefix("tcp://").rpartition(":")
    return Peer(host.strip("[]"), int(port))


# -- transport --------------------------------------------------------------------------------------------------------


@commands.command()
@project_option
@engine_options
def play(project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Play, in the running engine."""
    _tell(project, engine, keys, "play", {"on": True})


@commands.command()
@project_option
@engine_options
def stop(project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Stop playing, in the running engine."""
    _tell(project, engine, keys, "stop", {})


@commands.command()
@project_option
@engine_options
def cancel(project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Give up what the running engine is generating."""
    _tell(project, engine, keys, "cancel", {})


@commands.command()
@click.argument("bar")
@click.argument("beat", default="1")
@project_option
@engine_options
def seek(bar: str, beat: str, project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Go to a bar, and a beat in it, of the loop. Both count from 1."""
    _tell(project, engine, keys, "seek", {"bar": bar, "beat": beat})


@commands.command()
@click.argument("first", default="1")
@click.argument("bars", default="0")
@click.option("--once", is_flag=True, help="Play to the end, and stop there.")
@project_option
@engine_options
def loop(first: str, bars: str, once: bool, project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Play around: all of it, or from a bar on, or so many bars from it on, such as: resonantgen loop 3 2"""
    _tell(project, engine, keys, "loop", {"on": not once, "first": first, "bars": bars})


@commands.command()
@click.argument("bars", metavar="BARS")
@project_option
@engine_options
def auto(bars: str, project: Path | None, engine: str | None, keys: Path | None) -> None:
    """Have the running engine regenerate the unlocked tracks every so many bars; 0: no more."""
    _tell(project, engine, keys, "auto", {"every": bars})


def _tell(
    project: Path | None, engine: str | None, keys: Path | None, command: str, arguments: Mapping[str, Any]
) -> None:
    """A command that only a running engine has, and that answers nothing. What is wrong with it is said first."""
    from resonantgen_bridge.parsing import parse_call

    checked = parse_call(command, arguments).arguments
    with find_engine(project, engine, keys).client() as client:
        client.call(command, **checked)


# -- mixer ------------------------------------------------------------------------------------------------------------


@commands.command()
@click.argument("track", default="")
@click.option("--gain", metavar="DB", help="-60 (silence) to 6.")
@click.option("--pan", metavar="X", help="-1 left, 0 as it is, 1 right.")
@click.option("--mute/--no-mute", default=None, help="Silence it, or not any more.")
@click.option("--solo/--no-solo", default=None, help="Hear only it, and others that are soloed.")
@project_option
@engine_options
@json_option
def mix(
    track: str,
    gain: str | None,
    pan: str | None,
    mute: bool | None,
    solo: bool | None,
    project: Path | None,
    engine: str | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Show the mixer, or change a track's part of it: resonantgen mix bass --gain -3 --pan 0.2"""
    from resonantgen_bridge.parsing import parse_call

    asked = {
        name: value
        for name, value in {"gain": gain, "pan": pan, "mute": mute, "solo": solo}.items()
        if value is not None
    }
    if asked and not track:
        raise click.UsageError("Say which track, such as: resonantgen mix bass --gain -3")
    if track and not asked:
        raise click.UsageError(f"Say what to change, such as: resonantgen mix {track} --gain -3")
    fields = {"gain": "gain", "pan": "pan", "mute": "on", "solo": "on"}
    calls = [parse_call(name, {"track": track, fields[name]: value}) for name, value in asked.items()]
    place = find_place(project, engine, keys)
    if place.served:
        with place.client() as client:
            for call in calls:
                client.call(call.command, **call.arguments)
            strips = _strips_of_state(state_of(client))
    else:
        changes = {call.command: call.arguments[fields[call.command]] for call in calls}
        strips = _mix_offline(place.path(), calls[0].arguments["track"] if calls else None, changes)
    if as_json:
        print_json({"tracks": strips})
    else:
        from resonantgen.report_live import mixer

        mixer(reporter(as_json), strips)


def _mix_offline(path: Path, track: str | None, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    from resonantgen.music.notes import Role
    from resonantgen.session.session import Session

    names = {"gain": "gain_db", "pan": "pan", "mute": "muted", "solo": "soloed"}
    with Session.open(path, readonly=track is None) as session:
        if track is not None:
            strips = dict(session.setup.strips)
            values = {names[name]: value for name, value in changes.items()}
            strips[Role(track)] = replace(strips[Role(track)], **values)
            session.set_setup(replace(session.setup, strips=strips))
        return [_strip(role.value, session.setup.strips[role]) for role in Role]


def _strip(track: str, strip: Strip) -> dict[str, Any]:
    return {"role": track, "gain": strip.gain_db, "pan": strip.pan, "mute": strip.muted, "solo": strip.soloed}


def _strips_of_state(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    from resonantgen.music.notes import Role

    names = ("gain", "pan", "mute", "solo")
    return [{"role": role.value} | {name: state[f"track/{role.value}/{name}"] for name in names} for role in Role]


# -- the DAW's tracks -------------------------------------------------------------------------------------------------


@commands.command("map")
@click.argument("daw_track", default="")
@click.argument("track", default="")
@click.option("--clear", is_flag=True, help="Let the track's name decide again.")
@project_option
@engine_options
@json_option
def map_track(
    daw_track: str,
    track: str,
    clear: bool,
    project: Path | None,
    engine: str | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Say which of our tracks a track of the DAW is: resonantgen map 3 bass. Otherwise their names decide."""
    if (daw_track and clear == bool(track)) or (clear and not daw_track):
        raise click.UsageError("Say what to do, such as: resonantgen map 3 bass, resonantgen map --clear 3")
    place = find_place(project, engine, keys)
    changed: dict[int, str | None] = {}
    if daw_track:
        from resonantgen_bridge.parsing import parse_call

        call = parse_call("map", {"daw_track": daw_track, "track": track or None})
        changed[call.arguments["daw_track"]] = call.arguments["track"]
        if place.served:
            with place.client() as client:
                client.call("map", **call.arguments)
            if place.project is None:  # what else is mapped is known there
                return
    tracks = _daw_tracks(place.path(), changed, write=bool(changed) and not place.served)
    if as_json:
        print_json({"daw_tracks": {str(number): role.value for number, role in tracks.items()}})
    else:
        from resonantgen.report_live import daw_map

        daw_map(reporter(as_json), tracks)


def _daw_tracks(path: Path, changed: Mapping[int, str | None], write: bool) -> dict[int, Role]:
    """The map with these changes. A running engine writes it itself, a moment after it was told."""
    from resonantgen.music.notes import Role
    from resonantgen.session.session import Session

    with Session.open(path, readonly=not write) as session:
        others = {number: role for number, role in session.setup.daw_tracks.items() if number not in changed}
        tracks = others | {number: Role(track) for number, track in changed.items() if track is not None}
        tracks = dict(sorted(tracks.items()))
        if write:
            session.set_setup(replace(session.setup, daw_tracks=tracks))
        return tracks
