"""install and uninstall: whole or not at all, never over what is not ours, in the places of all three systems."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resonantgen.cli import main
from resonantgen.errors import StorageError
from resonantgen_bridge import daw_places
from resonantgen_bridge.daw_places import NAME, Target, items_of, places_of, plugin_folder, remote_scripts_folder
from resonantgen_bridge.installing import Done, Item, Outcome, install, uninstall

ROOT = Path(__file__).parents[2]
Home = Callable[[str], Path]


@pytest.fixture(autouse=True)
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where what was installed is noted down."""
    settings = tmp_path_factory.mktemp("settings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.get_app_dir", lambda name: str(settings))
        yield settings / "installed"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Makes this machine one of that system, with an empty home."""

    def become(system: str) -> Path:
        folder = tmp_path / "home"
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(Path, "home", lambda: folder)
        for name in ("XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        if system == "Windows":
            monkeypatch.setenv("APPDATA", str(folder / "AppData" / "Roaming"))
            monkeypatch.setenv("LOCALAPPDATA", str(folder / "AppData" / "Local"))
        return folder

    return become


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small plugin_stub in place of ours."""
    files = {
        "ableton/ResonantGen/__init__.py": "script",
        "ableton/ResonantGen/osc.py": "osc",
        "ableton/ResonantGen/__pycache__/osc.pyc": "compiled",
        "ableton/README.md": "not installed",
        "reaper/ResonantGen.ReaperOSC": "patterns",
        "reaper/resonantgen_print.lua": "print",
        "reaper/README.md": "not installed",
        "plugin/bin/ResonantGen.vst3/Contents/x86_64-linux/ResonantGen.so": "vst3",
        "plugin/bin/ResonantGen.clap": "clap",
        "plugin/bin/ResonantGen.lv2/manifest.ttl": "lv2",
        "plugin/bin/windows/ResonantGen.clap": "for Windows",
    }
    for name, content in files.items():
        path = tmp_path / "stubs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(daw_places, "stub_folder", lambda name: tmp_path / "stubs" / name)
    return tmp_path / "stubs"


def tree(folder: Path) -> dict[str, str]:
    """All files below, with what is in them; links are named as links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = "a link"
        elif path.is_file():
            found[name] = path.read_text()
    return found


def outcomes(done: list[Done]) -> list[Outcome]:
    return [one.outcome for one in done]


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "folders"),
    [
        ("Linux", [".vst3", ".clap", ".lv2"]),
        ("Darwin", [f"Library/Audio/Plug-Ins/{kind}" for kind in ("VST3", "CLAP", "LV2")]),
        (
            "Windows",
            ["AppData/Local/Programs/Common/VST3", "AppData/Local/Programs/Common/CLAP", "AppData/Roaming/LV2"],
        ),
    ],
)
def test_plugins_go_where_hosts_of_the_system_look(home: Home, stubs: Path, system: str, folders: list[str]) -> None:
    at = home(system)
    assert [plugin_folder(suffix) for suffix in (".vst3", ".clap", ".lv2")] == [at / folder for folder in folders]
    if system == "Windows":  # what was cross-built
        shutil.copytree(stubs / "plugin/bin/ResonantGen.vst3", stubs / "plugin/bin/windows/ResonantGen.vst3")
        shutil.copytree(stubs / "plugin/bin/ResonantGen.lv2", stubs / "plugin/bin/windows/ResonantGen.lv2")
    assert outcomes(install(items_of(Target.PLUGIN))) == [Outcome.INSTALLED] * 3
    assert [place.exists() for place in places_of(Target.PLUGIN)] == [True] * 3
    assert (at / folders[1] / "ResonantGen.clap").read_text() == ("for Windows" if system == "Windows" else "clap")
    assert outcomes(uninstall(places_of(Target.PLUGIN))) == [Outcome.REMOVED] * 3
    assert tree(at) == {}


@pytest.mark.parametrize(
    ("system", "folder"),
    [
        ("Linux", ".config/REAPER"),
        ("Darwin", "Library/Application Support/REAPER"),
        ("Windows", "AppData/Roaming/REAPER"),
    ],
)
def test_reapers_resource_folder(home: Home, stubs: Path, system: str, folder: str) -> None:
    resources = home(system) / folder
    with pytest.raises(StorageError, match=r"Start REAPER once, or say where it is: --to FOLDER"):
        items_of(Target.REAPER)
    resources.mkdir(parents=True)
    install(items_of(Target.REAPER))
    assert tree(resources) == {
        "OSC/ResonantGen.ReaperOSC": "patterns",
        "Scripts/ResonantGen/resonantgen_print.lua": "print",
    }
    uninstall(places_of(Target.REAPER))
    assert tree(resources) == {}


@pytest.mark.parametrize(
    ("system", "library"), [("Darwin", "Music/Ableton/User Library"), ("Windows", "Documents/Ableton/User Library")]
)
def test_lives_user_library(home: Home, stubs: Path, system: str, library: str) -> None:
    at = home(system)
    with pytest.raises(StorageError, match="Start Live once"):
        items_of(Target.ABLETON)
    (at / library).mkdir(parents=True)
    assert remote_scripts_folder() == at / library / "Remote Scripts"
    install(items_of(Target.ABLETON))
    script = at / library / "Remote Scripts" / NAME
    assert tree(script) == {"__init__.py": "script", "osc.py": "osc"}


def test_live_does_not_run_on_linux(home: Home) -> None:
    home("Linux")
    with pytest.raises(StorageError, match="--to"):
        remote_scripts_folder()


SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<Ableton MajorVersion="5"><ContentLibrary><UserLibrary><LibraryProject Id="0">
<ProjectLocation /><ProjectName Value="{name}" /><ProjectPath Value="{path}" />
</LibraryProject></UserLibrary></ContentLibrary></Ableton>
"""


