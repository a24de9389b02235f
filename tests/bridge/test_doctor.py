"""The doctor finds what is wrong with a machine, one thing at a time, and says what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from lab import SilentStudio
from resonantgen.cli import main
from resonantgen.errors import DeviceError
from resonantgen.models import folder as models
from resonantgen.models.catalog import model_info
from resonantgen.session.session import Session
from resonantgen_bridge import doctor
from resonantgen_bridge.doctor import Check, Verdict, examine
from resonantgen_bridge.served import Served, announce

DEVICE = {"index": 0, "name": "USB Audio", "system": "ALSA", "channels": 2, "sample_rate": 44100, "default": True}


@pytest.fixture(autouse=True)
def well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which all is well, whatever this one is like."""
    monkeypatch.setenv("RESONANTGEN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv(models.MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.delenv("RESONANTGEN_DEVICE", raising=False)
    monkeypatch.setattr(doctor, "_audio_devices", lambda: [DEVICE])
    monkeypatch.setattr(doctor, "_midi_ports", lambda: (["Pads"], []))
    monkeypatch.setattr("resonantgen.instruments.jit.compiled_before", lambda: True)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr("click.get_app_dir", lambda name: str(tmp_path / "settings"))
    for name in ("ZMQ_COMMANDS_PORT", "ZMQ_EVENTS_PORT"):
        monkeypatch.setattr(doctor, name, free_port(socket.SOCK_STREAM))
    monkeypatch.setattr(doctor, "OSC_PORT", free_port(socket.SOCK_DGRAM))


def free_port(kind: socket.SocketKind) -> int:
    with closing(socket.socket(socket.AF_INET, kind)) as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def found(name: str, project: Path | None = None) -> Check:
    (check,) = [check for check in examine(project) if check.name == name]
    return check


def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out, errors = capsys.readouterr()
    assert errors == "" and "All is well." in out
    assert "USB Audio (ALSA), 44100 Hz; devices: 1" in out and f"pyzmq {metadata.version('pyzmq')}" in out


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    names = ["python", "packages", "processor", "synthesis", "commands", "events", "osc", "plugin", "audio", "midi"]
    assert [check["name"] for check in document["checks"]] == [*names, "jack", "link", "neural", "models", "settings"]
    assert all(check.keys() == {"name", "verdict", "found", "advice"} for check in document["checks"])


@pytest.mark.parametrize(
    ("name", "constant", "kind", "option"),
    [
        ("commands", "ZMQ_COMMANDS_PORT", socket.SOCK_STREAM, "--zmq-port"),
        ("events", "ZMQ_EVENTS_PORT", socket.SOCK_STREAM, "--events-port"),
        ("osc", "OSC_PORT", socket.SOCK_DGRAM, "--osc-port"),
        ("plugin", "PLUGIN_PORT", socket.SOCK_STREAM, "--plugin-port"),
    ],
)
def test_a_taken_port(
    name: str, constant: str, kind: socket.SocketKind, option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with closing(socket.socket(socket.AF_INET, kind)) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setattr(doctor, constant, port)
        check = found(name)
        assert check.verdict is Verdict.PROBLEM
        assert str(port) in check.found and f"serve {option} 0" in check.advice
        project = tmp_path / "night.rg"
        project.mkdir()
        announce(project, Served(str(project), os.getppid(), f"tcp://127.0.0.1:{port}", "", f"127.0.0.1:{port}"))
        check = found(name)
        assert check.verdict is Verdict.NOTE  # it is where it should be
        assert f"another ResonantGen (pid {os.getppid()}, project night.rg)" in check.found
    assert found(name).verdict is Verdict.OK


def test_no_portaudio(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> None:
        raise DeviceError("PortAudio is not installed: apt install libportaudio2")

    monkeypatch.setattr(doctor, "_audio_devices", missing)
    assert found("audio").verdict is Verdict.PROBLEM
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "apt install libportaudio2" in out and "--audio none" in out and "one problem." in out
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert "Pads" in out and "apt install libportaudio2" in out


def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_audio_devices", list)
    assert found("audio").verdict is Verdict.PROBLEM


def test_no_midi_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DeviceError("No MIDI system runs here.")

    for ports in (missing, lambda: ([], [])):
        monkeypatch.setattr(doctor, "_midi_ports", ports)
        assert found("midi").verdict is Verdict.NOTE


def test_devices_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    wanted = {"audio": [DEVICE], "midi_in": ["Pads"], "midi_out": [], "problems": []}
    assert json.loads(capsys.readouterr().out) == wanted


def test_devices_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    assert "USB Audio   ALSA · 2 channels · 44100 Hz · default" in capsys.readouterr().out


def test_one_core_and_nothing_compiled_are_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("resonantgen.instruments.jit.compiled_before", lambda: False)
    assert (found("processor").verdict, found("synthesis").verdict) == (Verdict.NOTE, Verdict.NOTE)


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2", "no-such-thing>=1", 'aalink; extra == "link"'])
    check = found("packages")
    assert (check.verdict, check.found) == (Verdict.PROBLEM, "missing: no-such-thing")


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (4, 0))
    assert found("python").verdict is Verdict.PROBLEM


def test_settings_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("click.get_app_dir", lambda name: str(tmp_path / "file" / "resonantgen"))
    assert found("settings").verdict is Verdict.PROBLEM
    assert not (tmp_path / "settings").exists()  # it only looks


def test_a_project_is_read_to_its_stems(tmp_path: Path) -> None:
    assert found("project", tmp_path / "nothing.rg").verdict is Verdict.PROBLEM
    with Session.create(tmp_path / "night.rg", SilentStudio()) as session:
        session.generate("techno", bars=1, seed=1)
        stem = tmp_path / "night.rg" / "audio" / f"{next(iter(session.playing.values())).audio_sha256}.wav"
    assert found("project", tmp_path / "night.rg").verdict is Verdict.OK
    stem.write_bytes(b"")
    check = found("project", tmp_path / "night.rg")
    assert check.verdict is Verdict.PROBLEM and "drums-1" in check.found


def test_what_nobody_foresaw_does_not_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(doctor, "_midi_ports", broken)
    assert found("midi") == Check("midi", Verdict.PROBLEM, "ZeroDivisionError: oh", "Please report this.")
    assert found("settings").verdict is Verdict.OK


def test_without_torch_tracks_of_notes_are_all_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("neural").verdict is Verdict.OK and f"torch {metadata.version('torch')}" in found("neural").found
    monkeypatch.setenv("RESONANTGEN_DEVICE", "cuda:1")
    assert "plays on cuda:1" in found("neural").found
    monkeypatch.setitem(sys.modules, "transformers", None)
    check = found("neural")
    assert (check.verdict, check.advice) == (Verdict.NOTE, "To have them: pip install 'resonantgen[musicgen]'")
    assert check.found.endswith("tracks of sound: transformers")


def test_models_are_listed_and_looked_at(tmp_path: Path) -> None:
    check = found("models")
    assert (
        check.verdict is Verdict.NOTE and check.found.startswith("none; ") and str(tmp_path / "models") in check.found
    )
    folder, info = tmp_path / "models" / "musicgen-small", model_info("musicgen-small")
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    record = models.FileRecord("model.safetensors", 7, models.file_sha256(folder / "model.safetensors"))
    models.write_manifest(
        models.Manifest(
            format=models.FORMAT,
            name="musicgen-small",
            source="https://example.org",
            repository=info.repository,
            commit="0" * 40,
            licence=info.licence,
            files=[record],
        )
    )
    check = found("models")
    assert check.verdict is Verdict.OK and check.found.startswith("musicgen-small; ") and " free in " in check.found
    (folder / "model.safetensors").write_bytes(b"weight")
    check = found("models")
    assert check.verdict is Verdict.PROBLEM and "has 6 bytes and should have 7 bytes" in check.found


def test_the_doctor_loads_nothing_neural() -> None:
    program = "import sys; from resonantgen.cli import main; main(['doctor']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=120)
