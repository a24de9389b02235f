"""What the Remote Script is written in: Python 3.7, its standard library, and names that Live has."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from remote_script import FOLDER, PACKAGE

FILES = sorted(PACKAGE.glob("*.py"))
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_live_11_can_read_it(file: Path) -> None:
    """Its Python is 3.7, where annotations must not be evaluated: `list[int]` is an error there."""
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 7))
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    newer = {"removeprefix", "removesuffix", "is_relative_to", "cached_property", "prod", "dist", "hypot"}
    assert not newer & {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_the_standard_library_and_live_are_imported(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or ""]
        else:
            continue
        for module in modules:
            root = module.split(".")[0]
            assert root == "Live" or root in sys.stdlib_module_names, f"{file.name} imports {module}"


def old_pythons() -> list[str]:
    """Those of Live 11 that this machine has, if any."""
    found = [shutil.which("python3.7"), *Path.home().glob(".pyenv/versions/3.7.*/bin/python")]
    paths = [str(path) for path in found if path is not None]
    return [
        path for path in paths if subprocess.run([path, "-V"], capture_output=True).returncode == 0
    ]  # pyenv's shims


def test_it_runs_in_the_python_of_live_11_and_in_this_one() -> None:
    program = Path(__file__).with_name("live_11.py")
    for python in (sys.executable, *old_pythons()):
        ran = subprocess.run([python, str(program), str(FOLDER)], capture_output=True, text=True, timeout=120)
        assert (ran.returncode, ran.stderr) == (0, ""), python
        told, printed, tempo, clip, notes, tempo_now, listeners, logged = json.loads(ran.stdout)
        assert told[0] == ["/daw/tempo", [120.0]] and told[-1] == ["/daw/track", [1, "Drums", 1, 0]]
        assert (printed, tempo, tempo_now) == ([1, 1], ["/daw/tempo", [99.0]], 99.0)
        assert (clip, listeners, logged) == ("night drums", 0, 1)
        assert notes == [{"pitch": 36, "start_time": 0.0, "duration": 1.0, "velocity": 100.0}]


def mypy(cache: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    config = str(ROOT / "pyproject.toml")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file",
            config,
            "--cache-dir",
            "cache",
            "-p",
            "ResonantGen",
        ],
        cwd=cache,
        env={"MYPYPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_its_types_are_live_s(tmp_path: Path) -> None:
    right = mypy(tmp_path, FOLDER)
    assert right.returncode == 0, right.stdout + right.stderr
    copy = tmp_path / "ResonantGen"
    copy.mkdir()
    for file in FILES:
        text = file.read_text(encoding="utf-8").replace("self._song.tempo = ", "self._song.tempi = ")
        (copy / file.name).write_text(text.replace("track.is_frozen", "track.is_molten"), encoding="utf-8")
    wrong = mypy(tmp_path, tmp_path)
    assert '"Song" has no attribute "tempi"' in wrong.stdout and '"Track" has no attribute "is_molten"' in wrong.stdout
