"""The command line with a running engine: the same words, the same reports, and one line for each mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_fakes import FakeEngine
from lab import SilentStudio
from resonantgen.cli import main
from resonantgen.errors import TrackLocked
from resonantgen.music.notes import Role
from resonantgen.prompt import intent_to_dict
from resonantgen.session.export import session_document
from resonantgen.session.session import Session
from resonantgen.session.values import Progress, Result
from resonantgen_bridge.calls import Call, Listener, Notice, ignore
from resonantgen_bridge.keys import new_keys
from served_engine import PATIENCE, ServedEngine, served_engine

PROMPT = "dark techno with driving bass"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESONANTGEN_STATE", str(tmp_path / "state"))
    for name in ("RESONANTGEN_ENGINE", "RESONANTGEN_KEYS"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "night.rg"
    with Session.create(folder, SilentStudio()) as session:
        session.generate(PROMPT, bars=2, seed=7)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "night.rg"))


class WorkingEngine(FakeEngine):
    """Does what it is told to a project, in silence."""

    def __init__(self, project: Path) -> None:
        super().__init__()
        self.project = project
        self._tell: Listener = ignore
        for command in ("generate", "regenerate", "adjust", "undo", "redo", "lock", "tempo", "session"):
            self.answers[command] = self.work

    async def execute(self, call: Call, client: str, on_progress: Listener = ignore) -> dict[str, Any]:
        self._tell = on_progress
        return await super().execute(call, client, on_progress)

    def progressed(self, progress: Progress) -> None:
        fields = {"track": progress.role.value, "stage": progress.stage, "bar": progress.bar, "bars": progress.bars}
        self._tell(Notice("progress", fields))

    def work(self, call: Call) -> dict[str, Any]:
        with Session.open(self.project, studio=SilentStudio()) as session:
            match call.command:
                case "session":
                    return {"session": session_document(session)}
                case "lock":
                    locked = call.arguments["locked"]
                    (session.lock if locked else session.unlock)(call.arguments["track"])
                    return {}
                case "tempo":
                    session.set_tempo(call.arguments["tempo"])
                    return {}
                case "undo" | "redo" as name:
                    return outcome(getattr(session, name)(**call.arguments))
                case name:
                    return outcome(getattr(session, name)(**call.arguments, on_progress=self.progressed))


def outcome(result: Result) -> dict[str, Any]:
    return {
        "changed": {role.value: take.id if take else None for role, take in result.changed.items()},
        "locked": [role.value for role in result.locked],
        "kept": [role.value for role in result.kept],
        "understood": intent_to_dict(result.intent) if result.intent and result.intent.text else None,
    }


@pytest.fixture
def served(project: Path, run: Run) -> Iterator[ServedEngine]:
    """The project in the current folder, being served."""
    with served_engine(WorkingEngine(project), project) as engine:
        yield engine


@pytest.fixture
def elsewhere(run: Run, made: Path, tmp_path: Path) -> Iterator[ServedEngine]:
    """An engine whose project is not on this machine, as far as can be seen."""
    hidden = Path(shutil.copytree(made, tmp_path / "there" / "far.rg"))
    fake = WorkingEngine(hidden)
    fake.state["project"] = "/studio/far.rg"
    with served_engine(fake) as engine:
        yield engine


def timeless(text: str) -> str:
    return re.sub(r"\d+\.\d s", "N s", text)


SESSION = [
    ["lock", "drums"],
    ["regenerate", "busier bass"],
    ["regenerate", "busier drums"],
    ["regenerate", "--track", "melody", "--seed", "9"],
    ["set", "bass", "density", "-0.4"],
    ["undo"],
    ["undo"],
    ["redo"],
    ["undo", "--track", "melody"],
    ["redo", "--track", "bass"],
    ["unlock", "drums"],
    ["generate", "calm jazz", "--bars", "1", "--tracks", "drums,bass,harmony,melody", "--seed", "3"],
    ["tempo", "97.5"],
    ["regenerate", "without melody"],
    ["show"],
]


def test_a_served_project_reads_as_one_on_disk(
    project: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command says and gives the same, whoever does it."""
    monkeypatch.setattr("resonantgen.session.view.Studio", SilentStudio)
    monkeypatch.setattr("resonantgen.report.Reporter.first_time", lambda _: None)  # what is said on a new machine
    there = Path(shutil.copytree(project, tmp_path / "there" / "night.rg"))
    spoken, documents = [], []
    for path, serve in ((project, False), (there, True)):
        monkeypatch.chdir(path.parent)
        if serve:
            with served_engine(WorkingEngine(path), path) as engine:
                spoken.append([run(*command) for command in SESSION])
                documents.append(json.loads(run("undo", "--json")[1]))
                assert len(engine.told()) == len(SESSION)  # show reads the files, and undo --json is one more
        else:
            spoken.append([run(*command) for command in SESSION])
            documents.append(json.loads(run("undo", "--json")[1]))
    for command, offline, served in zip(SESSION, *spoken, strict=True):
        assert (served[0], timeless(served[1]), served[2]) == (offline[0], timeless(offline[1]), offline[2]), command
    assert documents[0] == documents[1]


