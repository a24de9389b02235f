"""What the macros do to a patch: they give a new patch with its settings moved, which then plays like any other."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from resonantgen.instruments.base import Macros
from resonantgen.instruments.patch import Envelope, Filter, Modes, Operator, Patch, String, Tone


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
        operators=_operators(patch.operators, opened, lasting),
        string=patch.string and _string(patch.string, opened, lasting),
        modes=patch.modes and _modes(patch.modes, opened, lasting),
        filter=patch.filter and _filter(patch.filter, opened, lasting),
        tone=_tone(patch.tone, patch, macros),
    )


def _operators(operators: Sequence[Operator], opened: float, lasting: float) -> list[Operator]:
    """Modulators follow brightness by half an octave of index an octave, carriers only last longer."""
    return [
        replace(
            operator,
            level=_within(operator.level * (opened**0.5 if operator.to >= 0 else 1.0), 0.0, 20.0),
            feedback=_within(operator.feedback * opened**0.5, 0.0, 3.0),
            envelope=replace(operator.envelope, decay_s=_within(operator.envelope.decay_s * lasting, 0.005, 30.0)),
        )
        for operator in operators
    ]


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
    drive = patch.macros.drive_db * (macros.drive if macros.drive > 0.0 else 0.5 * macros.drive)
    return replace(
        tone,
        drive_db=_within(tone.drive_db + drive, -60.0, 60.0),
        tilt_db=_within(tone.tilt_db + patch.macros.brightness_db * macros.brightness, -24.0, 24.0),
        width=_within(tone.width * (1.0 + macros.width), 0.0, 2.0),
    )


def _within(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
