"""A look-ahead limiter for true peaks.

Peaks are looked for at four times the sample rate, as in ITU-R BS.1770-4 annex 2 (with a longer interpolator, which
reads closer to the truth near the top of the spectrum). The gain that a peak needs is held over the look-ahead,
released slowly, and averaged over the look-ahead, so that it has come down smoothly when the peak arrives. Where no
peak is near, the gain is exactly 1 and samples pass unchanged.

Streaming, the sound comes out `latency_frames` late. Offline (`limit_loop`) is the same computation, on time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.base import Samples
from resonantgen.instruments.jit import kernel

CEILING_DB = -1.0
MARGIN_DB = 0.25  # below the ceiling: so much higher can a sound without anything above 20 kHz be between the points
LOOK_AHEAD_SECONDS = 0.0015
RELEASE_SECONDS = 0.06

TAPS = 32
HALF = TAPS // 2
KAISER_BETA = 4.0  # flat to 20 kHz at 44.1 kHz
UNITY = 1 << 30  # gains are whole numbers of this many parts, so that their running sum is exact for ever
SMALLEST_STEP = 256  # of a release, in those parts: the gain comes back to exactly 1
SETTLING_SECONDS = 2.0  # after which a limiter has forgotten how it started (33 times its release)


def _interpolator() -> Samples:
    """Windowed sinc for the three points between two frames, [taps, 3]."""
    taps = np.zeros((TAPS, 3))
    for phase in range(3):
        at = np.arange(TAPS) - (HALF - 1) - (phase + 1) / 4
        window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0, 1 - (at / HALF) ** 2)))
        column = np.sinc(at) * window
        taps[:, phase] = column / column.sum()
    return taps


INTERPOLATOR = _interpolator()
LARGEST_GAIN = float(
    np.abs(INTERPOLATOR).sum(axis=0).max()
)  # no point between can be higher than so many times its frames


@kernel
def _true_peaks(padded: Samples, taps: Samples, floor: float) -> Samples:
    """Highest level at and around each frame, [frames]: the frame itself and the points to the next one.

    `padded` is [HALF - 1 + frames + HALF, 2]. Levels that cannot reach `floor` are given as the frame's own.
    """
    count = taps.shape[0]
    frames = padded.shape[0] - count + 1
    out = np.empty(frames)
    recent = -1  # the latest frame, in `padded`, that is loud enough to matter
    for n in range(count - 1):
        if max(abs(padded[n, 0]), abs(padded[n, 1])) > floor:
            recent = n
    for n in range(frames):
        last = n + count - 1
        if max(abs(padded[last, 0]), abs(padded[last, 1])) > floor:
            recent = last
        centre = n + count // 2 - 1
        peak = max(abs(padded[centre, 0]), abs(padded[centre, 1]))
        if recent >= n:
            for c in range(2):
                first, second, third = 0.0, 0.0, 0.0
                for k in range(count):
                    x = padded[n + k, c]
                    first += x * taps[k, 0]
                    second += x * taps[k, 1]
                    third += x * taps[k, 2]
                peak = max(peak, abs(first), abs(second), abs(third))
        out[n] = peak
    return out


@kernel
def _gains(
    peaks: Samples,
    ceiling: float,
    release: float,
    queue: NDArray[np.int64],
    recent: NDArray[np.int64],
    place: NDArray[np.int64],
) -> Samples:
    """The gains of the frames `look_ahead - 1` before each of `peaks`, [frames].

    `queue` [look_ahead + 2, 2] is a ring of (frame, gain), rising in both: its head is the least gain that is needed in
    the look-ahead. `recent` [look_ahead] is a ring of the latest released gains. `place` [7]: the frame, head and
    length of the queue, position in `recent`, the latest released gain, the sum of `recent`, and what the frame before
    wanted.
    """
    out = np.empty(peaks.shape[0])
    size, span = queue.shape[0], recent.shape[0]
    frame, head, length, slot, released, total, before = place
    for n in range(peaks.shape[0]):
        wanted = UNITY if peaks[n] <= ceiling else int(ceiling / peaks[n] * UNITY)
        here = min(wanted, before)  # a point between two frames lowers both
        before = wanted
        tail = head + length - 1
        while length > 0 and queue[tail if tail < size else tail - size, 1] >= here:
            length -= 1
            tail -= 1
        tail = head + length
        tail = tail if tail < size else tail - size
        queue[tail, 0], queue[tail, 1] = frame, here
        length += 1
        if queue[head, 0] <= frame - span:
            head = head + 1 if head + 1 < size else 0
            length -= 1
        least = queue[head, 1]
        if least > released:
            released = min(least, released + max(int((least - released) * release), SMALLEST_STEP))
        else:
            released = least
        total += released - recent[slot]
        recent[slot] = released
        slot = slot + 1 if slot + 1 < span else 0
        out[n] = total / (span * UNITY)
        frame += 1
    place[0], place[1], place[2], place[3] = frame, head, length, slot
    place[4], place[5], place[6] = released, total, before
    return out


@dataclass(slots=True)
class LimiterState:
    sound: Samples  # the last `latency_frames` of the stream
    queue: NDArray[np.int64]
    recent: NDArray[np.int64]
    place: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Limiter:
    """Keeps true peaks at or below a ceiling in dBTP. As a stream it is late by `latency_frames`."""

    sample_rate: int
    ceiling_db: float = CEILING_DB
    release_seconds: float = RELEASE_SECONDS

    @property
    def ceiling(self) -> float:
        return float(10 ** ((self.ceiling_db - MARGIN_DB) / 20))

    @property
    def look_ahead_frames(self) -> int:
        return round(LOOK_AHEAD_SECONDS * self.sample_rate)

    @property
    def latency_frames(self) -> int:
        return self.look_ahead_frames - 1 + HALF

    def start(self) -> LimiterState:
        span = self.look_ahead_frames
        return LimiterState(
            sound=np.zeros((self.latency_frames, 2)),
            queue=np.zeros((span + 2, 2), np.int64),
            recent=np.full(span, UNITY, np.int64),
            place=np.array([0, 0, 0, 0, UNITY, span * UNITY, UNITY], np.int64),
        )

    def render(self, state: LimiterState, block: Samples) -> Samples:
        """The sound of `latency_frames` ago, limited, [frames, 2]."""
        joined = np.concatenate([state.sound, block])
        peaks = _true_peaks(joined[len(state.sound) - TAPS + 1 :], INTERPOLATOR, self.ceiling / LARGEST_GAIN)
        state.sound = joined[len(block) :].copy()
        return joined[: len(block)] * self._gains(state, peaks)[:, None]

    def loop_peaks(self, samples: Samples, headroom_db: float = 0.0) -> Samples:
        """The level that counts at each frame of a loop of at least `TAPS` frames, [frames].

        Exact where it matters for `loop_gains` of these peaks raised by up to `headroom_db`.
        """
        around = np.concatenate([samples[1 - HALF :], samples, samples[:HALF]])
        return _true_peaks(around, INTERPOLATOR, self.ceiling / LARGEST_GAIN / 10 ** (headroom_db / 20))

    def surely_below(self, peak: float) -> bool:
        """Whether a sound whose highest sample is this is left alone, without looking between its samples."""
        return peak * LARGEST_GAIN <= self.ceiling

    def loop_gains(self, peaks: Samples) -> Samples:
        """The gain for each frame of a loop that has gone round for ever, [frames]: end and start fit together."""
        if float(peaks.max(initial=0.0)) <= self.ceiling:
            return np.ones(len(peaks))
        before = round(SETTLING_SECONDS * self.sample_rate)
        after = self.look_ahead_frames - 1
        around = np.take(peaks, np.arange(-before, len(peaks) + after), mode="wrap")
        return self._gains(self.start(), around)[before + after :]

    def limit_loop(self, samples: Samples) -> Samples:
        """A loop [frames, 2], limited, with no latency and no seam."""
        return samples * self.loop_gains(self.loop_peaks(samples))[:, None]

    def _gains(self, state: LimiterState, peaks: Samples) -> Samples:
        release = 1 - math.exp(-1 / (self.release_seconds * self.sample_rate))
        return _gains(peaks, self.ceiling, release, state.queue, state.recent, state.place)
