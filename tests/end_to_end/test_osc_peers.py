"""Programs that are not ours drive the engine by OSC: liblo's oscsend and oscdump, and Pure Data."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge_fakes import FakeEngine
from engine_process import HANG_SECONDS, EngineProcess, engine_process, make_project, needs_linux
from osc_peer import serving, until

needs_liblo = pytest.mark.skipif(
    not all(map(shutil.which, ("oscsend", "oscdump", "stdbuf"))), reason="needs Debian's liblo-tools and coreutils"
)
needs_pd = pytest.mark.skipif(shutil.which("pd") is None, reason="needs Debian's puredata-core")


class Program:
    """A program that runs, and the lines that it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().strip())

    async def wait_for(self, *parts: str) -> str:
        """The first line with all these in it. TimeoutError if none comes."""
        async with asyncio.timeout(HANG_SECONDS):  # as long as a served engine may take on a busy machine
            while True:
                for line in self.lines:
                    if all(part in line for part in parts):
                        return line
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    program = Program(process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def oscsend(port: int, address: str, types: str = "", *values: Any) -> None:
    async with running("oscsend", "127.0.0.1", str(port), address, types, *map(str, values)) as program:
        async with asyncio.timeout(HANG_SECONDS):
            assert await program.process.wait() == 0, program.lines


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@needs_liblo
def test_oscsend_locks_and_oscdump_sees_it() -> None:
    async def whole() -> None:
        engine = FakeEngine()
        screen = free_port()
        async with serving(engine) as server, running("stdbuf", "-oL", "oscdump", str(screen)) as dump:
            port = server.address[1]
            while not any("/rg/track/melody/solo" in line for line in dump.lines):
                await oscsend(port, "/rg/subscribe", "ii", 1, screen)  # until oscdump listens
                await asyncio.sleep(0.05)
            assert (await dump.wait_for("/rg/tempo f 120")).endswith("120.000000")
            await dump.wait_for('/rg/key s "A minor"')
            await oscsend(port, "/rg/track/bass/lock", "i", 1)
            await dump.wait_for("/rg/track/2/lock i 1")
            await dump.wait_for("/rg/track/bass/lock i 1")
            await oscsend(port, "/rg/track/[34]/lock", "T")
            await dump.wait_for("/rg/track/3/lock i 1")
            await dump.wait_for("/rg/track/4/lock i 1")
            await oscsend(port, "/rg/tempo", "f", 9000)
            await dump.wait_for('/rg/error ss "BadValue"', "tempo")
            await oscsend(port, "/rg/prompt", "s", "dusty boom bap")
            await dump.wait_for("/rg/done", '"generate"')
            engine.notify("beat", bar=2, beat=1)
            await dump.wait_for("/rg/beat ii 2 1")
            await oscsend(port, "/rg/subscribe", "ii", 0, screen)
            await until(lambda: server.status()["subscribers"] == 0)
        assert [call.arguments.get("track") for call in engine.calls[:3]] == ["bass", "harmony", "melody"]

    asyncio.run(whole())


PATCH = """#N canvas 0 0 450 300 10;
#X obj 10 10 loadbang;
#X obj 10 40 t b b b b;
#X msg 300 70 connect 127.0.0.1 {port};
#X msg 200 70 1;
#X obj 200 100 oscformat rg track 2 lock;
#X msg 100 70 9000;
#X obj 100 100 oscformat rg tempo;
#X msg 10 70 1;
#X obj 10 100 oscformat rg subscribe;
#X obj 10 150 list prepend send;
#X obj 10 180 list trim;
#X obj 10 210 netsend -u -b;
#X obj 100 240 oscparse;
#X obj 100 270 print got;
#X connect 0 0 1 0;
#X connect 1 3 2 0;
#X connect 1 2 3 0;
#X connect 1 1 5 0;
#X connect 1 0 7 0;
#X connect 2 0 11 0;
#X connect 3 0 4 0;
#X connect 4 0 9 0;
#X connect 5 0 6 0;
#X connect 6 0 9 0;
#X connect 7 0 8 0;
#X connect 8 0 9 0;
#X connect 9 0 10 0;
#X connect 10 0 11 0;
#X connect 11 1 12 0;
#X connect 12 0 13 0;
"""


@needs_pd
def test_pure_data_locks_and_hears_the_echo(tmp_path: Path) -> None:
    async def whole() -> None:
        engine = FakeEngine()
        async with serving(engine) as server:
            patch = tmp_path / "surface.pd"
            patch.write_text(PATCH.format(port=server.address[1]), encoding="utf-8")
            async with running("pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(patch)) as pd:
                await pd.wait_for("got:", "rg track 2 lock 1")
                await pd.wait_for("got:", "rg error BadValue")
                await pd.wait_for("got:", "rg track melody solo 0")
                engine.change({"track/bass/gain": -6.0})
                await pd.wait_for("got:", "rg track 2 gain -6")
                await pd.wait_for("got:", "rg track bass gain -6")
        assert [(call.command, dict(call.arguments)) for call in engine.calls] == [
            ("lock", {"track": "bass", "locked": True})
        ]

    asyncio.run(whole())


# -- at a served engine -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with engine_process(make_project(tmp_path_factory.mktemp("peers") / "night.rg")) as engine:
        yield engine
        assert engine.end() == 0
        assert engine.errors == ""


def osc_port(engine: EngineProcess) -> int:
    return int(engine.addresses["osc"].rpartition(":")[2])


@needs_linux
@needs_liblo
def test_oscsend_locks_and_regenerates_what_is_served(served: EngineProcess) -> None:
    async def whole() -> None:
        port, screen = osc_port(served), free_port()
        async with running("stdbuf", "-oL", "oscdump", str(screen)) as dump:
            while not any('/rg/track/melody/take s "melody-1"' in line for line in dump.lines):
                await oscsend(port, "/rg/subscribe", "ii", 1, screen)  # until oscdump listens
                await asyncio.sleep(0.05)
            await oscsend(port, "/rg/track/drums/lock", "i", 1)
            await dump.wait_for("/rg/track/1/lock i 1")
            await oscsend(port, "/rg/track/1/regenerate", "i", 1)
            await dump.wait_for('/rg/error ss "TrackLocked"', "drums")
            await oscsend(port, "/rg/regenerate", "s", "another idea")
            for track in ("bass", "harmony", "melody"):
                await dump.wait_for(f'/rg/track/{track}/take s "{track}-2"')
            await oscsend(port, "/rg/subscribe", "ii", 0, screen)
        assert not any("drums-2" in line for line in dump.lines)

    asyncio.run(whole())
    assert served.state["track/drums/take"] == "drums-1" and served.state["track/drums/lock"]


@needs_linux
@needs_pd
def test_pure_data_locks_what_is_served(served: EngineProcess, tmp_path: Path) -> None:
    async def whole() -> None:
        patch = tmp_path / "surface.pd"
        patch.write_text(PATCH.format(port=osc_port(served)), encoding="utf-8")
        async with running("pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(patch)) as pd:
            await pd.wait_for("got:", "rg track 2 lock 1")
            await pd.wait_for("got:", "rg error BadValue")
            await pd.wait_for("got:", "rg track melody take")
            await pd.wait_for("got:", "rg beat")

    asyncio.run(whole())
    assert served.state["track/bass/lock"]