def test_regenerating_through_an_engine_shows_what_changed(served: ServedEngine, run: Run) -> None:
    code, out, errors = run("regenerate", "make the bass more aggressive")
    assert (code, errors) == (0, "")
    assert "aggression" in out and "take 2" in out and "more drive" in out
    assert "drums       kept" in out
    asked = {"prompt": "make the bass more aggressive", "track": None, "seed": None, "generators": None}
    assert served.told() == [("regenerate", asked)]


def test_json_through_an_engine_is_one_document(served: ServedEngine, run: Run) -> None:
    for command in (["lock", "bass"], ["regenerate"], ["undo"], ["tempo", "100"], ["set", "energy", "1"]):
        code, out, _ = run(*command, "--json")
        assert code == 0
        assert {track["role"]: track["locked"] for track in json.loads(out)["tracks"]}["bass"]


def test_what_the_engine_refuses_is_one_line(served: ServedEngine, run: Run) -> None:
    line = "bass is locked, so it was left alone. Unlock it with: resonantgen unlock bass"
    served.run(lambda: served.fake.answers.update(regenerate=TrackLocked(line)))
    assert run("regenerate", "busier bass") == (2, "", line + "\n")


def test_an_engine_elsewhere_reports_what_it_knows(elsewhere: ServedEngine, run: Run, tmp_path: Path) -> None:
    engine = ("--engine", elsewhere.address)
    code, out, _ = run("regenerate", "busier bass", *engine)
    assert code == 0 and '"busier bass"' in out and "bass-2" in out and "kept" in out
    assert "drums-1 locked" in run("lock", "drums", *engine)[1]
    assert "bass-2" in run("show", *engine)[1]
    assert "100 bpm" in run("tempo", "100", *engine)[1]
    assert json.loads(run("show", *engine, "--json")[1])["tempo_bpm"] == 100
    assert run("export", "--to", "/music/night", *engine)[0] == 0
    assert elsewhere.told()[-1] == ("export", {"folder": "/music/night"})
    assert "(on the engine's machine)" in run("print", "--tracks", "bass", "--midi", "--bar", "5", *engine)[1]
    assert elsewhere.told()[-1] == ("print", {"tracks": ["bass"], "kind": "midi", "bar": 5, "scene": 0})
    code, out, errors = run("show", "--picture", "night.png", *engine)
    assert (code, out, errors.count("\n")) == (2, "", 1) and "not on this machine" in errors
    assert not (tmp_path / "night.png").exists()


def test_an_engine_named_by_its_port_reports_as_ever_where_the_project_is_here(served: ServedEngine, run: Run) -> None:
    port = served.address.rpartition(":")[2]
    assert "take 1: nothing changes it until" in run("lock", "bass", "--engine", port)[1]


