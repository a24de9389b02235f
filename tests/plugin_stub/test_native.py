"""The plugin's own parts (wire, ring, player, timeline, link) in a native program: plain, and under the sanitizers.

The tests themselves are C++, in native/; here they are built and run. Debian: g++ (with its sanitizers).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NATIVE = Path(__file__).resolve().parent / "native"
PLUGIN = ROOT / "plugin_stub" / "plugin"
HANG_SECONDS = 300.0  # both end far sooner: it only ends a test that hangs
SANITIZERS = {
    "plain": ["-O1"],
    "address": ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-g", "-fsanitize=thread"],
}

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or not sys.platform.startswith("linux"), reason="needs Linux and g++ (Debian: g++)"
)


@pytest.mark.parametrize("kind", sorted(SANITIZERS))
def test_the_native_tests_pass(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "native"
    sources = [*sorted(NATIVE.glob("*.cpp")), PLUGIN / "Player.cpp", PLUGIN / "Link.cpp"]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{PLUGIN}", *SANITIZERS[kind]]
    built = _run(["g++", *flags, *map(str, sources), "-o", str(program)])
    assert built.returncode == 0, built.stdout
    command = [str(program)]
    if kind == "thread" and shutil.which("setarch"):  # its shadow memory may not fit a random address space
        command = ["setarch", platform.machine(), "--addr-no-randomize", *command]
    ran = _run(command, {"TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"})
    assert ran.returncode == 0, ran.stdout
    assert " 0 failed" in ran.stdout


def _run(command: list[str], more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(more or {})}
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_SECONDS,
        env=environment,
        check=False,
    )
