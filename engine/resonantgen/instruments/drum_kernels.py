"""The inner loops of drum synthesis: sources, envelopes and what shapes a whole stroke. All arrays are float64.

A stroke is made in one piece, so a kernel starts from rest at the stroke and no state survives it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments.jit import kernel

Array = NDArray[np.float64]

LN_1000 = math.log(1000.0)  # an exponential falls by 60 dB over its decay
SILENT = 1e-5
SETTLED_OCTAVES = 5e-4
FADE_PARTS = 7  # layers and strokes fade out over a seventh of their length
TYPICAL = 0.3  # size of a sample that drive leaves as it is
CLOSING_STEP = 16  # frames between updates of a moving filter
_STEP, _MIX_A, _MIX_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_SCALE = 1.0 / 9007199254740992.0  # 2^-53


@kernel
def uniform(counter: np.uint64) -> float:
    """A number in [0, 1) from a counter (splitmix64: Steele, Lea and Flood 2014). Advance the counter by `_STEP`."""
    z = (counter ^ (counter >> _S30)) * _MIX_A
    z = (z ^ (z >> _S27)) * _MIX_B
    return float((z ^ (z >> _S31)) >> _S11) * _SCALE


@kernel
def _fade_out(signal: Array) -> None:
    """Fade a stroke or a layer [N] out to exactly zero, in place."""
    frames = len(signal)
    fade = frames // FADE_PARTS
    for left in range(fade):
        signal[frames - 1 - left] *= math.sin(0.5 * math.pi * left / fade) ** 2


@kernel
def _sweep(cycles: Array, step: float, sweeps: Array) -> int:
    """Fill in the phase `cycles` [N] of an oscillator that sweeps down to `step` cycles a frame.

    Returns the frame by which it has settled, beyond which nothing is filled in.
    """
    octaves = sweeps[:, 0] / 12.0
    falling = np.exp(-1.0 / sweeps[:, 1])
    position = 0.0
    frames = len(cycles)
    for n in range(frames):
        cycles[n] = position
        total, left = 0.0, 0.0
        for s in range(octaves.shape[0]):
            total += octaves[s]
            left += abs(octaves[s])
            octaves[s] *= falling[s]
        if left < SETTLED_OCTAVES:
            return n
        position += step * 2.0**total
    return frames


@kernel
def add_tone(
    out: Array,
    partials: Array,
    hz: float,
    sweeps: Array,
    attack: float,
    hold: float,
    decay: float,
    phase: float,
    sample_rate: float,
) -> None:
    """Add decaying partials to `out` [N].

    `partials` [K, 3] are ratio, amplitude, share of the decay; `sweeps` [S, 2] are semitones above `hz` and time
    constant in frames. Attack, hold and decay (T60) are in frames, `phase` in cycles.
    """
    frames = out.shape[0]
    cycles, layer = np.empty(frames), np.zeros(frames)
    settled = _sweep(cycles, hz / sample_rate, sweeps)
    for k in range(partials.shape[0]):
        ratio = partials[k, 0]
        if ratio * hz > 0.45 * sample_rate:
            continue
        least = SILENT * partials[k, 1]
        level = partials[k, 1]
        falling = math.exp(-LN_1000 / (decay * partials[k, 2]))
        angle = 2.0 * math.pi * ratio * hz / sample_rate
        turn_re, turn_im = math.cos(angle), math.sin(angle)
        re, im = 1.0, 0.0
        for n in range(frames):
            if n <= settled:
                angle = 2.0 * math.pi * (ratio * cycles[n] + phase)
                im = math.sin(angle)
                if n == settled:
                    re = math.cos(angle)
            else:  # at a steady pitch, rotate: cheaper than a sine
                re, im = re * turn_re - im * turn_im, re * turn_im + im * turn_re
            value = level * im
            if n < attack:
                value *= math.sin(0.5 * math.pi * (n + 1) / (attack + 1.0)) ** 2
            elif n >= attack + hold:
                level *= falling
                if level < least:
                    break
            layer[n] += value
    _fade_out(layer)
    out += layer


@kernel
def fill_noise(out: Array, counter: np.uint64, grain_chance: float, grain_falling: float) -> None:
    """White noise of peak 1, or where `grain_chance` > 0 the noise of random collisions.

    Each collision (with that chance a frame) adds energy, which falls by the factor `grain_falling` a frame: the shaker
    of P. Cook, "Physically informed sonic modeling", 1997.
    """
    loudness = math.sqrt((1.0 - grain_falling) / max(grain_chance, 1e-9)) * 1.2
    energy = 0.5
    for n in range(out.shape[0]):
        counter += _STEP
        out[n] = 2.0 * uniform(counter) - 1.0
        if grain_chance > 0.0:
            counter += _STEP
            chance = uniform(counter)
            if chance < grain_chance:
                energy += 0.4 + 0.6 * chance / grain_chance
            out[n] *= energy * loudness
            energy *= grain_falling


@kernel
def _fill_square(out: Array, index: Array, phase: float, step: float) -> None:
    """A square wave from a phase (cycles), its edges rounded by PolyBLEP (Välimäki and Huovilainen 2007).

    `index` is 0, 1, 2, …: with it, no branches and nothing carried over, the loop runs on vectors.
    """
    for n in range(out.shape[0]):
        at = phase + index[n] * step
        at -= np.floor(at)
        value = 1.0 if at < 0.5 else -1.0
        since = at if at < 0.5 else at - 0.5
        after = max(1.0 - since / step, 0.0)
        before = max(1.0 - (0.5 - since) / step, 0.0)
        out[n] = value * (1.0 - after * after - before * before)


@kernel
def fill_metal(out: Array, steps: Array, counter: np.uint64, ring: float) -> None:
    """Square oscillators, `steps` [K] cycles a frame, with random phases.

    `ring` moves from their sum to the sum of the products of neighbours.
    """
    count, frames = len(steps), len(out)
    index = np.empty(frames)
    for n in range(frames):
        index[n] = n
    wave, before = np.empty(frames), np.empty(frames)
    _fill_square(before, index, uniform(counter + np.uint64(count) * _STEP), steps[count - 1])
    out[:] = 0.0
    for k in range(count):
        counter += _STEP
        _fill_square(wave, index, uniform(counter), steps[k])
        level = 1.0 / (math.sqrt(count) * (1.0 + 0.07 * k))  # not equal, or they would cancel exactly for frames on end
        dry, wet = level * (1.0 - ring), level * ring
        for n in range(frames):
            out[n] += wave[n] * (dry + wet * before[n])
        wave, before = before, wave


@kernel
def _g(hz: float, sample_rate: float) -> float:
    """The frequency coefficient of `_filter`: the bilinear transform's, at most 0.45 of the sample rate."""
    return math.tan(math.pi * min(hz / sample_rate, 0.45))


