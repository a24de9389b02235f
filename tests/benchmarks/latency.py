"""How soon a running engine answers, for docs/benchmarks.md: `python tests/benchmarks/latency.py`.

It starts `resonantgen serve` without sound on free ports, has it play a loop, and sends 5,000 commands by ZeroMQ and
5,000 by OSC, one after the other: gains, which are answered and told as a `changed` event, or to another OSC socket
that has subscribed. Times are until the answer, and until the event.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from pythonosc.osc_message_builder import build_msg
from pythonosc.osc_packet import OscPacket

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
SERVE += ["--zmq-port", "0", "--events-port", "0", "--osc-port", "0", "--plugin-port", "0"]


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


def measure_osc(engine: tuple[str, int]) -> list[float]:
    """Seconds from each message by one socket to the new value at another one."""
    events = []
    with open_socket() as surface, open_socket() as subscriber:
        subscriber.sendto(build_msg("/rg/subscribe", [1]).dgram, engine)
        receive(subscriber, "/rg/track/bass/gain")
        for number in range(COMMANDS):
            value = -12.0 - number % 48 / 8  # exact as a 32-bit float
            message = build_msg("/rg/track/bass/gain", [value]).dgram
            start = time.perf_counter()
            surface.sendto(message, engine)
            while receive(subscriber, "/rg/track/bass/gain") != value:
                pass
            events.append(time.perf_counter() - start)
    return events


def open_socket() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))
    opened.settimeout(START_SECONDS)
    return opened


def receive(subscriber: socket.socket, address: str) -> object:
    """The next value that comes there."""
    while True:
        for packet in OscPacket(subscriber.recv(65536)).messages:
            if packet.message.address == address:
                return packet.message.params[0]


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
                host, _, port = served["osc"].rpartition(":")
                osc = measure_osc((host, int(port)))
            finally:
                engine.terminate()
    report(f"ZeroMQ command to its answer, {COMMANDS} commands", answers)
    report(f"ZeroMQ command to its event, {COMMANDS} commands", events)
    report(f"OSC command to the event at a subscriber, {COMMANDS} commands", osc)


if __name__ == "__main__":
    main()
