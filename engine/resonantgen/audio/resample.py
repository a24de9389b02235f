"""Sound from one sample rate to another.

A linear-phase polyphase filter, as a stream: a file of any length goes through in blocks, and comes out as the whole
would. A loop is resampled in the frequency domain instead, where it has no ends at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

ZERO_CROSSINGS = 48  # of the sinc on each side, at the lower of the two rates
KAISER_BETA = 10.0  # stop band at -100 dB
# The middle of the transition, as a share of the lower rate's Nyquist frequency. The transition is about 14 % wide, so
# the pass band ends at 0.90, and what is above Nyquist by no more than 4 % is not wholly rejected: inaudible, at the
# rates in use, and it leaves the pass band its width.
CUTOFF = 0.97
BLOCK_FRAMES = 1 << 16  # of the offline resampler: so much is copied at a time
LOOP_EDGE = 0.96  # a loop's spectrum is faded out from this share of the lower Nyquist frequency


@cache
def _taps(up: int, down: int) -> NDArray[np.float64]:
    """The low-pass filter at `up` times the source's rate, a whole number of `down` to each side, with gain `up`."""
    widest = max(up, down)
    half = math.ceil(ZERO_CROSSINGS * widest / down) * down
    taps: NDArray[np.float64] = signal.firwin(2 * half + 1, CUTOFF / widest, window=("kaiser", KAISER_BETA))
    return taps * up


def resampled_frames(frames: int, source_rate: int, target_rate: int) -> int:
    """Length of `frames` frames at the target rate, rounded up: the last frame's time is still in it."""
    return -(-frames * target_rate // source_rate)


@dataclass(slots=True)
class ResamplerState:
    recent: NDArray[np.float64]  # [frames, channels] that outputs still to come depend on
    recent_start: int  # of them, counted from the stream's start; a multiple of the resampler's `down`
    received: int  # frames so far
    given: int


@dataclass(frozen=True, slots=True)
class Resampler:
    """A stream at one rate to a stream at another. No latency in its time: frame n belongs to n / target_rate seconds.

    What depends on frames that have not come is held back until they have, or until `finish`.
    """

    source_rate: int
    target_rate: int
    channels: int

    @property
    def up(self) -> int:
        return self.target_rate // math.gcd(self.source_rate, self.target_rate)

    @property
    def down(self) -> int:
        return self.source_rate // math.gcd(self.source_rate, self.target_rate)

    def start(self) -> ResamplerState:
        # Before the stream's start is silence, as much as the first frame's filter reaches back over.
        before = math.ceil(self._half / self.up / self.down) * self.down
        return ResamplerState(np.zeros((before, self.channels)), -before, 0, 0)

    def render(self, state: ResamplerState, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """What can be told after this block [frames, channels], [any number of frames, channels]."""
        state.recent = np.concatenate([state.recent, block])
        state.received += len(block)
        # Frame m lies at m * down on the filter's grid, and needs the source's frames up to `half` beyond that.
        last = (state.received - 1) * self.up - self._half
        return self._render_to(state, max(last // self.down + 1, state.given))

    def finish(self, state: ResamplerState) -> NDArray[np.float64]:
        """The rest: `resampled_frames` of what was received, in all. After the stream's end is silence."""
        silence = np.zeros((self._half // self.up + 1, self.channels))
        state.recent = np.concatenate([state.recent, silence])
        return self._render_to(state, resampled_frames(state.received, self.source_rate, self.target_rate))

    @property
    def _half(self) -> int:
        return len(_taps(self.up, self.down)) // 2

    def _render_to(self, state: ResamplerState, end: int) -> NDArray[np.float64]:
        """The frames from `state.given` to `end`; then forget what no later frame needs."""
        if end == state.given:
            return np.zeros((0, self.channels))
        # `upfirdn` starts at the first recent frame, which lies on an output's place, and is late by half the filter.
        origin = state.recent_start // self.down * self.up - self._half // self.down
        count = end - origin
        needed = ((count - 1) * self.down) // self.up + 1
        filtered = signal.upfirdn(_taps(self.up, self.down), state.recent[:needed].T, self.up, self.down, axis=1)
        out: NDArray[np.float64] = filtered[:, state.given - origin : count].T
        state.given = end
        oldest = (end * self.down - self._half) // self.up // self.down * self.down
        if oldest > state.recent_start:
            state.recent = state.recent[oldest - state.recent_start :].copy()
            state.recent_start = oldest
        return out


def resample(samples: NDArray[np.float64], source_rate: int, target_rate: int) -> NDArray[np.float64]:
    """[frames, channels] at another rate, [`resampled_frames`, channels]. Silence before and after is assumed."""
    if source_rate == target_rate:
        return samples.copy()
    resampler = Resampler(source_rate, target_rate, samples.shape[1])
    state = resampler.start()
    starts = range(0, len(samples), BLOCK_FRAMES)
    blocks = [resampler.render(state, samples[start : start + BLOCK_FRAMES]) for start in starts]
    return np.concatenate([*blocks, resampler.finish(state)])


def resample_loop(samples: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """A loop [any frames, channels] as a loop of exactly `frames` frames, [frames, channels].

    Its Fourier series is evaluated at other points (J. O. Smith, "Mathematics of the DFT", on band-limited
    interpolation of periodic signals): end and start fit together as they did before. At a fixed sample rate it would
    change the pitch: see `stretch.stretch_loop` for that.
    """
    if frames == len(samples):
        return samples.copy()
    spectrum = fft.rfft(samples, axis=0)
    lower = min(frames, len(samples)) // 2  # the highest harmonic that both can have
    edge = np.arange(lower + 1) / max(lower, 1)
    fade = np.cos(np.pi / 2 * np.clip((edge - LOOP_EDGE) / (1 - LOOP_EDGE), 0.0, 1.0)) ** 2
    kept = spectrum[: lower + 1] * fade[:, None]
    out: NDArray[np.float64] = fft.irfft(kept, frames, axis=0) * (frames / len(samples))
    return out
