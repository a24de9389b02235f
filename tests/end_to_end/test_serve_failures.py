"""What can go wrong around a served project: processes that are killed, ports and devices that are not to be had.

Music goes on where there is any, what was said to be saved is saved, and each trouble is one line.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine_process import EngineProcess, OscSocket, engine_process, is_alive, make_project, needs_linux, wait_for
from resonantgen.errors import WorkerLost
from resonantgen.music.notes import Role
from resonantgen.realtime.devices import list_devices
from resonantgen.session.session import Session
from resonantgen_bridge.calls import Notice
from resonantgen_bridge.served import find_served

pytestmark = needs_linux

UNHURRIED = ("--latency", "1000")  # so that a busy machine is not taken for a gap that a test looks for
LONG = 64  # bars: makes take seconds, in which they can be killed


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never served: copied."""
    return make_project(tmp_path_factory.mktemp("made") / "night.rg")


@pytest.fixture(scope="module")
def engine(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    copy = shutil.copytree(project, tmp_path_factory.mktemp("served") / "night.rg")
    with engine_process(copy, *UNHURRIED) as engine:
        wait_for("music", lambda: engine.status["transport"]["playing"])
        yield engine
        assert engine.end() == 0
        engine.wait_until_nothing_is_left()
        assert "Traceback" not in engine.errors


def takes(engine: EngineProcess) -> dict[str, str]:
    state = engine.state
    return {role.value: state[f"track/{role.value}/take"] for role in Role}


@contextmanager
def without_a_gap(engine: EngineProcess) -> Iterator[None]:
    """Music plays on during this, and a second beyond."""
    before = engine.status["audio"]["telemetry"]
    yield
    engine.wait_until_it_has_played()
    after = engine.status
    assert after["transport"]["playing"]
    assert after["audio"]["telemetry"]["underruns"] == before["underruns"]
    assert after["audio"]["telemetry"]["callbacks"] > before["callbacks"]


# -- processes that are killed ----------------------------------------------------------------------------------------


def test_the_worker_killed_in_the_middle_of_a_generation(engine: EngineProcess) -> None:
    before, worker = takes(engine), engine.worker_pid
    generating = threading.Event()
    swaps: list[Notice] = []
    stop_listening = engine.client.listen(swaps.append, "swap")
    with without_a_gap(engine):
        future = engine.client.submit("bars", bars=LONG, on_progress=lambda _: generating.set())
        assert generating.wait(120)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(WorkerLost):
            future.result(120)
        assert takes(engine) == before and engine.state["bars"] == 2
    # If a first bar of the new takes was heard already, the old ones have come back.
    wait_for("the old takes", lambda: {**before, **{s.fields["track"]: s.fields["material"] for s in swaps}} == before)
    stop_listening()
    bass = engine.client.regenerate(track="bass")["changed"]["bass"]
    assert takes(engine) == {**before, "bass": bass}
    assert engine.worker_pid != worker and not is_alive(worker)


def test_the_worker_killed_while_it_has_nothing_to_do(engine: EngineProcess) -> None:
    worker = engine.worker_pid
    with without_a_gap(engine):
        os.kill(worker, signal.SIGKILL)
        wait_for("it to end", lambda: not is_alive(worker))
    assert engine.client.regenerate(prompt="make the drums busier")["changed"].keys() == {"drums"}
    assert engine.worker_pid != worker


def test_the_audio_process_killed(engine: EngineProcess) -> None:
    audio, before, restarts = engine.audio_pid, takes(engine), engine.status["audio"]["restarts"]
    problems: list[Notice] = []
    stop_listening = engine.client.listen(problems.append, "problem")
    os.kill(audio, signal.SIGKILL)
    wait_for("another one", lambda: engine.status["audio"]["restarts"] == restarts + 1)
    wait_for("it to drain the ring", lambda: engine.status["audio"]["state"] == "none")
    with without_a_gap(engine):
        assert engine.audio_pid != audio
    assert takes(engine) == before and engine.state["play"]
    assert [notice.fields["code"] for notice in problems] == ["DeviceError"]
    assert "SIGKILL" in problems[0].fields["message"]
    assert any("SIGKILL" in line for line in engine.lines)
    stop_listening()
    assert engine.client.regenerate(track="melody")["changed"].keys() == {"melody"}


def test_the_engine_killed_while_it_generates(project: Path, tmp_path: Path) -> None:
    """Its processes end, its memory goes, and each take that was told is in the project, which can be served again."""
    copy = shutil.copytree(project, tmp_path / "night.rg")
    with engine_process(copy) as engine:
        told: list[tuple[str, str]] = []
        enough = threading.Event()

        def hear(notice: Notice) -> None:
            told.append((notice.fields["track"], notice.fields["take"]))
            if len(told) >= 10:
                enough.set()

        engine.client.listen(hear, "take")
        memory = engine.shared_memory
        requests = [engine.client.submit("regenerate", seed=number) for number in range(20)]
        assert enough.wait(120)
        engine.children()
        engine.process.kill()
        assert engine.process.wait(120) == -signal.SIGKILL
        engine.wait_until_nothing_is_left()
        wait_for("its memory to go", lambda: not memory.exists())
        for request in requests:
            request.cancel()
        engine.client.close()
    assert (copy / "engine.json").exists() and find_served(copy) is None
    with Session.open(copy) as session:
        kept = {(role.value, take.id) for role in Role for take in session.takes(role)}
        assert set(told) <= kept
        assert all(session.samples(take).any() for role in Role for take in session.takes(role))
        playing = {role.value: take.id for role, take in session.playing.items()}
    with engine_process(copy) as engine:
        assert takes(engine) == playing
        assert engine.end() == 0


# -- ports that are taken ---------------------------------------------------------------------------------------------


def port_of(address: str) -> str:
    return address.rpartition(":")[2]


def line_of(engine: EngineProcess, *parts: str) -> str:
    """The one line that says all of this."""
    lines = [line for line in engine.lines if all(part in line for part in parts)]
    assert len(lines) == 1, (parts, engine.lines)
    return lines[0]


def test_two_engines_on_the_same_ports(engine: EngineProcess, project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "second.rg")
    osc, zmq = (port_of(engine.addresses[name]) for name in ("osc", "zmq"))
    where = {"RESONANTGEN_STATE": str(engine.project.parent)}
    with engine_process(copy, "--zmq-port", zmq, "--osc-port", osc, environment=where) as second:
        for port in (osc, zmq):
            assert f"pid {engine.pid}, project {engine.project.name}" in line_of(second, port)
        second.wait_for_line("playing")
        served = find_served(copy)  # at ports of its own, where the command line finds it
        assert served is not None
        assert port_of(served.zmq) != zmq
        assert find_served(engine.project)  # nor has it taken the place of the first
        assert second.end() == 0
        assert second.errors == ""
    assert engine.client.ping() == 1


def test_ports_of_other_programs_and_no_device(project: Path, tmp_path: Path) -> None:
    """One line for each, and music for those who can be reached."""
    copy = shutil.copytree(project, tmp_path / "night.rg")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        events, osc = (str(one.getsockname()[1]) for one in (tcp, udp))
        options = ["--audio", "no such device", "--midi-in", "no such port", "--osc-port", osc]
        with engine_process(copy, *options, environment=no_jack(tmp_path)) as engine:
            line_of(engine, osc, "another program")
            line_of(engine, "MIDI")
            assert any("audio device" in line for line in engine.lines)
            wait_for("music", lambda: engine.status["transport"]["playing"])
            engine.wait_until_it_has_played()
            status = engine.status
            assert status["audio"]["state"] == "no_device" and status["audio"]["message"] == engine.state["audio"]
            assert "osc" not in status["addresses"] and "midi in" not in status["addresses"]
            assert engine.client.regenerate(track="bass")["changed"].keys() == {"bass"}
            assert engine.end() == 0
            assert engine.errors == ""
        with engine_process(copy, "--events-port", events) as engine:
            line_of(engine, events, "another program")
            surface = OscSocket(osc_of(engine))
            surface.ping()
            surface.send("/rg/track/2/regenerate")
            surface.receive(lambda message: message[:2] == ("/rg/done", "regenerate"))
            surface.close()
            assert engine.end() == 0
            assert engine.errors == ""


def test_a_machine_without_any_device(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in no_jack(tmp_path).items():
        monkeypatch.setenv(name, value)
    if list_devices():
        pytest.skip("this machine has an audio device")
    copy = shutil.copytree(project, tmp_path / "night.rg")
    with engine_process(copy, "--audio", "default") as engine:
        assert "audio device" in engine.state["audio"]
        wait_for("music", lambda: engine.status["transport"]["playing"])
        engine.wait_until_it_has_played()
        assert engine.end() == 0
        assert engine.errors == ""


def no_jack(folder: Path) -> dict[str, str]:
    """An environment in which no JACK server is found, whatever else runs on the machine."""
    return {"JACK_DEFAULT_SERVER": f"none-{os.getpid()}", "JACK_NO_START_SERVER": "1"}


def osc_of(engine: EngineProcess) -> tuple[str, int]:
    """As it prints it: without ZeroMQ it announces nothing."""
    host, _, port = engine.wait_for_line("  osc ").split()[1].rpartition(":")
    return host, int(port)


# -- what is refused --------------------------------------------------------------------------------------------------


def refused(project: Path, *options: str) -> str:
    """What `serve` says on standard error, where it exits with 2."""
    command = [sys.executable, "-m", "resonantgen", "serve", "--project", str(project), "--audio", "none"]
    ports = ("--zmq-port", "0", "--events-port", "0", "--osc-port", "0", "--plugin-port", "0", "--midi-in", "none")
    done = subprocess.run([*command, *ports, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_project_is_served_once(engine: EngineProcess) -> None:
    message = refused(engine.project)
    assert str(engine.pid) in message and engine.project.name in message
    assert engine.client.ping() == 1
    assert find_served(engine.project)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--sample-rate", "1234"], "44100"),
        (["--zmq-port", "80000"], "--zmq-port"),
        (["--listen", "0.0.0.0"], "keys"),
        (["--listen", "0.0.0.0", "--keys", "no keys"], "keys"),
        (["--midi-in", "default", "--midi-map", "no map.toml"], "no map.toml"),
        (["--journal", "/no folder/journal"], "/no folder/journal"),
        (["--reaper", "nowhere"], "nowhere"),
        (["--arm", "maybe"], "--arm"),
    ],
)
def test_options_that_cannot_be_meant(project: Path, tmp_path: Path, options: list[str], part: str) -> None:
    copy = shutil.copytree(project, tmp_path / "night.rg")
    assert part in refused(copy, *options)
    with Session.open(copy) as session:  # nobody holds it
        assert session.playing
