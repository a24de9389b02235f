"""How the plugin fares in a host, for docs/benchmarks.md: `PYTHONPATH=tests python tests/benchmarks/plugin.py`.

A host plays the VST3 in real time (48 kHz, blocks of 512: 10.7 ms each) while a real engine is killed and started
again, several times. Told are how long a block takes, of which the plugin's own part is the processor time, and how
soon after the engine's return the music is there again: after it listens, and after it says that it runs.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from engine_process import engine_process, make_project, wait_for
from plugin_hosts import HostProcess, song

RATE, BLOCK, TEMPO = 48_000, 512, 170.0
SECONDS = 60
AWAY_SECONDS = 3.0
BUDGET_SECONDS = BLOCK / RATE


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    listened, ready, stop = [], [], threading.Event()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as reserved:
        port = int(reserved.getsockname()[1])
        reserved.close()
        project = make_project(Path(folder) / "plugin.rg")

        def kill_and_start_again() -> None:
            while not stop.is_set():
                with engine_process(project, "--no-follow", "--plugin-port", str(port), ready=False) as engine:
                    wait_for("the engine to listen", lambda: listens(port))
                    listened.append(time.monotonic())
                    engine.wait_for_line("Ctrl-C stops it.")
                    ready.append(time.monotonic())
                    stop.wait(AWAY_SECONDS)
                    engine.process.kill()
                    engine.process.wait()
                stop.wait(AWAY_SECONDS)

        killer = threading.Thread(target=kill_and_start_again)
        killer.start()
        try:
            with HostProcess(f"127.0.0.1:{port}") as host:
                plugin = host.load("vst3", RATE, BLOCK)
                played = plugin.play(song([BLOCK] * (SECONDS * RATE // BLOCK), RATE, tempo=TEMPO), paced=True)
                plugin.close()
        finally:
            stop.set()
            killer.join()
    heard = played.begun[played.samples.reshape(-1, BLOCK * 2).any(axis=1)]
    for name, seconds in (("block", played.seconds), ("processor time of a block", played.cpu_seconds)):
        p99, worst = np.percentile(seconds, 99), seconds.max()
        print(
            f"{name}: p50 {np.median(seconds) * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms, worst {worst * 1e3:.2f} ms", end=""
        )
        print(f" ({100 * worst / BUDGET_SECONDS:.0f} % of its budget of {BUDGET_SECONDS * 1e3:.1f} ms)")
    print(f"blocks over half the budget: {int((played.seconds > BUDGET_SECONDS / 2).sum())} of {len(played.seconds)}")
    print(f"times that the audio thread waited: {int(played.waits.sum())}")
    for name, times in (("it listened", listened), ("it said that it runs", ready)):
        back = [heard[heard > at][0] - at for at in times if (heard > at).any()]
        print(f"music after {name}: {', '.join(f'{seconds:.2f}' for seconds in back)} s")


if __name__ == "__main__":
    main()
