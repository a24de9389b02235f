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
    """Add decaying partials to `out` [N]. `partials` [K, 3] are ratio, amplitude, share of the decay; `sweeps` [S, 2] are
    semitones above `hz` and time constant in frames. Attack, hold and decay (T60) are in frames, `phase` in cycles."""
    frames = out.shape[0]
    cycles = np.empty(frames)
    bend = np.empty(sweeps.shape[0])
    fall = np.empty(sweeps.shape[0])
    for s in range(sweeps.shape[0]):
        bend[s] = sweeps[s, 0] / 12.0
        fall[s] = math.exp(-1.0 / sweeps[s, 1])
    position = 0.0
    for n in range(frames):
        cycles[n] = position
        octaves = 0.0
        for s in range(bend.shape[0]):
            octaves += bend[s]
            bend[s] *= fall[s]
        position += hz / sample_rate * (2.0**octaves if abs(octaves) > 1e-6 else 1.0)
    start = attack + hold
    for k in range(partials.shape[0]):
        ratio, amplitude = partials[k, 0], partials[k, 1]
        if ratio * hz > 0.45 * sample_rate:
            continue
        falling = math.exp(-LN_1000 / (decay * partials[k, 2]))
        level = amplitude
        for n in range(frames):
            value = level * math.sin(2.0 * math.pi * (ratio * cycles[n] + phase))
            if n < attack:
                value *= math.sin(0.5 * math.pi * (n + 1) / (attack + 1.0)) ** 2
            elif n >= start:
                level *= falling
                if level < SILENT * amplitude:
                    break
            out[n] += value


@kernel
def fill_noise(out: Array, counter: np.uint64, grain_chance: float, grain_falling: float) -> None:
    """White noise of peak 1, or where `grain_chance` > 0 noise that each collision (with that chance a frame) revives and
    that falls by `grain_falling` a frame (the shaker model of Cook 1997, "Physically informed sonic modeling")."""
    energy = 0.0
    loudness = math.sqrt((1.0 - grain_falling) / max(grain_chance, 1e-9)) * 1.2
    for n in range(out.shape[0]):
        counter += _STEP
        value = 2.0 * uniform(counter) - 1.0
        if grain_chance > 0.0:
            counter += _STEP
            chance = uniform(counter)
            if n == 0:
                energy = 0.5
            elif chance < grain_chance:
                energy += 0.4 + 0.6 * chance / grain_chance
            value *= energy * loudness
            energy *= grain_falling
        out[n] = value


@kernel
def _square(phase: float, step: float) -> float:
    """A square wave of period 1, its edges rounded by PolyBLEP (Välimäki and Huovilainen 2007)."""
    value = 1.0 if phase < 0.5 else -1.0
    for edge in range(2):
        distance = phase if edge == 0 else (phase + 0.5) % 1.0
        sign = 1.0 if edge == 0 else -1.0
        if distance < step:
            t = distance / step
            value += sign * (t + t - t * t - 1.0)
        elif distance > 1.0 - step:
            t = (distance - 1.0) / step
            value += sign * (t * t + t + t + 1.0)
    return value


@kernel
def fill_metal(out: Array, steps: Array, counter: np.uint64, ring: float) -> None:
    """Square oscillators, `steps` [K] cycles a frame, with free-running phases; `ring` moves from sum to products."""
    count = steps.shape[0]
    phases = np.empty(count)
    values = np.empty(count)
    for k in range(count):
        counter += _STEP
        phases[k] = uniform(counter)
    scale = 1.0 / math.sqrt(count)
    for n in range(out.shape[0]):
        total = 0.0
        for k in range(count):
            values[k] = _square(phases[k], steps[k])
            total += values[k]
            phases[k] += steps[k]
            if phases[k] >= 1.0:
                phases[k] -= 1.0
        product = 0.0
        if ring > 0.0:
            for k in range(count):
                product += values[k] * values[(k + 1) % count]
        out[n] = scale * ((1.0 - ring) * total + ring * product)


