"""How soon a running engine answers, for docs/benchmarks.md: `python tests/benchmarks/latency.py`.

It starts `resonantgen serve` without sound on free ports, has it play a loop, and sends 5,000 commands by ZeroMQ, one
after the other: gains, which are answered and told as a `changed` event. Times are until the answer, and until the
event.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from resonantgen_bridge import AsyncClient

COMMANDS = 5000
START_SECONDS = 120
SERVE = [
    sys.executable,
    "-m",
    "resonantgen",
    "serve",
    "--audio",
    "none",
    "--midi-in",
    "none",
    "--prompt",
    "dark techno",
]
SERVE += ["--zmq-port", "0", "--events-port", "0", "--osc-port", "0"]


async def measure(address: str, events_address: str) -> tuple[list[float], list[float]]:
    """Seconds to each answer, and to each event."""
    answers, events = [], []
    async with AsyncClient(address, events=events_address) as client:
        while not (await client.state())["track/bass/take"]:
            await asyncio.sleep(0.2)
        async with await client.events("changed") as changes:
            for number in range(COMMANDS):
                value = -6.0 - number % 50 / 10
                start = time.perf_counter()
                answer = asyncio.create_task(client.gain(track="bass", gain=value))
                answer.add_done_callback(lambda _, start=start: answers.append(time.perf_counter() - start))
                while (await anext(changes)).fields["state"].get("track/bass/gain") != value:
                    pass
                events.append(time.perf_counter() - start)
                await answer
    return answers, events


def report(name: str, seconds: list[float]) -> None:
    cuts = quantiles(seconds, n=100)
    print(f"{name}: p50 {cuts[49] * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms, worst {max(seconds) * 1e3:.1f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "latency.rg"
        with subprocess.Popen([*SERVE, "--project", str(project)], stdout=subprocess.DEVNULL) as engine:
            try:
                deadline = time.monotonic() + START_SECONDS
                while not (project / "engine.json").exists():
                    if engine.poll() is not None or time.monotonic() > deadline:
                        sys.exit("The engine did not start.")
                    time.sleep(0.1)
                served = json.loads((project / "engine.json").read_text(encoding="utf-8"))
                answers, events = asyncio.run(measure(served["zmq"], served["events"]))
            finally:
                engine.terminate()
    report(f"ZeroMQ command to its answer, {COMMANDS} commands", answers)
    report(f"ZeroMQ command to its event, {COMMANDS} commands", events)


if __name__ == "__main__":
    main()
