"""The commands that make and change music, and show it: on a project, or through the engine that serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from resonantgen.cli.base import (
    commands,
    engine_options,
    generator_option,
    json_option,
    newest_or_named,
    print_json,
    project_option,
    reporter,
)
from resonantgen.cli.perform import perform, perform_served, print_opened, print_session, run, set_lock
from resonantgen.cli.place import Place, find_place


@commands.command()
@click.argument("prompt")
@project_option
@click.option("--tempo", metavar="BPM", help="Quarter notes per minute, 20 to 400: 128, 97.3.")
@click.option("--key", metavar="KEY", help='Such as "A minor", "F# major", "D dorian".')
@click.option("--meter", metavar="N/D", help="2/4 to 12/8.")
@click.option("--bars", metavar="N", type=int, help="1 to 64; 8 unless the words say otherwise.")
@click.option("--seed", metavar="N", type=int, help="The same words and the same seed give the same bytes.")
@click.option("--sample-rate", metavar="HZ", type=int, help="44100 to 96000; 48000 by default.")
@click.option("--tracks", metavar="LIST", help="Only these: drums,bass,harmony,melody.")
@generator_option
@engine_options
@json_option
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
    generators: tuple[str, ...],
    engine: str | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Make tracks from words, in a new project or as a new start for the unlocked tracks of an old one."""
    place = find_place(project, engine, keys, default=lambda: newest_or_named(prompt))
    names = None if tracks is None else [name for name in tracks.split(",") if name.strip()]
    if place.served:
        asked: dict[str, object] = {
            "prompt": prompt,
            "tempo": tempo,
            "key": key,
            "meter": meter,
            "bars": bars,
            "seed": seed,
        }
        asked |= {"tracks": names, "sample_rate": sample_rate, "generators": list(generators) or None}
        perform_served(place, "generate", asked, as_json)
        return
    from resonantgen.session.session import Session

    players = _players(generators)
    with Session.open_or_create(place.path()) as session:
        perform(
            session,
            lambda meters: session.generate(
                prompt,
                tempo=tempo,
                key=key,
                meter=meter,
                bars=bars,
                seed=seed,
                sample_rate=sample_rate,
                tracks=names,
                generators=players,
                on_progress=meters,
            ),
            as_json,
        )


