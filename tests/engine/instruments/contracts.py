"""What every instrument and effect must keep, checked in one call (see `instruments/base.py`).

`make` builds the part afresh, so that nothing can leak from one run into the next through the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from resonantgen.instruments.base import Effect, Instrument, NoteEvent, Samples

# Block sizes in turn, repeated to the end: single frames, primes, powers of two, and a large block.
CUTS: dict[str, tuple[int, ...]] = {
    "one frame at a time, then the rest": (1,) * 97 + (1 << 30,),
    "odd sizes": (1, 7, 331, 64, 1009, 2, 4093),
    "blocks of 512": (512,),
}


def verify_instrument(
    make: Callable[[], Instrument], events: Sequence[NoteEvent], frames: int, *, dc_limit: float = 0.01
) -> Samples:
    """Check an instrument's contract on `events` over `frames`; returns what it played, [frames, 2].

    `dc_limit` bounds the mean (under a Hann window over everything, so that a cut period does not count), relative to
    the peak.
    """
    whole = play(make(), events, [frames])
    verify_samples(whole, frames, dc_limit)
    assert np.any(whole), "it plays nothing"
    assert np.array_equal(whole, play(make(), events, [frames])), "the same notes do not give the same samples"
    instrument = make()
    assert np.array_equal(play(instrument, events, [frames]), play(instrument, events, [frames])), (
        "a second start is not like the first: state is kept in the instrument"
    )
    for name, cut in cuts(frames):
        verify_same(whole, play(make(), events, cut), name)
    first = min(event.frame for event in events)
    assert not np.any(whole[:first]), "it sounds before its first note"
    return whole


def verify_effect(make: Callable[[], Effect], block: Samples, *, dc_limit: float | None = 0.01) -> Samples:
    """Check an effect's contract on `block`, [frames, 2]; returns the processed block.

    `dc_limit` as in `verify_instrument`; None where the input itself has DC that the effect may keep.
    """
    frames = len(block)
    before = block.copy()
    whole = process(make(), block, [frames])
    assert np.array_equal(block, before), "the input was changed"
    verify_samples(whole, frames, dc_limit)
    assert np.array_equal(whole, process(make(), block, [frames])), "the same input does not give the same samples"
    effect = make()
    assert np.array_equal(process(effect, block, [frames]), process(effect, block, [frames])), (
        "a second start is not like the first: state is kept in the effect"
    )
    for name, cut in cuts(frames):
        verify_same(whole, process(make(), block, cut), name)
    silence = process(make(), np.zeros((256, 2)), [256])
    assert not np.any(silence), "silence into a fresh state makes sound"
    return whole


def play(instrument: Instrument, events: Sequence[NoteEvent], cut: Sequence[int]) -> Samples:
    """Play `events` in blocks of the given sizes; returns [sum of sizes, 2]."""
    state = instrument.start()
    blocks, start = [], 0
    for size in cut:
        due = [event for event in events if start <= event.frame < start + size]
        blocks.append(instrument.render(state, due, size))
        assert blocks[-1].shape == (size, 2), f"asked for {size} frames, got {blocks[-1].shape}"
        start += size
    return np.concatenate(blocks)


def process(effect: Effect, block: Samples, cut: Sequence[int]) -> Samples:
    """Process `block` in blocks of the given sizes, which sum to its length."""
    state = effect.start()
    blocks, start = [], 0
    for size in cut:
        blocks.append(effect.render(state, block[start : start + size]))
        assert blocks[-1].shape == (size, 2), f"gave {size} frames, got {blocks[-1].shape}"
        start += size
    return np.concatenate(blocks)


def cuts(frames: int) -> Iterator[tuple[str, list[int]]]:
    """Ways to cut `frames` into blocks, each with a name."""
    for name, pattern in CUTS.items():
        yield name, _cut(frames, lambda turn, pattern=pattern: pattern[turn % len(pattern)])  # type: ignore[misc]
    rng = np.random.default_rng(20)
    yield "random sizes", _cut(frames, lambda _: int(rng.integers(1, 3000)))


def _cut(frames: int, size_of: Callable[[int], int]) -> list[int]:
    sizes: list[int] = []
    while frames:
        sizes.append(min(frames, size_of(len(sizes))))
        frames -= sizes[-1]
    return sizes


def verify_samples(samples: Samples, frames: int, dc_limit: float | None = 0.01) -> None:
    """Check shape, type, finiteness, and that the mean is below `dc_limit` of the peak."""
    assert samples.shape == (frames, 2) and samples.dtype == np.float64
    assert np.all(np.isfinite(samples)), "not every sample is a finite number"
    peak = float(np.max(np.abs(samples), initial=0.0))
    if dc_limit is not None and peak > 0.0:
        window = np.hanning(frames)[:, np.newaxis]
        dc = np.abs((samples * window).sum(axis=0) / window.sum()).max()
        assert dc < dc_limit * peak, f"DC of {dc / peak:.4f} of the peak"


def verify_same(whole: Samples, chunked: Samples, name: str) -> None:
    """Check that two renderings are the same, bit for bit; says where they part."""
    if not np.array_equal(whole, chunked):
        frame = int(np.argmax(np.any(whole != chunked, axis=1)))
        raise AssertionError(f"{name}: differs from frame {frame}: {whole[frame]} against {chunked[frame]}")
