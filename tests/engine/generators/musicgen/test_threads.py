"""What is played does not depend on how many threads torch may use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
import torch

from resonantgen.lm.threads import kernel_threads, one_torch_thread
from tiny_musicgen import Checkpoint, Kind

# The transformer is tiny; the codec is as wide as the published one, for products as large as threads are started for.
PLAY = """
import hashlib, sys
from pathlib import Path
import torch
from resonantgen.codecs.encodec.config import MUSICGEN_32KHZ
from resonantgen.codecs.encodec.model import Encodec
from resonantgen.generators.musicgen.model import MusicGen, Window
from resonantgen.generators.musicgen.player import MusicGenPlayer

model = MusicGen.load(Path(sys.argv[1]), "cpu")
torch.manual_seed(1)
model.codec = Encodec(MUSICGEN_32KHZ).eval()
with torch.no_grad():
    model.codec.quantizer.codebooks.normal_()
model.window = Window(20, 12)
found = hashlib.sha256()
for sound in MusicGenPlayer("tiny", model, "").play("dark techno, 120 bpm", 0.5, 3, None, 44100):
    assert sound.std() > 0
    found.update(sound.tobytes())
print(torch.get_num_threads(), found.hexdigest())
"""


def test_the_same_bytes_with_one_thread_and_with_two(checkpoints: dict[Kind, Checkpoint]) -> None:
    command = [sys.executable, "-c", PLAY, str(checkpoints["mono"].folder)]
    playing = [
        subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}, stdout=subprocess.PIPE
        )
        for threads in ("1", "2")
    ]
    told = [process.communicate()[0].decode().split() for process in playing]
    assert [process.returncode for process in playing] == [0, 0]
    assert [threads for threads, _ in told] == ["1", "2"]  # restored when the piece was at its end
    assert told[0][1] == told[1][1]


def test_torch_has_one_thread_and_the_kernels_keep_theirs() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ZeroDivisionError), one_torch_thread():
            with one_torch_thread():
                assert (torch.get_num_threads(), kernel_threads()) == (1, 2)
            assert (torch.get_num_threads(), kernel_threads()) == (1, 2)
            raise ZeroDivisionError
        assert (torch.get_num_threads(), kernel_threads()) == (2, 2)
    finally:
        torch.set_num_threads(before)


def test_other_threads_are_not_told() -> None:
    told: list[int] = []
    with one_torch_thread():
        other = threading.Thread(target=lambda: told.append(kernel_threads() - torch.get_num_threads()))
        other.start()
        other.join()
    assert told == [0]
