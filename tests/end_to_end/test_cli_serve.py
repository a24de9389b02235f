"""The real engine and the command line together: started, driven, found, and ended, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resonantgen.session.session import Session
from resonantgen_bridge.served import ENGINE_FILE

PATIENCE = 240.0  # seconds: a machine that compiles the synthesis first takes its time

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send to another process there"),
]


class Terminal:
    """Runs commands in one folder, and an engine beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "RESONANTGEN_STATE": str(folder / "state"), "PYTHONIOENCODING": "utf-8"}
        self._environment.pop("RESONANTGEN_ENGINE", None)
        self.engine: subprocess.Popen[str] | None = None
        self.lines: list[str] = []  # what the engine wrote until it was ready

    def run(self, *arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "resonantgen", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=PATIENCE
        )
        return done.returncode, done.stdout, done.stderr

    def document(self, *arguments: str) -> dict[str, Any]:
        code, out, errors = self.run(*arguments, "--json")
        assert (code, errors) == (0, ""), errors
        document: dict[str, Any] = json.loads(out)
        return document

    def serve(self, *arguments: str) -> None:
        """Start an engine on free ports, and wait until it says how to stop it."""
        ports = [part for name in ("zmq", "events", "osc") for part in (f"--{name}-port", "0")]
        command = [sys.executable, "-m", "resonantgen", "serve", "--audio", "none", "--midi-in", "none", *ports]
        self.engine = subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.engine.stdout is not None
        for line in self.engine.stdout:
            self.lines.append(line.rstrip())
            if "Ctrl-C" in line:
                return
        raise AssertionError(f"the engine ended: {self.engine.communicate()[1]}")

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send the engine a signal, and wait: exit code, what it wrote since it was ready, and errors."""
        assert self.engine is not None
        self.engine.send_signal(number)
        out, errors = self.engine.communicate(timeout=PATIENCE)
        return self.engine.returncode, out, errors


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    if terminal.engine is not None:
        terminal.engine.kill()
        terminal.engine.communicate()


def test_a_session_with_a_served_project(terminal: Terminal) -> None:
    with Session.create(terminal.folder / "night.rg") as session:
        session.generate("dark techno with driving bass", bars=2, seed=7)
    terminal.serve("--project", "night.rg", "--no-play")
    assert any("night.rg" in line for line in terminal.lines)
    status = terminal.document("status")
    assert status["served"] and status["pid"] == terminal.engine.pid  # type: ignore[union-attr]
    assert not status["state"]["play"]
    assert terminal.run("play")[0] == 0
    assert terminal.document("status")["state"]["play"]

    assert "take 1: nothing changes it until" in terminal.run("lock", "drums")[1]
    code, out, errors = terminal.run("regenerate", "busier bass")
    assert (code, errors) == (0, "") and "take 2" in out and "busier" in out
    refused = "drums is locked, so it was left alone. Unlock it with: resonantgen unlock drums\n"
    assert terminal.run("regenerate", "busier drums") == (2, "", refused)
    takes = {track["role"]: track["take_id"] for track in terminal.document("show")["tracks"]}
    assert takes == {"drums": "drums-1", "bass": "bass-2", "harmony": "harmony-1", "melody": "melody-1"}
    assert "bass" in terminal.run("mix", "bass", "--gain", "-3")[1]
    assert terminal.document("map", "3", "bass") == {"daw_tracks": {"3": "bass"}}
    assert terminal.document("tempo", "100")["tempo_bpm"] == 100
    assert "back to take 1" in terminal.run("undo")[1]
    assert terminal.run("export", "--to", "out")[0] == 0
    assert "served already" in terminal.run("serve", "--project", "night.rg")[2]

    code, out, errors = terminal.end(signal.SIGINT)
    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert lines[-1] == "Stopped. The project is saved."
    assert any("drums" in line and "locked" in line for line in lines)
    assert not (terminal.folder / "night.rg" / ENGINE_FILE).exists()
    assert not terminal.document("status")["served"]
    assert terminal.document("mix")["tracks"][1]["gain"] == -3
    assert terminal.document("map") == {"daw_tracks": {"3": "bass"}}
    shown = terminal.document("show")
    assert shown["tempo_bpm"] == 100 and [track["locked"] for track in shown["tracks"]] == [True, False, False, False]


def test_an_empty_project_begins_with_its_prompt_and_sigterm_ends_it(terminal: Terminal) -> None:
    terminal.serve("--project", "new.rg", "--prompt", "calm ambient, 2 bars", "--no-play")
    port = json.loads((terminal.folder / "new.rg" / ENGINE_FILE).read_text())["zmq"].rpartition(":")[2]
    code, out, errors = terminal.run("regenerate", "busier", "--engine", port)  # done once the first music is there
    assert (code, errors) == (0, "") and "take 2" in out
    assert terminal.document("show", "--engine", port)["prompts"] == ["calm ambient, 2 bars", "busier"]
    code, out, errors = terminal.end(signal.SIGTERM)
    assert (code, errors) == (0, "") and out.endswith("Stopped. The project is saved.\n")