@commands.command()
@click.argument("prompt", default="")
@project_option
@click.option("--track", metavar="TRACK", help="Only this one: drums, bass, harmony or melody.")
@click.option("--seed", metavar="N", type=int, help="Another idea, repeatable.")
@generator_option
@engine_options
@json_option
def regenerate(
    prompt: str,
    project: Path | None,
    track: str | None,
    seed: int | None,
    generators: tuple[str, ...],
    engine: str | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Change unlocked tracks as the words say, around what is locked. Without words: other ideas for them."""
    run(
        find_place(project, engine, keys),
        "regenerate",
        {"prompt": prompt, "track": track, "seed": seed, "generators": list(generators) or None},
        lambda session, meters: session.regenerate(
            prompt, track=track, seed=seed, generators=_players(generators), on_progress=meters
        ),
        as_json,
    )


@commands.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="[TRACK] ATTRIBUTE VALUE")
@project_option
@engine_options
@json_option
def set_attribute(
    words: tuple[str, ...], project: Path | None, engine: str | None, keys: Path | None, as_json: bool
) -> None:
    """Set how a track, or every unlocked one, is played: its density, energy, ... from -1 to 1. The idea stays."""
    if len(words) not in (2, 3):
        raise click.UsageError("Say what to set, such as: resonantgen set bass density 0.4")
    track = words[0] if len(words) == 3 else None
    from resonantgen_bridge.parsing import parse_call

    asked = parse_call("adjust", {"attribute": words[-2], "value": words[-1], "track": track}).arguments
    run(
        find_place(project, engine, keys),
        "adjust",
        asked,
        lambda session, meters: session.adjust(
            asked["attribute"], asked["value"], track=asked["track"], on_progress=meters
        ),
        as_json,
    )


@commands.command()
@click.argument("bpm")
@project_option
@engine_options
@json_option
def tempo(bpm: str, project: Path | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Play at another tempo: the same notes, also in locked tracks."""
    from resonantgen.music.time import parse_tempo

    wanted = parse_tempo(bpm)
    place = find_place(project, engine, keys)
    if place.served:
        with place.client() as client:
            client.call("tempo", tempo=float(wanted))
            print_session(place, client, as_json)
        return
    from resonantgen.session.session import Session

    with Session.open(place.path()) as session:
        session.set_tempo(wanted)
        print_opened(session, as_json)


@commands.command()
@click.argument("track")
@project_option
@engine_options
@json_option
def lock(track: str, project: Path | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Freeze a track: nothing changes it until it is unlocked."""
    set_lock(track, find_place(project, engine, keys), as_json, locked=True)


@commands.command()
@click.argument("track")
@project_option
@engine_options
@json_option
def unlock(track: str, project: Path | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Free a locked track."""
    set_lock(track, find_place(project, engine, keys), as_json, locked=False)


@commands.command()
@project_option
@click.option("--track", metavar="TRACK", help="Bring back the earlier take of this track only.")
@engine_options
@json_option
def undo(project: Path | None, track: str | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Take back the last change. Locked tracks stay as they are."""
    place = find_place(project, engine, keys)
    run(place, "undo", {"track": track}, lambda session, _: session.undo(track), as_json, renders=False)


@commands.command()
@project_option
@click.option("--track", metavar="TRACK", help="Bring back the later take of this track only.")
@engine_options
@json_option
def redo(project: Path | None, track: str | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Do again what undo took back."""
    place = find_place(project, engine, keys)
    run(place, "redo", {"track": track}, lambda session, _: session.redo(track), as_json, renders=False)


@commands.command()
@click.argument("prompt")
@json_option
def understand(prompt: str, as_json: bool) -> None:
    """Say what words mean, without generating."""
    from resonantgen.prompt import intent_to_dict
    from resonantgen.prompt import understand as understand_words

    intent = understand_words(prompt)
    if as_json:
        print_json(intent_to_dict(intent))
    else:
        reporter(as_json).understood(intent)


@commands.command()
@project_option
@click.option(
    "--picture",
    metavar="PNG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw piano rolls and waveforms on one bar grid.",
)
@engine_options
@json_option
def show(project: Path | None, picture: Path | None, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Show the tracks, their takes and locks, and what was understood."""
    place = _beside(project, engine, keys)
    if place.project is None and picture is None:
        with place.client() as client:
            print_session(place, client, as_json)
        return
    from resonantgen.session.session import Session

    with Session.open(place.path(), readonly=True) as session:
        if picture is not None:
            from resonantgen.session.portrait import draw_portrait

            draw_portrait(session, picture)
        print_opened(session, as_json)
        if picture is not None and not as_json:
            reporter(as_json).plain(f"\n  {picture}")


@commands.command()
@project_option
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the files go; it is made if it is not there.",
)
@engine_options
@json_option
def export(project: Path | None, folder: Path, engine: str | None, keys: Path | None, as_json: bool) -> None:
    """Write stems, mix, MIDI and session.json."""
    place = _beside(project, engine, keys)
    if place.project is None:
        with place.client() as client:
            written = client.call("export", folder=str(folder))["folder"]
            if as_json:
                print_json(client.call("session")["session"])
            else:
                reporter(as_json).plain(f"  {written}   (on the engine's machine)")
        return
    from resonantgen.session.export import session_document
    from resonantgen.session.session import Session

    with Session.open(place.path(), readonly=True) as session:
        session.export(folder)
        if as_json:
            print_json(session_document(session))
        else:
            reporter(as_json).exported(session, folder)


@commands.command("print")
@project_option
@click.option("--tracks", metavar="LIST", help="Only these: drums,bass,harmony,melody.")
@click.option("--midi", is_flag=True, help="MIDI items and clips instead of audio.")
@click.option("--bar", metavar="N", default="1", help="The DAW's bar at which the items begin; 1.")
@click.option("--scene", metavar="N", default="0", help="Live's scene; the first that is free by default.")
@engine_options
@json_option
def print_tracks(
    project: Path | None,
    tracks: str | None,
    midi: bool,
    bar: str,
    scene: str,
    engine: str | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Put what plays into the DAW, at its bar lines: items in REAPER, clips in Live, where our scripts run."""
    from resonantgen_bridge.parsing import parse_call

    asked = {"tracks": tracks, "kind": "midi" if midi else "audio", "bar": bar, "scene": scene}
    checked = parse_call("print", asked).arguments
    place = find_place(project, engine, keys)
    if place.served:
        with place.client() as client:
            folder = client.call("print", **checked)["folder"]
    else:
        folder = str(_print_offline(place.path(), checked))
    if as_json:
        print_json({"folder": folder})
    else:
        where = "" if place.project else "   (on the engine's machine)"
        reporter(as_json).plain(f"  {folder}{where}")
        if place.served:
            reporter(as_json).plain("Where our scripts run in REAPER or Live, it is put into the song now.")
        else:
            reporter(as_json).plain(
                "Where our script runs in REAPER, it is put into the song now. Live's waits for a word of the engine, "
                "which does not run: resonantgen serve"
            )


def _players(asked: Sequence[str]) -> dict[str, str]:
    """What plays which track: {"drums": "musicgen-small"}. Raises BadValue."""
    from resonantgen.session.settings import parse_generators

    return parse_generators(asked)


def _print_offline(path: Path, asked: Mapping[str, Any]) -> Path:
    from resonantgen.session.session import Session
    from resonantgen_bridge.printing import Wanted, write_print

    with Session.open(path, readonly=True) as session:
        mapped = sorted(session.setup.daw_tracks.items(), reverse=True)  # the first of several wins
        daw_tracks = {role.value: number for number, role in mapped}
        tracks = None if asked["tracks"] is None else tuple(asked["tracks"])
        return write_print(session, Wanted(tracks, asked["kind"], asked["bar"], asked["scene"], daw_tracks)).folder


def _beside(project: Path | None, engine: str | None, keys: Path | None) -> Place:
    """For commands that only read: they work on the project's files beside the engine that writes them."""
    return find_place(project, engine, keys) if engine else Place(project or find_place(None).path())
