"""Reads a ring that another process writes, in blocks of random sizes, and checks that it gets the counting ramp.

Run by test_ring.py: `ring_reader.py NAME FRAMES SEED`. Exits with 0 if every frame came once and in order.
"""

from __future__ import annotations

import random
import sys
import time

import numpy as np

from resonantgen.realtime.ring import Ring

SPAN = 1 << 24  # integers that float32 holds


def main(name: str, frames: int, seed: int) -> None:
    ring = Ring.attach(name)
    sizes = random.Random(seed)
    block = np.zeros((4096, ring.channels), np.float32)
    done = 0
    while done < frames:
        got = ring.read_into(block[: sizes.randint(1, len(block))])
        ramp = (np.arange(done, done + got) % SPAN).astype(np.float32)
        for channel in range(ring.channels):
            assert np.array_equal(block[:got, channel], ramp), f"frames {done} to {done + got}"
        done += got
        if not got:
            time.sleep(0.0005)
    ring.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
