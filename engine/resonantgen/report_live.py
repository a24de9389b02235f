"""What the command line tells a person about a running engine, and about the machine that one would run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.text import Text

from resonantgen.music.notes import Role
from resonantgen.music.time import bars_text
from resonantgen.session.setup import SILENT_GAIN_DB

if TYPE_CHECKING:
    from resonantgen.report import Reporter
    from resonantgen_bridge.doctor import Check

LABEL_WIDTH = 12


def outcome_of_engine(
    report: Reporter, outcome: Mapping[str, Any], document: Mapping[str, Any], seconds: Mapping[Role, float]
) -> None:
    """What a command did to a session whose files are on another machine."""
    words = (outcome["understood"] or {}).get("text", "").strip()
    if words:
        report.plain(f'  "{words}"', "italic")
    tracks = {track["role"]: track for track in document["tracks"]}
    for role in Role:
        track = tracks.get(role.value)
        if role.value in outcome["changed"]:
            took = f"{seconds[role]:.1f} s   " if role in seconds else ""
            report.track(role, track["take_id"] if track else "removed", took + track["summary"] if track else "")
        elif track is not None:
            report.track(role, "locked" if track["locked"] else "kept", track["take_id"])


def session_of_engine(report: Reporter, document: Mapping[str, Any]) -> None:
    """Where a session stands whose files are on another machine."""
    for words in document["prompts"]:
        report.plain(f'  "{words}"', "italic")
    if not document["tracks"]:
        report.plain('  No music yet. Start with: resonantgen generate "dark techno"')
        return
    report.line("plays", _music(document["tempo_bpm"], document["meter"], document["key"], document["bars"]))
    report.line("chords", " · ".join(chord["symbol"] for chord in document["chords"]) or "none")
    report.plain()
    for track in document["tracks"]:
        state = track["take_id"] + (" locked" if track["locked"] else "")
        report.track(Role(track["role"]), f"{state:<18}", f"{track['summary']}   (seed {track['seed']})")


def _music(tempo_bpm: float, meter: str, key: str, bars: int) -> str:
    return f"{tempo_bpm:g} bpm · {meter} · {key} · {bars_text(bars)}"


def mixer(report: Reporter, strips: Sequence[Mapping[str, Any]]) -> None:
    """Gain, balance, mute and solo of each track."""
    for strip in strips:
        words = ["silent" if strip["gain"] <= SILENT_GAIN_DB else f"{strip['gain']:+.1f} dB"]
        if strip["pan"]:
            words.append(f"{'left' if strip['pan'] < 0 else 'right'} {abs(strip['pan']):.0%}")
        words += [word for word, on in (("muted", strip["mute"]), ("solo", strip["solo"])) if on]
        report.track(Role(strip["role"]), " · ".join(words))


def daw_map(report: Reporter, tracks: Mapping[int, Role]) -> None:
    """Which of the DAW's tracks were said to be ours."""
    for number, role in tracks.items():
        report.track(role, f"track {number} of the DAW")
    if not tracks:
        report.plain("  The names of the DAW's tracks decide. Say otherwise with: resonantgen map 3 bass")