def write_settings(home: Path, version: str, text: str, *, age_seconds: float = 0, windows: bool = False) -> None:
    folder = home / "AppData/Roaming/Ableton" if windows else home / "Library/Preferences/Ableton"
    path = folder / f"Live {version}" / ("Preferences/Library.cfg" if windows else "Library.cfg")
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    changed = time.time() - age_seconds
    os.utime(path, (changed, changed))


@pytest.mark.parametrize("windows", [False, True], ids=["macos", "windows"])
def test_a_library_that_was_moved_is_found_in_lives_settings(home: Home, tmp_path: Path, windows: bool) -> None:
    at = home("Windows" if windows else "Darwin")
    (tmp_path / "disk & co" / "My Library").mkdir(parents=True)
    moved = SETTINGS.format(name="My Library", path=str(tmp_path / "disk & co").replace("&", "&amp;"))
    write_settings(at, "11.3.20", SETTINGS.format(name="User Library", path=str(at)), age_seconds=900, windows=windows)
    write_settings(at, "12.1", moved, windows=windows)
    assert remote_scripts_folder() == tmp_path / "disk & co" / "My Library" / "Remote Scripts"


def test_the_library_is_the_one_that_live_has_marked(home: Home, tmp_path: Path) -> None:
    at, disk = home("Darwin"), tmp_path / "disk"
    (disk / "User Library").mkdir(parents=True)
    (disk / "Ableton Folder Info").mkdir()
    write_settings(at, "12.1", SETTINGS.format(name="User Library", path=disk))
    assert remote_scripts_folder() == disk / "Remote Scripts"
    (disk / "User Library" / "Ableton Folder Info").mkdir()
    assert remote_scripts_folder() == disk / "User Library" / "Remote Scripts"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<Ableton",
        "<Ableton/>",
        "\0\0\0",
        SETTINGS.format(name="x", path="/not/there"),
        SETTINGS.format(name="", path=""),
    ],
    ids=["empty", "cut", "bare", "binary", "gone", "blank"],
)
def test_settings_that_do_not_help_are_passed_over(home: Home, text: str) -> None:
    at = home("Darwin")
    (at / "Music/Ableton/User Library").mkdir(parents=True)
    write_settings(at, "12.1", text)
    assert remote_scripts_folder() == at / "Music/Ableton/User Library/Remote Scripts"