@kernel
def _filter(x: float, s1: float, s2: float, a: float, g: float) -> tuple[float, float, float, float]:
    """A frame of a 2-pole state-variable filter (trapezoidal: Simper 2013) with a = 1 / (1 + g (g + 1/Q)).

    Returns the band-pass and low-pass outputs and the new state; the high-pass is x - band / Q - low.
    """
    rest = x - s2
    band = a * s1 + g * a * rest
    low = s2 + g * a * s1 + g * g * a * rest
    return band, low, 2.0 * band - s1, 2.0 * low - s2


@kernel
def add_texture(
    out: Array,
    source: Array,
    gain: float,
    starts: Array,
    attack: float,
    hold: float,
    decay: float,
    low_cut_hz: float,
    high_cut_hz: float,
    damping: float,
    closing_octaves: float,
    sample_rate: float,
) -> None:
    """Filter `source` [N] in place (2-pole high-pass and low-pass, `damping` = 1/Q), shape it and add it to `out` [N].

    `starts` [B] are the bursts' first frames, ascending from 0; all but the last burst decay until the next one.
    """
    ga = _g(low_cut_hz, sample_rate)
    gb = _g(high_cut_hz, sample_rate)
    a1 = 1.0 / (1.0 + ga * (ga + damping))
    b1 = 1.0 / (1.0 + gb * (gb + damping))
    s1 = s2 = t1 = t2 = 0.0
    falling = math.exp(-LN_1000 / decay)
    last = starts.shape[0] - 1
    burst, level, start = 0, 1.0, 0.0
    for n in range(source.shape[0]):
        if burst < last and n >= starts[burst + 1]:
            burst += 1
            level, start = 1.0, starts[burst]
        if closing_octaves > 0.0 and n % CLOSING_STEP == 0:
            gb = _g(max(high_cut_hz * 2.0 ** (-closing_octaves * min(n / decay, 1.0)), low_cut_hz), sample_rate)
            b1 = 1.0 / (1.0 + gb * (gb + damping))
        since = n - start
        envelope = level
        if since < attack:
            envelope = math.sin(0.5 * math.pi * (since + 1.0) / (attack + 1.0)) ** 2
        elif burst < last:  # fall by 24 dB until the next burst
            level *= math.exp(-2.8 / (starts[burst + 1] - start))
        elif since >= attack + hold:
            level *= falling
        band, low, s1, s2 = _filter(source[n], s1, s2, a1, ga)
        _, passed, t1, t2 = _filter(source[n] - damping * band - low, t1, t2, b1, gb)
        source[n] = gain * envelope * passed
    _fade_out(source)
    out += source