@kernel
def _g(hz: float, sample_rate: float) -> float:
    """The coefficient of a zero-delay state-variable filter (Zavalishin 2012)."""
    return math.tan(math.pi * min(hz / sample_rate, 0.45))


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
    """Filter `source` [N] (2-pole high-pass and low-pass, `damping` = 1/Q), apply the envelope and add it to `out` [N].

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
    for n in range(out.shape[0]):
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
            if level < SILENT:
                break
        v = a1 * (source[n] - s2 - (ga + damping) * s1)  # high-pass
        band = ga * v + s1
        low = ga * band + s2
        s1, s2 = ga * v + band, ga * band + low
        u = b1 * (v - t2 - (gb + damping) * t1)
        band = gb * u + t1
        low = gb * band + t2  # low-pass
        t1, t2 = gb * u + band, gb * band + low
        out[n] += gain * envelope * low


@kernel
def _allpass_pair(x: float, coefficients: Array, state: Array, path: int) -> float:
    """One path of a polyphase half-band filter: first-order all-pass sections at the lower rate, in series."""
    for k in range(path, coefficients.shape[0], 2):
        y = state[k, 0] + coefficients[k] * (x - state[k, 1])
        state[k, 0], state[k, 1] = x, y
        x = y
    return x


@kernel
def saturate(signal: Array, gain: float, coefficients: Array) -> None:
    """tanh(gain x) / tanh(gain), in place, computed at twice the rate between half-band filters so that what it adds above
    the Nyquist frequency does not fold back. No latency."""
    up = np.zeros((coefficients.shape[0], 2))
    down = np.zeros((coefficients.shape[0], 2))
    makeup = 1.0 / math.tanh(gain)
    odd_before = 0.0
    for n in range(signal.shape[0]):
        x = signal[n]
        even = math.tanh(gain * _allpass_pair(x, coefficients, up, 0))
        odd = math.tanh(gain * _allpass_pair(x, coefficients, up, 1))
        a = _allpass_pair(even, coefficients, down, 0)
        b = _allpass_pair(odd_before, coefficients, down, 1)
        odd_before = odd
        signal[n] = 0.5 * makeup * (a + b)


@kernel
def shape_transient(signal: Array, boost: float, frames: float, soft: float) -> None:
    """Scale the first moments, in place: by 1 + `boost` at the stroke, back to 1 with the time constant `frames`; fade in over
    `soft` frames."""
    falling = math.exp(-1.0 / frames)
    for n in range(signal.shape[0]):
        if n < soft:
            signal[n] *= math.sin(0.5 * math.pi * (n + 1) / (soft + 1.0)) ** 2
        signal[n] *= 1.0 + boost
        boost *= falling
        if abs(boost) < SILENT and n >= soft:
            break


@kernel
def colour(
    signal: Array, low_cut_hz: float, high_cut_hz: float, tilts_hz: Array, tilts_gain: Array, sample_rate: float
) -> None:
    """A 2-pole high-pass, a 2-pole low-pass and first-order tilts, in place. A tilt scales what is far below its frequency by
    1/gain and what is far above by gain."""
    root2 = math.sqrt(2.0)
    ga, gb = _g(low_cut_hz, sample_rate), _g(high_cut_hz, sample_rate)
    a1, b1 = 1.0 / (1.0 + ga * (ga + root2)), 1.0 / (1.0 + gb * (gb + root2))
    s1 = s2 = t1 = t2 = 0.0
    count = tilts_hz.shape[0]
    lows, steps = np.zeros(count), np.empty(count)
    for k in range(count):
        c = _g(tilts_hz[k] * tilts_gain[k], sample_rate)
        steps[k] = c / (1.0 + c)
    for n in range(signal.shape[0]):
        v = a1 * (signal[n] - s2 - (ga + root2) * s1)
        band = ga * v + s1
        low = ga * band + s2
        s1, s2 = ga * v + band, ga * band + low
        u = b1 * (v - t2 - (gb + root2) * t1)
        band = gb * u + t1
        value = gb * band + t2
        t1, t2 = gb * u + band, gb * band + value
        for k in range(count):  # (g s + w) / (s + g w), from a one-pole low-pass at g w
            step = (value - lows[k]) * steps[k]
            low = lows[k] + step
            lows[k] = low + step
            value = tilts_gain[k] * (value - low) + low / tilts_gain[k]
        signal[n] = value


@kernel
def place(
    out: Array,
    signal: Array,
    gain: float,
    pan: float,
    spread: float,
    side_hz: float,
    delays: Array,
    fade: int,
    sample_rate: float,
) -> None:
    """Mono `signal` [N] to stereo `out` [M, 2] with M >= N, fading out to exactly zero over the last `fade` frames.

    Middle and side: the sum of both channels is always the signal itself. The side holds the pan and a diffuse echo (a delay and
    two all-passes after Schroeder 1962; `delays` [3] in frames), high-passed with 24 dB an octave so that the lows stay mono.
    """
    g = _g(side_hz, sample_rate)
    d1, d2 = 0.7653668647, 1.8477590650  # 1/Q of the two halves of a fourth-order Butterworth filter
    a1, b1 = 1.0 / (1.0 + g * (g + d1)), 1.0 / (1.0 + g * (g + d2))
    s1 = s2 = t1 = t2 = 0.0
    frames, sounding = out.shape[0], signal.shape[0]
    wait, first, second = int(delays[0]), int(delays[1]), int(delays[2])
    ring_a, ring_b = np.zeros(first), np.zeros(second)
    for n in range(frames):
        middle = signal[n] if n < sounding else 0.0
        side = pan * middle
        if spread > 0.0:
            x = signal[n - wait] if wait <= n < sounding + wait else 0.0
            kept = x + 0.6 * ring_a[n % first]
            x, ring_a[n % first] = ring_a[n % first] - 0.6 * kept, kept
            kept = x + 0.6 * ring_b[n % second]
            x, ring_b[n % second] = ring_b[n % second] - 0.6 * kept, kept
            side += spread * x
        v = a1 * (side - s2 - (g + d1) * s1)
        band = g * v + s1
        s1, s2 = g * v + band, s2 + 2.0 * g * band
        u = b1 * (v - t2 - (g + d2) * t1)
        band = g * u + t1
        t1, t2 = g * u + band, t2 + 2.0 * g * band
        scale = gain
        left = frames - 1 - n
        if left < fade:
            scale *= math.sin(0.5 * math.pi * left / fade) ** 2
        out[n, 0] = scale * (middle - u)
        out[n, 1] = scale * (middle + u)
