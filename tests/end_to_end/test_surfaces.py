"""The surfaces, replayed by liblo's oscsend: each control does in an engine what its label says, and is told of it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from bridge_fakes import FakeEngine
from engine_process import EngineProcess, engine_process, make_project, needs_linux, wait_for
from osc_peer import HANG_SECONDS, serving, until
from resonantgen.music.notes import Role
from resonantgen_bridge.osc_addresses import routes_of
from resonantgen_bridge.osc_server import OscServer
from resonantgen_bridge.parsing import parse_positional
from resonantgen_bridge.protocol import OSC_ROOT, PROPERTIES
from resonantgen_bridge.surfaces.layout import LEFT_OUT_PROPERTIES
from surface_files import FOLDER, Sent, SurfaceFile, open_stage_control, touchosc

FILES = {
    "touchosc": touchosc((FOLDER / "ResonantGen.tosc").read_bytes()),
    "open_stage_control": open_stage_control((FOLDER / "ResonantGen.json").read_bytes()),
}
SUBSCRIBE = f"{OSC_ROOT}/subscribe"
pytestmark = pytest.mark.skipif(shutil.which("oscsend") is None, reason="needs Debian's liblo-tools")


def command_line(port: int, sent: Sent, values: tuple[Any, ...]) -> list[str]:
    return ["oscsend", "127.0.0.1", str(port), sent.address, sent.types, *map(str, values)]


# -- every control, and what it asks for ------------------------------------------------------------------------------


@pytest.mark.parametrize("file", list(FILES.values()), ids=list(FILES))
def test_every_control_asks_for_what_it_stands_for(file: SurfaceFile) -> None:
    """At its low and high end, or pressed: an engine that only listens."""

    async def touch(server: OscServer, sent: Sent, values: tuple[Any, ...]) -> None:
        process = await asyncio.create_subprocess_exec(*command_line(server.address[1], sent, values))
        async with asyncio.timeout(HANG_SECONDS):
            assert await process.wait() == 0

    async def whole() -> None:
        engine = FakeEngine()
        async with serving(engine) as server:
            for sent in file.sent:
                for values in sent.values:
                    before = len(engine.calls)
                    await touch(server, sent, values)
                    if sent.address == SUBSCRIBE:
                        await until(lambda: server.status()["subscribers"] == 1)
                        continue
                    await until(lambda before=before: len(engine.calls) > before)  # type: ignore[misc]
                    (route,) = routes_of(sent.address)
                    arguments = [] if route.command.trigger and values == (1,) else list(values)
                    wanted = parse_positional(route.command, route.given, arguments)
                    call = engine.calls[-1]
                    assert (call.command, dict(call.arguments)) == (wanted.command, dict(wanted.arguments)), sent
            assert server.status()["malformed"] == 0

    asyncio.run(whole())


# -- a real engine ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with engine_process(make_project(tmp_path_factory.mktemp("surfaces") / "night.rg")) as started:
        yield started


def touch(engine: EngineProcess, name: str, value: int | None = None) -> tuple[Any, ...]:
    """Touch a control of the TouchOSC layout: its only value, or its low (0) or high (1) one."""
    (sent,) = (sent for sent in FILES["touchosc"].sent if sent.name == name)
    values = sent.values[value or 0]
    port = int(engine.addresses["osc"].rpartition(":")[2])
    subprocess.run(command_line(port, sent, values), check=True, timeout=60)
    return values


def until_state(engine: EngineProcess, key: str, wanted: Any) -> None:
    def reached() -> bool:
        now = engine.state[key]
        return now == pytest.approx(wanted) if isinstance(wanted, float) else now == wanted

    wait_for(f"{key} to be {wanted}", reached)


@needs_linux
def test_what_sets_a_value_sets_it(engine: EngineProcess) -> None:
    """Each toggle and fader that makes no music, at both ends."""
    touched = 0
    for sent in FILES["touchosc"].sent:
        if sent.kind == "button" or routes_of(sent.address)[0].command.generates:
            continue
        ends = (1, 0) if sent.kind == "toggle" else (0, 1)
        for end in ends:
            (value,) = touch(engine, sent.name, end)
            until_state(engine, routes_of(sent.address)[0].key, value)
            touched += 1
    assert touched == 2 * (1 + 5 * len(Role) + 1)  # play; lock, mute, solo, gain and pan; tempo


@needs_linux
def test_regenerate_and_undo_and_redo_of_a_track(engine: EngineProcess) -> None:
    before = engine.state
    touch(engine, "bass regenerate")
    wait_for("another bass", lambda: engine.state["track/bass/take"] != before["track/bass/take"])
    after = engine.state
    for other in ("drums", "harmony", "melody"):
        assert after[f"track/{other}/take"] == before[f"track/{other}/take"]
    touch(engine, "bass undo")
    until_state(engine, "track/bass/take", before["track/bass/take"])
    touch(engine, "bass redo")
    until_state(engine, "track/bass/take", after["track/bass/take"])


@needs_linux
def test_a_locked_track_stays_and_the_others_change(engine: EngineProcess) -> None:
    touch(engine, "drums lock", 1)
    until_state(engine, "track/drums/lock", True)
    before = engine.state
    touch(engine, "regenerate")
    for track in ("bass", "harmony", "melody"):
        wait_for(
            f"another {track}",
            lambda key=f"track/{track}/take": engine.state[key] != before[key],  # type: ignore[misc]
        )
    assert engine.state["track/drums/take"] == before["track/drums/take"]
    touch(engine, "undo")
    until_state(engine, "track/melody/take", before["track/melody/take"])
    touch(engine, "redo")
    wait_for("the new melody", lambda: engine.state["track/melody/take"] != before["track/melody/take"])
    touch(engine, "drums lock", 0)
    until_state(engine, "track/drums/lock", False)


@needs_linux
@pytest.mark.parametrize(
    ("name", "end", "key", "wanted"),
    [
        ("bass density", 1, "track/bass/density", 1.0),
        ("melody brightness", 0, "track/melody/brightness", -1.0),
        ("energy", 1, "energy", 1.0),
        ("style house", 0, "style", "house"),
        ("bars 1", 0, "bars", 1),
        ("auto 8", 0, "auto", 8),
        ("auto 0", 0, "auto", 0),
    ],
)
def test_music_is_made_as_it_was_set(engine: EngineProcess, name: str, end: int, key: str, wanted: Any) -> None:
    touch(engine, name, end)
    until_state(engine, key, wanted)


@needs_linux
def test_typed_words_change_it(engine: EngineProcess) -> None:
    before = engine.state
    touch(engine, "change")  # "busier bass"
    until_state(engine, "prompt", "busier bass")
    assert engine.state["track/bass/take"] != before["track/bass/take"]
    assert engine.state["track/drums/take"] == before["track/drums/take"]


@needs_linux
def test_what_is_refused_is_told(engine: EngineProcess) -> None:
    """Typed words are no key: the message arrives where the surface shows it."""
    screen = engine.osc()
    screen.send(SUBSCRIBE, 1, screen.port)
    screen.ping()
    touch(engine, "key")
    code, message = screen.receive_at(f"{OSC_ROOT}/error")
    assert code == "BadValue" and "busier bass" in message
    assert FILES["touchosc"].shown[f"{OSC_ROOT}/error"] == ["error"]


@needs_linux
def test_all_that_the_engine_tells_is_shown_somewhere(engine: EngineProcess) -> None:
    screen = engine.osc()
    screen.send(SUBSCRIBE, 1)
    screen.ping()
    screen.send(f"{OSC_ROOT}/play", 1)
    for address in (f"{OSC_ROOT}/beat", f"{OSC_ROOT}/track/melody/level"):
        screen.receive_at(address)
    screen.send(f"{OSC_ROOT}/track/bass/regenerate", 1)
    screen.receive_at(f"{OSC_ROOT}/track/bass/new")
    numbers = {f"{OSC_ROOT}/track/{number}/" for number in range(1, len(Role) + 1)}
    told = {address for address, *_ in screen.got if not any(map(address.startswith, numbers))}
    left_out = {
        f"{OSC_ROOT}/{key}" for prop in PROPERTIES if prop.name in LEFT_OUT_PROPERTIES for key in prop.state_keys()
    }
    left_out |= {f"{OSC_ROOT}/done"} | {
        f"{OSC_ROOT}/track/{role.value}/{end}" for role in Role for end in ("new", "progress")
    }
    for file in FILES.values():
        assert told - left_out <= file.shown.keys()
        assert len(told & file.shown.keys()) > 60
