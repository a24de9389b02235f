"""What the macros do to a patch: they give a new patch with its settings moved, which then plays like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from resonantgen.instruments.base import Macros
from resonantgen.instruments.patch import Envelope, Filter, Modes, Operator, Oscillator, Patch, String, Tone

RICHER_OCTAVES = 1.5  # by which brightness at 1 doubles the waves beside a sine
LEAN = 0.8  # power of a partial's number by which brightness at 1 raises it
DRIVE_CURVE = 0.6  # power of the drive macro
MODULATION = 0.7  # octaves of modulation index for an octave of brightness


def with_macros(patch: Patch, macros: Macros) -> Patch:
    """The patch with every macro but `space` applied; that one belongs to the effects after it."""
    ranges = patch.macros
    opened = 2.0 ** (ranges.brightness_octaves * macros.brightness)
    lasting = ranges.release_factor**macros.release
    slower = ranges.attack_factor**macros.attack
    added_s = ranges.attack_s * max(0.0, macros.attack)

    def envelope(shape: Envelope) -> Envelope:
        return replace(
            shape,
            attack_s=_within(shape.attack_s * slower + added_s, 0.0005, 10.0),
            decay_s=_within(shape.decay_s * lasting, 0.005, 30.0),
            release_s=_within(shape.release_s * lasting, 0.01, 20.0),
        )

    return replace(
        patch,
        amplitude=envelope(patch.amplitude),
        oscillators=_oscillators(patch.oscillators, macros.brightness),
        operators=_operators(patch.operators, opened, lasting),
        string=patch.string and _string(patch.string, opened, lasting),
        modes=patch.modes and _modes(patch.modes, opened, lasting),
        filter=patch.filter and _filter(patch.filter, opened, lasting),
        tone=_tone(patch.tone, patch, macros),
    )


def _oscillators(oscillators: Sequence[Oscillator], brightness: float) -> list[Oscillator]:
    """Beside a sine, the richer waves grow; a wave of harmonics leans towards its upper ones."""
    beside_sine = any(oscillator.wave == "sine" for oscillator in oscillators)
    richer = 2.0 ** (RICHER_OCTAVES * brightness) if beside_sine else 1.0
    return [
        replace(
            oscillator,
            level=oscillator.level if oscillator.wave == "sine" else _within(oscillator.level * richer, 0.0, 1.0),
            harmonics=_leaning(oscillator.harmonics, range(1, len(oscillator.harmonics) + 1), brightness),
        )
        for oscillator in oscillators
    ]


def _leaning(levels: Sequence[float], ratios: Sequence[float], brightness: float) -> list[float]:
    """Levels of partials, those above the first raised or lowered the more the higher they are."""
    return [level * ratio ** (LEAN * brightness) for level, ratio in zip(levels, ratios, strict=True)]


def _operators(operators: Sequence[Operator], opened: float, lasting: float) -> list[Operator]:
    """Modulators and carriers above the fundamental grow with brightness; all last longer with release."""
    moved = []
    for operator in operators:
        grown = opened**MODULATION if operator.to >= 0 else max(1.0, operator.ratio) ** math.log2(opened)
        moved.append(
            replace(
                operator,
                level=_within(operator.level * grown, 0.0, 20.0),
                feedback=_within(operator.feedback * opened**MODULATION, 0.0, 3.0),
                envelope=replace(operator.envelope, decay_s=_within(operator.envelope.decay_s * lasting, 0.005, 30.0)),
            )
        )
    return moved


def _string(string: String, opened: float, lasting: float) -> String:
    return replace(
        string,
        hardness_hz=_within(string.hardness_hz * opened, 200.0, 20_000.0),
        treble_s=_within(string.treble_s * lasting * opened**0.5, 0.02, 30.0),
        decay_s=_within(string.decay_s * lasting, 0.05, 30.0),
    )


def _modes(modes: Modes, opened: float, lasting: float) -> Modes:
    return replace(
        modes,
        levels=[min(1.0, level) for level in _leaning(modes.levels, modes.ratios, math.log2(opened))],
        hardness_hz=_within(modes.hardness_hz * opened, 100.0, 20_000.0),
        decay_s=_within(modes.decay_s * lasting, 0.02, 60.0),
    )


def _filter(settings: Filter, opened: float, lasting: float) -> Filter:
    return replace(
        settings,
        cutoff_hz=_within(settings.cutoff_hz * opened, 20.0, 20_000.0),
        envelope=replace(settings.envelope, decay_s=_within(settings.envelope.decay_s * lasting**0.5, 0.005, 30.0)),
    )


def _tone(tone: Tone, patch: Patch, macros: Macros) -> Tone:
    # The first decibels of gain only come near the curve's bend, so that a positive macro sets out quickly.
    drive = patch.macros.drive_db * (macros.drive**DRIVE_CURVE if macros.drive > 0.0 else 0.5 * macros.drive)
    return replace(
        tone,
        drive_db=_within(tone.drive_db + drive, -60.0, 60.0),
        tilt_db=_within(tone.tilt_db + patch.macros.brightness_db * macros.brightness, -24.0, 24.0),
        width=_within(tone.width * (1.0 + macros.width), 0.0, 2.0),
    )


def _within(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
