"""Loading presets from several threads at once, each type for the first time, as the rendering threads do."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from resonantgen.instruments.kit import load_kit
from resonantgen.instruments.patch import load_patch
from resonantgen.music.notes import Role

sys.setswitchinterval(1e-6)  # threads take turns as often as they can
start = threading.Barrier(4)

def load(what, *arguments):
    start.wait()
    what(*arguments)

wanted = [(load_kit, "909"), (load_patch, Role.BASS, "sub"), (load_patch, Role.HARMONY, "rhodes")]
wanted.append((load_patch, Role.MELODY, "flute"))
threads = [threading.Thread(target=load, args=arguments) for arguments in wanted]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.slow
def test_presets_can_be_loaded_by_several_threads_at_once() -> None:
    """msgspec 0.22 crashes here (a segmentation fault, within six tries) unless `load_preset` takes turns."""
    for _ in range(6):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
