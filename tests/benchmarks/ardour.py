"""Ardour in real time, for docs/benchmarks.md: `PYTHONPATH=tests python tests/benchmarks/ardour.py`.

Ardour plays four tracks with the plugin for a minute while all of them are regenerated every four bars. The tracks are
recorded, and every sample is compared with the stems on Ardour's bars (tests/host_grid.py). Then a track is armed by
Ardour's own OSC, again and again, and the time until the engine has locked it is taken.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from ardour_host import Ardour, ArdourSession, Change
from engine_process import EngineProcess, engine_process, make_project, wait_for
from host_grid import HostGrid, Sound, loop_quarters, song_start, stems, takes_by_bar
from jack_server import JackServer
from live_recording import percentile
from plugin_hosts import plugin_path
from resonantgen.music.notes import Role
from resonantgen.session.session import Session
from resonantgen_bridge.calls import Notice

RATE, PERIOD = 48_000, 1024
TEMPO, EVERY = "124", 4  # bars


def underruns(engine: EngineProcess) -> int:
    return sum(plugin["underruns"] for plugin in engine.status["drivers"]["plugin"]["instances"])


def play(engine: EngineProcess, ardour: Ardour, grid: HostGrid, seconds: float) -> int:
    """Regenerate every few bars; returns how often."""
    ardour.play()
    count = 0
    while grid.line((count + 1) * EVERY) < seconds * RATE:
        ardour.wait_until_at(grid.line(count * EVERY + 1))
        engine.client.regenerate()
        count += 1
    ardour.wait_until_at(round(seconds * RATE))
    return count


def arm_latencies(engine: EngineProcess, ardour: Ardour, times: int) -> list[float]:
    """From each command to Ardour until the engine tells that it has locked the track, in seconds."""
    locked: list[tuple[float, bool]] = []
    role = Role.BASS.value

    def note(notice: Notice) -> None:
        if (on := notice.fields["state"].get(f"track/{role}/lock")) is not None:
            locked.append((time.monotonic(), bool(on)))

    engine.client.listen(note, "changed")
    waits = []
    for number in range(2 * times):
        on = number % 2 == 0
        start, known = time.monotonic(), len(locked)
        ardour.send("/strip/recenable", list(Role).index(Role.BASS) + 1, int(on))
        wait_for("the lock", lambda known=known: len(locked) > known)  # type: ignore[misc]
        if on:
            waits.append(locked[-1][0] - start)
        time.sleep(0.137)  # not in step with anything
    return waits


def compare(project: Path, heard: Sound, first: str, grid: HostGrid, seconds: float) -> tuple[int, int]:
    """The swaps heard, and the bars compared. AssertionError where a sample is another one than is due."""
    with Session.open(project, readonly=True) as session:
        takes = {role: stems(session, role, grid) for role in Role}
    heard = heard[song_start(heard[:, :2], takes[Role.DRUMS][first], grid) :][: round(seconds * RATE)]
    swaps = bars = 0
    for number, role in enumerate(Role):
        played = takes_by_bar(heard[:, 2 * number : 2 * number + 2], takes[role], grid)
        swaps += sum(one != other for one, other in pairwise(played))
        bars += len(played)
    return swaps, bars


def measure(folder: Path, seconds: float, arms: int, waits: bool) -> None:
    song = ArdourSession(folder / "ardour", plugin_path("lv2"))
    song.make(round((seconds + 10) * RATE) + arms * RATE, Change(1, TEMPO))
    project = make_project(folder / "song.rg")
    with Session.open(project, readonly=True) as session:
        grid = HostGrid(TEMPO, "4/4", loop_quarters(session))
    with (
        JackServer(PERIOD, RATE, waits=waits, realtime=True) as server,
        song.opened(server) as ardour,
        engine_process(project, "--ardour", ardour.address, "--no-play") as engine,
    ):
        song.link(engine.addresses["plugin"])
        wait_for("the plugins", lambda: len(engine.status["drivers"]["plugin"]["instances"]) == len(Role))
        wait_for("their sound", lambda: all(p["epoch"] for p in engine.status["drivers"]["plugin"]["instances"]))
        wait_for("the tracks", lambda: len(engine.status["drivers"]["ardour"]["tracks"]) == len(Role))
        time.sleep(1)  # until its plugins have the sound
        first = str(engine.state["track/drums/take"])
        xruns, silent = ardour.recording.xruns(), underruns(engine)
        ardour_ticks, began = cpu_seconds(ardour.process.pid), time.monotonic()
        count = play(engine, ardour, grid, seconds)
        load = (cpu_seconds(ardour.process.pid) - ardour_ticks) / (time.monotonic() - began)
        xruns, silent = ardour.recording.xruns() - xruns, underruns(engine) - silent
        latencies = arm_latencies(engine, ardour, arms)
        ardour.stop()
        heard = ardour.heard()
    swaps, bars = compare(project, heard, first, grid, seconds)
    print(f"Ardour, {seconds:.0f} s at {TEMPO} bpm, blocks of {PERIOD}, all four tracks regenerated {count} times")
    print(f"  xruns of the server  {xruns}")
    print(f"  underruns            {silent}, of the four plugins")
    print(f"  swaps                {swaps}, 0 of them off their bar line; {bars} bars compared, every sample as due")
    print(f"  Ardour's processor   {load:.0%} of a core")
    p50, p95, most = (1000 * each for each in (percentile(latencies, 50), percentile(latencies, 95), max(latencies)))
    print(f"  arm to locked        p50 {p50:.1f} ms, p95 {p95:.1f} ms, at most {most:.1f} ms, of {len(latencies)}")


def cpu_seconds(pid: int) -> float:
    """Of processor time that a process has taken, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--arms", type=int, default=50)
    parser.add_argument("--wait", action="store_true", help="JACK waits for slow clients (-S)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), chosen.seconds, chosen.arms, chosen.wait)


if __name__ == "__main__":
    main()
