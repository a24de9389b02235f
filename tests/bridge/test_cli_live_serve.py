"""`resonantgen serve` from the command line: what it asks the engine for, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from bridge_fakes import FakeEngine
from resonantgen.cli import main
from resonantgen.errors import AddressTaken, ResonantGenError
from resonantgen.session.session import Session
from resonantgen_bridge.keys import new_keys
from resonantgen_bridge.options import Arm, Peer, ServeOptions
from served_engine import served_engine

DONE = "Stopped. The project is saved.\n"


class FakeServe(ModuleType):
    """Instead of `resonantgen_bridge.serve`: keeps what it is asked, says one line, and ends as it is told."""

    def __init__(self) -> None:
        super().__init__("resonantgen_bridge.serve")
        self.asked: list[ServeOptions] = []
        self.end: BaseException | None = None

    def serve(self, options: ServeOptions, on_line: Callable[[str], None]) -> None:
        self.asked.append(options)
        on_line("ready")
        if self.end is not None:
            raise self.end


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServe:
    monkeypatch.chdir(tmp_path)
    fake = FakeServe()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return fake


def test_defaults(fake: FakeServe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--project", "night.rg"]) == 0
    assert fake.asked == [ServeOptions(Path("night.rg"))]
    assert capsys.readouterr().out == "ready\n" + DONE


def test_every_option(fake: FakeServe) -> None:
    arguments = (
        "--project n.rg --prompt techno --audio hdmi --stems --sample-rate 44100 --block 512 --latency 40.5 --no-play "
        "--auto 8 --zmq-port 0 --events-port 0 --osc-port 9000 --osc-listen 0.0.0.0 --listen 192.168.1.5 --keys k "
        "--midi-in pads --midi-out synth --midi-map korg_nanokontrol2 --midi-clock --link --reaper 127.0.0.1:8000 "
        "--ableton --ardour 127.0.0.1:3819 --plugin-port 0 --no-follow --arm ignore --arm-back --journal j.jsonl"
    )
    new_keys(Path("k"))
    assert main(["serve", *arguments.split()]) == 0
    wanted = ServeOptions(
        project=Path("n.rg"),
        prompt="techno",
        audio="hdmi",
        stems=True,
        sample_rate=44100,
        block_frames=512,
        latency_ms=40.5,
        play=False,
        auto_bars=8,
        zmq_port=0,
        events_port=0,
        osc_port=9000,
        osc_listen="0.0.0.0",
        listen="192.168.1.5",
        keys=Path("k"),
        midi_in="pads",
        midi_out="synth",
        midi_map=Path("korg_nanokontrol2"),
        midi_clock=True,
        link=True,
        reaper=Peer("127.0.0.1", 8000),
        ableton=True,
        ardour=Peer("127.0.0.1", 3819),
        plugin_port=0,
        follow=False,
        arm=Arm.IGNORE,
        arm_back=True,
        journal=Path("j.jsonl"),
    )
    assert fake.asked == [wanted]
    plain = ServeOptions(Path("n.rg"))
    fields = ServeOptions.__dataclass_fields__
    assert [name for name in fields if getattr(wanted, name) == getattr(plain, name)] == [
        "project"
    ]  # none was left out


def test_the_newest_project_or_a_new_one_by_the_words(fake: FakeServe) -> None:
    assert main(["serve", "--prompt", "dark techno"]) == 0
    Session.create("old.rg").close()
    assert main(["serve"]) == 0
    assert main(["serve", "--prompt", "dark techno"]) == 0
    old = ServeOptions(Path("old.rg"))
    assert fake.asked == [
        ServeOptions(Path("dark-techno.rg"), "dark techno"),
        old,
        replace(old, prompt="dark techno"),
    ]


def test_ctrl_c_while_it_starts_is_no_error(fake: FakeServe, capsys: pytest.CaptureFixture[str]) -> None:
    fake.end = KeyboardInterrupt()
    assert main(["serve", "--project", "night.rg"]) == 0
    assert capsys.readouterr() == ("ready\n" + DONE, "")


def test_a_project_that_is_being_served_is_not_served_again(
    fake: FakeServe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RESONANTGEN_STATE", str(tmp_path / "state"))
    Session.create("night.rg").close()
    with served_engine(FakeEngine(), tmp_path / "night.rg"):
        assert main(["serve"]) == 2
    line = f"night.rg is being served already (pid {os.getpid()}). Stop that first, or serve another project.\n"
    assert capsys.readouterr() == ("", line)
    assert fake.asked == []


@pytest.mark.parametrize(
    "error", [AddressTaken("Port 9010 is taken by another program. Stop it, or use --osc-port."), OSError(28, "Full")]
)
def test_what_cannot_be_served_is_one_line(
    fake: FakeServe, capsys: pytest.CaptureFixture[str], error: ResonantGenError | OSError
) -> None:
    fake.end = error
    assert main(["serve", "--project", "night.rg"]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("ready\n", 1)


def test_nobody_reading_the_lines_is_no_error(fake: FakeServe, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as gone, monkeypatch.context() as context:
        context.setattr(sys, "stdout", gone)
        assert main(["serve", "--project", "night.rg"]) == 0
    assert len(fake.asked) == 1


MISTAKES = {
    "no project": [],
    "a port that is none": ["--osc-port", "70000"],
    "a port in words": ["--zmq-port", "any"],
    "no time to mix": ["--latency", "0"],
    "a negative block": ["--block", "-1"],
    "a block in words": ["--block", "small"],
    "too many bars": ["--auto", "65"],
    "REAPER without a port": ["--reaper", "127.0.0.1"],
    "REAPER nowhere": ["--reaper", ":x"],
    "an unknown way to arm": ["--arm", "fire"],
    "a sample rate that cannot be": ["--sample-rate", "8000"],
    "a network without keys": ["--listen", "0.0.0.0"],
    "keys that are not there": ["--listen", "0.0.0.0", "--keys", "nowhere"],
    "a mapping that is not there": ["--midi-map", "nowhere.toml"],
    "a mapping that is none": ["--midi-map", "night.rg/project.db"],
    "an unknown option": ["--loud"],
    "a prompt is no argument": ["dark techno"],
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_gets_one_line_and_nothing_is_served(
    fake: FakeServe, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    if arguments:
        Session.create("night.rg").close()
    assert main(["serve", *arguments]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1) and "Traceback" not in errors
    assert fake.asked == []
