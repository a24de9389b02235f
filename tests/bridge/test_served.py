"""Finding the engine that serves a project, and not believing what was left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bridge_fakes import FakeEngine
from resonantgen.errors import EngineNotRunning
from resonantgen_bridge import served
from resonantgen_bridge.keys import new_keys
from resonantgen_bridge.served import (
    ENGINE_FILE,
    Served,
    announce,
    find_served,
    holder_of_port,
    running,
    withdraw,
)
from served_engine import served_engine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps what engines announce away from the user's own."""
    monkeypatch.setenv("RESONANTGEN_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "resonantgen"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "night.rg"
    folder.mkdir()
    return folder


def somebody(project: Path, pid: int | None = None, port: int = 5570) -> Served:
    address = f"tcp://127.0.0.1:{port}"
    return Served(str(project), os.getpid() if pid is None else pid, address, "tcp://127.0.0.1:5571", "127.0.0.1:9010")


def test_a_file_that_points_to_another_machine_is_not_believed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(address: str, *_: object) -> None:
        asked.append(address)
        raise EngineNotRunning("nobody")

    monkeypatch.setattr(served, "connect", connect)
    for address in ("tcp://192.0.2.7:5570", "tcp://[2001:db8::7]:5570", "tcp://evil.example:5570", "nonsense"):
        announce(project, replace(somebody(project), zmq=address))
        assert find_served(project) is None
    assert asked == []
    announce(project, replace(somebody(project), zmq="tcp://192.0.2.7:5570", public_key=str(project / "server.pub")))
    assert find_served(project) is None
    assert asked == ["tcp://192.0.2.7:5570"]


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_an_engine_is_found_as_long_as_it_serves(project: Path) -> None:
    assert find_served(project) is None
    with served_engine(FakeEngine(), project) as engine:
        found = find_served(project)
        assert found is not None
        assert (found.zmq, found.pid, found.project) == (engine.address, os.getpid(), str(project))
        assert running() == (found,)
    assert find_served(project) is None
    assert (list(project.iterdir()), running()) == ([], ())


def test_an_engine_with_keys_is_found(project: Path, tmp_path: Path) -> None:
    new_keys(tmp_path / "keys")
    with served_engine(FakeEngine(), project, tmp_path / "keys"):
        found = find_served(project)
        assert found is not None and found.public_key == str(tmp_path / "keys" / "server.pub")


def test_an_engine_that_listens_to_every_network_is_reached_here(project: Path) -> None:
    announce(project, replace(somebody(project), zmq="tcp://0.0.0.0:5570", events="tcp://[::]:5571"))
    written = json.loads((project / ENGINE_FILE).read_text())
    assert (written["zmq"], written["events"]) == ("tcp://127.0.0.1:5570", "tcp://[::1]:5571")


def test_an_engine_that_serves_another_project_is_not_believed(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.rg"
    other.mkdir()
    with served_engine(FakeEngine(), project):
        (other / ENGINE_FILE).write_bytes((project / ENGINE_FILE).read_bytes())
        assert find_served(other) is None


def test_a_file_of_a_dead_engine_is_ignored(project: Path, state: Path) -> None:
    announce(project, somebody(project, dead_pid()))
    assert find_served(project) is None
    assert (running(), list(state.iterdir())) == ((), [])  # and swept away where nobody else would


def test_an_engine_that_does_not_answer_is_not_found(project: Path) -> None:
    announce(project, somebody(project, port=1))
    assert find_served(project, timeout_seconds=0.2) is None


GARBAGE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "no text": b"\xff\xfe",
    "a field is missing": b'{"pid": 1}',
    "deep": b"[" * 9000,
    "a number for an address": json.dumps(asdict(somebody(Path("x"))) | {"zmq": 5570}).encode(),
    "text for a pid": json.dumps(asdict(somebody(Path("x"))) | {"pid": "1"}).encode(),
    "no pid": json.dumps(asdict(somebody(Path("x"))) | {"pid": 0}).encode(),
    "a huge pid": json.dumps(asdict(somebody(Path("x"))) | {"pid": 1 << 70}).encode(),
    "no address": json.dumps(asdict(somebody(Path("x"))) | {"zmq": "udp:"}).encode(),
    "no keys there": json.dumps(asdict(somebody(Path("x"))) | {"public_key": "/nowhere/server.pub"}).encode(),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_no_engine(project: Path, content: bytes) -> None:
    (project / ENGINE_FILE).write_bytes(content)
    assert find_served(project) is None


def test_only_its_own_announcement_is_withdrawn(project: Path) -> None:
    withdraw(project)
    announce(project, somebody(project, os.getppid()))
    withdraw(project)
    assert (project / ENGINE_FILE).exists()
    announce(project, somebody(project))
    withdraw(project)
    assert not (project / ENGINE_FILE).exists()


def test_who_holds_a_port_is_known(project: Path) -> None:
    announce(project, somebody(project, os.getppid()))
    assert holder_of_port(9010) == f"another ResonantGen (pid {os.getppid()}, project night.rg)"
    assert holder_of_port(5571) == holder_of_port(9010)
    assert holder_of_port(9011) == "another program"


def test_a_folder_for_running_engines_that_cannot_be_written_is_no_hindrance(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESONANTGEN_STATE", str(tmp_path / "file"))
    announce(project, somebody(project))
    assert (project / ENGINE_FILE).exists()
    assert running() == ()
    withdraw(project)
    assert not (project / ENGINE_FILE).exists()