# -- what is there already --------------------------------------------------------------------------------------------


def test_again_an_update_and_what_was_dropped(stubs: Path, tmp_path: Path) -> None:
    to = tmp_path / "scripts"
    assert outcomes(install(items_of(Target.ABLETON, to))) == [Outcome.INSTALLED]
    (to / NAME / "__pycache__").mkdir()
    (to / NAME / "__pycache__" / "osc.cpython-311.pyc").write_text("Live made this")
    assert outcomes(install(items_of(Target.ABLETON, to))) == [Outcome.UNCHANGED]
    (stubs / "ableton/ResonantGen/osc.py").unlink()
    (stubs / "ableton/ResonantGen/new.py").write_text("new")
    assert outcomes(install(items_of(Target.ABLETON, to))) == [Outcome.UPDATED]
    assert tree(to) == {"ResonantGen/__init__.py": "script", "ResonantGen/new.py": "new"}
    assert outcomes(uninstall(places_of(Target.ABLETON, to))) == [Outcome.REMOVED]
    assert tree(to) == {}
    assert uninstall(places_of(Target.ABLETON, to)) == []


def test_what_the_user_changed_is_neither_replaced_nor_removed(stubs: Path, tmp_path: Path) -> None:
    to = tmp_path / "reaper"
    install(items_of(Target.REAPER, to))
    (to / "OSC/ResonantGen.ReaperOSC").write_text("my patterns")
    (stubs / "reaper/resonantgen_print.lua").write_text("newer")
    before = tree(to)
    with pytest.raises(StorageError, match=r"ResonantGen\.ReaperOSC was changed after it was installed.*--force"):
        install(items_of(Target.REAPER, to))
    with pytest.raises(StorageError, match="nothing was removed"):
        uninstall(places_of(Target.REAPER, to))
    assert tree(to) == before
    assert outcomes(install(items_of(Target.REAPER, to), force=True)) == [Outcome.REPLACED, Outcome.UPDATED]
    (to / "OSC/ResonantGen.ReaperOSC").write_text("my patterns")
    assert outcomes(uninstall(places_of(Target.REAPER, to), force=True)) == [Outcome.REMOVED] * 2
    assert tree(to) == {}


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling"])
def test_what_someone_else_put_there_is_left_alone(stubs: Path, tmp_path: Path, kind: str) -> None:
    to, other = tmp_path / "scripts", tmp_path / "other"
    to.mkdir()
    other.mkdir()
    (other / "mine.py").write_text("mine")
    if kind == "folder":
        shutil.copytree(other, to / NAME)
    elif kind == "file":
        (to / NAME).write_text("mine")
    else:
        (to / NAME).symlink_to(other if kind == "link" else tmp_path / "nowhere")
    before = tree(tmp_path)
    with pytest.raises(StorageError, match="was not put there by this command"):
        install(items_of(Target.ABLETON, to))
    assert uninstall(places_of(Target.ABLETON, to), force=True) == []
    assert tree(tmp_path) == before
    assert outcomes(install(items_of(Target.ABLETON, to), force=True)) == [Outcome.REPLACED]
    assert (other / "mine.py").read_text() == "mine"  # a link's target is not what is replaced
    assert tree(to / NAME) == {"__init__.py": "script", "osc.py": "osc"}


def test_a_folder_is_the_same_by_whatever_way_it_is_reached(stubs: Path, tmp_path: Path) -> None:
    to = tmp_path / "scripts"
    (tmp_path / "link").symlink_to(to)
    for way in (to, tmp_path / "link", tmp_path / "scripts" / ".." / "scripts"):
        assert outcomes(install(items_of(Target.ABLETON, way))) == [
            Outcome.INSTALLED if way == to else Outcome.UNCHANGED
        ]
    (stubs / "ableton/ResonantGen/osc.py").write_text("newer")
    assert outcomes(install(items_of(Target.ABLETON, tmp_path / "link"))) == [Outcome.UPDATED]
    assert outcomes(uninstall(places_of(Target.ABLETON, to))) == [Outcome.REMOVED]
    assert tree(to) == {}