def engine_status(report: Reporter, document: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """How a running engine does: its music, its tracks, where it answers and how it keeps up."""
    name = PurePath(str(document["project"])).name
    report.plain(f"ResonantGen {document['version']} · {name} is served by process {document['pid']}\n", "bold")
    if state.get("bars"):
        report.line("plays", _music(state["tempo"], state["meter"], state["key"], state["bars"]))
    transport = document["transport"]
    words = [f"playing, bar {transport['bar']}" if transport["playing"] else "stopped"]
    words += [f"new ideas every {bars_text(state['auto'])}"] if state.get("auto") else []
    words += ["generating"] if state.get("busy") else []
    report.line("transport", " · ".join(words))
    audio, ahead = document["audio"], f"{transport['render_ahead_ms']:g} ms mixed ahead"
    sound = "no sound" if audio["state"] == "none" else str(audio["message"] or audio["state"])
    report.line("audio", " · ".join([sound, *_counted(audio["telemetry"])]), ahead)
    report.line("generation", _times(document["generation"]))
    addresses, drivers = document["addresses"], document.get("drivers", {})
    for driver in {**addresses, **drivers}:
        values = drivers.get(driver, {})
        place = values.get("port", addresses.get(driver))
        there = "connected" if values.get("connected") else "not there"  # of what has no address of its own
        report.line(driver, place or there, _driver(values, bool(place)))
        for instance in values.get("instances", ()):
            report.line("", f"track {instance['track']}", _instance(instance))
    report.plain()
    for role in Role:
        take = state.get(f"track/{role.value}/take")
        locked = " locked" if state.get(f"track/{role.value}/lock") else ""
        report.track(role, f"{(take or 'silent') + locked:<18}", str(state.get(f"track/{role.value}/summary", "")))


def _driver(values: Mapping[str, Any], has_place: bool) -> str:
    """What there is to say of it beside its address, if it has one."""
    words = [f"{name} {values[name]}" for name in ("subscribers", "malformed", "dropped", "peers") if values.get(name)]
    if "connected" in values and has_place:
        words.append("connected" if values["connected"] else "nothing heard yet")
    if values.get("version"):
        words.append(f"version {values['version']}")
    if values.get("instances"):
        words.append(f"instances {len(values['instances'])}")
    if values.get("silent_here"):
        words.append(f"heard in the DAW, and not here: {', '.join(values['silent_here'])}")
    if values.get("clock_bpm"):
        words.append(f"clock {values['clock_bpm']:g} bpm")
    return " · ".join(words)


def _instance(values: Mapping[str, Any]) -> str:
    """One plugin in a DAW."""
    words = [values["plays"] or "no such track", f"{values['sample_rate']} Hz"]
    if values["tempo"] is None:
        words.append("its host tells no tempo and position")
    else:
        words += [f"{values['tempo']:g} bpm", values["meter"], "playing" if values["playing"] else "stopped"]
    words += [word for word, on in (("lock", values["locks"]), ("waits for the engine", values["waits"])) if on]
    return " · ".join([*words, f"underruns {values['underruns']}"])


def _counted(telemetry: Mapping[str, Any]) -> list[str]:
    """What the audio process has counted."""
    words = [f"underruns {telemetry['underruns']}"]
    if telemetry["callbacks"]:
        words.append(f"worst callback {telemetry['worst_callback_us'] / 1000:.1f} ms, load {telemetry['load']:.0%}")
    return words


def _times(times: Mapping[str, Any]) -> str:
    """How long the latest orders took."""
    if not times["orders"]:
        return "nothing yet"
    spans = (("first bar", "first_bar"), ("whole", "whole"))
    words = [
        f"{name} {times[f'{key}_ms_p50']:.0f} ms (p95 {times[f'{key}_ms_p95']:.0f})"
        for name, key in spans
        if times[f"{key}_ms_p50"] is not None
    ]
    return " · ".join([*words, f"orders {times['orders']}"])


def device_lists(report: Reporter, found: Mapping[str, Any]) -> None:
    """Audio outputs and MIDI ports, as `doctor.find_devices` gives them."""
    report.plain("Audio outputs", "bold")
    for device in found["audio"]:
        details = f"{device['system']} · {device['channels']} channels · {device['sample_rate']} Hz"
        report.plain(f"  {device['name']}   {details}" + " · default" * device["default"])
    if not found["audio"]:
        report.plain("  none", "dim")
    for title, key in (("MIDI inputs", "midi_in"), ("MIDI outputs", "midi_out")):
        report.plain(f"\n{title}", "bold")
        for name in found[key]:
            report.plain(f"  {name}")
        if not found[key]:
            report.plain("  none", "dim")
    for problem in found["problems"]:
        report.plain(f"\n{problem}")


def doctor_check(report: Reporter, check: Check) -> None:
    """What one look came to, and what to do about it."""
    style = {"ok": "green", "note": "cyan", "problem": "bold red"}[check.verdict]
    row = Text("  ")
    row.append(f"{check.verdict.value:<9}", style=style)
    row.append(f"{check.name:<{LABEL_WIDTH}}", style="bold")
    row.append(check.found)
    report.console.print(row, soft_wrap=True)
    if check.advice:
        report.plain(f"{'':<{11 + LABEL_WIDTH}}{check.advice}", "dim")