@kernel
def cut_lows(signal: Array, low_cut_hz: float, sample_rate: float) -> None:
    """A critically damped 2-pole high-pass, in place."""
    g = _g(low_cut_hz, sample_rate)
    a = 1.0 / (1.0 + g * (g + 2.0))
    s1 = s2 = 0.0
    for n in range(signal.shape[0]):
        band, low, s1, s2 = _filter(signal[n], s1, s2, a, g)
        signal[n] -= 2.0 * band + low


@kernel
def saturate(signal: Array, gain: float, coefficients: Array) -> None:
    """Soft clipping f(x) = x / sqrt(1 + x^2) after `gain`, in place, without latency.

    A sample of size TYPICAL keeps its size, so that drive takes the peaks down rather than the level up. What would
    fold back from above the Nyquist frequency is kept down twice: it runs at twice the rate between half-band filters,
    whose all-passes are `coefficients` [4], and each frame is the mean of f over the step from the frame before, which
    has a closed form here (antiderivative antialiasing: Parker, Zavalishin and Le Bivic 2016).
    """
    makeup = 0.5 * TYPICAL * math.sqrt(1.0 + (gain * TYPICAL) ** 2) / (gain * TYPICAL)
    a, b, c, d = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    # Each path is two first-order all-passes in series, y = a (x - y') + x' with ' for the frame before: a, c and b, d.
    x0 = up_a = up_c = up_b = up_d = 0.0
    even0 = down_a = down_c = odd0 = odd1 = down_b = down_d = 0.0
    driven0, root0 = 0.0, 1.0
    for n in range(signal.shape[0]):
        x = gain * signal[n]
        first = a * (x - up_a) + x0
        up_c = c * (first - up_c) + up_a
        second = b * (x - up_b) + x0
        up_d = d * (second - up_d) + up_b
        x0, up_a, up_b = x, first, second
        root = math.sqrt(1.0 + up_c * up_c)
        even = (up_c + driven0) / (root + root0)
        root0 = math.sqrt(1.0 + up_d * up_d)
        odd = (up_d + up_c) / (root0 + root)
        driven0 = up_d
        first = a * (even - down_a) + even0
        down_c = c * (first - down_c) + down_a
        second = b * (odd0 - down_b) + odd1  # the odd frames are half an input frame later, so the one before is due
        down_d = d * (second - down_d) + down_b
        even0, down_a, odd1, odd0, down_b = even, first, odd0, odd, second
        signal[n] = makeup * (down_c + down_d)