def test_the_environment_names_an_engine(elsewhere: ServedEngine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONANTGEN_ENGINE", elsewhere.address)
    assert run("play")[0] == 0
    assert elsewhere.told() == [("play", {"on": True})]
    Session.create("here.rg").close()
    assert "here.rg is not being served" in run("play", "--project", "here.rg")[2]  # what is typed outweighs it
    assert len(elsewhere.told()) == 1


def test_an_engine_with_keys(made: Path, run: Run, tmp_path: Path) -> None:
    assert run("keys", "new", "--folder", "mine")[0] == 0
    assert run("keys", "add", "phone", "--folder", "mine")[0] == 0
    project = Path(shutil.copytree(made, tmp_path / "night.rg"))
    with served_engine(WorkingEngine(project), project, tmp_path / "mine") as engine:
        assert run("lock", "bass")[0] == 0  # found with its keys
        assert run("unlock", "bass", "--engine", engine.address, "--keys", "mine")[0] == 0
        assert engine.told() == [("lock", {"track": "bass", "locked": locked}) for locked in (True, False)]
        code, out, errors = run("play", "--engine", engine.address, "--keys", "nowhere")
        assert (code, out, errors.count("\n")) == (2, "", 1) and "keys new" in errors


def test_a_stale_file_is_no_engine(project: Path, run: Run) -> None:
    (project / "engine.json").write_text("{}")
    assert "locked" in run("lock", "bass")[1]
    assert run("play")[0] == 2


def test_transport(served: ServedEngine, run: Run) -> None:
    looped = (["loop"], ["loop", "3", "2"], ["loop", "--once"])
    for command in (["play"], ["stop"], ["seek", "2"], ["seek", "2", "3.5"], *looped, ["auto", "4"], ["auto", "0"]):
        assert run(*command) == (0, "", ""), command
    assert served.told() == [
        ("play", {"on": True}),
        ("stop", {}),
        ("seek", {"bar": 2, "beat": 1.0}),
        ("seek", {"bar": 2, "beat": 3.5}),
        ("loop", {"on": True, "first": 1, "bars": 0}),
        ("loop", {"on": True, "first": 3, "bars": 2}),
        ("loop", {"on": False, "first": 1, "bars": 0}),
        ("auto", {"every": 4}),
        ("auto", {"every": 0}),
    ]


def test_without_a_project_here_the_one_running_engine_is_meant(
    served: ServedEngine, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run("stop")[0] == 0
    assert served.told() == [("stop", {})]
    assert run("undo")[0] == 2  # but music is never changed by a guess
    assert len(served.told()) == 1


@pytest.mark.parametrize("command", [["play"], ["stop"], ["seek", "1"], ["auto", "4"], ["midi", "learn", "play"]])
def test_what_needs_an_engine_says_how_to_start_one(project: Path, run: Run, command: list[str]) -> None:
    code, out, errors = run(*command)
    assert (code, out) == (2, "")
    assert errors == "night.rg is not being served. Start it with: resonantgen serve --project night.rg\n"


def test_mix_through_an_engine(served: ServedEngine, run: Run) -> None:
    code, out, _ = run("mix", "bass", "--gain", "-3", "--pan", "0.25", "--mute", "--no-solo")
    assert code == 0 and "-3.0 dB · right 25% · muted" in out
    assert served.told() == [
        ("gain", {"track": "bass", "gain": -3.0}),
        ("pan", {"track": "bass", "pan": 0.25}),
        ("mute", {"track": "bass", "on": True}),
        ("solo", {"track": "bass", "on": False}),
    ]


def test_mix_on_disk(project: Path, run: Run) -> None:
    assert run("mix", "2", "--gain", "-60", "--solo")[0] == 0
    assert run("mix", "bass", "--no-solo")[0] == 0
    rows = json.loads(run("mix", "--json")[1])["tracks"]
    assert rows[1] == {"role": "bass", "gain": -60.0, "pan": 0.0, "mute": False, "solo": False}
    assert "silent" in run("mix")[1]


def test_map_on_disk(project: Path, run: Run) -> None:
    assert "names of the DAW's tracks decide" in run("map")[1]
    assert "track 3 of the DAW" in run("map", "3", "bass")[1]
    run("map", "12", "4")
    assert json.loads(run("map", "--json")[1]) == {"daw_tracks": {"3": "bass", "12": "melody"}}
    assert json.loads(run("map", "--clear", "3", "--json")[1]) == {"daw_tracks": {"12": "melody"}}


def test_map_through_an_engine(served: ServedEngine, project: Path, run: Run) -> None:
    assert json.loads(run("map", "3", "bass", "--json")[1]) == {"daw_tracks": {"3": "bass"}}
    assert run("map", "--clear", "3")[0] == 0
    assert served.told() == [("map", {"daw_track": 3, "track": "bass"}), ("map", {"daw_track": 3, "track": None})]
    with Session.open(project, readonly=True) as session:
        assert session.setup.daw_tracks == {}  # the engine is the one that writes


def test_midi_learn(served: ServedEngine, run: Run) -> None:
    code, out, _ = run("midi", "learn", "regenerate bass", "--seconds", "5")
    assert out.startswith("Touch the pad, key or knob for: regenerate bass ...\n")
    assert code == 0 and "note 36 on channel 10: regenerate bass" in out
    assert served.told() == [("midi_learn", {"action": "regenerate bass", "seconds": 5.0})]


def test_midi_list_has_the_mapping(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("resonantgen_bridge.midi_map.learned_path", lambda: tmp_path / "midi.toml")
    code, out, _ = run("midi", "list")
    assert code == 0 and re.search(r"note 36 on channel 10 +regenerate drums", out) and "nothing yet" in out
    assert json.loads(run("midi", "list", "--json")[1])["learned"] == []


PLUGINS = [
    {"track": 1, "plays": "drums", "sample_rate": 44100, "tempo": 97.5, "meter": "7/8", "playing": True, "locks": True}
    | {"waits": True, "epoch": 2, "underruns": 3},
    {"track": 9, "plays": None, "sample_rate": 48000, "tempo": None, "meter": None, "playing": False, "locks": False}
    | {"waits": False, "epoch": 0, "underruns": 0},
]
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4242,
    "project": "/home/ann/night.rg",
    "seconds": 61.2,
    "addresses": {
        "zmq": "tcp://127.0.0.1:5570",
        "osc": "127.0.0.1:9010",
        "midi in": "nanoKONTROL",
        "plugin": "127.0.0.1:5590",
    },
    "drivers": {
        "osc": {"subscribers": 2, "received": 90, "malformed": 0, "dropped": 0, "waiting": 0},
        "midi in": {"port": "", "clock_bpm": 97.5},
        "live script": {"host": "live", "connected": True, "version": "12.1.0", "tracks": {}},
        "plugin": {"instances": PLUGINS, "silent_here": ["drums", "bass"], "dropped": 0},
    },
    "transport": {"playing": True, "bar": 3, "sample_rate": 48000, "render_ahead_ms": 59.8},
    "audio": {
        "state": "playing",
        "message": "system",
        "restarts": 0,
        "latency_frames": 2048,
        "telemetry": {"underruns": 0, "callbacks": 900, "worst_callback_us": 1240, "load": 0.031},
    },
    "generation": {
        "orders": 12,
        "first_bar_ms_p50": 61.0,
        "first_bar_ms_p95": 98.4,
        "whole_ms_p50": 700.2,
        "whole_ms_p95": 910.0,
    },
}


def test_status_of_an_engine(served: ServedEngine, run: Run) -> None:
    served.run(lambda: served.fake.answers.update(status={"status": STATUS}))
    served.run(lambda: served.fake.state.update({"audio": "system", "auto": 4, "track/bass/take": "bass-1"}))
    served.run(lambda: served.fake.state.update({"track/bass/lock": True}))
    code, out, _ = run("status")
    assert code == 0
    for words in ("night.rg is served by process 4242", "playing, bar 3 · new ideas every 4 bars"):
        assert words in out
    assert "system · underruns 0 · worst callback 1.2 ms, load 3%   59.8 ms mixed ahead" in out
    assert "first bar 61 ms (p95 98) · whole 700 ms (p95 910) · orders 12" in out
    for words in ("tcp://127.0.0.1:5570", "127.0.0.1:9010", "bass-1 locked"):
        assert words in out
    assert re.search(r"osc +127.0.0.1:9010   subscribers 2\n", out)
    assert re.search(r"midi in +not there   clock 97.5 bpm\n", out)
    assert re.search(r"plugin +127.0.0.1:5590   instances 2 · heard in the DAW, and not here: drums, bass\n", out)
    assert "track 1   drums · 44100 Hz · 97.5 bpm · 7/8 · playing · lock · waits for the engine · underruns 3\n" in out
    assert "track 9   no such track · 48000 Hz · its host tells no tempo and position · underruns 0\n" in out
    assert re.search(r"live script +connected   version 12.1.0\n", out)
    idle = {**STATUS, "generation": {**STATUS["generation"], "orders": 0}}
    served.run(lambda: served.fake.answers.update(status={"status": idle}))
    idle["drivers"] = {"live script": {"host": "live", "connected": False, "version": "", "tracks": {}}}
    idle["addresses"] = {"reaper": "127.0.0.1:9000"}
    idle["drivers"]["reaper"] = {"host": "reaper", "connected": False, "tracks": {}}
    out = run("status")[1]
    assert "nothing yet" in out and re.search(r"live script +not there\n", out)
    assert re.search(r"reaper +127.0.0.1:9000   nothing heard yet\n", out)
    document = json.loads(run("status", "--json")[1])
    assert document["served"] and document["pid"] == 4242 and document["state"]["tempo"] == 120


def test_status_of_a_project_that_nobody_serves(project: Path, run: Run) -> None:
    assert run("status") == (0, "night.rg is not being served. Serve it: resonantgen serve --project night.rg\n", "")
    assert json.loads(run("status", "--json")[1]) == {"served": False, "project": str(project)}


MISTAKES = {
    "no such address": ["play", "--engine", "udp://x y"],
    "a port out of range": ["play", "--engine", "70000"],
    "port 0": ["play", "--engine", "0"],
    "no port": ["play", "--engine", "studio:"],
    "an empty address": ["play", "--engine", ""],
    "engine and project": ["play", "--engine", "5570", "--project", "night.rg"],
    "an unknown attribute": ["set", "bass", "loudness", "1"],
    "an attribute out of range": ["set", "bass", "density", "2"],
    "an attribute that is no number": ["set", "density", "much"],
    "half of a setting": ["set", "density"],
    "too much of a setting": ["set", "bass", "density", "1", "2"],
    "an unknown option of set": ["set", "--loud", "density", "1"],
    "an unknown track to set": ["set", "flute", "density", "1"],
    "tempo 0": ["tempo", "0"],
    "tempo nan": ["tempo", "nan"],
    "tempo in words": ["tempo", "fast"],
    "bar 0": ["seek", "0"],
    "bar x": ["seek", "x"],
    "beat 0": ["seek", "1", "0"],
    "loop from 0": ["loop", "0"],
    "auto -1": ["auto", "--", "-1"],
    "auto x": ["auto", "x"],
    "mixing an unknown track": ["mix", "flute", "--gain", "0"],
    "a gain out of range": ["mix", "bass", "--gain", "7"],
    "a gain in words": ["mix", "bass", "--gain", "loud"],
    "a pan out of range": ["mix", "bass", "--pan", "-1.5"],
    "mixing nothing": ["mix", "bass"],
    "mixing no track": ["mix", "--gain", "0"],
    "mapping no number": ["map", "x", "bass"],
    "mapping track 0": ["map", "0", "bass"],
    "mapping to nothing of ours": ["map", "3", "flute"],
    "mapping to nothing": ["map", "3"],
    "clearing nothing": ["map", "--clear"],
    "clearing and mapping": ["map", "3", "bass", "--clear"],
    "an unknown action": ["midi", "learn", "sing"],
    "an action without its track": ["midi", "learn", "lock"],
    "waiting for no time": ["midi", "learn", "play", "--seconds", "0"],
    "an unknown mapping": ["midi", "list", "--midi-map", "nothing"],
    "a key's name": ["keys", "add", "../x"],
    "locking an unknown track": ["lock", "flute"],
    "regenerating an unknown track": ["regenerate", "--track", "flute"],
    "tempo out of range": ["generate", "techno", "--tempo", "900"],
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_gets_one_line_and_the_engine_is_told_nothing(
    served: ServedEngine, run: Run, arguments: list[str]
) -> None:
    code, out, errors = run(*arguments)
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1 and len(errors) < 400 and "Traceback" not in errors, errors
    assert served.told() == []


def test_nobody_at_an_address_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resonantgen_bridge.served.SILENCE_SECONDS", 0.3)
    for command in (["play"], ["show"], ["regenerate"], ["status"]):
        code, out, errors = run(*command, "--engine", "127.0.0.1:1")
        assert (code, out, errors.count("\n")) == (2, "", 1), command


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send there")
def test_ctrl_c_gives_the_command_up_in_the_engine(elsewhere: ServedEngine) -> None:
    elsewhere.run(lambda: elsewhere.fake.hold("regenerate"))
    command = [sys.executable, "-m", "resonantgen", "regenerate", "busier", "--engine", elsewhere.address]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        elsewhere.wait_until(lambda fake: fake.waiting == 1)
        client.send_signal(signal.SIGINT)
        out, errors = client.communicate(timeout=PATIENCE)
    finally:
        client.kill()
        client.wait()
    assert (client.returncode, out) == (130, "")
    assert errors.splitlines()[-1].startswith("Interrupted. The engine was told to give it up")
    elsewhere.wait_until(lambda fake: [call.command for call in fake.cancelled] == ["regenerate"])


def test_commands_without_an_engine_load_no_bridge(project: Path, run: Run) -> None:
    for arguments in (["lock", "bass"], ["tempo", "100"], ["show"], ["status"]):
        code = (
            "import sys; from resonantgen.cli import main; assert main(sys.argv[1:]) == 0\n"
            "assert not [name for name in sys.modules if name.split('.')[0] in ('zmq', 'resonantgen_bridge')]"
        )
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=PATIENCE, capture_output=True)


def test_every_role_has_a_row_in_the_mixer(project: Path, run: Run) -> None:
    assert [row["role"] for row in json.loads(run("mix", "--json")[1])["tracks"]] == [role.value for role in Role]


def test_keys_are_not_replaced(run: Run, tmp_path: Path) -> None:
    new_keys(tmp_path / "keys")
    before = (tmp_path / "keys" / "server.key").read_bytes()
    code, out, errors = run("keys", "new")
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert (tmp_path / "keys" / "server.key").read_bytes() == before


def test_a_field_is_named_as_people_write_it(served: ServedEngine, run: Run) -> None:
    assert run("map", "1000", "bass")[2].startswith("daw track cannot be 1000.")
