"""A real Link session, on a network that exists for this test only."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NETWORK = "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo"


def _own_network() -> list[str] | None:
    """How to run something on a network of its own, if this machine allows it."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    for options in (["-n"], ["-rn"]):  # as root; as another user
        command = ["unshare", *options, "sh", "-c"]
        if subprocess.run([*command, NETWORK], capture_output=True).returncode == 0:
            return command
    return None


def test_tempo_start_and_stop_go_both_ways_between_peers() -> None:
    if importlib.util.find_spec("aalink") is None:
        pytest.skip("needs the extra: pip install 'resonantgen[link]'")
    own_network = _own_network()
    if own_network is None:
        pytest.skip("needs unshare (util-linux) and ip (iproute2), and the right to make a network")
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "engine", "bridge"))

    done = subprocess.run(
        [*own_network, f'{NETWORK} && exec "$0" "$1"', sys.executable, str(ROOT / "tests" / "link_peers.py")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    print(f"phases are {seen['apart_beats']:.4f} beats apart")
    assert seen["problems"] == []
    assert seen["shared"] == 120.0  # the session that was there
    assert seen["tempos"] == [120.0, 140.0]  # and not our own, come back
    assert seen["calls"] == [["play", {"on": True}], ["play", {"on": False}]]
    assert abs(seen["apart_beats"]) < 1