@kernel
def shape_transient(signal: Array, boost: float, frames: float, soft: float) -> None:
    """Scale the first moments, in place: by 1 + `boost` at the stroke, back to 1 with the time constant `frames`.

    Fades in over `soft` frames.
    """
    falling = math.exp(-1.0 / frames)
    for n in range(signal.shape[0]):
        if n < soft:
            signal[n] *= math.sin(0.5 * math.pi * (n + 1) / (soft + 1.0)) ** 2
        signal[n] *= 1.0 + boost
        boost *= falling
        if abs(boost) < SILENT and n >= soft:
            break


@kernel
def colour(signal: Array, high_cut_hz: float, tilts_hz: Array, tilts_gain: Array, sample_rate: float) -> None:
    """A 2-pole low-pass and first-order tilts, in place.

    A tilt scales what is far below its frequency by 1/gain and what is far above by gain.
    """
    g, damping = _g(high_cut_hz, sample_rate), math.sqrt(2.0)
    a = 1.0 / (1.0 + g * (g + damping))
    s1 = s2 = 0.0
    count = tilts_hz.shape[0]
    lows, steps = np.zeros(count), np.empty(count)
    for k in range(count):
        c = _g(tilts_hz[k] * tilts_gain[k], sample_rate)
        steps[k] = c / (1.0 + c)
    for n in range(signal.shape[0]):
        _, value, s1, s2 = _filter(signal[n], s1, s2, a, g)
        for k in range(count):  # (g s + w) / (s + g w), from a one-pole low-pass at g w
            step = (value - lows[k]) * steps[k]
            low = lows[k] + step
            lows[k] = low + step
            value = tilts_gain[k] * (value - low) + low / tilts_gain[k]
        signal[n] = value


@kernel
def place(signal: Array, tail: int, pan: float, spread: float, delays: Array, side_hz: float, rate: float) -> Array:
    """Mono `signal` [N], faded out to exactly zero in place, to stereo [N + `tail`, 2].

    Middle and side: the sum of both channels is always twice the signal. The side holds the pan and a diffuse echo (a
    delay and two all-passes after Schroeder 1962; `delays` [3] in frames), high-passed at `side_hz` with 24 dB an
    octave so that the lows stay mono.
    """
    _fade_out(signal)
    sounding, frames = len(signal), len(signal) + tail
    out = np.empty((frames, 2))
    wait, first, second = int(delays[0]), int(delays[1]), int(delays[2])
    line_a, line_b = np.zeros(first), np.zeros(second)
    a = b = 0
    g = _g(side_hz, rate)
    d1, d2 = 0.7653668647, 1.8477590650  # 1/Q of the two halves of a fourth-order Butterworth filter
    a1, a2 = 1.0 / (1.0 + g * (g + d1)), 1.0 / (1.0 + g * (g + d2))
    s1 = s2 = t1 = t2 = 0.0
    for n in range(frames):
        middle = signal[n] if n < sounding else 0.0
        side = pan * middle
        if spread > 0.0:
            kept = (signal[n - wait] if wait <= n < sounding + wait else 0.0) + 0.6 * line_a[a]
            x, line_a[a] = line_a[a] - 0.6 * kept, kept
            kept = x + 0.6 * line_b[b]
            x, line_b[b] = line_b[b] - 0.6 * kept, kept
            side += spread * x
            a = a + 1 if a + 1 < first else 0
            b = b + 1 if b + 1 < second else 0
        band, low, s1, s2 = _filter(side, s1, s2, a1, g)
        side -= d1 * band + low
        band, low, t1, t2 = _filter(side, t1, t2, a2, g)
        side -= d2 * band + low
        out[n, 0] = middle - side
        out[n, 1] = middle + side
    fade = frames // FADE_PARTS
    for left in range(fade):  # of the side
        n = frames - 1 - left
        middle = 0.5 * (out[n, 0] + out[n, 1])
        side = 0.5 * (out[n, 1] - out[n, 0]) * math.sin(0.5 * math.pi * left / fade) ** 2
        out[n, 0] = middle - side
        out[n, 1] = middle + side
    return out
