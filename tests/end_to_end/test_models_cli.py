"""`resonantgen models`, as a person uses it, with a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from model_server import ModelServer, Trouble, tiny_model
from resonantgen.cli import main
from resonantgen.models import model_info, models_folder
from resonantgen.models.web import Wire

BIG = "model.safetensors"
WEIGHTS = random.Random(7).randbytes(600_000)
SMALL, STEREO, CODEC = "musicgen-small", "musicgen-stereo-small", "encodec-48khz"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer() as hub:
        monkeypatch.setenv("RESONANTGEN_MODELS", str(tmp_path / "models"))
        monkeypatch.setenv("RESONANTGEN_MODEL_HUB", hub.address)
        for name in (SMALL, STEREO, CODEC):
            info = model_info(name)
            hub.publish(info.repository, tiny_model(info, {BIG: WEIGHTS}))
        yield hub


@pytest.fixture
def run(hub: ModelServer, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command without a terminal: exit code, stdout, stderr."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(["models", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "resonantgen", "models", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_list_says_what_each_is_for_and_what_is_here(run: Run) -> None:
    run("pull", CODEC, "--accept-licence")
    code, out, _ = run("list")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "2.4 GB" in lines[SMALL] and "CC-BY-NC 4.0" in lines[SMALL] and "Music from words" in lines[SMALL]
    assert "on this machine" in lines[CODEC] and "on this machine" not in lines[SMALL]
    assert str(models_folder()) in out

    (models_folder() / CODEC / BIG).write_bytes(b"short")
    code, out, errors = run("list", "--json")
    assert (code, errors) == (0, "")
    found = {row["name"]: row for row in json.loads(out)["models"]}
    assert {name: found[name]["state"] for name in (SMALL, CODEC)} == {SMALL: "absent", CODEC: "damaged"}
    assert found[SMALL]["licence"]["url"] == "https://creativecommons.org/licenses/by-nc/4.0/"


def test_a_pull_shows_the_licence_then_lines_then_where_it_is(run: Run) -> None:
    code, out, errors = run("pull", SMALL, "--accept-licence")
    assert code == 0
    assert out.splitlines()[0] == f"Licence of {SMALL}: CC-BY-NC 4.0"
    assert "non-commercial use only" in out
    assert out.splitlines()[-1] == (
        f"{SMALL} is on this machine, and its checksums are right: {models_folder() / SMALL}"
    )
    percents = [int(line.split("%")[0].split(":")[1]) for line in errors.splitlines()]
    assert percents == sorted(percents) and percents[-1] == 100 and len(percents) <= 11


def test_without_a_terminal_a_licence_is_not_accepted_by_silence(run: Run, hub: ModelServer) -> None:
    code, _, errors = run("pull", SMALL)
    assert code == 2
    assert len(errors.splitlines()) == 1 and "--accept-licence" in errors and "CC-BY-NC 4.0" in errors
    assert hub.asked == [] and not (models_folder() / SMALL).exists()


def test_a_licence_is_asked_for_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[str] = []

    def answer(yes: bool) -> None:
        monkeypatch.setattr("click.confirm", lambda text, default: bool(questions.append(text)) or yes)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answer(False)
    assert run("pull", SMALL)[::2] == (2, "Nothing was fetched.\n")
    answer(True)
    code, out, _ = run("pull", SMALL, STEREO, CODEC)
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("Licence")] == [
        f"Licence of {SMALL}, {STEREO}: CC-BY-NC 4.0",
        f"Licence of {CODEC}: MIT",
    ]
    assert len(questions) == 3
    run("remove", SMALL)
    code, out, _ = run("pull", SMALL)
    assert code == 0 and "Licence" not in out
    assert len(questions) == 3
    assert json.loads((models_folder() / "licences.json").read_bytes()) == ["CC-BY-NC 4.0", "MIT"]


def test_an_unknown_name_fetches_none_of_the_others(run: Run, hub: ModelServer) -> None:
    code, out, errors = run("pull", SMALL, "musicgen-smal", "--accept-licence")
    assert (code, out) == (2, "")
    assert "Did you mean musicgen-small" in errors
    assert hub.asked == []


def test_verify_says_of_each_file_how_it_is(run: Run) -> None:
    assert run("verify")[0] == 0
    assert run("verify", SMALL)[0] == 2  # it is not here: the line says how to fetch it
    run("pull", SMALL, CODEC, "--accept-licence")
    code, out, _ = run("verify")
    assert code == 0
    assert f"  {SMALL}/{BIG}: right" in out and f"{CODEC}: every file is as it was fetched." in out

    path = models_folder() / SMALL / BIG
    path.write_bytes(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    code, out, _ = run("verify", SMALL)
    assert code == 1
    assert f"  {SMALL}/{BIG}: does not match its checksum" in out and f"  {SMALL}/config.json: right" in out
    assert out.splitlines()[-1] == f"{SMALL} is damaged. Fetch it again: resonantgen models pull {SMALL}"
    code, out, errors = run("verify", "--json")
    document = json.loads(out)
    assert (code, errors, document["ok"]) == (1, "", False)
    assert [row["file"] for row in document["files"] if row["trouble"]] == [BIG]

    assert run("pull", SMALL)[0] == 0
    assert run("verify")[0] == 0


def test_a_cut_is_told_of_and_ends_well(run: Run, hub: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("resonantgen.models.web.Wire", partial(Wire, sleep=slept.append))
    hub.trouble(BIG, Trouble(cut_after=200_000))
    code, _, errors = run("pull", SMALL, "--accept-licence")
    assert code == 0
    assert f"{SMALL}: the connection was cut; trying again in 1 s" in errors and slept == [1.0]
    assert hub.asked_for(BIG)[1].range == "bytes=200000-"


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("ending", ["SIGINT", "SIGKILL"])
def test_a_pull_that_is_ended_keeps_the_part_and_goes_on_from_there(hub: ModelServer, ending: str) -> None:
    gate = threading.Event()
    hub.trouble(BIG, Trouble(cut_after=300_000, gate=gate))
    process = start("pull", SMALL, "--accept-licence")
    part = models_folder() / SMALL / f"{BIG}.{hashlib.sha256(WEIGHTS).hexdigest()[:12]}.part"
    try:
        assert hub.halfway.wait(60)
        while not part.exists() or part.stat().st_size < 300_000:  # it will be: the bytes are on their way
            assert process.poll() is None
            threading.Event().wait(0.01)
        process.send_signal(signal.Signals[ending])
        out, errors = process.communicate(timeout=60)
    finally:
        gate.set()
        process.kill()
        process.wait()
    if ending == "SIGINT":
        assert process.returncode == 130
        assert errors.splitlines()[-1] == (
            f"Interrupted. What has come is kept: go on with resonantgen models pull {SMALL}"
        )
    assert "Traceback" not in out + errors
    assert part.read_bytes() == WEIGHTS[:300_000]

    again = start("pull", SMALL)  # the licence was accepted
    out, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert hub.asked_for(BIG)[-1].range == "bytes=300000-"
    assert (models_folder() / SMALL / BIG).read_bytes() == WEIGHTS


def test_two_processes_do_not_fetch_one_model(hub: ModelServer) -> None:
    gate = threading.Event()
    hub.trouble(BIG, Trouble(cut_after=300_000, gate=gate))
    first = start("pull", SMALL, "--accept-licence")
    try:
        assert hub.halfway.wait(60)
        second = start("pull", SMALL)
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert errors == f"{SMALL} is being fetched by another process. Wait until it is done.\n"
        gate.set()
        _, errors = first.communicate(timeout=60)
        assert first.returncode == 0, errors
    finally:
        gate.set()
        first.kill()
        first.wait()
    assert (models_folder() / SMALL / BIG).read_bytes() == WEIGHTS


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_in_a_terminal_there_is_a_bar_and_a_question(hub: ModelServer) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "resonantgen", "models", "pull", SMALL],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    os.write(ours, b"y\n")
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # Linux says so at the end
        pass
    finally:
        os.close(ours)
        assert process.wait(60) == 0
    text = said.decode(errors="replace")
    assert "Do you accept it? [y/N]" in text
    assert "MB/s" in text or "kB/s" in text
    assert f"{SMALL}/{BIG}" in text


def test_what_is_fetched_can_be_removed(run: Run) -> None:
    run("pull", SMALL, "--accept-licence")
    assert run("remove", SMALL) == (0, f"{SMALL} was removed.\n", "")
    assert not (models_folder() / SMALL).exists()
    code, _, errors = run("remove", SMALL)
    assert code == 2 and errors == f"{SMALL} is not on this machine.\n"