def test_the_same_content_without_a_record_becomes_ours(stubs: Path, tmp_path: Path) -> None:
    to = tmp_path / "scripts"
    shutil.copytree(stubs / "ableton/ResonantGen", to / NAME)
    assert outcomes(install(items_of(Target.ABLETON, to))) == [Outcome.UPDATED]
    assert outcomes(uninstall(places_of(Target.ABLETON, to))) == [Outcome.REMOVED]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"digests": 3}', '{"digests": [null]}'])
def test_a_record_that_is_damaged_vouches_for_nothing(stubs: Path, records: Path, tmp_path: Path, text: str) -> None:
    to = tmp_path / "scripts"
    install(items_of(Target.ABLETON, to))
    (record,) = records.iterdir()
    record.write_text(text)
    (stubs / "ableton/ResonantGen/osc.py").write_text("newer")
    with pytest.raises(StorageError, match="--force"):
        install(items_of(Target.ABLETON, to))


# -- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True], ids=["first", "update"])
@pytest.mark.parametrize("fails_at", range(6))
def test_what_fails_half_way_leaves_what_was_there(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int, again: bool
) -> None:
    to = tmp_path / "plugins"
    if again:
        install(items_of(Target.PLUGIN, to))
        (stubs / "plugin/bin/ResonantGen.clap").write_text("newer")
        (stubs / "plugin/bin/ResonantGen.vst3/Contents/moduleinfo.json").write_text("newer")
        (stubs / "plugin/bin/ResonantGen.lv2/manifest.ttl").write_text("newer")
    before = tree(to)
    rename, renames = Path.rename, iter(range(100))

    def failing(self: Path, target: Path) -> Path:
        if next(renames) == fails_at:
            raise PermissionError(13, "in use", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    if fails_at >= (6 if again else 3):
        install(items_of(Target.PLUGIN, to))
        return
    with pytest.raises(StorageError, match="permission denied"):
        install(items_of(Target.PLUGIN, to))
    monkeypatch.undo()
    assert tree(to) == before
    assert not [path for path in to.iterdir() if ".part" in path.name or path.name.endswith(".old")]
    wanted = Outcome.UPDATED if again else Outcome.INSTALLED
    assert (
        outcomes(install([Item.of(stubs / f"plugin/bin/ResonantGen{s}", to / f"ResonantGen{s}") for s in SUFFIXES]))
        == [wanted] * 3
    )


SUFFIXES = (".vst3", ".clap", ".lv2")


def test_nothing_but_bundles_lies_where_hosts_look(stubs: Path, records: Path, tmp_path: Path) -> None:
    to = tmp_path / "plugins"
    install(items_of(Target.PLUGIN, to))
    assert sorted(path.name for path in to.iterdir()) == sorted(f"ResonantGen{suffix}" for suffix in SUFFIXES)
    assert len(list(records.iterdir())) == 3
    uninstall(places_of(Target.PLUGIN, to))
    assert not list(to.iterdir()) and not list(records.iterdir())


def test_a_copy_that_was_killed_between_two_renames_is_put_back(stubs: Path, tmp_path: Path) -> None:
    to = tmp_path / "scripts"
    install(items_of(Target.ABLETON, to))
    (to / NAME).rename(to / ".ResonantGen.old")
    left = to / ".ResonantGen.part-12345-0"
    (left / NAME).mkdir(parents=True)
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    assert outcomes(install(items_of(Target.ABLETON, to))) == [Outcome.UNCHANGED]
    assert sorted(path.name for path in to.iterdir()) == [NAME]
    (to / NAME).rename(to / ".ResonantGen.old")
    assert outcomes(uninstall(places_of(Target.ABLETON, to))) == [Outcome.REMOVED]
    assert tree(to) == {}


def test_a_folder_that_cannot_be_written_is_one_line(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "scripts"
    install(items_of(Target.ABLETON, to))
    (stubs / "ableton/ResonantGen/osc.py").write_text("newer")
    before = tree(to)

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "read-only", str(self))

    for name in ("mkdir", "rename", "replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    for attempt in (lambda: install(items_of(Target.ABLETON, to)), lambda: uninstall(places_of(Target.ABLETON, to))):
        with pytest.raises(StorageError, match="read-only file system; choose another folder"):
            attempt()
    monkeypatch.undo()
    assert tree(to) == before


def test_a_file_where_a_folder_should_be_is_one_line(stubs: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").write_text("a file")
    for target in Target:
        with pytest.raises(StorageError, match=r"^[^\n]+$"):
            install(items_of(target, tmp_path / "scripts"))


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [target.value for target in Target])
def test_the_command_says_what_it_did_and_what_comes_next(
    stubs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    to = str(tmp_path / "there")
    assert main(["install", target, "--to", to]) == 0
    said = capsys.readouterr().out
    assert f"Installed: {to}" in said
    assert {"ableton": "Control Surface", "reaper": "pattern config", "plugin": "scan"}[target] in said
    assert main(["install", target, "--to", to, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {one["outcome"] for one in document["files"]} == {"unchanged"}
    assert document["next"] in said.replace("\n", " ")
    assert main(["uninstall", target, "--to", to, "--json"]) == 0
    assert {one["outcome"] for one in json.loads(capsys.readouterr().out)["files"]} == {"removed"}
    assert main(["uninstall", target, "--to", to]) == 0
    assert capsys.readouterr().out.startswith("Nothing of ours is in ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["install"], "Missing argument"),
        (["install", "logic"], "ableton"),
        (["install", "ableton"], "--to"),
        (["install", "reaper"], "Start REAPER once"),
        (["uninstall", "reaper"], "Start REAPER once"),
        (["surfaces"], "--to"),
        (["surfaces", "--to", "x", "--port", "0"], "65535"),
    ],
)
def test_mistakes_are_one_line(home: Home, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    home("Linux")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_a_plugin_that_is_not_built_is_one_line(
    home: Home, stubs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home("Linux")
    shutil.rmtree(stubs / "plugin" / "bin")
    (stubs / "plugin" / "bin").mkdir()
    assert main(["install", "plugin"]) == 2
    assert "make plugin" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(daw_places, "__file__", str(stubs / "site-packages" / "resonantgen_bridge" / "daw_places.py"))
    assert main(["install", "plugin", "--to", str(stubs)]) == 2
    assert "make plugin" in capsys.readouterr().err


def test_surfaces_say_what_they_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["surfaces", "--to", str(tmp_path), "--port", "9012", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["send_port"], document["receive_port"]) == (9010, 9012)
    assert [Path(path).exists() for path in document["files"]] == [True, True]
    monkeypatch.setitem(sys.modules, "py2tosc", None)  # as if it were not installed
    assert main(["surfaces", "--to", str(tmp_path / "other"), "--port", "9012"]) == 2
    assert 'pip install "resonantgen[surfaces]"' in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert main(["surfaces", "--to", str(tmp_path / "other")]) == 0
    shipped = ROOT / "plugin_stub" / "surfaces" / "ResonantGen.tosc"
    assert (tmp_path / "other" / "ResonantGen.tosc").read_bytes() == shipped.read_bytes()


# -- the package ------------------------------------------------------------------------------------------------------


def test_what_is_installed_is_in_the_wheel_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for source, place in included.items():
        assert (ROOT / source).is_dir(), f"{source} is not there: the wheel cannot be built"
        if source.startswith("plugin_stub"):
            shutil.copytree(ROOT / source, tmp_path / place)
    package = tmp_path / "resonantgen_bridge"
    monkeypatch.setattr(daw_places, "__file__", str(package / "daw_places.py"))
    for target in (Target.ABLETON, Target.REAPER):
        for item in items_of(target, tmp_path / "there"):
            assert item.files and all(package in path.parents for _, path in item.files)


def test_the_checkouts_files_are_used() -> None:
    assert daw_places.stub_folder("ableton") == ROOT / "plugin_stub" / "ableton"
    names = {name for item in items_of(Target.ABLETON, ROOT) for name, _ in item.files}
    assert "__init__.py" in names
    places = [item.place for item in items_of(Target.REAPER, ROOT)]
    assert places == places_of(Target.REAPER, ROOT)  # or uninstall would leave something behind
